"""Replies that hold nothing, models that answer in streams alone, and streams that are wanted as one list."""

import base64
import itertools
import json
from array import array
from collections.abc import Iterator
from typing import Any

import pytest

from flow.passing import Answer, Asked, Server, told
from flow.rig import Door, Gateway, Reply, finishes, free_port, serving, text_of
from flow.test_target_dialects import ALL, NATIVE, STREAMS

EVENTS = {"openai_chat": "text/event-stream", **{dialect: kind for dialect, (_, kind, _) in STREAMS.items()}}
EVENTS["anthropic_messages"] = "text/event-stream"
PATHS = {"openai_chat": "/chat/completions", **NATIVE}
MODELS = 60
_numbers = itertools.count()


def chat_events(text: str) -> str:
    head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}

    def chunk(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
        return {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}

    events = [chunk({"role": "assistant", "content": ""}), chunk({"content": text}), chunk({}, "stop")]
    usage = {**head, "choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}}
    return "".join(f"data: {json.dumps(event)}\n\n" for event in (*events, usage)) + "data: [DONE]\n\n"


def anthropic_events(text: str) -> str:
    start = {"id": "msg_1", "type": "message", "role": "assistant", "content": [], "model": "m"}
    events = [
        {"type": "message_start", "message": {**start, "usage": {"input_tokens": 9, "output_tokens": 0}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}},
        {"type": "message_stop"},
    ]
    return "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events)


def streamed(dialect: str, text: str) -> str:
    """A stream of this dialect that says a text, or nothing and ends well."""
    if dialect == "openai_chat":
        return chat_events(text)
    if dialect == "anthropic_messages":
        return anthropic_events(text)
    whole = STREAMS[dialect][2]()
    assert "so so" not in text
    return whole.replace('"so so"', json.dumps(text)).replace('"so "', json.dumps(text)).replace('"so"', '""')


def replied(dialect: str, text: str) -> dict[str, Any]:
    """A whole reply of this dialect."""
    message = {"role": "assistant", "content": text}
    part = {"type": "output_text", "text": text, "annotations": []}
    item = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [part]}
    candidate = {"content": {"role": "model", "parts": [{"text": text}]}, "finishReason": "STOP", "index": 0}
    replies: dict[str, dict[str, Any]] = {
        "openai_chat": {
            "id": "c",
            "object": "chat.completion",
            "created": 1,
            "model": "m",
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        },
        "anthropic_messages": {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": "m",
            "content": [{"type": "text", "text": text}],
            "stop_reason": "end_turn",
            "usage": {"input_tokens": 1, "output_tokens": 1},
        },
        "openai_responses": {
            "id": "resp_1",
            "object": "response",
            "created_at": 1,
            "status": "completed",
            "model": "m",
            "output": [item],
            "usage": {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2},
        },
        "gemini": {"candidates": [candidate], "modelVersion": "m"},
        "cohere_v2": {
            "id": "c1",
            "finish_reason": "COMPLETE",
            "message": {"role": "assistant", "content": [{"type": "text", "text": text}]},
        },
        "ollama": {
            "model": "o",
            "created_at": "2025-01-01T00:00:00Z",
            "message": message,
            "done": True,
            "done_reason": "stop",
        },
    }
    return replies[dialect]


def configuration(first: str, second: str) -> dict[str, Any]:
    def providers(prefix: str, **more: Any) -> dict[str, Any]:
        return {
            f"{prefix}-{dialect}": {"speaks": {dialect: path}, "address": f"{first}/v1", **more}
            for dialect, path in PATHS.items()
        }

    minding = {"patience": {"retry_empty": True}}
    kinds: dict[str, tuple[str, dict[str, Any]]] = {
        "minding": ("plain", minding),
        "easy": ("plain", {}),
        "quirky": ("quirky", {}),
        "streaming": ("streaming", minding),
    }
    models = {
        f"{kind}-{dialect}-{number}": {
            "targets": [f"{prefix}-{dialect}/{kind}-{number}", f"second/{kind}-{dialect}-{number}"],
            **more,
        }
        for kind, (prefix, more) in kinds.items()
        for dialect in PATHS
        for number in range(MODELS)
    }
    return {
        "listen": {"port": 0, "edge_port": 0, "admin_port": free_port()},
        "providers": {
            **providers("plain"),
            **providers("quirky", quirks={"empty_content_is_failure": True}),
            **providers("streaming", quirks={"stream_only": True}),
            "second": {"dialect": "openai_chat", "address": f"{second}/v1"},
            "invoked": {"speaks": {"cohere_embeddings": "/model/{model}/invoke"}, "address": f"{first}/v1"},
            "titan": {"speaks": {"titan_embeddings": "/model/{model}/invoke"}, "address": f"{first}/v1"},
        },
        "models": {**models, "echo": {"targets": ["mock/echo"]}},
    }


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[Server, Server]]:
    both = (Server(), Server())
    yield both
    for server in both:
        server.close()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, servers: tuple[Server, Server]) -> Iterator[Gateway]:
    config = configuration(servers[0].origin, servers[1].origin)
    with serving(config, tmp_path_factory.mktemp("whole")) as gateway:
        yield gateway


