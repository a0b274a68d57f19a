"""Conversations as clients' SDKs keep them, and what a model of another dialect is told of them."""

import json
from typing import Any

import pytest

from fastroute import core

CHAT = "openai_chat"


def told(body: dict[str, Any], source: str, target: str = CHAT) -> dict[str, Any]:
    return json.loads(core.translate_request(json.dumps(body).encode(), source, target).body)


def answers(messages: list[dict[str, Any]]) -> dict[str, str]:
    """Which result each call has, by the name of its tool."""
    called = {call["id"]: call["function"]["name"] for each in messages for call in each.get("tool_calls", [])}
    return {called[each["tool_call_id"]]: each["content"] for each in messages if each["role"] == "tool"}


def test_calls_that_google_keeps_in_a_turn_each_have_their_own_results() -> None:
    def call(name: str, **more: str) -> dict[str, Any]:
        return {"role": "model", "parts": [{"functionCall": {"name": name, "args": {}, **more}}]}

    def result(name: str, value: int, **more: str) -> dict[str, Any]:
        return {"functionResponse": {"name": name, "response": {"r": value}, **more}}

    results = {"role": "user", "parts": [result("f", 1), result("g", 2)]}
    asked = {"role": "user", "parts": [{"text": "a"}]}
    for ids in [{"id": "x"}, {"id": "y"}], [{}, {}]:
        contents = [asked, call("f", **ids[0]), call("g", **ids[1]), results]
        messages = told({"contents": contents}, "gemini")["messages"]
        assert {name: json.loads(text) for name, text in answers(messages).items()} == {"f": {"r": 1}, "g": {"r": 2}}
    # Whoever says whom it answers goes first, wherever it stands.
    both = {"role": "user", "parts": [result("f", 2), result("f", 1, id="x")]}
    messages = told({"contents": [asked, call("f", id="x"), call("f", id="y"), both]}, "gemini")["messages"]
    found = {each["tool_call_id"]: json.loads(each["content"]) for each in messages if each["role"] == "tool"}
    assert found == {"x": {"r": 1}, "y": {"r": 2}}


def test_calls_that_ollama_keeps_in_a_turn_each_have_their_own_results() -> None:
    def call(name: str) -> dict[str, Any]:
        return {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": name, "arguments": {}}}]}

    results = [{"role": "tool", "tool_name": name, "content": name.upper()} for name in ("f", "g")]
    body = {"model": "m", "messages": [{"role": "user", "content": "a"}, call("f"), call("g"), *results]}
    assert answers(told(body, "ollama")["messages"]) == {"f": "F", "g": "G"}


@pytest.mark.parametrize("target", ["anthropic_messages", CHAT, "openai_responses", "bedrock_converse"])
def test_bytes_in_the_alphabet_of_addresses_are_respelled(target: str) -> None:
    picture = {"inlineData": {"mimeType": "image/png", "data": "iVBORw-___77-w"}}
    there = json.dumps(told({"contents": [{"role": "user", "parts": [picture]}]}, "gemini", target))
    assert "iVBORw+///77+w==" in there


def test_a_result_that_comes_last_is_what_is_answered() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    messages = [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "hello, it runs"},
        {"role": "tool", "tool_call_id": "c1", "content": "RESULT"},
    ]
    there = told({"model": "m", "max_tokens": 9, "messages": messages}, CHAT, "anthropic_messages")["messages"]
    assert there[-1]["role"] == "user"
    assert "RESULT" in json.dumps(there[-1])


def test_who_says_that_there_is_no_error_has_none() -> None:
    chunk = {"id": "c1", "model": "m", "choices": [{"index": 0, "delta": {"content": "Hello"}}]}
    last = {"id": "c1", "model": "m", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    for nothing in ("", False, None, {}):
        reader = core.StreamReader(CHAT)
        lines = [b"data: %b\n\n" % json.dumps(each | {"error": nothing}).encode() for each in (chunk, last)]
        kinds = [event.kind for line in lines for event in reader.push(line)]
        assert kinds == ["start", "text", "finish"], nothing


def test_an_outcome_within_a_stream_is_an_error() -> None:
    reader = core.StreamReader(CHAT)
    chunk = {"id": "c1", "choices": [{"index": 0, "delta": {"content": "Hello"}}], "base_resp": {"status_code": 0}}
    assert [event.kind for event in reader.push(b"data: %b\n\n" % json.dumps(chunk).encode())] == ["start", "text"]
    failed = {"choices": None, "base_resp": {"status_code": 1002, "status_msg": "rate limit"}}
    (event,) = reader.push(b"data: %b\n\n" % json.dumps(failed).encode())
    assert event.error is not None
    assert (event.error.message, event.error.code) == ("rate limit", "1002")
