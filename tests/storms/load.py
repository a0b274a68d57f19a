"""A load that does not wait for answers: plain requests due at a steady pace, and streams of which so many always run.

One rule: what was due is sent, whatever became of what went before; so an outage meets the load it would meet outside.
One surprise: it speaks HTTP/1 by itself on bare transports, because a client library would be slower than the gateway.
"""

import asyncio
import contextlib
import json
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Self

import uvloop
from msgspec import Struct

from flow.rig import CHAT, Door, chat, events, finishes, text_of

OLDEST_S = 4.0
"""An idle connection is given up before a door, which closes them after 10 s, could do it in the same moment."""
END = b"\r\n0\r\n\r\n"
PATIENCE_S = 60.0


class Seen(Struct, frozen=True):
    """What a client saw of one request."""

    door: str
    stream: bool
    due_s: float
    """Seconds since the load began."""
    took_s: float
    first_s: float
    """To the first byte of the answer's body."""
    status: int
    """0: the connection ended without a status."""
    headers: dict[str, str]
    text: str
    """Content, joined."""
    code: str | None
    """Of the error, as a reply or as an event."""
    whole: bool
    """It ended as a good answer ends."""

    @property
    def ended_s(self) -> float:
        return self.due_s + self.took_s

    @property
    def committed(self) -> bool:
        """The client got content, so nobody could ask elsewhere any more."""
        return self.whole or self.text != ""

    @property
    def attempts(self) -> int:
        return int(self.headers.get("x-fastroute-attempts", "0"))


class Load:
    """`rate` plain requests a second, in turn at each door, and `streams` open at any time."""

    def __init__(self, doors: Sequence[Door], model: str, rate: float, streams: int = 0) -> None:
        self.seen: list[Seen] = []
        self._doors = doors
        self.model = model
        """May change while it runs."""
        self.rate = rate
        """The same."""
        self._streams = streams
        self._idle: dict[str, list[_Client]] = {door.name: [] for door in doors}
        self._open = 0
        self._over = False
        self._all_begun = False
        self._all_ended = asyncio.Event()
        self._began_s = 0.0
        self._thread = threading.Thread(target=lambda: uvloop.run(self._play()), daemon=True)

    @property
    def now_s(self) -> float:
        return time.monotonic() - self._began_s

    def __enter__(self) -> Self:
        self._began_s = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """What was asked is waited for."""
        self._over = True
        self._thread.join(PATIENCE_S + 1)
        assert not self._open, f"{self._open} requests without an end"

    async def _play(self) -> None:
        for number in range(self._streams):
            self._begin_stream(number)
        await self._pace()
        self._all_begun = True
        if not self._open:
            self._all_ended.set()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._all_ended.wait(), PATIENCE_S)
        for client in [each for clients in self._idle.values() for each in clients]:
            client.close()

    async def _pace(self) -> None:
        due_s, number = time.monotonic(), 0
        while not self._over:
            due_s += 1 / self.rate
            if (wait_s := due_s - time.monotonic()) > 0:
                await asyncio.sleep(wait_s)
            self._begin(self._doors[number % len(self._doors)], chat(self.model), stream=False, due_s=due_s)
            number += 1

    def _begin_stream(self, number: int) -> None:
        if self._over:
            return
        door = self._doors[number % len(self._doors)]
        self._begin(door, chat(self.model, stream=True), stream=True, due_s=time.monotonic(), number=number)

    def _begin(self, door: Door, body: bytes, *, stream: bool, due_s: float, number: int = 0) -> None:
        self._open += 1

        def ended(client: "_Client", seen: Seen) -> None:
            self._open -= 1
            if self._all_begun and not self._open:
                self._all_ended.set()
            self.seen.append(seen)
            if client.reusable:
                self._idle[door.name].append(client)
            if stream:
                # One that failed at once must not be a storm of its own.
                asyncio.get_running_loop().call_later(0.05, self._begin_stream, number)

        request = _Request(door, body, stream, due_s, self._began_s, ended)
        if (idle := self._taken(door.name)) is not None:
            idle.send(request)
        else:
            connecting = asyncio.get_running_loop().create_task(self._connect(request))
            _running.add(connecting)
            connecting.add_done_callback(_running.discard)

    async def _connect(self, request: "_Request") -> None:
        client = _Client()
        try:
            await asyncio.get_running_loop().create_connection(lambda: client, *request.door.place)
        except OSError:
            request.ended(client, request.seen(b""))
        else:
            client.send(request)

    def _taken(self, door: str) -> "_Client | None":
        idle = self._idle[door]
        while idle:
            client = idle.pop()
            if client.reusable and time.monotonic() - client.used_s < OLDEST_S:
                return client
            client.close()
        return None


