"""Decide and settle: the functions Rust calls, on the loop thread, once each per exchange. Nothing else happens.

The rule: microseconds, no await, no I/O. The surprise: a policy that fails or hangs is tripped, and its route goes on
with the engine's snapshot until the policy may be tried again.
"""

import logging
import math
import signal
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from itertools import count
from random import Random
from types import FrameType
from typing import NamedTuple, Protocol

from fastroute.errors import PolicyError, PolicyTimeout
from fastroute.facts import Attempt, Candidate, Facts, Outcome, Plan, Refusal
from fastroute.health import Health, News, Standing, carry_over
from fastroute.health.rest import ABSENT, BARRED, FIT, THINNED
from fastroute.policies import Rank, ordered
from fastroute.table import Choice, Table

log = logging.getLogger("fastroute.gateway")

TRIP_S = 30.0
"""How long a policy that broke its contract is left alone."""
TABLES = 8
"""Tables whose exchanges are still listened to. Streams live for half an hour; a reload every four minutes is rare."""


class _Overdue(Protocol):
    def overdue(self) -> bool: ...


class _Seat(NamedTuple):
    """A target of a route."""

    target: int
    name: str
    weight: int
    standing: Standing


class _Line:
    """A route compiled for deciding."""

    __slots__ = ("last", "members", "name", "place", "plan", "rank", "seats", "tripped_until_s")

    def __init__(self, place: tuple[int, int], name: str, seats: Sequence[_Seat], rank: Rank) -> None:
        """`place` is its index and the generation of its table."""
        self.place = place
        self.name = name
        self.rank = rank
        self.seats = seats
        targets = tuple(seat.target for seat in seats)
        self.members = frozenset(targets)
        # Without a choice to make there is one plan for all requests, as long as everybody is in service.
        fixed = len(targets) == 1 or rank is ordered.rank
        self.plan = Plan(*place, targets, len(targets), standing=True) if fixed else None
        self.last = targets
        """The last good order."""
        self.tripped_until_s = 0.0


