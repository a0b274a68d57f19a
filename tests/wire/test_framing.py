"""Requests that two servers could frame in two ways: each is refused, its connection ends, and nobody upstream sees it.

The surprise: granian's door shows an application a parsed head, and takes a broken body for a short
one; what it hides is named here.
"""

import re
import socket
from collections.abc import Callable

import pytest

from flow.rig import CHAT, Door, Gateway, Route, Upstream, chat

LINE = b"POST %s HTTP/1.1\r\n" % CHAT.encode()
START = LINE + b"host: x\r\ncontent-type: application/json\r\n"

Shape = Callable[[bytes], bytes]


def sized(body: bytes, length: bytes = b"content-length: %d\r\n") -> bytes:
    return length % len(body) + b"\r\n" + body


def chunks(body: bytes, size: bytes = b"%x\r\n") -> bytes:
    return size % len(body) + body + b"\r\n0\r\n\r\n"


CHUNKED = b"transfer-encoding: chunked\r\n"

EVERYWHERE: dict[str, Shape] = {
    "two lengths that differ": lambda body: START + b"content-length: 1\r\n" + sized(body),
    "a list of lengths": lambda body: START + sized(body, b"content-length: %d, 5\r\n"),
    "a signed length": lambda body: START + sized(body, b"content-length: +%d\r\n"),
    "an empty length": lambda body: START + b"content-length:\r\n\r\n" + body,
    "a space before the colon": lambda body: START + sized(body, b"content-length : %d\r\n"),
    "a folded line": lambda body: START + b"x-note: a\r\n b\r\n" + sized(body),
    "a folded length": lambda body: START + sized(body, b"content-length:\r\n %d\r\n"),
    "a bare carriage return": lambda body: START + b"x-note: a\rb\r\n" + sized(body),
    "a NUL": lambda body: START + b"x-note: a\0b\r\n" + sized(body),
    "no colon": lambda body: START + b"x-note\r\n" + sized(body),
    "chunks over HTTP/1.0": lambda body: START.replace(b"/1.1", b"/1.0") + CHUNKED + b"\r\n" + chunks(body),
    "chunked that is not last": lambda body: START + b"transfer-encoding: chunked, gzip\r\n" + b"\r\n" + chunks(body),
    "a coding that is not chunked": lambda body: START + b"transfer-encoding: xchunked\r\n\r\n" + chunks(body),
    "a chunk size that is no number": lambda body: START + CHUNKED + b"\r\n" + chunks(body, b"0x%x\r\n"),
    "a negative chunk size": lambda body: START + CHUNKED + b"\r\n" + chunks(body, b"-%x\r\n"),
    "a chunk size beyond all bounds": lambda body: START + CHUNKED + b"\r\n" + chunks(body, b"1%032x\r\n"),
    "a chunk size that ends in a line feed": lambda body: START + CHUNKED + b"\r\n" + chunks(body, b"%x\n"),
    "no host": lambda body: LINE + sized(body),
    "two hosts": lambda body: START + b"host: y\r\n" + sized(body),
    "the same host twice": lambda body: START + b"Host: x\r\n" + sized(body),
    "a host that is none": lambda body: LINE + b"host: x y\r\n" + sized(body),
    "a host of other letters": lambda body: LINE + b"host: \xff\r\n" + sized(body),
    "another host in the target": lambda body: START.replace(b"POST ", b"POST http://y") + sized(body),
}
HIDDEN: dict[str, Shape] = {
    "a chunk longer than its size": lambda body: START + CHUNKED + b"\r\n" + chunks(body).replace(b"}\r\n", b"}}\r\n"),
    "a length and chunks": lambda body: START + b"content-length: 5\r\n" + CHUNKED + b"\r\n" + chunks(body),
    "chunks and a length": lambda body: START + CHUNKED + sized(chunks(body)),
    "a line feed alone": lambda body: START.replace(b"host: x\r\n", b"host: x\n") + sized(body),
    "a line feed for all line ends": lambda body: (
        START.replace(b"\r\n", b"\n") + b"content-length: %d\n\n" % len(body) + body
    ),
    "an empty line of a line feed": lambda body: START + b"content-length: %d\r\n\n" % len(body) + body,
    "a coding before chunked": lambda body: START + b"transfer-encoding: gzip, chunked\r\n\r\n" + chunks(body),
    "a trailer that ends in a line feed": lambda body: (
        START + CHUNKED + b"\r\n" + chunks(body).removesuffix(b"\r\n") + b"x: y\n\r\n\r\n"
    ),
}


