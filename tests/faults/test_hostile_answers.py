"""Answers meant to hurt: heads without measure, lengths that lie, bodies without end. They cost a 502 and no memory.

One rule: a connection that brought nonsense serves nobody again. One surprise: a test that reads a gigabyte keeps none
of it, or it would measure itself.
"""

import contextlib
import itertools
import json
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from faults.fault import Way
from faults.round import Stage
from faults.script import EVENTS, REPLY, chunk, completion, head, raw, response, send
from flow.rig import CHAT, Door, Upstream, chat, eventually

MIB = 1 << 20
ROOM_BYTES = {"edge": 16 * MIB, "granian": 40 * MIB}
"""What one hostile answer may add. granian's door holds up to 16 MiB of a reply, for a moment twice."""

SMUGGLED = response(Way.PLAIN, body=completion("smuggled"))
SHAPES: dict[str, list[Any]] = {
    "a header of a megabyte": [raw(response(Way.PLAIN, "x-long: " + "a" * MIB))],
    "5,000 headers": [raw(response(Way.PLAIN, *["x-many: a"] * 5_000))],
    "a name of a megabyte": [raw(response(Way.PLAIN, "x" * MIB + ": a"))],
    "a status line of a megabyte": [raw("HTTP/1.1 200 " + "O" * MIB + "\r\n\r\n")],
    "no status": [raw("HTTP/1.1 \r\n\r\n")],
    "a status of four digits": [raw("HTTP/1.1 2000 OK\r\ncontent-length: 0\r\n\r\n")],
    "an older version": [raw("HTTP/0.9 200 OK\r\n\r\n")],
    "a later version": [raw("HTTP/3.0 200 OK\r\ncontent-length: 0\r\n\r\n")],
    "spaces before the colon": [raw(response(Way.PLAIN, "x-odd : a"))],
    "a folded header": [raw(response(Way.PLAIN, "x-odd: a\r\n b"))],
    "nul in a header": [raw(response(Way.PLAIN, "x-odd: a\x00b"))],
    "a length below zero": [raw(response(Way.PLAIN, length=-1))],
    "a length with a sign": [raw(response(Way.PLAIN).replace("content-length: ", "content-length: +"))],
    "a length beyond 64 bits": [raw(response(Way.PLAIN, length=1 << 70))],
    "two lengths": [raw(response(Way.PLAIN, "content-length: 7"))],
    "a length beside chunks": [head("application/json", framing={"length_and_chunked": 10}), REPLY],
    "chunks twice": [raw(response(Way.PLAIN, "transfer-encoding: chunked, chunked", "transfer-encoding: chunked"))],
    "an unknown coding": [raw(response(Way.PLAIN, "transfer-encoding: gzip"))],
    "a chunk beyond 64 bits": [head("application/json", framing="chunked"), send(" "), raw("f" * 17 + "\r\n")],
    "a chunk of no number": [head("application/json", framing="chunked"), send(" "), raw("zz\r\n")],
    "a chunk below zero": [head("application/json", framing="chunked"), send(" "), raw("-1\r\n")],
    "an endless chunk line": [head("application/json", framing="chunked"), send(" "), raw("1;" + "a" * MIB)],
    "switching protocols": [raw("HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n")],
}  # fmt: skip

_numbers = itertools.count()


def fresh() -> str:
    """A model nobody has asked for."""
    return f"hostile-{next(_numbers)}"


@pytest.mark.parametrize("way", Way)
@pytest.mark.parametrize("shape", SHAPES)
def test_a_hostile_head_is_a_502_and_its_connection_serves_nobody_again(
    shape: str, way: Way, stage: Stage, door: Door
) -> None:
    hostile, good = fresh(), fresh()
    stage.keeping.script({"match": {"model": hostile}, "steps": [*SHAPES[shape], {"delay": {"ms": 50}}, "close"]})
    reply = door.post(chat(f"kept/{hostile}", stream=way is Way.STREAM))
    assert (reply.status, reply.error["type"]) == (502, "api_error")
    assert door.post(chat(f"kept/{good}")).status == 200
    (first,), (second,) = stage.keeping.rows(hostile), stage.keeping.rows(good)
    assert first["connection"] != second["connection"]
    assert stage.counts.panics == 0


def test_what_follows_a_reply_is_never_taken_for_the_next_one(stage: Stage, door: Door) -> None:
    """The upstream sends a second reply that nobody asked for; the next client must not get it."""
    poisoned = fresh()
    stage.keeping.script({"match": {"model": poisoned}, "steps": [raw(response(Way.PLAIN) + SMUGGLED), "stall"]})
    for _ in range(4):
        reply = door.post(chat(f"kept/{poisoned}"))
        assert reply.status == 200
        assert b"smuggled" not in reply.body
        good = door.post(chat(f"kept/{fresh()}"))
        assert good.status == 200
        assert b"smuggled" not in good.body
    assert stage.counts.panics == 0


class Heard(NamedTuple):
    """What came of a reply that nobody keeps."""

    head: bytes
    size: int
    tail: bytes
    took_s: float