class Gateway:
    """One table, the health of its targets, and the policies of its routes.

    `clock` gives monotonic seconds; `policies` maps each policy name of the table to its function.
    """

    def __init__(self, table: Table, policies: Mapping[str, Rank], clock: Callable[[], float], dice: Random) -> None:
        self._clock = clock
        self._dice = dice
        self._unasked: Callable[[int], int] = lambda _target: 0
        self._healths: dict[int, Health] = {}
        self.settled = 0
        self._install(table, policies, Health(table))

    def replace(self, table: Table, policies: Mapping[str, Rank]) -> None:
        """Decides by another table from now on. Exchanges of the tables before it are still listened to."""
        self._install(table, policies, carry_over(self.health, table))

    def count_unasked(self, unasked: Callable[[int], int]) -> None:
        """Has policies see what is in flight at a target without having been asked for here, too (by target)."""
        self._unasked = unasked

    def _install(self, table: Table, policies: Mapping[str, Rank], health: Health) -> None:
        def line(name: str, choices: Sequence[Choice], rank: Rank) -> _Line:
            seats = tuple(
                _Seat(target.index, f"{target.provider.name}/{target.model or '*'}", weight, health[target.index])
                for target, weight in ((choice.target, choice.weight) for choice in choices)
            )
            return _Line((next(places), table.generation), name, seats, rank)

        # The engine numbers the routes of names first, and those of providers behind them.
        places = count()
        lines = {route.name: line(route.name, route.choices, policies[route.policy]) for route in table.routes.values()}
        direct = {
            name: line(f"{name}/*", [Choice(target) for target in targets], ordered.rank)
            for name, targets in table.direct.items()
        }
        self._table, self._lines, self._direct, self.health = table, lines, direct, health
        self._standings = health.standings
        self._troubled = health.troubled
        self._healths[table.generation] = health
        while len(self._healths) > TABLES:
            del self._healths[min(self._healths)]

    @property
    def table(self) -> Table:
        return self._table

    def decide(self, facts: Facts) -> Plan | Refusal | None:
        """Who is to answer. None leaves it to the engine's snapshot: the route's policy failed and rests."""
        line = self._lines.get(facts.model) or self._passing_through(facts.model)
        if line is None:
            # The engine adds the nearest names, which takes it a twentieth of the time and nobody else's.
            return Refusal(404, "model_not_found", "no route serves this model", "model")
        now_s = self._clock()
        if self._troubled and not self._troubled.isdisjoint(line.members):
            plan = self._cautious(line, facts, now_s)
            if isinstance(plan, Refusal):
                return plan
        elif line.plan is not None:
            plan = line.plan
        else:
            candidates = [_candidate(seat, self._unasked(seat.target), now_s, available=True) for seat in line.seats]
            order = self._ranked(line, facts, candidates, line.members, now_s)
            if order is None:
                return None
            plan = Plan(*line.place, order, len(order))
        lead = self._standings[plan.targets[0]]
        lead.in_flight += 1
        lead.breaker.window.sent(now_s)
        return plan

    def _passing_through(self, model: str) -> _Line | None:
        provider, _, rest = model.partition("/")
        return self._direct.get(provider) if rest else None

    def _cautious(self, line: _Line, facts: Facts, now_s: float) -> Plan | Refusal:
        """Decides where somebody rests, or comes back from a rest."""
        tiers = {seat.target: seat.standing.tier(now_s, self._dice) for seat in line.seats}
        best = min(tiers.values())
        # A model that is said not to be there is tried before nothing is; but not where it only has to be waited for.
        if best == BARRED or (best == ABSENT and BARRED in tiers.values()):
            return _refusal([seat.standing for seat in line.seats if tiers[seat.target] == BARRED], now_s)
        seats = [seat for seat in line.seats if tiers[seat.target] < ABSENT or best == ABSENT]
        if len(seats) == 1 or line.plan is not None:
            order = tuple([seat.target for seat in seats])
        else:
            candidates = [
                _candidate(seat, self._unasked(seat.target), now_s, available=tiers[seat.target] == FIT)
                for seat in seats
            ]
            # The engine's snapshot does not know who rests now, so it cannot stand in for a policy that is tripped.
            given = {seat.target for seat in seats}
            ranked = self._ranked(line, facts, candidates, given, now_s)
            order = ranked or tuple(filter(given.__contains__, line.last)) or tuple(seat.target for seat in seats)
        order = tuple(sorted(order, key=tiers.__getitem__))
        lead = self._standings[order[0]]
        probe = tiers[order[0]] <= THINNED and lead.claim(now_s)
        # What was refused is tried by the request that leads with it and by no other.
        order = (order[0], *[index for index in order[1:] if not self._standings[index].was_refused()])
        may_lead = sum([tiers[index] <= THINNED for index in order]) or 1
        once = not probe and tiers[order[0]] == FIT and lead.comes_back(now_s)
        return Plan(*line.place, order, may_lead, probe, once=once)

    def _ranked(
        self, line: _Line, facts: Facts, candidates: Sequence[Candidate], given: AbstractSet[int], now_s: float
    ) -> tuple[int, ...] | None:
        if now_s < line.tripped_until_s:
            return None
        try:
            order = tuple([candidate.index for candidate in line.rank(facts, candidates, self._dice)])
            once = set(order)
            # Law 9: only given candidates, each once. What a policy leaves out is not tried.
            if not order or len(once) != len(order) or not once <= given:
                raise PolicyError("a policy returns given candidates, each once and at least one")
        except Exception as error:  # noqa: BLE001 - somebody else's code: whatever it raises, traffic goes on
            self._trip(line, error)
            return None
        line.last = order
        return order

    def _trip(self, line: _Line, error: Exception) -> None:
        line.tripped_until_s = self._clock() + TRIP_S
        # Text of our own only: what a policy says may quote what it was given.
        reason = f": {error}" if isinstance(error, PolicyError) else ""
        log.error("policy of %s rests for %d s: %s%s", line.name, TRIP_S, type(error).__name__, reason)

    def report(self, generation: int, attempt: Attempt, led: bool, age_us: int) -> None:
        """An attempt that failed, or a probe that shows content, of an exchange that goes on.

        `led`: it was counted as sent when its plan was made. `age_us`: how long ago it came to this.
        """
        health = self._healths.get(generation)
        if health is None:
            return
        now_s = self._clock()
        # One that did not fail still runs: what is known of its length is the time to its content.
        lasted_us = attempt.took_us if attempt.failure else attempt.first_content_us or 0
        sent_s = now_s - (age_us + lasted_us) / 1e6
        self._observe(health, attempt, sent_s, now_s, led)
        if led:
            health[attempt.target].release(sent_s)

    def settle(self, outcome: Outcome) -> None:
        """The end of an exchange. Failed attempts were reported before; only a last, successful or cut one is new."""
        self.settled += 1
        health = self._healths.get(outcome.generation)
        if health is None:
            return
        lead, attempts = outcome.lead, outcome.attempts
        if not attempts:
            if lead is not None:
                self.forget(outcome.generation, lead)
            return
        now_s = self._clock()
        since_start_us = outcome.measures[1] + outcome.measures[4]
        # They stand in the order in which they ended.
        first = attempts[0] if len(attempts) == 1 else min(attempts, key=_started_us)
        if outcome.ending in ("complete", "broken"):
            last = attempts[-1]
            sent_s = now_s - (since_start_us - last.started_us) / 1e6
            # Else it broke by a defect of ours, which says nothing of its target.
            if last.failure is not None or last.first_content_us is not None:
                self._observe(health, last, sent_s, now_s, last is first and last.target == lead)
        if lead is not None and first.target != lead:
            # It had no words for the request, and another was asked in its place.
            self.forget(outcome.generation, lead)
        elif lead is not None:
            standing = health.standings[lead]
            standing.in_flight -= 1
            if lead in health.troubled:
                standing.release(now_s - (since_start_us - first.started_us) / 1e6)

    def _observe(self, health: Health, attempt: Attempt, sent_s: float, now_s: float, led: bool) -> None:
        if not led:
            health.standings[attempt.target].breaker.sent(sent_s)
        news = health.observe(attempt, sent_s, now_s, self._dice)
        if news is not None:
            if health is not self.health:
                self.health.look_again()
            _tell(news)

    def forget(self, generation: int, lead: int | None) -> None:
        """A lead that nobody asked: its client left, the snapshot was faster, or it had no words for the request."""
        health = self._healths.get(generation)
        if health is not None and lead is not None:
            standing = health[lead]
            standing.in_flight -= 1
            standing.breaker.window.taken_back(self._clock())
            standing.release(math.inf)


