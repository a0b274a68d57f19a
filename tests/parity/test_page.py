"""The page of parity says what each dialect has, cell by cell."""

import json
import re
from pathlib import Path

import pytest

from fastroute import core
from parity.feature import DIALECTS, LOST, Feature
from parity.render import render
from parity.table import FEATURES

PAGE = Path(__file__).parents[2] / "docs" / "parity.md"


def told() -> dict[tuple[str, str], str]:
    """The cells of the page by feature and dialect."""
    rows = [
        [cell.strip() for cell in line.strip("|").split(" | ")]
        for line in PAGE.read_text(encoding="utf-8").splitlines()
        if line.startswith("|")
    ]
    start = next(number for number, row in enumerate(rows) if row[0] == "feature")
    names = [name.strip("`") for name in rows[start][1:]]
    return {(row[0], name): cell for row in rows[start + 2 :] for name, cell in zip(names, row[1:], strict=True)}


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("feature", FEATURES, ids=lambda feature: re.sub(r"\W+", "-", feature.name))
def test_a_dialect_has_what_the_page_says(feature: Feature, dialect: str) -> None:
    assert feature.cell(dialect) == told()[feature.name, dialect]


def test_the_page_of_parity_is_fresh_and_nothing_on_it_is_lost() -> None:
    assert LOST not in told().values()
    fresh = PAGE.read_text(encoding="utf-8") == render()
    assert fresh, "stale: cd tests && PYTHONPATH=../python python -m parity.render > ../docs/parity.md"


def test_embeddings_are_no_conversation() -> None:
    body = json.dumps({"model": "m", "input": "hi"}).encode()
    assert json.loads(core.translate_request(body, "openai_embeddings", "openai_embeddings").body)["input"] == "hi"
    for dialect in DIALECTS:
        with pytest.raises(core.DialectError):
            core.translate_request(body, "openai_embeddings", dialect)
