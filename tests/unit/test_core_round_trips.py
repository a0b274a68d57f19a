"""Whatever a conversation holds, it says in every client dialect what it said: text, tools, finish and usage.

A reply goes from each of the dialects into each of the others; of streams and of very many conversations each example
takes two dialects, because they take their time.
"""

import itertools
import json
import os
from typing import Any

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from fastroute import core
from unit.conversations import CHAT, replies, requests, streamed, told, turns_of

CLIENTS = ("openai_chat", "openai_responses", "anthropic_messages", "gemini", "cohere_v2")
Pair = tuple[str, str]
PAIRS = tuple(itertools.permutations(CLIENTS, 2))
pairs = st.sampled_from(PAIRS)
EXAMPLES = int(os.environ.get("FASTROUTE_EXAMPLES", "100"))
"""Examples of each test in the short form; the long form tries 50,000."""
short = settings(max_examples=EXAMPLES, deadline=None)
many = settings(
    max_examples=50_000,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)


def test_every_dialect_that_clients_speak_is_here() -> None:
    assert set(CLIENTS) <= set(core.DIALECTS)
    assert len(PAIRS) == len(CLIENTS) * (len(CLIENTS) - 1)


def said_in(dialect: str, body: bytes) -> bytes:
    """A reply in chat's words as a document of this dialect."""
    return body if dialect == CHAT else core.translate_reply(body, CHAT, dialect, reply_id="r1", model="m")


def check_reply(reply: dict[str, Any]) -> None:
    body = json.dumps(reply).encode()
    expected = told(core.parse_reply(body, CHAT))
    here = {dialect: said_in(dialect, body) for dialect in CLIENTS}
    for source, target in PAIRS:
        note(f"{source} to {target}")
        there = core.translate_reply(here[source], source, target, reply_id="r1", model="m")
        assert told(core.parse_reply(there, target)) == expected
        back = core.translate_reply(there, target, source, reply_id="r1", model="m")
        assert told(core.parse_reply(back, source)) == expected


@short
@given(reply=replies())
def test_a_reply_says_the_same_in_another_dialect_and_back(reply: dict[str, Any]) -> None:
    check_reply(reply)


@pytest.mark.long
@many
@given(reply=replies())
def test_very_many_replies_say_the_same_in_another_dialect_and_back(reply: dict[str, Any]) -> None:
    check_reply(reply)


def carried(stream: bytes, source: str, target: str, cut: int) -> bytes:
    """The stream in the target's events, when it comes in pieces of this size."""
    translator = core.StreamTranslator(source, target, reply_id="r1", model="m")
    pieces = (stream[at : at + cut] for at in range(0, len(stream), cut))
    return b"".join(map(translator.push, pieces)) + translator.finish()


def heard(stream: bytes, dialect: str) -> tuple[Any, ...]:
    """What `told` says of a reply, of a stream."""
    reader = core.StreamReader(dialect)
    events = reader.push(stream) + reader.finish()

    def joined(kind: str, call: int | None = None) -> str:
        return "".join(event.text for event in events if event.kind == kind and event.call == call)

    started = [(event.call, event.name) for event in events if event.kind == "tool_call"]
    (finish,) = [event.finish for event in events if event.kind == "finish"]
    usage = [event.usage for event in events if event.usage is not None][-1]
    return (
        joined("text"),
        joined("reasoning"),
        [(name, json.loads(joined("arguments", call) or "{}")) for call, name in started],
        finish,
        (usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens or 0, usage.reasoning_tokens or 0),
    )


def check_stream(reply: dict[str, Any], cut: int, pair: Pair) -> None:
    source, target = pair
    here = streamed(reply) if source == CHAT else carried(streamed(reply), CHAT, source, cut)
    expected = told(core.parse_reply(json.dumps(reply).encode(), CHAT))
    assert heard(carried(here, source, target, cut), target) == expected


@short
@given(reply=replies(), cut=st.integers(1, 400), pair=pairs)
def test_a_stream_says_the_same_in_another_dialect(reply: dict[str, Any], cut: int, pair: Pair) -> None:
    check_stream(reply, cut, pair)


@pytest.mark.long
@many
@given(reply=replies(), cut=st.integers(1, 400), pair=pairs)
def test_very_many_streams_say_the_same_in_another_dialect(reply: dict[str, Any], cut: int, pair: Pair) -> None:
    check_stream(reply, cut, pair)


def into(dialect: str, body: bytes, source: str = CHAT) -> bytes:
    """A request in this dialect; none of what is asked here is said otherwise there."""
    if dialect == source:
        return body
    there = core.translate_request(body, source, dialect)
    assert not there.changed
    return there.body


def check_conversation(request: dict[str, Any], pair: Pair) -> None:
    source, target = pair
    there = into(target, into(source, json.dumps(request).encode()), source)
    check_asked(into(CHAT, there, target), request)


def check_asked(back: bytes, request: dict[str, Any]) -> None:
    """What came back as chat asks for what was asked."""
    assert turns_of(back) == turns_of(json.dumps(request).encode())
    asked = json.loads(back)
    assert [tool["function"]["name"] for tool in asked["tools"]] == [
        tool["function"]["name"] for tool in request["tools"]
    ]
    assert asked.get("tool_choice", "auto") == request.get("tool_choice", "auto")
    assert asked.get("max_completion_tokens", asked.get("max_tokens")) == 5000


@short
@given(request=requests())
def test_a_conversation_says_the_same_in_another_dialect_and_back(request: dict[str, Any]) -> None:
    for pair in PAIRS:
        note(" to ".join(pair))
        check_conversation(request, pair)


@pytest.mark.long
@many
@given(request=requests(), pair=pairs)
def test_very_many_conversations_say_the_same_in_another_dialect(request: dict[str, Any], pair: Pair) -> None:
    check_conversation(request, pair)
