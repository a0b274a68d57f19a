"""What a client may not do: each bound answers in OpenAI's shape, names what is wrong and never repeats the body."""

import json
import socket
import time
from typing import Any

import pytest

from flow.rig import (
    CHAT,
    Door,
    Gateway,
    Reply,
    Route,
    Serve,
    Upstream,
    chat,
    configuration,
    eventually,
    free_port,
    read,
)

CANARY = "canary-of-the-prompt"
GRACE_S = 2.0
POST = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n"


def refused(reply: Reply, status: int, code: str | None = None) -> None:
    assert reply.status == status, reply
    assert set(reply.error) == {"message", "type", "param", "code"}
    assert code is None or reply.error["code"] == code
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["x-request-id"]
    assert reply.headers["x-should-retry"] in ("true", "false")
    assert ("retry-after" in reply.headers) == (reply.headers["x-should-retry"] == "true")
    assert CANARY.encode() not in reply.body


def test_a_body_that_says_it_is_too_long_is_refused_before_it_is_read(upstream: Upstream, door: Door) -> None:
    connection = door.connect()
    connection.putrequest("POST", CHAT)
    connection.putheader("content-length", str((1 << 20) + 1))
    connection.endheaders(b'{"model":')
    refused(read(connection.getresponse()), 413, "request_too_large")
    assert upstream.rows() == []


def test_a_body_that_grows_too_long_is_refused_while_it_comes(upstream: Upstream, door: Door) -> None:
    def pieces() -> Any:
        yield b'{"model":"m","messages":[{"role":"user","content":"' + CANARY.encode()
        for _ in range(40):
            yield b"x" * 65_536

    connection = door.connect()
    connection.request("POST", CHAT, pieces(), {"transfer-encoding": "chunked"}, encode_chunked=True)
    refused(read(connection.getresponse()), 413, "request_too_large")
    assert upstream.rows() == []


@pytest.mark.parametrize("announced, status", [(True, 413), (False, 400)])
def test_whoever_sends_on_behind_a_refusal_still_reads_it(
    announced: bool, status: int, upstream: Upstream, door: Door
) -> None:
    """More than the buffers between us hold; a client that writes its whole body before it reads must not be reset."""
    piece, pieces = b"x" * 65_536, 24 * 16
    headers = {"content-length": str(len(piece) * pieces)} if announced else {"transfer-encoding": "chunked"}
    connection = door.connect()
    connection.request("POST", CHAT, (piece for _ in range(pieces)), headers, encode_chunked=not announced)
    refused(read(connection.getresponse()), status)
    assert upstream.rows() == []


def test_a_body_shorter_than_it_says_is_refused(upstream: Upstream, door: Door) -> None:
    body = chat("patient-0")
    with door.socket() as client:
        client.sendall(
            b"POST %s HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % (CHAT.encode(), len(body) + 5) + body
        )
        client.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: client.recv(65_536), b""))
    # A client that half-closes may also count as gone; what it never gets is an answer to half a request.
    assert answer == b"" or answer.startswith(b"HTTP/1.1 400 ")
    assert upstream.rows() == []


@pytest.mark.parametrize("coding", ["gzip", "br", "identity, gzip"])
def test_a_compressed_body_is_refused(coding: str, upstream: Upstream, door: Door) -> None:
    refused(door.post(b"\x1f\x8b\x08", {"content-encoding": coding}), 415, "unsupported_content_encoding")


