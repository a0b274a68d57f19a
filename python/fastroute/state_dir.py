"""Where an instance keeps what must outlive its processes: a private folder of its own, held while it runs.

The rule: two processes never write to one folder. The lock is inherited by the data process, so a supervisor that dies
does not give the folder away while its data process still ends its replies.
"""

import contextlib
import fcntl
import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from fastroute.errors import FastrouteError


class StateDirError(FastrouteError):
    """The folder cannot be used; the text says why and what to do."""


class Instance(NamedTuple):
    """A folder that is ours for as long as the descriptor is open in any process of ours."""

    path: Path
    lock: int

    @property
    def journal(self) -> Path:
        return self.path / "journal"


def state_home(chosen: str | None, env: Mapping[str, str]) -> Path:
    """The folder that holds one folder per instance. Raises StateDirError when nothing says where home is."""
    if chosen:
        return Path(chosen)
    if env.get("FASTROUTE_STATE_DIR"):
        return Path(env["FASTROUTE_STATE_DIR"])
    # systemd lists several where a unit asks for several.
    if env.get("STATE_DIRECTORY"):
        return Path(env["STATE_DIRECTORY"].split(":")[0])
    if env.get("XDG_STATE_HOME"):
        return Path(env["XDG_STATE_HOME"]) / "fastroute"
    if env.get("HOME"):
        return Path(env["HOME"]) / ".local" / "state" / "fastroute"
    raise StateDirError("nothing says where state may be kept; set FASTROUTE_STATE_DIR, or journal.enabled to false")


def hold(home: Path, name: str) -> Instance:
    """Takes the folder of instance `name`. Raises StateDirError when another process has it, or it cannot be made."""
    path = home / name
    try:
        _make_private(home)
        _make_private(path)
        lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        _take(lock, path)
        _make_private(path / "journal")
    except OSError as error:
        reason = error.strerror or str(error)
        raise StateDirError(
            f"state cannot be kept in {path}: {reason}; name another folder with --state-dir, or set journal.enabled "
            "to false to do without"
        ) from error
    return Instance(path, lock)


def _make_private(folder: Path) -> None:
    # One that is there keeps its mode: whoever made it meant it.
    if not folder.is_dir():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def _take(lock: int, path: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.pread(lock, 32, 0).decode(errors="replace").strip()
        os.close(lock)
        by = f"process {holder}" if holder.isdigit() else "another process"
        raise StateDirError(
            f"{path} is in use by {by}; stop it, or keep this instance's state elsewhere with --state-dir"
        ) from error
    # For people only, and no reason not to start: the disk may be full.
    with contextlib.suppress(OSError):
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
