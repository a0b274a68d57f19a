"""Cells of the matrix: a fault in a phase, at a door, between two dialects, with or without somebody else to answer.

One rule: each cell and each round of it has a route, targets, keys and provider rows of its own, because health
outlives a request and one cell's failures must not be another's cool-down.
"""

import itertools
import json
from collections.abc import Iterator, Sequence
from typing import Any

from msgspec import Struct

from faults.fault import SCRIPTED, WHOLE, Case, Fault, Record, Seen, State, Upstream, Way
from faults.pair import CHAT, Pair, between
from faults.script import KEPT, spoken

DOORS = ("granian", "edge")
KEY_CANARY = "sk-canary-of-the-provider"
PROMPT_CANARY = "canary-of-the-prompt"

CLOCKS: dict[str, dict[str, float | bool]] = {
    "patient": {"ttft_timeout_s": 20, "idle_timeout_s": 20, "total_timeout_s": 30, "stream_total_timeout_s": 30},
    "hasty": {"ttft_soft_timeout_s": 0.8, "ttft_timeout_s": 2.4, "idle_timeout_s": 5, "total_timeout_s": 30},
    "chatty": {"keep_alive_s": 0.3, "ttft_soft_timeout_s": 0.8, "ttft_timeout_s": 2.4, "total_timeout_s": 30},
    "minding": {"retry_empty": True, "total_timeout_s": 30},
    "quiet": {"ttft_timeout_s": 5, "idle_timeout_s": 0.8, "content_idle_timeout_s": 1.2, "total_timeout_s": 30},
    "short": {"ttft_timeout_s": 20, "idle_timeout_s": 20, "total_timeout_s": 0.8, "stream_total_timeout_s": 0.8},
}
LIMIT_S = {"patient": 10.0, "minding": 10.0, "hasty": 2.4, "chatty": 2.4, "quiet": 1.2, "short": 0.8}
"""What the clocks of a set allow one exchange of a case to wait for the fault; `patient` holds waits and probes."""


class Cell(Struct, frozen=True):
    """One square of the matrix in one round."""

    fault: Fault
    what: Case
    second: bool
    """There is another target, and it is well."""
    door: str
    number: int
    """Tells its route and targets from those of all other cells and rounds."""
    pair: Pair = CHAT

    @property
    def route(self) -> str:
        return f"cell-{self.number}"

    @property
    def first(self) -> str:
        """The faulty target's model at the upstream."""
        return f"{self.route}-first"

    @property
    def other(self) -> str:
        return f"{self.route}-second"

    @property
    def label(self) -> str:
        case = self.what
        company = "second" if self.second else "alone"
        return f"{self.fault.name} {case.phase} {case.way} {company} {self.door} {self.pair.label}"

    @property
    def seen(self) -> Seen:
        """What the client must see."""
        return WHOLE if self.second and self.what.elsewhere else self.what.alone

    @property
    def attempts(self) -> int:
        if self.second and self.what.elsewhere:
            return 2
        return 1 if self.second else self.what.tries

    @property
    def calls(self) -> tuple[int, int]:
        """Requests that the upstream accepts for the first and the second target, per request of the client."""
        case = self.what
        first = min(case.calls, 1) if self.second else case.calls
        return first, int(self.second and case.elsewhere)

    @property
    def records(self) -> tuple[Record, ...]:
        """The attempts as the journal must tell them."""
        case = self.what
        failed = (case.record,) if self.second else (case.record_alone or case.record,) * case.tries
        answered = (Record(State.COMPLETE),) if self.second and self.what.elsewhere else ()
        return (*failed, *answered)

    @property
    def path(self) -> str:
        return self.pair.audience.path(self.route, self.what.way is Way.STREAM)

    def body(self, turn: int) -> bytes:
        prompt = f"{PROMPT_CANARY} {self.number} {turn}"
        return json.dumps(self.pair.audience.body(self.route, prompt, self.what.way is Way.STREAM)).encode()


def cells(
    faults: Sequence[Fault], rounds: int, doors: Sequence[str] = DOORS, pairs: Sequence[Pair] = (CHAT,)
) -> Iterator[Cell]:
    """Every square: each case, at each door, alone and not."""
    number = itertools.count()
    for _ in range(rounds):
        for pair in pairs:
            for fault in faults:
                for what in filter(None, (between(case, pair) for case in fault.cases)):
                    for second, door in itertools.product((True, False), doors):
                        yield Cell(fault, what, second, door, next(number), pair)


def few_cells(faults: Sequence[Fault], pairs: Sequence[Pair]) -> Iterator[Cell]:
    """Each fault once for each pair; case, company and door take turns, so that all of them are met."""
    number = itertools.count()
    for row, fault in enumerate(faults):
        for column, pair in enumerate(pairs):
            cases = [what for what in (between(case, pair) for case in fault.cases) if what]
            squares = list(itertools.product(cases, (True, False), DOORS))
            if squares:
                # Steps that have no divisor with the number of squares leave none of them out.
                what, second, door = squares[(7 * row + 5 * column) % len(squares)]
                yield Cell(fault, what, second, door, next(number), pair)


def rules(cells: Sequence[Cell], upstream: Upstream) -> list[dict[str, Any]]:
    """What a scripted upstream does to the first targets; the second ones are well."""
    mine = [cell for cell in cells if cell.what.upstream is upstream]
    faulty = [{"match": {**named(cell), "after": cell.what.well}, "steps": list(cell.what.steps)} for cell in mine]
    well = [
        {"match": named(cell), "steps": spoken(KEPT, cell.pair.tongue, cell.what.way)}
        for cell in mine
        if cell.what.well
    ]
    return [*faulty, *well]


def named(cell: Cell) -> dict[str, str]:
    """What tells a request for the first target, by the address where that alone names a model."""
    if cell.pair.upstream == "gemini":
        return {"path": f"/models/{cell.first}:*"}
    return {"model": cell.first}


def configuration(cells: Sequence[Cell], addresses: dict[Upstream, str]) -> dict[str, Any]:
    """A gateway that serves all cells."""
    providers: dict[str, Any] = {}
    models: dict[str, Any] = {}
    haste = {"connect_timeout_s": 0.4, "dns_timeout_s": 0.4, "tls_timeout_s": 1.0}
    for cell in cells:
        names = [(cell.first, cell.what.upstream), *([(cell.other, Upstream.MOCK)] if cell.second else [])]
        for name, upstream in names:
            # Who answers instead speaks chat, whatever the first one spoke.
            tongue = cell.pair.tongue if name == cell.first else CHAT.tongue
            providers[name] = {
                "speaks": {tongue.dialect: tongue.path},
                "key_header": tongue.key_header,
                "address": addresses[upstream],
                "key": f"{KEY_CANARY}-{name}",
                **({} if upstream in SCRIPTED else {"timeouts": haste}),
            }
        targets = [f"{name}/{name}" for name, _ in names]
        models[cell.route] = {"targets": targets, "patience": CLOCKS[cell.what.clocks]}
    return {
        "listen": {"port": 0, "edge_port": 0, "admin_port": 0},
        "providers": providers,
        "models": models,
        "observability": {"log_level": "debug"},
    }
