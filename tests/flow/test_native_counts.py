"""Tokens are counted by the provider that will answer, where it counts in the client's dialect."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest

from flow.passing import Server, told
from flow.rig import Door, Gateway, free_port, serving

NATIVE = {
    "anthropic_messages": "/messages",
    "anthropic_messages_tokens": "/messages/count_tokens",
    "openai_responses": "/responses",
    "openai_responses_tokens": "/responses/input_tokens",
    "gemini": "/models/{model}:generateContent",
    "gemini_tokens": "/models/{model}:countTokens",
}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


@pytest.fixture(scope="module")
def counting(tmp_path_factory: pytest.TempPathFactory, server: Server) -> Iterator[Gateway]:
    config = {
        "listen": {"port": 0, "edge_port": 0, "admin_port": free_port()},
        "providers": {
            "chat": {"dialect": "openai_chat", "address": f"{server.origin}/v1"},
            "native": {"speaks": NATIVE, "address": f"{server.origin}/v1", "key": "canary-of-n"},
        },
        "models": {
            "counted": {"targets": ["native/up-n", "chat/none"]},
            "estimated": {"targets": ["chat/none", "native/up-n"]},
        },
    }
    with serving(config, tmp_path_factory.mktemp("counting")) as gateway:
        yield gateway


@pytest.fixture(params=["granian", "edge"])
def door(request: pytest.FixtureRequest, counting: Gateway) -> Door:
    return counting.doors[request.param]


@pytest.fixture
def first(server: Server) -> Server:
    server.asked.clear()
    return server


COUNTS: dict[str, tuple[str, str, dict[str, Any], str]] = {
    "anthropic": (
        "/v1/messages/count_tokens?beta=true",
        "/v1/messages/count_tokens?beta=true",
        {"model": "MODEL", "messages": [{"role": "user", "content": "hello"}]},
        "input_tokens",
    ),
    "responses": (
        "/v1/responses/input_tokens",
        "/v1/responses/input_tokens",
        {"model": "MODEL", "input": "hello"},
        "input_tokens",
    ),
    "gemini": (
        "/v1beta/models/MODEL:countTokens",
        "/v1/models/up-n:countTokens",
        {"contents": [{"role": "user", "parts": [{"text": "hello"}]}]},
        "totalTokens",
    ),
    "gemini, wrapped": (
        "/v1beta/models/MODEL:countTokens",
        "/v1/models/up-n:countTokens",
        {
            "generateContentRequest": {
                "contents": [{"role": "user", "parts": [{"text": "hello"}]}],
                "model": "models/MODEL",
            }
        },
        "totalTokens",
    ),
}


@pytest.mark.parametrize("protocol", list(COUNTS))
def test_tokens_are_counted_by_whoever_will_answer(protocol: str, first: Server, door: Door) -> None:
    path, theirs, body, field = COUNTS[protocol]

    def ask(model: str) -> Any:
        asked = json.dumps(body).replace("MODEL", model).encode()
        return door.send("POST", path.replace("MODEL", model), asked, {"anthropic-beta": "a-1"})

    first.answer = lambda _asked: told({field: 4711})
    reply = ask("counted")
    assert (reply.status, json.loads(reply.body)) == (200, {field: 4711})
    (row,) = first.asked
    assert (row.path, row.body) == (theirs, json.dumps(body).replace("MODEL", "up-n").encode())
    assert row.headers.get("anthropic-beta") == ("a-1" if protocol == "anthropic" else None)

    assert json.loads(ask("estimated").body)[field] < 20
    assert len(first.asked) == 1, "the first target does not count, and another one's count says nothing of it"

    for status in (403, 404, 429):
        first.answer = lambda _asked, status=status: told({"error": {"message": "busy"}}, status)
        for _ in range(3):
            assert json.loads(ask("counted").body)[field] < 20, "our own count is better than none"
        first.answer = lambda _asked: told({field: 4711})
        assert json.loads(ask("counted").body)[field] == 4711, "it says nothing of the model"
    first.answer = lambda _asked: told({"error": {"message": "busy"}}, 503)
    assert json.loads(ask("counted").body)[field] < 20

    said = {"error": {"message": "no such knob", "type": "invalid_request_error"}}
    first.answer = lambda _asked: told(said, 400)
    reply = ask("counted")
    assert reply.status == 400
    assert json.loads(reply.body)["error"]["message"] == "no such knob"


def test_a_proof_of_another_maker_is_not_sent_to_be_counted(first: Server, door: Door) -> None:
    first.answer = lambda _asked: told({"input_tokens": 4711})
    proof = base64.b64encode(b"fastroute:gemini/call:cHJvb2Y=").decode()
    call = {"type": "tool_use", "id": "call_1", "name": "look", "input": {}, "signature": proof}
    messages = [
        {"role": "user", "content": "look"},
        {"role": "assistant", "content": [call]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "call_1", "content": "blue"}]},
    ]
    body = {"model": "counted", "messages": messages}
    reply = door.send("POST", "/v1/messages/count_tokens", json.dumps(body).encode())
    assert reply.status == 200, reply.body
    assert 0 < json.loads(reply.body)["input_tokens"] < 4711
    assert first.asked == []