@pytest.fixture(params=["granian", "edge"])
def door(request: pytest.FixtureRequest, running: Gateway) -> Door:
    return running.doors[request.param]


@pytest.fixture
def first(servers: tuple[Server, Server]) -> Server:
    def second(asked: Asked) -> Answer:
        if asked.json.get("stream"):
            return Answer(chat_events("Well enough.").encode(), EVENTS["openai_chat"])
        return told(replied("openai_chat", "Well enough."))

    servers[1].answer = second
    servers[0].asked.clear()
    return servers[0]


def streams(asked: Asked) -> bool:
    return ":stream" in asked.path or bool(asked.json.get("stream"))


def says(dialect: str, text: str) -> Any:
    """An answer of this dialect, streamed where that is asked for."""

    def answer(asked: Asked) -> Answer:
        if streams(asked):
            return Answer(streamed(dialect, text).encode(), EVENTS[dialect])
        return told(replied(dialect, text))

    return answer


def ask(door: Door, kind: str, dialect: str, client: str, *, stream: bool) -> Reply:
    model = f"{kind}-{dialect}-{next(_numbers) % MODELS}"
    asks = ALL[client]
    return door.send("POST", asks.path(model, stream), json.dumps(asks.body(model, stream)))


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("client", list(ALL))
@pytest.mark.parametrize("dialect", list(PATHS))
def test_a_reply_that_holds_nothing_is_tried_elsewhere_where_somebody_says_so(
    dialect: str, client: str, stream: bool, first: Server, door: Door
) -> None:
    first.answer = says(dialect, "")
    for kind, attempts in (("minding", 2), ("quirky", 2), ("easy", 1)):
        reply = ask(door, kind, dialect, client, stream=stream)
        assert (reply.status, reply.attempts) == (200, attempts), (kind, reply.body)
        said = ALL[client].streamed(reply.events) if stream else ALL[client].text(json.loads(reply.body))
        assert (said or "") == ("Well enough." if attempts == 2 else ""), kind
    first.answer = says(dialect, "Something.")
    reply = ask(door, "minding", dialect, client, stream=stream)
    assert (reply.status, reply.attempts) == (200, 1), reply.body


@pytest.mark.parametrize("client", list(ALL))
@pytest.mark.parametrize("dialect", list(PATHS))
def test_a_model_that_only_streams_answers_in_one_piece(dialect: str, client: str, first: Server, door: Door) -> None:
    def only_streams(asked: Asked) -> Answer:
        return says(dialect, "Well then.")(asked) if streams(asked) else told({"error": {"message": "no"}}, 400)

    first.answer = only_streams
    reply = ask(door, "streaming", dialect, client, stream=False)
    assert (reply.status, reply.attempts) == (200, 1), reply.body
    assert reply.headers["content-type"] == "application/json"
    said = json.loads(reply.body)
    assert ALL[client].text(said) == "Well then."
    assert ALL[client].tokens(said) == (9, 2)
    whole = ask(door, "streaming", dialect, client, stream=True)
    assert ALL[client].streamed(whole.events) == "Well then."


