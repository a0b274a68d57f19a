"""Targets that speak another dialect than chat: said in the client's, or untouched where it is the client's own."""

import base64
import itertools
import json
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

from flow.rig import CHAT, Door, Gateway, Reply, Upstream, eventually, finishes, free_port, serving, text_of
from flow.test_client_dialects import CLIENTS, Client

MODELS = 60
_numbers = itertools.count()

NATIVE = {
    "anthropic_messages": "/messages",
    "openai_responses": "/responses",
    "gemini": "/models/{model}:generateContent",
    "cohere_v2": "/v2/chat",
    "ollama": "/api/chat",
}


def configuration(upstream: str) -> dict[str, Any]:
    providers: dict[str, Any] = {
        dialect: {"speaks": {dialect: path}, "address": f"{upstream}/v1", "key": f"canary-{dialect}", "key_header": key}
        for (dialect, path), key in zip(
            NATIVE.items(),
            ("x-api-key", "authorization", "x-goog-api-key", "authorization", "authorization"),
            strict=True,
        )
    }
    providers["chat"] = {"dialect": "openai_chat", "address": f"{upstream}/v1", "key": "canary-of-chat"}
    models = {
        f"{dialect}-{number}": {"targets": [f"{dialect}/{dialect}-{number}-first", f"chat/{dialect}-{number}-second"]}
        for dialect in NATIVE
        for number in range(MODELS)
    }
    listen = {"port": 0, "edge_port": 0, "admin_port": free_port()}
    return {"listen": listen, "providers": providers, "models": models}


@pytest.fixture(scope="module")
def native(tmp_path_factory: pytest.TempPathFactory, shared_upstream: Upstream) -> Iterator[Gateway]:
    with serving(configuration(shared_upstream.origin), tmp_path_factory.mktemp("targets")) as gateway:
        yield gateway


@pytest.fixture(params=["granian", "edge"])
def door(request: pytest.FixtureRequest, native: Gateway) -> Door:
    return native.doors[request.param]


class Names(NamedTuple):
    model: str
    first: str
    second: str


def names(dialect: str) -> Names:
    """A model nobody else asks for: its first target speaks the dialect, its second chat."""
    model = f"{dialect}-{next(_numbers) % MODELS}"
    return Names(model, f"{model}-first", f"{model}-second")


def chat_body(model: str, stream: bool) -> dict[str, Any]:
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "how is it?"}]
    return {"model": model, "max_tokens": 100, "stream": stream, "messages": messages}


ALL: dict[str, Client] = {
    "openai_chat": Client(
        path=lambda _model, _stream: CHAT,
        body=chat_body,
        text=lambda reply: reply["choices"][0]["message"]["content"],
        streamed=text_of,
        ends=lambda seen: finishes(seen) != [] and seen[-1] == "[DONE]",
        fails=lambda reply: "error" in reply.events[-1] and not finishes(reply.events),
        error=lambda body: (body["error"]["message"], body["error"]["code"]),
        tokens=lambda reply: (reply["usage"]["prompt_tokens"], reply["usage"]["completion_tokens"]),
    ),
    **CLIENTS,
}


@pytest.fixture(params=list(ALL))
def client(request: pytest.FixtureRequest) -> Client:
    return ALL[request.param]


def ask(door: Door, client: Client, model: str, *, stream: bool = False) -> Reply:
    return door.send("POST", client.path(model, stream), json.dumps(client.body(model, stream)))


def rule(target: str, *steps: Any, path: str | None = None) -> dict[str, Any]:
    match = {"path": path} if path else {"model": target}
    return {"match": match, "steps": steps}


def test_every_client_is_answered_by_a_target_that_speaks_anthropics_dialect(
    client: Client, upstream: Upstream, door: Door
) -> None:
    asked = names("anthropic_messages")
    upstream.script(rule(asked.first, {"reply": {"text": "Well enough."}}))
    reply = ask(door, client, asked.model)
    assert reply.status == 200, reply.body
    assert (reply.target, reply.attempts) == (asked.first, 1)
    assert client.text(json.loads(reply.body)) == "Well enough."
    assert client.tokens(json.loads(reply.body))[1] == 2
    (row,) = upstream.rows(asked.first)
    sent = json.loads(row["body"])
    assert row["path"] == "/v1/messages"
    assert sent["max_tokens"] > 0
    assert "Be brief." in json.dumps(sent["system"])
    assert "how is it?" in json.dumps(sent["messages"])