def listen(door: Door, body: bytes) -> Heard:
    """Reads a reply to the end of its connection, and keeps only both ends of it."""
    began_s = time.monotonic()
    size, first, tail = 0, b"", b""
    with door.socket(60) as client:
        sent = f"POST {CHAT} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {len(body)}\r\n\r\n"
        client.sendall(sent.encode() + body)
        with contextlib.suppress(ConnectionError):
            while piece := client.recv(1 << 18):
                size += len(piece)
                first = first or piece[:1_000]
                tail = (tail + piece)[-1_000:]
    return Heard(first, size, tail, time.monotonic() - began_s)


@contextlib.contextmanager
def bounded(stage: Stage, room_bytes: int) -> Iterator[None]:
    """While this runs the gateway takes no more memory than this beside what it had."""
    before = stage.gateway.memory_bytes
    peak, over = before, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not over.wait(0.02):
            peak = max(peak, stage.gateway.memory_bytes)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
    assert peak - before <= room_bytes, f"{(peak - before) / MIB:.1f} MiB more"


def warm(door: Door, stage: Stage) -> None:
    """Allocators and stacks take their share once."""
    stage.upstream.script({"match": {"model": "warm"}, "steps": [{"reply": {"bytes": 8 * MIB}}]}, keep_alive=False)
    for _ in range(3):
        assert listen(door, chat("up/warm")).size > 8 * MIB


SIZES_MIB = [96, pytest.param(1024, marks=pytest.mark.long)]
PIECE = "a" * 1024


def given_up(upstream: Upstream, model: str) -> None:
    """The upstream is let go, and soon."""
    eventually(lambda: [row for row in upstream.rows(model) if row["ended"] == "cancelled"], "let go", 3.0)


@pytest.mark.parametrize("size_mib", SIZES_MIB)
@pytest.mark.parametrize("words", ["", chunk("word ")], ids=["first", "after words"])
def test_an_endless_event_is_cut_at_its_bound(size_mib: int, words: str, stage: Stage, door: Door) -> None:
    warm(door, stage)
    model = fresh()
    steps = [EVENTS, send(words), {"delay": {"ms": 100}}, send("data: "), send(PIECE, size_mib * 1024)]
    stage.upstream.script({"match": {"model": model}, "steps": steps}, keep_alive=False)
    with bounded(stage, ROOM_BYTES[door.name]):
        heard = listen(door, chat(f"up/{model}", stream=True))
    assert heard.size < 2 * MIB
    assert b'"response_too_large"' in heard.tail
    assert (b" 200 " if words else b" 502 ") in heard.head[:20]
    given_up(stage.upstream, model)


@pytest.mark.parametrize("size_mib", SIZES_MIB)
def test_a_stream_without_end_takes_no_memory(size_mib: int, stage: Stage, door: Door) -> None:
    """Both doors have a bound for it, and say so where it is reached."""
    warm(door, stage)
    model = fresh()
    event = chunk("w" * 4_000)
    steps = [EVENTS, send(event, size_mib * MIB // len(event)), send(chunk(finish="stop")), send("data: [DONE]\n\n")]
    stage.upstream.script({"match": {"model": model}, "steps": steps}, keep_alive=False)
    with bounded(stage, ROOM_BYTES[door.name]):
        heard = listen(door, chat(f"up/{model}", stream=True))
    most_mib = {"edge": 256, "granian": 16}[door.name]
    if size_mib < most_mib:
        assert heard.size > (size_mib - 1) * MIB
        assert b"data: [DONE]" in heard.tail
    else:
        # Chunks and heads come beside the content.
        assert heard.size < (most_mib + most_mib // 8) * MIB
        assert b'"response_too_large"' in heard.tail
        assert b"[DONE]" not in heard.tail
        given_up(stage.upstream, model)


@pytest.mark.parametrize("size_mib", SIZES_MIB)
def test_a_plain_reply_without_end_is_cut_at_its_bound(size_mib: int, stage: Stage, door: Door) -> None:
    warm(door, stage)
    model = fresh()
    steps = [head("application/json", framing="chunked"), send('{"choices":["'), send(PIECE, size_mib * 1024)]
    stage.upstream.script({"match": {"model": model}, "steps": steps}, keep_alive=False)
    with bounded(stage, ROOM_BYTES[door.name]):
        heard = listen(door, chat(f"up/{model}"))
    if door.name == "edge":
        assert heard.size <= 65 * MIB
        assert not heard.tail.endswith(b"0\r\n\r\n"), "it must not look whole"
    else:
        assert b" 502 " in heard.head[:20]
        assert json.loads(heard.tail.partition(b"\r\n\r\n")[2])["error"]["code"] == "response_too_large"
    given_up(stage.upstream, model)


def test_interim_answers_without_end_are_cut_by_the_clock(stage: Stage, door: Door) -> None:
    model = fresh()
    stage.upstream.script(
        {"match": {"model": model}, "steps": [raw("HTTP/1.1 103 Early Hints\r\n\r\n", 10_000_000), "stall"]},
        keep_alive=False,
    )
    with bounded(stage, ROOM_BYTES[door.name]), contextlib.suppress(socket.timeout):
        heard = listen(door, chat(f"up/{model}", stream=True))
        assert heard.head[9:12] in {b"502", b"504"}
        assert heard.took_s < 5
    given_up(stage.upstream, model)
