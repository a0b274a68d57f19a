"""Whether a tree has the shape the schema asks for: every misfit at once, in our words.

The validator's own messages repeat values, so only what kind of rule was broken is taken from it. One surprise: of an
`anyOf` the branch counts whose type fits, so a bad weight is reported as that and not as "none of these".
"""

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any, cast

import jsonschema_rs

from fastroute.config.json_schema import Json, resolve, strict_schema
from fastroute.config.names import did_you_mean, nearest
from fastroute.config.source import Flaw, Path
from fastroute.config.tree import child

_KINDS = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping",
    "null": "null",
}

# What other gateways call it; no likeness of letters would find these.
_HABITS = {
    "api_key": "key",
    "api_base": "address",
    "base_url": "address",
    "url": "address",
    "endpoint": "address",
    "model_list": "models",
    "routes": "models",
    "upstreams": "providers",
    "host": "address",
    "deployments": "targets",
    "strategy": "policy",
}


def find_misfits(tree: object) -> Iterator[Flaw]:
    """Each place where `tree` is not what the schema says, in no particular order."""
    for error in _validator().iter_errors(tree):
        for flaw in _flaws(error):
            path = _as_written(tree, flaw.path)
            yield flaw._replace(path=path, meant=(*path[:-1], flaw.meant[-1]) if flaw.meant else None)


def _as_written(tree: object, path: Path) -> Path:
    """The path with its keys as text: the validator makes a number of a key that looks like one."""
    written: list[str | int] = []
    node: object = tree
    for step in path:
        key = _key(cast(Json, node), step) if isinstance(node, dict) and isinstance(step, int) else step
        written.append(key)
        node = child(cast(object, node), key)
    return tuple(written)


def _key(names: Iterable[str], number: int) -> str:
    return min((name for name in names if _reads_as(name, number)), key=len, default=str(number))


def _reads_as(name: str, number: int) -> bool:
    return name.isascii() and name.removeprefix("+").isdigit() and int(name) == number


@cache
def _validator() -> jsonschema_rs.Validator:
    return jsonschema_rs.validator_for(strict_schema())


def _flaws(error: Any) -> Iterator[Flaw]:
    path: Path = tuple(error.instance_path)
    kind = error.kind
    match kind.name:
        case "anyOf":
            yield from _of_branches(path, error.instance, kind.context)
        case "additionalProperties":
            yield from (_unknown_key(path, name, error.schema_path) for name in kind.unexpected)
        case "propertyNames":
            # Only `speaks` has a closed set of keys that is not a struct.
            yield from _unknown_names(path, error)
        case "required":
            yield Flaw((*path, kind.property), "is missing")
        case "type":
            yield Flaw(path, f"expected {_wanted(error)}, got {_given(error.instance)}", hint=_retype(error))
        case "enum":
            yield _not_one_of(path, error.instance, kind.options)
        case "minimum":
            yield Flaw(path, f"must be at least {kind.limit:g}")
        case "maximum":
            yield Flaw(path, f"must be at most {int(kind.limit)}")
        case "exclusiveMinimum":
            yield Flaw(path, f"must be more than {kind.limit:g}")
        case _:
            yield Flaw(path, "does not fit the schema")


def _of_branches(path: Path, value: object, branches: list[list[Any]]) -> Iterator[Flaw]:
    fitting = [branch for branch in branches if not _is_other_type(path, branch)]
    if fitting:
        yield from (flaw for error in fitting[0] for flaw in _flaws(error))
        return
    wanted = " or ".join(
        dict.fromkeys(_wanted(error) for branch in branches for error in branch if _is_about_type(error))
    )
    yield Flaw(path, f"expected {wanted}, got {_given(value)}")


def _is_other_type(path: Path, branch: list[Any]) -> bool:
    return any(tuple(error.instance_path) == path and _is_about_type(error) for error in branch)


def _is_about_type(error: Any) -> bool:
    return error.kind.name == "type" or (error.kind.name == "enum" and not isinstance(error.instance, str))


def _wanted(error: Any) -> str:
    if error.kind.name == "enum":
        return "text"
    return " or ".join(_KINDS[kind] for kind in error.kind.types)


def _given(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "nothing"
    for kind, name in ((str, "text"), (int | float, "a number"), (list, "a list"), (dict, "a mapping")):
        if isinstance(value, kind):
            return name
    return "something else"


def _retype(error: Any) -> str | None:
    wanted, value = error.kind.types, error.instance
    if wanted == ["boolean"] and isinstance(value, str) and value.lower() in ("yes", "no", "on", "off", "y", "n"):
        return f"write {'true' if value.lower() in ('yes', 'on', 'y') else 'false'}"
    if wanted == ["object"] and value is None:
        return "write {}, or leave the key out"
    if wanted == ["string"] and isinstance(value, int | float):
        return "put it in quotes"
    return None


def _not_one_of(path: Path, value: object, options: list[object]) -> Flaw:
    names = [str(option) for option in options]
    listed = ", ".join(f'"{name}"' for name in names)
    hint = did_you_mean(value, names) if isinstance(value, str) and len(names) > 1 else None
    return Flaw(path, f"expected {'one of ' if len(names) > 1 else ''}{listed}", hint=hint)


def _unknown_key(path: Path, name: str, schema_path: list[str | int]) -> Flaw:
    node: Any = strict_schema()
    for step in schema_path[:-1]:
        node = node[step]
    known = list(resolve(node).get("properties", {}))
    return _unknown(path, name, known)


def _unknown_names(path: Path, error: Any) -> Iterator[Flaw]:
    node: Any = strict_schema()
    for step in error.schema_path[: error.schema_path.index("propertyNames")]:
        node = node[step]
    known: list[str] = node["propertyNames"]["enum"]
    yield from (_unknown(path, name, known) for name in cast(Json, error.instance) if name not in known)


def _unknown(path: Path, name: str, known: list[str]) -> Flaw:
    habit = _HABITS.get(name)
    meant = habit if habit in known else next(iter(nearest(name, known, n=1)), None)
    hint = f'did you mean "{meant}"?' if meant else f"known keys: {', '.join(known)}"
    return Flaw((*path, name), "unknown key", hint=hint, at_key=True, meant=(*path, meant) if meant else None)
