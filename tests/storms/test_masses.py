"""Ten thousand streams at once: what they cost while nothing happens, and what it is when half of them vanish."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from flow.rig import Door, Serve, eventually
from storms.invariants import DIRECT, Storm, stormy
from storms.mass import Mass, quantile, room
from storms.mortal import Mortal

Mortals = Callable[..., list[Mortal]]
STREAMS = 10_000
IDLE_S = float(os.environ.get("FASTROUTE_IDLE_S", "60"))
COMMENT_S = 15
WORD_EVERY_S = 60
MOST_BYTES = 400 << 20
MOST_CPU = 0.15
LATER_MS = 5.0
GONE_S = 5.0
PROBES = 300

pytestmark = pytest.mark.long


@pytest.fixture
def held(serve: Serve, tmp_path: Path, mortals: Mortals) -> tuple[Storm, int]:
    """A gateway before an upstream whose streams say one word and then comment for ever, and how many there may be."""
    count = room(STREAMS)
    print(f"\n{count} streams", end=" ")
    (upstream,) = mortals("all")
    # A word a minute: a stream that says nothing but comments for two is given up.
    steps = [
        {"events": {"count": 1}},
        {"comments": {"count": WORD_EVERY_S // COMMENT_S, "every_ms": COMMENT_S * 1000, "text": "still here"}},
    ]
    steps *= 100
    upstream.behave({"match": {"stream": True}, "steps": steps})
    return stormy(serve, tmp_path, [upstream], ["mass"], policy="ordered"), count


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def overhead_ms(door: Door, upstream: Door) -> float:
    """What the gateway adds to 99 of 100 new requests; each in turn with one that goes to the upstream itself."""
    through: list[float] = []
    direct: list[float] = []
    for _ in range(PROBES):
        for place, model, took in ((door, "mass", through), (upstream, DIRECT, direct)):
            began = time.monotonic()
            assert place.ask(model).status == 200
            took.append((time.monotonic() - began) * 1000)
    return quantile(sorted(through), 0.99) - quantile(sorted(direct), 0.99)


@pytest.mark.parametrize("name", ["granian", "edge"])
def test_half_of_ten_thousand_streams_vanish_at_once(name: str, held: tuple[Storm, int]) -> None:
    storm, count = held
    (upstream,) = storm.upstreams
    mass = Mass()
    try:
        mass.join(storm.gateway.doors[name], "mass", count)
        assert storm.metric("in_flight") == count
        began = time.monotonic()
        mass.vanish(count // 2)
        left = count - count // 2
        eventually(lambda: storm.metric("in_flight") == left, "half of them are settled", GONE_S)
        eventually(lambda: upstream.working() == left, "and their upstreams are free", GONE_S)
        print(f"at {name}: {count // 2} vanished, all was settled after {time.monotonic() - began:.2f} s")
        assert time.monotonic() - began < GONE_S
        mass.watch(COMMENT_S + 1)
        assert mass.lost == 0
        assert len(mass) == left
    finally:
        mass.close()
    storm.check([])


@pytest.mark.parametrize("name", ["granian", "edge"])
def test_ten_thousand_idle_streams_cost_little(name: str, held: tuple[Storm, int]) -> None:
    storm, count = held
    door, process = storm.gateway.doors[name], storm.gateway.process
    direct = Door("upstream", storm.upstreams[0].origin)
    before_ms = overhead_ms(door, direct)
    base = storm.gateway.memory_bytes
    mass = Mass()
    try:
        mass.join(door, "mass", count)
        began, cpu_before = time.monotonic(), cpu_s(process)
        mass.watch(IDLE_S)
        share = (cpu_s(process) - cpu_before) / (time.monotonic() - began)
        grown = storm.gateway.memory_bytes - base
        during_ms = overhead_ms(door, direct)
        mass.watch(0.5)
        assert mass.lost == 0
        assert len(mass) == count
        comments = mass.least // len(": still here\n\n")
    finally:
        mass.close()
    print(f"at {name}: {grown >> 20} MiB more, {share:.1%} of a core, at least {comments} comments each; ", end="")
    print(f"p99 added to new requests {before_ms:.1f} ms before and {during_ms:.1f} ms beside them")
    assert comments >= IDLE_S // COMMENT_S - 1
    assert grown < MOST_BYTES
    assert share < MOST_CPU
    assert during_ms - before_ms < LATER_MS
    storm.check([])