@pytest.mark.parametrize("dialect", list(PATHS))
def test_such_a_stream_that_fails_is_tried_elsewhere(dialect: str, first: Server, door: Door) -> None:
    whole = streamed(dialect, "Well then.").encode()
    half = whole[: whole.index(b"Well then.") + 12]
    for body in (half, b"", streamed(dialect, "").encode()):
        first.answer = lambda _asked, body=body: Answer([body] if body else [b"\n"], EVENTS[dialect])
        reply = ask(door, "streaming", dialect, "openai_chat", stream=False)
        assert (reply.status, reply.attempts) == (200, 2), reply.body
        assert json.loads(reply.body)["choices"][0]["message"]["content"] == "Well enough."


def as_list(door: Door, model: str, query: str = "") -> Reply:
    body = json.dumps({"contents": [{"role": "user", "parts": [{"text": "a"}]}]})
    return door.send("POST", f"/v1beta/models/{model}:streamGenerateContent{query}", body)


def parts_of(items: list[dict[str, Any]]) -> str:
    candidates = [candidate for item in items for candidate in item.get("candidates", [])]
    return "".join(part.get("text", "") for one in candidates for part in one.get("content", {}).get("parts", []))


@pytest.mark.parametrize("dialect", list(PATHS))
@pytest.mark.parametrize("query", ["", "?alt=json", "?key=k"])
def test_a_stream_without_events_is_one_list(dialect: str, query: str, first: Server, door: Door) -> None:
    first.answer = says(dialect, "Well then.")
    reply = as_list(door, f"easy-{dialect}-{next(_numbers) % MODELS}", query)
    assert (reply.status, reply.headers["content-type"]) == (200, "application/json"), reply.body
    items = json.loads(reply.body)
    assert parts_of(items) == "Well then."
    assert items[-1]["candidates"][0]["finishReason"] == "STOP"
    (row,) = first.asked
    assert streams(row)


def test_items_of_such_a_list_are_the_providers_own(first: Server, door: Door) -> None:
    event = '{"candidates": [{"content": {"parts": [{"text": "h\\u00e9"}]}, "finishReason": "STOP", "new": 1.50}]}'
    first.answer = lambda _asked: Answer(f"data: {event}\r\n\r\n".encode(), "text/event-stream")
    reply = as_list(door, f"easy-gemini-{next(_numbers) % MODELS}")
    assert event.encode() in reply.body
    assert len(json.loads(reply.body)) == 1
    assert first.asked[0].path.endswith(":streamGenerateContent?alt=sse")


@pytest.mark.parametrize("dialect", list(PATHS))
def test_a_list_that_breaks_off_stays_open_behind_its_error(dialect: str, first: Server, door: Door) -> None:
    whole = streamed(dialect, "Well then.").encode()
    end = whole.index(b"\n", whole.index(b"Well then.")) + 1
    half = whole[:end] + (b"\n" if EVENTS[dialect] != "application/x-ndjson" else b"")
    first.answer = lambda _asked: Answer([half], EVENTS[dialect], ends=False)
    reply = as_list(door, f"easy-{dialect}-{next(_numbers) % MODELS}")
    assert reply.status == 200
    if dialect == "gemini" and b"STOP" in half:
        pytest.fail("the half holds the end")
    with pytest.raises(json.JSONDecodeError):
        json.loads(reply.body)
    items = json.loads(reply.body + b"]")
    assert parts_of(items) == "Well then."
    assert items[-1]["error"]["code"] == 502


