"""Pictures, sound, files, batches, moderations: passed on as they are to a provider that has them."""

import itertools
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flow.passing import FORM, JSON, Answer, Asked, Server, form, told
from flow.records import Journal, journal_of
from flow.rig import Door, Gateway, Route, Serve, eventually, free_port, serving

PATHS = {
    "images_generations": "/images/generations",
    "images_edits": "/images/edits",
    "images_variations": "/images/variations",
    "audio_speech": "/audio/speech",
    "audio_transcriptions": "/audio/transcriptions",
    "audio_translations": "/audio/translations",
    "moderations": "/moderations",
    "files": "/files",
    "batches": "/batches",
}
MODELS = 60
NOISE = bytes(range(256)) * 300
_numbers = itertools.count()


def configuration(first: str, second: str) -> dict[str, Any]:
    def provider(origin: str, key: str, paths: dict[str, str]) -> dict[str, Any]:
        return {"speaks": paths, "address": f"{origin}/v1", "key": key}

    models: dict[str, Any] = {
        f"pair-{number}": {"targets": [f"a/first-{number}", f"b/second-{number}"]} for number in range(MODELS)
    }
    models["talker"] = {"targets": ["chat/none", "b/up-b"]}
    models["mute"] = {"targets": ["chat/none"]}
    return {
        "listen": {"port": 0, "edge_port": 0, "admin_port": free_port()},
        "providers": {
            "a": provider(first, "canary-of-a", PATHS),
            "b": provider(second, "canary-of-b", PATHS),
            "chat": {"dialect": "openai_chat", "address": f"{first}/v1"},
        },
        "models": models,
        "routing": {"endpoints": {"files": "a", "batches": "a", "moderations": "pair-0"}},
        "limits": {"max_body_bytes": 1 << 20},
    }


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[Server, Server]]:
    both = (Server(), Server())
    yield both
    for server in both:
        server.close()


