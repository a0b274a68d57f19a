"""The quirks of the catalogue: the file is what its readers take it for, and the page names every verb."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
CATALOGUE = ROOT / "python" / "fastroute" / "catalogue" / "quirks.toml"


def test_each_quirk_is_one_line_with_where_it_is_known_from() -> None:
    text = CATALOGUE.read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if " = " in line and not line.startswith("#")]
    quirks = sum(
        len(value) if isinstance(value, dict) else 1
        for table in tomllib.loads(text).values()
        for value in table.values()
    )
    assert len(lines) == quirks
    for line in lines:
        assert re.search(r"  # .*\((recorded|documented|translators)[^()]*\)$", line), line


def test_every_verb_of_the_code_is_on_the_page_and_no_other() -> None:
    code = (ROOT / "rust" / "core" / "src" / "quirks.rs").read_text(encoding="utf-8")
    struct = code.split("pub struct Quirks {")[1].split("\n}")[0]
    verbs = set(re.findall(r"^    pub (\w+):", struct, re.MULTILINE))
    page = (ROOT / "docs" / "quirks.md").read_text(encoding="utf-8")
    assert verbs == set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE))


def test_a_verb_in_use_has_a_case_that_names_its_provider() -> None:
    cases = (ROOT / "rust" / "core" / "tests" / "quirks.rs").read_text(encoding="utf-8")
    for provider in tomllib.loads(CATALOGUE.read_text(encoding="utf-8")):
        assert f'"{provider}"' in cases, provider