_running: set[asyncio.Task[None]] = set()
"""asyncio keeps no task alive by itself."""


class _Request(Struct):
    """One that is due, and whom to tell what came of it."""

    door: Door
    body: bytes
    stream: bool
    due_s: float
    began_s: float
    ended: "Callable[[_Client, Seen], None]"
    first_s: float = 0.0

    def seen(self, answer: bytes) -> Seen:
        head, _, rest = answer.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        status = int(lines[0][9:12] or 0)
        body = _unchunked(rest) if "transfer-encoding" in headers else rest
        text, code, whole = _told(status, body, stream=self.stream)
        return Seen(
            door=self.door.name,
            stream=self.stream,
            due_s=self.due_s - self.began_s,
            took_s=time.monotonic() - self.due_s,
            first_s=self.first_s - self.due_s,
            status=status,
            headers=headers,
            text=text,
            code=code,
            whole=whole,
        )


def _told(status: int, body: bytes, *, stream: bool) -> tuple[str, str | None, bool]:
    """Content, the error's code, and whether the answer is a good one to its end."""
    if status == 200 and stream:
        told = list(events(body))
        errors = [event["error"]["code"] for event in told if isinstance(event, dict) and "error" in event]
        good = finishes(told) == ["stop"] and told[-1] == "[DONE]" and not errors
        return text_of(told), errors[0] if errors else None, good
    try:
        told = json.loads(body)
    except ValueError:
        return "", None, False
    if status == 200:
        return told["choices"][0]["message"]["content"], None, True
    return "", told["error"]["code"], False


def _unchunked(body: bytes) -> bytes:
    pieces = []
    while body:
        size, _, rest = body.partition(b"\r\n")
        length = int(size or b"0", 16)
        if length == 0:
            break
        pieces.append(rest[:length])
        body = rest[length + 2 :]
    return b"".join(pieces)


class _Client(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self) -> None:
        self.used_s = 0.0
        self._transport: Any = None
        self._request: _Request | None = None
        self._answer = bytearray()
        self._ends_at: int | None = None
        self._chunked = False

    @property
    def reusable(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._finish()

    def send(self, request: _Request) -> None:
        self._request = request
        self._answer.clear()
        self._ends_at, self._chunked = None, False
        if self._transport is None:
            self._finish()
            return
        head = f"POST {CHAT} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(request.body)}\r\n\r\n"
        self._transport.write(head.encode() + request.body)

    def data_received(self, data: bytes) -> None:
        answer, request = self._answer, self._request
        if request is None:
            return
        answer += data
        if self._ends_at is None and not self._chunked and (end := answer.find(b"\r\n\r\n")) >= 0:
            request.first_s = time.monotonic()
            head = bytes(answer[:end]).lower()
            self._chunked = b"transfer-encoding: chunked" in head
            if not self._chunked:
                length = head.partition(b"content-length:")[2].partition(b"\r\n")[0]
                self._ends_at = end + 4 + int(length)
        if (self._chunked and answer.endswith(END)) or len(answer) == self._ends_at:
            if b"connection: close" in answer[: answer.find(b"\r\n\r\n")].lower():
                self.close()
            self._finish()

    def _finish(self) -> None:
        request, self._request = self._request, None
        if request is not None:
            self.used_s = time.monotonic()
            request.ended(self, request.seen(bytes(self._answer)))