def test_streams_of_such_a_target_are_told_in_the_clients_events(
    client: Client, upstream: Upstream, door: Door
) -> None:
    asked = names("anthropic_messages")
    upstream.script(rule(asked.first, {"events": {"count": 3, "text": "so "}}, {"finish": {}}, "done"))
    reply = ask(door, client, asked.model, stream=True)
    assert reply.status == 200, reply.body
    assert reply.whole
    assert client.streamed(reply.events) == "so so so "
    assert client.ends(reply.events), reply.body


def test_an_error_within_the_stream_ends_it_in_the_clients_words(
    client: Client, upstream: Upstream, door: Door
) -> None:
    asked = names("anthropic_messages")
    upstream.script(rule(asked.first, {"events": {"count": 2, "text": "so "}}, {"error_event": {}}, "close"))
    reply = ask(door, client, asked.model, stream=True)
    assert reply.status == 200
    assert client.streamed(reply.events).startswith("so ")
    assert not client.ends(reply.events), reply.body


def test_a_stream_that_is_cut_is_not_taken_for_an_answer(client: Client, upstream: Upstream, door: Door) -> None:
    asked = names("anthropic_messages")
    upstream.script(rule(asked.first, {"events": {"count": 2, "text": "so "}}, {"delay": {"ms": 30}}, "close"))
    reply = ask(door, client, asked.model, stream=True)
    assert reply.status == 200
    assert client.streamed(reply.events) == "so so "
    assert client.fails(reply), reply.body


@pytest.mark.parametrize("steps", [[{"status": {"code": 503}}], [{"error_event": {}}, "close"], ["reset"]])
def test_a_failing_target_is_left_for_one_of_another_dialect(
    client: Client, upstream: Upstream, door: Door, steps: list[Any]
) -> None:
    for stream in (False, True) if "status" in steps[0] else (True,):
        asked = names("anthropic_messages")
        upstream.script(rule(asked.first, *steps))
        reply = ask(door, client, asked.model, stream=stream)
        assert (reply.status, reply.target, reply.attempts) == (200, asked.second, 2), reply.body
        if stream:
            assert client.ends(reply.events)


def test_what_is_wrong_with_a_request_is_told_in_the_clients_shape(
    client: Client, upstream: Upstream, door: Door
) -> None:
    asked = names("anthropic_messages")
    said = {"type": "error", "error": {"type": "invalid_request_error", "message": "no such knob"}}
    upstream.script(rule(asked.first, {"status": {"code": 400, "body": said}}))
    reply = ask(door, client, asked.model)
    assert reply.status == 400, reply.body
    assert client.error(json.loads(reply.body))[0] == "no such knob"


def test_a_request_in_the_targets_own_dialect_is_not_touched(upstream: Upstream, door: Door) -> None:
    asked = names("anthropic_messages")
    body = '{"max_tokens" : 5,"model":"M", "messages":[{"role":"user","content":"\\u0061 b"}],  "new_knob":[1, 2.50]}'
    body = body.replace('"M"', f'"{asked.model}"')
    said = {"id": "msg_1", "type": "message", "role": "assistant", "model": "real", "content": [], "stop_reason": "x"}
    upstream.script(rule(asked.first, {"status": {"code": 200, "body": json.dumps(said, indent=1)}}))
    headers = {"anthropic-version": "2099-01-01", "anthropic-beta": "a-1,b-2", "x-api-key": "the-clients"}
    reply = door.send("POST", "/v1/messages?beta=true&key=mine", body, headers)
    assert reply.status == 200
    assert reply.body.decode() == json.dumps(said, indent=1)
    (row,) = upstream.rows(asked.first)
    assert row["body"] == body.replace(asked.model, asked.first, 1)
    sent = {name.lower(): value for name, value in row["headers"].items()}
    assert sent["anthropic-version"] == "2099-01-01"
    assert sent["anthropic-beta"] == "a-1,b-2"
    # The log keeps the end of a secret.
    assert "canary-anthropic_messages".endswith(sent["x-api-key"].lstrip("…"))


