"""Floods over HTTP/2: whoever sends frames that ask for nothing is let go, and nobody else notices."""

import contextlib
import itertools
import os
import select
import struct
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import NamedTuple

import pytest

from flow.rig import Door, Gateway, Route, Upstream, chat, eventually
from flow.sockets import Traffic
from wire.h2 import (
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PING,
    RST_STREAM,
    SETTINGS,
    Connection,
    frame,
    head_of,
    preface,
)

PRIORITY, CONTINUATION, UNKNOWN = 2, 9, 77
ENHANCE_YOUR_CALM = 11
RESETS = 100
CLOSED_S = 5.0
UNHURT_S = 1.0
UNHURT_TIMES = 2
NOTICED_S = 0.010
"""Twice a millisecond is one wait for a processor, and nothing that anybody notices."""
MEMORY_BYTES = 32 << 20
PIECE_BYTES = 256 << 10


def request(stream: int, model: str) -> bytes:
    body = chat(model, stream=True)
    return frame(HEADERS, END_HEADERS, stream, head_of()) + frame(DATA, END_STREAM, stream, body)


def resets(model: str) -> Iterator[bytes]:
    for stream in itertools.count(1, 2):
        yield request(stream, model) + frame(RST_STREAM, 0, stream, struct.pack(">I", 8))


def resets_of_heads(model: str) -> Iterator[bytes]:
    for stream in itertools.count(1, 2):
        yield frame(HEADERS, END_HEADERS, stream, head_of()) + frame(RST_STREAM, 0, stream, struct.pack(">I", 8))


def beside_a_stream(wasted: bytes, model: str) -> Iterator[bytes]:
    """The same over and over, while a request waits for its body."""
    yield frame(HEADERS, END_HEADERS, 1, head_of())
    yield from itertools.repeat(wasted)


def continued(model: str) -> Iterator[bytes]:
    yield frame(HEADERS, 0, 1, head_of())
    for number in itertools.count():
        name = f"x-{number}".encode()
        yield frame(CONTINUATION, 0, 1, b"\x00" + bytes([len(name)]) + name + b"\x40" + b"y" * 64)


def continued_by_nothing(model: str) -> Iterator[bytes]:
    yield frame(HEADERS, 0, 1, head_of())
    yield from itertools.repeat(frame(CONTINUATION, 0, 1))


def flood(kind: str, model: str) -> Iterator[bytes]:
    wasted = {
        "pings": frame(PING, 0, 0, b"12345678"),
        "answers to no ping": frame(PING, 1, 0, b"12345678"),
        "settings": frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 65_535)),
        "priorities": frame(PRIORITY, 0, 1, struct.pack(">IB", 3, 1)),
        "empty data": frame(DATA, 0, 1),
        "frames of no kind": frame(UNKNOWN, 0, 1, b"x"),
    }
    made = {
        "resets": resets,
        "resets of heads": resets_of_heads,
        "a head continued": continued,
        "a head continued by nothing": continued_by_nothing,
    }
    return beside_a_stream(wasted[kind], model) if kind in wasted else made[kind](model)


KINDS = [
    "resets",
    "resets of heads",
    "a head continued",
    "a head continued by nothing",
    "pings",
    "answers to no ping",
    "settings",
    "priorities",
    "empty data",
    "frames of no kind",
]


class Ended(NamedTuple):
    after_s: float
    sent: int
    goaway: int | None


def attack(door: Door, frames: Iterator[bytes], deadline_s: float) -> Ended:
    """Sends as fast as it is taken, reading along, until the other side has enough or the time is over."""
    client = door.socket()
    client.setblocking(False)
    began = time.monotonic()
    waiting, sent, answer = bytearray(preface()), 0, bytearray()
    with client:
        while time.monotonic() - began < deadline_s:
            while len(waiting) < PIECE_BYTES:
                waiting += next(frames)
            can_read, can_write, _ = select.select([client], [client], [], 0.05)
            try:
                if can_read:
                    piece = client.recv(65_536)
                    if not piece:
                        return Ended(time.monotonic() - began, sent, code_of(answer))
                    answer += piece
                if can_write:
                    taken = client.send(waiting)
                    sent += taken
                    del waiting[:taken]
            except ConnectionError:
                with contextlib.suppress(OSError):
                    answer += client.recv(1 << 20)
                return Ended(time.monotonic() - began, sent, code_of(answer))
    return Ended(float("inf"), sent, code_of(answer))


def code_of(answer: bytes | bytearray) -> int | None:
    """Why the connection is given up, as its last GOAWAY says."""
    code, at = None, 0
    while at + 9 <= len(answer):
        length = int.from_bytes(answer[at : at + 3], "big")
        if answer[at + 3] == GOAWAY:
            code = int.from_bytes(answer[at + 13 : at + 17], "big")
        at += 9 + length
    return code


