"""What the gateway put on record: the attempts of each request, in order, with how they ended.

One rule: the journal is read with the command that users have, after the gateway has gone.
"""

import collections
import subprocess
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from flow.rig import COMMAND, PYTHON


class Entry(Struct, frozen=True):
    """One attempt on record."""

    attempt: str
    ordinal: int
    target: str
    state: str | None
    """None: it has no end."""
    failure: str | None


def read(state: Path) -> dict[str, list[Entry]]:
    """The attempts on record, by the id of their request."""
    told = subprocess.run(
        [*COMMAND, "journal", "--json", "--state-dir", str(state)],
        env={"PYTHONPATH": str(PYTHON)},
        capture_output=True,
        check=True,
    )
    records = [msgspec.json.decode(line) for line in told.stdout.splitlines()]
    ends: dict[str, dict[str, Any]] = {record["attempt"]: record for record in records if record["record"] == "settle"}
    found: dict[str, list[Entry]] = collections.defaultdict(list)
    for record in records:
        if record["record"] == "intent":
            end = ends.get(record["attempt"], {"state": None, "failure": None})
            entry = Entry(record["attempt"], record["ordinal"], record["target"], end["state"], end["failure"])
            found[record["request_id"]].append(entry)
    for entries in found.values():
        entries.sort(key=lambda entry: entry.ordinal)
    return dict(found)
