"""Traffic in simulated time: what clients see and what targets are sent while somebody fails, limits or comes back.

Everything real is here but the network: table, policies, gateway and health. Targets answer by a rule of the test.
"""

import heapq
import itertools
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from random import Random
from typing import NamedTuple

import pytest

from fastroute.catalogue import find_providers
from fastroute.config.schema import POLICIES, Config, Model, Provider, WeightedTarget
from fastroute.facts import Attempt, Facts, Outcome, Plan, Refusal
from fastroute.gateway import Gateway
from fastroute.health.account import RETEST_S
from fastroute.health.rest import FIRST_SHARE, SLOW_START_S
from fastroute.policies import REGISTRY
from fastroute.secret import Secret
from fastroute.table import compile_table

FACTS = Facts("m", "openai_chat", "edge", True, 100, 20, 1, 0, 0, None)
START_S = 50_000.0
ATTEMPTS = 3


class Said(NamedTuple):
    """What a target does with a request: after how long, and what failed if anything did."""

    after_s: float
    failure: str | None = None
    wait_s: float | None = None
    runs_s: float = 0.0
    """How long the stream goes on after its first content."""


Answers = Callable[[str, float, Random], Said]
"""(provider and key, seconds since the start, dice) → what it says."""


class Call(NamedTuple):
    """One request that a target was sent."""

    at_s: float
    who: str
    failure: str | None


class Town:
    """A gateway, its targets, and clients that come at an even pace."""

    def __init__(self, answers: Answers, names: Sequence[str], policy: str, *, keys: int = 1, seed: int = 1) -> None:
        self.now_s = START_S
        self.answers = answers
        self.dice = Random(seed)
        providers = {
            name: Provider(
                dialect="openai_chat",
                address=f"http://{name}.test/v1",
                keys=tuple(Secret(f"{name}-sk-{number}") for number in range(keys)),
            )
            for name in names
        }
        targets = tuple(WeightedTarget(to=f"{name}/x", weight=1 if policy == "weighted" else None) for name in names)
        models = {"m": Model(targets=targets, policy=policy)}
        table = compile_table(Config(providers=providers, models=models), find_providers({}), 1)
        self.gateway = Gateway(table, REGISTRY, lambda: self.now_s, self.dice)
        self.calls: list[Call] = []
        self.seen: list[tuple[float, str | Refusal | None]] = []
        """What clients saw: nothing wrong, a refusal of ours, or the failure of the last attempt."""
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()

    def who(self, target: int) -> str:
        row = self.gateway.table.targets[target]
        assert row.key is not None
        return row.provider.name if len(row.provider.keys) == 1 else f"{row.provider.name}:{row.key.name}"

    def later(self, after_s: float, event: Callable[[], None]) -> None:
        heapq.heappush(self._events, (self.now_s + after_s, next(self._order), event))

    def run(self, per_s: float, for_s: float) -> None:
        """Clients come for so long; then everything that is under way ends."""
        for number in range(round(per_s * for_s)):
            heapq.heappush(self._events, (self.now_s + number / per_s, next(self._order), self.ask))
        while self._events:
            self.now_s, _, event = heapq.heappop(self._events)
            event()

    def ask(self) -> None:
        plan = self.gateway.decide(FACTS)
        if isinstance(plan, Plan):
            self.attempt(plan, self.now_s, [])
        else:
            self.seen.append((self.now_s - START_S, plan))

    def attempt(self, plan: Plan, began_s: float, before: list[Attempt]) -> None:
        target, sent_s = plan.targets[len(before)], self.now_s
        said = self.answers(self.who(target), self.now_s - START_S, self.dice)
        self.calls.append(Call(self.now_s - START_S, self.who(target), said.failure))
        content_us = None if said.failure else round(said.after_s * 1e6)
        wait_ms = None if said.wait_s is None else round(said.wait_s * 1e3)
        over_s = said.after_s + said.runs_s
        attempt = Attempt(
            target, us(sent_s - began_s), content_us, us(over_s), said.failure, said.failure is not None, wait_ms
        )
        if said.failure is None:
            if plan.probe and not before:
                self.later(said.after_s, lambda: self.gateway.report(1, attempt, True, 0))
            self.later(over_s, lambda: self.settle(plan, began_s, [*before, attempt], "complete"))
        else:
            self.later(said.after_s, lambda: self.failed(plan, began_s, [*before, attempt]))

    def failed(self, plan: Plan, began_s: float, attempts: list[Attempt]) -> None:
        self.gateway.report(1, attempts[-1], len(attempts) == 1, 0)
        if len(attempts) < min(ATTEMPTS, len(plan.targets)):
            self.attempt(plan, began_s, attempts)
        else:
            self.settle(plan, began_s, attempts, "refused")

    def settle(self, plan: Plan, began_s: float, attempts: list[Attempt], ending: str) -> None:
        self.seen.append((began_s - START_S, attempts[-1].failure))
        came, measures = ("edge", "openai_chat", True), (0, us(self.now_s - began_s), 10, 10, 0)
        lead = plan.targets[0]
        self.gateway.settle(Outcome("req_1", 1, 0, lead, "policy", came, 200, ending, attempts, None, None, measures))

    def sent(self, who: str, from_s: float, to_s: float = float("inf")) -> int:
        return sum(call.who == who and from_s <= call.at_s < to_s for call in self.calls)

    def share(self, who: str, from_s: float, to_s: float) -> float:
        return self.sent(who, from_s, to_s) / sum(from_s <= call.at_s < to_s for call in self.calls)

    @property
    def wrong(self) -> list[str | Refusal]:
        return [seen for _, seen in self.seen if seen is not None]


