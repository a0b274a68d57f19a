"""How targets, keys and providers are doing: what each kind of failure puts out of service, and how it comes back."""

import math
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastroute.config.schema import Config, Model, Provider
from fastroute.facts import Attempt
from fastroute.health import Health, carry_over, render_health
from fastroute.health.account import QUOTA_S, RETEST_S
from fastroute.health.blame import KINDS, Blame
from fastroute.health.breaker import REST_CAP_S, REST_S, RUN
from fastroute.health.expectation import DECAY_S, FADED, PENALTY_CAP_MS, PENALTY_MS, SEED_MS, Expectation
from fastroute.health.rest import ABSENT, BARRED, FIRST_SHARE, FIT, PROBE_S, SLOW_START_S, STANDBY, THINNED
from fastroute.health.standing import LIMIT_CAP_S, NO_MODEL_S
from fastroute.health.window import BUCKET_S, BUCKETS, ENOUGH
from fastroute.table import compile_table
from unit.healths import NOTHING, START_S, Bench, Dice, provider, table_of


def test_what_nobody_tried_is_in_service_and_expected_to_be_middling() -> None:
    bench = Bench()
    assert bench.health.troubled == set()
    for standing in bench.health:
        assert (standing.in_flight, standing.failures, standing.tier(START_S, Dice())) == (0, 0, FIT)
        assert standing.expectation.ttft_ms(START_S) == SEED_MS


# Too many failures


def test_five_failures_in_a_row_stand_a_target_by_and_no_other() -> None:
    bench = Bench()
    one, two = bench.place("one"), bench.place("two")
    bench.fail(one, RUN - 1)
    assert bench.tier(one) == FIT
    bench.fail(one, 1)
    assert (bench.tier(one), bench.tier(two)) == (STANDBY, FIT)
    assert bench.health.troubled == {one}
    assert [news.alarm for news in bench.news] == [False]


def test_a_success_between_begins_the_count_anew() -> None:
    bench = Bench()
    one = bench.place()
    for _ in range(3):
        bench.fail(one, RUN - 1)
        bench.now_s += 0.01
        bench.tell(one)
    assert bench.tier(one) == FIT


def test_a_success_that_was_sent_before_the_failures_does_not_stand_between_them() -> None:
    bench = Bench()
    one = bench.place()
    for _ in range(RUN):
        bench.fail(one, 1)
        bench.tell(one, sent_s=START_S - 60)
    assert bench.tier(one) == STANDBY


