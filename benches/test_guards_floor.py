"""CPU per request at the default door, as a multiple of a bare RSGI application in the same minute."""

from statistics import median

from benches.rig import programs, rounds
from benches.rig.results import REQUEST_CPU
from benches.rig.workloads import ECHO, GRANIAN, Plan
from pytest_benchmark.fixture import BenchmarkFixture

LIMIT = 1.8
"""granian itself is the other part; what is above it is ours to keep small."""
PLAN = Plan("floor", "W1 beside an application that does nothing", "W1", (ECHO, GRANIAN), connections=16)


def measure() -> float:
    """The median of three rounds."""
    rows = list(rounds.run(PLAN, 3, programs.raise_descriptor_limit()))
    ours, floor = (
        [REQUEST_CPU.of(row) for row in rows if row["contender"] == contender.name] for contender in (GRANIAN, ECHO)
    )
    return median(mine / least for mine, least in zip(ours, floor, strict=True) if mine and least)


def test_the_default_door_stays_near_the_server_it_runs_on(benchmark: BenchmarkFixture) -> None:
    ratio = benchmark.pedantic(measure, rounds=1, iterations=1)
    benchmark.extra_info["ratio"] = ratio
    assert ratio <= LIMIT
