"""How targets, keys and providers are doing: what each kind of failure puts out of service, and how it comes back."""

import math
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastroute.catalogue import find_providers
from fastroute.config.schema import Config, Model, Provider
from fastroute.facts import Attempt
from fastroute.health import Health, News, carry_over, render_health
from fastroute.health.account import QUOTA_PROBE_S, QUOTA_S, RETEST_S
from fastroute.health.blame import KINDS, Blame
from fastroute.health.breaker import REST_CAP_S, REST_S, RUN
from fastroute.health.expectation import DECAY_S, FADED, PENALTY_CAP_MS, PENALTY_MS, SEED_MS, Expectation
from fastroute.health.rest import ABSENT, BARRED, FIRST_SHARE, FIT, PROBE_S, SLOW_START_S, STANDBY, THINNED
from fastroute.health.standing import LIMIT_CAP_S, LIMIT_S, LIMIT_TOP_S, NO_MODEL_S
from fastroute.health.window import BUCKET_S, BUCKETS, ENOUGH, Window
from fastroute.secret import Secret
from fastroute.table import Table, compile_table

NOTHING = find_providers({})
START_S = 1_000.0


class Dice:
    """Dice that always fall the same way."""

    def __init__(self, roll: float = 0.5) -> None:
        self.roll = roll

    def random(self) -> float:
        return self.roll


def provider(*keys: str, host: str = "a") -> Provider:
    return Provider(dialect="openai_chat", address=f"http://{host}.test/v1", keys=tuple(map(Secret, keys)))


def table_of(generation: int = 1, **providers: Provider) -> Table:
    """Each provider with the models `one` and `two`."""
    models = {f"{name}-{model}": Model(targets=(f"{name}/{model}",)) for name in providers for model in ("one", "two")}
    return compile_table(Config(providers=providers, models=models), NOTHING, generation)


class Bench:
    """A health and its clock. What is told was sent a millisecond before it is told, unless said otherwise."""

    def __init__(self, *keys: str, roll: float = 0.5) -> None:
        self.table = table_of(a=provider(*(keys or ("sk-1",))), b=provider("sk-9", host="b"))
        self.health = Health(self.table)
        self.now_s = START_S
        self.dice = Dice(roll)
        self.news: list[News] = []

    def place(self, model: str | None = "one", key: int = 0, name: str = "a") -> int:
        there = [target.index for target in self.table.targets if (target.provider.name, target.model) == (name, model)]
        return there[key]

    def tell(
        self, at: int, failure: str | None = None, *, sent_s: float | None = None, wait_s: float | None = None
    ) -> None:
        content_us = None if failure else 300_000
        wait_ms = None if wait_s is None else round(wait_s * 1000)
        attempt = Attempt(at, 0, content_us, 300_000, failure, failure is not None, wait_ms)
        sent = self.now_s - 0.001 if sent_s is None else sent_s
        self.health[at].breaker.window.sent(sent)
        news = self.health.observe(attempt, sent, self.now_s, self.dice)
        if news is not None:
            self.news.append(news)

    def fail(self, at: int, times: int = RUN, failure: str = "overloaded") -> None:
        for _ in range(times):
            self.now_s += 0.01
            self.tell(at, failure)

    def tier(self, at: int) -> int:
        return self.health[at].tier(self.now_s, self.dice)

    def rest_s(self, at: int) -> float:
        return self.health[at].breaker.rest.until_s - self.now_s

    def probed(self, at: int, failure: str | None = None, **more: float) -> None:
        """The probe goes and comes back."""
        assert self.tier(at) <= THINNED
        assert self.health[at].claim(self.now_s)
        self.now_s += 0.3
        self.tell(at, failure, sent_s=self.now_s - 0.3, **more)


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


# Limits


def test_a_limit_bars_this_model_with_this_key_and_nothing_else_for_as_long_as_it_says() -> None:
    bench = Bench("sk-1", "sk-2")
    limited = bench.place("one", key=0)
    bench.tell(limited, "rate_limited", wait_s=7)
    assert bench.tier(limited) == BARRED
    assert {bench.tier(bench.place("one", key=1)), bench.tier(bench.place("two", key=0))} == {FIT}
    bench.now_s += 6.99
    assert bench.tier(limited) == BARRED
    bench.now_s += 0.01
    assert bench.tier(limited) == FIT


