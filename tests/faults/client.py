"""A client that sees every byte and every breaking off: HTTP/1.1 by hand, on asyncio.

One rule: it reads until the transport says that the reply is over, and says whether that was the end it should be.
"""

import asyncio
import contextlib
import time
from collections.abc import Sequence
from typing import NamedTuple

from flow.rig import CHAT, Door, Reply

PATIENCE_S = 60.0
"""Far beyond any clock of the gateway: who waits this long waits for ever."""
MOST_BYTES = 64 << 20


class Timed(NamedTuple):
    """A reply, and when it was asked for and over (monotonic seconds)."""

    reply: Reply
    asked_s: float
    over_s: float

    @property
    def took_s(self) -> float:
        return self.over_s - self.asked_s


class Connection:
    """One connection to a door, used for one request after the other."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, door: Door) -> "Connection":
        host, port = door.place
        return cls(*await asyncio.open_connection(host, port, limit=1 << 20))

    async def ask(self, body: bytes, path: str = CHAT) -> Timed:
        asked_s = time.monotonic()
        head = f"POST {path} HTTP/1.1\r\nhost: gateway\r\ncontent-type: application/json\r\n"
        self._writer.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        async with asyncio.timeout(PATIENCE_S):
            reply = await self._read()
        return Timed(reply, asked_s, time.monotonic())

    async def close(self) -> None:
        self._writer.close()
        # Some faults come to a reset.
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()

    async def _read(self) -> Reply:
        try:
            head = await self._reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            return Reply(0, {}, b"", whole=False)
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
        body = bytearray()
        try:
            whole = await self._read_body(headers, body)
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            body += getattr(error, "partial", b"")
            whole = False
        return Reply(int(first.split(" ")[1]), headers, bytes(body), whole)

    async def _read_body(self, headers: dict[str, str], body: bytearray) -> bool:
        if "content-length" in headers:
            body += await self._reader.readexactly(int(headers["content-length"]))
            return True
        if headers.get("transfer-encoding") != "chunked":
            while piece := await self._reader.read(65_536):
                body += piece
            return True
        while size := int((await self._reader.readuntil(b"\r\n")).split(b";")[0], 16):
            body += await self._reader.readexactly(size)
            assert await self._reader.readexactly(2) == b"\r\n"
            assert len(body) <= MOST_BYTES
        return await self._reader.readexactly(2) == b"\r\n"


async def ask_once(door: Door, body: bytes) -> Timed:
    """One request on a connection of its own."""
    connection = await Connection.open(door)
    try:
        return await connection.ask(body)
    finally:
        await connection.close()


def ask_many(door: Door, bodies: Sequence[bytes], at_once: int = 16) -> list[Timed]:
    """These requests, so many at a time; the replies in the order of the requests."""

    async def gather() -> list[Timed]:
        places = asyncio.Semaphore(at_once)

        async def ask(body: bytes) -> Timed:
            async with places:
                return await ask_once(door, body)

        return await asyncio.gather(*map(ask, bodies))

    return asyncio.run(gather())
