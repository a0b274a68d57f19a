"""Clients that read slowly: true backpressure at the edge door, byte bounds at granian's."""

import contextlib
import fcntl
import socket
import sys
import termios
import time

import pytest

from flow.rig import Gateway, Route, Serve, Upstream, ask_raw, configuration, eventually, free_port

EVENT = (
    'data: {"id":"b","object":"chat.completion.chunk","model":"m","choices":[{"index":0,"delta":{"content":"%s"}}]}\n\n'
)
PIECE_BYTES = 64 * 1024
PIECES = 2_000
"""128 MB: far more than any buffer on the way."""
MEMORY_BYTES = 16 << 20
SOCKETS_BYTES = 24 << 20
"""Kernel buffers of two loopback connections: up to 6 MB to receive and 4 MB to send each, and what we hold."""
PER_REPLY_BYTES = 16 << 20
ALL_REPLIES_BYTES = 256 << 20
FILLING = 240
READERS = ALL_REPLIES_BYTES // (FILLING * PIECE_BYTES) + 8
CALM_S = 0.5
STALL_S = 30.0


def flood(upstream: Upstream, route: Route) -> None:
    head = {"head": {"content_type": "text/event-stream"}}
    upstream.script(route.rule(head, {"send": {"utf8": EVENT % ("x" * PIECE_BYTES), "repeat": PIECES}}))


def fill(upstream: Upstream, route: Route) -> None:
    """Replies just below granian's bound for one, of which `READERS` are more than its bound for all."""
    head = {"head": {"content_type": "text/event-stream"}}
    send = {"send": {"utf8": EVENT % ("x" * PIECE_BYTES), "repeat": FILLING}}
    upstream.script(route.rule(head, send, {"finish": {}}, "done", stream=True))


def waiting_bytes(client: socket.socket) -> int:
    """What the kernel holds for a client that does not read."""
    return int.from_bytes(fcntl.ioctl(client, termios.FIONREAD, bytes(4)), sys.byteorder)


def stands_still(client: socket.socket) -> None:
    """Waits until nothing more arrives for the client: everything on the way is full."""
    last, since = -1, time.monotonic()

    def still() -> bool:
        nonlocal last, since
        now = waiting_bytes(client)
        if now != last:
            last, since = now, time.monotonic()
        return now > 0 and time.monotonic() - since > CALM_S

    eventually(still, "the stream stands still", 30)


def test_a_stalled_reader_at_the_edge_door_stops_the_upstream(
    upstream: Upstream, gateway: Gateway, route: Route
) -> None:
    flood(upstream, route)
    before = gateway.memory_bytes
    with ask_raw(gateway.doors["edge"], route, stream=True) as client:
        stands_still(client)
        assert upstream.rows(route.first)[0]["ended"] == "open"
        assert gateway.memory_bytes - before < MEMORY_BYTES
    row = upstream.row(route.first, lambda row: row["ended"] == "cancelled", "the upstream saw the client leave")
    assert 1 << 20 < row["bytes_sent"] < SOCKETS_BYTES


def test_a_reader_at_the_edge_door_gets_a_reply_of_any_length(
    upstream: Upstream, gateway: Gateway, route: Route
) -> None:
    flood(upstream, route)
    before = gateway.memory_bytes
    reply = gateway.doors["edge"].ask(route, stream=True)
    assert len(reply.body) > PIECES * PIECE_BYTES
    assert reply.whole
    assert gateway.memory_bytes - before < MEMORY_BYTES


@pytest.mark.parametrize("reads", [True, False])
def test_a_reply_at_granians_door_is_bounded_in_bytes(
    reads: bool, upstream: Upstream, gateway: Gateway, route: Route
) -> None:
    flood(upstream, route)
    door = gateway.doors["granian"]
    if reads:
        reply = door.ask(route, stream=True)
        assert PER_REPLY_BYTES - (1 << 20) < len(reply.body) <= PER_REPLY_BYTES + 4096
        assert reply.events[-1]["error"]["code"] == "response_too_large"
        assert reply.whole
    else:
        before = gateway.memory_bytes
        with ask_raw(door, route, stream=True):
            upstream.row(route.first, lambda row: row["ended"] == "cancelled", "the reply was given up", 30)
            assert gateway.memory_bytes - before < 2 * PER_REPLY_BYTES
    assert upstream.rows(route.first)[0]["bytes_sent"] < PER_REPLY_BYTES + SOCKETS_BYTES


@pytest.mark.long
def test_all_replies_of_granians_door_together_are_bounded_in_bytes(
    upstream: Upstream, serve: Serve, route: Route
) -> None:
    """Nobody reads: replies stop growing together, new requests are sent away, and the edge door does not mind."""
    fill(upstream, route)
    gateway = serve(configuration(upstream.origin, free_port()))
    granian, edge = gateway.doors["granian"], gateway.doors["edge"]
    before = gateway.memory_bytes
    stalled = [ask_raw(granian, route, stream=True) for _ in range(READERS)]
    eventually(lambda: granian.ask(route).status == 503, "the bound is reached", 60)
    stands_still(stalled[-1])
    refused = granian.ask(route, stream=True)
    assert (refused.status, refused.error["code"]) == (503, "overloaded")
    assert refused.headers["x-should-retry"] == "true"
    assert int(refused.headers["retry-after"]) >= 1
    assert granian.send("GET", "/readyz").status == 200
    assert edge.ask(route).status == 200
    # What is handed over, what each reply may hold ready before it waits, and the allocator's share.
    assert gateway.memory_bytes - before < ALL_REPLIES_BYTES + (64 << 20)
    waiting = [row for row in upstream.rows() if row["ended"] == "open"]
    assert 0 < len(waiting) <= READERS, "some are stopped, not broken"

    for client in stalled[1:]:
        client.close()
    with stalled[0] as kept:
        kept.settimeout(30)
        answer = b"".join(iter(lambda: kept.recv(1 << 20), b""))
    assert answer.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
    assert len(answer) > FILLING * PIECE_BYTES
    eventually(lambda: granian.ask(route).status == 200, "there is room again", 30)
    assert all(row["ended"] != "open" for row in upstream.rows())


