"""An extension that does not belong to these sources: refused at the start, in one line that says what to do."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fastroute import facts
from fastroute.version import VERSION

PACKAGE = Path(__file__).parents[2] / "python" / "fastroute"
NAMES = (
    "DEBUG_BUILD = False\nWATCHDOG_SIGNAL = 0\n"
    "Engine = NextTable = load_script = model_family = model_spellings = read_segment = run_load = run_mock = None\n"
)
REMEDY = "; build it again with `make dev`, or reinstall fastroute"


@pytest.fixture
def beside(tmp_path: Path) -> Path:
    """These sources without their extension, for another to be put beside them."""
    shutil.copytree(PACKAGE, tmp_path / "fastroute", ignore=shutil.ignore_patterns("_core.*", "__pycache__"))
    return tmp_path


def run(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", "from fastroute.cli import main; main()", *arguments],
        env={"PYTHONPATH": str(folder), "FASTROUTE_STATE_DIR": str(folder / "state")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def fields(**changed: str) -> str:
    told = {name: " ".join(getattr(facts, name).__struct_fields__) for name in ("Facts", "Usage")}
    return f"FIELDS = {list((told | changed).items())!r}\n"


@pytest.mark.parametrize("command", [["mock", "--port", "0"], ["serve", "--port", "0"]], ids=["mock", "serve"])
def test_an_extension_of_another_version_is_refused_by_what_would_use_it(beside: Path, command: list[str]) -> None:
    other = beside / "fastroute" / "_core.py"
    other.write_text(f"__version__ = '0.0.9'\n{NAMES}{fields()}")
    result = run(beside, *command)
    assert result.returncode != 0
    assert result.stderr == f"{other} is version 0.0.9, and this package is {VERSION}{REMEDY}\n"


def test_an_extension_that_was_built_for_other_values_is_refused(beside: Path) -> None:
    other = beside / "fastroute" / "_core.py"
    other.write_text(f"__version__ = '{VERSION}'\n{NAMES}{fields(Usage='prompt_tokens')}")
    result = run(beside, "mock", "--port", "0")
    assert result.returncode == 1
    assert result.stderr == f"{other} was built for another fastroute/facts.py (Usage differs){REMEDY}\n"


def test_an_extension_that_lacks_a_name_is_refused(beside: Path) -> None:
    (beside / "fastroute" / "_core.py").write_text(f"__version__ = '{VERSION}'\n{NAMES}")
    result = run(beside, "mock", "--port", "0")
    assert result.returncode == 1
    assert result.stderr.startswith("the extension cannot be used: cannot import name 'FIELDS'")
    assert result.stderr.endswith(f"{REMEDY}\n")
    assert result.stderr.count("\n") == 1


def test_sources_without_an_extension_say_how_to_get_one(beside: Path) -> None:
    result = run(beside, "serve", "--port", "0")
    assert result.returncode != 0
    assert result.stderr.startswith("the extension cannot be used: ")
    assert result.stderr.endswith(f"{REMEDY}\n")
    assert result.stderr.count("\n") == 1
