"""OpenAI's SDK beyond conversations, and Google's streams without events: what is sent arrives, what comes is read."""

import io
import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import openai
import pytest
from google import genai
from google.genai import types

from flow.passing import Answer, Asked, Server, told
from flow.rig import Gateway, free_port, serving

ENDPOINTS = [*(f"images/{what}" for what in ("generations", "edits", "variations")), "moderations", "files", "batches"]
ENDPOINTS += [f"audio/{what}" for what in ("speech", "transcriptions", "translations")]
SOUND = bytes(range(256)) * 40
PICTURE = {"created": 1, "data": [{"b64_json": "aGk="}], "usage": {"input_tokens": 1, "output_tokens": 2}}
FILE = {
    "id": "file-1",
    "object": "file",
    "bytes": 3,
    "created_at": 1,
    "filename": "a.jsonl",
    "purpose": "batch",
    "status": "processed",
}
BATCH = {
    "id": "batch-1",
    "object": "batch",
    "endpoint": "/v1/chat/completions",
    "input_file_id": "file-1",
    "completion_window": "24h",
    "status": "validating",
    "created_at": 1,
    "errors": None,
}
FLAGGED = {"id": "modr-1", "model": "m", "results": [{"flagged": True, "categories": {}, "category_scores": {}}]}
LINES = b'{"custom_id": "a", "error": null}\n'


def said(text: str) -> Any:
    return {"candidates": [{"content": {"role": "model", "parts": [{"text": text}]}, "index": 0}]}


def answer(asked: Asked) -> Answer:
    path = asked.path.partition("?")[0].removeprefix("/v1")
    if ":streamGenerateContent" in path:
        last = said("so")
        last["candidates"][0]["finishReason"] = "STOP"
        return Answer(
            [f"data: {json.dumps(event)}\r\n\r\n".encode() for event in (said("so "), last)], "text/event-stream"
        )
    events = [{"type": "image_generation.partial_image", "b64_json": "aGk=", "partial_image_index": 0}]
    events.append({"type": "image_generation.completed", **PICTURE, "b64_json": "aGk="})
    known = {
        "/images/edits": told(PICTURE),
        "/images/variations": told(PICTURE),
        "/audio/speech": Answer(SOUND, "audio/mpeg"),
        "/audio/transcriptions": told({"text": "hello"}),
        "/audio/translations": told({"text": "hello"}),
        "/moderations": told(FLAGGED),
        "/files": told(FILE if asked.method == "POST" else {"object": "list", "data": [FILE], "has_more": False}),
        "/files/file-1": told(FILE if asked.method == "GET" else {"id": "file-1", "object": "file", "deleted": True}),
        "/files/file-1/content": Answer(LINES, "application/octet-stream"),
        "/batches": told(BATCH if asked.method == "POST" else {"object": "list", "data": [BATCH], "has_more": False}),
        "/batches/batch-1": told(BATCH),
        "/batches/batch-1/cancel": told({**BATCH, "status": "cancelling"}),
    }
    if path == "/images/generations":
        if not asked.json.get("stream"):
            return told(PICTURE)
        stream = [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in events]
        return Answer(stream, "text/event-stream")
    return known.get(path) or told({"error": {"message": f"no {path}"}}, 404)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    running = Server()
    running.answer = answer
    yield running
    running.close()


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, server: Server) -> Iterator[Gateway]:
    speaks = {endpoint.replace("/", "_"): f"/{endpoint}" for endpoint in ENDPOINTS}
    speaks["gemini"] = "/models/{model}:generateContent"
    config = {
        "listen": {"port": 0, "edge_port": 0, "admin_port": free_port()},
        "providers": {"up": {"speaks": speaks, "address": f"{server.origin}/v1", "key": "canary"}},
        "models": {"mine": {"targets": ["up/theirs"]}},
    }
    with serving(config, tmp_path_factory.mktemp("passed")) as gateway:
        yield gateway


