"""The package as it is installed: one version everywhere, few dependencies, and an import that costs little."""

import re
import resource
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from fastroute.version import VERSION

ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
WORKSPACE = tomllib.loads((ROOT / "Cargo.toml").read_text(encoding="utf-8"))["workspace"]

IMPORT_CPU_S = 0.100
MAX_PACKAGES = 10
"""With ours. What a base install brings is what an operator has to trust."""


def in_new_process(code: str, *flags: str) -> str:
    result = subprocess.run(
        [sys.executable, *flags, "-c", code],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(ROOT / "python")},
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def least_cpu_s(code: str) -> float:
    """Of five runs the least: neighbours on the machine only ever add to it."""

    def cpu_s() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        in_new_process(code)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime

    return min(cpu_s() for _ in range(5))


def test_the_version_is_the_same_everywhere() -> None:
    assert PYPROJECT["version"] == VERSION
    assert WORKSPACE["package"]["version"] == VERSION
    for manifest in ROOT.glob("rust/*/Cargo.toml"):
        crate = tomllib.loads(manifest.read_text(encoding="utf-8"))
        # One that is a workspace of its own is a tool and is not released.
        assert "workspace" in crate or crate["package"]["version"] == {"workspace": True}


def test_the_changelog_has_a_place_for_what_comes_next_or_is() -> None:
    headings = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert headings
    assert headings[0] == "Unreleased" or headings[0].startswith(VERSION)


def test_the_readme_names_the_rust_version_that_cargo_asks_for() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert WORKSPACE["package"]["rust-version"] in readme


def test_importing_the_package_costs_little() -> None:
    # The interpreter's own start is in it, and counts against us.
    assert least_cpu_s("import fastroute") < IMPORT_CPU_S


@pytest.mark.parametrize("module", ["fastroute", "fastroute.cli", "fastroute.gateway", "fastroute.core"])
def test_importing_starts_no_thread_and_opens_no_descriptor(module: str) -> None:
    code = f"""
import os, sys, threading
def state():
    here = os.path.isdir("/proc/self/task")
    threads = len(os.listdir("/proc/self/task")) if here else 1
    descriptors = len(os.listdir("/proc/self/fd")) if here else 0
    return threads, threading.active_count(), descriptors
before = state()
import {module}
print(before == state(), before[:2], state())
"""
    same, *counts = in_new_process(code, "-W", "ignore").split(maxsplit=1)
    assert same == "True", counts


def closure(names: list[str]) -> set[str]:
    """Every package that installing these brings along, on this interpreter and system."""
    found: set[str] = set()
    waiting = [Requirement(name) for name in names]
    while waiting:
        requirement = waiting.pop()
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        name = canonicalize_name(requirement.name)
        if name in found:
            continue
        found.add(name)
        waiting += map(Requirement, requires(name) or [])
    return found


def test_a_base_install_brings_few_packages() -> None:
    try:
        packages = closure(PYPROJECT["dependencies"])
    except PackageNotFoundError as error:
        pytest.skip(f"{error.name} is not installed here")
    assert len(packages) + 1 <= MAX_PACKAGES, sorted(packages)
    assert {"granian", "click", "uvloop", "msgspec", "pyyaml", "jsonschema-rs"} <= packages
