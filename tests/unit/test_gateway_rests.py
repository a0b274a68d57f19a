"""Plans where somebody rests or comes back, and what another table keeps of that."""

from collections.abc import Sequence
from random import Random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastroute.config.schema import Config, Model, Provider
from fastroute.facts import Attempt, Candidate, Facts, Plan, Refusal
from fastroute.gateway import TABLES, Gateway
from fastroute.health.breaker import REST_CAP_S, RUN
from fastroute.health.rest import ABSENT, BARRED, SLOW_START_S, THINNED
from fastroute.policies import REGISTRY, Dice
from fastroute.secret import Secret
from fastroute.table import compile_table
from unit.gateways import (
    NOTHING,
    TWO,
    Clock,
    Fixed,
    asking,
    attempt,
    ended,
    gateway_of,
    in_flight,
    names_of,
    planned,
    table_of,
)


def keyed(*keys: str, models: dict[str, Model] = TWO, clock: Clock | None = None) -> Gateway:
    """`a` has these keys and `b` has one."""
    providers = {
        name: Provider(dialect="openai_chat", address=f"http://{name}.test/v1", keys=tuple(map(Secret, own)))
        for name, own in (("a", keys), ("b", ("b-1",)))
    }
    table = compile_table(Config(providers=providers, models=models), NOTHING, 1)
    return Gateway(table, REGISTRY, clock or Clock(), Random(7))


def fails(gateway: Gateway, target: int, failure: str, wait_ms: int | None = None) -> None:
    gateway.report(1, Attempt(target, 0, None, 0, failure, True, wait_ms), True, 0)


def test_a_limited_target_is_left_out_while_another_is_there() -> None:
    gateway = gateway_of()
    first, second = planned(gateway, "smart").targets
    fails(gateway, first, "rate_limited", 7_000)
    assert planned(gateway, "smart").targets == (second,)


def test_when_all_are_limited_the_answer_is_ours_with_the_shortest_wait_in_whole_seconds() -> None:
    clock = Clock()
    gateway = gateway_of(clock=clock)
    first, second = planned(gateway, "smart").targets
    fails(gateway, first, "rate_limited", 7_000)
    fails(gateway, second, "rate_limited", 4_200)
    refusal = gateway.decide(asking("smart"))
    assert isinstance(refusal, Refusal)
    assert (refusal.status, refusal.code, refusal.retry_after_s) == (429, "rate_limit_exceeded", 5)
    assert in_flight(gateway) == [1 if index == first else 0 for index in range(len(gateway.health))], "nobody was sent"
    clock.now_s += 4.2
    assert planned(gateway, "smart").targets == (second,)


def test_an_overloaded_target_is_tried_where_the_other_is_only_limited() -> None:
    gateway = gateway_of()
    first, second = planned(gateway, "smart").targets
    fails(gateway, first, "rate_limited", 60_000)
    for _ in range(RUN):
        fails(gateway, second, "overloaded")
    assert planned(gateway, "smart").targets == (second,)


@pytest.mark.parametrize(
    "failure, wait_ms, told",
    [("auth", None, (502, "provider_auth", None)), ("quota", 5_000, (503, "provider_quota", None))],
)
def test_when_every_key_is_out_the_client_is_told_whose_problem_that_is(
    failure: str, wait_ms: int | None, told: tuple[int, str, int | None]
) -> None:
    gateway = keyed("a-1", "a-2", models={"only": Model(targets=("a/one",))})
    for target in planned(gateway, "only").targets:
        fails(gateway, target, failure, wait_ms)
    refusal = gateway.decide(asking("only"))
    assert isinstance(refusal, Refusal)
    assert (refusal.status, refusal.code, refusal.retry_after_s) == told
    assert gateway.decide(asking("a/whatever")) == refusal, "the key is out for every model"


def test_the_only_target_is_left_alone_when_its_key_may_not_call_the_model() -> None:
    clock = Clock()
    gateway = keyed("a-1", models={"only": Model(targets=("a/one",)), "other": Model(targets=("a/two",))}, clock=clock)
    (target,) = planned(gateway, "only").targets
    fails(gateway, target, "forbidden")
    refusal = gateway.decide(asking("only"))
    assert isinstance(refusal, Refusal)
    assert (refusal.status, refusal.code) == (502, "provider_auth")
    assert planned(gateway, "other").targets, "the key is good"
    clock.now_s += 60
    assert planned(gateway, "only").probe
    assert isinstance(gateway.decide(asking("only")), Refusal), "one at a time"


def test_a_refused_key_is_followed_by_the_next_one_of_the_same_provider() -> None:
    gateway = keyed("a-1", "a-2")
    first, second, other = planned(gateway, "smart").targets
    fails(gateway, first, "auth")
    assert planned(gateway, "smart").targets == (second, other)


