"""Upstreams for the fault tests, and one round of the matrix that all of its tests look at."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from faults.cell import cells
from faults.round import Mocks, Round, play
from faults.table import FAULTS

ROUNDS = 2
"""Each cell so often in an ordinary run; `test_the_whole_matrix_many_times` asks more."""


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("faults")


@pytest.fixture(scope="session")
def mocks(place: Path) -> Iterator[Mocks]:
    with Mocks.start(place) as mocks:
        yield mocks


@pytest.fixture(scope="session")
def played(mocks: Mocks, place: Path) -> Round:
    return play(list(cells(FAULTS, ROUNDS)), mocks, place / "round")
