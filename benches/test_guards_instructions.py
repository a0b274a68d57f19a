"""Exact: no function of the core may need over 2 % more instructions than its baseline."""

import shutil
from functools import cache
from pathlib import Path

import pytest
from benches import instructions
from pytest_benchmark.fixture import BenchmarkFixture

MARGIN = 1.02
RECORDED = instructions.baselines()
CASES = sorted({name for counts in RECORDED.values() for name in counts})

pytestmark = pytest.mark.skipif(shutil.which("valgrind") is None, reason="valgrind is not installed")


@cache
def program() -> Path:
    return instructions.build()


@pytest.mark.parametrize("name", CASES)
def test_a_core_function_needs_no_more_instructions_than_before(benchmark: BenchmarkFixture, name: str) -> None:
    baseline = RECORDED.get(instructions.key())
    if baseline is None:
        pytest.skip(f"no baseline for {instructions.key()}: python -m benches.instructions, in a commit of its own")
    case, size = name.split()
    counted = benchmark.pedantic(instructions.count, (program(), case, int(size)), rounds=1, iterations=1)
    benchmark.extra_info |= {"instructions": counted, "baseline": baseline[name]}
    assert counted <= baseline[name] * MARGIN


def test_every_case_has_a_baseline(benchmark: BenchmarkFixture) -> None:
    listed = benchmark.pedantic(instructions.cases, (program(),), rounds=1, iterations=1)
    assert {f"{case} {size}" for case, size in listed} == set(CASES)
