"""Every fault of the table, in every phase it has, streamed and plain, with and without a second target, at both doors.

For chat before chat every cell is asked, for each other pair of dialects a part of them, and all in the long form.

One rule: the table says what must be seen; nothing here does. One surprise: all cells are asked together in one round,
so a test only looks at what that round left behind.
"""

import itertools
from pathlib import Path

import pytest

from faults.cell import DOORS, cells
from faults.fault import Fault, Phase, Way
from faults.judge import breaches, differences
from faults.pair import OTHERS, Pair
from faults.round import Mocks, Round, play
from faults.table import FAULTS

LONG_GATEWAYS = 10
LONG_ROUNDS = 5
FAULTS_OF_CHAT = 1
"""Faults that other dialects have nothing of the kind of."""


def test_the_table_is_as_wide_as_it_should_be() -> None:
    assert len(FAULTS) >= 48
    names = [fault.name for fault in FAULTS]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_is_seen_as_the_table_says(fault: Fault, door: str, played: Round) -> None:
    mine = [each for each in played.observations if (each.cell.fault.name, each.cell.door) == (fault.name, door)]
    assert mine
    assert [f"{each.cell.label}: {text}" for each in mine for text in differences(each)] == []


def test_nothing_is_lost_leaked_or_told_that_should_not_be(played: Round) -> None:
    assert list(breaches(played)) == []


@pytest.mark.parametrize("pair", OTHERS, ids=lambda pair: pair.label)
def test_a_fault_is_seen_the_same_in_other_dialects(pair: Pair, played_elsewhere: Round) -> None:
    mine = [each for each in played_elsewhere.observations if each.cell.pair == pair]
    assert len({each.cell.fault.name for each in mine}) >= len(FAULTS) - FAULTS_OF_CHAT
    assert [f"{each.cell.label}: {text}" for each in mine for text in differences(each)] == []


def test_a_part_of_the_matrix_meets_every_phase_way_door_and_company(played_elsewhere: Round) -> None:
    for pair in OTHERS:
        mine = [each.cell for each in played_elsewhere.observations if each.cell.pair == pair]
        met = {(cell.what.phase, cell.what.way) for cell in mine} | {(cell.door, cell.second) for cell in mine}
        # A plain reply that breaks off was not begun, where it is not chat's.
        assert met >= {*itertools.product(Phase, Way), *itertools.product(DOORS, (True, False))} - {
            (Phase.DELIVERED, Way.PLAIN)
        }


def test_nothing_is_lost_leaked_or_told_in_other_dialects(played_elsewhere: Round) -> None:
    assert list(breaches(played_elsewhere)) == []


@pytest.mark.long
@pytest.mark.parametrize("pair", OTHERS, ids=lambda pair: pair.label)
def test_the_whole_matrix_in_other_dialects(pair: Pair, mocks: Mocks, tmp_path: Path) -> None:
    seen = play(list(cells(FAULTS, 1, pairs=[pair])), mocks, tmp_path)
    assert [f"{each.cell.label}: {text}" for each in seen.observations for text in differences(each)] == []
    assert list(breaches(seen)) == []


@pytest.mark.long
def test_the_whole_matrix_many_times(mocks: Mocks, tmp_path: Path) -> None:
    requests = 0
    for turn in range(LONG_GATEWAYS):
        seen = play(list(cells(FAULTS, LONG_ROUNDS)), mocks, tmp_path / str(turn))
        requests += len(seen.observations)
        wrong = [f"{each.cell.label}: {text}" for each in seen.observations for text in differences(each)]
        assert wrong == []
        assert list(breaches(seen)) == []
    assert requests >= 25_000
