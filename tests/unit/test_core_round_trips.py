"""Whatever a conversation holds, it says in every client dialect what it said: text, tools, finish and usage."""

import json
import os
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fastroute import core

CHAT = "openai_chat"
CLIENTS = [name for name in core.DIALECTS if name in {"openai_responses", "anthropic_messages", "gemini", "cohere_v2"}]
EXAMPLES = int(os.environ.get("FASTROUTE_EXAMPLES", "100"))
"""Examples of each test and dialect in the short form; the long form tries 50,000."""
each_dialect = pytest.mark.parametrize("dialect", CLIENTS)
short = settings(max_examples=EXAMPLES, deadline=None)
many = settings(
    max_examples=50_000,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)

# Surrogates are no text, and a text that nobody can see is not told everywhere.
texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40).filter(str.strip)
names = st.from_regex(r"[a-z_][a-z0-9_]{0,20}", fullmatch=True)
scalars = st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | texts
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3))
arguments = st.dictionaries(texts, values, max_size=3)
tokens = st.integers(0, 2**40)


@st.composite
def replies(draw: st.DrawFn) -> dict[str, Any]:
    called = draw(st.lists(st.tuples(names, arguments), max_size=3))
    said = draw(texts) if not called else draw(st.none() | texts)
    calls = [
        {
            "id": f"call_{number:024}",
            "type": "function",
            "function": {"name": name, "arguments": json.dumps(given)},
        }
        for number, (name, given) in enumerate(called)
    ]
    message: dict[str, Any] = {"role": "assistant", "content": said} | ({"tool_calls": calls} if calls else {})
    if draw(st.booleans()):
        message["reasoning_content"] = draw(texts)
    cached, fresh, reasoned, shown = draw(tokens), draw(tokens), draw(tokens), draw(tokens)
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [
            {
                "index": 0,
                "message": message,
                "finish_reason": "tool_calls" if calls else draw(st.sampled_from(["stop", "length", "content_filter"])),
            }
        ],
        "usage": {
            "prompt_tokens": cached + fresh,
            "completion_tokens": reasoned + shown,
            "total_tokens": cached + fresh + reasoned + shown,
            "prompt_tokens_details": {"cached_tokens": cached},
            "completion_tokens_details": {"reasoning_tokens": reasoned},
        },
    }


def told(reply: core.ParsedReply) -> tuple[Any, ...]:
    (choice,) = reply.choices
    usage = reply.usage
    return (
        choice.text,
        choice.reasoning,
        [(call.name, json.loads(call.arguments)) for call in choice.tool_calls],
        choice.finish,
        usage and (usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens or 0, usage.reasoning_tokens or 0),
    )


def check_reply(dialect: str, reply: dict[str, Any]) -> None:
    body = json.dumps(reply).encode()
    there = core.translate_reply(body, CHAT, dialect, reply_id="r1", model="m")
    assert told(core.parse_reply(there, dialect)) == told(core.parse_reply(body, CHAT))
    back = core.translate_reply(there, dialect, CHAT, reply_id="r1", model="m")
    assert told(core.parse_reply(back, CHAT)) == told(core.parse_reply(body, CHAT))


@each_dialect
@short
@given(reply=replies())
def test_a_reply_says_the_same_in_another_dialect_and_back(dialect: str, reply: dict[str, Any]) -> None:
    check_reply(dialect, reply)


@pytest.mark.long
@each_dialect
@many
@given(reply=replies())
def test_very_many_replies_say_the_same_in_another_dialect_and_back(dialect: str, reply: dict[str, Any]) -> None:
    check_reply(dialect, reply)