def test_a_stream_in_the_targets_own_dialect_passes_byte_by_byte(upstream: Upstream, door: Door) -> None:
    asked = names("anthropic_messages")
    stream = "".join(
        f"event: {kind}\r\ndata: {json.dumps({'type': kind, **more}, indent=None)}   \r\n\r\n"
        for kind, more in (
            ("message_start", {"message": {"id": "m", "content": [], "new": 1, "usage": {"input_tokens": 3}}}),
            ("ping", {}),
            ("content_block_start", {"index": 0, "content_block": {"type": "text", "text": ""}}),
            ("content_block_delta", {"index": 0, "delta": {"type": "text_delta", "text": "hé"}}),
            ("content_block_stop", {"index": 0}),
            ("unheard_of", {"index": 7}),
            ("message_delta", {"delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}}),
            ("message_stop", {}),
        )
    )
    upstream.script(
        rule(asked.first, {"head": {"content_type": "text/event-stream"}}, {"send": {"utf8": stream}}, "close")
    )
    body = {"model": asked.model, "max_tokens": 5, "stream": True, "messages": [{"role": "user", "content": "a"}]}
    reply = door.send("POST", "/v1/messages", json.dumps(body))
    assert reply.status == 200
    assert reply.body.decode() == stream


def responses_events() -> str:
    message = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed"}
    done = {**message, "content": [{"type": "output_text", "text": "so so", "annotations": []}]}
    usage = {"input_tokens": 9, "output_tokens": 2, "total_tokens": 11}
    events = [
        {"type": "response.created", "response": {"id": "resp_1", "model": "r", "output": []}},
        {"type": "response.output_item.added", "output_index": 0, "item": {**message, "content": []}},
        {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "item_id": "m", "delta": "so "},
        {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "item_id": "m", "delta": "so"},
        {"type": "response.output_item.done", "output_index": 0, "item": done},
        {
            "type": "response.completed",
            "response": {"id": "resp_1", "model": "r", "status": "completed", "output": [done], "usage": usage},
        },
    ]
    return "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events)


def gemini_events() -> str:
    def part(text: str, **more: Any) -> dict[str, Any]:
        return {"candidates": [{"content": {"role": "model", "parts": [{"text": text}]}, "index": 0, **more}]}

    usage = {"promptTokenCount": 9, "candidatesTokenCount": 2, "totalTokenCount": 11}
    events = [part("so "), {**part("so", finishReason="STOP"), "usageMetadata": usage}]
    return "".join(f"data: {json.dumps(event)}\r\n\r\n" for event in events)


def cohere_events() -> str:
    events = [
        {"type": "message-start", "id": "c1", "delta": {"message": {"role": "assistant", "content": []}}},
        {"type": "content-start", "index": 0, "delta": {"message": {"content": {"type": "text", "text": ""}}}},
        {"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": "so "}}}},
        {"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": "so"}}}},
        {"type": "content-end", "index": 0},
        {
            "type": "message-end",
            "delta": {"finish_reason": "COMPLETE", "usage": {"tokens": {"input_tokens": 9, "output_tokens": 2}}},
        },
    ]
    return "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events)


def ollama_events() -> str:
    def line(text: str, **more: Any) -> dict[str, Any]:
        said = {"role": "assistant", "content": text}
        return {"model": "o", "created_at": "2025-01-01T00:00:00Z", "message": said, "done": False, **more}

    end = {"done": True, "done_reason": "stop", "prompt_eval_count": 9, "eval_count": 2}
    return "".join(f"{json.dumps(event)}\n" for event in (line("so "), line("so"), line("", **end)))


STREAMS: dict[str, tuple[str, str, Callable[[], str]]] = {
    "openai_responses": ("/responses", "text/event-stream", responses_events),
    "gemini": ("/models/*:streamGenerateContent", "text/event-stream", gemini_events),
    "cohere_v2": ("/v2/chat", "text/event-stream; charset=utf-8", cohere_events),
    "ollama": ("/api/chat", "application/x-ndjson", ollama_events),
}


