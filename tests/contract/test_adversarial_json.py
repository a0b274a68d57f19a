"""Documents at every edge of the grammar get the verdict of orjson and of msgspec, or one with a reason of our own.

Law: we accept nothing that either of them refuses; where one accepts and we do not, the reason is a row of
docs/decisions/0002-json-verdicts.md. The surprise: a document stands as it is and inside a request, where its
neighbours may hide what is wrong with it.
"""

from collections import Counter
from typing import Any

import msgspec
import pytest

from contract.adversarial import documents
from contract.test_scanner_agrees_with_orjson import reasons_of_our_own, scanner_verdicts

orjson = pytest.importorskip("orjson")


def accepts(read: Any, body: bytes) -> bool:
    try:
        read(body)
    except (ValueError, RecursionError):
        return False
    return True


def test_documents_written_to_divide_readers_divide_us_from_none_without_a_reason() -> None:
    named = [
        (f"{name}, {where}", form % document)
        for name, document in documents()
        for where, form in (
            ("alone", b"%b"),
            ("as a member", b'{"model":"m","messages":[],"x":%b}'),
            ("in a message", b'{"model":"m","messages":[{"role":"user","content":"a","x":[%b]}],"user":"b"}'),
        )
    ]
    assert len(named) > 3 * 1_500
    allowed = reasons_of_our_own()
    counts: Counter[str] = Counter()
    for (name, body), verdict in zip(named, scanner_verdicts([body for _, body in named]), strict=True):
        theirs = {"orjson": accepts(orjson.loads, body), "msgspec": accepts(msgspec.json.decode, body)}
        code = verdict.get("refused")
        if code is None:
            assert all(theirs.values()), f"{name}: we accept, {theirs}"
            counts["accepted"] += 1
        elif any(theirs.values()):
            assert code in allowed, f"{name}: {code}, {theirs}"
            counts[code] += 1
        else:
            counts["refused by all"] += 1
    print(f"{len(named)} documents: {dict(counts.most_common())}")
    assert min(counts["accepted"], counts["refused by all"]) > len(named) // 10