def test_a_limit_that_does_not_say_how_long_is_doubled_each_time() -> None:
    bench = Bench()
    one = bench.place()
    bench.tell(one, "rate_limited")
    waits_s = [bench.health[one].wait_s(bench.now_s)]
    for _ in range(6):
        bench.now_s += waits_s[-1]
        bench.probed(one, "rate_limited")
        waits_s.append(bench.health[one].wait_s(bench.now_s))
    assert waits_s == pytest.approx([min(LIMIT_TOP_S, LIMIT_S * 2**times) for times in range(7)])


def test_no_limit_is_honoured_for_ever() -> None:
    bench = Bench()
    one = bench.place()
    bench.tell(one, "rate_limited", wait_s=86_400)
    assert bench.health[one].wait_s(bench.now_s) == LIMIT_CAP_S


def test_limits_of_requests_that_were_under_way_do_not_count_as_more_of_them() -> None:
    bench = Bench()
    one = bench.place()
    for _ in range(50):
        bench.tell(one, "rate_limited", sent_s=START_S - 0.2)
    assert bench.health[one].wait_s(bench.now_s) == LIMIT_S
    bench.tell(one, "rate_limited", sent_s=START_S - 0.2, wait_s=9)
    assert bench.health[one].wait_s(bench.now_s) == 9, "one of them knew better"


def test_limits_are_no_failures_in_a_row_but_part_of_the_share() -> None:
    bench = Bench()
    one = bench.place()
    for _ in range(ENOUGH):
        bench.tell(one, "rate_limited", wait_s=0.001)
        if _ == RUN:
            assert not bench.health[one].breaker.rest.open
        bench.now_s += 0.01
    assert bench.health[one].breaker.rest.open


def test_a_limit_fails_a_probe() -> None:
    bench = Bench()
    one = bench.place()
    bench.fail(one)
    first_s = bench.rest_s(one)
    bench.now_s += first_s
    bench.probed(one, "rate_limited", wait_s=1)
    assert bench.rest_s(one) == pytest.approx(2 * first_s)


def test_a_limit_for_one_model_does_not_bar_a_provider_for_whatever_else_is_asked() -> None:
    bench = Bench()
    anything = bench.place(None)
    bench.tell(anything, "rate_limited", wait_s=7)
    assert bench.tier(anything) == STANDBY


# Keys


def test_a_refused_key_is_out_for_all_its_models_and_others_are_not() -> None:
    bench = Bench("sk-1", "sk-2")
    bench.tell(bench.place("one", key=0), "auth")
    assert [bench.tier(bench.place(model, key=0)) for model in ("one", "two", None)] == [BARRED] * 3
    assert [bench.tier(bench.place(model, key=1)) for model in ("one", "two", None)] == [FIT] * 3
    assert bench.tier(bench.place(name="b")) == FIT
    (news,) = bench.news
    assert news.alarm
    assert "a: its key keys[0]" in news.text
    assert "sk-" not in news.text


def test_a_refused_key_is_tried_again_after_a_minute_ten_minutes_and_every_hour() -> None:
    bench = Bench()
    one = bench.place()
    bench.tell(one, "auth")
    waits_s = [bench.health[one].wait_s(bench.now_s)]
    for _ in range(4):
        bench.now_s += waits_s[-1]
        bench.probed(one, "auth")
        waits_s.append(bench.health[one].wait_s(bench.now_s))
    assert waits_s == pytest.approx([*RETEST_S, RETEST_S[-1], RETEST_S[-1]])


def test_requests_that_were_under_way_when_a_key_was_refused_say_nothing_new() -> None:
    bench = Bench()
    for _ in range(30):
        bench.tell(bench.place(), "auth", sent_s=START_S - 0.2)
    assert bench.health[bench.place()].wait_s(bench.now_s) == RETEST_S[0]
    assert len(bench.news) == 1, "one alarm"


def test_a_key_that_is_good_again_is_good_for_all_its_models() -> None:
    bench = Bench(roll=0.0)
    bench.tell(bench.place("one"), "auth")
    bench.now_s += RETEST_S[0]
    bench.probed(bench.place("two"))
    assert [bench.tier(bench.place(model)) for model in ("one", "two", None)] == [FIT] * 3


