"""A gateway whose state outlives it, and its journal as a test reads it."""

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fastroute.native import read_segment
from flow.rig import Command, Door, Gateway, Upstream, configuration, data_process, free_port


class Journal:
    """The records of one instance, read from its segments."""

    def __init__(self, folder: Path) -> None:
        self.lines: list[dict[str, Any]] = []
        self.ends: dict[str, str] = {}
        for path in sorted(folder.glob("*.journal")):
            with contextlib.suppress(FileNotFoundError):
                lines, self.ends[path.name], _ = read_segment(path.read_bytes())
                self.lines += map(json.loads, lines)

    def of(self, record: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["record"] == record]

    @property
    def intents(self) -> dict[str, dict[str, Any]]:
        return {line["attempt"]: line for line in self.of("intent")}

    @property
    def settles(self) -> dict[str, dict[str, Any]]:
        found = {line["attempt"]: line for line in self.of("settle")}
        assert len(found) == len(self.of("settle")), "an attempt ends once"
        return found

    @property
    def left(self) -> set[str]:
        return self.intents.keys() - self.settles.keys()


def journal_of(folder: Path, gateway: Gateway) -> Path:
    """Where a gateway with its log in this folder keeps its journal."""
    return folder / "state" / str(gateway.doors["granian"].place[1]) / "journal"


class Instance:
    """A gateway with ports and a state folder that outlive it."""

    def __init__(self, folder: Path, upstream: Upstream, **journal: Any) -> None:
        self.folder = folder
        self.config = configuration(upstream.origin, free_port())
        self.config["listen"] |= {"port": free_port(), "edge_port": free_port()}
        self.config["journal"] = journal
        self.file = folder / "gateway.yaml"
        self.file.write_text(json.dumps(self.config))
        self.commands: list[Command] = []

    def start(self, log_folder: Path | None = None, env: Mapping[str, str] | None = None) -> Gateway:
        log = (log_folder or self.folder) / f"gateway-{len(self.commands)}.log"
        state = str(self.folder / "state")
        self.commands.append(Command(log, "serve", "-c", str(self.file), "--state-dir", state, env=env))
        return Gateway(self.commands[-1])

    @property
    def process(self) -> int:
        """The data process."""
        return data_process(self.commands[-1])

    @property
    def journal(self) -> Journal:
        return Journal(self.folder / "state" / str(self.config["listen"]["port"]) / "journal")

    @property
    def admin(self) -> Door:
        return Door("admin", f"http://127.0.0.1:{self.config['listen']['admin_port']}")

    def metric(self, name: str) -> int:
        return self.count(f"journal_{name}")

    def count(self, name: str) -> int:
        text = self.admin.send("GET", "/metrics").body.decode()
        return next(int(line.split()[1]) for line in text.splitlines() if line.startswith(f"fastroute_{name} "))

    def stop(self) -> None:
        for command in self.commands:
            command.stop()


def accepted(upstream: Upstream) -> list[str]:
    """Ids of the attempts that the upstream has seen."""
    return [row["headers"]["x-fastroute-attempt"] for row in upstream.rows()]
