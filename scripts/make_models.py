"""Makes `python/fastroute/catalogue/models.json` from what two public packages know and from `families.toml`.

    pip download --no-deps litellm genai-prices && unzip …      # both MIT; only facts are taken, no text and no price
    python scripts/make_models.py --litellm FOLDER --genai-prices FOLDER

One rule: the same folders give the same file, byte by byte, and nothing is fetched. What has changed is printed. The
packages are read as data and never imported. What a rule of `families.toml` says stands above what a package says.
"""

import argparse
import ast
import json
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import packages_say

ROOT = Path(__file__).resolve().parents[1]
CATALOGUE = ROOT / "python" / "fastroute" / "catalogue"
TARGET = CATALOGUE / "models.json"
FAMILIES = Path(__file__).with_name("families.toml")

Facts = dict[str, Any]
Model = dict[str, Any]
"""`{"mode": …, "packages": {mark: facts}}` while it is made."""


def make(litellm: Path, genai_prices: Path, families: Path = FAMILIES) -> dict[str, Any]:
    """The content of the file."""
    rows = tomllib.loads((CATALOGUE / "providers.toml").read_text(encoding="utf-8"))["providers"]
    models: dict[str, dict[str, Model]] = {}
    aliases: dict[str, dict[str, str]] = {}
    marks = {}
    for mark, folder, read in (("g", genai_prices, read_genai_prices), ("l", litellm, read_litellm)):
        marks[mark] = version(folder)
        for provider, name, mode, facts, stands_for in read(folder):
            if provider not in rows:
                continue
            if stands_for is not None:
                aliases.setdefault(provider, {})[name] = stands_for
                continue
            model = models.setdefault(provider, {}).setdefault(name, {"mode": mode, "packages": {}})
            model["mode"] = model["mode"] or mode
            for field, value in facts.items():
                model["packages"].setdefault(mark, {}).setdefault(field, value)
    said = tomllib.loads(families.read_text(encoding="utf-8"))
    rules = said["rule"]
    for listed in said.get("listed", ()):
        for name in listed["models"]:
            models.setdefault(listed["provider"], {}).setdefault(name, {"mode": "chat", "packages": {}})
    return {
        "packages": marks,
        "rules": {rule["name"]: {"source": rule["source"], "facts": rule["facts"]} for rule in rules},
        "aliases": {provider: dict(sorted(names.items())) for provider, names in sorted(aliases.items())},
        "models": {
            provider: entries
            for provider, named in sorted(models.items())
            if (entries := dict(_entries(provider, named, rules)))
        },
    }


def _entries(provider: str, named: Mapping[str, Model], rules: list[dict[str, Any]]) -> Iterator[tuple[str, Any]]:
    for name, model in sorted(named.items()):
        entry = _entry(provider, name, model, rules)
        # What nothing is known of is not in the file.
        if entry:
            yield name, entry


def _entry(provider: str, name: str, model: Model, rules: list[dict[str, Any]]) -> dict[str, Any]:
    talks = model["mode"] in ("chat", "responses", "completion", None)
    holding = [rule["name"] for rule in rules if talks and holds(rule, provider, name)]
    packages = {mark: dict(sorted(facts.items())) for mark, facts in sorted(model["packages"].items()) if facts}
    return {key: value for key, value in (("packages", packages), ("rules", holding)) if value}


def holds(rule: Mapping[str, Any], provider: str, name: str) -> bool:
    """Whether a rule of `families.toml` is about this model."""
    if provider not in rule.get("providers", (provider,)):
        return False
    lower = name.lower()
    matches = any(re.search(pattern, lower) for pattern in rule["models"])
    return matches and not any(re.search(pattern, lower) for pattern in rule.get("but", ()))


def version(folder: Path) -> str:
    """Name and version of the package in a folder, from its metadata."""
    metadata = next(folder.glob("*.dist-info/METADATA")).read_text(encoding="utf-8")
    name, number = (re.search(rf"^{key}: (\S+)$", metadata, re.MULTILINE) for key in ("Name", "Version"))
    if name is None or number is None:
        raise SystemExit(f"{folder}: its metadata has no name or no version")
    return f"{name[1]} {number[1]}"


Told = tuple[str, str, str | None, Facts, str | None]
"""Provider, model, mode, facts, and the name it is an alias of."""


