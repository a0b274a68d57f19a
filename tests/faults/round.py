"""One round: a gateway and an upstream, every cell asked once, and what all sides saw.

One rule: nothing is judged here. One surprise: the upstream's log is read once at the end, when nothing moves any more,
because a lost attempt may go on after its client was answered.
"""

import asyncio
import collections
import contextlib
import re
import socket
import urllib.request
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct

from faults.cell import Cell, configuration, rules
from faults.client import Connection, Timed
from faults.fault import Upstream
from faults.journal import Entry, read
from flow.rig import Command, Door, Gateway, eventually, free_port, refusing_port, serving
from flow.rig import Upstream as Mock

AT_ONCE = 32
"""Cells under way: enough that clocks overlap, few enough that two cores keep the clocks honest."""


class Counts(Struct, frozen=True):
    """What must be as before once all is over."""

    in_flight: int
    body_bytes: int
    panics: int
    descriptors: int


class Observation(Struct, frozen=True):
    """One request of a cell: what its client saw, and what the upstream accepted because of it."""

    cell: Cell
    timed: Timed
    first: Sequence[dict[str, Any]]
    """Rows of the upstream's log for the faulty target; of all requests of the cell."""
    second: Sequence[dict[str, Any]]
    entries: Sequence[Entry] = ()
    """What is on record of this request."""

    @property
    def request_id(self) -> str:
        return self.timed.reply.headers.get("x-request-id", "")


class Round(Struct, frozen=True):
    """Everything that one round left behind."""

    observations: Sequence[Observation]
    before: Counts
    after: Counts
    output: str
    """What the gateway wrote."""
    metrics: str
    exchanges: int
    stray: Sequence[str]
    """Rows of the upstream's log that belong to no cell."""
    open_after: Sequence[str]
    """Models the upstream was still working for a second after the last client was answered."""
    unasked: Sequence[str] = ()
    """Requests on record that no client was answered for."""


class Stage(NamedTuple):
    """A running gateway that passes any model through: `up/…` to the first upstream, `kept/…` to the other."""

    gateway: Gateway
    upstream: Mock
    keeping: Mock
    admin_port: int

    @property
    def counts(self) -> Counts:
        return counts(self.gateway, self.admin_port)


@contextlib.contextmanager
def blackhole() -> Iterator[int]:
    """A port whose queue of connections is full, so that the kernel answers no further one."""
    with socket.socket() as listener, contextlib.ExitStack() as waiting:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            client = waiting.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


class Mocks(NamedTuple):
    """The scripted upstreams: one that ends each connection with its answer, and one that keeps it."""

    closing: Mock
    keeping: Mock

    @classmethod
    @contextlib.contextmanager
    def start(cls, folder: Path) -> Iterator["Mocks"]:
        with contextlib.ExitStack() as running:
            commands = [Command(folder / f"{name}.log", "mock", "--port", "0") for name in cls._fields]
            for command in commands:
                running.callback(command.stop)
            yield cls(*map(Mock, commands))

    def script(self, cells: Sequence[Cell]) -> None:
        self.closing.script(*rules(cells, Upstream.MOCK), events=4, keep_alive=False)
        self.keeping.script(*rules(cells, Upstream.KEPT), events=4)

    def rows(self) -> list[dict[str, Any]]:
        """The logs, with the model that some dialects name in the address alone."""
        rows = [*self.closing.rows(), *self.keeping.rows()]
        return [{**row, "model": row["model"] or _in_address(row["path"])} for row in rows]


def _in_address(path: str) -> str:
    return path.partition("/models/")[2].partition(":")[0]


@contextlib.contextmanager
def serve(cells: Sequence[Cell], mocks: Mocks, folder: Path) -> Iterator[tuple[Gateway, int]]:
    """A gateway for these cells, and its admin port; the upstreams do what the cells say."""
    folder.mkdir(parents=True, exist_ok=True)
    with blackhole() as hole:
        addresses = {
            Upstream.MOCK: f"{mocks.closing.origin}/v1",
            Upstream.KEPT: f"{mocks.keeping.origin}/v1",
            Upstream.REFUSING: f"http://127.0.0.1:{refusing_port()}/v1",
            Upstream.BLACKHOLE: f"http://127.0.0.1:{hole}/v1",
            Upstream.NAMELESS: "http://no-such-name.invalid/v1",
            Upstream.PLAINTEXT: f"{mocks.closing.origin.replace('http:', 'https:')}/v1",
        }
        admin_port = free_port()
        config = configuration(cells, addresses)
        config["listen"]["admin_port"] = admin_port
        mocks.script(cells)
        with serving(config, folder) as gateway:
            yield gateway, admin_port


