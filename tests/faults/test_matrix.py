"""Every fault of the table, in every phase it has, streamed and plain, with and without a second target, at both doors.

One rule: the table says what must be seen; nothing here does. One surprise: all cells are asked together in one round,
so a test only looks at what that round left behind.
"""

from pathlib import Path

import pytest

from faults.cell import DOORS, cells
from faults.fault import Fault
from faults.judge import breaches, differences
from faults.round import Mocks, Round, play
from faults.table import FAULTS

LONG_GATEWAYS = 10
LONG_ROUNDS = 5


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
