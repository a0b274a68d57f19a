"""What the gateway costs before its first request: time to ready, to import, to show help; memory, disk, packages."""

import contextlib
import importlib.metadata
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from benches.rig import machine, programs

REPEATS = 7


def measure() -> dict[str, Any]:
    """One row of the raw results."""
    return {
        "kind": "startup",
        "import_ms": _python("import fastroute"),
        "bare_python_ms": _python("pass"),
        "help_ms": _python("from fastroute.cli import main; main()", "--help"),
        **_ready(),
        **_installed(),
    }


def _python(code: str, *arguments: str) -> float:
    """Median time of a new interpreter that runs this, in milliseconds."""
    environ = os.environ | programs.python_environ()
    times = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        subprocess.run(
            [sys.executable, "-c", code, *arguments], check=True, env=environ, stdout=subprocess.DEVNULL, cwd="/"
        )
        times.append(time.perf_counter() - began)
    return median(times) * 1000


def _ready() -> dict[str, float]:
    """From the start of the command to the first answered request, and memory some seconds later."""
    times: list[float] = []
    resident: dict[str, float] = {}
    for _ in range(REPEATS):
        ports = programs.free_ports()
        with contextlib.ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fastroute-rig-")))
            began = time.perf_counter()
            program = stack.enter_context(programs.gateway(folder, ports))
            programs.first_answer(ports.edge)
            times.append((time.perf_counter() - began) * 1000)
            if not resident:
                time.sleep(programs.SETTLE_S)
                supervisor, *rest = program.pids()
                resident["idle_data_process_kib"] = machine.resident_kib(rest)
                resident["idle_supervisor_kib"] = machine.resident_kib([supervisor])
    return {"ready_ms": median(times), **resident}


def _installed() -> dict[str, Any]:
    """Packages that a base installation needs beside ours, and bytes on disk of all of them."""
    # A checkout that is not installed has no metadata; its requirements are in pyproject.toml then.
    found: set[str] = set()
    waiting = _requirements()
    while waiting:
        name = _normal(waiting.pop())
        if name in found:
            continue
        try:
            distribution = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        found.add(name)
        waiting += [_named(each) for each in distribution.requires or [] if "extra ==" not in each and _applies(each)]
    sizes = {name: sum(_size(name)) for name in found}
    ours = sum(file.stat().st_size for file in (programs.ROOT / "python").rglob("*") if file.suffix != ".pyc")
    extension = sum(file.stat().st_size for file in (programs.ROOT / "python" / "fastroute").glob("_core*.so"))
    return {
        "packages": sorted([*found, "fastroute"]),
        "installed_bytes": sum(sizes.values()) + ours,
        "extension_bytes": extension,
        "package_bytes": dict(sorted(sizes.items())),
    }


def _requirements() -> list[str]:
    import tomllib

    project = tomllib.loads((programs.ROOT / "pyproject.toml").read_text())["project"]
    return [_named(each) for each in project["dependencies"]]


def _named(requirement: str) -> str:
    return re.split(r"[\s\[<>=!~;(]", requirement, maxsplit=1)[0]


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _applies(requirement: str) -> bool:
    """Whether a marker concerns this platform, as far as we use markers: others' systems do not count."""
    return not re.search(r"sys_platform == ['\"]win32|platform_system == ['\"]Windows|python_version < ", requirement)


def _size(name: str) -> list[int]:
    files = importlib.metadata.distribution(name).files or []
    paths = [Path(str(file.locate())) for file in files if not str(file).endswith(".pyc")]
    return [path.stat().st_size for path in paths if path.is_file()]
