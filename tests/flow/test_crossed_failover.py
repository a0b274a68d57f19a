"""Targets of different dialects behind one model: what one of them fails at, another does, and no client sees which."""

import itertools
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from flow.rig import Door, Gateway, Upstream, free_port, serving
from flow.test_client_dialects import Client
from flow.test_target_dialects import ALL, NATIVE, STREAMS, ask, rule

MODELS = 320
WAIT_S = 7
PATHS = {
    "openai_chat": "/chat/completions",
    "anthropic_messages": "/messages",
    **{dialect: path for dialect, (path, _, _) in STREAMS.items()},
}
FOREIGN = list(NATIVE)
_numbers = {dialect: itertools.count() for dialect in FOREIGN}


def configuration(upstream: str) -> dict[str, Any]:
    def provider(speaks: dict[str, str]) -> dict[str, Any]:
        return {"speaks": speaks, "address": f"{upstream}/v1", "key": "canary"}

    providers = {dialect: provider({dialect: path}) for dialect, path in NATIVE.items()}
    providers["openai_chat"] = provider({"openai_chat": "/chat/completions"})
    models: dict[str, Any] = {}
    for dialect, number in itertools.product(NATIVE, range(MODELS)):
        name, ways = f"{dialect}-{number}", (dialect, "openai_chat")
        pair = [f"{way}/{name}-{place}" for way, place in zip(ways, ("first", "second"), strict=True)]
        back = [f"{way}/{name}-{place}" for way, place in zip(reversed(ways), ("first", "second"), strict=True)]
        models[name] = {"targets": pair, "patience": {"retry_empty": True}}
        models[f"back-{name}"] = {"targets": back, "patience": {"retry_empty": True}}
        models[f"alone-{name}"] = {"targets": pair[:1], "patience": {"retry_empty": True}}
    listen = {"port": 0, "edge_port": 0, "admin_port": free_port()}
    return {"listen": listen, "providers": providers, "models": models}


@pytest.fixture(scope="module")
def crossing(tmp_path_factory: pytest.TempPathFactory, shared_upstream: Upstream) -> Iterator[Gateway]:
    with serving(configuration(shared_upstream.origin), tmp_path_factory.mktemp("crossing")) as gateway:
        yield gateway


@pytest.fixture(params=["granian", "edge"])
def door(request: pytest.FixtureRequest, crossing: Gateway) -> Door:
    return crossing.doors[request.param]


@pytest.fixture(params=list(ALL))
def client(request: pytest.FixtureRequest) -> Client:
    return ALL[request.param]


def names(dialect: str) -> str:
    """A model nobody else asks for; with `back-` before it the dialects are the other way round."""
    number = next(_numbers[dialect])
    assert number < MODELS
    return f"{dialect}-{number}"


def event(content: Any, kind: str | None = None) -> str:
    return (f"event: {kind}\n" if kind else "") + f"data: {json.dumps(content)}\n\n"


BUSY = {"type": "server_error", "code": "server_error", "message": "busy"}
FAILED = {"type": "response.failed", "response": {"id": "r", "status": "failed", "output": [], "error": BUSY}}
UNAVAILABLE = {"error": {"code": 503, "message": "busy", "status": "UNAVAILABLE"}}
OVERLOADED = {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}
ENDED = {"type": "message-end", "delta": {"finish_reason": "ERROR", "error": "busy"}}
ERRORS = {
    "openai_chat": event({"error": BUSY}),
    "openai_responses": event(FAILED, "response.failed"),
    "anthropic_messages": event(OVERLOADED, "error"),
    "gemini": event(UNAVAILABLE),
    "cohere_v2": event(ENDED, "message-end"),
    "ollama": json.dumps({"error": "busy"}) + "\n",
}
"""How a stream says that it failed."""
ERROR_IS = {"anthropic_messages": (503, "overloaded"), "gemini": (503, "overloaded")}
"""Those of them that say how."""
BEGINNINGS = {
    "openai_chat": event({"id": "c", "choices": [{"index": 0, "delta": {"role": "assistant"}}]}),
    "openai_responses": event({"type": "response.created", "response": {"id": "r", "output": []}}, "response.created"),
    "anthropic_messages": event({"type": "message_start", "message": {"id": "m", "content": []}}, "message_start"),
    "gemini": event({"candidates": [{"content": {"role": "model", "parts": []}, "index": 0}]}),
    "cohere_v2": event({"type": "message-start", "id": "c", "delta": {"message": {"role": "assistant"}}}),
    "ollama": "",
}
"""What comes before any content."""
EMPTY = {
    "openai_chat": {
        "choices": [{"index": 0, "message": {"role": "assistant", "content": ""}, "finish_reason": "stop"}]
    },
    "openai_responses": {"object": "response", "id": "r", "status": "completed", "output": []},
    "anthropic_messages": {
        "type": "message",
        "role": "assistant",
        "content": [],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 1, "output_tokens": 0},
    },
    "gemini": {"candidates": [{"content": {"role": "model", "parts": []}, "finishReason": "STOP", "index": 0}]},
    "cohere_v2": {"id": "c", "finish_reason": "COMPLETE", "message": {"role": "assistant", "content": []}},
    "ollama": {"message": {"role": "assistant", "content": ""}, "done": True, "done_reason": "stop"},
}
"""Proper replies without a word."""


