"""Decide and settle: the functions Rust calls, on the loop thread, once each per exchange. Nothing else happens.

The rule: microseconds, no await, no I/O. The surprise: a policy that fails or hangs is tripped, and its route goes on
with the engine's snapshot until the policy may be tried again.
"""

import logging
import signal
from collections.abc import Callable, Mapping, Sequence
from random import Random
from types import FrameType
from typing import Protocol

from fastroute.errors import PolicyError, PolicyTimeout
from fastroute.facts import Attempt, Candidate, Facts, Outcome, Plan, Refusal
from fastroute.health import Health
from fastroute.policies import Rank
from fastroute.table import Route, Table, Target

log = logging.getLogger("fastroute.gateway")

TRIP_S = 30.0
"""How long a policy that broke its contract is left alone."""


class _Overdue(Protocol):
    def overdue(self) -> bool: ...


class _Line:
    """A route compiled for deciding."""

    __slots__ = ("has_choice", "index", "members", "name", "rank", "seats", "targets", "tripped_until_s")

    def __init__(self, index: int, route: Route, rank: Rank, health: Sequence[Health]) -> None:
        self.index = index
        self.name = route.name
        self.rank = rank
        self.targets: tuple[int, ...] = tuple(choice.target.index for choice in route.choices)
        self.members = frozenset(self.targets)
        self.has_choice = len(self.targets) > 1
        self.seats = tuple((choice, _label(choice.target), health[choice.target.index]) for choice in route.choices)
        self.tripped_until_s = 0.0


class Gateway:
    """One table, the health of its targets, and the policies of its routes.

    `clock` gives monotonic seconds; `policies` maps each policy name of the table to its function.
    """

    def __init__(self, table: Table, policies: Mapping[str, Rank], clock: Callable[[], float], dice: Random) -> None:
        self._clock = clock
        self._dice = dice
        self._table = table
        self.health = [Health() for _ in table.targets]
        self._lines = {
            route.name: _Line(index, route, policies[route.policy], self.health)
            for index, route in enumerate(table.routes.values())
        }
        base = len(table.routes)
        self._direct = {
            name: Plan(base + index, table.generation, (target.index,))
            for index, (name, target) in enumerate(table.direct.items())
        }
        self.settled = 0

    @property
    def table(self) -> Table:
        return self._table

    def decide(self, facts: Facts) -> Plan | Refusal | None:
        """Who is to answer. None leaves it to the engine's snapshot: the route's policy failed and rests."""
        line = self._lines.get(facts.model)
        if line is None:
            return self._pass_through(facts.model)
        targets = self._ranked(line, facts) if line.has_choice else line.targets
        if targets is None:
            return None
        self.health[targets[0]].in_flight += 1
        return Plan(line.index, self._table.generation, targets)

    def _pass_through(self, model: str) -> Plan | Refusal:
        provider, _, rest = model.partition("/")
        plan = self._direct.get(provider)
        if plan is None or not rest:
            # The engine adds the nearest names, which takes it a twentieth of the time and nobody else's.
            return Refusal(404, "model_not_found", "no route serves this model", "model")
        self.health[plan.targets[0]].in_flight += 1
        return plan

    def _ranked(self, line: _Line, facts: Facts) -> tuple[int, ...] | None:
        now_s = self._clock()
        if now_s < line.tripped_until_s:
            return None
        candidates = [
            Candidate(
                choice.target.index,
                name,
                choice.weight,
                health.ttft_ms,
                health.in_flight,
                health.failures,
                now_s >= health.rests_until_s,
            )
            for choice, name, health in line.seats
        ]
        try:
            order = tuple([candidate.index for candidate in line.rank(facts, candidates, self._dice)])
            # Law 9: only given candidates, each once. What a policy leaves out is not tried.
            if not order or len(set(order)) != len(order) or not line.members.issuperset(order):
                raise PolicyError("a policy returns given candidates, each once and at least one")
        except Exception as error:  # noqa: BLE001 - somebody else's code: whatever it raises, traffic goes on
            self._trip(line, error)
            return None
        resting = {candidate.index for candidate in candidates if not candidate.available}
        return tuple(sorted(order, key=resting.__contains__)) if resting else order

    def _trip(self, line: _Line, error: Exception) -> None:
        line.tripped_until_s = self._clock() + TRIP_S
        # Text of our own only: what a policy says may quote what it was given.
        reason = f": {error}" if isinstance(error, PolicyError) else ""
        log.error("policy of %s rests for %d s: %s%s", line.name, TRIP_S, type(error).__name__, reason)

    def report(self, generation: int, attempt: Attempt) -> None:
        """A failed attempt of an exchange that goes on."""
        if generation == self._table.generation:
            self.health[attempt.target].observe(attempt, self._clock())

    def settle(self, outcome: Outcome) -> None:
        """The end of an exchange. Failed attempts were reported before; only a last, successful or cut one is new."""
        self.settled += 1
        if outcome.generation != self._table.generation:
            return
        if outcome.lead is not None:
            self.health[outcome.lead].in_flight -= 1
        if outcome.attempts and outcome.ending in ("complete", "broken"):
            last = outcome.attempts[-1]
            self.health[last.target].observe(last, self._clock())

    def forget(self, generation: int, lead: int | None) -> None:
        """A plan that nobody used: its client left, or the snapshot was faster."""
        if generation == self._table.generation and lead is not None:
            self.health[lead].in_flight -= 1


def _label(target: Target) -> str:
    return f"{target.provider.name}/{target.model or '*'}"


def install_watchdog(engine: _Overdue, number: int) -> None:
    """Lets the engine's watchdog end a decision that hangs. Call on the main thread, where decisions are made."""

    def end_decision(_signal: int, _frame: FrameType | None) -> None:
        # The signal may arrive when the decision is over: then it concerns nobody.
        if engine.overdue():
            raise PolicyTimeout("a policy held the loop for longer than a decision may take")

    signal.signal(number, end_decision)