@pytest.fixture(params=["granian", "edge"])
def address(request: pytest.FixtureRequest, gateway: Gateway) -> str:
    host, port = gateway.doors[request.param].place
    return f"http://{host}:{port}"


@pytest.fixture
def client(address: str, server: Server) -> openai.OpenAI:
    server.asked.clear()
    return openai.OpenAI(base_url=f"{address}/v1", api_key="unused", max_retries=0)


def wav() -> Any:
    file = io.BytesIO(SOUND)
    file.name = "a.wav"
    return file


CALLS: dict[str, Callable[[openai.OpenAI], Any]] = {
    "images.generate": lambda sdk: sdk.images.generate(model="mine", prompt="a").data[0].b64_json == "aGk=",
    "images.edit": lambda sdk: sdk.images.edit(model="mine", prompt="a", image=wav()).data[0].b64_json == "aGk=",
    "images.variation": lambda sdk: sdk.images.create_variation(model="mine", image=wav()).data[0].b64_json == "aGk=",
    "speech": lambda sdk: sdk.audio.speech.create(model="mine", voice="alloy", input="a").read() == SOUND,
    "transcription": lambda sdk: sdk.audio.transcriptions.create(model="mine", file=wav()).text == "hello",
    "translation": lambda sdk: sdk.audio.translations.create(model="mine", file=wav()).text == "hello",
    "moderation": lambda sdk: sdk.moderations.create(model="mine", input="a").results[0].flagged,
}


@pytest.mark.parametrize("call", list(CALLS))
def test_what_names_a_model_reaches_it_under_its_own_name(call: str, client: openai.OpenAI, server: Server) -> None:
    assert CALLS[call](client)
    (row,) = server.asked
    form = row.headers["content-type"].startswith("multipart/")
    assert (row.fields["model"].decode() if form else row.json["model"]) == "theirs"
    if form:
        file = row.fields.get("file", row.fields.get("image"))
        assert file == SOUND
    assert row.headers["authorization"] == "Bearer canary"


def test_a_picture_comes_in_events(client: openai.OpenAI) -> None:
    stream = client.images.generate(model="mine", prompt="a", stream=True, partial_images=1)
    assert [event.type for event in stream] == ["image_generation.partial_image", "image_generation.completed"]


def test_files_and_batches_live_at_their_provider(client: openai.OpenAI, server: Server) -> None:
    assert client.files.create(file=("a.jsonl", LINES), purpose="batch").id == "file-1"
    assert server.asked[-1].fields == {"purpose": b"batch", "file": LINES}
    assert [file.id for file in client.files.list(limit=5)] == ["file-1"]
    assert client.files.retrieve("file-1").filename == "a.jsonl"
    assert client.files.content("file-1").read() == LINES
    assert client.files.delete("file-1").deleted
    asked = {"input_file_id": "file-1", "endpoint": "/v1/chat/completions", "completion_window": "24h"}
    assert client.batches.create(**asked).id == "batch-1"  # type: ignore[arg-type]
    assert server.asked[-1].json == asked
    assert [batch.id for batch in client.batches.list()] == ["batch-1"]
    assert client.batches.cancel("batch-1").status == "cancelling"
    with pytest.raises(openai.NotFoundError, match="no /files/none"):
        client.files.retrieve("none")


def test_items_of_a_stream_that_is_one_list_are_what_googles_sdk_reads(address: str) -> None:
    """The SDK itself always asks for events."""
    asked = {"contents": [{"role": "user", "parts": [{"text": "a"}]}]}
    reply = httpx2.post(f"{address}/v1beta/models/mine:streamGenerateContent", json=asked)
    assert reply.headers["content-type"] == "application/json"
    items = [types.GenerateContentResponse.model_validate(item) for item in reply.json()]
    assert "".join(item.text or "" for item in items) == "so so"
    sdk = genai.Client(api_key="unused", http_options=types.HttpOptions(base_url=address))
    events = list(sdk.models.generate_content_stream(model="mine", contents="a"))
    assert [event.text for event in events] == [item.text for item in items]
