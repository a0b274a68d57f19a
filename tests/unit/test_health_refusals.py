"""What a provider refuses: rate limits, keys, models, permissions, and the way to it; who rests then, and how long."""

import math

import pytest

from fastroute.config.schema import Provider
from fastroute.facts import Attempt
from fastroute.health import Health
from fastroute.health.account import QUOTA_PROBE_S, QUOTA_S, RETEST_S
from fastroute.health.breaker import RUN
from fastroute.health.rest import ABSENT, BARRED, FIT, STANDBY
from fastroute.health.standing import LIMIT_CAP_S, LIMIT_S, LIMIT_TOP_S, NO_MODEL_S
from fastroute.health.window import ENOUGH
from unit.healths import START_S, Bench, Dice, table_of

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


@pytest.mark.parametrize("stated_s, rests_s", [(None, QUOTA_S), (40, QUOTA_PROBE_S), (7_200, 7_200)])
def test_a_used_up_account_is_out_until_it_says_or_for_an_hour(stated_s: float | None, rests_s: float) -> None:
    bench = Bench()
    bench.tell(bench.place(), "quota", wait_s=stated_s)
    assert bench.health[bench.place("two")].wait_s(bench.now_s) == rests_s
    assert bench.news[0].alarm


def test_a_used_up_account_is_tried_once_in_a_quarter_of_an_hour_at_most() -> None:
    bench = Bench()
    one = bench.place()
    for _ in range(4):
        bench.tell(one, "quota", wait_s=1)
        assert bench.health[one].wait_s(bench.now_s) == pytest.approx(QUOTA_PROBE_S), "the first one was a try, too"
        bench.now_s += QUOTA_PROBE_S
        assert bench.health[one].claim(bench.now_s)
        bench.now_s += 0.3


@pytest.mark.parametrize("failure", [None, "upstream_error", "rate_limited", "client_gone"])
def test_a_try_of_a_used_up_account_that_came_to_nothing_was_one_all_the_same(failure: str | None) -> None:
    bench = Bench()
    one, two = bench.place("one"), bench.place("two")
    bench.tell(one, "quota")
    bench.now_s += QUOTA_S
    assert bench.health[one].claim(bench.now_s)
    sent_s = bench.now_s
    bench.now_s += 1
    if failure is not None:
        bench.tell(one, failure, sent_s=sent_s)
        bench.health[one].release(sent_s)
    assert bench.tier(two) == BARRED
    assert bench.health[two].wait_s(bench.now_s) == QUOTA_PROBE_S - 1
    bench.now_s += QUOTA_PROBE_S - 1.001
    assert bench.tier(two) == BARRED, "nothing was heard of it, or nothing that says whether the account is filled"
    bench.now_s += 0.001
    assert bench.tier(two) == FIT


def test_a_try_of_a_used_up_account_that_was_never_sent_was_none() -> None:
    bench = Bench()
    one = bench.place()
    bench.tell(one, "quota")
    bench.now_s += QUOTA_S
    assert bench.health[one].claim(bench.now_s)
    bench.health[one].release(math.inf)
    assert bench.tier(one) == FIT


def test_without_a_key_there_is_none_to_put_out() -> None:
    table = table_of(a=Provider(dialect="openai_chat", address="http://a.test/v1"))
    health = Health(table)
    one, two = (next(each.index for each in table.targets if each.model == model) for model in ("one", "two"))
    health.observe(Attempt(one, 0, None, 1_000, "auth", True, None), START_S, START_S, Dice())
    assert (health[one].tier(START_S, Dice()), health[two].tier(START_S, Dice())) == (ABSENT, FIT)


# Models and permissions


@pytest.mark.parametrize("failure, tier, rests_s", [("not_found", ABSENT, NO_MODEL_S), ("forbidden", BARRED, 60)])
def test_a_model_that_is_not_there_or_not_allowed_is_left_out_with_an_alarm(
    failure: str, tier: int, rests_s: float
) -> None:
    bench = Bench()
    one = bench.place("one")
    bench.tell(one, failure)
    assert (bench.tier(one), bench.tier(bench.place("two"))) == (tier, FIT)
    assert bench.news[0].alarm
    bench.now_s += rests_s - 0.01
    assert bench.tier(one) == tier
    bench.now_s += 0.01
    assert bench.tier(one) == FIT


def test_a_model_that_a_key_may_not_call_is_tried_again_as_a_refused_key_is() -> None:
    bench = Bench()
    one = bench.place()
    bench.tell(one, "forbidden")
    waits_s = [bench.health[one].wait_s(bench.now_s)]
    for _ in range(3):
        bench.now_s += waits_s[-1]
        bench.probed(one, "forbidden")
        waits_s.append(bench.health[one].wait_s(bench.now_s))
    assert waits_s == pytest.approx([*RETEST_S, RETEST_S[-1]])
    bench.now_s += waits_s[-1]
    bench.probed(one)
    assert not bench.health[one].was_refused()


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