def test_only_the_request_that_leads_tries_a_key_that_was_out() -> None:
    clock = Clock()
    gateway = keyed("a-1", "a-2", clock=clock)
    first, second, other = planned(gateway, "smart").targets
    fails(gateway, second, "auth")
    clock.now_s += 60
    assert planned(gateway, "smart").targets == (first, other), "no request is spent on it while others do well"
    fails(gateway, first, "rate_limited", 60_000)
    plan = planned(gateway, "smart")
    assert (plan.targets, plan.probe) == ((second, other), True)
    assert planned(gateway, "smart").targets == (other,)


def test_a_model_that_is_not_there_is_left_out_but_tried_before_nothing_is() -> None:
    gateway = gateway_of()
    first, second = planned(gateway, "smart").targets
    fails(gateway, first, "not_found")
    assert planned(gateway, "smart").targets == (second,)
    fails(gateway, second, "not_found")
    assert planned(gateway, "smart").targets == (first, second), "the client is told what the provider says"


def test_where_one_is_missing_and_the_other_limited_the_client_waits_for_the_other() -> None:
    gateway = gateway_of()
    first, second = planned(gateway, "smart").targets
    fails(gateway, first, "not_found")
    fails(gateway, second, "rate_limited", 9_000)
    refusal = gateway.decide(asking("smart"))
    assert isinstance(refusal, Refusal)
    assert (refusal.status, refusal.retry_after_s) == (429, 9)


def test_a_plan_says_who_stands_by_and_that_it_is_a_probe() -> None:
    clock = Clock()
    gateway = gateway_of(clock=clock)
    first, second = planned(gateway, "smart").targets
    assert planned(gateway, "smart") == Plan(0, 1, (first, second), 2, standing=True)
    for _ in range(RUN):
        fails(gateway, first, "overloaded")
    assert planned(gateway, "smart") == Plan(0, 1, (second, first), 1)
    clock.now_s += REST_CAP_S
    assert planned(gateway, "smart") == Plan(0, 1, (first, second), 2, probe=True)
    assert planned(gateway, "smart") == Plan(0, 1, (second, first), 1), "one at a time"


def test_a_plan_led_by_who_comes_back_slowly_is_for_one_request() -> None:
    clock = Clock()
    gateway = gateway_of(clock=clock)
    first, second = planned(gateway, "smart").targets
    for _ in range(RUN):
        fails(gateway, first, "overloaded")
    clock.now_s += REST_CAP_S
    probe = planned(gateway, "smart")
    gateway.settle(ended(probe, attempt(first)))
    plans = [planned(gateway, "smart") for _ in range(200)]
    assert {plan.once for plan in plans if plan.targets[0] == first} == {True}, "the others' share is not drawn"
    assert {plan.once for plan in plans if plan.targets[0] == second} == {False}
    clock.now_s += SLOW_START_S
    assert planned(gateway, "smart") == Plan(0, 1, (first, second), 2)


def test_a_tripped_policy_does_not_bring_back_who_is_out() -> None:
    def fails_when_two_are_left(_facts: Facts, candidates: Sequence[Candidate], _dice: Dice) -> Sequence[Candidate]:
        if len(candidates) < 3:
            raise ValueError
        return list(reversed(candidates))

    models = {"smart": Model(targets=("a/one", "b/two", "b/three"))}
    gateway = gateway_of(models, fails_when_two_are_left)
    third, second, first = planned(gateway, "smart").targets
    fails(gateway, third, "rate_limited", 60_000)
    for _ in range(3):
        assert planned(gateway, "smart").targets == (second, first), "the last good order of those who are left"


def test_a_policy_cannot_bring_back_whom_it_was_not_given() -> None:
    kept: list[Candidate] = []

    def hoards(_facts: Facts, candidates: Sequence[Candidate], _dice: Dice) -> Sequence[Candidate]:
        kept.extend(each for each in candidates if each.index not in {old.index for old in kept})
        return list(kept)

    gateway = gateway_of({"smart": Model(targets=("a/one", "b/two", "b/three"))}, hoards)
    first, second, third = planned(gateway, "smart").targets
    fails(gateway, first, "rate_limited", 60_000)
    assert planned(gateway, "smart").targets == (second, third)


TROUBLE = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.sampled_from([None, "overloaded", "rate_limited", "auth", "quota", "not_found", "forbidden", "refused"]),
        st.floats(0, 100),
    ),
    max_size=40,
)


