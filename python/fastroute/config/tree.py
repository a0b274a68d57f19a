"""What is done to a configuration as plain dicts and lists, before it is decoded. No tree that goes in is changed."""

import os
from collections.abc import Mapping
from pathlib import Path as FilePath
from typing import cast

from fastroute.config.source import Path

Tree = dict[str, object]

# Of a model (`models.NAME.targets`) and of a target with a weight (`models.NAME.targets[0].to`), by depth and name.
_REQUIRED: Mapping[tuple[int, str | int], object] = {(3, "targets"): (), (5, "to"): ""}


def section(node: object, name: str) -> Tree:
    """The mapping under `name`; empty when there is none."""
    found = cast(Tree, node).get(name) if isinstance(node, dict) else None
    return cast(Tree, found) if isinstance(found, dict) else {}


def completed(tree: object) -> object:
    """The tree with partial `patience` and `timeouts` blocks completed from `routing`."""
    routing = section(tree, "routing")
    for part, key in (("models", "patience"), ("providers", "timeouts")):
        default = section(routing, key)
        entries = section(tree, part)
        if default and entries:
            filled = {name: _with_default(entry, key, default) for name, entry in entries.items()}
            tree = {**cast(Tree, tree), part: filled}
    return tree


def _with_default(entry: object, key: str, default: Tree) -> object:
    own = cast(Tree, entry).get(key) if isinstance(entry, dict) else None
    if not isinstance(own, dict):
        return cast(object, entry)
    return {**cast(Tree, entry), key: {**default, **cast(Tree, own)}}


def anchored(tree: object, folder: FilePath) -> object:
    """The tree with each `ca_file` and key file seen from the folder the configuration is in."""
    providers = section(tree, "providers")
    if not any("ca_file" in entry or "auth" in entry for entry in providers.values() if isinstance(entry, dict)):
        return tree
    return {**cast(Tree, tree), "providers": {name: _anchored(entry, folder) for name, entry in providers.items()}}


def _anchored(provider: object, folder: FilePath) -> object:
    if not isinstance(provider, dict):
        return provider
    entry = cast(Tree, provider)
    auth = entry.get("auth")
    if isinstance(auth, dict):
        entry = {**entry, "auth": _file_anchored(cast(Tree, auth), "file", folder)}
    return _file_anchored(entry, "ca_file", folder)


def _file_anchored(entry: Tree, key: str, folder: FilePath) -> Tree:
    name = entry.get(key)
    return {**entry, key: os.fspath(folder / name)} if isinstance(name, str) and name else entry


def pruned(tree: object, paths: list[Path]) -> object:
    """The tree without what is at `paths`. An item of a list becomes empty text, so the others keep their number; a key
    that must be there becomes empty, so what is beside it can still be read."""
    if () in paths:
        return {}
    result = _copied(tree)
    for path in paths:
        node = result
        for step in path[:-1]:
            node = child(node, step)
        last = path[-1]
        if isinstance(node, list) and isinstance(last, int):
            cast(list[object], node)[last] = ""
        elif isinstance(node, dict):
            fields = cast(dict[str | int, object], node)
            if path[0] == "models" and (len(path), last) in _REQUIRED:
                fields[last] = _REQUIRED[len(path), last]
            else:
                fields.pop(last, None)
    return result


def child(node: object, step: str | int) -> object:
    """What is one step below; None when that step cannot be taken."""
    if isinstance(node, list) and isinstance(step, int):
        return cast(list[object], node)[step]
    return cast(Tree, node).get(str(step)) if isinstance(node, dict) else None


def _copied(node: object) -> object:
    if isinstance(node, dict):
        return {key: _copied(value) for key, value in cast(Tree, node).items()}
    if isinstance(node, list):
        return [_copied(value) for value in cast(list[object], node)]
    return node
