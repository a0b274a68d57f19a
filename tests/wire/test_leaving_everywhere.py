"""Clients that leave at each event of a stream and at each place of a plain reply, over each protocol, in each way.

The surprise: half a close is a whole one. A client that ends its side behind its request is taken for gone.
"""

import contextlib
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from flow.rig import CHAT, Door, Gateway, Route, Serve, Upstream, chat, configuration, eventually, free_port
from flow.sockets import room_for
from wire.h2 import Connection

NOTICED_P99_MS = 250
NOTICED_MS = 1_000
WORD = b"word"
EVENTS = 50
REPLY_BYTES = 400_000
"""Long enough to be relayed as it comes, from its first 64 KiB on."""
NAME = "idempotency-key"
RESET_AT_CLOSE = b"\1\0\0\0\0\0\0\0"


class Place(NamedTuple):
    """Where in its answer a client leaves."""

    name: str
    stream: bool
    steps: list[Any]
    words: int
    """Events, or bytes of a plain reply, that it has seen by then."""


def places() -> list[Place]:
    streamed = [
        Place(f"event-{seen}", True, [{"events": {"count": seen, "text": WORD.decode()}}, "stall"], seen)
        for seen in range(1, EVENTS + 1)
    ]
    cut = [
        Place(f"byte-{sent}", False, [cut_at(sent), {"reply": {"bytes": REPLY_BYTES}}], seen)
        for sent, seen in [(0, 0), (1, 0), (1_000, 0), (60_000, 0), (100_000, 1), (200_000, 1), (399_000, 1)]
    ]
    silent = [Place(f"silent-{stream}", stream, ["stall"], 0) for stream in (False, True)]
    return [*streamed, *cut, *silent, Place("preamble", True, [{"events": {"count": 0}}, "stall"], 0)]


def cut_at(sent: int) -> dict[str, Any]:
    return {"cut": {"after_bytes": sent, "of": "body", "how": "stall"}}


PLACES = places()
Leave = Callable[[], int]
"""Leaves, and gives the moment, in nanoseconds."""


def over_http1(door: Door, route: Route, place: Place, tag: str, how: str) -> Leave:
    body = chat(route.name, stream=place.stream)
    client = door.socket()
    client.sendall(
        f"POST {CHAT} HTTP/1.1\r\nhost: x\r\n{NAME}: {tag}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body
    )

    def leave() -> int:
        answer = b""
        while (answer.count(WORD) if place.stream else len(answer)) < place.words:
            answer += client.recv(65_536)
        if how == "reset":
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_AT_CLOSE)
        left_ns = time.monotonic_ns()
        if how == "half-close":
            client.shutdown(socket.SHUT_WR)
            client.settimeout(5)
            with client, contextlib.suppress(ConnectionError):
                while client.recv(65_536):
                    pass
        else:
            client.close()
        return left_ns

    return leave


def over_http2(connection: Connection, route: Route, place: Place, tag: str) -> Leave:
    stream = connection.begin(chat(route.name, stream=place.stream), (NAME, tag))

    def leave() -> int:
        seen = connection.data[stream]
        connection.pump(lambda: (seen.count(WORD) if place.stream else len(seen)) >= place.words)
        left_ns = time.monotonic_ns()
        connection.cancel(stream)
        return left_ns

    return leave


WAYS = [
    "granian close",
    "granian reset",
    "granian half-close",
    "edge close",
    "edge reset",
    "edge half-close",
    "edge h2",
]


def delays_ms(gateway: Gateway, upstream: Upstream, route: Route, way: str, chosen: list[Place]) -> Iterator[float]:
    """What each place's upstream took to see its client leave."""
    pattern = f"{route.name}-*"
    upstream.script(
        *({"match": {"model": pattern, "header": {NAME: f"{place.name}"}}, "steps": place.steps} for place in chosen)
    )
    name, how = way.split()
    door = gateway.doors[name]
    with contextlib.ExitStack() as open_until_then:
        if how == "h2":
            connection = open_until_then.enter_context(Connection(door))
            leaves = [over_http2(connection, route, place, place.name) for place in chosen]
        else:
            leaves = [over_http1(door, route, place, place.name, how) for place in chosen]
        eventually(lambda: len(upstream.rows(route.first, route.second)) == len(chosen), "all are under way")
        left_ns = {place.name: leave() for place, leave in zip(chosen, leaves, strict=True)}
        ended = eventually(lambda: all_ended(upstream, route), "every upstream saw an end")
    for row in ended:
        assert row["ended"] == "cancelled", row["headers"][NAME]
        yield (row["cancel_ns"] - left_ns[row["headers"][NAME]]) / 1e6