def test_a_failure_before_such_a_list_is_an_error_like_any_other(first: Server, door: Door) -> None:
    error = {"error": {"code": 400, "message": "no such knob", "status": "INVALID_ARGUMENT"}}
    first.answer = lambda _asked: told(error, 400)
    reply = as_list(door, f"easy-gemini-{next(_numbers) % MODELS}")
    assert (reply.status, json.loads(reply.body)) == (400, error)
    first.answer = lambda _asked: told({"error": {"message": "busy"}}, 503)
    reply = as_list(door, f"easy-gemini-{next(_numbers) % MODELS}")
    assert (reply.status, reply.attempts) == (200, 2)
    assert parts_of(json.loads(reply.body)) == "Well enough."


def test_the_echo_streams_a_list_too(door: Door) -> None:
    reply = as_list(door, "echo")
    assert (reply.status, reply.headers["content-type"]) == (200, "application/json")
    assert parts_of(json.loads(reply.body)) == "a"


VECTOR = [0.5, -1.0, 2.0]


def vector_of(client: str, door: Door, name: str) -> Any:
    """What a client of this kind gets for one text."""
    path, body = {
        "openai": ("/v1/embeddings", {"model": name, "input": "sea", "encoding_format": "float"}),
        "openai in base64": ("/v1/embeddings", {"model": name, "input": ["sea"], "encoding_format": "base64"}),
        "gemini": (f"/v1beta/models/{name}:embedContent", {"content": {"parts": [{"text": "sea"}]}}),
        "cohere": (
            "/v2/embed",
            {"model": name, "texts": ["sea"], "input_type": "search_document", "embedding_types": ["float"]},
        ),
    }[client]
    reply = door.send("POST", path, json.dumps(body))
    assert reply.status == 200, reply.body
    said = json.loads(reply.body)
    return {
        "openai": lambda: said["data"][0]["embedding"],
        "openai in base64": lambda: array("f", base64.b64decode(said["data"][0]["embedding"])).tolist(),
        "gemini": lambda: said["embedding"]["values"],
        "cohere": lambda: said["embeddings"]["float"][0],
    }[client]()


CLIENTS_OF_VECTORS = ["openai", "openai in base64", "gemini", "cohere"]


@pytest.mark.parametrize("client", CLIENTS_OF_VECTORS)
def test_embeddings_of_coheres_at_bedrock_reach_every_client(client: str, first: Server, door: Door) -> None:
    first.answer = lambda _asked: told({"id": "e", "embeddings": {"float": [VECTOR]}, "texts": ["sea"]})
    assert vector_of(client, door, "invoked/cohere.embed-v4:0") == VECTOR
    (row,) = first.asked
    assert row.path == "/v1/model/cohere.embed-v4%3A0/invoke"
    assert (row.json["texts"], row.json["input_type"]) == (["sea"], "search_document")
    assert row.json.get("embedding_types", ["float"]) == ["float"]
    assert "model" not in row.json


@pytest.mark.parametrize("client", CLIENTS_OF_VECTORS)
def test_embeddings_of_titan_reach_every_client(client: str, first: Server, door: Door) -> None:
    first.answer = lambda _asked: told({"embedding": VECTOR, "inputTextTokenCount": 2})
    assert vector_of(client, door, "titan/amazon.titan-embed-text-v2:0") == VECTOR
    (row,) = first.asked
    assert row.path == "/v1/model/amazon.titan-embed-text-v2%3A0/invoke"
    assert row.json == {"inputText": "sea"}


def test_who_asks_titan_for_several_vectors_is_told_that_it_gives_one(first: Server, door: Door) -> None:
    body = {"model": "titan/amazon.titan-embed-text-v2:0", "input": ["sea", "hill"]}
    reply = door.send("POST", "/v1/embeddings", json.dumps(body))
    assert (reply.status, json.loads(reply.body)["error"]["param"]) == (400, "input")
    assert not first.asked


def test_a_chat_stream_of_such_a_model_keeps_its_usage_to_itself(first: Server, door: Door) -> None:
    first.answer = says("openai_chat", "Well then.")
    reply = ask(door, "streaming", "openai_chat", "openai_chat", stream=True)
    assert text_of(reply.events) == "Well then."
    assert finishes(reply.events) == ["stop"]
    assert not any(isinstance(event, dict) and event.get("usage") for event in reply.events)
