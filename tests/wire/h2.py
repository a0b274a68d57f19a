"""A client of HTTP/2 with prior knowledge that does nothing by itself: no window grows and no stream ends unasked.

One rule: it writes frames and takes frames apart (RFC 9113); headers go out as plain literals (RFC 7541, 6.2.2), and
those that come back are not read.
"""

import struct
import time
from collections import defaultdict
from collections.abc import Callable
from typing import NamedTuple, Self

from flow.rig import CHAT, Door

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
END_STREAM, ACK, END_HEADERS = 1, 1, 4
CANCEL = 8
INITIAL_WINDOW = 4
WIDEST = (1 << 31) - 1
DEFAULT_WINDOW = 65_535


class Frame(NamedTuple):
    kind: int
    flags: int
    stream: int
    payload: bytes


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def preface(stream_window: int = WIDEST) -> bytes:
    """What a client begins with; the connection's own window is opened wide."""
    settings = struct.pack(">HI", INITIAL_WINDOW, stream_window)
    wide = frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", WIDEST - DEFAULT_WINDOW))
    return b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS, 0, 0, settings) + wide


def head_of(*more: tuple[str, str]) -> bytes:
    """The fields of a chat request, with more headers if given."""
    fields = [(":method", "POST"), (":scheme", "http"), (":path", CHAT), (":authority", "x")]
    return b"".join(_literal(name, value) for name, value in [*fields, *more])


def _literal(name: str, value: str) -> bytes:
    return b"\x00" + bytes([len(name)]) + name.encode() + _length(len(value)) + value.encode()


def _length(number: int) -> bytes:
    """An integer with a prefix of seven bits (RFC 7541, section 5.1)."""
    if number < 127:
        return bytes([number])
    more = bytearray([127])
    number -= 127
    while number >= 128:
        more.append(number % 128 + 128)
        number //= 128
    return bytes([*more, number])


class Connection:
    """One connection. The connection's own window is wide open, so that only a stream's window holds anything back."""

    def __init__(self, door: Door, stream_window: int = WIDEST) -> None:
        self.socket = door.socket()
        self.data: defaultdict[int, bytearray] = defaultdict(bytearray)
        self.ended: set[int] = set()
        self.reset: dict[int, int] = {}
        self.goaway: int | None = None
        self._buffer = bytearray()
        self._next = 1
        self.socket.sendall(preface(stream_window))

    def begin(self, body: bytes, *more: tuple[str, str]) -> int:
        """Sends a whole request, with more headers if given, and gives its stream."""
        stream, self._next = self._next, self._next + 2
        head = head_of(*more)
        self.socket.sendall(frame(HEADERS, END_HEADERS, stream, head) + frame(DATA, END_STREAM, stream, body))
        return stream

    def cancel(self, stream: int) -> None:
        self.socket.sendall(frame(RST_STREAM, 0, stream, struct.pack(">I", CANCEL)))

    def widen(self, stream: int, by: int) -> None:
        self.socket.sendall(frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", by)))

    def pump(self, until: Callable[[], bool], deadline_s: float = 15.0) -> None:
        """Takes frames in until something is so."""
        end = time.monotonic() + deadline_s
        while not until():
            self._take(self._read())
            assert time.monotonic() < end, (len(self.data), self.ended, self.reset)

    def finish(self, stream: int) -> bytes:
        """The whole body of a stream that ends as it should."""
        self.pump(lambda: stream in self.ended or stream in self.reset)
        assert stream in self.ended, f"reset with code {self.reset[stream]}"
        return bytes(self.data[stream])

    def _read(self) -> Frame:
        while True:
            if len(self._buffer) >= 9:
                length = int.from_bytes(self._buffer[:3], "big")
                if len(self._buffer) >= 9 + length:
                    kind, flags = self._buffer[3], self._buffer[4]
                    stream = int.from_bytes(self._buffer[5:9], "big") & WIDEST
                    payload = bytes(self._buffer[9 : 9 + length])
                    del self._buffer[: 9 + length]
                    return Frame(kind, flags, stream, payload)
            piece = self.socket.recv(65_536)
            if not piece:
                raise ConnectionResetError("the server closed the connection")
            self._buffer += piece

    def _take(self, taken: Frame) -> None:
        if taken.kind == DATA:
            self.data[taken.stream] += taken.payload
        elif taken.kind == RST_STREAM:
            self.reset[taken.stream] = int.from_bytes(taken.payload, "big")
        elif taken.kind == GOAWAY:
            self.goaway = int.from_bytes(taken.payload[4:8], "big")
        elif taken.kind in (SETTINGS, PING) and not taken.flags & ACK:
            self.socket.sendall(frame(taken.kind, ACK, 0, taken.payload if taken.kind == PING else b""))
        if taken.kind in (DATA, HEADERS) and taken.flags & END_STREAM:
            self.ended.add(taken.stream)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()
