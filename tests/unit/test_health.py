"""How a target is doing: what an attempt changes, and what no sequence of attempts can do."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastroute.facts import Attempt
from fastroute.health import DECAY_S, PENALTY_MS, REST_CAP_S, REST_S, RESTS_AFTER, SEED_MS, Health


def answered(after_ms: float) -> Attempt:
    return Attempt(0, 0, round(after_ms * 1_000), round(after_ms * 1_000), None, False, None)


def failed(*, blamed: bool = True, retry_after_ms: int | None = None) -> Attempt:
    return Attempt(0, 0, None, 1_000, "upstream_error", blamed, retry_after_ms)


def failing(times: int, now_s: float) -> Health:
    health = Health()
    for _ in range(times):
        health.observe(failed(), now_s)
    return health


def test_a_target_nobody_tried_is_expected_to_be_middling_and_available() -> None:
    health = Health()
    assert (health.ttft_ms, health.in_flight, health.failures) == (SEED_MS, 0, 0)
    assert health.available(0.0)


def test_the_first_observation_replaces_the_guess() -> None:
    health = Health()
    health.observe(answered(20), 100.0)
    assert health.ttft_ms == 20


def test_a_peak_is_taken_over_at_once() -> None:
    health = Health()
    health.observe(answered(20), 100.0)
    health.observe(answered(900), 100.1)
    assert health.ttft_ms == 900


def test_a_peak_is_forgotten_with_the_time_that_passes() -> None:
    health = Health()
    health.observe(answered(900), 100.0)
    health.observe(answered(100), 100.0 + DECAY_S)
    keep = math.exp(-1)
    assert health.ttft_ms == pytest.approx(900 * keep + 100 * (1 - keep))


def test_a_burst_at_one_instant_moves_the_average_too() -> None:
    health = Health()
    health.observe(answered(1_000), 100.0)
    health.observe(answered(0), 100.0)
    assert health.ttft_ms == pytest.approx(900)


def test_a_failure_counts_as_a_slow_answer_so_that_failing_fast_draws_no_traffic() -> None:
    health = Health()
    health.observe(answered(5), 100.0)
    health.observe(failed(), 100.1)
    assert health.ttft_ms == PENALTY_MS


def test_a_target_that_asks_for_a_longer_wait_counts_as_that_slow() -> None:
    health = Health()
    health.observe(failed(retry_after_ms=60_000), 100.0)
    assert health.ttft_ms == 60_000
    health = Health()
    health.observe(failed(retry_after_ms=10), 100.0)
    assert health.ttft_ms == PENALTY_MS


def test_a_failure_that_is_not_the_targets_changes_nothing() -> None:
    health = failing(1, 100.0)
    before = (health.ttft_ms, health.failures)
    health.observe(failed(blamed=False), 101.0)
    assert (health.ttft_ms, health.failures) == before


def test_a_target_rests_after_too_many_failures_in_a_row() -> None:
    assert failing(RESTS_AFTER - 1, 100.0).available(100.0)
    health = failing(RESTS_AFTER, 100.0)
    assert not health.available(100.0)
    assert not health.available(100.0 + REST_S - 0.001)
    assert health.available(100.0 + REST_S)


def test_each_failed_probe_doubles_the_rest_up_to_its_cap() -> None:
    rests: list[float] = []
    for extra in range(8):
        health = failing(RESTS_AFTER + extra, 100.0)
        rests.append(health.rests_until_s - 100.0)
    assert rests[:2] == [REST_S, 2 * REST_S]
    assert all(earlier <= later for earlier, later in pairwise(rests))
    assert rests[-1] == REST_CAP_S


def test_one_success_ends_the_rest_and_the_count() -> None:
    health = failing(RESTS_AFTER, 100.0)
    health.observe(answered(10), 100.5)
    assert health.failures == 0
    assert health.available(100.5)
    health.observe(failed(), 101.0)
    assert health.available(101.0), "counting starts anew"


def test_a_success_without_content_is_a_success_that_says_nothing_about_time() -> None:
    health = failing(RESTS_AFTER, 100.0)
    before = health.ttft_ms
    health.observe(Attempt(0, 0, None, 10, None, False, None), 101.0)
    assert (health.ttft_ms, health.failures) == (before, 0)


ATTEMPTS = st.builds(
    Attempt,
    target=st.just(0),
    started_us=st.integers(0, 10**9),
    first_content_us=st.none() | st.integers(0, 10**10),
    took_us=st.integers(0, 10**10),
    failure=st.none() | st.just("upstream_error"),
    blamed=st.booleans(),
    retry_after_ms=st.none() | st.integers(0, 10**9),
)
STEPS = st.lists(st.tuples(ATTEMPTS, st.floats(0, 3_600)), max_size=40)


@given(STEPS)
def test_no_sequence_of_attempts_makes_a_time_negative_infinite_or_unknown(steps: list[tuple[Attempt, float]]) -> None:
    health, now_s = Health(), 0.0
    for attempt, passed_s in steps:
        now_s += passed_s
        health.observe(attempt, now_s)
        assert math.isfinite(health.ttft_ms)
        assert health.ttft_ms >= 0
        assert health.failures >= 0


@given(STEPS)
def test_a_target_never_rests_longer_than_the_cap_nor_for_less_than_too_many_failures(
    steps: list[tuple[Attempt, float]],
) -> None:
    health, now_s = Health(), 0.0
    for attempt, passed_s in steps:
        now_s += passed_s
        health.observe(attempt, now_s)
        assert health.available(now_s + REST_CAP_S)
        assert health.available(now_s) or health.failures >= RESTS_AFTER


@given(st.lists(st.tuples(st.integers(0, 10**7), st.floats(0, 60)), min_size=1, max_size=40))
def test_the_average_stays_between_what_was_seen(seen: list[tuple[int, float]]) -> None:
    health, now_s = Health(), 0.0
    for content_us, passed_s in seen:
        now_s += passed_s
        health.observe(answered(content_us / 1_000), now_s)
    times_ms = [content_us / 1_000 for content_us, _ in seen]
    assert min(times_ms) - 1e-6 <= health.ttft_ms <= max(times_ms) + 1e-6


@given(STEPS)
def test_a_clock_that_went_back_does_no_harm(steps: list[tuple[Attempt, float]]) -> None:
    health = Health()
    for attempt, now_s in steps:
        health.observe(attempt, now_s)
        assert math.isfinite(health.ttft_ms)
        assert health.ttft_ms >= 0
