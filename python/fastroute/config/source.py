"""A configuration file as read: its values, where each of them stands, and what was wrong already while reading.

One rule: nothing is judged here but the text itself. A mapping's keys are always text, whatever YAML thinks of them.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from fastroute.errors import Mistake

Path = tuple[str | int, ...]

# No configuration is nested deeper than ten.
MAX_DEPTH = 32


class Place(NamedTuple):
    """Line and column, both from 1."""

    line: int
    column: int


class Flaw(NamedTuple):
    """What is wrong at a path, before it is known where in a file that path stands.

    `shown` fills the `{}` of `text`; it is kept apart because a value that came out of a variable is not repeated.
    """

    path: Path
    text: str
    shown: str | None = None
    hint: str | None = None
    warning: bool = False
    at_key: bool = False
    place: Place | None = None
    relies_on: tuple[Path, ...] = ()
    """What else in the file it was judged by: where one of these does not fit, nothing is known of this."""
    meant: Path | None = None
    """The key that an unknown one is probably a slip of."""

    def message(self, reference: str | None = None) -> str:
        """The text, with `reference` (such as `${VAR}`) in the place of a value that it stood for."""
        if self.shown is None:
            return self.text
        return self.text.format(shorten(self.shown if reference is None else reference))


@dataclass(slots=True)
class Source:
    """What a reader of YAML or TOML fills in."""

    file: str
    tree: object = None
    values: dict[Path, Place] = field(default_factory=dict[Path, Place])
    keys: dict[Path, Place] = field(default_factory=dict[Path, Place])
    references: dict[Path, str] = field(default_factory=dict[Path, str])
    """Values that held a reference, as they were written."""
    flaws: list[Flaw] = field(default_factory=list[Flaw])

    def place(self, flaw: Flaw) -> Place:
        """Where a reader should look: the value, else its key, else what is around it."""
        if flaw.place is not None:
            return flaw.place
        for length in range(len(flaw.path), -1, -1):
            path = flaw.path[:length]
            key, value = self.keys.get(path), self.values.get(path)
            # Of what is not in the file itself, and of a block that starts below its key, the reader looks for the key.
            if key is not None and (flaw.at_key or path != flaw.path or value is None or value.line != key.line):
                return key
            if value is not None:
                return value
        return Place(1, 1)

    def mistake(self, flaw: Flaw) -> Mistake:
        line, column = self.place(flaw)
        reference = self.references.get(flaw.path)
        return Mistake(
            self.file, line, column, render_path(flaw.path), flaw.message(reference), flaw.hint, flaw.warning
        )


def render_path(path: Path) -> str:
    """`models.smart.targets[1]`; a key that is no plain word is quoted: `models["gpt-4.1"]`."""
    parts: list[str] = []
    for step in path:
        if isinstance(step, int):
            parts.append(f"[{step}]")
        elif step.replace("-", "_").isidentifier():
            parts.append(f".{step}")
        else:
            parts.append(f'["{shorten(step)}"]')
    return "".join(parts).removeprefix(".")


def shorten(text: str) -> str:
    """At most 80 printable characters, so that no name breaks a line of a report or a terminal."""
    clean = "".join(c if c.isprintable() else "�" for c in text)
    return clean if len(clean) <= 80 else f"{clean[:79]}…"


def whole(number: float) -> int | float:
    """`4000.0` is 4000: JSON Schema sees no difference, and neither does a reader."""
    return int(number) if number.is_integer() else number
