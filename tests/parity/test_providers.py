"""The page of parity says what each provider of the catalogue has, cell by cell: asked through a gateway."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from fastroute.catalogue import read_catalogue
from parity.feature import LOST, YES, Cell
from parity.providers import RECORDED, conversing, measured, opened, silent
from parity.render import Providers, render
from parity.table import FEATURES
from unit.test_catalogue_recordings import MORE_ROWS

PAGE = Path(__file__).parents[2] / "docs" / "parity.md"


@pytest.fixture(scope="module")
def providers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Providers]:
    with opened(tmp_path_factory.mktemp("providers")) as ways:
        yield measured(ways)


@pytest.fixture(scope="module")
def page() -> dict[tuple[str, str], Cell]:
    """The cells of the page by provider and feature."""
    rows = [
        [cell.strip() for cell in line.strip("|").split(" | ")]
        for line in PAGE.read_text(encoding="utf-8").partition("## Providers")[2].splitlines()
        if line.startswith("|")
    ]
    names = rows[0][3:]
    return {
        (row[0].strip("`"), name): YES if cell == "●" else cell
        for row in rows[2:]
        for name, cell in zip(names, row[3:], strict=True)
    }


@pytest.mark.parametrize("provider", conversing())
@pytest.mark.parametrize("feature", [feature.name for feature in FEATURES], ids=lambda name: re.sub(r"\W+", "-", name))
def test_a_provider_has_what_the_page_says(
    feature: str, provider: str, providers: Providers, page: dict[tuple[str, str], Cell]
) -> None:
    assert providers[provider][feature] == page[provider, feature]


def test_every_provider_of_the_catalogue_is_on_the_page_and_nothing_is_lost(providers: Providers) -> None:
    assert {*conversing(), *silent()} == read_catalogue().providers.keys()
    assert [name for name, cells in providers.items() if LOST in cells.values()] == []


def test_the_page_of_parity_is_fresh(providers: Providers) -> None:
    fresh = PAGE.read_text(encoding="utf-8") == render(providers)
    assert fresh, "stale: cd tests && PYTHONPATH=../python python -m parity.render > ../docs/parity.md"


def test_what_the_page_calls_recorded_is() -> None:
    folder = os.environ.get("FASTROUTE_RECORDINGS")
    if folder is None:
        pytest.skip("FASTROUTE_RECORDINGS is not set: whose exchanges are recorded is not compared")
    files = {file.name.partition(".")[0] for file in Path(folder).glob("*.jsonl.gz")}
    rows = {row for file in files for row in (file, *MORE_ROWS.get(file, ()))}
    assert set(RECORDED) == rows & conversing().keys()