def test_only_one_request_tries_a_key_whatever_models_are_asked_for() -> None:
    bench = Bench()
    bench.tell(bench.place("one"), "auth")
    bench.now_s += RETEST_S[0]
    bench.health[bench.place("one")].claim(bench.now_s)
    assert bench.tier(bench.place("two")) == BARRED


@pytest.mark.parametrize("stated_s, rests_s", [(None, QUOTA_S), (40, 40), (7_200, 7_200)])
def test_a_used_up_account_is_out_until_it_says_or_for_an_hour(stated_s: float | None, rests_s: float) -> None:
    bench = Bench()
    bench.tell(bench.place(), "quota", wait_s=stated_s)
    assert bench.health[bench.place("two")].wait_s(bench.now_s) == rests_s
    assert bench.news[0].alarm


def test_a_used_up_account_is_tried_once_in_a_quarter_of_an_hour_at_most() -> None:
    bench = Bench()
    one = bench.place()
    bench.tell(one, "quota", wait_s=1)
    for _ in range(3):
        bench.now_s += bench.health[one].wait_s(bench.now_s)
        bench.probed(one, "quota", wait_s=1)
        assert bench.health[one].wait_s(bench.now_s) == QUOTA_PROBE_S


def test_without_a_key_there_is_none_to_put_out() -> None:
    table = table_of(a=Provider(dialect="openai_chat", address="http://a.test/v1"))
    health = Health(table)
    one, two = (next(each.index for each in table.targets if each.model == model) for model in ("one", "two"))
    health.observe(Attempt(one, 0, None, 1_000, "auth", True, None), START_S, START_S, Dice())
    assert (health[one].tier(START_S, Dice()), health[two].tier(START_S, Dice())) == (ABSENT, FIT)


# Models and permissions


@pytest.mark.parametrize("failure, rests_s", [("not_found", NO_MODEL_S), ("forbidden", RETEST_S[0])])
def test_a_model_that_is_not_there_or_not_allowed_is_left_out_with_an_alarm(failure: str, rests_s: float) -> None:
    bench = Bench()
    one = bench.place("one")
    bench.tell(one, failure)
    assert (bench.tier(one), bench.tier(bench.place("two"))) == (ABSENT, FIT)
    assert bench.news[0].alarm
    bench.now_s += rests_s - 0.01
    assert bench.tier(one) == ABSENT
    bench.now_s += 0.01
    assert bench.tier(one) == FIT


@pytest.mark.parametrize("failure", ["not_found", "forbidden"])
def test_a_client_that_asks_for_nonsense_takes_no_provider_from_the_others(failure: str) -> None:
    bench = Bench()
    anything = bench.place(None)
    bench.tell(anything, failure)
    assert bench.tier(anything) == FIT
    assert bench.news == []


# The way to a provider


def test_a_provider_that_cannot_be_reached_stands_by_with_all_its_models() -> None:
    bench = Bench("sk-1", "sk-2")
    for at in range(RUN):
        bench.fail(bench.place(("one", "two")[at % 2], key=at % 2), 1, "refused")
    assert {bench.tier(bench.place(model, key=key)) for model in ("one", "two", None) for key in (0, 1)} == {STANDBY}
    assert bench.tier(bench.place(name="b")) == FIT


@pytest.mark.parametrize("answer", [None, "overloaded", "rate_limited", "auth"])
def test_any_answer_shows_that_a_provider_can_be_reached(answer: str | None) -> None:
    bench = Bench()
    for _ in range(3):
        bench.fail(bench.place("one"), RUN - 1, "connect_timeout")
        bench.now_s += 0.01
        bench.tell(bench.place("two"), answer)
    assert not bench.health[bench.place("two")].way.rest.open


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


def test_a_window_forgets_one_bucket_at_a_time() -> None:
    window = Window()
    for _ in range(ENOUGH):
        window.sent(0.0)
        window.failed(0.0)
    assert window.mostly_failed(BUCKETS * BUCKET_S - 0.001)
    assert not window.mostly_failed(BUCKETS * BUCKET_S)


def test_news_of_long_ago_does_not_count_as_now() -> None:
    window = Window()
    window.sent(BUCKETS * BUCKET_S)
    for _ in range(ENOUGH):
        window.sent(0.0)
        window.failed(0.0)
    assert not window.mostly_failed(BUCKETS * BUCKET_S)
