"""What is known of models: limits, what they read and write, and what their APIs accept and refuse.

One rule: what is not known is absent, and nothing is concluded from a name that is not in the data. One surprise: the
file is read anew for each table and one provider at a time, so that between two tables it costs no memory.
"""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, cast

import msgspec

from fastroute.catalogue.rows import read_catalogue

Medium = Literal["text", "image", "audio", "video", "pdf"]


class ModelFacts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What is known of a model at one provider. None is what nobody knows."""

    context: int | None = None
    """Tokens that a request may hold."""
    reads: tuple[Medium, ...] | None = None
    """What it is known to read; it may read more."""
    writes: tuple[Medium, ...] | None = None
    sampling: Literal["accept", "ignore", "reject"] | None = None
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] | None = None
    max_output: int | None = None
    default_max_output: int | None = None
    reasoning_style: Literal["none", "effort", "budget", "adaptive", "level", "toggle"] | None = None
    reasoning_efforts: tuple[str, ...] | None = None
    reasoning_default_on: bool | None = None
    reasoning_can_disable: bool | None = None
    chat_tools_with_reasoning: bool | None = None
    forced_tool_choice: Literal["always", "without_thinking", "never"] | None = None
    system_role: Literal["system", "developer", "none"] | None = None
    mid_system: bool | None = None
    json_schema: Literal["native", "json_object", "tool", "prompt"] | None = None
    strict_tools: bool | None = None
    media_in: tuple[Medium, ...] | None = None
    """All it reads beside text."""
    media_by_url: bool | None = None
    parallel_tools_flag: bool | None = None
    prefill: bool | None = None
    stream_only: bool | None = None
    sources: Mapping[str, str] = {}
    """Where each of the other fields comes from."""

    def capabilities(self) -> dict[str, Any]:
        """What the engine shapes a request by; what is not known is not in it."""
        known = {name: getattr(self, name) for name in CAPABILITIES}
        listed = {name: list(cast(tuple[str, ...], value)) for name, value in known.items() if isinstance(value, tuple)}
        return {name: value for name, value in known.items() if value is not None} | listed


FIELDS = tuple(field.name for field in msgspec.structs.fields(ModelFacts) if field.name != "sources")
CAPABILITIES = tuple(name for name in FIELDS if name not in ("context", "reads", "writes"))

_ITS_OWN_LIMIT = -1

_Facts = dict[str, Any]


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Facts of a family of models, and who says so."""

    source: str
    facts: _Facts


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A model of one provider: what each package says of it, by the package's mark, and the rules that hold for it."""

    packages: dict[str, _Facts] = {}
    rules: tuple[str, ...] = ()


class File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`models.json`, which `scripts/make_models.py` makes."""

    packages: dict[str, str]
    """Mark → name and version."""
    rules: dict[str, Rule]
    aliases: dict[str, dict[str, str]]
    """Provider → name → the name it stands for."""
    models: dict[str, msgspec.Raw]
    """Provider → model → `Entry`, decoded when somebody asks for the provider."""


class Models:
    """The facts of all models, as long as somebody holds it."""

    def __init__(self, data: bytes) -> None:
        self._file = msgspec.json.decode(data, type=File)
        self._providers: dict[str, dict[str, Entry]] = {}
        self._names: dict[str, dict[str, Entry]] = {}

    def facts(self, provider: str, model: str) -> ModelFacts | None:
        """What is known of `model`, also by another of its names: an alias, a snapshot, with a route or a region."""
        names = self.names(provider)
        entry = next((names[name] for name in _native().model_spellings(model) if name in names), None)
        return None if entry is None else self._facts(entry)

    def known(self, provider: str) -> dict[str, Any]:
        """The capabilities of all models of a provider, each once, and every name with its place among them."""
        places: dict[bytes, int] = {}
        by_entry: dict[int, int] = {}
        names: dict[str, int] = {}
        for name, entry in self.names(provider).items():
            if id(entry) not in by_entry:
                capabilities = msgspec.json.encode(self._facts(entry).capabilities())
                by_entry[id(entry)] = places.setdefault(capabilities, len(places))
            names[name] = by_entry[id(entry)]
        return {"models": [msgspec.json.decode(each) for each in places], "names": names}

    def names(self, provider: str) -> Mapping[str, Entry]:
        """The models of a provider, and of the one it is like, by each name they have.

        Their own, an alias, and their family's for the latest snapshot of it.
        """
        if provider not in self._names:
            row = read_catalogue().providers.get(provider)
            names: dict[str, Entry] = {}
            for each in (row.like if row is not None else None, provider):
                if each is None:
                    continue
                entries = self.of(each)
                snapshots = sorted(entries.items(), key=lambda item: _age(item[0]))
                names.update((_native().model_family(name), entry) for name, entry in snapshots)
                aliases = self._file.aliases.get(each, {})
                names.update((name, entries[to]) for name, to in aliases.items() if to in entries)
                names.update(entries)
            self._names[provider] = names
        return self._names[provider]

    def providers(self) -> tuple[str, ...]:
        return tuple(self._file.models)

    def of(self, provider: str) -> Mapping[str, Entry]:
        """The models of a provider by name."""
        if provider not in self._providers:
            raw = self._file.models.get(provider)
            self._providers[provider] = {} if raw is None else msgspec.json.decode(raw, type=dict[str, Entry])
        return self._providers[provider]

    def _facts(self, entry: Entry) -> ModelFacts:
        facts: _Facts = {}
        sources: dict[str, str] = {}
        told = [(self._file.packages[mark], each) for mark, each in entry.packages.items()]
        told += [(self._file.rules[name].source, self._file.rules[name].facts) for name in entry.rules]
        for source, each in told:
            facts.update(each)
            sources.update(dict.fromkeys(each, source))
        # A rule may say that the model's own limit is the default; what has no known limit has no known default.
        if facts.get("default_max_output") == _ITS_OWN_LIMIT:
            facts["default_max_output"] = facts.get("max_output")
        known = {field: value for field, value in facts.items() if value is not None}
        return msgspec.convert({**known, "sources": {field: sources[field] for field in known}}, ModelFacts)


def read_models() -> Models:
    """The facts that come with fastroute."""
    return Models(Path(__file__).with_name("models.json").read_bytes())


def model_facts(provider: str, model: str) -> ModelFacts | None:
    """What is known of a model of a provider of the catalogue. For more than one, ask `read_models()`."""
    return read_models().facts(provider, model)


def _native() -> ModuleType:
    """The extension, which knows by which names a model goes; not before somebody asks for a model's facts."""
    return import_module("fastroute.native")


def _age(name: str) -> tuple[str, str]:
    """A key by which later snapshots come later; `08-2024` is before `03-2025`."""
    date = name[len(_native().model_family(name)) :].lstrip("-@")
    return (f"{date[3:]}-{date[:2]}" if date[2:3] == "-" else date, name)
