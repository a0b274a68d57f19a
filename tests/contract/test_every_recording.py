"""Every recorded exchange, into every dialect: what was asked is still asked, and what was answered still answered.

A difference fails unless it stands in a list with its reason: `said.LOSSES` for answers, `asked.LOSSES` for requests.
"""

import json
import os
import random
from collections import Counter, defaultdict
from collections.abc import Iterator

import pytest

from contract.asked import is_unsaid_in_chat, missing
from contract.recorded import CHAT_DIALECTS, SPOKEN, Line, lines
from contract.said import LOSSES, Said, differences, read_stream, said_in_reply
from fastroute import core

REFUSED = {
    "75051a312722a5d3542e": "a result of a tool without the id of its call",
    "d955e27da54fef8050cd": "a result of a tool without the id of its call",
    "a8b1a8149bdbeba0ee6a": "no message; its provider refused it too",
    "ba26b305454c502155bf": "a message without content; its provider refused it too",
    "2a8c93ed12b1c381d44b": "a temperature that is a word; its provider refused it too",
}
"""Requests that their own dialect refuses, and why."""

HELD = ("previous_response_id", "conversation", "thread")
"""Requests with one of these go on with what their provider holds, and are not whole."""

SEED = int(os.environ.get("FASTROUTE_SEED", "1"))
SHORT_STREAM_BYTES = 6_000
"""Longer streams are cut at every byte in the long form alone."""


def test_every_line_has_a_dialect_or_a_reason(capsys: pytest.CaptureFixture[str]) -> None:
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    reasons: Counter[str] = Counter()
    for line in lines():
        counts[line.provider][line.dialect or "other"] += 1
        counts[line.provider]["errors"] += line.failed and line.dialect is not None
        reasons[line.reason] += line.dialect is None
    columns = [*core.DIALECTS, "other", "errors"]
    with capsys.disabled():
        print("\n" + " ".join(["provider".ljust(12), *columns]))
        for provider, row in sorted(counts.items()):
            print(" ".join([provider.ljust(12), *(str(row[name] or "·").rjust(len(name)) for name in columns)]))
        for reason, count in sorted(reasons.items()):
            if reason:
                print(f"other {count:4}: {reason}")
    assert {dialect for _, dialect in SPOKEN} == {*CHAT_DIALECTS, "openai_embeddings"}
    assert sum(row[name] for row in counts.values() for name in [*core.DIALECTS, "other"]) == len(lines())


def answer(line: Line) -> Said:
    """What an answer says in its own dialect."""
    try:
        if line.streaming:
            return read_stream(line.dialect or "", [line.body])
        return said_in_reply(core.parse_reply(line.body, line.dialect or ""))
    except core.DialectError as unreadable:
        raise AssertionError(f"{line.id}: an answer that its dialect cannot read") from unreadable


def across(line: Line, target: str) -> Said:
    if line.streaming:
        stream = core.StreamTranslator(line.dialect or "", target, reply_id="r1", model="m")
        return read_stream(target, [stream.push(line.body) + stream.finish()])
    there = core.translate_reply(line.body, line.dialect or "", target, reply_id="r1", model="m")
    return said_in_reply(core.parse_reply(there, target))


def test_what_was_answered_is_still_answered_in_every_dialect(capsys: pytest.CaptureFixture[str]) -> None:
    crossed: Counter[tuple[str, str]] = Counter()
    lost: Counter[tuple[str, str]] = Counter()
    failures: list[str] = []
    for line in lines():
        here = answer(line) if line.answered else None
        if here is None:
            continue
        for target in CHAT_DIALECTS:
            try:
                found = list(differences(across(line, target), here))
            except core.DialectError as refused:
                found = [("refused", str(refused))]
            crossed[line.provider, target] += 1
            for what, how in found:
                if (target, what) in LOSSES:
                    lost[target, what] += 1
                else:
                    failures.append(f"{line.id}: {line.dialect} to {target}: {what}: {how}")
    with capsys.disabled():
        print("\n" + table(crossed, CHAT_DIALECTS))
        for (target, what), count in sorted(lost.items()):
            print(f"lost in {count:4} answers: {what} in {target}: {LOSSES[target, what]}")
    assert not failures, summary(failures)
    assert set(lost) == set(LOSSES), f"losses that nothing has: {set(LOSSES) - set(lost)}"