@pytest.fixture(scope="module")
def folder_of_gateway(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("passing")


@pytest.fixture(scope="module")
def passing(folder_of_gateway: Path, servers: tuple[Server, Server]) -> Iterator[Gateway]:
    with serving(configuration(servers[0].origin, servers[1].origin), folder_of_gateway) as gateway:
        yield gateway


@pytest.fixture(params=["granian", "edge"])
def door(request: pytest.FixtureRequest, passing: Gateway) -> Door:
    return passing.doors[request.param]


@pytest.fixture
def first(servers: tuple[Server, Server]) -> Server:
    for server in servers:
        server.answer = lambda _asked: told({"ok": True})
        server.asked.clear()
    return servers[0]


@pytest.fixture
def second(servers: tuple[Server, Server], first: Server) -> Server:
    assert first is servers[0]
    return servers[1]


def model() -> Route:
    """A model nobody else asks for."""
    number = 1 + next(_numbers) % (MODELS - 1)
    return Route(f"pair-{number}", f"first-{number}", f"second-{number}")


def post(door: Door, path: str, body: Any, kind: str = JSON) -> Any:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return door.send("POST", path, content, {"content-type": kind})


@pytest.mark.parametrize("endpoint", [name for name in PATHS if name not in ("files", "batches")])
def test_json_goes_on_with_the_model_renamed_and_nothing_else(endpoint: str, first: Server, door: Door) -> None:
    asked = model()
    body = '{"model": "M",\n "n" : 1.50, "prompt":"a \\u00e9 b"}'.replace('"M"', f'"{asked.name}"')
    reply = post(door, f"/v1{PATHS[endpoint]}?beta=true&key=secret", body.encode())
    assert (reply.status, reply.headers["content-type"]) == (200, JSON), reply.body
    assert json.loads(reply.body) == {"ok": True}
    assert (reply.target, reply.attempts) == (asked.first, 1)
    (row,) = first.asked
    assert row.body.decode() == body.replace(asked.name, asked.first)
    assert (row.method, row.path) == ("POST", f"/v1{PATHS[endpoint]}?beta=true")
    assert row.headers["authorization"] == "Bearer canary-of-a"
    assert row.headers["content-type"] == JSON


@pytest.mark.parametrize("fields", ["model first", "model last"])
def test_a_form_goes_on_with_the_model_renamed_wherever_it_stands(fields: str, first: Server, door: Door) -> None:
    asked = model()
    named = {"model": asked.name, "language": "en"}
    body = form(**named, file=NOISE) if fields == "model first" else form(file=NOISE, **named)
    reply = post(door, "/v1/audio/transcriptions", body, FORM)
    assert reply.status == 200, reply.body
    (row,) = first.asked
    assert row.headers["content-type"] == FORM
    assert row.body == body.replace(asked.name.encode(), asked.first.encode())
    assert row.fields == {"model": asked.first.encode(), "language": b"en", "file": NOISE}


def test_sound_comes_back_as_it_is(first: Server, door: Door) -> None:
    first.answer = lambda _asked: Answer(NOISE, "audio/mpeg", headers={"set-cookie": "a=b", "x-ratelimit-limit": "5"})
    reply = post(door, "/v1/audio/speech", {"model": model().name, "input": "hello", "voice": "alloy"})
    assert (reply.status, reply.body) == (200, NOISE)
    assert reply.headers["content-type"] == "audio/mpeg"
    assert reply.headers["x-ratelimit-limit"] == "5"
    assert "set-cookie" not in reply.headers


def test_sound_is_heard_before_its_end_is_there(first: Server, passing: Gateway) -> None:
    go_on = threading.Event()
    first.answer = lambda _asked: Answer([b"begin", b"rest"], "audio/mpeg", go_on=go_on)
    connection = passing.doors["edge"].connect()
    connection.request("POST", "/v1/audio/speech", json.dumps({"model": model().name, "input": "a"}))
    response = connection.getresponse()
    assert response.read1() == b"begin"
    go_on.set()
    assert response.read() == b"rest"
    connection.close()


def test_events_of_a_picture_come_as_they_are_made(first: Server, passing: Gateway, door: Door) -> None:
    go_on = threading.Event()
    partial = b'event: image_generation.partial_image\ndata: {"type":"image_generation.partial_image"}\n\n'
    last = b'data: {"type":"image_generation.completed","usage":{"input_tokens":3,"output_tokens":4}}\n\n'
    first.answer = lambda _asked: Answer([partial, last], "text/event-stream", go_on=go_on)
    connection = door.connect()
    connection.request("POST", "/v1/images/generations", json.dumps({"model": model().name, "stream": True}))
    response = connection.getresponse()
    assert response.getheader("content-type") == "text/event-stream"
    assert response.read1() == partial
    go_on.set()
    assert response.read() == last
    connection.close()


def test_a_stream_that_breaks_off_ends_with_an_error(first: Server, door: Door) -> None:
    first.answer = lambda _asked: Answer([b'data: {"type":"x"}\n\n'], "text/event-stream", ends=False)
    reply = post(door, "/v1/images/generations", {"model": model().name, "stream": True})
    assert reply.events[0] == {"type": "x"}
    assert reply.events[-1]["error"]["code"] == "upstream_truncated"


def test_sound_that_breaks_off_is_seen_to(first: Server, door: Door) -> None:
    first.answer = lambda _asked: Answer([NOISE, NOISE], "audio/mpeg", ends=False)
    reply = post(door, "/v1/audio/speech", {"model": model().name, "input": "a"})
    # granian's door sends such a reply only when it is whole.
    assert not reply.whole or reply.status == 502


def failing(asked: Asked) -> Answer:
    assert asked.method == "POST"
    return told({"error": {"message": "busy", "type": "server_error"}}, 503)


@pytest.mark.parametrize(
    "kind", ["json", "form", "an error that says it is none", "a stream that begins with an error"]
)
def test_what_fails_is_asked_elsewhere(kind: str, first: Server, second: Server, door: Door) -> None:
    first.answer = failing
    error = {"error": {"message": "busy", "type": "server_error", "code": "server_error"}}
    if kind == "an error that says it is none":
        first.answer = lambda _asked: told(error)
    if kind == "a stream that begins with an error":
        first.answer = lambda _asked: Answer([b"data: %b\n\n" % json.dumps(error).encode()], "text/event-stream")
    asked = model()
    if kind == "form":
        reply = post(door, "/v1/audio/transcriptions", form(model=asked.name, file=NOISE), FORM)
    else:
        reply = post(door, "/v1/images/generations", {"model": asked.name, "prompt": "a"})
    assert (reply.status, reply.target, reply.attempts) == (200, asked.second, 2), reply.body
    assert len(first.asked) == 1
    (row,) = second.asked
    assert (row.fields["model"] if kind == "form" else row.json["model"].encode()) == asked.second.encode()


def test_a_target_without_the_endpoint_is_not_asked(first: Server, second: Server, door: Door) -> None:
    reply = post(door, "/v1/images/generations", {"model": "talker", "prompt": "a"})
    assert (reply.status, reply.target, reply.attempts) == (200, "up-b", 1), reply.body
    reply = post(door, "/v1/images/generations", {"model": "mute", "prompt": "a"})
    assert (reply.status, reply.error["code"]) == (404, "model_not_found")
    assert "chat does not serve this endpoint" in reply.error["message"]
    reply = post(door, "/v1/images/generations", {"model": "mock/echo", "prompt": "a"})
    assert reply.status == 404
    assert first.asked == []
    assert len(second.asked) == 1


def test_any_model_of_a_provider_can_be_asked_for(second: Server, door: Door) -> None:
    reply = post(door, "/v1/audio/transcriptions", form(file=b"a", model="b/org/whisper"), FORM)
    assert reply.status == 200, reply.body
    assert second.asked[0].fields["model"] == b"org/whisper"


def test_azures_addresses_name_the_model(first: Server, door: Door) -> None:
    asked = model()
    reply = post(door, f"/openai/deployments/{asked.name}/images/generations?api-version=2025-01-01", {"prompt": "a"})
    assert reply.status == 200, reply.body
    assert first.asked[0].json == {"model": asked.first, "prompt": "a"}
    reply = post(door, f"/openai/deployments/{asked.name}/audio/transcriptions", form(file=b"a"), FORM)
    assert reply.status == 200, reply.body
    assert first.asked[1].fields == {"model": asked.first.encode(), "file": b"a"}


def test_files_are_kept_by_whom_the_configuration_names(first: Server, second: Server, door: Door) -> None:
    upload = form(purpose="batch", file=NOISE)
    listed = b'{"error": "a file may hold anything"}\n{"b":'
    answers = {
        ("POST", "/v1/files"): told({"id": "file-1"}),
        ("GET", "/v1/files?limit=2&after=x"): told({"data": []}),
        ("GET", "/v1/files/file%201"): told({"id": "file 1"}),
        ("GET", "/v1/files/file-1/content"): Answer(
            listed, headers={"content-disposition": 'attachment; filename="a"'}
        ),
        ("GET", "/v1/files/lines"): Answer(listed, "application/jsonl"),
        ("DELETE", "/v1/files/file-1"): told({"deleted": True}),
        ("POST", "/v1/batches"): told({"id": "batch-1", "errors": None}),
        ("POST", "/v1/batches/batch-1/cancel"): told({"status": "cancelling"}),
    }
    first.answer = lambda asked: answers[asked.method, asked.path]
    assert json.loads(post(door, "/v1/files", upload, FORM).body) == {"id": "file-1"}
    assert first.asked[-1].body == upload
    assert json.loads(door.send("GET", "/v1/files?limit=2&after=x").body) == {"data": []}
    assert json.loads(door.send("GET", "/v1/files/file%201").body) == {"id": "file 1"}
    content = door.send("GET", "/v1/files/file-1/content")
    assert (content.status, content.body) == (200, listed)
    assert content.headers["content-disposition"] == 'attachment; filename="a"'
    assert door.send("GET", "/v1/files/lines").body == listed
    assert json.loads(door.send("DELETE", "/v1/files/file-1").body) == {"deleted": True}
    assert json.loads(post(door, "/v1/batches", {"input_file_id": "file-1"}).body)["id"] == "batch-1"
    assert first.asked[-1].body == b'{"input_file_id": "file-1"}'
    assert json.loads(door.send("POST", "/v1/batches/batch-1/cancel").body) == {"status": "cancelling"}
    assert second.asked == []
    assert all(row.headers["authorization"] == "Bearer canary-of-a" for row in first.asked)


def test_a_file_that_is_not_there_says_nothing_against_its_provider(first: Server, door: Door) -> None:
    error = {
        "error": {"message": "No such File object: x", "type": "invalid_request_error", "param": "id", "code": None}
    }
    first.answer = lambda _asked: told(error, 404)
    for _ in range(8):
        reply = door.send("GET", "/v1/files/x")
        assert (reply.status, json.loads(reply.body)) == (404, error)
    assert len(first.asked) == 8, "the provider is still asked"
    first.answer = lambda _asked: told({"data": []})
    assert door.send("GET", "/v1/files").status == 200


def test_a_file_of_somebody_elses_says_nothing_against_its_provider(first: Server, door: Door) -> None:
    error = {"error": {"message": "no access", "type": "invalid_request_error", "param": None, "code": None}}
    first.answer = lambda _asked: told(error, 403)
    for path in ("/v1/files/x", "/v1/files"):
        assert door.send("GET", path).status == 502
        first.answer = lambda _asked: told({"data": []})
        assert door.send("GET", "/v1/files").status == 200, path
        first.answer = lambda _asked: told(error, 403)


def test_a_model_may_be_missing_where_the_configuration_names_one(first: Server, door: Door) -> None:
    assert post(door, "/v1/moderations", {"input": "a"}).status == 200
    assert first.asked[0].json == {"model": "first-0", "input": "a"}
    reply = post(door, "/v1/images/generations", {"prompt": "a"})
    assert (reply.status, reply.error["code"], reply.error["param"]) == (400, "missing_required_parameter", "model")
    assert "routing.endpoints.images_generations" in reply.error["message"]


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        (("/v1/audio/speech", b'{"model":', JSON), "invalid_json"),
        (("/v1/audio/speech", b'{"model":""}', JSON), "invalid_value"),
        (("/v1/audio/speech", b'{"model":7}', JSON), "invalid_type"),
        (("/v1/audio/transcriptions", form(model="a")[:-9], FORM), "invalid_form"),
        (("/v1/audio/transcriptions", form(model="a"), "multipart/form-data"), "invalid_form"),
        (("/v1/audio/transcriptions", form(model=""), FORM), "invalid_value"),
        (("/v1/audio/transcriptions", b"", FORM), "invalid_form"),
        (("/v1/audio/transcriptions", form(model="a", modem="b").replace(b"modem", b"model"), FORM), "invalid_form"),
    ],
)
def test_what_cannot_be_understood_is_refused(
    asked: tuple[str, bytes, str], code: str, first: Server, door: Door
) -> None:
    reply = post(door, *asked)
    assert (reply.status, reply.error["code"]) == (400, code), reply.body
    assert first.asked == []