MESSAGES = f'"messages":[{{"role":"user","content":"{CANARY}"}}]'
BAD_BODIES: list[tuple[str, bytes, str, str | None]] = [
    ("nothing", b"", "invalid_json", None),
    ("no object", f'["{CANARY}"]'.encode(), "invalid_json", None),
    ("half", f'{{"model":"m",{MESSAGES}'.encode(), "invalid_json", None),
    ("two", f'{{"model":"m",{MESSAGES}}}{{}}'.encode(), "invalid_json", None),
    ("a bare word", f'{{"model":"m",{MESSAGES},"x":{CANARY}}}'.encode(), "invalid_json", None),
    ("not a number", f'{{"model":"m",{MESSAGES},"temperature":NaN}}'.encode(), "invalid_json", "temperature"),
    ("an infinity", f'{{"model":"m",{MESSAGES},"temperature":-Infinity}}'.encode(), "invalid_json", "temperature"),
    ("no UTF-8", f'{{"model":"m",{MESSAGES},"user":"'.encode() + b'\xff\xfe"}', "invalid_json", "user"),
    ("half a surrogate pair", f'{{"model":"m",{MESSAGES},"user":"\\ud83d"}}'.encode(), "invalid_json", "user"),
    ("the model twice", f'{{"model":"m",{MESSAGES},"model":"n"}}'.encode(), "invalid_json", "model"),
    ("an escaped name", f'{{"mod\\u0065l":"m",{MESSAGES}}}'.encode(), "invalid_json", None),
    ("no model", f"{{{MESSAGES}}}".encode(), "missing_required_parameter", "model"),
    ("no messages", b'{"model":"m"}', "missing_required_parameter", "messages"),
    ("a model that is a number", f'{{"model":7,{MESSAGES}}}'.encode(), "invalid_type", "model"),
    ("a stream that is a text", f'{{"model":"m",{MESSAGES},"stream":"yes"}}'.encode(), "invalid_type", "stream"),
    ("an empty model", f'{{"model":"",{MESSAGES}}}'.encode(), "invalid_value", "model"),
    ("a depth of a thousand", b'{"model":"m","messages":' + b"[" * 1000 + b"]" * 1000 + b"}", "invalid_json", None),
]


@pytest.mark.parametrize("body, code, param", [row[1:] for row in BAD_BODIES], ids=[row[0] for row in BAD_BODIES])
def test_a_body_that_is_no_request_is_refused_with_the_place(
    body: bytes, code: str, param: str | None, upstream: Upstream, door: Door
) -> None:
    reply = door.post(body)
    refused(reply, 400, code)
    assert reply.error["type"] == "invalid_request_error"
    assert reply.headers["x-should-retry"] == "false"
    if param is not None:
        assert reply.error["param"] == param
    assert upstream.rows() == []


def test_the_connection_goes_on_after_a_refused_body(upstream: Upstream, door: Door, route: Route) -> None:
    connection = door.connect()
    for body, status in ((b"{", 400), (chat(route.name), 200), (b"nonsense", 400), (chat(route.name), 200)):
        connection.request("POST", CHAT, body)
        assert read(connection.getresponse()).status == status


def test_more_requests_than_allowed_are_told_to_come_back(upstream: Upstream, serve: Serve) -> None:
    limited = serve(configuration(upstream.origin, free_port(), max_in_flight=3))
    for door in limited.doors.values():
        upstream.script({"match": {"first": 3}, "steps": [{"delay": {"ms": 60_000}}]})
        held = [door.connect() for _ in range(3)]
        for connection in held:
            connection.request("POST", CHAT, chat("patient-0"))
        eventually(lambda: len(upstream.rows()) == 3, "three are under way")
        reply = door.ask("patient-0")
        refused(reply, 503, "overloaded")
        assert reply.headers["x-should-retry"] == "true"
        assert int(reply.headers["retry-after"]) >= 1
        assert door.send("GET", "/livez").status == 200, "health is not what is limited"
        for connection in held:
            connection.close()
        eventually(lambda: door.ask("patient-0").status == 200, "there is room again")  # noqa: B023 - run at once


@pytest.mark.parametrize("length", [50, 300_000])
def test_a_body_that_does_not_come_is_given_up(length: int, upstream: Upstream, serve: Serve) -> None:
    hasty = serve(configuration(upstream.origin, free_port(), body_timeout_s=0.5))
    edge = hasty.doors["edge"]
    connection = edge.connect()
    began = time.monotonic()
    connection.putrequest("POST", CHAT)
    connection.putheader("content-length", str(length))
    connection.endheaders(b'{"model":')
    refused(read(connection.getresponse()), 408, "request_timeout")
    assert 0.4 < time.monotonic() - began < 0.5 + GRACE_S
    assert upstream.rows() == []


