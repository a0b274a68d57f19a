"""granian's door: an RSGI application that reads a body under caps and hands it to the engine.

The rule: no coroutine step per chunk of a reply; the engine's drain writes it. The surprise: granian has no body
timer (its issue 728), so a sweep once a second ends reads that are overdue.
"""

import asyncio
import time
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastroute.native import Engine

BODY_START_S = 10.0
"""First byte of a body."""
GRACE_S = 5.0
"""From its first byte, before a body must keep its pace."""
FLOOR_BYTES_S = 1024
"""Average a body must keep."""
WHOLE_BYTES = 1 << 20
"""A body up to here is taken whole, because the two changes of thread that a chunk costs cost more than its bytes do. A
longer one comes in chunks, so that no body holds the loop for much more than a millisecond."""
WARY_BYTES = 4 << 10
"""The same while `WARY_READS` are waited for already. Nobody sees a whole body begin, so the clock of a long one is
long; a crowd that announces much and sends nothing meets the clock of the first byte."""
WARY_READS = 64
DISCARDED_BYTES = 32 << 20
DISCARDED_FOR_S = 2.0
"""How much is read on behind a refusal, and for how long, as at the edge door."""
QUEUE = 100
"""Requests that may wait for a place, where all are taken."""
QUEUE_FOR_S = 0.25
"""How long one waits."""
QUEUE_LOOK_S = 0.005
"""Places are given back on other threads, which tell nobody here."""
SWEEP_S = 1.0
WATCH_AFTER_S = 0.05
"""A client is watched for leaving once its exchange is this old; most of the short ones never cost a task."""


class Rsgi:
    """The application object granian calls."""

    def __init__(self, engine: "Engine", body_timeout_s: float) -> None:
        self._engine = engine
        self._body_timeout_s = body_timeout_s
        self._ending = False
        self._reading: dict[asyncio.Task[Any], float] = {}
        self._queue: deque[tuple[float, asyncio.Future[None]]] = deque()
        self._watching: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timers: list[asyncio.TimerHandle] = []

    def __rsgi_init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._timers = [loop.call_later(SWEEP_S, self._sweep), loop.call_later(WATCH_AFTER_S, self._watch)]

    def __rsgi_del__(self, _loop: asyncio.AbstractEventLoop) -> None:
        for timer in self._timers:
            timer.cancel()

    async def __rsgi__(self, scope: Any, protocol: Any) -> None:
        if scope.proto != "http":
            protocol.close(404)
            return
        try:
            request = self._engine.open(protocol, scope, len(self._queue) < QUEUE)
        except BlockingIOError:
            await self._place()
            request = self._engine.open(protocol, scope, False)
        if request is None:
            await self._answered_at_once(scope, protocol)
            return
        task = asyncio.current_task()
        if task is None:
            return
        now = time.monotonic()
        try:
            length = request.length
            if length is not None and length <= (WHOLE_BYTES if len(self._reading) < WARY_READS else WARY_BYTES):
                # Nobody sees it begin, so its first byte and its pace have one clock together.
                self._reading[task] = now + min(self._body_timeout_s, BODY_START_S + length / FLOOR_BYTES_S)
                complete = request.feed(await protocol())
            else:
                complete = await self._read(request, protocol, task, now)
        except asyncio.CancelledError:
            if task in self._reading:
                raise
            # We ended this read and nothing else was meant: the client is told, and the task goes on to end.
            task.uncancel()
            request.fail("stopping" if self._ending else "late")
            return
        except Exception:  # noqa: BLE001 - granian raises RuntimeError kinds for a body that broke off
            request.fail("broken")
            return
        finally:
            self._reading.pop(task, None)
        if complete:
            answered = request.run()
            if answered is not None:
                await answered

    async def _answered_at_once(self, scope: Any, protocol: Any) -> None:
        # Nobody wants its body, if it has one. Whoever asks first whether to send does not send now, and must not be
        # told to.
        if "expect" not in scope.headers:
            await self._discard(aiter(protocol))

    async def _place(self) -> None:
        """Waits until there may be a place, or for as long as a request may wait."""
        loop = asyncio.get_running_loop()
        place: asyncio.Future[None] = loop.create_future()
        self._queue.append((loop.time() + QUEUE_FOR_S, place))
        if len(self._queue) == 1:
            loop.call_later(QUEUE_LOOK_S, self._serve_queue)
        await place

    def _serve_queue(self) -> None:
        """Lets as many go on as there are places, in their order; those whose time is over go on to be refused."""
        loop = asyncio.get_running_loop()
        places, now = self._engine.places(), loop.time()
        while self._queue and (places > 0 or self._queue[0][0] <= now):
            due, place = self._queue.popleft()
            if not place.done():
                place.set_result(None)
                places -= due > now
        if self._queue:
            loop.call_later(QUEUE_LOOK_S, self._serve_queue)

    async def _read(self, request: Any, protocol: Any, task: asyncio.Task[Any], opened: float) -> bool:
        read, began, last = 0, 0.0, opened + self._body_timeout_s
        self._reading[task] = min(last, opened + BODY_START_S)
        chunks = aiter(protocol)
        while chunk := await anext(chunks, b""):
            if not request.feed(chunk):
                await self._discard(chunks)
                return False
            began = began or time.monotonic()
            read += len(chunk)
            self._reading[task] = min(last, began + GRACE_S + read / FLOOR_BYTES_S)
        return True

    async def _discard(self, chunks: Any) -> None:
        """Reads on behind a refusal, and keeps nothing. A connection that is closed with bytes unread is reset, and a
        client that was still sending would lose the answer that says why (RFC 9112, section 9.6).
        """
        left = DISCARDED_BYTES
        # In time and whole or not: whoever sends on without a look at the answer has had its chance.
        with suppress(TimeoutError, RuntimeError):
            async with asyncio.timeout(DISCARDED_FOR_S):
                while left > 0 and (chunk := await anext(chunks, b"")):
                    left -= len(chunk)

    def end(self) -> None:
        """Bodies that are still being read are answered now: the time to stop is over."""
        self._ending = True
        for task in list(self._reading):
            del self._reading[task]
            task.cancel()

    def _sweep(self) -> None:
        """Ends reads that are overdue."""
        now = time.monotonic()
        for task in [task for task, due in self._reading.items() if due < now]:
            del self._reading[task]
            task.cancel()
        self._again(0, SWEEP_S, self._sweep)

    def _watch(self) -> None:
        """Starts a watch over each client whose exchange lives long, and has the drain look at what did not ring."""
        self._engine.nudge()
        if self._loop is not None and self._engine.open_replies():
            for number, protocol in self._engine.unwatched(WATCH_AFTER_S):
                task = self._loop.create_task(self._leaves(number, protocol))
                self._watching.add(task)
                task.add_done_callback(self._watching.discard)
                if not self._engine.watched(number, task):
                    task.cancel()
        self._again(1, WATCH_AFTER_S, self._watch)

    async def _leaves(self, number: int, protocol: Any) -> None:
        await protocol.client_disconnect()
        self._engine.gone(number)

    def _again(self, which: int, delay_s: float, call: Any) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._timers[which] = self._loop.call_later(delay_s, call)