def streamed(reply: dict[str, Any]) -> bytes:
    """The same reply as a stream, one character at a time."""
    (choice,) = reply["choices"]
    message = choice["message"]
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{"reasoning_content": letter} for letter in message.get("reasoning_content", "")]
    deltas += [{"content": letter} for letter in message["content"] or ""]
    for index, call in enumerate(message.get("tool_calls", [])):
        function = call["function"]
        deltas.append(
            {"tool_calls": [{**call, "index": index, "function": {"name": function["name"], "arguments": ""}}]}
        )
        deltas += [
            {"tool_calls": [{"index": index, "function": {"arguments": letter}}]} for letter in function["arguments"]
        ]
    events = [{"choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    events.append({"choices": [{"index": 0, "delta": {}, "finish_reason": choice["finish_reason"]}]})
    events.append({"choices": [], "usage": reply["usage"]})
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return b"".join(b"data: %s\n\n" % json.dumps(head | event).encode() for event in events) + b"data: [DONE]\n\n"


def check_stream(dialect: str, reply: dict[str, Any], cut: int) -> None:
    stream = streamed(reply)
    translator = core.StreamTranslator(CHAT, dialect, reply_id="r1", model="m")
    out = b"".join(translator.push(stream[at : at + cut]) for at in range(0, len(stream), cut)) + translator.finish()
    reader = core.StreamReader(dialect)
    events = reader.push(out) + reader.finish()

    def joined(kind: str, call: int | None = None) -> str:
        return "".join(event.text for event in events if event.kind == kind and event.call == call)

    started = [(event.call, event.name) for event in events if event.kind == "tool_call"]
    usage = [event.usage for event in events if event.usage is not None][-1]
    text, reasoning, calls, finish, counted = told(core.parse_reply(json.dumps(reply).encode(), CHAT))
    assert (joined("text"), joined("reasoning")) == (text, reasoning)
    assert [(name, json.loads(joined("arguments", call) or "{}")) for call, name in started] == calls
    assert [event.finish for event in events if event.kind == "finish"] == [finish]
    reasoned = usage.reasoning_tokens or 0
    assert (usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens or 0, reasoned) == counted


@each_dialect
@short
@given(reply=replies(), cut=st.integers(1, 400))
def test_a_stream_says_the_same_in_another_dialect(dialect: str, reply: dict[str, Any], cut: int) -> None:
    check_stream(dialect, reply, cut)


@pytest.mark.long
@each_dialect
@many
@given(reply=replies(), cut=st.integers(1, 400))
def test_very_many_streams_say_the_same_in_another_dialect(dialect: str, reply: dict[str, Any], cut: int) -> None:
    check_stream(dialect, reply, cut)


@st.composite
def requests(draw: st.DrawFn) -> dict[str, Any]:
    tools = draw(st.lists(names, min_size=1, max_size=3, unique=True))
    turns: list[dict[str, Any]] = [{"role": "user", "content": draw(texts)}]
    for number in range(draw(st.integers(0, 3))):
        if draw(st.booleans()):
            turns.append({"role": "assistant", "content": draw(texts)})
        else:
            called = draw(st.lists(st.tuples(st.sampled_from(tools), arguments), min_size=1, max_size=3))
            calls = [
                {
                    "id": f"call_{number * 10 + place:024}",
                    "type": "function",
                    "function": {"name": name, "arguments": json.dumps(given)},
                }
                for place, (name, given) in enumerate(called)
            ]
            turns.append({"role": "assistant", "content": None, "tool_calls": calls})
            turns += [{"role": "tool", "tool_call_id": call["id"], "content": draw(texts)} for call in calls]
        turns.append({"role": "user", "content": draw(texts)})
    system = [{"role": "system", "content": draw(texts)}] if draw(st.booleans()) else []
    declared = [
        {"type": "function", "function": {"name": name, "description": "d", "parameters": {"type": "object"}}}
        for name in tools
    ]
    choice = draw(st.sampled_from([{}, {"tool_choice": "auto"}, {"tool_choice": "required"}, {"tool_choice": "none"}]))
    return {"model": "m", "messages": system + turns, "tools": declared, "max_completion_tokens": 5000} | choice


def turns_of(body: bytes) -> list[tuple[Any, ...]]:
    """Who says what in a chat request, texts of one speaker in a row joined."""
    said: list[tuple[Any, ...]] = []
    for message in json.loads(body)["messages"]:
        content = message.get("content")
        parts = [{"type": "text", "text": content}] if isinstance(content, str) else content or []
        role = {"developer": "system"}.get(message["role"], message["role"])
        said += [(role, part["text"]) for part in parts if part["text"]]
        said += [
            (role, "calls", call["function"]["name"], json.loads(call["function"]["arguments"]))
            for call in message.get("tool_calls") or []
        ]
    return said


def check_conversation(dialect: str, request: dict[str, Any]) -> None:
    body = json.dumps(request).encode()
    there = core.translate_request(body, CHAT, dialect)
    assert not there.changed
    back = core.translate_request(there.body, dialect, CHAT)
    assert turns_of(back.body) == turns_of(body)
    tools = [tool["function"]["name"] for tool in json.loads(back.body)["tools"]]
    assert tools == [tool["function"]["name"] for tool in request["tools"]]
    assert json.loads(back.body).get("tool_choice", "auto") == request.get("tool_choice", "auto")
    limits = json.loads(back.body)
    assert limits.get("max_completion_tokens", limits.get("max_tokens")) == 5000


@each_dialect
@short
@given(request=requests())
def test_a_conversation_says_the_same_in_another_dialect_and_back(dialect: str, request: dict[str, Any]) -> None:
    check_conversation(dialect, request)


@pytest.mark.long
@each_dialect
@many
@given(request=requests())
def test_very_many_conversations_say_the_same_in_another_dialect(dialect: str, request: dict[str, Any]) -> None:
    check_conversation(dialect, request)
