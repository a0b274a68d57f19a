"""When silence is noticed: before every event of a stream, and before its first one with somebody faster beside it.

One rule: times are taken from the clocks of client and upstream, never from what the gateway says. One surprise: a
bound is on the middle of many and a wider one on the worst, because a test machine has other things to do.
"""

import statistics
from pathlib import Path

import pytest

from faults.cell import DOORS, cells
from faults.client import ask_many
from faults.fault import Phase
from faults.round import Mocks, Stage, play
from faults.script import EVENTS, WORD, chunk, send
from faults.stream import events, finishes, text_of
from faults.table import FAULTS
from flow.rig import Door, chat

SILENCE_S = 2.0
"""Every clock of the stage."""
LATE_S = 0.25
WORST_S = 1.0
PIECES = [chunk(), *[chunk(WORD)] * 12, chunk(finish="stop"), "data: [DONE]\n\n"]


def test_a_stall_before_any_event_ends_in_time_and_as_its_phase_says(stage: Stage, door: Door) -> None:
    stops = range(len(PIECES))
    stage.upstream.script(
        *({"match": {"model": f"stall-{at}"}, "steps": [EVENTS, send("".join(PIECES[:at])), "stall"]} for at in stops),
        keep_alive=False,
    )
    replies = ask_many(door, [chat(f"up/stall-{at}", stream=True) for at in stops])
    late_s = []
    for at, (timed, pieces) in enumerate(zip(replies, (PIECES[:at] for at in stops), strict=True)):
        seen, sent = events(timed.reply.body), events("".join(pieces).encode())
        if not text_of(sent):
            assert timed.reply.status == 504, at
            assert timed.reply.error["code"] in {"upstream_timeout", "upstream_stalled"}, at
        else:
            assert text_of(seen) == text_of(sent), at
            assert finishes(seen) == finishes(sent), at
            assert ("[DONE]" in seen) == ("[DONE]" in sent), at
            assert finishes(sent) or seen[-1]["error"]["code"] == "upstream_stalled", at
        if not finishes(sent):
            late_s.append(timed.took_s - SILENCE_S)
    assert min(late_s) >= -0.05
    assert statistics.median(late_s) <= LATE_S
    assert max(late_s) <= WORST_S


@pytest.mark.parametrize("door", DOORS)
def test_a_slow_target_costs_its_soft_limit_and_is_let_go_at_once(door: str, mocks: Mocks, tmp_path: Path) -> None:
    slow = [fault for fault in FAULTS if fault.name == "slow-first-token"]
    square = [each for each in cells(slow, 25, [door]) if each.second and each.what.phase is Phase.WRITTEN]
    seen = play(square, mocks, tmp_path)
    assert len(seen.observations) == 25
    soft_s = 0.8
    let_go_s = []
    for each in seen.observations:
        (first,), (second,) = each.first, each.second
        assert each.timed.reply.status == 200
        assert each.timed.took_s <= soft_s + 1.0
        assert first["ended"] == "cancelled"
        let_go_s.append((first["end_ns"] - second["arrival_ns"]) / 1e9)
    assert statistics.median(let_go_s) <= 0.1
    assert max(let_go_s) <= LATE_S