def read_litellm(folder: Path) -> Iterator[Told]:
    text = (folder / "litellm" / "model_prices_and_context_window_backup.json").read_text(encoding="utf-8")
    entries: dict[str, dict[str, Any]] = json.loads(text)
    for key, entry in entries.items():
        target = entries.get(entry.get("alias_of", ""), {})
        provider = packages_say.provider(entry.get("litellm_provider") or target.get("litellm_provider"))
        if provider is None or (entry.get("mode") not in packages_say.MODES and not target):
            continue
        name = packages_say.model_name(provider, key)
        if name is None:
            continue
        stands_for = packages_say.model_name(provider, entry["alias_of"]) if target else None
        yield provider, name, entry.get("mode"), packages_say.facts(provider, name, entry), stands_for


def read_genai_prices(folder: Path) -> Iterator[Told]:
    """Context windows; the file is Python, of which only the literal values are looked at."""
    tree = ast.parse((folder / "genai_prices" / "data.py").read_text(encoding="utf-8"))
    for provider in _calls(tree, "Provider"):
        theirs = str(_literal(provider, "id"))
        for model in _calls(provider, "ModelInfo"):
            context, name = _literal(model, "context_window"), _literal(model, "id")
            if isinstance(context, int) and isinstance(name, str):
                yield packages_say.genai_provider(theirs, name), name, None, {"context": context}, None


def _calls(tree: ast.AST, name: str) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name:
            yield node


def _literal(call: ast.Call, keyword: str) -> Any:
    value = next((each.value for each in call.keywords if each.arg == keyword), None)
    return value.value if isinstance(value, ast.Constant) else None


def render(content: Mapping[str, Any]) -> str:
    """The file: one model a line, so that a change can be read."""
    compact = {"ensure_ascii": False, "separators": (",", ":")}
    lines = ["{"]
    for key in ("packages", "rules", "aliases", "models"):
        lines.append(f'"{key}":{{')
        for at, (name, value) in enumerate(content[key].items()):
            comma = "," if at + 1 < len(content[key]) else ""
            if key != "models":
                lines.append(f"{json.dumps(name)}:{json.dumps(value, **compact)}{comma}")
                continue
            lines.append(f"{json.dumps(name)}:{{")
            rows = [f"{json.dumps(model)}:{json.dumps(entry, **compact)}" for model, entry in value.items()]
            lines += [f"{row}," for row in rows[:-1]] + rows[-1:]
            lines.append(f"}}{comma}")
        lines.append("}," if key != "models" else "}")
    return "\n".join([*lines, "}", ""])


def changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    """What a reader wants to know of the difference: packages, rules, and models by name."""
    for mark, package in new["packages"].items():
        before = old["packages"].get(mark)
        if before != package:
            yield f"package {before} -> {package}"
    for name, rule in new["rules"].items():
        if old["rules"].get(name) != rule:
            yield f"rule {name} {'changed' if name in old['rules'] else 'added'}"
    yield from (f"rule {name} removed" for name in old["rules"].keys() - new["rules"].keys())
    for provider in sorted(old["models"].keys() | new["models"].keys()):
        before, after = old["models"].get(provider, {}), new["models"].get(provider, {})
        for name in sorted(before.keys() | after.keys()):
            if before.get(name) != after.get(name):
                verb = "added" if name not in before else "removed" if name not in after else "changed"
                yield f"{provider}/{name} {verb}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--litellm", type=Path, required=True, help="folder with litellm/ and its dist-info")
    parser.add_argument("--genai-prices", type=Path, required=True, help="folder with genai_prices/ and its dist-info")
    parser.add_argument("--into", type=Path, default=TARGET, help="file to write")
    asked = parser.parse_args()
    content = make(asked.litellm, asked.genai_prices)
    nothing: dict[str, Any] = {"packages": {}, "rules": {}, "models": {}}
    old = json.loads(asked.into.read_text(encoding="utf-8")) if asked.into.exists() else nothing
    told = list(changes(old, content))
    asked.into.write_text(render(content), encoding="utf-8")
    models = sum(map(len, content["models"].values()))
    sys.stdout.write("\n".join([*told, f"{models} models of {len(content['models'])} providers", ""]))


if __name__ == "__main__":
    main()
