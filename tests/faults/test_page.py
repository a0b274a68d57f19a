"""The page of faults says what the table says."""

from pathlib import Path

from faults.fault import State
from faults.render import render, states
from faults.table import FAULTS

PAGE = Path(__file__).parents[2] / "docs" / "faults.md"


def test_the_page_of_faults_is_what_the_table_says() -> None:
    fresh = PAGE.read_text(encoding="utf-8") == render()
    assert fresh, "stale: cd tests && PYTHONPATH=../python python -m faults.render > ../docs/faults.md"


def test_every_state_on_the_page_is_explained() -> None:
    page = render()
    for state in states(FAULTS) | set(State):
        assert f"| `{state}` |" in page
