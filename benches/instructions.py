"""Instructions per call of the core's functions, counted by callgrind: the same from run to run, on a busy machine too.

`python -m benches.instructions` records a baseline for this compiler and this lock file; the guard compares with it.
"""

import hashlib
import json
import os
import re
import subprocess
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
BASELINES = ROOT / "benches" / "results" / "instructions.json"
# The first calls pay for look-ups that are done once (which vector instructions there are), so they are taken off.
FEW, MANY = 2, 12


def build() -> Path:
    """Compiles the counted program at release speed and gives its place."""
    command = ["cargo", "build", "--release", "--quiet", "-p", "fastroute-core", "--example", "instructions"]
    subprocess.run(command, check=True, cwd=ROOT)
    return Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release" / "examples" / "instructions"


def cases(program: Path) -> list[tuple[str, int]]:
    """Every function at its two sizes."""
    listed = subprocess.run([program, "list"], check=True, capture_output=True, text=True).stdout
    rows = [line.split() for line in listed.splitlines()]
    return [(name, int(size)) for name, *sizes in rows for size in sizes]


def count(program: Path, case: str, size: int) -> int:
    """Instructions of one call."""
    few, many = (_total(program, case, size, repeats) for repeats in (FEW, MANY))
    return (many - few) // (MANY - FEW)


def _total(program: Path, case: str, size: int, repeats: int) -> int:
    with tempfile.TemporaryDirectory() as folder:
        command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/out"]
        command += [str(program), case, str(size), str(repeats)]
        said = subprocess.run(command, check=True, capture_output=True, text=True).stderr
    found = re.search(r"Collected\s*:\s*(\d+)", said)
    if found is None:
        raise RuntimeError(f"callgrind counted nothing for {case} {size}: {said[-300:]}")
    return int(found[1])


def key() -> str:
    """What a baseline is valid for: compiler and dependencies."""
    compiler = subprocess.run(["rustc", "--version"], check=True, capture_output=True, text=True).stdout.split()[1]
    lock = hashlib.sha256((ROOT / "Cargo.lock").read_bytes()).hexdigest()[:12]
    return f"rustc {compiler}, lock {lock}"


def baselines() -> dict[str, dict[str, int]]:
    """All recorded baselines, by key, then by `case size`."""
    return json.loads(BASELINES.read_text()) if BASELINES.exists() else {}


def main() -> None:
    """Records."""
    program = build()
    counts = {f"{case} {size}": count(program, case, size) for case, size in cases(program)}
    BASELINES.parent.mkdir(exist_ok=True)
    BASELINES.write_text(json.dumps({key(): counts}, indent=1) + "\n")
    print(BASELINES.read_text())


if __name__ == "__main__":
    main()
