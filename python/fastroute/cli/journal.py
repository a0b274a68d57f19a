"""`fastroute journal`: what is on record of attempts, as a summary or record by record.

One rule: it only reads, so it may run beside a gateway; of a segment that is being written it shows what is whole.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec

from fastroute.cli.frame import command, option, state_dir_option
from fastroute.native import read_segment
from fastroute.state_dir import state_home


@command(
    "journal",
    "fastroute journal                        # a line per instance, and one per segment that is not whole",
    "fastroute journal --json                 # every record, oldest segment first",
    "fastroute journal --open                 # attempts without an end, as JSON lines",
)
@state_dir_option()
@option("--instance", env="FASTROUTE_INSTANCE", default=None, help="One instance, by its port.", show_default="all")
@option("--json", "as_json", env="FASTROUTE_JOURNAL_JSON", is_flag=True, help="Every record as a JSON line.")
@option(
    "--open",
    "only_open",
    env="FASTROUTE_JOURNAL_OPEN",
    is_flag=True,
    help="Only intents of attempts without an end, as JSON lines.",
)
def journal(state_dir: str | None, instance: str | None, as_json: bool, only_open: bool) -> None:
    """Print what is on record of attempts.

    An attempt is on record before its first byte goes upstream, and how it ended after. What a killed process left
    without an end is settled as unknown when the gateway starts again.
    """
    home = state_home(state_dir, os.environ)
    found = sorted(home.glob(f"{instance or '*'}/journal"))
    if not found:
        raise click.UsageError(f"there is no journal in {home}")
    for folder in found:
        if as_json:
            for segment in _segments(folder):
                for line in segment.lines:
                    click.echo(line)
        elif only_open:
            for line in _open(folder):
                click.echo(line)
        else:
            for line in _summary(folder):
                click.echo(line)


class _Segment(msgspec.Struct, frozen=True):
    path: Path
    lines: list[str]
    end: str
    at: int


class _Record(msgspec.Struct, frozen=True):
    """What a summary looks at."""

    record: str
    attempt: str = ""


def _segments(folder: Path) -> Iterator[_Segment]:
    """The segments in the order of their names: by boot, lane and number."""
    for path in sorted(folder.glob("*.journal")):
        try:
            bytes_ = path.read_bytes()
        except (FileNotFoundError, IsADirectoryError):  # deleted meanwhile, as old ones are; or none of ours
            continue
        yield _Segment(path, *read_segment(bytes_))


def _open(folder: Path) -> Iterator[str]:
    left: dict[str, str] = {}
    ended: set[str] = set()
    for segment in _segments(folder):
        for line in segment.lines:
            record = msgspec.json.decode(line, type=_Record)
            if record.record == "intent":
                left[record.attempt] = line
            elif record.record == "settle":
                ended.add(record.attempt)
    return (line for attempt, line in left.items() if attempt not in ended)


def _summary(folder: Path) -> Iterator[str]:
    counts: dict[str, int] = {}
    attempts: set[str] = set()
    ended: set[str] = set()
    size, segments, broken = 0, 0, list[str]()
    for segment in _segments(folder):
        segments += 1
        size += segment.at
        if segment.end != "whole":
            broken.append(f"  {segment.path.name}: {segment.end} at byte {segment.at}")
        for line in segment.lines:
            record = msgspec.json.decode(line, type=_Record)
            counts[record.record] = counts.get(record.record, 0) + 1
            if record.record == "intent":
                attempts.add(record.attempt)
            elif record.record == "settle":
                ended.add(record.attempt)
    yield (
        f"{folder.parent.name}: {len(attempts)} attempts, {len(attempts - ended)} without an end, "
        f"{counts.get('progress', 0)} marks, {segments} segments, {size} bytes"
    )
    yield from broken
