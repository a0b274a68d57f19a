"""Clients of other dialects before targets that speak chat: answered, failed over and told the truth in their own."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import pytest

from flow.rig import Door, Reply, Route, Upstream, eventually

QUESTION = "how is it?"


class Client(NamedTuple):
    """How one dialect asks, and where it says what."""

    path: Callable[[str, bool], str]
    body: Callable[[str, bool], dict[str, Any]]
    text: Callable[[dict[str, Any]], str]
    """Of a whole reply."""
    streamed: Callable[[Sequence[Any]], str]
    ends: Callable[[Sequence[Any]], bool]
    """The stream said its finish and its last word."""
    fails: Callable[[Reply], bool]
    """The stream ended with an error."""
    error: Callable[[dict[str, Any]], tuple[str, Any]]
    """Message and kind of an error."""
    tokens: Callable[[dict[str, Any]], tuple[int, int]]


def anthropic_body(model: str, stream: bool) -> dict[str, Any]:
    return {
        "model": model,
        "max_tokens": 100,
        "stream": stream,
        "system": "Be brief.",
        "messages": [{"role": "user", "content": [{"type": "text", "text": QUESTION}]}],
    }


def responses_body(model: str, stream: bool) -> dict[str, Any]:
    return {"model": model, "stream": stream, "instructions": "Be brief.", "input": QUESTION}


def gemini_body(_model: str, _stream: bool) -> dict[str, Any]:
    return {
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "contents": [{"role": "user", "parts": [{"text": QUESTION}]}],
    }


def parts_of(reply: Mapping[str, Any]) -> str:
    candidates = reply.get("candidates", [])
    return "".join(part.get("text", "") for one in candidates for part in one.get("content", {}).get("parts", []))


def kinds(seen: Sequence[Any]) -> list[str]:
    return [event.get("type", "") for event in seen if isinstance(event, dict)]


CLIENTS = {
    "anthropic_messages": Client(
        path=lambda _model, _stream: "/v1/messages?beta=true",
        body=anthropic_body,
        text=lambda reply: "".join(block.get("text", "") for block in reply["content"]),
        streamed=lambda seen: "".join(
            event["delta"].get("text", "") for event in seen if event.get("type") == "content_block_delta"
        ),
        ends=lambda seen: kinds(seen)[-2:] == ["message_delta", "message_stop"],
        fails=lambda reply: kinds(reply.events)[-1] == "error" and "message_stop" not in kinds(reply.events),
        error=lambda body: (body["error"]["message"], body["error"]["type"]),
        tokens=lambda reply: (reply["usage"]["input_tokens"], reply["usage"]["output_tokens"]),
    ),
    "openai_responses": Client(
        path=lambda _model, _stream: "/v1/responses",
        body=responses_body,
        text=lambda reply: "".join(
            part.get("text", "") for item in reply["output"] for part in item.get("content", [])
        ),
        streamed=lambda seen: "".join(
            event["delta"] for event in seen if event.get("type") == "response.output_text.delta"
        ),
        ends=lambda seen: kinds(seen)[-1] == "response.completed",
        fails=lambda reply: (
            kinds(reply.events)[-1] in {"error", "response.failed"} and "response.completed" not in kinds(reply.events)
        ),
        error=lambda body: (body["error"]["message"], body["error"]["code"]),
        tokens=lambda reply: (reply["usage"]["input_tokens"], reply["usage"]["output_tokens"]),
    ),
    "gemini": Client(
        path=lambda model, stream: (
            f"/v1beta/models/{model}:" + ("streamGenerateContent?alt=sse" if stream else "generateContent")
        ),
        body=gemini_body,
        text=parts_of,
        streamed=lambda seen: "".join(map(parts_of, seen)),
        ends=lambda seen: any(one.get("finishReason") for event in seen for one in event.get("candidates", [])),
        # Google breaks a stream off with the error alone, in no event.
        fails=lambda reply: json.loads(reply.body.rstrip().rsplit(b"\n", 1)[1])["error"]["status"] == "INTERNAL",
        error=lambda body: (body["error"]["message"], body["error"]["status"]),
        tokens=lambda reply: (
            reply["usageMetadata"]["promptTokenCount"],
            reply["usageMetadata"]["candidatesTokenCount"],
        ),
    ),
}


@pytest.fixture(params=list(CLIENTS))
def client(request: pytest.FixtureRequest) -> Client:
    return CLIENTS[request.param]


def ask(door: Door, client: Client, model: str, *, stream: bool = False) -> Reply:
    return door.send("POST", client.path(model, stream), json.dumps(client.body(model, stream)))


def test_a_plain_question_is_asked_in_chat_and_answered_in_its_own_dialect(
    client: Client, upstream: Upstream, door: Door, route: Route
) -> None:
    plain = door.ask(route)
    told = json.loads(plain.body)
    reply = ask(door, client, route.name)
    assert reply.status == 200, reply.body
    assert (reply.target, reply.attempts) == (route.first, 1)
    assert client.text(json.loads(reply.body)) == told["choices"][0]["message"]["content"]
    read, written = client.tokens(json.loads(reply.body))
    # The scripted upstream counts what it reads, and this question is longer than the other.
    assert read > told["usage"]["prompt_tokens"]
    assert written == told["usage"]["completion_tokens"]
    sent = json.loads(upstream.rows(route.first)[-1]["body"])
    assert [(turn["role"], turn["content"]) for turn in sent["messages"]] in (
        [("system", "Be brief."), ("user", QUESTION)],
        [("developer", "Be brief."), ("user", QUESTION)],
        [("system", "Be brief."), ("user", [{"type": "text", "text": QUESTION}])],
    )


def test_a_stream_is_told_in_its_own_events(client: Client, upstream: Upstream, door: Door, route: Route) -> None:
    upstream.script(route.rule({"reply": {}}), events=5)
    plain = door.ask(route, stream=True)
    reply = ask(door, client, route.name, stream=True)
    assert reply.status == 200, reply.body
    assert reply.whole
    assert reply.headers["content-type"].startswith("text/event-stream")
    told = [event for event in plain.events if isinstance(event, dict)]
    assert client.streamed(reply.events) == "".join(
        choice["delta"].get("content") or "" for event in told for choice in event["choices"]
    )
    assert client.ends(reply.events), reply.body


def test_a_failure_before_the_first_content_is_nobodys_business(
    client: Client, upstream: Upstream, door: Door, route: Route
) -> None:
    for stream in (False, True):
        upstream.script(route.rule({"status": {"code": 503}}))
        reply = ask(door, client, route.name, stream=stream)
        assert (reply.status, reply.target, reply.attempts) == (200, route.second, 2)
        if stream:
            assert client.ends(reply.events)


def test_a_stream_that_breaks_off_ends_with_an_error_of_its_dialect(
    client: Client, upstream: Upstream, door: Door, route: Route
) -> None:
    upstream.script(route.rule({"events": {"count": 3}}, {"delay": {"ms": 30}}, "close"))
    reply = ask(door, client, route.name, stream=True)
    assert reply.status == 200
    assert client.streamed(reply.events)
    assert client.fails(reply), reply.body
    assert not client.ends(reply.events), reply.body


def test_errors_come_in_the_dialects_own_shape(client: Client, upstream: Upstream, door: Door, route: Route) -> None:
    unknown = ask(door, client, "no-such-model-anywhere")
    assert unknown.status == 404
    message, kind = client.error(json.loads(unknown.body))
    assert "no-such-model-anywhere" in message or "model" in message
    assert kind in {"not_found_error", "model_not_found", "NOT_FOUND"}
    broken = door.send("POST", client.path(route.name, False), b'{"model":')
    assert broken.status == 400
    assert client.error(json.loads(broken.body))[0]
    upstream.script(
        route.rule({"status": {"code": 429, "headers": {"retry-after": "7"}}}),
        route.rule({"status": {"code": 429, "headers": {"retry-after": "7"}}}, second=True),
    )
    limited = ask(door, client, route.name)
    assert limited.status == 429
    assert limited.headers["retry-after"] == "7"
    assert client.error(json.loads(limited.body))[1] in {
        "rate_limit_error",
        "rate_limited",
        "rate_limit_exceeded",
        "RESOURCE_EXHAUSTED",
    }


def test_a_client_that_leaves_is_followed_upstream(
    client: Client, upstream: Upstream, door: Door, route: Route
) -> None:
    upstream.script(route.rule({"events": {"count": 2}}, "stall"))
    body = json.dumps(client.body(route.name, True)).encode()
    with door.socket() as raw:
        head = f"POST {client.path(route.name, True)} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n"
        raw.sendall(head.encode() + body)
        assert b" 200 " in raw.recv(65_536).split(b"\r\n", 1)[0]
    eventually(lambda: all(row["ended"] != "open" for row in upstream.rows(route.first)), "the upstream is let go")
