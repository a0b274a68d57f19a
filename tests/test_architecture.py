"""The house rules that a machine can check: names, sizes, docstrings, and who may import whom."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "python" / "fastroute"
OURS = (path for path in (ROOT / "tests").rglob("*.py") if "node_modules" not in path.parts)
PYTHON_FILES = sorted([*PACKAGE.rglob("*.py"), *OURS])
SOURCE_FILES = [*PYTHON_FILES, *sorted((ROOT / "rust").rglob("*.rs"))]

# Where one of these seems needed, a noun is missing.
FORBIDDEN_NAMES = {"base", "common", "context", "handler", "handlers", "helper", "helpers", "manager", "util", "utils"}

MAX_LINES = 1_000
MAX_DOCSTRING_LINES = 12

# A policy is a function of its arguments: clock and dice among them.
FORBIDDEN_TO_POLICIES = (
    "asyncio",
    "os",
    "random",
    "time",
    "fastroute.config",
    "fastroute.ledger",
    "fastroute.native",
    "fastroute.state",
    "fastroute.telemetry",
)


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def imports_of(source: str) -> Iterator[str]:
    """Every module `source` imports, wherever the import stands."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            # `from fastroute import state` names the module in the alias.
            yield from (node.module, *(f"{node.module}.{alias.name}" for alias in node.names))


def forbidden_to_policies(source: str) -> list[str]:
    return sorted(
        name
        for name in imports_of(source)
        if any(name == other or name.startswith(f"{other}.") for other in FORBIDDEN_TO_POLICIES)
    )


def test_there_is_something_to_check() -> None:
    assert len(PYTHON_FILES) > 10


@pytest.mark.parametrize("path", SOURCE_FILES, ids=_name)
def test_no_module_has_a_name_that_says_nothing(path: Path) -> None:
    assert not FORBIDDEN_NAMES & {part.removesuffix(path.suffix) for part in path.relative_to(ROOT).parts}


@pytest.mark.parametrize("path", SOURCE_FILES, ids=_name)
def test_no_file_is_too_long_to_read(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_LINES


@pytest.mark.parametrize("path", PYTHON_FILES, ids=_name)
def test_every_file_says_first_what_it_is(path: Path) -> None:
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    assert docstring, "no docstring"
    assert len(docstring.splitlines()) <= MAX_DOCSTRING_LINES


def test_imports_run_downwards_only() -> None:
    result = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-logo"],
        cwd=ROOT,
        env={"PYTHONPATH": str(PACKAGE.parent), "PATH": "", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert " 0 broken" in result.stdout


@pytest.mark.parametrize("path", sorted((PACKAGE / "policies").glob("*.py")), ids=_name)
def test_a_policy_reaches_for_nothing_but_its_arguments(path: Path) -> None:
    assert forbidden_to_policies(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "source, found",
    [
        ("import time", ["time"]),
        ("import os.path as p", ["os.path"]),
        ("def rank():\n    from random import random\n", ["random", "random.random"]),
        ("from fastroute import state", ["fastroute.state"]),
        ("from fastroute.config.schema import Config", ["fastroute.config.schema", "fastroute.config.schema.Config"]),
        ("from fastroute.facts import Facts\nimport math\nimport timeit", []),
    ],
)
def test_the_check_of_policies_sees_every_way_to_import(source: str, found: list[str]) -> None:
    assert forbidden_to_policies(source) == found


def test_importing_the_package_starts_nothing_and_loads_nothing_heavy() -> None:
    code = "import sys, threading, fastroute; print(threading.active_count(), *sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(PACKAGE.parent)},
        capture_output=True,
        text=True,
        check=True,
    )
    threads, *loaded = result.stdout.split()
    assert threads == "1"
    assert not {"click", "msgspec", "yaml", "asyncio", "fastroute._core", "granian"} & set(loaded)
