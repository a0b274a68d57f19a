"""Many requests on one connection, and the corners of HTTP/1: each gets its own answer, in order, and no other."""

import re
import socket
import threading

import pytest

from flow.rig import CHAT, Door, Route, Upstream, chat, read

PIPELINED = 1_000
CHATS = 20
"""One request in so many needs the upstream; the others are answered at once, and must wait for it."""
SENT = b"POST %s HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n" % CHAT.encode()


def everything(client: socket.socket) -> bytes:
    return b"".join(iter(lambda: client.recv(1 << 18), b""))


def test_a_thousand_requests_in_one_write_are_answered_in_their_order(
    door: Door, upstream: Upstream, route: Route
) -> None:
    body = chat(route.name)
    requests: list[bytes] = []
    for number in range(PIPELINED):
        name = b"x-request-id: number-%d\r\n" % number
        last = b"connection: close\r\n" if number == PIPELINED - 1 else b""
        if number % CHATS == 0:
            requests.append(SENT + name + b"content-length: %d\r\n\r\n" % len(body) + body)
        else:
            requests.append(b"GET /livez HTTP/1.1\r\nhost: x\r\n" + name + last + b"\r\n")
    with door.socket(60) as client:
        writing = threading.Thread(target=client.sendall, args=(b"".join(requests),))
        writing.start()
        answer = everything(client)
        writing.join()
    assert re.findall(rb"HTTP/1\.1 (\d+) ", answer) == [b"200"] * PIPELINED
    named = [int(number) for number in re.findall(rb"x-request-id: number-(\d+)\r\n", answer)]
    assert named == list(range(PIPELINED))
    assert len(upstream.rows(route.first)) == PIPELINED // CHATS


def test_whoever_asks_first_is_told_to_go_on_and_answered_once(door: Door, upstream: Upstream, route: Route) -> None:
    body = chat(route.name)
    with door.socket() as client:
        head = SENT + b"connection: close\r\nexpect: 100-continue\r\ncontent-length: %d\r\n\r\n" % len(body)
        client.sendall(head)
        assert client.recv(65_536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert upstream.rows() == []
        client.sendall(body)
        answer = everything(client)
    assert re.findall(rb"HTTP/1\.1 (\d+) ", answer) == [b"200"]
    assert len(upstream.rows(route.first)) == 1


@pytest.mark.parametrize(
    "field, status",
    [(b"content-length: 99999999\r\n", b"413"), (b"content-length: 5\r\ncontent-encoding: gzip\r\n", b"415")],
)
def test_whoever_asks_first_is_refused_without_sending(field: bytes, status: bytes, door: Door) -> None:
    with door.socket() as client:
        client.sendall(SENT + b"expect: 100-continue\r\nconnection: close\r\n" + field + b"\r\n")
        answer = client.recv(65_536)
    assert re.findall(rb"HTTP/1\.1 (\d+) ", answer) == [status]


@pytest.mark.parametrize("path, status", [("/livez", 200), ("/v1/models", 200), (CHAT, 405), ("/nowhere", 404)])
def test_a_head_request_has_the_head_of_its_answer_and_leaves_the_connection_sound(
    path: str, status: int, door: Door
) -> None:
    connection = door.connect()
    for _ in range(3):
        connection.request("HEAD", path)
        response = connection.getresponse()
        assert (response.status, response.read()) == (status, b"")
        assert int(response.headers["content-length"]) > 0
        connection.request("GET", "/livez")
        assert read(connection.getresponse()).body == b'{"live":true}'
    connection.close()


def test_trailers_stay_here(door: Door, upstream: Upstream, route: Route) -> None:
    body = chat(route.name)
    trailers = b"traceparent: 00-trailer\r\nauthorization: Bearer mine\r\nidempotency-key: trailer\r\n"
    head = SENT + b"connection: close\r\ntrailer: traceparent, idempotency-key\r\ntransfer-encoding: chunked\r\n\r\n"
    with door.socket() as client:
        client.sendall(head + b"%x\r\n" % len(body) + body + b"\r\n0\r\n" + trailers + b"\r\n")
        assert everything(client).startswith(b"HTTP/1.1 200 ")
    (row,) = upstream.rows(route.first)
    assert not {"traceparent", "idempotency-key", "trailer", "te"} & row["headers"].keys()
    assert row["body_bytes"] >= len(body)


@pytest.mark.parametrize("how", ["half-close", "reset"])
def test_a_body_that_breaks_off_is_no_request(how: str, door: Door, upstream: Upstream, route: Route) -> None:
    """Cut at every byte of its last ten, also just before the end, where the document is nearly whole."""
    body = chat(route.name)
    for missing in range(1, 11):
        with door.socket() as client:
            client.sendall(SENT + b"content-length: %d\r\n\r\n" % len(body) + body[:-missing])
            if how == "reset":
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                continue
            client.shutdown(socket.SHUT_WR)
            answer = everything(client)
            assert answer == b"" or answer.startswith(b"HTTP/1.1 400 ")
    assert door.send("GET", "/livez").status == 200
    assert upstream.rows() == []
