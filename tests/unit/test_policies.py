"""Law 9: a policy returns given candidates, each once; the same inputs and dice give the same order.

The properties run over every policy of the registry, so a new one is held to them by being registered.
"""

from collections import Counter
from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastroute.config.schema import POLICIES
from fastroute.facts import Candidate, Facts
from fastroute.policies import REGISTRY, Rank

FACTS = Facts("smart", "openai_chat", "edge", True, 100, 20, 1, 0, 0, None)

DRAWS = 20_000
"""Enough for a share of one in twenty to be within a hundredth of itself: five standard deviations are 0.8 %."""


class Fixed:
    """Dice that always fall the same way."""

    def __init__(self, *values: float) -> None:
        self._values = values
        self._at = 0

    def random(self) -> float:
        value = self._values[self._at % len(self._values)]
        self._at += 1
        return value


def candidate(index: int, **facts: object) -> Candidate:
    known = {"weight": 1, "ttft_ms": 100.0, "in_flight": 0, "failures": 0, "available": True, **facts}
    return Candidate(index=index, name=f"p{index}/m", **known)  # type: ignore[arg-type]


def order(ranked: Sequence[Candidate]) -> list[int]:
    return [each.index for each in ranked]


def candidates_of(count: int) -> st.SearchStrategy[list[Candidate]]:
    one = st.builds(
        Candidate,
        index=st.just(0),
        name=st.just("p/m"),
        weight=st.integers(0, 1_000_000),
        ttft_ms=st.floats(0, 1e6),
        in_flight=st.integers(0, 12_000),
        failures=st.integers(0, 20),
        available=st.booleans(),
    )
    return st.lists(one, min_size=count, max_size=count).map(_numbered)


def _numbered(given_: list[Candidate]) -> list[Candidate]:
    # Indexes are places in a table, so a route's are neither dense nor in order.
    return [
        Candidate(97 - 3 * at, f"p{at}/m", each.weight, each.ttft_ms, each.in_flight, each.failures, each.available)
        for at, each in enumerate(given_)
    ]


CANDIDATES = st.integers(2, 6).flatmap(candidates_of)
SEEDS = st.integers(0, 2**32)
every_policy = pytest.mark.parametrize("rank", REGISTRY.values(), ids=REGISTRY)


def test_the_names_a_configuration_may_use_are_the_policies_there_are() -> None:
    assert tuple(REGISTRY) == POLICIES


@every_policy
@given(given_=CANDIDATES, seed=SEEDS)
def test_every_candidate_comes_back_once_and_nobody_else(rank: Rank, given_: list[Candidate], seed: int) -> None:
    ranked = rank(FACTS, given_, Random(seed))
    assert sorted(order(ranked)) == sorted(order(given_))
    assert {id(each) for each in ranked} == {id(each) for each in given_}


@every_policy
@given(given_=CANDIDATES, seed=SEEDS)
def test_the_same_inputs_and_dice_give_the_same_order(rank: Rank, given_: list[Candidate], seed: int) -> None:
    assert order(rank(FACTS, given_, Random(seed))) == order(rank(FACTS, list(given_), Random(seed)))


@every_policy
@given(given_=CANDIDATES, seed=SEEDS)
def test_what_was_given_is_left_as_it_was(rank: Rank, given_: list[Candidate], seed: int) -> None:
    before = list(given_)
    rank(FACTS, given_, Random(seed))
    assert given_ == before


@every_policy
@pytest.mark.parametrize("roll", [0.0, 0.5, 1 - 2**-53])
def test_the_ends_of_the_dice_are_no_special_case(rank: Rank, roll: float) -> None:
    given_ = [candidate(index, weight=index, ttft_ms=100.0 * index) for index in range(5)]
    assert sorted(order(rank(FACTS, given_, Fixed(roll)))) == [0, 1, 2, 3, 4]


def test_ordered_keeps_the_order_of_the_configuration() -> None:
    given_ = [candidate(4, ttft_ms=900.0), candidate(1, ttft_ms=1.0), candidate(2)]
    assert order(REGISTRY["ordered"](FACTS, given_, Random(1))) == [4, 1, 2]


def _leads(rank: Rank, given_: Sequence[Candidate]) -> Counter[int]:
    dice = Random(11)
    return Counter(rank(FACTS, given_, dice)[0].index for _ in range(DRAWS))


@pytest.mark.parametrize("weights", [(95, 5), (1, 1), (1, 2, 3, 4), (1_000_000, 1_000_000)])
def test_weighted_targets_lead_in_proportion(weights: tuple[int, ...]) -> None:
    given_ = [candidate(index, weight=weight) for index, weight in enumerate(weights)]
    leads = _leads(REGISTRY["weighted"], given_)
    for index, weight in enumerate(weights):
        assert leads[index] / DRAWS == pytest.approx(weight / sum(weights), abs=0.02)


def test_a_target_of_weight_0_never_leads_and_is_the_last_resort() -> None:
    given_ = [candidate(0, weight=0), candidate(1, weight=3), candidate(2, weight=0), candidate(3, weight=1)]
    assert set(_leads(REGISTRY["weighted"], given_)) == {1, 3}
    assert order(REGISTRY["weighted"](FACTS, given_, Fixed(0.99))) == [3, 1, 0, 2]
    assert order(REGISTRY["weighted"](FACTS, given_, Fixed(0.0)))[0] == 1


def test_those_that_do_not_lead_follow_by_weight() -> None:
    given_ = [candidate(0, weight=1), candidate(1, weight=9), candidate(2, weight=5)]
    assert order(REGISTRY["weighted"](FACTS, given_, Fixed(0.0))) == [0, 1, 2]


def test_fastest_prefers_the_target_that_is_expected_to_begin_sooner() -> None:
    given_ = [candidate(0, ttft_ms=800.0), candidate(1, ttft_ms=50.0)]
    assert set(_leads(REGISTRY["fastest"], given_)) == {1}


def test_fastest_sees_that_a_busy_target_is_slower_than_its_average_says() -> None:
    given_ = [candidate(0, ttft_ms=50.0, in_flight=9), candidate(1, ttft_ms=200.0, in_flight=0)]
    assert set(_leads(REGISTRY["fastest"], given_)) == {1}


def test_fastest_draws_two_so_that_the_best_takes_most_and_the_worst_nothing() -> None:
    given_ = [candidate(index, ttft_ms=100.0 * (index + 1)) for index in range(4)]
    leads = _leads(REGISTRY["fastest"], given_)
    # Of the six pairs of four, three hold the best, two more the second, one more the third.
    assert [round(leads[index] / DRAWS, 1) for index in range(4)] == [0.5, 0.3, 0.2, 0.0]


def test_fastest_lets_no_resting_target_lead_while_another_is_there() -> None:
    given_ = [candidate(0, ttft_ms=1.0, available=False), candidate(1), candidate(2, ttft_ms=500.0)]
    assert set(_leads(REGISTRY["fastest"], given_)) == {1}