def table(counts: Counter[tuple[str, str]], columns: tuple[str, ...]) -> str:
    rows = [" ".join(["provider".ljust(12), *columns])]
    for provider in sorted({provider for provider, _ in counts}):
        cells = [str(counts[provider, name] or "·").rjust(len(name)) for name in columns]
        rows.append(" ".join([provider.ljust(12), *cells]))
    return "\n".join(rows)


def summary(failures: list[str]) -> str:
    return f"{len(failures)} failures:\n" + "\n".join(failures[:40])


def test_a_stream_that_was_not_finished_ends_with_an_error_in_every_other_dialect() -> None:
    silent: list[str] = []
    for line in lines():
        here = answer(line) if line.answered and line.streaming else None
        if here is None or not here.failed:
            continue
        for target in CHAT_DIALECTS:
            stream = core.StreamTranslator(line.dialect or "", target, reply_id="r1", model="m")
            reader = core.StreamReader(target)
            events = reader.push(stream.push(line.body) + stream.finish()) + reader.finish()
            if target != line.dialect and not any(event.kind == "error" for event in events):
                silent.append(f"{line.id}: {line.dialect} to {target}")
    assert not silent, summary(silent)


def cuts(line: Line, dice: random.Random) -> Iterator[list[bytes]]:
    """Other ways in which the same bytes may come."""
    body = line.body
    if line.pieces:
        ends = [sum(line.pieces[: at + 1]) for at in range(len(line.pieces))]
        assert ends[-1] == len(body), f"{line.id}: the pieces are not the body"
        yield [body[start:end] for start, end in zip([0, *ends], ends, strict=False)]
    places = sorted(dice.randrange(len(body) + 1) for _ in range(dice.randrange(1, 40)))
    yield [body[start:end] for start, end in zip([0, *places], [*places, len(body)], strict=True)]


def events_of(dialect: str, pieces: list[bytes]) -> list[tuple[object, ...]]:
    reader = core.StreamReader(dialect)
    events = [event for piece in pieces for event in reader.push(piece)] + reader.finish()
    return [
        (event.kind, event.choice, event.call, event.text, event.name, event.finish, usage_of(event))
        for event in events
    ]


def usage_of(event: core.StreamEvent) -> tuple[int, int] | None:
    return event.usage and (event.usage.prompt_tokens, event.usage.completion_tokens)


def test_a_stream_says_the_same_however_it_comes_in_pieces() -> None:
    dice = random.Random(SEED)
    streams = at_recorded_sizes = 0
    for line in lines():
        if not line.answered or not line.streaming:
            continue
        whole = events_of(line.dialect or "", [line.body])
        for pieces in cuts(line, dice):
            assert events_of(line.dialect or "", pieces) == whole, f"{line.id}, seed {SEED}"
        streams += 1
        at_recorded_sizes += bool(line.pieces)
    print(f"{streams} streams, {at_recorded_sizes} of them in the pieces in which they came once")
    assert at_recorded_sizes


@pytest.mark.parametrize(
    "most", [SHORT_STREAM_BYTES, pytest.param(1 << 20, marks=pytest.mark.long)], ids=["short", "every"]
)
def test_a_stream_says_the_same_byte_for_byte(most: int) -> None:
    for line in lines():
        if line.answered and line.streaming and len(line.body) <= most:
            pieces = [line.body[at : at + 1] for at in range(len(line.body))]
            assert events_of(line.dialect or "", pieces) == events_of(line.dialect or "", [line.body]), line.id


def test_a_translated_stream_is_the_same_however_it_comes_in_pieces() -> None:
    dice = random.Random(SEED)
    for line in lines():
        if not line.answered or not line.streaming:
            continue
        target = dice.choice(CHAT_DIALECTS)
        for pieces in cuts(line, dice):
            stream = core.StreamTranslator(line.dialect or "", target, reply_id="r1", model="m")
            out = b"".join(map(stream.push, pieces)) + stream.finish()
            assert read_stream(target, [out]) == across(line, target), f"{line.id} to {target}, seed {SEED}"