@pytest.mark.long
def test_replies_that_wait_for_room_at_granians_door_end_when_their_time_is_over(
    upstream: Upstream, serve: Serve, route: Route
) -> None:
    total_s = 6.0
    fill(upstream, route)
    brief = configuration(upstream.origin, free_port())
    brief["models"][route.name]["patience"] = {"stream_total_timeout_s": total_s}
    granian = serve(brief).doors["granian"]
    began = time.monotonic()
    stalled = [ask_raw(granian, route, stream=True) for _ in range(READERS)]
    eventually(lambda: granian.ask(route).status == 503, "the bound is reached", total_s)
    eventually(lambda: all(row["ended"] != "open" for row in upstream.rows()), "every upstream is let go", 2 * total_s)
    assert time.monotonic() - began > total_s - 1
    answers: list[bytes] = []
    for client in stalled:
        with client:
            client.settimeout(30)
            answers.append(b"".join(iter(lambda: client.recv(1 << 20), b"")))  # noqa: B023 - run at once
    ends = {answer.removesuffix(b"\r\n0\r\n\r\n").rstrip().rpartition(b"data: ")[2] for answer in answers}
    (late,) = ends - {b"[DONE]"}
    assert b'"code":"upstream_timeout"' in late


@pytest.mark.parametrize("door_name", ["granian", "edge"])
def test_two_small_writes_reach_the_client_without_waiting_for_its_acknowledgement(
    door_name: str, upstream: Upstream, gateway: Gateway, route: Route
) -> None:
    """With Nagle's algorithm on, the second of two small writes waits up to 40 ms for a delayed acknowledgement."""
    upstream.script(route.rule({"events": {"count": 40, "every_ms": 4}}, {"finish": {}}, "done"))
    with ask_raw(gateway.doors[door_name], route, stream=True) as client:
        gaps: list[float] = []
        last = None
        while True:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 0)
            piece = client.recv(65_536)
            if not piece:
                break
            now = time.monotonic()
            gaps += [now - last] if last else []
            last = now
    assert len(gaps) > 25, "events came one by one"
    assert sorted(gaps)[len(gaps) // 2] < 0.025


def sips(clients: list[socket.socket], for_s: float) -> None:
    """Each client reads a kibibyte a second."""
    end = time.monotonic() + for_s
    while time.monotonic() < end:
        turn = time.monotonic() + 1.0
        for client in clients:
            with contextlib.suppress(BlockingIOError, ConnectionError):
                client.recv(1024)
        eventually(lambda: time.monotonic() > turn, "the next second", 5)  # noqa: B023 - run at once


@pytest.mark.parametrize("readers, for_s", [(40, 3.0), pytest.param(200, 40.0, marks=pytest.mark.long)])
def test_readers_of_a_kibibyte_a_second_hold_little_and_stop_their_upstreams_at_the_edge_door(
    readers: int, for_s: float, upstream: Upstream, gateway: Gateway, route: Route
) -> None:
    flood(upstream, route)
    before = gateway.memory_bytes
    clients = [ask_raw(gateway.doors["edge"], route, stream=True) for _ in range(readers)]
    for client in clients:
        client.setblocking(False)
    sips(clients, for_s)
    rows = upstream.rows(route.first)
    # A kernel announces room in pieces of tens of kibibytes: such a reader may seem to take nothing for half a minute.
    cut = [row for row in rows if row["ended"] == "cancelled"]
    assert cut == [] or for_s > STALL_S
    assert max(row["bytes_sent"] for row in rows) < SOCKETS_BYTES
    grown = gateway.memory_bytes - before
    print(f"{readers} slow readers: {grown >> 20} MiB, {len(cut)} cut")
    assert grown < 64 << 20
    for client in clients:
        client.close()
    eventually(lambda: all(row["ended"] == "cancelled" for row in upstream.rows(route.first)), "all were let go")


@pytest.mark.long
def test_readers_of_a_kibibyte_a_second_hold_no_more_than_granians_bounds(
    upstream: Upstream, serve: Serve, route: Route
) -> None:
    flood(upstream, route)
    gateway = serve(configuration(upstream.origin, free_port()))
    before = gateway.memory_bytes
    clients = [ask_raw(gateway.doors["granian"], route, stream=True) for _ in range(200)]
    for client in clients:
        client.setblocking(False)
    sips(clients, 20)
    grown = gateway.memory_bytes - before
    print(f"200 slow readers: {grown >> 20} MiB")
    assert grown < ALL_REPLIES_BYTES + (64 << 20)
    assert gateway.doors["granian"].send("GET", "/readyz").status == 200
    for client in clients:
        client.close()
    eventually(lambda: all(row["ended"] != "open" for row in upstream.rows()), "all were let go")
