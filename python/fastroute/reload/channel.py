"""What the supervisor and its data process say to each other about a configuration.

One rule: keys travel here, on a socket pair of our own, and never in an argument or an environment.
"""

import socket
from collections.abc import Iterator
from typing import Generic, TypeVar

import msgspec
from msgspec import Struct

Told = TypeVar("Told")

SEND_S = 5.0
"""How long the other process may leave a message lying."""

_LENGTH_BYTES = 4


class Next(Struct, frozen=True):
    """From the supervisor: the next configuration, packed; or None, because what is in the file is of no use."""

    generation: int
    config: bytes | None = None


class Verdict(Struct, frozen=True):
    """From the data process: what became of it. `flaws` is empty when it decides from now on."""

    generation: int
    flaws: list[str] = []


class Channel(Generic[Told]):
    """One end of a socket pair; whole messages only."""

    def __init__(self, end: socket.socket, told: type[Told]) -> None:
        end.settimeout(SEND_S)
        self._end = end
        self._decoder = msgspec.msgpack.Decoder(told)
        self._received = bytearray()
        self._waiting = bytearray()

    def fileno(self) -> int:
        return self._end.fileno()

    def send(self, message: Struct) -> None:
        """Raises OSError when the other side does not listen; nothing can be sent after that."""
        packed = msgspec.msgpack.encode(message)
        self._end.sendall(len(packed).to_bytes(_LENGTH_BYTES, "big") + packed)

    def post(self, message: Struct) -> None:
        """Sends it as soon as the other side takes it: now, or with a later `flush`. Raises OSError likewise."""
        packed = msgspec.msgpack.encode(message)
        self._waiting += len(packed).to_bytes(_LENGTH_BYTES, "big") + packed
        self.flush()

    @property
    def busy(self) -> bool:
        """Something that was posted waits for the other side."""
        return bool(self._waiting)

    def flush(self) -> None:
        """Sends of what waits as much as the other side takes now."""
        self._end.setblocking(False)
        try:
            while self._waiting:
                del self._waiting[: self._end.send(self._waiting)]
        except BlockingIOError:
            return
        finally:
            self._end.settimeout(SEND_S)

    def receive(self) -> Iterator[Told]:
        """The messages that are complete. Call it when there is something to read; raises EOFError at the end."""
        received = self._end.recv(1 << 20)
        if not received:
            raise EOFError
        self._received += received
        while len(self._received) >= _LENGTH_BYTES:
            end = _LENGTH_BYTES + int.from_bytes(self._received[:_LENGTH_BYTES], "big")
            if len(self._received) < end:
                return
            message = bytes(self._received[_LENGTH_BYTES:end])
            del self._received[:end]
            yield self._decoder.decode(message)

    def close(self) -> None:
        self._end.close()