def test_methods_and_places_that_are_not_there_are_told(first: Server, door: Door) -> None:
    assert door.send("GET", "/v1/moderations").headers["allow"] == "POST"
    assert door.send("PUT", "/v1/files").headers["allow"] == "GET, POST, DELETE"
    for nowhere in ("/v1/files/%2e%2e/models", "/v1/files/a%2f%2fb", "/v1beta/files", "/v2/files", "/v1/images"):
        assert door.send("GET", nowhere).status == 404, nowhere
    assert door.send("GET", "/v1/files", headers={"anthropic-version": "2023-06-01"}).status == 404
    assert first.asked == []


def test_a_body_beyond_the_limit_is_refused(first: Server, door: Door) -> None:
    reply = post(door, "/v1/files", form(purpose="batch", file=bytes(16 << 20)), FORM)
    assert (reply.status, reply.error["code"]) == (413, "request_too_large")
    assert first.asked == []


def test_each_request_is_on_record_under_its_endpoint(
    first: Server, door: Door, folder_of_gateway: Path, passing: Gateway
) -> None:
    first.answer = lambda _asked: told({"usage": {"input_tokens": 5, "output_tokens": 7}, "data": []})
    asked = model()
    reply = post(door, "/v1/images/generations", {"model": asked.name, "prompt": "a"})

    def ended() -> dict[str, Any] | None:
        journal = Journal(journal_of(folder_of_gateway, passing))
        intents = [row for row in journal.of("intent") if row["request_id"] == reply.headers["x-request-id"]]
        settles = [journal.settles.get(row["attempt"]) for row in intents]
        return {**intents[0], **settles[0]} if settles and settles[0] else None

    row = eventually(ended, "settled")
    assert row is not None
    assert (row["dialect"], row["model"], row["target"]) == ("images_generations", asked.name, f"a/{asked.first}")
    assert (row["state"], row["status"], row["prompt_tokens"], row["completion_tokens"]) == ("complete", 200, 5, 7)


def test_the_only_provider_that_has_an_endpoint_needs_no_entry(first: Server, serve: Serve) -> None:
    has = {"speaks": {"files": "/files"}, "address": f"{first.origin}/v1"}
    listen = {"port": 0, "edge_port": 0, "admin_port": free_port()}
    alone = serve({"listen": listen, "providers": {"a": has}})
    assert alone.doors["edge"].send("GET", "/v1/files").status == 200
    both = serve({"listen": {**listen, "admin_port": free_port()}, "providers": {"a": has, "b": has}})
    for door in both.doors.values():
        reply = door.send("GET", "/v1/files")
        assert (reply.status, reply.error["code"]) == (400, "missing_required_parameter")
        assert "routing.endpoints.files" in reply.error["message"]
