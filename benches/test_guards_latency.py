"""p99 beside nginx: interleaved windows at half load, judged by agreement of rounds rather than by one number.

The surprise: windows last a second. A host that takes the core for 10 ms is all that a 99th percentile shows, and it
does so somewhere in nearly every longer window; what counts are the seconds that it left us, or took one tick of. What
comes less often than every other second is out of sight.

It fails only when the median ratio passes the limit and all rounds but one say so, twice; when nginx itself moved
twofold between rounds, or too few seconds were ours, nothing can be said and nothing is.
"""

from collections.abc import Generator, Sequence
from contextlib import closing
from itertools import islice
from statistics import median
from typing import NamedTuple

import pytest
from benches.rig import machine, programs, rounds
from benches.rig.workloads import EDGE, NGINX, Plan
from pytest_benchmark.fixture import BenchmarkFixture

LIMIT = 1.25
MOVED = 2.0
ROUNDS, MOST_ROUNDS = 5, 10
TURNS = 10
"""Windows of a round, for each contender, of 2,000 requests each."""
LEAST_CALM = 6
"""Windows of each contender without which a round says nothing."""
CALM = 0.01
"""Cores that a host may take away in a window that counts."""
PLAN = Plan("guard", "p99 of W1 at 2,000 a second", "W1", (NGINX, EDGE), rate=2000, window_s=1.0)


class Round(NamedTuple):
    """Medians of its calm windows."""

    ours_us: float
    reference_us: float

    @property
    def ratio(self) -> float:
        return self.ours_us / self.reference_us


def has_moved(reference: Sequence[float]) -> bool:
    """The yardstick itself changed too much between rounds to measure with."""
    return max(reference) >= MOVED * min(reference)


def is_slower(ratios: Sequence[float]) -> bool:
    """Above the limit at the median, and in all rounds but one."""
    return median(ratios) > LIMIT and sum(ratio > LIMIT for ratio in ratios) >= len(ratios) - 1


def calm_rounds() -> Generator[Round, None, None]:
    """As they come; those in which the host took too much are left out."""
    rows = rounds.run(PLAN, MOST_ROUNDS, programs.raise_descriptor_limit(), turns=TURNS)
    with closing(rows):
        while windows := tuple(islice(rows, TURNS * len(PLAN.contenders))):
            found: dict[str, list[float]] = {EDGE.name: [], NGINX.name: []}
            for row in windows:
                assert not row["load"]["errors"]
                if row["stolen"] <= CALM:
                    found[row["contender"]].append(row["load"]["shapes"][0]["latency"]["p99_us"])
            if min(map(len, found.values())) >= LEAST_CALM:
                yield Round(median(found[EDGE.name]), median(found[NGINX.name]))


def measure() -> list[Round]:
    with closing(calm_rounds()) as found:
        return list(islice(found, ROUNDS))


def test_p99_is_not_far_from_that_of_nginx(benchmark: BenchmarkFixture) -> None:
    earlier = ""
    for last_try in (False, True):
        # The fixture times one call; what is judged is in `extra_info`.
        found = measure() if last_try else benchmark.pedantic(measure, rounds=1, iterations=1)
        benchmark.extra_info |= {
            "p99_us": [each.ours_us for each in found],
            "reference_p99_us": [each.reference_us for each in found],
            "halt_poll_ns": machine.halt_poll_ns(),
        }
        if len(found) < ROUNDS:
            pytest.skip(f"{earlier}the host took too much: {len(found)} of {MOST_ROUNDS} rounds were calm enough")
        if has_moved([each.reference_us for each in found]):
            pytest.skip(f"{earlier}reference moved: nginx's own p99 changed twofold between rounds")
        ratios = [each.ratio for each in found]
        benchmark.extra_info["ratio" if last_try else "first_ratio"] = median(ratios)
        if not is_slower(ratios):
            return
        earlier = f"{median(ratios):.2f} × at first; then "
    pytest.fail(f"p99 is {median(ratios):.2f} × nginx's in all rounds but one, measured twice: {ratios}")


def test_one_bad_round_is_no_verdict() -> None:
    assert not is_slower([1.1, 1.1, 3.0, 1.2, 1.1])
    assert not is_slower([1.3, 1.3, 1.3, 1.1, 1.1])
    assert is_slower([1.3, 1.4, 1.3, 1.1, 1.6])


def test_a_restless_reference_is_no_reference() -> None:
    assert has_moved([100.0, 150.0, 210.0])
    assert not has_moved([100.0, 150.0, 190.0])
