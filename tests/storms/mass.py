"""Thousands of streams that are only held: opened from several addresses, and watched through one epoll.

One surprise: who wants so many needs room for descriptors, in this process and in those it starts.
"""

import resource
import select
import socket
import struct
import time
from collections.abc import Iterator, Sequence

from flow.rig import CHAT, Door, chat

SOURCES = 8
"""Addresses of 127.0.0.0/8 that clients come from: each has 28,000 ports for one place."""
AT_ONCE = 256
"""Requests that wait for their first byte."""
RESERVE = 500


def room(wanted: int) -> int:
    """Raises the limit of this process and its children; how many of the wanted streams have room in it."""
    needed = 2 * wanted + RESERVE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for limit in ((needed, max(needed, hard)), (hard, hard)):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, limit)
        except (ValueError, PermissionError):
            continue
        break
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return min(wanted, (soft - RESERVE) // 2)


class Mass:
    """Open streams, and what came on each of them."""

    def __init__(self) -> None:
        self.bytes: dict[int, int] = {}
        """Behind the head and the first content, by descriptor."""
        self.lost = 0
        """Ended by the other side."""
        self._clients: dict[int, socket.socket] = {}
        self._poll = select.epoll()

    def __len__(self) -> int:
        return len(self._clients)

    def join(self, door: Door, model: str, count: int, deadline_s: float = 120.0) -> None:
        """Opens so many, a few hundred at a time, and returns when each has begun."""
        body = chat(model, stream=True)
        request = f"POST {CHAT} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body
        end_s = time.monotonic() + deadline_s
        waiting: dict[int, bytes] = {}
        opened = 0
        while opened < count or waiting:
            assert time.monotonic() < end_s, f"{opened} of {count} opened, {len(waiting)} without content"
            while opened < count and len(waiting) < AT_ONCE:
                client = socket.create_connection(door.place, 30, (f"127.0.0.{2 + opened % SOURCES}", 0))
                client.sendall(request)
                client.setblocking(False)
                self._clients[client.fileno()] = client
                self._poll.register(client.fileno(), select.EPOLLIN | select.EPOLLRDHUP)
                waiting[client.fileno()] = b""
                opened += 1
            for descriptor, data in self._arrived(0.05):
                if descriptor in waiting:
                    waiting[descriptor] += data
                    if b'"content"' in waiting[descriptor]:
                        assert waiting.pop(descriptor).startswith(b"HTTP/1.1 200 ")
                        self.bytes[descriptor] = 0
                else:
                    self.bytes[descriptor] += len(data)

    def _arrived(self, wait_s: float) -> Iterator[tuple[int, bytes]]:
        for descriptor, _ in self._poll.poll(wait_s, 4_096):
            try:
                data = self._clients[descriptor].recv(65_536)
            except BlockingIOError:
                continue
            except ConnectionError:
                data = b""
            if data:
                yield descriptor, data
            else:
                self.lost += 1
                self._poll.unregister(descriptor)
                self._clients.pop(descriptor).close()

    def watch(self, seconds: float) -> None:
        end_s = time.monotonic() + seconds
        while time.monotonic() < end_s:
            for descriptor, data in self._arrived(0.2):
                self.bytes[descriptor] += len(data)

    def vanish(self, count: int) -> None:
        """So many leave at once, without a word behind."""
        for descriptor in list(self._clients)[:count]:
            client = self._clients.pop(descriptor)
            self._poll.unregister(descriptor)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()

    @property
    def least(self) -> int:
        return min(self.bytes.values())

    def close(self) -> None:
        self.vanish(len(self._clients))
        self._poll.close()


def quantile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
