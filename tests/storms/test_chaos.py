"""Two upstreams under load, one of which is killed, stopped, restarted and made to answer nonsense in turn.

Nobody may notice before there is content: each plain request is answered, each stream begins. What was under way in an
upstream that dies may break, and its client is told.
"""

import collections
import functools
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from flow.records import Journal
from flow.rig import Serve
from storms.invariants import Storm, attempts_per_request, stormy
from storms.load import Load, Seen
from storms.mortal import Mortal

Mortals = Callable[..., list[Mortal]]
WORD = "word "
EVENTS = 12
SOFT_S = 1.0
"""A stream without content for so long is begun elsewhere."""
STREAM = {
    "match": {"stream": True},
    "steps": [{"events": {"count": EVENTS, "every_ms": 50, "text": WORD}}, {"finish": {}}, "done"],
}
GARBAGE = [
    {"match": {"every": 3}, "steps": [{"raw": {"utf8": "SSH-2.0-OpenSSH_9.2\r\n"}}, "close"]},
    {
        "match": {"every": 2},
        "steps": [{"head": {"content_type": "text/html"}}, {"send": {"utf8": "<html>busy</html>"}}],
    },
    {"steps": [{"send": {"utf8": "data: {{{\n\n"}}, "reset"]},
]
"""Of three answers one is no HTTP, one a page, and one breaks off in what is no JSON."""


ILLNESSES = ("503", "429", "garbage", "stopped", "killed")
"""Each meets a model of its own, whose target at the ill upstream is in full service by then; the last concerns all."""


def sicken(ill: Mortal, illness: str) -> Callable[[], object]:
    """Does it; gives what ends it."""
    if illness == "stopped":
        ill.stop()
        return ill.go_on
    if illness == "killed":
        ill.kill()
        return ill.start
    limited = {"code": 429, "headers": {"retry-after": "1"}}
    answers = {"503": [{"steps": [{"status": {"code": 503}}]}], "429": [{"steps": [{"status": limited}]}]}
    ill.behave(*answers.get(illness, GARBAGE))
    return lambda: ill.behave(STREAM)


def unnoticed(seen: Sequence[Seen]) -> None:
    """Every answer is a good one, up to what broke after its content had begun."""
    for each in seen:
        assert each.status == 200, each
        assert each.committed, each
        assert each.whole or each.stream, each
        if each.stream:
            # A prefix of what was sent, and all of it where it is said to be whole.
            assert (WORD * EVENTS).startswith(each.text), each
            assert not each.whole or each.text == WORD * EVENTS, each
            assert each.whole or each.code is not None, "a stream that breaks says so"


def survives(
    storming: Callable[..., Storm], pair: list[Mortal], doors: Sequence[str], times: tuple[float, float]
) -> None:
    """Each illness for the first of `times` in seconds, and health for the second before and after."""
    ill, _ = pair
    for each in pair:
        each.behave(STREAM)
    patience = {"ttft_soft_timeout_s": SOFT_S, "idle_timeout_s": max(0.8, times[0] / 3)}
    storm = storming(pair, ILLNESSES, **patience)
    with Load([storm.gateway.doors[name] for name in doors], ILLNESSES[0], rate=200, streams=50) as load:
        for illness in ILLNESSES:
            load.model = illness
            time.sleep(times[1])
            end = sicken(ill, illness)
            time.sleep(times[0])
            end()
        time.sleep(times[1])
    print(f"\nat {doors}")
    tell(load.seen, storm.journal)
    unnoticed(load.seen)
    assert attempts_per_request(storm.journal.intents.values()) <= 1.1
    storm.check(load.seen)


def tell(seen: Sequence[Seen], journal: Journal) -> None:
    all_intents, settles = journal.intents, journal.settles
    for illness in ILLNESSES:
        intents = [each for each in all_intents.values() if each["model"] == illness]
        ids = {each["request_id"] for each in intents}
        asked = [each for each in seen if each.headers.get("x-request-id") in ids]
        failures = (settles[each["attempt"]]["failure"] for each in intents)
        failed = collections.Counter(failure for failure in failures if failure)
        print(f"{illness}: {len(asked)} answers, {attempts_per_request(intents):.4f} attempts each, {dict(failed)};")
        for name, each in (("plain", [x for x in asked if not x.stream]), ("streams", [x for x in asked if x.stream])):
            begun = sorted(x.first_s for x in each) or [0.0]
            broken = sum(not x.whole for x in each)
            print(f"    {name}: {len(each)}, begun p99 {begun[len(begun) * 99 // 100]:.3f} s, ", end="")
            print(f"last {begun[-1]:.3f} s, broken behind content {broken}")
        # One that stands still for a moment fails nobody: it answers later.
        assert failed or illness == "stopped", f"nobody met {illness}"


def test_nobody_notices_an_upstream_that_is_killed_stopped_and_talks_nonsense(
    serve: Serve, tmp_path: Path, mortals: Mortals
) -> None:
    storming = functools.partial(stormy, serve, tmp_path, policy="weighted")
    survives(storming, mortals("ill", "well"), ["granian", "edge"], (0.4, 0.3))


@pytest.mark.long
@pytest.mark.parametrize("policy", ["weighted", "ordered"])
@pytest.mark.parametrize("name", ["granian", "edge"])
def test_nobody_notices_a_minute_of_it(name: str, policy: str, serve: Serve, tmp_path: Path, mortals: Mortals) -> None:
    storming = functools.partial(stormy, serve, tmp_path, policy=policy)
    survives(storming, mortals("ill", "well"), [name], (6.0, 6.0))