def play(cells: Sequence[Cell], mocks: Mocks, folder: Path) -> Round:
    """Starts a gateway for these cells, asks each, and stops it."""
    with serve(cells, mocks, folder) as (gateway, admin_port):
        seen = _observe(cells, mocks, gateway, admin_port)
    return _with_records(seen, read(folder / "state"))


def _with_records(seen: Round, records: dict[str, list[Entry]]) -> Round:
    """The round with what is on record of each request; the gateway has gone, so all of it is there."""
    observations = [
        msgspec.structs.replace(each, entries=records.pop(each.request_id, [])) for each in seen.observations
    ]
    return msgspec.structs.replace(seen, observations=observations, unasked=list(records))


def _observe(cells: Sequence[Cell], mocks: Mocks, gateway: Gateway, admin_port: int) -> Round:
    before = counts(gateway, admin_port)
    seen = asyncio.run(_ask_all(cells, gateway.doors))

    def at_rest() -> Counts | None:
        now = counts(gateway, admin_port)
        return now if now.in_flight == 0 and now.body_bytes == 0 else None

    # A second for upstream work whose client is gone; the doors' own end of an exchange is sooner.
    eventually(at_rest, "no exchange is under way", 5.0)
    rows: dict[str, list[dict[str, Any]]] = collections.defaultdict(list)

    def answered() -> bool:
        return not [row for row in mocks.rows() if row["ended"] == "open"]

    with contextlib.suppress(AssertionError):
        eventually(answered, "no upstream works any more", 1.0)
    for row in mocks.rows():
        rows[row["model"]].append(row)
    observations = [
        Observation(cell, timed, rows[cell.first], rows[cell.other]) for cell, several in seen for timed in several
    ]
    known = {name for cell in cells for name in (cell.first, cell.other)}
    page = metrics(admin_port)
    return Round(
        observations=observations,
        before=before,
        after=counts(gateway, admin_port),
        output=gateway.command.output,
        metrics=page,
        exchanges=reading(page, "fastroute_exchanges_total"),
        stray=[name for name in rows if name not in known],
        open_after=[name for name, several in rows.items() if any(row["ended"] == "open" for row in several)],
    )


async def _turns(cell: Cell, connection: Connection) -> AsyncIterator[Timed]:
    """The requests of a cell that are judged."""
    for turn in range(cell.what.well + cell.what.requests):
        if turn:
            await asyncio.sleep(cell.what.rest_s)
        timed = await connection.ask(cell.body(turn), cell.path)
        if turn >= cell.what.well:
            yield timed
        else:
            assert timed.reply.status == 200, cell.label


async def _ask_all(cells: Sequence[Cell], doors: dict[str, Door]) -> list[tuple[Cell, list[Timed]]]:
    places = asyncio.Semaphore(AT_ONCE)

    async def ask(cell: Cell) -> tuple[Cell, list[Timed]]:
        async with places:
            connection = await Connection.open(doors[cell.door])
            try:
                return cell, [each async for each in _turns(cell, connection)]
            finally:
                await connection.close()

    # The slow ones first, so that the last of them does not run alone.
    order = sorted(cells, key=lambda cell: cell.what.clocks == "patient")
    return await asyncio.gather(*map(ask, order))


def metrics(admin_port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{admin_port}/metrics", timeout=10) as reply:
        return reply.read().decode()


def reading(page: str, name: str) -> int:
    found = re.search(rf"^{name} (\d+)$", page, re.MULTILINE)
    assert found, name
    return int(found[1])


def counts(gateway: Gateway, admin_port: int) -> Counts:
    page = metrics(admin_port)
    return Counts(
        in_flight=reading(page, "fastroute_in_flight"),
        body_bytes=reading(page, "fastroute_request_body_bytes"),
        panics=reading(page, "fastroute_panics_total"),
        descriptors=len(list(Path(f"/proc/{gateway.process}/fd").iterdir())),
    )
