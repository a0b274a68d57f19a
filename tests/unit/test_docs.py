"""The pages hold what the code says: keys, codes, metrics, commands, examples and links.

A page that goes stale fails here, with the command or the row that mends it.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from fastroute import gateway
from fastroute.catalogue import find_providers
from fastroute.catalogue.reference import render_reference as render_providers
from fastroute.cli import COMMANDS
from fastroute.config import find_mistakes
from fastroute.config.reference import render_reference
from fastroute.config.schema import Config, Limits
from fastroute.listeners import LAME_DUCK_S

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
DECISIONS = sorted((DOCS / "decisions").glob("*.md"))
NAMES = (
    "OPENAI_API_KEY",
    "GROQ_API_KEY",
    "OPENROUTER_API_KEY",
    "AZURE_OPENAI_API_KEY",
    "DASHSCOPE_API_KEY",
    "PROXY_KEY",
)
KEYS: dict[str, str] = dict.fromkeys(NAMES, "x")
KEYS |= dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "OTHER_KEY"), "x")
KEYS |= dict.fromkeys(("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"), "x")

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def text_of(*parts: str) -> str:
    return ROOT.joinpath(*parts).read_text(encoding="utf-8")


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def rows(page: str) -> Iterator[list[str]]:
    """The cells of every table row of a page."""
    for line in page.splitlines():
        if line.startswith("|") and not line.startswith("|--"):
            yield [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip("|"))]


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_configuration_reference_is_what_the_structs_say() -> None:
    fresh = text_of("docs", "configure.md") == render_reference()
    assert fresh, "stale: python -m fastroute.config.reference > docs/configure.md"


def test_the_page_of_providers_is_what_the_rows_say() -> None:
    fresh = text_of("docs", "providers.md") == render_providers()
    assert fresh, "stale: python -m fastroute.catalogue.reference > docs/providers.md"


@each_page
def test_links_lead_somewhere(page: Path) -> None:
    prose = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    for link in re.findall(r"\]\(([^)\s]+)\)", prose):
        if re.match(r"https?://", link):
            continue
        place, _, anchor = link.partition("#")
        target = (page.parent / place).resolve() if place else page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link


@each_page
def test_files_that_are_named_exist(page: Path) -> None:
    named = re.findall(r"`((?:rust|python|tests|docs|benches)/[\w./*-]+)`", page.read_text(encoding="utf-8"))
    for name in set(named):
        assert list(ROOT.glob(name.rstrip("/"))), name


@each_page
def test_examples_of_configurations_have_no_mistakes(page: Path, tmp_path: Path) -> None:
    for number, block in enumerate(blocks(page, "yaml")):
        tree = yaml.safe_load(block)
        if not isinstance(tree, dict) or not set(tree) <= set(Config.__struct_fields__):
            continue
        file = tmp_path / f"{number}.yaml"
        file.write_text(block, encoding="utf-8")
        assert [str(mistake) for mistake in find_mistakes(file, find_providers(KEYS).known(), KEYS)] == []


def test_there_are_examples_of_configurations_to_check() -> None:
    assert len(blocks(ROOT / "README.md", "yaml")) == 2
    assert len(blocks(DOCS / "add-a-provider.md", "yaml")) == 2
    assert len(blocks(DOCS / "configure.md", "yaml")) == 1


@each_page
def test_examples_in_python_are_python(page: Path) -> None:
    for block in blocks(page, "python"):
        ast.parse(block)


def test_the_policy_of_the_page_passes_the_test_of_the_page(tmp_path: Path) -> None:
    policy, its_test = blocks(DOCS / "add-a-policy.md", "python")
    (tmp_path / "own_policies.py").write_text(policy, encoding="utf-8")
    (tmp_path / "test_own_policies.py").write_text(its_test, encoding="utf-8")
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", tmp_path, tmp_path],
        cwd=tmp_path,
        env={"PYTHONPATH": f"{ROOT / 'python'}:{tmp_path}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "1 passed" in result.stdout, result.stdout + result.stderr


def codes_in_the_code() -> set[tuple[int, str]]:
    """Every status and code that a client can be sent or an outcome can hold."""
    table = text_of("rust", "core", "src", "failure", "kind.rs")
    found = re.findall(r"=> \(\w+, (\d{3}), \"(\w+)\"", table)
    doors = [
        *ROOT.glob("rust/engine/src/doors/**/*.rs"),
        *ROOT.glob("rust/py/src/*.rs"),
        *ROOT.glob("rust/engine/src/*.rs"),
    ]
    for file in doors:
        source = file.read_text(encoding="utf-8").partition("#[cfg(test)]\nmod tests {")[0]
        found += re.findall(r"Problem::request\(\s*(\d{3}),\s*\"(\w+)\"", source)
        found += re.findall(r"=>\s*\{?\s*\((\d{3}), \"(\w+)\"\)", source)
        found += re.findall(r"status: (\d{3}),(?:\s*kind: \"\w+\",)?\s*code: \"(\w+)\"", source)
    held = text_of("rust", "core", "src", "passes", "held.rs")
    found += [("400", code) for code in re.findall(r"\(Dialect::\w+, \"\w+\", \"(\w+)\"\)", held)]
    found += re.findall(r"Refusal\((\d{3}), \"(\w+)\"", text_of("python", "fastroute", "gateway.py"))
    return {(int(status), code) for status, code in found}


def test_every_code_a_client_can_see_is_on_the_page_with_its_status() -> None:
    page = {(int(cells[0]), cells[1].strip("`")) for cells in rows(text_of("docs", "errors.md")) if cells[0].isdigit()}
    code = codes_in_the_code()
    assert len(code) > 25
    assert code - page == set(), "codes without a row"
    assert page - code == set(), "rows without a code"


def test_every_metric_is_on_the_page_with_its_kind() -> None:
    page = {(cells[0].strip("`"), cells[1]) for cells in rows(text_of("docs", "operate.md")) if len(cells) == 3}
    engine = ("rust", "engine", "src")
    source = "".join(text_of(*engine, name) for name in ("metrics.rs", "pressure.rs"))
    source += text_of(*engine, "journal", "counters.rs")
    metrics = set(re.findall(r"\"(fastroute_\w+)\",\s*\"(gauge|counter)\"", source))
    told = text_of("python", "fastroute", "health", "exposition.py")
    metrics |= set(re.findall(r"# TYPE (fastroute_\w+) (gauge|counter)", told))
    assert metrics
    assert metrics - page == set()
    assert {name for name, _ in page if name.startswith("fastroute_")} == {name for name, _ in metrics}


def test_every_header_of_a_reply_is_in_the_readme() -> None:
    source = text_of("rust", "engine", "src", "problem.rs")
    headers = re.findall(r"HeaderName::from_static\(\"([\w-]+)\"\)", source)
    assert len(headers) > 4
    readme = text_of("README.md")
    assert [header for header in headers if f"`{header}`" not in readme] == []


def test_every_command_is_in_the_readme_and_no_other() -> None:
    named = {cells[0].strip("`") for cells in rows(text_of("README.md")) if cells[0].startswith("`fastroute ")}
    assert named == {f"fastroute {name}" for name in COMMANDS}


@each_page
def test_commands_in_examples_exist(page: Path) -> None:
    for block in blocks(page, "(?:sh|console)"):
        for command in re.findall(r"bin/fastroute (\w+)", block):
            assert command in COMMANDS
        for verb in re.findall(r"\bmake (\w[\w-]*)", block):
            assert re.search(rf"^{verb}:", text_of("Makefile"), re.MULTILINE), verb


def test_the_readme_begins_with_how_to_run_and_how_to_test() -> None:
    first = blocks(ROOT / "README.md", "sh")[0].splitlines()
    assert [line.split("#")[0].strip() for line in first] == ["make run", "make test"]


def constant(file: str, name: str) -> float:
    """A number from a source file that costs too much to import here."""
    found = re.search(rf"^{name}(?:: \w+)? = ([\d.]+)$", text_of(*file.split("/")), re.MULTILINE)
    assert found, name
    return float(found[1])


def test_the_grace_that_operators_are_told_to_give_covers_a_whole_stop() -> None:
    process = "python/fastroute/process.py"
    stop_s = LAME_DUCK_S + Limits().drain_timeout_s + constant(process, "SETTLE_S")
    page = text_of("docs", "operate.md")
    for setting in ("terminationGracePeriodSeconds: ", "TimeoutStopSec="):
        told = re.findall(rf"{setting}(\d+)", page)
        assert told
        assert all(int(value) >= stop_s for value in told)


def test_what_authors_of_policies_are_told_is_what_happens() -> None:
    page = text_of("docs", "add-a-policy.md")
    assert f"left alone for {gateway.TRIP_S:g} s" in page
    limit = re.search(r"LIMIT: Duration = Duration::from_millis\((\d+)\)", text_of("rust", "py", "src", "watchdog.rs"))
    assert limit
    assert f"holds the loop for {limit[1]} ms" in page


def test_decisions_are_numbered_without_a_gap_and_say_what_would_change_them() -> None:
    numbers = [int(page.name[:4]) for page in DECISIONS]
    assert numbers == list(range(1, len(numbers) + 1))
    for page in DECISIONS:
        decision = page.read_text(encoding="utf-8")
        assert "\n## Context\n" in decision, page.name
        assert re.search(r"^## What would change our mind$", decision, re.MULTILINE), page.name
