"""A memory control group of a test's own, with a limit and a count of whom the kernel killed for it.

One rule: who cannot make one says why; whether that skips a test or only leaves its limit out is the test's own affair.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from flow.rig import eventually


class MemoryGroup(NamedTuple):
    folder: Path
    kills: str
    """The file that holds their count."""

    def take(self, process: int) -> None:
        """Its children begin where it is; those it has stay where they are."""
        (self.folder / "cgroup.procs").write_text(str(process))

    @property
    def killed(self) -> int:
        counts = dict(line.split() for line in (self.folder / self.kills).read_text().splitlines())
        return int(counts["oom_kill"])


@contextlib.contextmanager
def memory_group(limit_bytes: int) -> Iterator[MemoryGroup | str]:
    """The group, until everybody has left it; or why there is none."""
    found = _own() if os.geteuid() == 0 else None
    if found is None:
        yield "needs root and a memory control group"
        return
    above, limit, kills = found
    folder = above / f"fastroute-test-{os.getpid()}"
    try:
        folder.mkdir()
        (folder / limit).write_text(str(limit_bytes))
    except OSError as error:
        with contextlib.suppress(OSError):
            folder.rmdir()
        yield f"no memory control group can be made here: {error.strerror}"
        return
    yield MemoryGroup(folder, kills)
    eventually(lambda: not (folder / "cgroup.procs").read_text(), "everybody has left")
    folder.rmdir()


def _own() -> tuple[Path, str, str] | None:
    """The folder of our own group, and the names of the limit and of the count of kills."""
    root = Path("/sys/fs/cgroup")
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            return root / "memory" / path.lstrip("/"), "memory.limit_in_bytes", "memory.oom_control"
        if not controllers and (root / "cgroup.controllers").exists():
            return root / path.lstrip("/"), "memory.max", "memory.events"
    return None