def us(seconds: float) -> int:
    return round(seconds * 1e6)


def steady(_who: str, _at_s: float, dice: Random) -> Said:
    return Said(0.1 + 0.1 * dice.random(), runs_s=dice.random())


def sick(name: str, said: Said, until_s: float = float("inf")) -> Answers:
    """Everybody is well but one."""
    return lambda who, at_s, dice: said if who == name and at_s < until_s else steady(who, at_s, dice)


every_policy = pytest.mark.parametrize("policy", POLICIES)


@every_policy
def test_a_target_at_its_limit_is_sent_nothing_until_its_wait_is_over_and_then_comes_back_slowly(policy: str) -> None:
    waiting_s = 7.0
    town = Town(sick("a", Said(0.002, "rate_limited", waiting_s), until_s=waiting_s), "abc", policy)
    town.run(300, 60)
    assert town.wrong == []
    assert town.share("a", 1.0, waiting_s) <= 0.01
    assert town.sent("a", 0.1, waiting_s) == 0
    fair = {"ordered": 1.0}.get(policy, 1 / 3)
    assert 0 < town.share("a", waiting_s, waiting_s + 3) <= 4 * FIRST_SHARE * fair
    assert town.share("a", waiting_s + SLOW_START_S, 60.0) == pytest.approx(fair, abs=0.12)


@every_policy
def test_a_target_that_fails_at_once_is_not_taken_for_a_fast_one(policy: str) -> None:
    town = Town(sick("a", Said(0.001, "overloaded")), "abc", policy)
    town.run(100, 120)
    assert town.wrong == []
    assert town.share("a", 0.0, 120.0) <= 0.01


@every_policy
def test_a_target_that_hangs_is_left_after_a_few_requests(policy: str) -> None:
    town = Town(sick("b", Said(5.0, "first_token_soft")), "abc", policy)
    town.run(50, 120)
    assert town.wrong == []
    assert town.share("b", 10.0, 120.0) <= 0.02