def test_an_answer_said_twice_in_its_own_dialect_is_the_same_bytes() -> None:
    for line in lines():
        if not line.answered or line.streaming:
            continue
        dialect = line.dialect or ""
        once = core.translate_reply(line.body, dialect, dialect, reply_id="r1", model="m")
        again = core.translate_reply(once, dialect, dialect, reply_id="r1", model="m")
        assert json.loads(again) == json.loads(once), line.id


def test_what_is_counted_adds_up_for_every_provider() -> None:
    counted: Counter[str] = Counter()
    wrong: list[str] = []
    for line in lines():
        usage = (said := answer(line) if line.answered else None) and said.usage
        if usage is None:
            continue
        counted[line.provider] += 1
        if usage.cached + usage.written > usage.prompt:
            wrong.append(f"{line.id} of {line.provider}: more from the cache than read: {tuple(usage)}")
        if usage.reasoned > usage.completion:
            wrong.append(f"{line.id} of {line.provider}: more reasoned than written: {tuple(usage)}")
    assert not wrong, summary(wrong)
    assert len(counted) > 20
    print(f"counts of answers: {dict(counted)}")


def test_every_recorded_error_is_told_in_its_senders_words() -> None:
    told = 0
    for line in lines():
        if line.failed and line.dialect is not None:
            error = core.parse_error(line.body, line.dialect)
            assert error.message.strip(), line.id
            assert not error.message.lstrip().startswith("{"), f"{line.id}: an object in place of its message"
            told += 1
    print(f"{told} errors")
    assert told


def test_every_recorded_request_for_embeddings_is_read_and_its_reply_is_one() -> None:
    read = 0
    for line in lines():
        if line.dialect != "openai_embeddings" or line.failed:
            continue
        asked = line.asked()
        if asked is not None:
            core.translate_request(asked, line.dialect, line.dialect)
        there = core.translate_reply(line.body, line.dialect, line.dialect)
        vectors = [item["embedding"] for item in json.loads(line.body)["data"]]
        assert [item["embedding"] for item in json.loads(there)["data"]] == vectors, line.id
        read += 1
    print(f"{read} replies with embeddings")
    assert read


def test_what_was_asked_is_still_asked_in_every_dialect_or_named_as_gone(capsys: pytest.CaptureFixture[str]) -> None:
    crossed: Counter[tuple[str, str]] = Counter()
    refused: set[str] = set()
    told: Counter[str] = Counter()
    failures: list[str] = []
    held = 0
    for line in lines():
        body = line.asked() if line.chats else None
        if body is None:
            continue
        source = line.dialect or ""
        if any((line.request or {}).get(name) for name in HELD):
            held += 1
            continue
        try:
            core.translate_request(body, source, source)
        except core.DialectError:
            refused.add(line.id)
            continue
        for target in CHAT_DIALECTS:
            crossed[line.provider, target] += 1
            try:
                for abroad in (target, "openai_chat"):
                    core.translate_request(body, source, abroad)
            except core.DialectError as refusal:
                # Told to the client, with the place: nothing of it is lost in silence.
                told[refusal.args[0].partition(": ")[2]] += 1
                continue
            try:
                parts = list(missing(body, source, target))
            except core.DialectError as unreadable:
                # Nothing is known of the provider here, so what only some servers of chat have a part for is not said.
                unsaid = source == "openai_chat" and is_unsaid_in_chat(body, target)
                parts = [] if unsaid else [f"cannot be read again: {unreadable.args[0]}"]
            failures += [f"{line.id}: {source} to {target}: {part}" for part in parts]
    with capsys.disabled():
        print("\nrequests\n" + table(crossed, CHAT_DIALECTS))
        print(f"{len(refused)} requests that their own dialect refuses, {held} that go on with what a provider holds")
        for reason, count in told.most_common():
            print(f"refused abroad {count:4}: {reason}")
    assert refused == set(REFUSED)
    assert told.total() < crossed.total() // 20
    assert not failures, summary(failures)
