"""A crowd of clients that never stops asking: whole replies at a rate, and streams that are begun again when they end.

One rule: whatever a client would complain about is a complaint, with its reason; nothing is tried twice. One surprise:
a kept connection that was closed before a byte of the next reply is no complaint, because every client opens another.
"""

import asyncio
import itertools
import threading
import time
from collections.abc import Sequence
from types import TracebackType
from typing import NamedTuple, Self

from flow.rig import CHAT, Door, chat, events, finishes

PATIENCE_S = 60.0


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def closes(self) -> bool:
        return self.headers.get("connection", "").lower() == "close"


class BrokenOff(OSError):
    """Not one to try again on another connection: a part of the reply is here."""


Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Crowd:
    """Asks every door in turn, from a thread of its own, between `with` and its end."""

    def __init__(
        self, doors: Sequence[Door], model: str, *, rate: float = 0, streams: int = 0, stream_model: str | None = None
    ) -> None:
        self._doors = itertools.cycle(doors)
        self._stream_doors = itertools.cycle(doors)
        self._model = model
        self._stream_model = stream_model or model
        self._rate = rate
        self._streams = streams
        self._idle: dict[Door, list[Connection]] = {door: [] for door in doors}
        self._over = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self.answered = 0
        self.streamed = 0
        self.running = 0
        """Streams that have begun and not ended."""
        self.complaints: list[str] = []
        self.answered_at: list[float] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.finish()

    def ask_no_more(self) -> None:
        """What was asked is still waited for."""
        self._over.set()

    def finish(self) -> None:
        self._over.set()
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive(), "somebody still waits for an answer"

    async def _run(self) -> None:
        streaming = [asyncio.create_task(self._stream_on()) for _ in range(self._streams)]
        asking: set[asyncio.Task[None]] = set()
        began, asked = time.monotonic(), 0
        while not self._over.is_set():
            due = int((time.monotonic() - began) * self._rate)
            for _ in range(due - asked):
                task = asyncio.create_task(self._ask_one())
                asking.add(task)
                task.add_done_callback(asking.discard)
            asked = max(asked, due)
            await asyncio.sleep(0.005)
        await asyncio.gather(*streaming, *asking)
        for kept in self._idle.values():
            for _, writer in kept:
                writer.close()

    async def _ask_one(self) -> None:
        door = next(self._doors)
        try:
            answer = await asyncio.wait_for(self._exchange(door, chat(self._model)), PATIENCE_S)
        except (OSError, asyncio.IncompleteReadError, TimeoutError) as error:
            self.complaints.append(f"{door.name}: {type(error).__name__} {error}")
            return
        self.answered += 1
        self.answered_at.append(time.monotonic())
        if answer.status != 200 or b'"choices"' not in answer.body:
            self.complaints.append(f"{door.name}: {answer.status} {answer.body[:200]!r}")

    async def _stream_on(self) -> None:
        while not self._over.is_set():
            door = next(self._stream_doors)
            self.running += 1
            try:
                answer = await asyncio.wait_for(self._exchange(door, chat(self._stream_model, stream=True)), PATIENCE_S)
            except (OSError, asyncio.IncompleteReadError, TimeoutError) as error:
                self.complaints.append(f"{door.name}, stream: {type(error).__name__} {error}")
                await asyncio.sleep(0.05)
                continue
            finally:
                self.running -= 1
            self.streamed += 1
            seen = list(events(answer.body))
            if answer.status != 200 or finishes(seen) != ["stop"] or seen[-1] != "[DONE]":
                self.complaints.append(f"{door.name}, stream: {answer.status} {answer.body[-200:]!r}")
                await asyncio.sleep(0.05)

    async def _exchange(self, door: Door, body: bytes) -> Answer:
        head = (
            f"POST {CHAT} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        while True:
            kept = self._idle[door]
            fresh = not kept
            reader, writer = await asyncio.open_connection(*door.place) if fresh else kept.pop()
            try:
                writer.write(head.encode() + body)
                answer = await _answer(reader)
            except (ConnectionError, asyncio.IncompleteReadError) as error:
                writer.close()
                if fresh or getattr(error, "partial", b""):
                    raise
                continue
            except BaseException:
                writer.close()
                raise
            if answer.closes:
                writer.close()
            else:
                kept.append((reader, writer))
            return answer


async def _answer(reader: asyncio.StreamReader) -> Answer:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
    status = int(head[0].split()[1])
    try:
        if "content-length" in headers:
            body = await reader.readexactly(int(headers["content-length"]))
        else:
            body = await _chunks(reader)
    except (ConnectionError, asyncio.IncompleteReadError) as error:
        raise BrokenOff(f"{type(error).__name__} behind the head of a {status}") from error
    return Answer(status, headers, body)


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    body = bytearray()
    while size := int(await reader.readuntil(b"\r\n"), 16):
        body += (await reader.readexactly(size + 2))[:-2]
    await reader.readexactly(2)
    return bytes(body)