def _started_us(attempt: Attempt) -> int:
    return attempt.started_us


def _candidate(seat: _Seat, unasked: int, now_s: float, *, available: bool) -> Candidate:
    standing = seat.standing
    return Candidate(
        seat.target,
        seat.name,
        seat.weight,
        standing.expectation.ttft_ms(now_s),
        standing.in_flight + unasked,
        standing.failures,
        available,
    )


def _refusal(barred: Sequence[Standing], now_s: float) -> Refusal:
    """The answer when nobody may be called: why, and when the first of them comes back."""
    wait_s = max(1, math.ceil(min(standing.wait_s(now_s) for standing in barred)))
    if any(standing.limited(now_s) for standing in barred):
        message = f"every provider of this model is at its rate limit; the first takes requests again in {wait_s} s"
        return Refusal(429, "rate_limit_exceeded", message, None, wait_s)
    # Nothing that a client could wait for: keys are tried again, but nobody knows when they will be good.
    if all(standing.used_up() for standing in barred):
        whose = "the accounts of this gateway with the providers of this model are used up"
        return Refusal(503, "provider_quota", f"{whose}; only its operator can mend that")
    whose = "the providers of this model refuse the keys of this gateway"
    return Refusal(502, "provider_auth", f"{whose}; only its operator can mend that")


def _tell(news: News) -> None:
    if news.alarm:
        log.error("%s", news.text)
    else:
        log.info("%s", news.text)


def install_watchdog(engine: _Overdue, number: int) -> None:
    """Lets the engine's watchdog end a decision that hangs. Call on the main thread, where decisions are made."""

    def end_decision(_signal: int, _frame: FrameType | None) -> None:
        # The signal may arrive when the decision is over: then it concerns nobody.
        if engine.overdue():
            raise PolicyTimeout("a policy held the loop for longer than a decision may take")

    signal.signal(number, end_decision)