def all_ended(upstream: Upstream, route: Route) -> list[dict[str, Any]]:
    rows = upstream.rows(route.first, route.second)
    return rows if all(row["ended"] != "open" for row in rows) else []


def noticed(delays: list[float], way: str) -> None:
    ordered = sorted(delays)
    p99 = ordered[int(0.99 * (len(ordered) - 1))]
    print(f"{way}: {len(ordered)} left, seen upstream after p50 {ordered[len(ordered) // 2]:.0f} ms, p99 {p99:.0f} ms")
    assert p99 < NOTICED_P99_MS
    assert ordered[-1] < NOTICED_MS


@pytest.mark.parametrize("way", WAYS)
def test_a_client_that_leaves_anywhere_is_seen_upstream(
    way: str, gateway: Gateway, upstream: Upstream, counted: Route
) -> None:
    noticed(list(delays_ms(gateway, upstream, counted, way, PLACES[::2])), way)
    settled(gateway, upstream, counted)


@pytest.mark.long
@pytest.mark.parametrize("way", WAYS)
def test_many_clients_that_leave_anywhere_are_seen_upstream(
    way: str, gateway: Gateway, upstream: Upstream, counted: Route
) -> None:
    # Over HTTP/2 a client may take back a hundred streams in ten seconds; each round has a connection of its own.
    delays = [delay for _ in range(8) for delay in delays_ms(gateway, upstream, counted, way, PLACES)]
    assert len(delays) == 8 * len(PLACES)
    noticed(delays, way)
    settled(gateway, upstream, counted)


def settled(gateway: Gateway, upstream: Upstream, counted: Route) -> None:
    """The policy prefers the first target while exactly nothing is counted as in flight: each was settled once."""
    upstream.script()
    for door in gateway.doors.values():
        eventually(lambda: door.ask(counted).target == counted.first, "all were settled", 3)  # noqa: B023 - run at once


@pytest.mark.parametrize("each", [150, pytest.param(1_500, marks=pytest.mark.long)])
def test_half_of_many_streams_vanish_at_once_and_the_others_go_on(
    each: int, upstream: Upstream, serve: Serve, counted: Route
) -> None:
    room_for(4 * each + 500)
    pattern = {"model": f"{counted.name}-*"}
    upstream.script({"match": pattern, "steps": [{"events": {"count": 100_000, "every_ms": 250}}]})
    gateway = serve(configuration(upstream.origin, free_port()))
    descriptors = open_descriptors(gateway)
    for name in gateway.doors:
        door = gateway.doors[name]
        streams = [over_http1(door, counted, PLACES[0], "vanishing", "reset") for _ in range(each)]
        kept = [door.socket() for _ in range(each)]
        body = chat(counted.name, stream=True)
        for client in kept:
            client.sendall(
                f"POST {CHAT} HTTP/1.1\r\nhost: x\r\n{NAME}: kept\r\ncontent-length: {len(body)}\r\n\r\n".encode()
                + body
            )
        for client in kept:
            assert client.recv(16).startswith(b"HTTP/1.1 200 ")
        eventually(lambda: len(upstream.rows()) == 2 * each, "all are under way", 30)
        left_ns = [vanish() for vanish in streams]
        eventually(lambda: len(cancelled(upstream)) == each, "those that vanished are cancelled upstream", 5)
        late = max(row["cancel_ns"] for row in cancelled(upstream)) - max(left_ns)
        print(
            f"{name}: {each} of {2 * each} vanished; the last upstream was free {late / 1e6:.0f} ms after the last left"
        )
        assert {row["headers"][NAME] for row in cancelled(upstream)} == {"vanishing"}
        for client in kept:
            while client.recv(65_536).count(b"data: ") == 0:
                pass
            client.close()
        eventually(lambda: len(cancelled(upstream)) == 2 * each, "and so are the others, in their turn", 10)
        upstream.script({"match": pattern, "steps": [{"events": {"count": 100_000, "every_ms": 250}}]})
    eventually(lambda: open_descriptors(gateway) <= descriptors + 2 + 8, "no descriptor is left", 10)


def cancelled(upstream: Upstream) -> list[dict[str, Any]]:
    return [row for row in upstream.rows() if row["ended"] == "cancelled"]


def open_descriptors(gateway: Gateway) -> int:
    return sum(1 for _ in Path(f"/proc/{gateway.process}/fd").iterdir())
