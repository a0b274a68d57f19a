"""Recorded answers of other dialects, said as chat and as Responses, against the schema that OpenAI publishes.

The schema comes from the folder that `FASTROUTE_CORPORA` names, the answers from `FASTROUTE_RECORDINGS`. What is
written in its own dialect goes on as its provider wrote it, and is not held to OpenAI's schema here.
"""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from contract.recorded import Line, lines
from contract.test_rendered_replies_match_schema import published, validator
from fastroute import core

__all__ = ["published"]

SCHEMAS = {
    ("openai_chat", False): "CreateChatCompletionResponse",
    ("openai_chat", True): "CreateChatCompletionStreamResponse",
    ("openai_responses", False): "Response",
    ("openai_responses", True): "ResponseStreamEvent",
}
SHORT = 12
"""In the short form this many answers of each provider, dialect and form are enough."""

UNSAID = {
    ("CreateChatCompletionResponse", "choices/*/finish_reason"): "an upstream that gave no finish is given none",
    ("CreateChatCompletionStreamResponse", "choices/*/delta/tool_calls/*/type"): "free calls have no published chunk",
    ("response.failed", "response/error"): "the code of an error is the provider's or ours, and not one of OpenAI's",
}
"""Schema and place of what we say and OpenAI's schema has no word for, and why it is said so."""


def documents(line: Line, target: str) -> Iterator[dict[str, Any]]:
    """The documents that a client reads: the reply, or the data of each event."""
    source = line.dialect or ""
    if not line.streaming:
        yield json.loads(core.translate_reply(line.body, source, target, reply_id="r1", model="m"))
        return
    stream = core.StreamTranslator(source, target, reply_id="r1", model="m")
    parser = core.SseParser(1 << 24, 1 << 24)
    for event in parser.feed(stream.push(line.body) + stream.finish()) + parser.end():
        if event.data != b"[DONE]":
            yield json.loads(event.data)


def chosen(target: str, every: bool) -> Iterator[Line]:
    taken: Counter[tuple[object, ...]] = Counter()
    for line in lines():
        if line.answered and line.dialect != target:
            taken[line.provider, line.dialect, line.streaming] += 1
            if every or taken[line.provider, line.dialect, line.streaming] <= SHORT:
                yield line


@pytest.mark.parametrize("every", [False, pytest.param(True, marks=pytest.mark.long)], ids=["short", "every"])
@pytest.mark.parametrize("target", ["openai_chat", "openai_responses"])
def test_what_clients_of_openai_read_is_what_openai_publishes(
    published: dict[str, Any], target: str, every: bool
) -> None:
    schemas = {name: validator(published, name) for name in {*SCHEMAS.values(), "ErrorResponse"}}
    by_type = {name: validator(published, schema) for name, schema in events(published).items()}
    counts: Counter[str] = Counter()
    faults: Counter[str] = Counter()
    first: dict[str, str] = {}
    for line in chosen(target, every):
        for document in documents(line, target):
            schema = SCHEMAS[target, line.streaming]
            if "error" in document and target == "openai_chat":
                schema = "ErrorResponse"
            check = schemas[schema]
            if schema == "ResponseStreamEvent":
                kind = document.get("type", "")
                assert kind in by_type, f"{line.id}: an event of no published type: {kind}"
                schema, check = kind, by_type[kind]
            counts[schema] += 1
            for error in check.iter_errors(document):
                if (schema, place(error)) in UNSAID:
                    counts[f"{schema}: {UNSAID[schema, place(error)]}"] += 1
                    continue
                fault = f"{schema}: {place(error)}: {error.message[:120]}"
                faults[fault] += 1
                first.setdefault(fault, line.id)
    print(dict(counts))
    assert counts
    assert not faults, "\n".join(
        f"{count} × {fault}, first in {first[fault]}" for fault, count in faults.most_common(40)
    )


def place(error: Any) -> str:
    """Where the fault is, numbers of lists left out."""
    return "/".join("*" if isinstance(step, int) else str(step) for step in error.instance_path)


def events(published: dict[str, Any]) -> dict[str, str]:
    """Schema of each event by its `type`: a fault is told of the one that is meant, and not of all of them."""
    schemas = published["components"]["schemas"]
    names = [each["$ref"].rpartition("/")[2] for each in schemas["ResponseStreamEvent"]["anyOf"]]
    return {schemas[name]["properties"]["type"]["enum"][0]: name for name in names}
