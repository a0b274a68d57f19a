"""`python -m benches.rig`: measures and reports; `python -m benches.rig report FOLDER` only reports."""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

from benches.rig import machine, programs, report, rounds, startup
from benches.rig.peers import PEERS
from benches.rig.workloads import PLANS

RESULTS = programs.ROOT / "benches" / "results"


def main() -> int:
    """Exit status 0, or 2 when there is nothing worth measuring."""
    options = _options()
    if options.verb == "report":
        folders = [Path(options.folder)] if options.folder else [file.parent for file in RESULTS.glob("*/raw.jsonl")]
        for folder in folders:
            _report(folder)
        return 0
    refusal = _refusal()
    if refusal:
        print(refusal, file=sys.stderr)
        return 2
    about = _about()
    folder = Path(options.folder) if options.folder else RESULTS / about["commit"]
    folder.mkdir(parents=True, exist_ok=True)
    descriptors = programs.raise_descriptor_limit()
    # A shell starts background jobs with it ignored; what we start would inherit that, and it is how we end them.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    wanted = [name.strip() for name in options.plans.split(",")] if options.plans else None
    unknown = set(wanted or ()) - {plan.name for plan in PLANS} - {"startup"}
    if unknown:
        print(
            f"no such plan: {', '.join(sorted(unknown))}; there are {', '.join(p.name for p in PLANS)}", file=sys.stderr
        )
        return 2
    raw = folder / "raw.jsonl"
    with raw.open("a" if options.append else "w") as file:

        def keep(row: dict[str, Any]) -> None:
            file.write(json.dumps(row, separators=(",", ":")) + "\n")
            file.flush()

        if not (options.append and raw.stat().st_size):
            keep(about)
        if wanted is None or "startup" in wanted:
            keep(startup.measure())
        for plan in PLANS:
            if wanted is not None and plan.name not in wanted:
                continue
            began = time.monotonic()
            measured = plan.beside(PEERS[options.peer]) if options.peer else plan
            for row in rounds.run(measured, options.rounds or plan.rounds, descriptors, options.window):
                keep(row)
            print(f"{plan.name}: {time.monotonic() - began:.0f} s", file=sys.stderr)
    _report(folder)
    return 0


def _report(folder: Path) -> None:
    text = report.render(folder)
    (folder / "report.md").write_text(text)
    print(text)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benches.rig", description=__doc__)
    parser.add_argument("verb", nargs="?", choices=("run", "report"), default="run")
    parser.add_argument("folder", nargs="?", help="where the raw rows are; default benches/results/COMMIT")
    parser.add_argument("--plans", help="comma-separated names, such as W1-c16,W4,startup; default: all")
    parser.add_argument("--rounds", type=int, help="rounds of each plan")
    parser.add_argument("--window", type=float, help="seconds of each window")
    parser.add_argument("--peer", choices=sorted(PEERS), help="another gateway to measure beside")
    parser.add_argument("--append", action="store_true", help="add to the rows that are there")
    return parser.parse_args()


def _refusal() -> str | None:
    """Why nothing is measured, or None."""
    # As the contenders import it: the sources beside us.
    sys.path.insert(0, str(programs.ROOT / "python"))
    from fastroute import native

    if native.DEBUG_BUILD:
        return "benches.rig: this is a debug build of the extension; `make bench` builds and measures a release"
    if len(os.sched_getaffinity(0)) < 2:
        return "benches.rig: needs two cores, one for what is measured and one for what measures"
    return None


def _about() -> dict[str, Any]:
    """The first row: what is measured, with what, on what."""
    return {
        "kind": "run",
        "commit": _said("git", "rev-parse", "--short=12", "HEAD"),
        "changed": bool(_said("git", "status", "--porcelain", "--untracked-files=no")),
        "versions": {
            "python": sys.version.split()[0],
            "granian": metadata.version("granian"),
            "uvloop": metadata.version("uvloop"),
            "rustc": _said("rustc", "--version").split()[1],
            "nginx": _said("nginx", "-v").rpartition("/")[2],
        },
        "config": {
            "gateway": programs.gateway_config(programs.Ports(*range(len(programs.Ports._fields)))),
            "nginx": programs.NGINX,
        },
        "machine": machine.describe(),
    }


def _said(*command: str) -> str:
    # nginx writes its version to stderr.
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=programs.ROOT)
    return (done.stdout or done.stderr).strip()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except programs.StartError as error:
        print(f"benches.rig: {error}", file=sys.stderr)
        sys.exit(2)
