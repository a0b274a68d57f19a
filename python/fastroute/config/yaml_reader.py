"""YAML into a Source: one walk over the nodes makes values, places and complaints.

One rule: a key that appears twice is a mistake. One surprise: aliases and merge keys work, and count by what they
expand to.
"""

from collections.abc import Callable

from fastroute.config.source import MAX_DEPTH, Flaw, Path, Source, whole
from fastroute.config.variables import Filling
from fastroute.config.yaml_nodes import Node, YamlError, compose

# Over 20,000 models. Aliases of aliases reach any number from a few lines.
_MAX_VALUES = 200_000

_SCALARS: dict[str, Callable[[str], object]] = {
    "null": lambda _: None,
    "bool": lambda text: text.lower() == "true",
    "int": int,
    "float": lambda text: whole(float(text)),
    "merge": str,
}


def read_yaml(text: str, source: Source, filling: Filling) -> None:
    """Fill `source` from YAML; what is wrong with the text becomes a flaw."""
    try:
        node = compose(text)
        tree = None if node is None else _Walk(source, filling).value(node, (), 0)
    except YamlError as error:
        source.flaws.append(Flaw((), error.problem, place=error.place))
    else:
        # An empty file is a configuration that leaves everything out.
        source.tree = {} if tree is None else tree


class _Walk:
    def __init__(self, source: Source, filling: Filling) -> None:
        self._source = source
        self._filling = filling
        self._left = _MAX_VALUES

    def value(self, node: Node, path: Path, depth: int) -> object:
        self._source.values[path] = node.place
        self._left -= 1
        if self._left < 0:
            raise YamlError(f"expands to more than {_MAX_VALUES} values", node.place)
        # Text cannot be nested so deeply, but an alias can stand inside what it repeats.
        if depth > MAX_DEPTH:
            raise YamlError("nested too deeply", node.place)
        tag = node.tag
        if tag == "str":
            return self._filling.fill(node.text, path)
        if tag == "map":
            return self._mapping(node, path, depth + 1)
        if tag == "seq":
            return [self.value(item, (*path, index), depth + 1) for index, item in enumerate(node.items)]
        if tag in _SCALARS:
            return _SCALARS[tag](node.text)
        self._source.flaws.append(Flaw(path, "a YAML tag has no meaning here"))
        return None

    def _mapping(self, node: Node, path: Path, depth: int) -> dict[str, object]:
        found: dict[str, object] = {}
        merged: list[Node] = []
        for key, value in zip(node.items[::2], node.items[1::2], strict=True):
            if key.tag == "merge":
                merged.append(value)
                continue
            self._refuse(key)
            at = (*path, key.text)
            if key.text in found:
                first = self._source.keys[at].line
                self._source.flaws.append(Flaw(at, f"appears twice; the first is on line {first}", place=key.place))
                continue
            self._source.keys[at] = key.place
            found[key.text] = self.value(value, at, depth)
        for value in merged:
            self._merge(value, found, path, depth)
        return found

    def _merge(self, node: Node, found: dict[str, object], path: Path, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise YamlError("nested too deeply", node.place)
        if node.tag == "seq":
            for item in node.items:
                self._merge(item, found, path, depth + 1)
            return
        if node.tag != "map":
            raise YamlError('"<<" takes a mapping', node.place)
        for key, value in zip(node.items[::2], node.items[1::2], strict=True):
            self._refuse(key)
            at = (*path, key.text)
            if key.tag == "merge":
                self._merge(value, found, path, depth + 1)
            # What a mapping says itself goes before what it merges.
            elif key.text not in found:
                self._source.keys[at] = key.place
                found[key.text] = self.value(value, at, depth)

    def _refuse(self, key: Node) -> None:
        # An empty key has no place in a path, neither ours nor the validator's.
        if key.tag in ("map", "seq") or not key.text:
            raise YamlError("a key must be text", key.place)
