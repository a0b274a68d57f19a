"""Conversations as Hypothesis makes them, in the words of chat, and what they say whatever dialect tells them."""

import json
from typing import Any

from hypothesis import strategies as st

from fastroute import core

CHAT = "openai_chat"

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
