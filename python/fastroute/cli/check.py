"""`fastroute check`: every mistake in a configuration file at once, for people, editors and CI.

Exit status 0 when the file can be used (warnings allowed), 2 when it cannot.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import click
import msgspec

from fastroute.catalogue import find_providers
from fastroute.cli.frame import command, option
from fastroute.config import find_mistakes
from fastroute.errors import Mistake

# What `check` looks for when no file is named.
_USUAL_NAMES = ("fastroute.yaml", "fastroute.yml", "fastroute.toml")


@command(
    "check",
    "fastroute check                          # fastroute.yaml in this folder",
    "fastroute check gateway.yaml             # file:line:column: path: what is wrong",
    "fastroute check --format github          # annotations on a pull request",
)
@click.argument("file", required=False, type=click.Path(dir_okay=False), envvar="FASTROUTE_CONFIG")
@option(
    "--format",
    "form",
    env="FASTROUTE_CHECK_FORMAT",
    type=click.Choice(["text", "json", "github"]),
    default="text",
    help="How mistakes are written.",
)
def check(file: str | None, form: str) -> None:
    """Find every mistake in a configuration file.

    FILE is YAML or TOML; without it $FASTROUTE_CONFIG is taken, then fastroute.yaml, .yml or .toml in this folder.
    """
    path = file or _usual_file()
    mistakes = find_mistakes(path, find_providers(os.environ).known())
    for line in _FORMS[form](mistakes):
        click.echo(line)
    if form == "text":
        # On stderr, so that stdout stays one mistake a line for whoever reads it from a pipe.
        click.echo(f"{path}: {_summary(mistakes)}", err=True)
    if any(not mistake.warning for mistake in mistakes):
        raise SystemExit(2)


def _usual_file() -> str:
    found = next((name for name in _USUAL_NAMES if Path(name).is_file()), None)
    if found is None:
        raise click.UsageError(f"no file named, and none of {', '.join(_USUAL_NAMES)} is in this folder")
    return found


def _summary(mistakes: Sequence[Mistake]) -> str:
    errors = sum(not mistake.warning for mistake in mistakes)
    warnings = len(mistakes) - errors
    return f"{_count(errors, 'mistake')}, {_count(warnings, 'warning')}" if warnings else _count(errors, "mistake")


def _count(number: int, noun: str) -> str:
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"


def _text(mistakes: Sequence[Mistake]) -> Iterator[str]:
    yield from map(str, mistakes)


def _json(mistakes: Sequence[Mistake]) -> Iterator[str]:
    rows = [
        {
            "file": mistake.file,
            "line": mistake.line,
            "column": mistake.column,
            "path": mistake.path,
            "message": mistake.message,
            "hint": mistake.hint,
            "level": "warning" if mistake.warning else "error",
        }
        for mistake in mistakes
    ]
    yield msgspec.json.format(msgspec.json.encode(rows), indent=2).decode()


def _github(mistakes: Sequence[Mistake]) -> Iterator[str]:
    for mistake in mistakes:
        level = "warning" if mistake.warning else "error"
        place = f"file={_property(mistake.file)},line={mistake.line},col={mistake.column}"
        text = str(mistake._replace(file="", warning=False))
        yield f"::{level} {place}::{_escaped(text)}"


# Workflow commands end at a line end, and their properties at a comma or colon.
def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _escaped(text).replace(":", "%3A").replace(",", "%2C")


_FORMS: dict[str, Callable[[Sequence[Mistake]], Iterator[str]]] = {"text": _text, "json": _json, "github": _github}
