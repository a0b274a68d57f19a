"""Chat through both official SDKs and both doors: whole replies, streams, usage, tools and constrained output."""

import json
from collections.abc import Callable
from typing import Any

Ask = Callable[..., dict[str, Any]]

CREATE = "chat.completions.create"
QUESTION = [{"role": "user", "content": "Tell me a story"}]
CHAT = {"model": "local/tiny", "messages": QUESTION, "temperature": 0, "max_tokens": 24}
# Long enough for what a grammar asks for, and it ends by itself.
CONSTRAINED = {**CHAT, "max_tokens": 400}
CITY = {
    "type": "object",
    "properties": {"city": {"enum": ["Oslo", "Rome"]}, "days": {"type": "integer", "minimum": 0, "maximum": 9}},
    "required": ["city", "days"],
    "additionalProperties": False,
}
JSON_SCHEMA = {"type": "json_schema", "json_schema": {"name": "trip", "strict": True, "schema": CITY}}
TOOLS = [{"type": "function", "function": {"name": "plan_trip", "description": "Plans.", "parameters": CITY}}]
# The tiny model knows no tools: the bias makes it begin a call (4 is `<tool_call>`), the grammar does the rest.
CALL = {**CONSTRAINED, "tools": TOOLS, "parallel_tool_calls": False, "logit_bias": {"4": 100}}


def text_of(chunks: list[dict[str, Any]]) -> str:
    return "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"])


def finishes(chunks: list[dict[str, Any]]) -> list[str]:
    reasons = [choice.get("finish_reason") for chunk in chunks for choice in chunk["choices"]]
    return [reason for reason in reasons if reason]


