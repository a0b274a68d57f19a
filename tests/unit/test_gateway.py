"""Decide and settle: who is chosen, what is counted, and what happens when a policy breaks its contract."""

import logging
import signal
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastroute.config.schema import Model, WeightedTarget
from fastroute.facts import Attempt, Candidate, Facts, Plan, Refusal
from fastroute.gateway import TRIP_S, Gateway, install_watchdog
from fastroute.health.breaker import REST_CAP_S, RUN
from fastroute.health.window import ENOUGH
from fastroute.policies import Dice, Rank
from unit.gateways import TWO, Clock, asking, attempt, ended, gateway_of, in_flight, names_of, planned


def test_a_model_is_answered_by_its_targets_in_the_order_of_its_policy() -> None:
    gateway = gateway_of()
    plan = planned(gateway, "smart")
    assert names_of(gateway, plan) == ["a/one", "b/two"]
    assert gateway.table.generation == plan.generation == 1
    assert list(gateway.table.routes)[plan.route] == "smart"


def test_a_provider_and_any_model_pass_through_to_that_provider_alone() -> None:
    gateway = gateway_of()
    plan = planned(gateway, "b/anything/at-all")
    assert names_of(gateway, plan) == ["b/*"]
    # The engine's routes of providers stand behind the configured ones, in the order of `direct`.
    assert plan.route == len(gateway.table.routes) + list(gateway.table.direct).index("b")


def test_a_configured_name_is_found_before_a_provider_of_the_same_beginning() -> None:
    gateway = gateway_of({"a/one": Model(targets=("b/two",))})
    assert names_of(gateway, planned(gateway, "a/one")) == ["b/two"]
    assert names_of(gateway, planned(gateway, "a/other")) == ["a/*"]


def test_an_unknown_model_is_refused_without_repeating_it() -> None:
    refusal = gateway_of().decide(asking("smrat"))
    assert isinstance(refusal, Refusal)
    assert (refusal.status, refusal.code, refusal.param) == (404, "model_not_found", "model")
    assert "smrat" not in refusal.message, "what a client wrote is not repeated"


@pytest.mark.parametrize("model", ["", "zzz", "a", "a/", "c/model", "/one"])
def test_a_name_nobody_answers_to_counts_nowhere(model: str) -> None:
    gateway = gateway_of()
    refusal = gateway.decide(asking(model))
    assert isinstance(refusal, Refusal)
    assert refusal.code == "model_not_found"
    assert in_flight(gateway) == [0] * len(gateway.health)


def test_only_the_first_target_of_a_plan_counts_as_in_flight_until_the_exchange_is_over() -> None:
    gateway = gateway_of()
    first, second = planned(gateway, "smart"), planned(gateway, "smart")
    lead, other = first.targets
    assert (gateway.health[lead].in_flight, gateway.health[other].in_flight) == (2, 0)
    # It failed over: the second target answered, and still it is the lead that was counted.
    gateway.settle(ended(first, attempt(lead, "overloaded"), attempt(other)))
    gateway.settle(ended(second, ending="client_gone"))
    assert in_flight(gateway) == [0] * len(gateway.health)
    assert gateway.settled == 2


def test_a_pass_through_counts_as_in_flight_too() -> None:
    gateway = gateway_of()
    plan = planned(gateway, "a/x")
    assert gateway.health[plan.targets[0]].in_flight == 1
    gateway.settle(ended(plan, attempt(plan.targets[0])))
    assert in_flight(gateway) == [0] * len(gateway.health)


def test_a_plan_that_nobody_used_is_taken_back() -> None:
    gateway = gateway_of()
    plan = planned(gateway, "smart")
    gateway.forget(plan.generation, plan.targets[0])
    gateway.forget(plan.generation, None)
    assert in_flight(gateway) == [0] * len(gateway.health)


