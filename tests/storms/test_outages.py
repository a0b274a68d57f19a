"""Outages and overloads of everybody at once: how much is asked of those who come back, and how soon all is well.

The rule of all of them: what was offered stays offered, so it is the gateway that has to hold back.
"""

import collections
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from flow.rig import Serve
from storms.invariants import stormy
from storms.load import Load, Seen
from storms.mortal import Mortal

Mortals = Callable[..., list[Mortal]]
DOWN_S = 60.0
WELL_S = 45.0
"""From the end of an outage to full service."""
CAPACITY = 100
ANSWER_MS = 1_000
STEADY_S = 5.0
"""By then what a model's retry budget had saved up is spent."""


def rests(output: str) -> int:
    return output.count("fails too often and rests")


def statuses(seen: Sequence[Seen]) -> dict[str, int]:
    return dict(collections.Counter(f"{each.status} {each.code or ''}".strip() for each in seen))


@pytest.mark.long
@pytest.mark.parametrize("how", ["killed", "503"])
def test_who_comes_back_from_an_outage_is_not_drowned(how: str, serve: Serve, tmp_path: Path, mortals: Mortals) -> None:
    both, rate = mortals("one", "two"), 500
    storm = stormy(serve, tmp_path, both, ["outage"], policy="weighted")
    gateway = storm.gateway
    with Load([*gateway.doors.values()], "outage", rate=rate) as load:
        time.sleep(5)
        for each in both:
            if how == "killed":
                each.kill()
            else:
                each.behave({"steps": [{"status": {"code": 503}}]})
        time.sleep(DOWN_S)
        up_ns, up_s, rested = time.monotonic_ns(), load.now_s, rests(gateway.command.output)
        for each in both:
            if how == "killed":
                each.start()
            else:
                each.behave()
        time.sleep(WELL_S + 5)
        end_ns = time.monotonic_ns()
    again = rests(gateway.command.output) - rested
    rows = [row for each in both for row in each.rows()]
    early = sum(up_ns <= row["arrival_ns"] < up_ns + 10e9 for row in rows) / 10
    late = [row["headers"]["host"] for row in rows if row["arrival_ns"] > end_ns - 5e9]
    shares = sorted(count / len(late) for count in collections.Counter(late).values())
    failed = [each for each in load.seen if each.status != 200]
    last_s = max(each.ended_s for each in failed) - up_s
    print(
        f"{how}: {len(load.seen)} requests, {statuses(load.seen)}; upstreams then met {early:.0f}/s of {rate}/s, ",
        end="",
    )
    print(f"{again} rests again, last error {last_s:.1f} s after, shares at the end {shares}")
    assert early <= 1.2 * rate
    assert again <= 1
    assert last_s <= WELL_S
    assert len(shares) == len(both)
    assert shares[0] > 0.4, "each has its share again"
    storm.check(load.seen)


@pytest.mark.long
@pytest.mark.parametrize("names", [("all",), ("one", "two")], ids=["one upstream", "two upstreams"])
def test_an_overload_costs_no_more_than_what_is_over_and_is_over_when_it_ends(
    names: tuple[str, ...], serve: Serve, tmp_path: Path, mortals: Mortals
) -> None:
    upstreams = mortals(*names)
    places = CAPACITY * ANSWER_MS // 1000 // len(upstreams)
    # Of two that are nearly full, the emptier one has to be found.
    policy = "fastest" if len(upstreams) > 1 else "ordered"
    for each in upstreams:
        each.behave(
            {"match": {"busy": places}, "steps": [{"status": {"code": 503}}]},
            {"steps": [{"delay": {"ms": ANSWER_MS}}, {"reply": {}}]},
        )
    storm = stormy(serve, tmp_path, upstreams, ["overload"], policy=policy)
    with Load([*storm.gateway.doors.values()], "overload", rate=300) as load:
        began_s = time.time()
        time.sleep(DOWN_S)
        load.rate, over_s = 80, load.now_s
        time.sleep(25)
    good = sum(each.status == 200 and STEADY_S <= each.ended_s < over_s for each in load.seen) / (over_s - STEADY_S)
    failed = [each for each in load.seen if each.status != 200]
    last_s = max((each.ended_s for each in failed), default=over_s) - over_s
    steady_ms = (began_s + STEADY_S) * 1000
    attempts = sum(intent["started_ms"] >= steady_ms for intent in storm.journal.intents.values())
    ratio = attempts / sum(each.due_s >= STEADY_S for each in load.seen)
    print(f"{len(load.seen)} requests, {statuses(load.seen)}; {good:.1f}/s of {CAPACITY}/s well meanwhile, ", end="")
    print(f"{ratio:.3f} attempts per request, last error {last_s:.1f} s after")
    assert good >= 0.9 * CAPACITY
    assert last_s <= 10
    assert ratio <= 1.1
    storm.check(load.seen)