@pytest.mark.long
@pytest.mark.parametrize("sent", [b"", b"POST /v1/chat/comple", b"GET /livez HTTP/1.1\r\nhost: x\r\nx-slow: "])
def test_a_client_that_does_not_finish_its_head_is_closed(sent: bytes, door: Door) -> None:
    with door.socket() as client:
        began = time.monotonic()
        client.sendall(sent)
        answer = b"".join(iter(lambda: client.recv(65_536), b""))
        assert 9 < time.monotonic() - began < 10 + GRACE_S
    assert answer == b"" or answer.startswith(b"HTTP/1.1 408 ")


@pytest.mark.long
def test_a_head_that_trickles_in_is_closed(door: Door) -> None:
    with door.socket() as client:
        began = time.monotonic()
        client.settimeout(0.2)
        client.sendall(b"GET /livez HTTP/1.1\r\nhost: x\r\n")
        answer = None
        while answer is None and time.monotonic() - began < 20:
            try:
                client.sendall(b"x: y\r\n")
                answer = client.recv(65_536)
            except TimeoutError:
                continue
            except ConnectionError:
                answer = b""
        assert answer is not None
        assert time.monotonic() - began < 10 + GRACE_S


@pytest.mark.parametrize(
    "head",
    [
        POST + b"content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        POST + b"content-length: 2\r\ncontent-length: 3\r\n\r\n{}",
        POST + b"content-length: -1\r\n\r\n",
        POST + b"transfer-encoding: chunked\r\n\r\nZZ\r\n{}\r\n0\r\n\r\n",
        POST.replace(b"host", b"host ") + b"\r\n",
        b"GARBAGE\r\n\r\n",
    ],
)
def test_a_request_framed_in_two_ways_or_none_reaches_nobody(head: bytes, upstream: Upstream, door: Door) -> None:
    with door.socket() as client:
        client.sendall(head)
        client.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: client.recv(65_536), b""))
    assert answer == b"" or answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1") <= 1, "nothing after it is taken for another request"
    assert upstream.rows() == []


def test_an_unknown_model_is_told_with_the_nearest_names(door: Door) -> None:
    reply = door.ask("half-ded")
    refused(reply, 404, "model_not_found")
    assert reply.error["param"] == "model"
    assert "half-dead" in reply.error["message"]


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/chat/completions", "/v1/embeddings"])
def test_a_wrong_method_names_the_right_one(path: str, door: Door) -> None:
    reply = door.send("GET", path)
    refused(reply, 405, "method_not_allowed")
    assert reply.headers["allow"] == "POST"


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/v1/models", "/v1/chat/completions/", "/v1/../livez", "/__mock/log"])
def test_an_unknown_path_is_404(path: str, door: Door) -> None:
    refused(door.send("GET", path), 404, "unknown_endpoint")


def test_health_and_models_need_no_upstream(door: Door) -> None:
    assert door.send("GET", "/livez").status == 200
    assert door.send("GET", "/readyz").status == 200
    names = [model["id"] for model in json.loads(door.send("GET", "/v1/models").body)["data"]]
    assert "half-dead" in names
    assert "patient-0" in names


def test_a_model_that_is_not_there_comes_with_the_nearest_names(door: Door) -> None:
    reply = door.send("GET", "/v1/models/half-deda")
    refused(reply, 404, "model_not_found")
    message = json.loads(reply.body)["error"]["message"]
    assert message.startswith("there is no such model; the nearest names are half-dead"), message
    reply = door.send("GET", "/v1/models/no%2Flike")
    refused(reply, 404, "model_not_found")
    assert json.loads(reply.body)["error"]["message"] == "there is no such model; GET /v1/models lists all"


def test_metrics_are_on_the_admin_listener_alone(gateway: Gateway, admin_port: int, door: Door) -> None:
    text = Door("admin", f"http://127.0.0.1:{admin_port}").send("GET", "/metrics").body.decode()
    assert "fastroute_exchanges_total " in text
    assert "# TYPE fastroute_in_flight gauge" in text
    refused(door.send("GET", "/metrics"), 404)
