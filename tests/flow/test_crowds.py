"""Crowds of clients that are silent, or send heads and bodies in crumbs: let go in time, and nobody else notices."""

import itertools
import select
import socket
from collections import Counter

import pytest

from flow.rig import CHAT, Gateway, Route, Serve, Upstream, chat, configuration, eventually, free_port
from flow.sockets import Traffic, join, room_for, stays

HEAD = b"POST %s HTTP/1.1\r\nhost: x\r\n" % CHAT.encode()
SLOW_BODY = 4096
SLACK_S = 2.0
"""granian's door looks once a second, and the machine may be busy."""
UNHURT_S = 1.0
MEMBER_BYTES = 18 << 10
"""A connection with a read begun, at either door."""

# What a member sends at once, what it goes on sending each second, and when it must be gone.
KINDS: dict[str, tuple[bytes, bytes, float]] = {
    "silent": (b"", b"", 10.0),
    "head": (HEAD, b"x: y\r\n", 10.0),
    "body": (HEAD + b'content-length: %d\r\n\r\n{"model":' % SLOW_BODY, b" ", 14.0),
    "no body": (HEAD + b"content-length: %d\r\n\r\n" % SLOW_BODY, b"", 14.0),
    "no long body": (HEAD + b"content-length: %d\r\n\r\n" % (1 << 20), b"", 10.0),
}
TAKEN_WHOLE = 64
"""Of the long ones granian's door takes so many whole, and sees of these neither beginning nor pace."""


def test_slow_crowds_are_let_go_and_nobody_notices(gateway: Gateway, upstream: Upstream, route: Route) -> None:
    crowds_and_traffic(gateway, route, 120)


@pytest.mark.long
def test_large_slow_crowds_are_let_go_and_nobody_notices(gateway: Gateway, upstream: Upstream, route: Route) -> None:
    crowds_and_traffic(gateway, route, 1_000)


@pytest.mark.long
def test_four_thousand_silent_connections_are_closed_within_twelve_seconds(
    gateway: Gateway, upstream: Upstream, route: Route
) -> None:
    for door in gateway.doors.values():
        room_for(4_500)
        with Traffic(door, route) as traffic:
            crowd = [join(door, "silent", b"") for _ in range(4_000)]
            stayed = stays(crowd, 15.0)["silent"]
        assert min(stayed) > 9.0
        assert max(stayed) < 12.0
        traffic.unharmed(UNHURT_S)
        print(f"{door.name}: closed after {min(stayed):.1f} to {max(stayed):.1f} s", traffic)


def crowds_and_traffic(gateway: Gateway, route: Route, each: int) -> None:
    room_for(len(gateway.doors) * len(KINDS) * each + 500)
    before = gateway.memory_bytes
    with Traffic(gateway.doors["granian"], route) as at_granian, Traffic(gateway.doors["edge"], route) as at_edge:
        crowd = [
            join(door, f"{kind} at {name}", sent, crumb)
            for name, door in gateway.doors.items()
            for kind, (sent, crumb, _) in KINDS.items()
            for _ in range(each)
        ]
        stayed = stays(crowd, 20.0)
    for name, kind in itertools.product(gateway.doors, KINDS):
        times = sorted(stayed[f"{kind} at {name}"])
        assert len(times) == each
        if (name, kind) == ("granian", "no long body"):
            times = times[:-TAKEN_WHOLE]
        assert max(times) < KINDS[kind][2] + SLACK_S, f"{kind} at {name}"
    assert gateway.memory_bytes - before < (32 << 20) + len(crowd) * MEMBER_BYTES
    for name, traffic in (("granian", at_granian), ("edge", at_edge)):
        traffic.unharmed(UNHURT_S)
        print(name, traffic)
    print({kind: f"{min(times):.1f} to {max(times):.1f} s" for kind, times in stayed.items()})


@pytest.mark.parametrize("size", [(2, 24), pytest.param((32, 64), marks=pytest.mark.long)], ids=["2 MiB", "32 MiB"])
@pytest.mark.parametrize("name", ["granian", "edge"])
def test_parallel_uploads_stay_within_the_memory_for_bodies(
    name: str, size: tuple[int, int], upstream: Upstream, serve: Serve, route: Route
) -> None:
    """A quarter of them fit; the others are told at once to come back, and those that fit are answered."""
    mib, count = size
    most = count // 4 * (mib << 20)
    limits = {"max_body_bytes": mib << 20, "max_body_memory_bytes": most}
    gateway = serve(configuration(upstream.origin, free_port(), **limits))
    door = gateway.doors[name]
    frame = chat(route.name, user="")
    body = chat(route.name, user="x" * ((mib << 20) - len(frame)))
    before = gateway.memory_bytes
    head = HEAD + b"connection: close\r\ncontent-length: %d\r\n\r\n" % len(body)
    uploads = [door.socket(60) for _ in range(count)]
    for upload in uploads:
        upload.sendall(head)
    refused = eventually(lambda: readable(uploads, count - count // 4), "the others are refused", 20)
    answers = Counter(status(upload) for upload in refused)
    assert answers == {503: count - count // 4}
    kept = [upload for upload in uploads if upload not in refused]
    peak = 0
    for start in range(0, len(body), 1 << 18):
        for upload in kept:
            upload.sendall(body[start : start + (1 << 18)])
        peak = max(peak, gateway.memory_bytes)
    assert [status(upload) for upload in kept] == [200] * len(kept)
    assert peak - before < most * 1.1 + (64 << 20)
    print(f"{name}: {len(kept)} of {count} taken, {(peak - before) >> 20} MiB for {most >> 20} MiB of bodies")
    eventually(lambda: door.ask(route).status == 200, "there is room again")


def readable(sockets: list[socket.socket], least: int) -> list[socket.socket]:
    found, _, _ = select.select(sockets, [], [], 0)
    return found if len(found) >= least else []


def status(client: socket.socket) -> int:
    with client:
        answer = b"".join(iter(lambda: client.recv(65_536), b""))
    return int(answer[9:12])
