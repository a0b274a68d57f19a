"""An upstream that may be killed, stopped and started again at the same address, and what all its lives saw.

One rule: its log is read just before it is killed. One surprise: what it accepted in the moment between is known to
nobody, so each kill has a `Blind` time in which the journal may know more than the logs.
"""

import json
import signal
import time
from pathlib import Path
from typing import Any, NamedTuple

from flow.rig import Command, Upstream, free_port


class Blind(NamedTuple):
    """Wall-clock milliseconds, as the journal has them."""

    since_ms: float
    until_ms: float


class Mortal:
    """The scripted upstream at a port that stays its own."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        self.port = free_port()
        self.blind: list[Blind] = []
        self._folder = folder
        self._script: dict[str, Any] = {}
        self._past: list[dict[str, Any]] = []
        self._lives = 0
        self._command: Command | None = None
        self._upstream: Upstream | None = None
        self.start()

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """It listens, and behaves as it was last told."""
        self._lives += 1
        log = self._folder / f"{self.name}-{self._lives}.log"
        self._command = Command(log, "mock", "--port", str(self.port))
        self._upstream = Upstream(self._command)
        self._tell()

    def behave(self, *rules: Any, **defaults: Any) -> None:
        """Another script from now on; what it saw so far is kept."""
        self._script = {"rules": rules, "defaults": defaults}
        self._tell()

    def _tell(self) -> None:
        if self._upstream is not None:
            self._upstream.call("PUT", "script", json.dumps(self._script).encode())

    def stop(self) -> None:
        """Stands still: its kernel still accepts connections, and nobody answers."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """Dies with all its connections. Not for one that stands still: it could not tell what it saw."""
        since_ms = time.time() * 1000
        self._past += self._now()
        self._signal(signal.SIGKILL)
        assert self._command is not None
        self._command.wait()
        self._command = self._upstream = None
        self.blind.append(Blind(since_ms, time.time() * 1000))

    def _signal(self, number: int) -> None:
        assert self._command is not None
        self._command.process.send_signal(number)

    def end(self) -> None:
        if self._command is not None:
            self.go_on()
            self._command.stop()

    def _now(self) -> list[dict[str, Any]]:
        return [] if self._upstream is None else self._upstream.rows()

    def rows(self) -> list[dict[str, Any]]:
        """What all its lives accepted, oldest first."""
        return [*self._past, *self._now()]

    def open_rows(self) -> list[dict[str, Any]]:
        """What it is working on."""
        return [row for row in self._now() if row["ended"] == "open"]

    def working(self) -> int:
        """How many requests it is working on."""
        assert self._upstream is not None
        return json.loads(self._upstream.call("GET", "stats"))["open"]
