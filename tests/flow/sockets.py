"""Many clients at once: a crowd of sockets that do one thing each, and ordinary traffic beside them.

One rule: a crowd is watched through one epoll, so that what it costs is the gateway's cost and not ours.
"""

import resource
import select
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Self

import pytest

from flow.rig import Door, Route


def room_for(descriptors: int) -> None:
    """Raises this process's limit; skips the test where that is not allowed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < descriptors:
        pytest.skip(f"needs {descriptors} descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, descriptors), hard))


ESTABLISHED = "01"


def open_to(port: int) -> int:
    """How many connections to this port nobody has closed yet, as the kernel counts them."""
    rows = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
    return sum(row[3] == ESTABLISHED and int(row[2].partition(":")[2], 16) == port for row in rows)


class Member(NamedTuple):
    """One client of a crowd: what it is called, when it came, and what it goes on sending."""

    kind: str
    client: socket.socket
    came: float
    crumb: bytes


def join(door: Door, kind: str, sent: bytes, crumb: bytes = b"") -> Member:
    client = door.socket()
    came = time.monotonic()
    client.sendall(sent)
    client.setblocking(False)
    return Member(kind, client, came, crumb)


def stays(crowd: Sequence[Member], deadline_s: float, every_s: float = 1.0) -> Mapping[str, list[float]]:
    """Seconds that each member stayed before the other side ended it, by kind; `inf` for those that outstay it all."""
    by_descriptor = {member.client.fileno(): member for member in crowd}
    stayed: dict[str, list[float]] = {member.kind: [] for member in crowd}
    poll = select.epoll()
    for descriptor in by_descriptor:
        poll.register(descriptor, select.EPOLLIN | select.EPOLLRDHUP)
    end = time.monotonic() + deadline_s
    crumbs_at = time.monotonic() + every_s
    while by_descriptor and time.monotonic() < end:
        for descriptor, _ in poll.poll(0.05):
            member = by_descriptor[descriptor]
            if _is_over(member.client):
                stayed[member.kind].append(time.monotonic() - member.came)
                poll.unregister(descriptor)
                del by_descriptor[descriptor]
        if time.monotonic() > crumbs_at:
            crumbs_at += every_s
            for member in by_descriptor.values():
                _crumble(member)
    for member in by_descriptor.values():
        stayed[member.kind].append(float("inf"))
    for member in crowd:
        member.client.close()
    poll.close()
    return stayed


def _is_over(client: socket.socket) -> bool:
    try:
        return client.recv(65_536) == b""
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


def _crumble(member: Member) -> None:
    if member.crumb:
        try:
            member.client.send(member.crumb)
        except OSError:
            return


class Traffic:
    """Ordinary requests while a block runs, each on a connection of its own, a few at a time."""

    def __init__(self, door: Door, route: Route, threads: int = 2, pause_s: float = 0.02) -> None:
        self.statuses: list[int] = []
        self._latencies_s: list[float] = []
        self._over = threading.Event()
        self._pause_s = pause_s
        self._threads = [threading.Thread(target=self._run, args=(door, route)) for _ in range(threads)]

    def _run(self, door: Door, route: Route) -> None:
        while not self._over.wait(self._pause_s):
            began = time.monotonic()
            try:
                status = door.ask(route).status
            except OSError:
                status = 0
            self._latencies_s.append(time.monotonic() - began)
            self.statuses.append(status)

    def quantile_s(self, share: float) -> float:
        ordered = sorted(self._latencies_s)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    def unharmed(self, p99_s: float) -> None:
        """All were answered, and nearly all soon."""
        assert len(self.statuses) > 10, "there was traffic at all"
        assert set(self.statuses) == {200}
        assert self.quantile_s(0.99) < p99_s

    def __str__(self) -> str:
        p50_ms, p99_ms = (self.quantile_s(share) * 1000 for share in (0.5, 0.99))
        return f"{len(self.statuses)} requests, p50 {p50_ms:.1f} ms, p99 {p99_ms:.1f} ms"

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()
