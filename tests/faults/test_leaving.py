"""Clients of every dialect that leave, before every kind of upstream: the attempt is let go, at once and on record."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from faults.cell import DOORS, Cell
from faults.fault import WHOLE, Case, Fault, Phase, Record, State, Way
from faults.journal import read
from faults.pair import OTHERS, between
from faults.round import Mocks, serve
from faults.script import THREE, WORD, WORDS
from flow.rig import Door, eventually

NOTICED_MS = 250
FAULT = Fault(name="leaving", title="The client leaves", rule="Nobody works for nobody.", cases=())
PLACES = (
    (Phase.WRITTEN, Way.STREAM, ("stall",)),
    (Phase.WRITTEN, Way.PLAIN, ("stall",)),
    (Phase.BEGUN, Way.STREAM, ({"events": {"count": 0}}, "stall")),
    (Phase.DELIVERED, Way.STREAM, (THREE, "stall")),
)


def squares() -> Iterator[Cell]:
    number = 0
    for pair in OTHERS:
        for phase, way, steps in PLACES:
            case = Case(phase=phase, way=way, steps=steps, alone=WHOLE, record=Record(State.CANCELLED))
            what = between(case, pair)
            assert what is not None
            for door in DOORS:
                yield Cell(FAULT, what, True, door, number, pair)
                number += 1


def test_a_client_that_leaves_is_followed_upstream_whatever_the_two_speak(mocks: Mocks, tmp_path: Path) -> None:
    cells = list(squares())
    late: dict[str, float] = {}
    with serve(cells, mocks, tmp_path) as (gateway, _):
        for cell in cells:
            left_ns = leave(cell, gateway.doors[cell.door], mocks)
            row = eventually(lambda: ended(cell, mocks), cell.label)  # noqa: B023 - run at once
            assert row is not None
            assert row["ended"] == "cancelled", cell.label
            late[cell.label] = (row["cancel_ns"] - left_ns) / 1e6
        rows = mocks.rows()
        assert sorted(row["model"] for row in rows) == sorted(cell.first for cell in cells), "nobody else is asked"
    assert {label: late_ms for label, late_ms in late.items() if late_ms >= NOTICED_MS} == {}
    records = [entry for entries in read(tmp_path / "state").values() for entry in entries]
    assert sorted(entry.target for entry in records) == sorted(f"{cell.first}/{cell.first}" for cell in cells)
    assert {entry.state for entry in records} == {State.CANCELLED}


def leave(cell: Cell, door: Door, mocks: Mocks) -> int:
    """Asks, waits until the case is as far as it goes, and leaves; gives the moment in nanoseconds."""
    body = cell.body(0)
    with door.socket() as client:
        head = f"POST {cell.path} HTTP/1.1\r\nhost: gateway\r\ncontent-length: {len(body)}\r\n\r\n"
        client.sendall(head.encode() + body)
        eventually(lambda: [row for row in mocks.rows() if row["model"] == cell.first], "the upstream is at work")
        heard = b""
        while cell.what.phase is Phase.DELIVERED and heard.count(WORD.encode()) < WORDS:
            piece = client.recv(65_536)
            assert piece, heard
            heard += piece
        return time.monotonic_ns()


def ended(cell: Cell, mocks: Mocks) -> dict[str, Any] | None:
    """The upstream's row for this cell, once it is over."""
    rows = [row for row in mocks.rows() if row["model"] == cell.first and row["ended"] != "open"]
    return rows[0] if rows else None