@pytest.mark.parametrize("kind", KINDS)
def test_a_flood_is_ended_and_nobody_else_notices(
    kind: str, gateway: Gateway, upstream: Upstream, route: Route
) -> None:
    edge = gateway.doors["edge"]
    before = gateway.memory_bytes
    with Traffic(edge, route, pause_s=0.005) as traffic:
        ended = [attack(edge, flood(kind, "half-dead"), CLOSED_S) for _ in range(3)]
        eventually(lambda: len(traffic.statuses) > 20, "others are served meanwhile")
    assert max(each.after_s for each in ended) < CLOSED_S, ended
    assert {each.goaway for each in ended} <= {ENHANCE_YOUR_CALM, None}, ended
    assert gateway.memory_bytes - before < MEMORY_BYTES
    traffic.unharmed(UNHURT_S)


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
def test_floods_that_come_back_harm_nobody_else(kind: str, gateway: Gateway, upstream: Upstream, route: Route) -> None:
    edge = gateway.doors["edge"]
    # A process of its own that lets everybody else go first: what is measured is the gateway, not this machine's time.
    with ProcessPoolExecutor(1, initializer=os.nice, initargs=(19,)) as attackers:
        attackers.submit(os.getpid).result()
        with Traffic(edge, route, pause_s=0.005) as quiet:
            eventually(lambda: len(quiet.statuses) > 2_000, "a quiet time to compare with", 30)
        before = gateway.memory_bytes
        with Traffic(edge, route, pause_s=0.005) as attacked:
            ended = attackers.submit(attack_again, edge, kind, 20.0).result()
        grown = gateway.memory_bytes - before
    print(
        f"{kind}: {len(ended)} connections, {sum(each.sent for each in ended) >> 20} MiB, each ended within "
        f"{max(each.after_s for each in ended):.2f} s; before: {quiet}; meanwhile: {attacked}; {grown >> 20} MiB more"
    )
    assert max(each.after_s for each in ended) < CLOSED_S
    assert grown < MEMORY_BYTES
    attacked.unharmed(max(UNHURT_TIMES * quiet.quantile_s(0.99), NOTICED_S))


def attack_again(door: Door, kind: str, for_s: float) -> list[Ended]:
    until, ended = time.monotonic() + for_s, []
    while time.monotonic() < until:
        ended.append(attack(door, flood(kind, "half-dead"), CLOSED_S))
    return ended


def test_a_hundred_resets_in_ten_seconds_are_taken_and_one_more_is_not(
    gateway: Gateway, upstream: Upstream, route: Route
) -> None:
    with Connection(gateway.doors["edge"]) as client:
        for _ in range(RESETS):
            client.cancel(client.begin(chat(route.name, stream=True)))
        client.finish(client.begin(chat(route.name)))
        client.cancel(client.begin(chat(route.name, stream=True)))
        with pytest.raises(ConnectionError):
            client.pump(lambda: False)
        assert client.goaway == ENHANCE_YOUR_CALM
    eventually(lambda: all(row["ended"] != "open" for row in upstream.rows()), "nothing is left upstream")


def test_as_many_streams_with_heads_as_large_as_allowed_are_answered(
    gateway: Gateway, upstream: Upstream, route: Route
) -> None:
    large = [(f"x-large-{number}", "y" * 7_000) for number in range(2)]
    before = gateway.memory_bytes
    with Connection(gateway.doors["edge"]) as client:
        begun = [client.begin(chat(route.name), *large) for _ in range(128)]
        for stream in begun:
            assert b'"choices"' in client.finish(stream)
    assert gateway.memory_bytes - before < MEMORY_BYTES


def test_windows_of_nothing_hold_no_memory_and_go_with_their_clients(
    gateway: Gateway, upstream: Upstream, route: Route
) -> None:
    """128 streams for which nothing may be sent, of replies that would be long."""
    upstream.script(route.rule({"reply": {"bytes": 400_000}}))
    before = gateway.memory_bytes
    with Connection(gateway.doors["edge"], stream_window=0) as client:
        begun = [client.begin(chat(route.name)) for _ in range(128)]
        eventually(lambda: len(upstream.rows(route.first)) == len(begun), "all are under way")
        assert gateway.doors["edge"].ask("half-dead").status == 200
        assert not any(client.data.values())
        assert gateway.memory_bytes - before < 128 * (384 << 10)
    eventually(lambda: all(row["ended"] != "open" for row in upstream.rows(route.first)), "all were let go")
