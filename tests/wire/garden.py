"""Streams of requests that two readers might take apart differently, and what each reader takes them for.

One rule: a reader tells a stream as the names of the requests it saw, in order, and whether it refused what came then.
A request carries its name in `x-request-id`; those that stand inside a body are called `smuggled`. The surprise: who
waits for the rest of a body says nothing, so silence is what ends a reading, and it has to be long enough.
"""

import asyncio
import random
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import h11

SILENCE_S = 0.4
LONG_SILENCE_S = 5.0
END = b"GET /livez HTTP/1.1\r\nhost: x\r\nx-request-id: end\r\nconnection: close\r\n\r\n"
_HEAD = re.compile(rb"HTTP/1\.[01] ([2-5]\d\d)[^\r\n]*\r\n(.*?)\r\n\r\n", re.DOTALL)


class Reading(NamedTuple):
    names: list[str | None]
    """None where a request came without a usable name."""
    refused: bool
    """It ended the connection of its own accord, and says nothing about what comes behind."""


# A stream: one to three requests, each framed by one of these and spoilt a little, and a sound one that ends it.

LENGTHS = [
    b"content-length: %d",
    b"Content-Length:%d",
    b"content-length: %d ",
    b"content-length:\t%d",
    b"content-length: 0%d",
    b"content-length: +%d",
    b"content-length: -%d",
    b"content-length: %d, %d",
    b"content-length: %d,0",
    b"content-length: 0\r\ncontent-length: %d",
    b"content-length: %d\r\ncontent-length: 0",
    b"content-length: %d\r\ncontent-length: %d",
    b"content-length : %d",
    b"content-length\t: %d",
    b" content-length: %d",
    b"content_length: %d",
    b"content-length: 0x%x",
    b"content-length: %d_0",
    b"content-length: %d.0",
    b"content-length: 1 %d",
    b"content-length:\r\n %d",
    b"content-length: \x0b%d",
    b"x: y\ncontent-length: %d",
    b"x: y\rcontent-length: %d",
    b"content-length: %d\0",
    b"content-length: 18446744073709551616%d",
]
CODINGS = [
    b"transfer-encoding: chunked",
    b"Transfer-Encoding:CHUNKED",
    b"transfer-encoding: chunked ",
    b"transfer-encoding:\tchunked",
    b"transfer-encoding : chunked",
    b"transfer-encoding: identity",
    b"transfer-encoding: chunked, identity",
    b"transfer-encoding: identity, chunked",
    b"transfer-encoding: gzip, chunked",
    b"transfer-encoding: chunked, chunked",
    b"transfer-encoding: ,chunked",
    b"transfer-encoding: chunked,",
    b"transfer-encoding: xchunked",
    b"transfer-encoding: chunkedx",
    b"transfer-encoding: chunked;q=1",
    b'transfer-encoding: "chunked"',
    b"transfer-encoding: \x0bchunked",
    b"transfer-encoding: chunked\x0c",
    b"transfer-encoding: ch\0unked",
    b"transfer-encoding:\r\n chunked",
    b"transfer-encoding: x\r\n chunked",
    b"transfer-encoding: chunked\r\ntransfer-encoding: identity",
    b"transfer-encoding: identity\r\ntransfer-encoding: chunked",
    b"transfer_encoding: chunked",
    b"x: y\ntransfer-encoding: chunked",
    b"x: y\rtransfer-encoding: chunked",
    b" transfer-encoding: chunked",
]
SIZES = [
    *(b"%x\r\n", b"%X\r\n", b"0%x\r\n", b"%x \r\n", b"%x;a=b\r\n", b"%x ; a\r\n", b'%x;a="b"\r\n', b"%x\n", b"%x\r"),
    *(
        b"0x%x\r\n",
        b"+%x\r\n",
        b"-%x\r\n",
        b" %x\r\n",
        b"%x\t\r\n",
        b"%x;a\n\r\n",
        b"%x;a\rb\r\n",
        b"%xg\r\n",
        b"%x,0\r\n",
    ),
    *(b"%x\0\r\n", b'%x;a="\r\n"\r\n', b"1%016x\r\n", b"00000000000000000%x\r\n"),
]
CHUNK_ENDS = [b"\r\n", b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r", b"", b" \r\n", b"\r\n\r\n"]
LAST = [
    b"0\r\n\r\n",
    b"0\r\n\r\n",
    b"0\r\n\r\n",
    b"00\r\n\r\n",
    b"0;a\r\n\r\n",
    b"0\r\nx: y\r\n\r\n",
    b"0\n\n",
    b"0\r\n",
]
LAST += [b"0\r\nx: y\n\r\n", b"0\r\n \r\n\r\n", b"-0\r\n\r\n", b"0\r\n\n", b"0\r\ncontent-length: 9\r\n\r\n"]
LINES = [b"GET /livez HTTP/1.1", b"POST /v1/chat/completions HTTP/1.1", b"POST /livez HTTP/1.1", b"PUT /x HTTP/1.1"]
LINES += [b"GET http://x/livez HTTP/1.1", b"GET /livez HTTP/1.0", b"OPTIONS * HTTP/1.1", b"HEAD /livez HTTP/1.1"]
EXTRAS = [
    b"connection: keep-alive",
    b"expect: 100-continue",
    b"connection: content-length",
    b"trailer: x",
    b"te: trailers",
]
EXTRAS += [
    b"connection: transfer-encoding",
    b"x: ",
    b"x:",
    b"x",
    b": y",
    b"x\0: y",
    b"x: \xff",
    b"x: y\r\n z",
    b"host: y",
]
STRUCTURE = [
    b"\r",
    b"\n",
    b"\r\n",
    b" ",
    b"\t",
    b"\0",
    b":",
    b",",
    b";",
    b"0",
    b"1",
    b"\x0b",
    b"\xff",
    b"\r\n\r\n",
    b"\n\n",
]


def invent(dice: random.Random) -> bytes:
    stream = b"".join(_request(dice, b"first-%d" % number) for number in range(dice.choice([1, 1, 2, 3])))
    spoilt = bytearray(stream)
    for _ in range(dice.choice([0, 0, 0, 1, 1, 2])):
        _spoil(dice, spoilt)
    return bytes(spoilt) + END


def _request(dice: random.Random, name: bytes) -> bytes:
    inside = b"GET /livez HTTP/1.1\r\nhost: x\r\nx-request-id: smuggled-in-%b\r\n\r\n" % name
    body = dice.choice([b"", b"x", inside, inside, inside, b"0\r\n\r\n" + inside, b"\r\n" + inside, b"{}" + inside])
    fields = [b"host: x", b"x-request-id: " + name]
    framing = dice.random()
    chunked = framing < 0.5
    told = _chunks(dice, body) if chunked else body
    if framing > 0.4:
        length = (
            len(told) if dice.random() < 0.7 else dice.choice([0, 1, len(body), len(told) + 3, max(0, len(told) - 4)])
        )
        form = _mostly_first(dice, LENGTHS)
        fields.append(form % ((length,) * form.count(b"%")))
    if chunked:
        fields.append(_mostly_first(dice, CODINGS))
    if dice.random() < 0.3:
        fields.append(dice.choice(EXTRAS))
    dice.shuffle(fields)
    ends = b"\r\n" if dice.random() < 0.93 else b"\n"
    line = dice.choice(LINES) if dice.random() < 0.5 else LINES[1]
    return ends.join([line, *fields, b"", b""]) + told


def _chunks(dice: random.Random, body: bytes) -> bytes:
    cut = dice.randrange(len(body) + 1)
    pieces = [piece for piece in (body[:cut], body[cut:]) if piece]
    told = b"".join(
        _mostly_first(dice, SIZES) % len(piece) + piece + _mostly_first(dice, CHUNK_ENDS) for piece in pieces
    )
    return told + _mostly_first(dice, LAST)


def _mostly_first(dice: random.Random, forms: Sequence[bytes]) -> bytes:
    return forms[0] if dice.random() < 0.55 else dice.choice(forms)


def _spoil(dice: random.Random, stream: bytearray) -> None:
    at = dice.randrange(len(stream))
    if dice.random() < 0.5:
        # Where lines and fields meet is where readers differ.
        places = [place.start() for place in re.finditer(rb"[\r\n:,; ]", bytes(stream))]
        at = dice.choice(places)
    kind = dice.randrange(5)
    if kind == 0:
        stream[at:at] = dice.choice(STRUCTURE)
    elif kind == 1:
        del stream[at : at + dice.choice([1, 1, 2])]
    elif kind == 2:
        stream[at : at + 1] = dice.choice(STRUCTURE)
    elif kind == 3:
        stream[at] ^= 1 << dice.randrange(8)
    else:
        stream[at:at] = stream[at : at + dice.choice([2, 10, 40])]


# The readers.


def read_by_h11(stream: bytes) -> Reading:
    names: list[str | None] = []
    reader = h11.Connection(h11.SERVER)
    try:
        reader.receive_data(stream)
        while True:
            event = reader.next_event()
            if isinstance(event, h11.Request):
                names.append(_name(value for name, value in event.headers if name == b"x-request-id"))
            elif event is h11.NEED_DATA:
                return Reading(names, False)
            elif isinstance(event, h11.ConnectionClosed):
                return Reading(names, True)
            elif isinstance(event, h11.EndOfMessage):
                reader.send(h11.Response(status_code=204, headers=[]))
                reader.send(h11.EndOfMessage())
                if reader.our_state is not h11.DONE:
                    return Reading(names, names[-1:] != ["end"])
                reader.start_next_cycle()
    except h11.RemoteProtocolError:
        return Reading(names, True)


def _name(values: Iterable[bytes]) -> str | None:
    first = next(iter(values), b"").split(b",")[0].strip()
    return first.decode("latin-1") if re.fullmatch(rb"(?:first|smuggled-in-first)-\d|end", first) else None


async def read_over(place: tuple[str, int], stream: bytes, field: bytes, silence_s: float) -> Reading:
    """By a server that answers each request with its name in a field of the head."""
    answer = bytearray()
    refused = True
    reader, writer = await asyncio.open_connection(*place)
    try:
        writer.write(stream)
        while piece := await asyncio.wait_for(reader.read(65_536), silence_s):
            answer += piece
    except TimeoutError:
        refused = False
    except ConnectionError:
        pass
    finally:
        writer.close()
    names = [
        (int(status), _name(re.findall(rb"(?im)^" + field + rb": <?([^>\r\n]*)", head + b"\r\n")))
        for status, head in _HEAD.findall(bytes(answer))
    ]
    if names[-1:] and refused and names[-1][1] is None and names[-1][0] >= 400:
        # The refusal of something that is no request.
        names.pop()
    return Reading([name for _, name in names], refused and [name for _, name in names][-1:] != ["end"])


def sees_more(ours: Reading, theirs: Reading) -> bool:
    """We saw a request where they saw something else: a body, or the rest of one."""
    for place, name in enumerate(ours.names):
        if place >= len(theirs.names):
            return not theirs.refused
        if name != theirs.names[place] and None not in (name, theirs.names[place]):
            return True
    return False