def test_a_lead_that_has_no_words_for_a_request_was_not_sent_it() -> None:
    gateway = gateway_of()
    plan = planned(gateway, "smart")
    first, second = plan.targets
    gateway.settle(ended(plan, attempt(second)))
    assert not any(in_flight(gateway))
    for _ in range(2 * ENOUGH):
        gateway.settle(ended(planned(gateway, "smart"), attempt(second)))
    for _ in range(ENOUGH // 2):
        gateway.settle(ended(planned(gateway, "smart"), attempt(first)))
        gateway.report(1, attempt(first, "overloaded"), False, 0)
    assert planned(gateway, "smart").targets == (second, first), "half of what it was sent failed"


def test_a_plan_of_the_snapshot_was_never_counted_and_is_not_taken_off() -> None:
    gateway = gateway_of()
    gateway.settle(ended(None, attempt(0)))
    assert in_flight(gateway) == [0] * len(gateway.health)


ENDINGS = ("forgotten", "complete", "refused", "broken", "client_gone", "failed over")


@given(st.lists(st.tuples(st.sampled_from(["smart", "a/x", "b/y", "nobody"]), st.sampled_from(ENDINGS)), max_size=30))
def test_every_plan_is_taken_back_once_however_its_exchange_ends(exchanges: list[tuple[str, str]]) -> None:
    gateway = gateway_of()
    plans = [(gateway.decide(asking(model)), ending) for model, ending in exchanges]
    assert sum(in_flight(gateway)) == sum(isinstance(plan, Plan) for plan, _ in plans)
    for plan, ending in plans:
        if isinstance(plan, Plan):
            end(gateway, plan, ending)
            assert min(in_flight(gateway)) >= 0
        else:
            gateway.settle(ended(None, ending="refused"))
    assert in_flight(gateway) == [0] * len(gateway.health)


def end(gateway: Gateway, plan: Plan, ending: str) -> None:
    """What the engine tells of an exchange that ends so."""
    lead, last = plan.targets[0], plan.targets[-1]
    if ending == "forgotten":
        gateway.forget(plan.generation, lead)
    elif ending == "failed over":
        gateway.report(plan.generation, attempt(lead, "overloaded"), True, 0)
        gateway.settle(ended(plan, attempt(lead, "overloaded"), attempt(last)))
    elif ending == "refused":
        gateway.report(plan.generation, attempt(lead, "overloaded"), True, 0)
        gateway.settle(ended(plan, attempt(lead, "overloaded"), ending=ending))
    else:
        gateway.settle(ended(plan, attempt(lead, "truncated" if ending == "broken" else None), ending=ending))


def test_what_another_generation_tells_changes_nothing() -> None:
    gateway = gateway_of()
    plan = planned(gateway, "smart")
    lead = plan.targets[0]
    before = gateway.health[lead].expectation.ttft_ms(1_000.0)
    gateway.report(2, attempt(lead, "overloaded"), True, 0)
    gateway.forget(2, lead)
    # Indexes of another table may not even exist in this one.
    gateway.settle(ended(Plan(0, 2, (99,), 1), attempt(99), generation=2))
    assert (gateway.health[lead].in_flight, gateway.health[lead].failures) == (1, 0)
    assert gateway.health[lead].expectation.ttft_ms(1_000.0) == before
    assert gateway.settled == 1


def test_a_failed_attempt_is_known_before_its_exchange_is_over_and_counts_once() -> None:
    gateway = gateway_of()
    plan = planned(gateway, "smart")
    lead, other = plan.targets
    failed = attempt(lead, "upstream_error")
    gateway.report(1, failed, True, 0)
    assert gateway.health[lead].failures == 1
    gateway.settle(ended(plan, failed, attempt(other, content_ms=30)))
    assert gateway.health[lead].failures == 1
    assert gateway.health[other].expectation.ttft_ms(1_000.0) == 30


def test_nobody_is_blamed_for_losing_to_an_attempt_beside_it() -> None:
    gateway = gateway_of()
    for _ in range(30):
        plan = planned(gateway, "smart")
        assert names_of(gateway, plan) == ["a/one", "b/two"]
        lead, other = plan.targets
        loses = attempt(lead, "hedged", blamed=False)
        gateway.report(1, loses, led=True, age_us=0)
        gateway.settle(ended(plan, loses, later(attempt(other))))
    assert in_flight(gateway) == [0, 0, 0, 0]
    assert [standing.failures for standing in gateway.health] == [0, 0, 0, 0]


def test_a_lead_that_wins_behind_the_end_of_a_later_attempt_counts_as_sent_once() -> None:
    gateway = gateway_of()
    for _ in range(10):
        plan = planned(gateway, "smart")
        assert names_of(gateway, plan)[0] == "a/one"
        lead, other = plan.targets
        loses = later(attempt(other, "hedged", blamed=False))
        gateway.report(1, loses, led=False, age_us=0)
        gateway.settle(ended(plan, loses, attempt(lead)))
        plan = planned(gateway, "smart")
        gateway.report(1, attempt(lead, "reset"), led=True, age_us=0)
        gateway.settle(ended(plan, attempt(lead, "reset"), later(attempt(other))))
    # Ten of twenty failed, and not ten of thirty.
    assert names_of(gateway, planned(gateway, "smart"))[0] == "b/two"


def later(told: Attempt) -> Attempt:
    return msgspec.structs.replace(told, started_us=5_000)


def test_an_exchange_whose_every_attempt_failed_was_reported_already() -> None:
    gateway = gateway_of()
    plan = planned(gateway, "smart")
    failed = attempt(plan.targets[0], "upstream_error")
    gateway.report(1, failed, True, 0)
    gateway.settle(ended(plan, failed, ending="refused"))
    assert gateway.health[plan.targets[0]].failures == 1


def test_a_reply_that_broke_off_is_the_fault_of_the_target_that_gave_it() -> None:
    gateway = gateway_of()
    plan = planned(gateway, "smart")
    gateway.settle(ended(plan, attempt(plan.targets[0], "truncated"), ending="broken"))
    assert gateway.health[plan.targets[0]].failures == 1


def test_a_client_that_left_says_nothing_about_a_target() -> None:
    gateway = gateway_of()
    plan = planned(gateway, "smart")
    before = gateway.health[plan.targets[0]].expectation.ttft_ms(1_000.0)
    gateway.settle(ended(plan, attempt(plan.targets[0], content_ms=1), ending="client_gone"))
    assert gateway.health[plan.targets[0]].expectation.ttft_ms(1_000.0) == before


def test_a_resting_target_goes_last_whatever_the_policy_says_and_comes_back_after_its_rest() -> None:
    clock = Clock()
    gateway = gateway_of(clock=clock)
    lead = planned(gateway, "smart").targets[0]
    for _ in range(RUN):
        gateway.report(1, attempt(lead, "overloaded"), True, 0)
    assert names_of(gateway, planned(gateway, "smart")) == ["b/two", "a/one"]
    clock.now_s += REST_CAP_S
    assert names_of(gateway, planned(gateway, "smart")) == ["a/one", "b/two"]


def test_a_policy_sees_each_target_as_it_is_now() -> None:
    seen: list[Candidate] = []

    def look(_facts: Facts, candidates: Sequence[Candidate], _dice: Dice) -> Sequence[Candidate]:
        seen[:] = candidates
        return candidates

    models = {
        "smart": Model(
            targets=(WeightedTarget(to="a/one", weight=95), WeightedTarget(to="b/two", weight=5)), policy="weighted"
        )
    }
    gateway = gateway_of(models, look)
    plan = planned(gateway, "smart")
    gateway.report(1, attempt(plan.targets[1], "overloaded"), True, 0)
    planned(gateway, "smart")
    assert [(each.name, each.weight, each.in_flight, each.failures, each.available) for each in seen] == [
        ("a/one", 95, 1, 0, True),
        ("b/two", 5, 0, 1, True),
    ]


def test_a_policy_may_leave_targets_out() -> None:
    gateway = gateway_of(rank=lambda _facts, candidates, _dice: candidates[1:])
    assert names_of(gateway, planned(gateway, "smart")) == ["b/two"]


def test_a_model_with_one_target_asks_no_policy() -> None:
    def never(*_: Any) -> Sequence[Candidate]:
        raise AssertionError("one target needs no order")

    gateway = gateway_of({"only": Model(targets=("a/one",))}, never)
    assert names_of(gateway, planned(gateway, "only")) == ["a/one"]


def _raises(*_: Any) -> Sequence[Candidate]:
    raise KeyError("a prompt could be in here")


def _returns(value: Callable[[Sequence[Candidate]], Any]) -> Rank:
    return lambda _facts, candidates, _dice: value(candidates)


BROKEN: dict[str, Rank] = {
    "raises": _raises,
    "nothing": _returns(lambda _: None),
    "no target": _returns(lambda _: []),
    "one twice": _returns(lambda given: [given[0], given[0]]),
    "a stranger": _returns(lambda _: [Candidate(9, "c/x", 1, 1.0, 0, 0, True)]),
    "names": _returns(lambda given: [each.name for each in given]),
    "a number": _returns(lambda _: 3),
}


@pytest.mark.parametrize("rank", BROKEN.values(), ids=BROKEN)
def test_a_policy_that_breaks_its_contract_leaves_the_decision_and_counts_nobody(
    rank: Rank, caplog: pytest.LogCaptureFixture
) -> None:
    gateway = gateway_of(rank=rank)
    with caplog.at_level(logging.ERROR):
        assert gateway.decide(asking("smart")) is None, "the snapshot decides"
    assert "smart" in caplog.text
    assert "prompt" not in caplog.text
    assert in_flight(gateway) == [0] * len(gateway.health)


def test_a_policy_that_failed_is_left_alone_and_then_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    calls = 0

    def fails_once(_facts: Facts, candidates: Sequence[Candidate], _dice: Dice) -> Sequence[Candidate]:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise ValueError
        return candidates

    gateway = gateway_of(rank=fails_once, clock=clock)
    with caplog.at_level(logging.ERROR):
        assert gateway.decide(asking("smart")) is None
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    clock.now_s += TRIP_S - 0.001
    assert gateway.decide(asking("smart")) is None
    assert calls == 1
    assert names_of(gateway, planned(gateway, "a/x")) == ["a/*"], "other names go on"
    clock.now_s += 0.001
    assert names_of(gateway, planned(gateway, "smart")) == ["a/one", "b/two"]


def test_a_policy_that_trips_one_model_goes_on_serving_the_others() -> None:
    def fails_for_smart(facts: Facts, candidates: Sequence[Candidate], _dice: Dice) -> Sequence[Candidate]:
        if facts.model == "smart":
            raise ValueError
        return candidates

    gateway = gateway_of({**TWO, "other": Model(targets=("b/two", "a/one"))}, fails_for_smart)
    assert gateway.decide(asking("smart")) is None
    assert names_of(gateway, planned(gateway, "other")) == ["b/two", "a/one"]


class Watch:
    """Stands for the engine's watchdog."""

    def __init__(self, overdue: bool) -> None:
        self._overdue = overdue

    def overdue(self) -> bool:
        return self._overdue


@pytest.fixture
def number() -> Any:
    before = signal.getsignal(signal.SIGUSR2)
    yield signal.SIGUSR2
    signal.signal(signal.SIGUSR2, before)


def test_a_policy_that_hangs_is_ended_by_the_watchdog_and_tripped(
    number: signal.Signals, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()

    def hangs(*_: Any) -> Sequence[Candidate]:
        # What the watchdog's thread does, without its thread and without its wait.
        signal.raise_signal(number)
        raise AssertionError("the signal did not end the decision")

    gateway = gateway_of(rank=hangs, clock=clock)
    install_watchdog(Watch(overdue=True), number)
    with caplog.at_level(logging.ERROR):
        assert gateway.decide(asking("smart")) is None
    assert "PolicyTimeout" in caplog.text
    assert gateway.decide(asking("smart")) is None, "it rests"
    assert in_flight(gateway) == [0] * len(gateway.health)


def test_a_signal_that_comes_when_the_decision_is_over_harms_nobody(number: signal.Signals) -> None:
    install_watchdog(Watch(overdue=False), number)
    signal.raise_signal(number)
    gateway = gateway_of()
    assert names_of(gateway, planned(gateway, "smart")) == ["a/one", "b/two"]


def test_a_policy_sees_what_runs_without_having_been_asked_for() -> None:
    seen: list[list[int]] = []

    def watching(facts: Facts, candidates: Sequence[Candidate], dice: Dice) -> Sequence[Candidate]:
        seen.append([candidate.in_flight for candidate in candidates])
        return candidates

    gateway = gateway_of(rank=watching)
    first, second = planned(gateway, "smart").targets
    gateway.count_unasked({first: 0, second: 5}.__getitem__)
    planned(gateway, "smart")
    assert seen == [[0, 0], [1, 5]]