@given(TROUBLE, st.sampled_from(sorted(REGISTRY)), st.integers(0, 2**32))
@settings(deadline=None)
def test_whatever_happens_a_plan_calls_only_who_may_be_called_and_first_who_is_fit(
    trouble: list[tuple[int, str | None, float]], policy: str, seed: int
) -> None:
    clock = Clock()
    providers = {
        name: Provider(dialect="openai_chat", address=f"http://{name}.test/v1", keys=tuple(map(Secret, keys)))
        for name, keys in (("a", ("a-1", "a-2")), ("b", ("b-1",)), ("c", ("c-1",)))
    }
    models = {"m": Model(targets=("a/x", "b/x", "c/x"), policy=policy)}
    table = compile_table(Config(providers=providers, models=models), NOTHING, 1)
    gateway = Gateway(table, REGISTRY, clock, Random(seed))
    members = [choice.target.index for choice in table.routes["m"].choices]

    def tiers(never: float) -> dict[int, int]:
        return {index: gateway.health[index].tier(clock.now_s, Fixed(never)) for index in members}

    for which, failure, passed_s in trouble:
        clock.now_s += passed_s
        before = tiers(0.0)
        plan = gateway.decide(asking("m"))
        if isinstance(plan, Refusal):
            assert min(before.values()) >= ABSENT
            assert BARRED in before.values()
        else:
            assert isinstance(plan, Plan)
            assert len(set(plan.targets)) == len(plan.targets)
            assert set(plan.targets) <= set(members)
            assert BARRED not in {before[index] for index in plan.targets}
            standing = [before[index] for index in plan.targets]
            assert standing == sorted(standing)
            assert 1 <= plan.may_lead <= len(plan.targets)
            assert all(tier <= THINNED for tier in standing[: plan.may_lead]) or plan.may_lead == 1
            gateway.settle(ended(plan, attempt(plan.targets[0]), ending="client_gone"))
        gateway.report(1, attempt(members[which], failure), False, 0)
    assert not any(standing.in_flight for standing in gateway.health)


@pytest.mark.parametrize("ending", ["forgotten", "client_gone", "not the target's fault"])
def test_a_probe_that_came_to_nothing_is_followed_by_another(ending: str) -> None:
    clock = Clock()
    gateway = gateway_of(clock=clock)
    first, _ = planned(gateway, "smart").targets
    for _ in range(RUN):
        fails(gateway, first, "overloaded")
    clock.now_s += REST_CAP_S
    probe = planned(gateway, "smart")
    assert not planned(gateway, "smart").probe
    clock.now_s += 0.5
    if ending == "forgotten":
        gateway.forget(1, first)
    elif ending == "client_gone":
        gateway.settle(ended(probe, attempt(first, content_ms=None), ending="client_gone"))
    else:
        gateway.report(1, attempt(first, "bad_request", blamed=False), True, 0)
    assert planned(gateway, "smart").probe


def test_the_content_of_a_probe_is_enough_whatever_its_stream_does_afterwards() -> None:
    clock = Clock()
    gateway = gateway_of(clock=clock)
    first, _ = planned(gateway, "smart").targets
    for _ in range(RUN):
        fails(gateway, first, "overloaded")
    clock.now_s += REST_CAP_S
    probe = planned(gateway, "smart")
    clock.now_s += 0.5
    gateway.report(1, Attempt(first, 0, 300_000, 0, None, False, None), True, 0)
    clock.now_s += 30
    assert planned(gateway, "smart") == Plan(0, 1, probe.targets, 2), "its slow start is over"


def test_a_story_that_waited_for_its_turn_was_not_sent_later_for_that() -> None:
    clock = Clock()
    gateway = keyed("a-1", clock=clock, models={"only": Model(targets=("a/one",))})
    plan = planned(gateway, "only")
    clock.now_s += 0.5
    fails(gateway, plan.targets[0], "auth")
    clock.now_s += 0.3
    # It took 20 ms, and is told 400 ms after it was over: before the refusal.
    told = msgspec.structs.replace(ended(plan, attempt(plan.targets[0])), measures=(0, 20_000, 100, 300, 400_000))
    gateway.settle(told)
    assert isinstance(gateway.decide(asking("only")), Refusal)


def test_after_another_table_plans_are_its_own_and_what_rested_goes_on_resting() -> None:
    gateway = gateway_of()
    first, _ = planned(gateway, "smart").targets
    fails(gateway, first, "rate_limited", 60_000)
    models = {"new": Model(targets=("b/two", "a/one")), **TWO}
    gateway.replace(table_of(models, "a", "b", generation=2), REGISTRY)
    plan = planned(gateway, "new")
    assert (plan.generation, names_of(gateway, plan)) == (2, ["b/two"])
    assert gateway.table.generation == 2


def test_exchanges_of_the_table_before_still_speak_of_those_who_stay() -> None:
    gateway = gateway_of()
    plan = planned(gateway, "smart")
    old = gateway.health
    gateway.replace(table_of(TWO, "a", "b", generation=2), REGISTRY)
    fails(gateway, plan.targets[0], "rate_limited", 60_000)
    assert names_of(gateway, planned(gateway, "smart")) == ["b/two"]
    gateway.settle(ended(plan, attempt(plan.targets[0], "rate_limited"), ending="refused"))
    assert {standing.in_flight for standing in old} == {0}
    assert sum(in_flight(gateway)) == 1


def test_tables_of_long_ago_are_forgotten() -> None:
    gateway = gateway_of()
    plan = planned(gateway, "smart")
    for generation in range(2, TABLES + 2):
        gateway.replace(table_of(TWO, "a", "b", generation=generation), REGISTRY)
    fails(gateway, plan.targets[0], "rate_limited", 60_000)
    assert names_of(gateway, planned(gateway, "smart")) == ["a/one", "b/two"]