class Failing(NamedTuple):
    """What a target does in place of an answer, and what a client of chat is told where nobody else is there."""

    steps: list[Any]
    status: int
    code: str
    wait_s: int | None = None


def kind_of(dialect: str, stream: bool) -> dict[str, Any]:
    framing = "application/x-ndjson" if dialect == "ollama" else "text/event-stream"
    return {"head": {"content_type": framing if stream else "application/json"}}


def failures(dialect: str, stream: bool) -> dict[str, Failing]:
    head, begun = kind_of(dialect, stream), BEGINNINGS[dialect]
    limited = {"code": 429, "headers": {"retry-after": str(WAIT_S)}}
    whole = json.dumps(EMPTY[dialect])
    all_ways = {
        "limited": Failing([{"status": limited}], 429, "rate_limit_exceeded", WAIT_S),
        "overloaded": Failing([{"status": {"code": 503}}], 503, "overloaded"),
        "a page": Failing([{"status": {"code": 200, "body": "<html>busy</html>"}}], 502, "upstream_malformed"),
        "nothing": Failing([{"status": {"code": 200, "body": ""}}], 502, "upstream_malformed"),
    }
    if not stream:
        half = [head, {"cut": {"after_bytes": len(whole) // 2, "of": "body"}}, {"send": {"utf8": whole}}]
        return {
            **all_ways,
            "cut": Failing(half, 502, "upstream_truncated"),
            "empty": Failing([head, {"send": {"utf8": whole}}], 502, "upstream_malformed"),
        }
    return {
        **all_ways,
        "cut": Failing(
            [head, {"send": {"utf8": f"{begun}: so\n\n" if begun else " "}}, "close"], 502, "upstream_truncated"
        ),
        "reset": Failing([head, {"send": {"utf8": begun or " "}}, "reset"], 502, "upstream_truncated"),
        "error": Failing(
            [head, {"send": {"utf8": begun + ERRORS[dialect]}}], *ERROR_IS.get(dialect, (502, "upstream_error"))
        ),
    }


def scripted(dialect: str, stream: bool, steps: list[Any]) -> dict[str, Any]:
    path = PATHS[dialect]
    return rule("", *steps, path=path if stream else path.replace(":streamGenerateContent", ":generateContent"))


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("dialect", FOREIGN)
def test_what_a_target_of_another_dialect_fails_at_is_answered_elsewhere(
    dialect: str, stream: bool, client: Client, upstream: Upstream, door: Door
) -> None:
    for name, failing in failures(dialect, stream).items():
        model = names(dialect)
        upstream.script(scripted(dialect, stream, failing.steps))
        reply = ask(door, client, model, stream=stream)
        about = f"{name}: {reply.body[:500]!r}"
        assert (reply.status, reply.target, reply.attempts) == (200, f"{model}-second", 2), about
        assert reply.whole, about
        if stream:
            assert client.ends(reply.events), about
        else:
            assert client.text(json.loads(reply.body)), about


@pytest.mark.parametrize("dialect", FOREIGN)
def test_a_target_of_another_dialect_answers_where_chat_fails(
    dialect: str, client: Client, upstream: Upstream, door: Door
) -> None:
    for name, failing in failures("openai_chat", True).items():
        model = names(dialect)
        steps: list[Any] = [{"events": {"count": 2, "text": "so "}}, {"finish": {}}, "done"]
        if dialect in STREAMS:
            _, kind, said = STREAMS[dialect]
            steps = [{"head": {"content_type": kind}}, {"send": {"utf8": said()}}]
        upstream.script(scripted("openai_chat", True, failing.steps), scripted(dialect, True, steps))
        reply = ask(door, client, f"back-{model}", stream=True)
        about = f"{name}: {reply.body[:500]!r}"
        assert (reply.status, reply.target, reply.attempts) == (200, f"{model}-second", 2), about
        assert client.streamed(reply.events).strip() == "so so", about
        assert client.ends(reply.events), about


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("dialect", FOREIGN)
def test_where_nobody_else_is_the_client_is_told_as_the_table_of_faults_says(
    dialect: str, stream: bool, client: Client, upstream: Upstream, door: Door
) -> None:
    for name, failing in failures(dialect, stream).items():
        upstream.script(scripted(dialect, stream, failing.steps))
        reply = ask(door, client, f"alone-{names(dialect)}", stream=stream)
        about = f"{name}: {reply.body[:500]!r}"
        # Anthropic's word for 503 is 529.
        assert reply.status in {failing.status, 529 if failing.status == 503 else failing.status}, about
        assert client is not ALL["openai_chat"] or reply.error["code"] == failing.code, about
        wait_s = reply.headers.get("retry-after")
        assert (wait_s and int(wait_s)) == failing.wait_s, about
        assert reply.headers["x-should-retry"] == ("true" if failing.wait_s else "false"), about


@pytest.mark.parametrize("dialect", list(STREAMS))
def test_an_error_behind_content_ends_the_stream_in_the_clients_words(
    dialect: str, client: Client, upstream: Upstream, door: Door
) -> None:
    model = names(dialect)
    _, kind, said = STREAMS[dialect]
    whole = said()
    # Up to the first word of the model's, whole events only.
    end = "\n" if dialect == "ollama" else ("\r\n\r\n" if dialect == "gemini" else "\n\n")
    begun = whole[: whole.index(end, whole.index("so ")) + len(end)]
    for last in (ERRORS[dialect], ""):
        steps = [{"head": {"content_type": kind}}, {"send": {"utf8": begun + last}}]
        upstream.script(scripted(dialect, True, [*steps, {"delay": {"ms": 30}}, "close"]))
        reply = ask(door, client, model, stream=True)
        assert (reply.status, reply.target, reply.attempts) == (200, f"{model}-first", 1), reply.body
        assert client.streamed(reply.events).strip() == "so", reply.body
        assert not client.ends(reply.events), reply.body
        if last and dialect != "cohere_v2":
            assert b"busy" in reply.body, "in the provider's words"
        else:
            assert client.fails(reply), reply.body


def test_a_target_without_words_for_a_request_is_passed_over_and_named(upstream: Upstream, door: Door) -> None:
    upstream.script()
    model = names("anthropic_messages")
    for stream in (False, True):
        reply = door.ask(model, n=2, stream=stream)
        assert (reply.status, reply.target, reply.attempts) == (200, f"{model}-second", 1), reply.body
        assert reply.headers["x-fastroute-passed-over"] == f"anthropic_messages/{model}-first"
    assert {row["model"] for row in upstream.rows()} == {f"{model}-second"}
    # Nothing is held against it: what it has words for it is asked, and first.
    reply = door.ask(model)
    assert (reply.status, reply.target) == (200, f"{model}-first")
    assert "x-fastroute-passed-over" not in reply.headers


UNSAYABLE: dict[str, tuple[dict[str, Any], Any]] = {
    "openai_chat": ({"n": 2}, "invalid_request"),
    "openai_responses": ({"previous_response_id": "resp_1"}, "previous_response_not_found"),
    "gemini": ({"generationConfig": {"candidateCount": 2}}, "INVALID_ARGUMENT"),
}
"""What Anthropic's dialect has no words for, and how its client reads that nobody has."""


@pytest.mark.parametrize("dialect", list(UNSAYABLE))
def test_what_nobody_has_words_for_is_told_in_the_clients_form(dialect: str, upstream: Upstream, door: Door) -> None:
    upstream.script()
    client, (more, code) = ALL[dialect], UNSAYABLE[dialect]
    model = f"alone-{names('anthropic_messages')}"
    reply = door.send("POST", client.path(model, False), json.dumps({**client.body(model, False), **more}))
    assert (reply.status, reply.attempts) == (400, 0), reply.body
    assert client.error(json.loads(reply.body))[1] == code, reply.body
    assert reply.headers["x-should-retry"] == "false"
    assert upstream.rows() == []
