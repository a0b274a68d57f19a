"""What it costs at the edge door that client and provider differ in dialect, as a multiple of chat before chat.

At saturation, and at an equal load: at saturation the faster of two contenders finds its neighbours awake, and the
slower one pays the kernel for waking them (`benches/README.md`).
"""

from contextlib import closing
from itertools import islice
from statistics import median

import pytest
from benches.rig import machine, programs, rounds
from benches.rig.results import CHUNK_CPU, REQUEST_CPU, Figure
from benches.rig.workloads import PLANS, Plan
from pytest_benchmark.fixture import BenchmarkFixture

PLAIN = "edge"
LIMITS = {"W10-c16": (REQUEST_CPU, 1.5), "W10-10k": (REQUEST_CPU, 1.25), "W10-stream": (CHUNK_CPU, 2.0)}
"""By plan: what is compared, and how much more of it a translation may take."""
ROUNDS, MOST_ROUNDS = 5, 12
CALM = 0.04
"""Cores that a host may take away in a window of a round that counts."""
CROSSINGS = ("edge, Anthropic to chat", "edge, chat to Anthropic")


def edge_only(plan: Plan) -> Plan:
    return plan._replace(contenders=tuple(each for each in plan.contenders if each.name in {PLAIN, *CROSSINGS}))


def measure(plan: Plan, figure: Figure) -> dict[str, float]:
    """The median of the first five rounds in which the host left us the cores, or of all, for each crossing."""
    names = (PLAIN, *CROSSINGS)
    measured: list[dict[str, float]] = []
    calm: list[dict[str, float]] = []
    with closing(rounds.run(edge_only(plan), MOST_ROUNDS, programs.raise_descriptor_limit())) as rows:
        while len(calm) < ROUNDS and (windows := tuple(islice(rows, len(names)))):
            assert not any(row["load"]["errors"] for row in windows)
            found = {row["contender"]: figure.of(row) for row in windows}
            assert all(found.values()), "a window without a request"
            measured.append({name: cpu for name, cpu in found.items() if cpu})
            if all(row["stolen"] <= CALM for row in windows):
                calm.append(measured[-1])
    counted = calm if len(calm) == ROUNDS else measured
    return {name: median(found[name] / found[PLAIN] for found in counted) for name in CROSSINGS}


@pytest.mark.parametrize("name", LIMITS)
def test_a_translation_costs_no_more_than_it_may(name: str, benchmark: BenchmarkFixture) -> None:
    (plan,) = (each for each in PLANS if each.name == name)
    figure, limit = LIMITS[name]
    ratios = benchmark.pedantic(measure, (plan, figure), rounds=1, iterations=1)
    benchmark.extra_info |= ratios | {"halt_poll_ns": machine.halt_poll_ns()}
    assert {crossing: ratio for crossing, ratio in ratios.items() if ratio > limit} == {}


def test_the_guard_measures_what_the_plans_do() -> None:
    for name in LIMITS:
        (plan,) = (edge_only(each) for each in PLANS if each.name == name)
        assert [each.name for each in plan.contenders] == [PLAIN, *CROSSINGS]
        assert plan.contenders[0].workload != plan.workload
