"""The JSON Schema of a configuration file, generated from the structs.

Two versions: the strict one judges a file whose `${VAR}` are filled in; the published one, for editors, also lets a
`${VAR}` stand where a number or a truth value is wanted.
"""

from functools import cache
from typing import Any, cast

import msgspec

from fastroute.config.schema import Config
from fastroute.secret import Secret

Json = dict[str, Any]

# Draft 2020-12 is what msgspec writes and what editors read.
_DRAFT = "https://json-schema.org/draft/2020-12/schema"
_REFERENCE: Json = {"type": "string", "pattern": r"^\$\{[^{}]+\}$"}


@cache
def strict_schema() -> Json:
    """The schema of a file as it is after its references are filled in."""
    # Through JSON, because msgspec leaves tuples and structs in the defaults.
    return msgspec.json.decode(msgspec.json.encode(msgspec.json.schema(Config, schema_hook=_secret)))


def published_schema() -> Json:
    """The schema for editors: each number and truth value may also be a reference."""
    loose = cast(Json, _with_references(strict_schema()))
    return {"$schema": _DRAFT, "title": "fastroute configuration", **loose}


def takes_text(path: tuple[str | int, ...]) -> bool:
    """Whether text may stand at `path`; also true where nothing is known to stand."""
    nodes = [strict_schema()]
    for step in path:
        nodes = [child for node in nodes for child in _children(node, step)]
    kinds = [kind for node in nodes for kind in _kinds(node)]
    return "string" in kinds or not kinds


def _children(node: Json, step: str | int) -> list[Json]:
    found: list[Json] = []
    for branch in _branches(node):
        if isinstance(step, int):
            child = branch.get("items")
        else:
            child = branch.get("properties", {}).get(step, branch.get("additionalProperties"))
        if isinstance(child, dict):
            found.append(cast(Json, child))
    return found


def _branches(node: Json) -> list[Json]:
    node = resolve(node)
    if "anyOf" in node:
        return [resolve(branch) for branch in node["anyOf"]]
    return [node]


def _kinds(node: Json) -> list[str]:
    # An enum of ours always lists text.
    return ["string" if "enum" in branch else str(branch.get("type")) for branch in _branches(node)]


def resolve(node: Json) -> Json:
    """The node itself, or the struct it refers to."""
    reference = node.get("$ref")
    return node if reference is None else strict_schema()["$defs"][reference.rpartition("/")[2]]


def _secret(kind: type) -> Json:
    if kind is Secret:
        return {"type": "string"}
    raise NotImplementedError(kind)


def _with_references(node: object) -> object:
    if isinstance(node, list):
        return [_with_references(item) for item in cast(list[object], node)]
    if not isinstance(node, dict):
        return node
    typed = cast(Json, node)
    # Inside an anyOf the reference becomes one more branch of the same anyOf only by nesting, which JSON Schema allows.
    if typed.get("type") in ("integer", "number", "boolean"):
        outer = {key: typed[key] for key in ("description", "default", "examples") if key in typed}
        inner = {key: value for key, value in typed.items() if key not in outer}
        return {**outer, "anyOf": [inner, _REFERENCE]}
    return {key: value if key in ("default", "examples") else _with_references(value) for key, value in typed.items()}
