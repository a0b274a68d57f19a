"""Coding agents as a user runs them: without a terminal, in a fresh home, with nothing but this machine to talk to."""

import contextlib
import json
import os
import platform
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

BIN = Path(sys.executable).parent
PACKAGES = Path(__file__).parent / "agents/node_modules"
NOWHERE = "http://127.0.0.1:9"
"""Nothing listens on the discard port: whoever tries to reach beyond this machine is refused at once."""
DEADLINE_S = 90.0
"""For one run; several times what the slowest takes on a busy machine of two cores."""
# As npm puts the packages there, without their install scripts.
STARTED_BY = {
    "claude": [str(BIN / "node"), "@anthropic-ai/claude-code/cli-wrapper.cjs"],
    "codex": [str(BIN / "node"), "@openai/codex/bin/codex.js"],
    "gemini": [str(BIN / "node"), "@google/gemini-cli/bundle/gemini.js"],
    # Its own package needs an install script to start; the one for older processors of this kind runs as it is.
    "opencode": ["opencode-linux-x64-baseline/bin/opencode"],
}


class Run(NamedTuple):
    """How one run ended, and what was printed."""

    status: int
    out: str
    err: str


class Agent:
    """One agent in a home and a project of its own."""

    def __init__(self, name: str, folder: Path, env: Mapping[str, str]) -> None:
        self.home, self.project = folder / "home", folder / "project"
        self.home.mkdir()
        self.project.mkdir()
        self._argv = _argv(name)
        own = {"HOME": str(self.home), "TMPDIR": str(self.home), "PATH": f"{BIN}:{os.environ['PATH']}", "TERM": "dumb"}
        proxies = {"HTTP_PROXY": NOWHERE, "HTTPS_PROXY": NOWHERE, "NO_PROXY": "127.0.0.1,localhost"}
        self._env = {**own, **proxies, **{key.lower(): value for key, value in proxies.items()}, **env}

    def write(self, path: str, value: object) -> None:
        """A file of its settings, in its home."""
        file = self.home / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(value if isinstance(value, str) else json.dumps(value))

    def run(self, *arguments: str, deadline_s: float = DEADLINE_S) -> Run:
        """Runs it to its end. Whatever it started and left behind goes with it."""
        with subprocess.Popen(
            [*self._argv, *arguments],
            cwd=self.project,
            env=self._env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as process:
            try:
                out, err = process.communicate(timeout=deadline_s)
            except subprocess.TimeoutExpired:
                _end(process.pid)
                out, err = process.communicate()
                pytest.fail(f"{arguments} did not end within {deadline_s:.0f} s: {out[-2_000:]} {err[-2_000:]}")
            finally:
                _end(process.pid)
        return Run(process.returncode, out, err)


def _end(group: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


def _argv(name: str) -> list[str]:
    *before, program = STARTED_BY[name]
    if name == "opencode" and (sys.platform, platform.machine()) != ("linux", "x86_64"):
        pytest.skip("opencode: only its program for Linux on x86-64 is installed")
    if not (PACKAGES / program).exists():
        pytest.fail(f"missing: {name}; `make test-clients` installs it", pytrace=False)
    return [*before, str(PACKAGES / program)]
