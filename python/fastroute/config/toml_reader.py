"""TOML into a Source. The standard parser tells no positions, so a scan over the lines finds them.

The scan only has to be right about places, never about values: what it cannot see (an inline table's inside, an
array's items) is placed at the nearest thing it can.
"""

import math
import re
import tomllib
from typing import cast

from fastroute.config.source import MAX_DEPTH, Flaw, Path, Place, Source, whole
from fastroute.config.variables import Filling

_PART = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\]|\\.)*"|'[^']*')"""
_NAME = rf"{_PART}(?:[ \t]*\.[ \t]*{_PART})*"
_HEADER = re.compile(rf"[ \t]*\[{{1,2}}[ \t]*(?P<name>{_NAME})[ \t]*\]")
_ENTRY = re.compile(rf"[ \t]*(?P<name>{_NAME})[ \t]*=[ \t]*")
_PARTS = re.compile(_PART)
_WHERE = re.compile(r" \(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)$")


def read_toml(text: str, source: Source, filling: Filling) -> None:
    """Fill `source` from TOML; what is wrong with the text becomes a flaw."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        source.flaws.append(_flaw(str(error), text))
        return
    except RecursionError:
        source.flaws.append(Flaw((), "nested too deeply"))
        return
    _find_places(text, source)
    source.tree = _walk(table, (), source, filling)


def _walk(value: object, path: Path, source: Source, filling: Filling) -> object:
    if isinstance(value, str):
        return filling.fill(value, path)
    # Brackets nest no deeper than the parser lets them; the parts of a dotted key do.
    if len(path) > MAX_DEPTH:
        source.flaws.append(Flaw(path[:1], "nested too deeply"))
        return None
    if isinstance(value, dict):
        table = cast(dict[str, object], value)
        if "" in table:
            # As in the YAML reader.
            source.flaws.append(Flaw(path, "a key must be text"))
            table = {key: item for key, item in table.items() if key}
        return {key: _walk(item, (*path, key), source, filling) for key, item in table.items()}
    if isinstance(value, list):
        items = cast(list[object], value)
        return [_walk(item, (*path, index), source, filling) for index, item in enumerate(items)]
    if isinstance(value, float):
        # As in the YAML reader, "inf" and "nan" are text, which gets the usual complaint.
        return whole(value) if math.isfinite(value) else str(value)
    # Dates and times are text, as in YAML's core schema.
    return value if isinstance(value, bool | int) else str(value)


def _find_places(text: str, source: Source) -> None:
    table: Path = ()
    for number, line in enumerate(text.splitlines(), start=1):
        header = _HEADER.match(line)
        entry = None if header else _ENTRY.match(line)
        match = header or entry
        if match is None:
            continue
        name = tuple(_unquoted(part) for part in _PARTS.findall(match["name"]))
        path = name if header else (*table, *name)
        table = path if header else table
        for length in range(1, len(path) + 1):
            source.keys.setdefault(path[:length], Place(number, match.start("name") + 1))
        if entry is not None:
            source.values.setdefault(path, Place(number, entry.end() + 1))


def _unquoted(part: str) -> str:
    # Escapes in a key are not undone: the place of such a key is that of its table.
    return part[1:-1] if part[0] in "\"'" else part


def _flaw(problem: str, text: str) -> Flaw:
    where = _WHERE.search(problem)
    place = Place(text.count("\n") + 1, len(text) - text.rfind("\n"))
    if where is not None and where["line"]:
        place = Place(int(where["line"]), int(where["column"]))
    return Flaw((), f"not TOML: {_WHERE.sub('', problem)}", place=place)