def test_a_key_that_is_revoked_costs_no_client_anything_and_what_is_under_way_at_most(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def answers(who: str, at_s: float, dice: Random) -> Said:
        if who == "a:keys[0]" and at_s >= 5.0:
            return Said(0.05, "auth")
        return steady(who, at_s, dice)

    town = Town(answers, "a", "fastest", keys=2)
    told_s: list[float] = []
    town.gateway.report = _noting(town, told_s)  # type: ignore[method-assign]
    with caplog.at_level(logging.ERROR):
        town.run(300, 40)
    assert town.wrong == []
    wasted = [call.at_s for call in town.calls if call.failure == "auth"]
    heard_s = wasted[0] + 0.05
    assert wasted[-1] <= heard_s, "only what was under way when the first refusal came"
    assert town.sent("a:keys[0]", heard_s + 0.001) == 0, "out for a minute"
    assert town.share("a:keys[1]", heard_s + 0.001, 40.0) == 1.0, "the same model goes on"
    (alarm,) = [record.getMessage() for record in caplog.records]
    assert "a: its key keys[0]" in alarm
    assert told_s[0] == pytest.approx(heard_s), "the operator hears of it at once"


def _noting(town: Town, told_s: list[float]) -> Callable[[int, Attempt, bool, int], None]:
    report = town.gateway.report

    def noting(generation: int, attempt: Attempt, led: bool, age_us: int) -> None:
        told_s.append(town.now_s - START_S)
        report(generation, attempt, led, age_us)

    return noting


@pytest.mark.parametrize("failure, again_s", [("quota", 900.0), ("auth", RETEST_S[0])])
def test_a_key_that_is_out_is_tried_with_one_request_at_a_time(failure: str, again_s: float) -> None:
    def answers(who: str, at_s: float, dice: Random) -> Said:
        if who == "a:keys[0]":
            return Said(0.05, failure, 1.0 if failure == "quota" and at_s < 1 else None)
        return steady(who, at_s, dice)

    town = Town(answers, "a", "ordered", keys=2)
    town.run(20, again_s + 30)
    assert town.wrong == []
    tries = [call.at_s for call in town.calls if call.who == "a:keys[0]"]
    first = [at_s for at_s in tries if at_s < 0.1]
    assert len(tries) - len(first) == 1, f"one try after the rest: {tries}"


def test_a_used_up_account_and_a_limit_are_not_taken_for_each_other() -> None:
    limited = Town(sick("a", Said(0.01, "rate_limited", 2.0)), "ab", "ordered")
    used_up = Town(sick("a", Said(0.01, "quota", 2.0)), "ab", "ordered")
    for town in (limited, used_up):
        town.run(20, 100)
        assert town.wrong == []
    assert 40 <= limited.sent("a", 0.1) <= 60, "it is asked again as often as it says"
    assert used_up.sent("a", 0.1) == 0, "it is not asked again for a quarter of an hour, whatever it says"


def test_when_everybody_is_at_the_limit_clients_are_told_at_once_when_to_come_back() -> None:
    waits_s = {"a": 9.0, "b": 4.0}

    def answers(who: str, at_s: float, dice: Random) -> Said:
        return Said(0.01, "rate_limited", waits_s[who]) if at_s < 1.0 else steady(who, at_s, dice)

    town = Town(answers, "ab", "ordered")
    town.run(100, 20)
    refused = [(at_s, seen) for at_s, seen in town.seen if isinstance(seen, Refusal)]
    assert refused
    for at_s, refusal in refused:
        assert refusal.status == 429
        assert refusal.retry_after_s is not None
        assert at_s + refusal.retry_after_s == pytest.approx(4.02, abs=1.02), "the first of them, rounded up"
    assert town.sent("a", 0.1, 9.0) == town.sent("b", 0.1, 4.0) == 0
    assert all(seen is None for at_s, seen in town.seen if at_s > 4.1)


@every_policy
def test_when_everybody_was_down_traffic_is_back_at_once_and_stays(policy: str) -> None:
    def answers(who: str, at_s: float, dice: Random) -> Said:
        return Said(0.01, "overloaded") if at_s < 30.0 else steady(who, at_s, dice)

    town = Town(answers, "ab", policy)
    town.run(200, 80)
    assert all(seen is None for at_s, seen in town.seen if at_s >= 30.0), "not one request fails after the outage"
    after = [call for call in town.calls if 30.0 <= call.at_s < 40.0]
    assert len(after) <= 1.2 * 200 * 10
    assert {call.failure for call in after} == {None}
    fair = {"ordered": 1.0}.get(policy, 0.5)
    assert town.share("a", 30.0 + 45.0, 80.0) == pytest.approx(fair, abs=0.15), "full service within 45 s"


def test_the_only_target_of_a_model_is_never_given_up_for_its_failures() -> None:
    town = Town(sick("a", Said(0.01, "overloaded"), until_s=30.0), "a", "ordered")
    town.run(50, 40)
    assert town.sent("a", 0.0) == 50 * 40
    assert all(seen is None for at_s, seen in town.seen if at_s >= 30.0)


def test_while_something_rests_only_one_request_at_a_time_leads_to_it() -> None:
    town = Town(sick("a", Said(1.0, "stalled"), until_s=40.0), "ab", "ordered")
    town.run(50, 60)
    assert town.wrong == []
    tries = [call.at_s for call in town.calls if call.who == "a" and 5.0 < call.at_s < 40.0]
    assert tries
    assert all(later - earlier > 1.0 for earlier, later in itertools.pairwise(tries))


def picks(policy: str, count: int, seed: int = 3) -> tuple[Counter[str], Counter[str]]:
    """Calls of each target: all of them well, and one of them failing."""
    names, per_s = "abcde", 200.0
    well = Town(steady, names, policy, seed=seed)
    well.run(per_s, count / per_s)
    failing = Town(sick("c", Said(0.002, "upstream_error")), names, policy, seed=seed)
    failing.run(per_s, count / per_s)
    assert well.wrong == failing.wrong == []
    return Counter(call.who for call in well.calls), Counter(call.who for call in failing.calls)


def balanced(policy: str, count: int) -> None:
    well, failing = picks(policy, count)
    assert max(well.values()) / (sum(well.values()) / 5) <= 1.3, well
    assert failing["c"] / sum(failing.values()) <= 0.01, failing


@pytest.mark.parametrize("policy", ["fastest", "weighted"])
def test_healthy_targets_share_the_traffic_and_a_failing_one_gets_next_to_none(policy: str) -> None:
    balanced(policy, 50_000)


@pytest.mark.long
@pytest.mark.parametrize("policy", ["fastest", "weighted"])
def test_a_million_picks_are_shared_as_well(policy: str) -> None:
    balanced(policy, 1_000_000)


@pytest.mark.parametrize("per_s", [1, 10, 1000])
def test_fastest_shares_traffic_at_any_pace(per_s: int) -> None:
    town = Town(steady, "abc", "fastest")
    town.run(per_s, 6_000 / per_s)
    shares = Counter(call.who for call in town.calls)
    assert max(shares.values()) / (sum(shares.values()) / 3) <= 1.3, shares