def statuses(door: Door, *writes: bytes) -> list[int]:
    """What came back until the other side ended the connection, which it has to do."""
    answer = b""
    with door.socket(10) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            for write in writes:
                client.sendall(write)
            while piece := client.recv(65_536):
                answer += piece
        except ConnectionError:
            pass
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d+) ", answer)]


def refuses(door: Door, upstream: Upstream, sent: bytes) -> None:
    smuggled = b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n"
    assert statuses(door, sent + smuggled) == [400]
    assert upstream.rows() == []


@pytest.mark.parametrize("shape", EVERYWHERE.values(), ids=EVERYWHERE.keys())
def test_a_request_of_two_readings_is_refused_and_ends_its_connection(
    shape: Shape, door: Door, upstream: Upstream, route: Route
) -> None:
    refuses(door, upstream, shape(chat(route.name)))


@pytest.mark.parametrize("shape", HIDDEN.values(), ids=HIDDEN.keys())
def test_so_is_at_the_edge_door_what_granian_hides(
    shape: Shape, gateway: Gateway, upstream: Upstream, route: Route
) -> None:
    refuses(gateway.doors["edge"], upstream, shape(chat(route.name)))


@pytest.mark.parametrize("name", ["a length and chunks", "chunks and a length"])
def test_granian_reads_no_second_request_behind_a_length_beside_chunks(
    name: str, gateway: Gateway, route: Route
) -> None:
    smuggled = b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n"
    assert len(statuses(gateway.doors["granian"], HIDDEN[name](chat(route.name)) + smuggled)) == 1


@pytest.mark.parametrize("shape", HIDDEN.values(), ids=HIDDEN.keys())
def test_a_fault_behind_a_sound_request_spares_that_one(
    shape: Shape, gateway: Gateway, upstream: Upstream, route: Route
) -> None:
    body = chat(route.name)
    sound = START + sized(body) + START + CHUNKED + b"\r\n" + chunks(body)
    bad = shape(body)
    edge = gateway.doors["edge"]
    assert statuses(edge, sound + bad) == [200, 200, 400]
    cut = len(sound) + len(LINE) + 5
    assert statuses(edge, (sound + bad)[:cut], (sound + bad)[cut:]) == [200, 200, 400]
    assert len(upstream.rows()) == 4


def test_sound_requests_share_a_connection_however_they_are_framed(
    door: Door, upstream: Upstream, route: Route
) -> None:
    body = chat(route.name)
    odd = START + b"Content-Length: %d\r\ncontent-length:\t%d \r\n\r\n" % (len(body), len(body)) + body
    trailed = (
        b"5;note=x\r\n" + body[:5] + b"\r\n" + chunks(body[5:], b"%X \r\n").removesuffix(b"\r\n") + b"x: y\r\n\r\n"
    )
    chunked = START + b"Transfer-Encoding:CHUNKED\r\n\r\n" + trailed
    absolute = START.replace(b"POST ", b"POST http://X") + sized(body)
    last = START + b"connection: close\r\n" + sized(body)
    # Behind chunks granian's door reads nothing, whoever asks for it.
    told = odd + b"\r\n" + (absolute + odd + chunked + last if door.name == "granian" else chunked + absolute + last)
    assert statuses(door, told) == [200] * 4
    assert len(upstream.rows()) == 4