def test_a_reply_is_the_upstreams_own_and_says_who_gave_it(ask: Ask) -> None:
    answer = ask(CREATE, **CHAT)
    body, headers = answer["body"], answer["headers"]
    assert body["object"] == "chat.completion"
    # What the upstream calls the model, not the name it was asked for by.
    assert body["model"] == "tiny"
    assert body["choices"][0]["message"]["role"] == "assistant"
    assert body["choices"][0]["message"]["content"]
    assert body["choices"][0]["finish_reason"] == "length"
    usage = body["usage"]
    assert usage["completion_tokens"] == CHAT["max_tokens"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert body["timings"]["predicted_n"] == CHAT["max_tokens"], "a field that only llama.cpp knows was lost"
    assert headers["x-fastroute-target"] == "here/tiny"
    assert headers["x-fastroute-attempts"] == "1"
    assert headers["x-request-id"].startswith("req_")


def test_a_stream_says_what_the_whole_reply_says(ask: Ask) -> None:
    whole = ask(CREATE, **CHAT)["body"]
    answer = ask(CREATE, **CHAT, stream=True)
    chunks = answer["chunks"]
    assert len(chunks) > CHAT["max_tokens"], "it did not come in pieces"
    assert text_of(chunks) == whole["choices"][0]["message"]["content"]
    assert finishes(chunks) == [whole["choices"][0]["finish_reason"]]
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert {chunk["model"] for chunk in chunks} == {"tiny"}
    assert len({chunk["id"] for chunk in chunks}) == 1
    assert answer["headers"]["x-fastroute-target"] == "here/tiny"
    assert answer["headers"]["content-type"].startswith("text/event-stream")


def test_a_stream_that_was_asked_for_usage_ends_with_it(ask: Ask) -> None:
    whole = ask(CREATE, **CHAT)["body"]
    chunks = ask(CREATE, **CHAT, stream=True, stream_options={"include_usage": True})["chunks"]
    *before, last = chunks
    assert last["choices"] == []
    assert last["usage"] == whole["usage"]
    assert not any(chunk.get("usage") for chunk in before)


def test_a_stream_that_was_not_asked_for_usage_has_none(ask: Ask) -> None:
    chunks = ask(CREATE, **CHAT, stream=True)["chunks"]
    assert finishes(chunks) == ["length"]
    assert not any(chunk.get("usage") for chunk in chunks)
    assert all(chunk["choices"] for chunk in chunks)


def test_what_a_request_asks_for_beside_text_reaches_the_upstream_and_comes_back(ask: Ask) -> None:
    several = ask(CREATE, **CHAT, n=2)["body"]["choices"]
    assert [choice["index"] for choice in several] == [0, 1]
    text = several[0]["message"]["content"]
    stopped = ask(CREATE, **CHAT, stop=[text[4:8]])["body"]["choices"][0]
    assert stopped["finish_reason"] == "stop"
    assert stopped["message"]["content"] == text[: text.index(text[4:8])]
    chunks = ask(CREATE, **CHAT, stream=True, logprobs=True, top_logprobs=2)["chunks"]
    tokens = [token for chunk in chunks for token in (chunk["choices"][0].get("logprobs") or {}).get("content", [])]
    assert "".join(token["token"] for token in tokens) == text
    assert {len(token["top_logprobs"]) for token in tokens} == {2}


def test_json_mode_gives_an_object(ask: Ask) -> None:
    choice = ask(CREATE, **CONSTRAINED, response_format={"type": "json_object"})["body"]["choices"][0]
    assert choice["finish_reason"] == "stop"
    assert isinstance(json.loads(choice["message"]["content"]), dict)


def test_a_schema_is_obeyed(ask: Ask) -> None:
    choice = ask(CREATE, **CONSTRAINED, response_format=JSON_SCHEMA)["body"]["choices"][0]
    assert_is_trip(json.loads(choice["message"]["content"]))


def test_the_stream_helper_puts_a_reply_to_a_schema_together(ask: Ask) -> None:
    choice = ask("chat.completions.stream", **CONSTRAINED, response_format=JSON_SCHEMA)["body"]["choices"][0]
    assert choice["finish_reason"] == "stop"
    assert_is_trip(json.loads(choice["message"]["content"]))


def test_a_tool_that_must_be_called_is_called(ask: Ask) -> None:
    choice = ask(CREATE, **CALL, tool_choice="required")["body"]["choices"][0]
    assert choice["finish_reason"] == "tool_calls"
    assert_calls_plan_trip(choice["message"])


def test_a_tool_that_may_be_called_is_called_in_a_stream_too(ask: Ask) -> None:
    chunks = ask(CREATE, **CALL, tool_choice="auto", stream=True)["chunks"]
    assert finishes(chunks) == ["tool_calls"]
    deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
    calls = [call for delta in deltas for call in delta.get("tool_calls") or []]
    assert len(calls) > 1, "the arguments did not come in pieces"
    assert {call["index"] for call in calls} == {0}
    assert calls[0]["id"]
    assert calls[0]["function"]["name"] == "plan_trip"
    assert_is_trip(json.loads("".join(call["function"].get("arguments") or "" for call in calls)))


def test_the_stream_helper_puts_a_tool_call_together(ask: Ask) -> None:
    choice = ask("chat.completions.stream", **CALL, tool_choice="required")["body"]["choices"][0]
    assert choice["finish_reason"] == "tool_calls"
    assert_calls_plan_trip(choice["message"])


def test_a_tool_named_by_the_client_or_forbidden_passes_as_it_is(ask: Ask) -> None:
    # llama.cpp takes a named function for "auto"; that it answers at all means that the object reached it whole.
    named = {"type": "function", "function": {"name": "plan_trip"}}
    assert_calls_plan_trip(ask(CREATE, **CALL, tool_choice=named)["body"]["choices"][0]["message"])
    none = ask(CREATE, **CHAT, tools=TOOLS, tool_choice="none")["body"]["choices"][0]["message"]
    assert none["content"]
    assert not none.get("tool_calls")


def test_a_conversation_goes_on_after_a_tool_has_answered(ask: Ask) -> None:
    call = ask(CREATE, **CALL, tool_choice="required")["body"]["choices"][0]["message"]["tool_calls"][0]
    messages = [
        *QUESTION,
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": call["id"], "content": "booked"},
    ]
    message = ask(CREATE, **{**CHAT, "messages": messages}, tools=TOOLS)["body"]["choices"][0]["message"]
    assert message["content"]


def assert_is_trip(value: Any) -> None:
    assert set(value) == {"city", "days"}
    assert value["city"] in {"Oslo", "Rome"}
    assert value["days"] in range(10)


def assert_calls_plan_trip(message: dict[str, Any]) -> None:
    (call,) = message["tool_calls"]
    assert call["id"]
    assert call["type"] == "function"
    assert call["function"]["name"] == "plan_trip"
    assert_is_trip(json.loads(call["function"]["arguments"]))
