"""The page of parity says what each dialect has, cell by cell."""

import itertools
import json
import re
from pathlib import Path

import pytest

from fastroute import core
from parity.feature import DIALECTS, LOST, Feature
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
    mine = itertools.takewhile(lambda row: row[0] != "provider", rows[start + 2 :])
    return {(row[0], name): cell for row in mine for name, cell in zip(names, row[1:], strict=True)}


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("feature", FEATURES, ids=lambda feature: re.sub(r"\W+", "-", feature.name))
def test_a_dialect_has_what_the_page_says(feature: Feature, dialect: str) -> None:
    assert feature.cell(dialect) == told()[feature.name, dialect]


def test_nothing_of_a_dialect_is_lost() -> None:
    assert LOST not in told().values()


def test_embeddings_are_no_conversation() -> None:
    body = json.dumps({"model": "m", "input": "hi"}).encode()
    assert json.loads(core.translate_request(body, "openai_embeddings", "openai_embeddings").body)["input"] == "hi"
    for dialect in DIALECTS:
        with pytest.raises(core.DialectError):
            core.translate_request(body, "openai_embeddings", dialect)