@pytest.mark.parametrize("dialect", list(STREAMS))
def test_streams_of_every_dialect_reach_every_client(
    client: Client, upstream: Upstream, door: Door, dialect: str
) -> None:
    asked = names(dialect)
    path, kind, stream = STREAMS[dialect]
    upstream.script(rule(asked.first, {"head": {"content_type": kind}}, {"send": {"utf8": stream()}}, path=path))
    reply = ask(door, client, asked.model, stream=True)
    assert reply.status == 200, reply.body
    assert reply.target == asked.first
    assert client.streamed(reply.events) == "so so", reply.body
    assert client.ends(reply.events), reply.body


@pytest.mark.parametrize("dialect", list(STREAMS))
def test_a_cut_anywhere_in_such_a_stream_is_no_end(upstream: Upstream, door: Door, dialect: str) -> None:
    """Behind the finish a stream may end without its last word; before it nothing is made up."""
    path, kind, stream = STREAMS[dialect]
    whole = stream().encode()
    first = whole.index(b"so ")
    for at in range(first + 8, len(whole) - 8, max(1, len(whole) // 12)):
        asked = names(dialect)
        cut = {"cut": {"after_bytes": at, "of": "body"}}
        head = {"head": {"content_type": kind}}
        upstream.script(rule(asked.first, head, cut, {"send": {"utf8": whole.decode()}}, path=path))
        reply = ask(door, ALL["openai_chat"], asked.model, stream=True)
        assert reply.status == 200, reply.body
        if reply.target == asked.first:
            told = reply.events
            ended = "error" in told[-1] if isinstance(told[-1], dict) else told[-1] == "[DONE]"
            assert ended, reply.body
            assert not (finishes(told) and "error" in str(told[-1])), reply.body
            if finishes(told):
                assert text_of(told) == "so so", reply.body


def test_a_client_that_leaves_is_followed_to_a_target_of_another_dialect(
    client: Client, upstream: Upstream, door: Door
) -> None:
    asked = names("anthropic_messages")
    upstream.script(rule(asked.first, {"events": {"count": 2}}, "stall"))
    body = json.dumps(client.body(asked.model, True)).encode()
    with door.socket() as raw:
        head = f"POST {client.path(asked.model, True)} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n"
        raw.sendall(head.encode() + body)
        assert b" 200 " in raw.recv(65_536).split(b"\r\n", 1)[0]
    eventually(lambda: all(row["ended"] != "open" for row in upstream.rows(asked.first)), "the upstream is let go")


def test_a_proof_of_another_maker_reaches_no_target_even_of_the_clients_own_dialect(
    upstream: Upstream, door: Door
) -> None:
    asked = names("anthropic_messages")
    proof = base64.b64encode(b"fastroute:gemini/call:cHJvb2Y=").decode()
    messages = [
        {"role": "user", "content": "look"},
        {
            "role": "assistant",
            "content": [
                {"type": "redacted_thinking", "data": proof},
                {"type": "tool_use", "id": "call_1", "name": "look", "input": {}},
            ],
        },
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "call_1", "content": "blue"}]},
    ]
    tools = [{"name": "look", "input_schema": {"type": "object"}}]
    upstream.script(rule(asked.first, {"reply": {"text": "Blue."}}))
    body = {"model": asked.model, "max_tokens": 5, "messages": messages, "tools": tools}
    reply = door.send("POST", "/v1/messages", json.dumps(body))
    assert reply.status == 200, reply.body
    (row,) = upstream.rows(asked.first)
    assert "call_1" in row["body"]
    assert "redacted_thinking" not in row["body"]
    assert reply.headers["x-fastroute-dropped"] == "messages[1].content[0].signature"


def test_a_reply_names_in_its_head_what_its_client_was_not_told(upstream: Upstream, door: Door) -> None:
    asked = names("anthropic_messages")
    content = [
        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
        {"type": "text", "text": "Nine."},
    ]
    said = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": content,
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 1, "output_tokens": 1},
    }
    upstream.script(rule(asked.first, {"status": {"code": 200, "body": json.dumps(said)}}))
    reply = ask(door, ALL["openai_chat"], asked.model)
    assert reply.status == 200, reply.body
    assert reply.headers["x-fastroute-dropped"].split(", ")[-1] == "choices[0].server_tool_use"
