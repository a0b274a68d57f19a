"""Upstreams for the fault tests, one round of the matrix that all of its tests look at, and a gateway for streams."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from faults.cell import DOORS, cells, few_cells
from faults.pair import OTHERS
from faults.round import Mocks, Round, Stage, play
from faults.table import FAULTS
from flow.rig import Door, Gateway, free_port, serving

ROUNDS = 1
"""Each cell so often in an ordinary run; `test_the_whole_matrix_many_times` asks more."""


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("faults")


@pytest.fixture(scope="session")
def mocks(place: Path) -> Iterator[Mocks]:
    with Mocks.start(place) as mocks:
        yield mocks


@pytest.fixture(scope="session")
def stage(mocks: Mocks, place: Path) -> Iterator[Stage]:
    """A gateway that passes any model of two providers through, with one target and little patience."""
    haste = {"ttft_timeout_s": 2, "idle_timeout_s": 2, "content_idle_timeout_s": 2}
    admin_port = free_port()
    config = {
        "listen": {"port": 0, "edge_port": 0, "admin_port": admin_port},
        "providers": {
            "up": {"dialect": "openai_chat", "address": f"{mocks.closing.origin}/v1"},
            "kept": {"dialect": "openai_chat", "address": f"{mocks.keeping.origin}/v1"},
        },
        "routing": {"patience": haste},
    }
    with serving(config, place, "stage") as gateway:
        yield Stage(gateway, mocks.closing, mocks.keeping, admin_port)


@pytest.fixture(scope="session")
def failing(mocks: Mocks, place: Path) -> Iterator[Gateway]:
    """A gateway with many models of three targets each."""
    names = ("one", "two", "three")
    config = {
        "listen": {"port": 0, "edge_port": 0, "admin": False},
        "providers": {
            name: {"dialect": "openai_chat", "address": f"{mocks.closing.origin}/v1"}
            for name in ("one", "two", "three")
        },
        "models": {
            f"fails-{number}": {"targets": [f"{name}/fails-{number}-{name}" for name in names]} for number in range(100)
        },
    }
    with serving(config, place, "failing") as gateway:
        yield gateway


@pytest.fixture(params=DOORS)
def door_name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def door(door_name: str, stage: Stage) -> Door:
    return stage.gateway.doors[door_name]


@pytest.fixture(scope="session")
def played(mocks: Mocks, place: Path) -> Round:
    return play(list(cells(FAULTS, ROUNDS)), mocks, place / "round")


@pytest.fixture(scope="session")
def played_elsewhere(mocks: Mocks, place: Path) -> Round:
    """A part of the matrix for the other pairs of dialects."""
    return play(list(few_cells(FAULTS, OTHERS)), mocks, place / "dialects")
