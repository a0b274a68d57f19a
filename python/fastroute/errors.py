"""The public exception tree. What the caller can act on gets a name; everything else stays a FastrouteError.

    FastrouteError
    ├── ConfigError          the configuration has mistakes; `.mistakes` lists every one of them
    ├── EngineError          the engine cannot be used here: wrong process, wrong version, already closed
    └── PolicyError          a routing policy broke its contract
        └── PolicyTimeout    … by holding the loop for too long

One rule: no text in here ever holds a key, a prompt or a reply.
"""

from collections.abc import Sequence
from typing import NamedTuple


class Mistake(NamedTuple):
    """One thing wrong in a configuration: where, what, and what to do about it.

    `line` and `column` count from 1; both are 0 when the configuration did not come from a file. `path` is written
    as a reader would say it (`models.smart.targets[1]`). A warning does not keep the configuration from loading.
    """

    file: str
    line: int
    column: int
    path: str
    message: str
    hint: str | None = None
    warning: bool = False

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}: " if self.file else ""
        level = "warning: " if self.warning else ""
        path = f"{self.path}: " if self.path else ""
        hint = f"; {self.hint}" if self.hint else ""
        return f"{place}{level}{path}{self.message}{hint}"


class FastrouteError(Exception):
    """Anything that fastroute raises on purpose."""


class ConfigError(FastrouteError):
    """The configuration cannot be used; `mistakes` holds all of them, in file order."""

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__("\n".join(map(str, self.mistakes)))


class EngineError(FastrouteError):
    """The engine cannot be used from here; the text says what to do instead."""


class PolicyError(FastrouteError):
    """A policy returned what it must not, or raised."""


class PolicyTimeout(PolicyError):
    """A policy held the loop longer than a decision may take."""
