"""YAML text into nodes, by YAML 1.2's core schema: `no`, `on` and `12:30` are text.

One rule: nothing here recurses. PyYAML's own composer does, in C, and some 20,000 open brackets end the process.
"""

import math
import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple, cast

import yaml

from fastroute.config.source import MAX_DEPTH, Place

# libyaml's parser where PyYAML was built with it; the one in Python takes twelve times as long.
_Parser: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_PREFIX = "tag:yaml.org,2002:"

_WORDS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), "null"),
    **dict.fromkeys(("true", "True", "TRUE", "false", "False", "FALSE"), "bool"),
    "<<": "merge",
}
# At most 18 digits: what is longer is no number anybody means, and int() on long text takes quadratic time.
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})", re.ASCII)
_DECIMAL = re.compile(r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?", re.ASCII)


class YamlError(Exception):
    """The text is not YAML, or more than a configuration needs. Its text repeats nothing of the file."""

    def __init__(self, problem: str, place: Place) -> None:
        super().__init__(problem)
        self.problem = problem
        self.place = place


class Node(NamedTuple):
    """A value as it stands in the file.

    `tag` is `map`, `seq`, `str`, `null`, `bool`, `int`, `float` or `merge`, or `?` for a tag that has no meaning here.
    """

    tag: str
    text: str
    place: Place
    items: list["Node"]
    """The items of a sequence; the keys and values of a mapping in turn."""


def compose(text: str) -> Node | None:
    """The one document in `text`; None when it is empty. Raises YamlError."""
    try:
        parser = _Parser(text)
        try:
            return _compose(parser)
        finally:
            parser.dispose()
    except yaml.MarkedYAMLError as error:
        # Only the problem: the snippet that PyYAML would add may hold a key.
        place = _place(error.problem_mark or error.context_mark)
        raise YamlError(f"not YAML: {_problem(error.problem, text, place)}", place) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise YamlError("not YAML: a control character is not allowed", Place(line, 1)) from None


def _problem(problem: str | None, text: str, place: Place) -> str:
    """What the parser says, but for the one mistake that cannot be seen in an editor."""
    # The parser's lines also end where Python's do, and its columns count characters.
    line = text.splitlines()[place.line - 1 : place.line]
    if line and line[0][place.column - 1 : place.column] == "\t":
        return "a tab stands where spaces are needed"
    return str(problem)


def _compose(parser: Any) -> Node | None:
    roots: list[Node] = []
    open_nodes: list[list[Node]] = [roots]
    anchors: dict[str, Node] = {}
    events: Iterator[Any] = iter(parser.get_event, None)
    for event in events:
        # By type rather than by isinstance, which takes three times as long; libyaml makes no subclasses.
        kind = cast(object, type(event))
        if kind is yaml.AliasEvent:
            if event.anchor not in anchors:
                raise YamlError("not YAML: an alias without its anchor", _place(event.start_mark))
            open_nodes[-1].append(anchors[event.anchor])
        elif kind in _STARTS:
            node = _node(kind, event)
            if event.anchor is not None:
                anchors[event.anchor] = node
            open_nodes[-1].append(node)
            if kind is not yaml.ScalarEvent:
                open_nodes.append(node.items)
                if len(open_nodes) > MAX_DEPTH:
                    raise YamlError("nested too deeply", node.place)
        elif kind is yaml.SequenceEndEvent or kind is yaml.MappingEndEvent:
            open_nodes.pop()
        elif kind is yaml.DocumentStartEvent and roots:
            raise YamlError("not YAML: a second document starts here", _place(event.start_mark))
    return roots[0] if roots else None


_STARTS: Final[dict[object, str]] = {
    yaml.ScalarEvent: "str",
    yaml.SequenceStartEvent: "seq",
    yaml.MappingStartEvent: "map",
}


def _node(kind: object, event: Any) -> Node:
    place = _place(event.start_mark)
    if kind is not yaml.ScalarEvent:
        plain = _STARTS[kind]
        return Node(plain if event.tag in (None, "!", f"{_PREFIX}{plain}") else "?", "", place, [])
    text: str = event.value
    tag = plain_tag(text) if event.implicit[0] else "str"
    if event.tag is not None and event.tag != "!":
        asked = event.tag.removeprefix(_PREFIX)
        # `!!int x` asks for what its text is not.
        tag = asked if asked in ("str", plain_tag(text)) else "?"
    return Node(tag, text, place, _NO_ITEMS)


# Shared by all scalars and never written to: only a collection's list is opened.
_NO_ITEMS: Final[list[Node]] = []


def plain_tag(text: str) -> str:
    """What a scalar without quotes and tag is."""
    word = _WORDS.get(text)
    if word is not None:
        return word
    if text[0] not in "-+.0123456789":
        return "str"
    if _INTEGER.fullmatch(text):
        return "int"
    return "float" if _DECIMAL.fullmatch(text) and math.isfinite(float(text)) else "str"


def _place(mark: Any) -> Place:
    return Place(1, 1) if mark is None else Place(mark.line + 1, mark.column + 1)
