"""The file of the configuration: when it has changed, and what of a change waits for the next start.

The surprise: a file that changed is read one look later, because an editor that writes it in place leaves it empty for
a moment, and an empty file is a valid one at the start. While requests run it is none, and neither is one of comments:
a command that writes it may take its time, or the disk may be full.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from fastroute.config.schema import Config

LOOK_S = 0.25
"""Two looks and a compilation make less than a second."""
LONGEST_NOTHING = 1 << 20
"""Bytes; a file of comments alone is not longer."""
NOTHING = frozenset(("", "{}", "null", "~", "---", "..."))
"""Lines of YAML that say nothing."""
AT_RUN_TIME = frozenset(("drain_timeout_s",))
"""The limits that a running process can change; its doors and its engine read the others once."""


class ConfigFile(NamedTuple):
    """Where the configuration came from."""

    path: str
    read: Callable[[], Config]
    """Reads, checks and completes it as at the start. Raises ConfigError."""


class Watch:
    """Looks whether a path leads to another file, or to other content; symbolic links on the way may change too."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._taken = self._seen = _state(path)

    def look(self) -> bool:
        """True once for every change, when two looks in a row have seen the same. A missing file is no change."""
        before, self._seen = self._seen, _state(self._path)
        if self._seen is None or self._seen != before or self._seen == self._taken:
            return False
        self._taken = self._seen
        return True

    def taken(self) -> None:
        """The file is being read as it is now, for another reason."""
        self._taken = self._seen = _state(self._path)


def is_empty(path: str) -> bool:
    """Nothing but comments is in it. So it is with pipes, which are not to be opened either: nobody may be at the other
    end."""
    try:
        size = Path(path).stat().st_size
        if not 0 < size <= LONGEST_NOTHING:
            return size == 0
        lines = Path(path).read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return False
    return all(line.strip() in NOTHING or line.lstrip().startswith("#") for line in lines)


def _state(path: str) -> tuple[int, ...] | None:
    try:
        found = Path(path).stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def not_at_run_time(before: Config, after: Config) -> list[str]:
    """The keys that differ and that a running process cannot change."""
    differ: list[str] = []
    for section, changeable in (("listen", frozenset[str]()), ("limits", AT_RUN_TIME)):
        old, new = getattr(before, section), getattr(after, section)
        differ += (
            f"{section}.{key}"
            for key in old.__struct_fields__
            if key not in changeable and getattr(old, key) != getattr(new, key)
        )
    return differ
