"""A model that a client names as `provider/model` is spoken to as the same model under a public name."""

import json
from typing import Any

import pytest

from flow.rig import CHAT, Door, Serve, Upstream, free_port

DOORS = ("granian", "edge")


def configuration(upstream: str) -> dict[str, Any]:
    chat = {"dialect": "openai_chat", "address": f"{upstream}/v1", "key": "canary-chat-key"}
    messages = {"speaks": {"anthropic_messages": "/messages"}, "address": f"{upstream}/v1", "key": "canary-key"}
    listen = {"port": 0, "edge_port": 0, "admin_port": free_port()}
    models = {"short": {"targets": ["openai/gpt-5"]}, "thinker": {"targets": ["anthropic/claude-sonnet-4-5-20250929"]}}
    providers = {"openai": chat, "anthropic": {**messages, "key_header": "x-api-key"}, "mine": chat}
    return {"listen": listen, "providers": providers, "models": models}


def asked(door: Door, path: str, model: str, **more: Any) -> None:
    body = {"model": model, "messages": [{"role": "user", "content": "how is it?"}], **more}
    reply = door.send("POST", path, json.dumps(body))
    assert reply.status == 200, reply.body


@pytest.mark.parametrize("door_name", DOORS)
def test_what_is_known_of_a_model_holds_however_it_is_named(door_name: str, serve: Serve, upstream: Upstream) -> None:
    door = serve(configuration(upstream.origin)).doors[door_name]
    asked(door, CHAT, "short", max_tokens=50, temperature=0.5)
    asked(door, CHAT, "openai/gpt-5", max_tokens=50, temperature=0.5)
    asked(door, CHAT, "openai/gpt-5-2025-08-07", max_tokens=50, temperature=0.5)
    asked(door, CHAT, "mine/gpt-5", max_tokens=50, temperature=0.5)
    configured, named, snapshot, elsewhere = [json.loads(row["body"]) for row in upstream.rows()]
    assert configured["max_completion_tokens"] == 50
    assert "max_tokens" not in configured
    assert named == configured
    assert {**snapshot, "model": configured["model"]} == configured
    # Whoever runs a server of their own knows what is behind a name, and nobody else does.
    assert (elsewhere["max_tokens"], elsewhere["temperature"]) == (50, 0.5)


@pytest.mark.parametrize("door_name", DOORS)
def test_a_limit_that_the_client_need_not_give_is_the_models_own(
    door_name: str, serve: Serve, upstream: Upstream
) -> None:
    door = serve(configuration(upstream.origin)).doors[door_name]
    for name in ("thinker", "anthropic/claude-sonnet-4-5", "anthropic/claude-sonnet-4-5-20310101", "anthropic/other"):
        asked(door, CHAT, name)
    limits = [json.loads(row["body"])["max_tokens"] for row in upstream.rows()]
    assert limits == [64_000, 64_000, 64_000, 4_096]
