"""Upstreams that cannot be reached, in each of the ways in which a network says so or says nothing.

Each request is answered by the other target, and no later than the clock of a connect allows.
"""

import collections
import functools
import itertools
import time
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from flow.rig import Reply, eventually, finishes
from network.conftest import LOST, PORT, Place

TOWARDS = f"ip daddr {LOST} tcp dport {PORT}"
BACK = f"ip saddr {LOST} tcp sport {PORT}"
SYN = "tcp flags syn / syn,ack"
DETECTED_S = 3.3
"""The clock of a connect is 3 s."""
AT_ONCE = 4
RESTED_S = 1.2
"""Unused for so long, a connection may have been closed meanwhile."""
_numbers = itertools.count()


class Timed(NamedTuple):
    reply: Reply
    took_s: float


@pytest.fixture(params=["granian", "edge"])
def door(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def number() -> int:
    """Of a model and its providers that no other test uses."""
    return next(_numbers)


@pytest.fixture
def healed(place: Place) -> Iterator[Place]:
    place.network.call(place.lost.script)
    place.network.call(place.well.script)
    yield place
    place.network.heal()


def ask(place: Place, door: str, model: str, times: int = AT_ONCE) -> list[Timed]:
    """So many at once, every other one a stream."""

    def one(stream: bool) -> Timed:
        began = time.monotonic()
        reply = place.doors[door].ask(model, stream=stream)
        return Timed(reply, time.monotonic() - began)

    return place.network.together([functools.partial(one, number % 2 == 1) for number in range(times)])


def failed_over(place: Place, timed: list[Timed], most_s: float = DETECTED_S) -> None:
    print(f"answered after {min(each.took_s for each in timed):.2f} to {max(each.took_s for each in timed):.2f} s")
    for reply, took_s in timed:
        assert reply.status == 200, reply
        assert reply.headers["x-fastroute-target"].startswith("well-")
        assert took_s < most_s


def failures(place: Place, provider: str) -> set[str]:
    # What was answered is written down a moment later.
    journal = eventually(lambda: None if (found := place.journal).left else found, "each attempt has its end")
    assert journal is not None
    settles = journal.settles
    mine = [each["attempt"] for each in journal.intents.values() if each["target"] == f"{provider}/x"]
    return {settles[attempt]["failure"] for attempt in mine} - {None}


def test_a_place_without_a_route_is_left_at_once(healed: Place, door: str, number: int) -> None:
    failed_over(healed, ask(healed, door, f"nowhere-{number}"), 1.0)
    assert failures(healed, f"nowhere-{number}") == {"refused"}


def test_a_reset_in_answer_to_the_connect_is_left_at_once(healed: Place, door: str, number: int) -> None:
    healed.network.drop()
    healed.network.command(
        *f"nft add rule inet faults in {TOWARDS} {SYN} reject with tcp reset".split(),
    )
    failed_over(healed, ask(healed, door, f"lost-{number}"), 1.0)
    assert failures(healed, f"lost-{number}") == {"refused"}


def test_no_answer_to_the_connect_is_left_when_its_clock_is_over(healed: Place, door: str, number: int) -> None:
    healed.network.drop(f"{TOWARDS} {SYN}")
    timed = ask(healed, door, f"lost-{number}")
    failed_over(healed, timed)
    assert failures(healed, f"lost-{number}") == {"connect_timeout"}
    assert min(each.took_s for each in timed) > 2.9


@pytest.mark.long
def test_half_of_the_connects_unanswered_fails_no_request(healed: Place, door: str, number: int) -> None:
    # Each connection serves one request, so each request connects.
    healed.network.call(healed.lost.script, keep_alive=False)
    healed.network.drop(f"{TOWARDS} {SYN} numgen random mod 100 < 50")
    timed = [each for _ in range(10) for each in ask(healed, door, f"lost-{number}", 10)]
    assert {each.reply.status for each in timed} == {200}
    assert max(each.took_s for each in timed) < DETECTED_S
    targets = [each.reply.headers["x-fastroute-target"] for each in timed]
    took = sorted(each.took_s for each in timed)
    print(f"{door}: {len(timed)} answered, {targets.count(f'lost-{number}/x')} by the first target, ", end="")
    print(f"p50 {took[50]:.2f} s, last {took[-1]:.2f} s")


@pytest.mark.long
@pytest.mark.parametrize("percent", [1, 5, 20])
def test_on_a_network_that_loses_packets_answers_are_whole_or_errors(
    percent: int, healed: Place, door: str, number: int
) -> None:
    lost = f"numgen random mod 100 < {percent}"
    healed.network.drop(f"{TOWARDS} {lost}", f"{BACK} {lost}")
    began = time.monotonic()
    timed = [each for _ in range(10) for each in ask(healed, door, f"alone-{number}", 20)]
    took_s = time.monotonic() - began
    statuses = collections.Counter(each.reply.status for each in timed)
    took = sorted(each.took_s for each in timed)
    print(f"{percent} % at {door}: {dict(statuses)}, {statuses[200] / took_s:.0f}/s, ", end="")
    print(f"p50 {took[len(took) // 2]:.3f} s, last {took[-1]:.2f} s")
    for reply, _ in timed:
        assert reply.whole
        if reply.status != 200:
            assert reply.error["code"] in {"upstream_unreachable", "upstream_error"}
        elif reply.headers["content-type"].startswith("text/event-stream") and finishes(reply.events):
            assert (finishes(reply.events), reply.events[-1]) == (["stop"], "[DONE]")
        elif reply.headers["content-type"].startswith("text/event-stream"):
            # A kernel whose packets are lost over and over again waits for longer than a stream may be silent.
            assert reply.events[-1]["error"]["code"] in {"upstream_stalled", "upstream_truncated"}
    healed.network.heal()
    journal = eventually(lambda: None if (found := healed.journal).left else found, "each attempt has its end")
    assert journal is not None
    intents = journal.intents
    mine = [each for each in intents.values() if each["target"] == f"lost-{number}/x"]
    assert len({each["request_id"] for each in mine}) == len(timed)
    rows = healed.network.call(healed.lost.rows)
    assert {row["headers"]["x-fastroute-attempt"] for row in rows} <= intents.keys()


def kept(place: Place, door: str, model: str) -> None:
    """Leaves connections to the first target behind."""
    targets = [each.reply.headers["x-fastroute-target"] for each in ask(place, door, model)]
    assert all(target.startswith("lost-") for target in targets)


def test_a_kept_connection_whose_other_end_has_gone_is_left_in_the_time_of_a_connect(
    healed: Place, door: str, number: int
) -> None:
    kept(healed, door, f"lost-{number}")
    healed.network.drop(TOWARDS, BACK)
    failed_over(healed, ask(healed, door, f"lost-{number}"))
    # It was in use a moment ago, so the work may have been done.
    assert failures(healed, f"lost-{number}") <= {"reset", "connect_timeout"}


def test_an_only_target_that_forgot_its_kept_connections_answers_on_a_fresh_one(
    healed: Place, door: str, number: int
) -> None:
    """As firewalls and address translators do: what was open is forgotten, and new connections are fine."""
    kept(healed, door, f"alone-{number}")
    time.sleep(RESTED_S)
    ports = healed.network.ports_towards(LOST, PORT)
    assert ports
    forgotten = ", ".join(map(str, ports))
    healed.network.drop(f"{TOWARDS} tcp sport {{ {forgotten} }}")
    timed = ask(healed, door, f"alone-{number}", 1)
    assert timed[0].reply.status == 200, timed
    assert timed[0].reply.headers["x-fastroute-target"] == f"lost-{number}/x"
    assert timed[0].took_s < DETECTED_S
    assert failures(healed, f"lost-{number}") == {"connect_timeout"}
    healed.network.heal()
    # What else was kept is not tried one by one.
    assert ask(healed, door, f"alone-{number}", 1)[0].took_s < 1.0
