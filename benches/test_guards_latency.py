"""p99 beside nginx: interleaved windows at half load, judged by agreement of rounds rather than by one number.

It fails only when the median ratio passes the limit and all rounds but one say so, twice; when nginx itself moved
twofold between rounds, nothing can be said and nothing is.
"""

from collections.abc import Sequence
from statistics import median

import pytest
from benches.rig import programs, rounds
from benches.rig.workloads import EDGE, NGINX, Plan
from pytest_benchmark.fixture import BenchmarkFixture

LIMIT = 1.25
MOVED = 2.0
ROUNDS = 5
PLAN = Plan("guard", "p99 of W1 at 2,000 a second", "W1", (NGINX, EDGE), rate=2000, window_s=10.0)


def has_moved(reference: Sequence[float]) -> bool:
    """The yardstick itself changed too much between rounds to measure with."""
    return max(reference) >= MOVED * min(reference)


def is_slower(ratios: Sequence[float]) -> bool:
    """Above the limit at the median, and in all rounds but one."""
    return median(ratios) > LIMIT and sum(ratio > LIMIT for ratio in ratios) >= len(ratios) - 1


def measure() -> tuple[list[float], list[float]]:
    """p99 of the edge door and of nginx, in µs, round by round."""
    found: dict[str, list[float]] = {EDGE.name: [], NGINX.name: []}
    for row in rounds.run(PLAN, ROUNDS, programs.raise_descriptor_limit()):
        assert not row["load"]["errors"]
        found[row["contender"]].append(row["load"]["shapes"][0]["latency"]["p99_us"])
    return found[EDGE.name], found[NGINX.name]


def test_p99_is_not_far_from_that_of_nginx(benchmark: BenchmarkFixture) -> None:
    for last_try in (False, True):
        # The fixture times one call; what is judged is in `extra_info`.
        measured = measure() if last_try else benchmark.pedantic(measure, rounds=1, iterations=1)
        ours, reference = measured
        ratios = [mine / theirs for mine, theirs in zip(ours, reference, strict=True)]
        benchmark.extra_info |= {"p99_us": ours, "reference_p99_us": reference, "ratio": median(ratios)}
        if has_moved(reference):
            pytest.skip("reference moved: nginx's own p99 changed twofold between rounds")
        if not is_slower(ratios):
            return
    pytest.fail(f"p99 is {median(ratios):.2f} × nginx's in all rounds but one, measured twice: {ratios}")


def test_one_bad_round_is_no_verdict() -> None:
    assert not is_slower([1.1, 1.1, 3.0, 1.2, 1.1])
    assert not is_slower([1.3, 1.3, 1.3, 1.1, 1.1])
    assert is_slower([1.3, 1.4, 1.3, 1.1, 1.6])


def test_a_restless_reference_is_no_reference() -> None:
    assert has_moved([100.0, 150.0, 210.0])
    assert not has_moved([100.0, 150.0, 190.0])
