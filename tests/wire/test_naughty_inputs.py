"""Inputs that have broken other programs, wherever a client can write: never a fault of ours, never a word lost."""

import json
import os
import socket
import time
import urllib.parse
import zlib
from pathlib import Path
from typing import Any

import pytest

from flow.rig import CHAT, Door, Gateway, Route, Upstream, chat, read
from wire.naughty import NAUGHTY
from wire.test_framing import START, chunks

REFUSED = {400, 404}
HEADERS = ["x-request-id", "x-client-request-id", "idempotency-key", "traceparent", "tracestate", "openai-beta"]
HEADERS += ["user-agent", "accept", "content-type", "cookie", "x-mine"]
REFUSAL_MS = 200
MEMORY_BYTES = 32 << 20


def test_there_are_enough_of_them() -> None:
    assert len(NAUGHTY) > 200


def test_a_naughty_text_in_a_body_reaches_the_upstream_as_it_is(door: Door, upstream: Upstream, route: Route) -> None:
    connection = door.connect()
    for text in NAUGHTY:
        message = {"role": "user", "content": text, "name": text}
        tool = {"type": "function", "function": {"name": text, "description": text, "parameters": {"title": text}}}
        body = {"model": route.name, "messages": [message], "user": text, "metadata": {text: text}, "tools": [tool]}
        body |= {"stop": [text], f"x-{text}": text}
        connection.request("POST", CHAT, json.dumps(body, ensure_ascii=len(text) % 2 == 0).encode())
        reply = read(connection.getresponse())
        assert reply.status == 200, repr(text)
        upstream_body = upstream.rows(route.first)[-1]["body"] if len(text) < 100 else None
        if upstream_body is not None:
            assert json.loads(upstream_body) == body | {"model": route.first}, repr(text)
    connection.close()


def test_a_naughty_model_is_unknown_and_nothing_worse(door: Door, gateway: Gateway, upstream: Upstream) -> None:
    written = len(gateway.command.output)
    connection = door.connect()
    for text in NAUGHTY:
        for path, body in ((CHAT, chat(text)), ("/v1/embeddings", json.dumps({"model": text, "input": text}).encode())):
            connection.request("POST", path, body)
            reply = read(connection.getresponse())
            if text.startswith("up/") and reply.status == 200:
                continue  # what follows a provider's name is the provider's affair
            assert reply.status in REFUSED, repr(text)
            assert set(reply.error) == {"message", "type", "param", "code"}
        for path in (f"/v1/models/{urllib.parse.quote(text, safe='')}", f"/livez?{urllib.parse.quote(text)}"):
            connection.request("GET", path)
            assert read(connection.getresponse()).status in (REFUSED | {200}), repr(text)
    connection.close()
    assert all(row["path"] in (CHAT, "/v1/embeddings") for row in upstream.rows())
    for line in gateway.command.output[written:].splitlines():
        assert isinstance(json.loads(line), dict), line


def test_a_naughty_header_is_refused_or_ignored(door: Door, upstream: Upstream, route: Route) -> None:
    body = chat(route.name)
    for text in NAUGHTY:
        fields = b"".join(name.encode() + b": " + text.encode() + b"\r\n" for name in HEADERS)
        head = START.replace(b"content-type: application/json\r\n", b"") + b"connection: close\r\n" + fields
        with door.socket() as client:
            client.sendall(head + b"content-length: %d\r\n\r\n" % len(body) + body)
            answer = b"".join(iter(lambda: client.recv(65_536), b""))
        # Longer than a head may be, or with a line end inside, it is no header; any other is, and means nothing here.
        assert answer[9:12] in (b"200", b"400", b"431"), repr(text)
        assert answer[9:12] == b"200" or len(text) >= 1_000 or any(byte < 32 or byte == 127 for byte in text.encode())


BIG = {
    "a deep array": b"[" * 100_000 + b"]" * 100_000,
    "a deep object": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "a number beyond a float": b"1e400",
    "half a character": b'"\\ud83d"',
}


@pytest.mark.parametrize("value", BIG.values(), ids=BIG.keys())
def test_what_is_too_much_is_refused_soon_and_costs_no_memory(value: bytes, door: Door, gateway: Gateway) -> None:
    body = chat("half-dead").removesuffix(b"}") + b',"x":' + value + b"}"
    before = gateway.memory_bytes
    began = time.monotonic()
    reply = door.post(body)
    assert reply.status == 400
    assert time.monotonic() - began < 1.0
    assert gateway.memory_bytes - before < MEMORY_BYTES


def test_a_client_that_sends_on_behind_its_refusal_still_reads_it(gateway: Gateway) -> None:
    body = b"}" + b" " * (600 << 10)
    with gateway.doors["edge"].socket() as client:
        client.sendall(START + b"content-length: %d\r\n\r\n" % len(body) + body[:1000])
        # The refusal is on its way before the rest is: unread bytes of it would reset the connection.
        assert client.recv(12, socket.MSG_PEEK) == b"HTTP/1.1 400"
        client.sendall(body[1000:])
        assert client.recv(65_536).startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize("count, status", [(10_000, 200), (10_001, 400)])
def test_a_request_may_have_ten_thousand_messages(count: int, status: int, door: Door, route: Route) -> None:
    reply = door.post(json.dumps({"model": route.name, "messages": [{"role": "user", "content": ""}] * count}).encode())
    assert reply.status == status
    assert status == 200 or reply.error["code"] == "invalid_value"


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens", "n"])
@pytest.mark.parametrize("value", ["-1", "1.5", "1e2", "9223372036854775808", "1e30"])
def test_a_count_that_is_none_is_refused_with_its_name(name: str, value: str, door: Door, route: Route) -> None:
    reply = door.post(chat(route.name).removesuffix(b"}") + f',"{name}":{value}}}'.encode())
    assert (reply.status, reply.error["code"], reply.error["param"]) == (400, "invalid_type", name)


def bomb() -> bytes:
    """10 MB of zeros, in 10 KB."""
    return zlib.compress(bytes(10_000_000), 9)


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "gzip, gzip", "x-gzip", "identity, deflate"])
def test_a_bomb_is_refused_by_its_coding_and_never_opened(
    coding: str, door: Door, gateway: Gateway, upstream: Upstream
) -> None:
    before = gateway.memory_bytes
    for transfer in ({}, {"transfer-encoding": "chunked"}):
        sent: Any = bomb()
        began = time.monotonic()
        reply = door.post(chunks(sent) if transfer else sent, {"content-encoding": coding, **transfer})
        assert reply.status == 415
        assert (time.monotonic() - began) * 1000 < REFUSAL_MS + 800, "on a machine that may be busy"
    assert gateway.memory_bytes - before < MEMORY_BYTES
    assert upstream.rows() == []


@pytest.mark.skipif("FASTROUTE_CORPORA" not in os.environ, reason="FASTROUTE_CORPORA is not set: 283 cases skipped")
def test_the_parsing_corpus_gets_its_verdicts_through_both_doors(door: Door, upstream: Upstream, route: Route) -> None:
    """Valid documents are accepted and invalid ones refused, as the value of a member nobody knows."""
    folder = Path(os.environ["FASTROUTE_CORPORA"]) / "json"
    cases = {path.name: path.read_bytes() for path in sorted(folder.glob("[yn]_*.json"))}
    assert len(cases) == 95 + 188
    wrong: list[str] = []
    for name, case in cases.items():
        status = door.post(chat(route.name).removesuffix(b"}") + b',"x_unknown":' + case + b"}").status
        if status != (200 if name.startswith("y_") else 400):
            wrong.append(f"{name}: {status}")
    assert wrong == []
