"""The reference page of the configuration: `python -m fastroute.config.reference > docs/configure.md`.

One rule: what the page says of a key is taken from the structs, so only the text around the tables is written here. A
test compares the page with this module and names the command above when they differ.
"""

import sys
from collections.abc import Iterator
from typing import cast

import msgspec

from fastroute.config.json_schema import Json, resolve, strict_schema

_TOP = """\
# Configuration reference

<!-- Made by `python -m fastroute.config.reference`; change the structs in `python/fastroute/config/schema.py`. -->

A configuration is one YAML or TOML file. Every section and nearly every key may be left out; without a file the gateway
offers each provider whose key is in the environment, and `mock/echo`.

```yaml
# yaml-language-server: $schema=fastroute.schema.json
listen:
  port: 4000
providers:
  local: {address: "http://127.0.0.1:8080/v1", dialect: openai_chat}
models:
  smart:
    targets: [openai/gpt-5, local/qwen3]
    patience: {attempts: 2}
```

- `fastroute check FILE` finds every mistake at once, with line and column; `fastroute schema > fastroute.schema.json`
  gives editors completion; `fastroute serve --dry-run -c FILE` checks and stops.
- A value may hold references: `${VAR}` (an environment variable, which must be set), `${VAR:-default}`, `${file:PATH}`
  (a file's content, relative to this file, without its last line end). `$$` is one dollar sign. Keys belong in
  references; a key written out gets a warning.
- A `patience` or `timeouts` block needs only the keys that differ: the rest comes from `routing`.
- Providers of the catalogue (`python/fastroute/catalogue/providers.toml`) need no entry here when their key is in the
  environment. A file that names providers or models offers those alone.
- Times are in seconds, sizes in bytes. An unknown key is a mistake.
- A change is taken over while requests run; `listen` and `limits` wait for the next start. See
  [operate.md](operate.md#another-configuration).
"""

_NAMES = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false", "null": "null"}


def render_reference() -> str:
    """The whole page as Markdown."""
    return _TOP + "".join(_section(name, paths) for name, paths in _places().items())


def _places() -> dict[str, list[str]]:
    """Each struct with the places in a file where it stands, in the order a reader meets them."""
    found: dict[str, list[str]] = {}
    waiting = [("Config", "")]
    while waiting:
        name, place = waiting.pop(0)
        found.setdefault(name, []).append(place)
        for key, node in _properties(name).items():
            path = f"{place}.{key}" if place else key
            waiting += [(struct, path + suffix) for struct, suffix in _structs(node)]
    return found


def _properties(struct: str) -> dict[str, Json]:
    return strict_schema()["$defs"][struct]["properties"]


def _structs(node: Json) -> Iterator[tuple[str, str]]:
    """The structs a value may be or hold, each with what its path adds."""
    if "$ref" in node:
        yield node["$ref"].rpartition("/")[2], ""
    for branch in node.get("anyOf", ()):
        yield from _structs(branch)
    for holder, suffix in (("items", "[]"), ("additionalProperties", ".NAME")):
        if isinstance(node.get(holder), dict):
            yield from ((struct, suffix + more) for struct, more in _structs(node[holder]))


def _section(struct: str, places: list[str]) -> str:
    schema = strict_schema()["$defs"][struct]
    title = " and ".join(f"`{place}`" for place in places) if places != [""] else "The file"
    required = schema.get("required", ())
    rows = [
        f"| `{key}` | {_type(node)} | {_default(node, key in required)} | {_meaning(node)} |"
        for key, node in _properties(struct).items()
    ]
    head = "| key | type | default | meaning |\n|---|---|---|---|\n"
    return f"\n## {title}\n\n{schema['description']}\n\n{head}" + "\n".join(rows) + "\n"


def _type(node: Json) -> str:
    if "$ref" in node:
        return "a block" if "properties" in resolve(node) else _type(resolve(node))
    if "anyOf" in node:
        return " or ".join(dict.fromkeys(map(_type, node["anyOf"])))
    if "enum" in node:
        return " or ".join(f"`{value}`" for value in node["enum"])
    kind = node["type"]
    if kind == "array":
        return f"list of {_type(node['items'])}"
    if kind == "object":
        names = cast(Json, node.get("propertyNames", {})).get("enum")
        of = _type(node["additionalProperties"]) if node.get("additionalProperties") else "anything"
        return f"mapping of {' or '.join(f'`{name}`' for name in names) if names else 'names'} to {of}"
    return _NAMES[kind] + _range(node)


def _range(node: Json) -> str:
    low, above, high = (node.get(key) for key in ("minimum", "exclusiveMinimum", "maximum"))
    if high is None:
        return ""
    return f", {low:,} to {high:,}" if above is None else f" above {above:g}, at most {high:,}"


def _default(node: Json, required: bool) -> str:
    if required:
        return "required"
    default = node["default"]
    if isinstance(default, dict):
        return "as below" if default else "none"
    return f"`{msgspec.json.encode(default).decode()}`"


def _meaning(node: Json) -> str:
    examples = ", ".join(f"`{msgspec.json.encode(example).decode()}`" for example in node.get("examples", ()))
    meaning = node["description"].replace("|", r"\|")
    return f"{meaning} For example {examples}." if examples else meaning


if __name__ == "__main__":
    sys.stdout.write(render_reference())