def test_half_of_twenty_failures_stand_a_target_by_though_they_are_never_in_a_row() -> None:
    bench = Bench()
    one = bench.place()
    for _ in range(ENOUGH // 2 - 1):
        bench.fail(one, 1)
        bench.now_s += 0.01
        bench.tell(one)
    bench.now_s += 0.01
    bench.tell(one)
    assert bench.tier(one) == FIT, "nineteen samples are not enough"
    bench.fail(one, 1)
    assert bench.tier(one) == STANDBY


def test_requests_that_are_still_answered_count_as_well_as_those_that_are_over() -> None:
    bench = Bench()
    one = bench.place()
    for _ in range(100):
        bench.health[one].breaker.window.sent(bench.now_s)
    for _ in range(ENOUGH):
        bench.fail(one, 1)
        bench.now_s += 0.01
        bench.tell(one)
    assert bench.tier(one) == FIT


def test_failures_of_half_a_minute_ago_are_forgotten() -> None:
    bench = Bench()
    one = bench.place()
    for _ in range(9):
        bench.fail(one, 1)
        bench.tell(one)
    bench.now_s += BUCKETS * BUCKET_S
    for _ in range(4):
        bench.fail(one, 1)
        bench.now_s += 0.01
        bench.tell(one)
    assert bench.tier(one) == FIT


@pytest.mark.parametrize("roll", [0.0, 0.5, 0.999])
def test_each_failed_probe_doubles_the_rest_give_or_take_half_up_to_its_cap(roll: float) -> None:
    bench = Bench(roll=roll)
    one = bench.place()
    bench.fail(one)
    for times in range(6):
        usual_s = min(REST_CAP_S, REST_S * 2**times)
        assert usual_s / 2 <= bench.rest_s(one) <= min(REST_CAP_S, usual_s * 1.5)
        bench.now_s += bench.rest_s(one)
        bench.probed(one, "upstream_error")


def test_one_request_at_a_time_probes() -> None:
    bench = Bench()
    one = bench.place()
    bench.fail(one)
    bench.now_s += bench.rest_s(one)
    standing = bench.health[one]
    assert bench.tier(one) == FIT
    assert standing.claim(bench.now_s)
    assert bench.tier(one) == STANDBY, "the others wait for its answer"
    standing.release(bench.now_s + 0.1)
    assert bench.tier(one) == FIT, "it ended without saying anything"


def test_a_probe_that_is_never_heard_of_again_keeps_nobody_away_for_long() -> None:
    bench = Bench()
    one = bench.place()
    bench.fail(one)
    bench.now_s += bench.rest_s(one)
    bench.health[one].claim(bench.now_s)
    bench.now_s += PROBE_S - 0.01
    assert bench.tier(one) == STANDBY
    bench.now_s += 0.01
    assert bench.tier(one) == FIT


def test_what_was_sent_before_a_probe_does_not_speak_for_it() -> None:
    bench = Bench()
    one = bench.place()
    bench.fail(one)
    before_s = bench.now_s - 1
    bench.now_s += bench.rest_s(one)
    bench.health[one].claim(bench.now_s)
    bench.now_s += 1
    for failure in (None, "reset"):
        bench.tell(one, failure, sent_s=before_s)
        bench.health[one].release(before_s)
        assert bench.tier(one) == STANDBY


def test_after_a_good_probe_a_target_takes_its_share_back_slowly() -> None:
    bench = Bench()
    one = bench.place()
    bench.fail(one)
    bench.now_s += bench.rest_s(one)
    bench.probed(one)
    back_s = bench.now_s
    for passed, share in ((0.0, FIRST_SHARE), (0.5, 0.55), (0.999, 0.999)):
        bench.now_s = back_s + passed * SLOW_START_S
        bench.dice.roll = share - 0.01
        assert bench.tier(one) == FIT
        bench.dice.roll = share + 0.01
        assert bench.tier(one) == THINNED
    bench.now_s = back_s + SLOW_START_S
    assert bench.tier(one) == FIT
    assert bench.health.troubled == set()


def test_a_rest_soon_after_another_is_longer_and_one_long_after_is_not() -> None:
    bench = Bench()
    one = bench.place()
    bench.fail(one)
    first_s = bench.rest_s(one)
    for passed_s, times in ((SLOW_START_S - 1, 2), (SLOW_START_S, 1)):
        bench.now_s += bench.rest_s(one)
        bench.probed(one)
        bench.now_s += passed_s
        bench.fail(one)
        assert bench.rest_s(one) == pytest.approx(first_s * times)


def test_a_live_request_that_does_well_at_the_last_resort_ends_its_rest() -> None:
    bench = Bench()
    one = bench.place()
    bench.fail(one)
    bench.now_s += 1
    bench.tell(one)
    bench.dice.roll = 0.0
    assert bench.tier(one) == FIT


# Blame


def test_every_kind_of_failure_is_held_against_somebody_or_nobody() -> None:
    source = Path(__file__).parents[2] / "rust" / "core" / "src" / "failure" / "kind.rs"
    names = re.findall(r'Self::\w+ => "(\w+)"', source.read_text(encoding="utf-8"))
    assert len(names) > 30
    assert set(KINDS) == set(names)


@pytest.mark.parametrize("failure", [name for name, blame in KINDS.items() if blame is Blame.NOBODY])
def test_what_is_nobodys_fault_changes_nothing(failure: str) -> None:
    bench = Bench()
    one = bench.place()
    bench.fail(one, 3 * ENOUGH, failure)
    assert (bench.tier(one), bench.health[one].failures, bench.health.troubled) == (FIT, 0, set())


def test_a_failure_that_is_not_blamed_on_the_target_is_nobodys_whatever_it_is_called() -> None:
    bench = Bench()
    attempt = Attempt(bench.place(), 0, None, 1_000, "overloaded", False, None)
    for _ in range(3 * RUN):
        bench.health.observe(attempt, START_S, START_S, Dice())
    assert bench.tier(bench.place()) == FIT


@pytest.mark.parametrize("took_s, tier", [(5, FIT), (60, STANDBY)])
def test_a_deadline_that_a_client_made_short_is_not_the_targets_fault(took_s: int, tier: int) -> None:
    bench = Bench()
    attempt = Attempt(bench.place(), 0, None, took_s * 1_000_000, "total_timeout", True, None)
    for _ in range(RUN):
        bench.health.observe(attempt, START_S, START_S, Dice())
    assert bench.tier(bench.place()) == tier


# Another table


def test_what_stays_the_same_in_another_table_goes_on_as_it_was() -> None:
    bench = Bench("sk-1", "sk-2")
    bench.fail(bench.place("one", key=1))
    bench.tell(bench.place("two", key=0), "auth")
    bench.tell(bench.place(name="b"), "rate_limited", wait_s=60)
    bench.health[bench.place("one", key=1)].in_flight = 3
    # The keys have changed places, a provider is gone, another is new, and everything has another number.
    table = table_of(2, new=provider("sk-5", host="new"), a=provider("sk-2", "sk-1"))
    health = carry_over(bench.health, table)

    def tier(name: str, model: str, key: int) -> int:
        there = [each.index for each in table.targets if (each.provider.name, each.model) == (name, model)]
        return health[there[key]].tier(bench.now_s, Dice())

    assert [tier("a", "one", 0), tier("a", "two", 0)] == [STANDBY, FIT]
    assert [tier("a", "one", 1), tier("a", "two", 1)] == [BARRED, BARRED]
    assert tier("new", "one", 0) == FIT
    assert {standing.in_flight for standing in health} == {0}


@pytest.mark.parametrize("changed", [provider("sk-2"), provider("sk-1", host="elsewhere")], ids=["key", "address"])
def test_what_is_another_key_or_another_place_begins_anew(changed: Provider) -> None:
    bench = Bench("sk-1")
    bench.fail(bench.place())
    bench.tell(bench.place(), "auth")
    health = carry_over(bench.health, table_of(2, a=changed))
    assert {standing.tier(bench.now_s, Dice()) for standing in health} == {FIT}


def test_what_exchanges_of_the_table_before_still_tell_counts() -> None:
    bench = Bench()
    health = carry_over(bench.health, bench.table)
    bench.fail(bench.place())
    health.look_again()
    assert health[bench.place()].tier(bench.now_s, Dice()) == STANDBY
    assert health.troubled == {bench.place()}


# What is shown


def test_metrics_count_all_targets_and_name_those_that_are_not_in_full_service() -> None:
    bench = Bench("sk-canary-1", "sk-canary-2")
    assert "fastroute_target_out" not in render_health(bench.health, bench.now_s)
    bench.tell(bench.place("one", key=1), "rate_limited", wait_s=7)
    bench.fail(bench.place("two", key=0))
    text = render_health(bench.health, bench.now_s)
    assert f'fastroute_targets{{state="in_service"}} {len(bench.health) - 2}' in text
    assert 'fastroute_target_out{target="a/one (keys[1])",state="barred"} 1' in text
    assert 'fastroute_target_out{target="a/two (keys[0])",state="standing_by"} 1' in text
    assert "canary" not in text
    bench.now_s += bench.rest_s(bench.place("two", key=0))
    bench.probed(bench.place("two", key=0))
    assert 'target="a/two (keys[0])",state="slow_start"' in render_health(bench.health, bench.now_s)


def test_quotes_in_the_name_of_a_model_break_no_row() -> None:
    name = 'a"b\\c'
    config = Config(providers={"a": provider("sk-1")}, models={"m": Model(targets=(f"a/{name}",))})
    health = Health(compile_table(config, NOTHING, 1))
    health.observe(Attempt(1, 0, None, 0, "not_found", True, None), START_S, START_S, Dice())
    assert 'target="a/a\\"b\\\\c",' in render_health(health, START_S)


# Expected times


def test_the_first_observation_replaces_the_guess() -> None:
    expected = Expectation()
    expected.answered(20, 100.0)
    assert expected.ttft_ms(100.0) == 20


def test_a_peak_is_taken_over_at_once_and_forgotten_with_the_time_that_passes() -> None:
    expected = Expectation()
    expected.answered(900, 100.0)
    expected.answered(100, 100.0 + DECAY_S)
    keep = math.exp(-1)
    assert expected.ttft_ms(100.0 + DECAY_S) == pytest.approx(900 * keep + 100 * (1 - keep))


def test_a_burst_at_one_instant_moves_the_average_too() -> None:
    expected = Expectation()
    expected.answered(1_000, 100.0)
    expected.answered(0, 100.0)
    assert expected.ttft_ms(100.0) == pytest.approx(900)


def test_a_time_that_nobody_confirms_fades_but_not_to_nothing() -> None:
    expected = Expectation()
    expected.answered(900, 100.0)
    assert expected.ttft_ms(100.0 + DECAY_S) == pytest.approx(900 / math.e)
    assert expected.ttft_ms(100_000.0) == pytest.approx(900 * FADED)


@pytest.mark.parametrize(
    "asked_ms, counts_ms", [(None, PENALTY_MS), (60_000, 60_000), (10, PENALTY_MS), (10**9, PENALTY_CAP_MS)]
)
def test_a_failure_counts_as_a_slow_answer_so_that_failing_fast_draws_no_traffic(
    asked_ms: int | None, counts_ms: float
) -> None:
    expected = Expectation()
    expected.answered(5, 100.0)
    expected.failed(asked_ms, 100.0)
    assert expected.ttft_ms(100.0) == counts_ms
    expected.pardon()
    assert expected.ttft_ms(100.0) == 5, "a rest is penalty enough"


@given(st.lists(st.tuples(st.integers(0, 10**7), st.floats(0, 60)), min_size=1, max_size=40))
def test_the_average_stays_between_what_was_seen(seen: list[tuple[int, float]]) -> None:
    expected, now_s = Expectation(), 0.0
    for content_us, passed_s in seen:
        now_s += passed_s
        expected.answered(content_us / 1_000, now_s)
    times_ms = [content_us / 1_000 for content_us, _ in seen]
    assert min(times_ms) - 1e-6 <= expected.ttft_ms(now_s) <= max(times_ms) + 1e-6


# Any sequence


ATTEMPTS = st.builds(
    Attempt,
    target=st.just(1),
    started_us=st.integers(0, 10**9),
    first_content_us=st.none() | st.integers(0, 10**10),
    took_us=st.integers(0, 10**10),
    failure=st.none() | st.sampled_from(sorted(KINDS)) | st.just("a kind of a later engine"),
    blamed=st.booleans(),
    retry_after_ms=st.none() | st.integers(0, 10**9),
)
LONGEST_S = max(LIMIT_CAP_S, *RETEST_S, QUOTA_S, 10**6, REST_CAP_S, NO_MODEL_S)


@given(st.lists(st.tuples(ATTEMPTS, st.floats(-10, 3_600), st.floats(0, 600)), max_size=40), st.floats(0, 0.999))
@settings(deadline=None)
def test_no_sequence_of_attempts_even_with_a_clock_that_goes_back_leaves_a_target_out_for_ever(
    steps: list[tuple[Attempt, float, float]], roll: float
) -> None:
    health, now_s, dice = Health(table_of(a=provider("sk-1"))), 0.0, Dice(roll)
    for attempt, passed_s, ago_s in steps:
        now_s = max(0.0, now_s + passed_s)
        health.observe(attempt, now_s - ago_s, now_s, dice)
        for standing in health:
            expected_ms = standing.expectation.ttft_ms(now_s)
            assert math.isfinite(expected_ms)
            assert expected_ms >= 0
            assert standing.failures >= 0
            assert standing.tier(now_s, dice) in {FIT, THINNED, STANDBY, ABSENT, BARRED}
    assert all(standing.tier(now_s + LONGEST_S + SLOW_START_S, Dice(0.0)) == FIT for standing in health)
