"""What is known of models: limits, what they read and write, and what their APIs accept and refuse.

One rule: what is not known is absent, and nothing is concluded from a name that is not in the data. One surprise: the
file is read anew for each table and one provider at a time, so that between two tables it costs no memory.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
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
        self._snapshots: dict[str, dict[str, Entry]] = {}

    def facts(self, provider: str, model: str) -> ModelFacts | None:
        """What is known of `model`, also by another of its names: an alias, a snapshot, with a route or a region."""
        row = read_catalogue().providers.get(provider)
        for name in (provider, row.like if row is not None else None):
            entry = None if name is None else self._entry(name, model)
            if entry is not None:
                return self._facts(entry)
        return None

    def providers(self) -> tuple[str, ...]:
        return tuple(self._file.models)

    def of(self, provider: str) -> Mapping[str, Entry]:
        """The models of a provider by name."""
        if provider not in self._providers:
            raw = self._file.models.get(provider)
            self._providers[provider] = {} if raw is None else msgspec.json.decode(raw, type=dict[str, Entry])
        return self._providers[provider]

    def _entry(self, provider: str, model: str) -> Entry | None:
        entries, aliases = self.of(provider), self._file.aliases.get(provider, {})
        for name in _names(model):
            entry = entries.get(aliases.get(name, name))
            if entry is not None:
                return entry
        return self._latest(provider).get(model)

    def _latest(self, provider: str) -> Mapping[str, Entry]:
        """The latest snapshot of each family by the family's own name."""
        if provider not in self._snapshots:
            entries = sorted(self.of(provider).items(), key=lambda item: _age(item[0]))
            self._snapshots[provider] = {_family(name): entry for name, entry in entries}
        return self._snapshots[provider]

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


# `-20250929`, `-2025-08-07`, `@20250929`, `-0613`, `-09-2025`.
_DATE = re.compile(r"[-@](?:20\d{6}|20\d\d-\d\d-\d\d|\d\d-20\d\d|\d{4})$", re.ASCII)
_LATER = re.compile(r"(?:-latest|@default|@latest|:latest|-v\d+(?::\d+)?|:\d+)$", re.ASCII)
# A profile of several regions: `eu.anthropic.claude…`.
_REGIONS = re.compile(r"(?:us|us-gov|eu|apac|jp|au|ca|in|global)\.(?=[a-z0-9]+\.)", re.ASCII)


def _family(name: str) -> str:
    return _DATE.sub("", _LATER.sub("", name))


def _age(name: str) -> tuple[str, str]:
    """A key by which later snapshots come later; `08-2024` is before `03-2025`."""
    date = _DATE.search(_LATER.sub("", name))
    text = date[0][1:] if date else ""
    return (f"{text[3:]}-{text[:2]}" if text[2:3] == "-" else text, name)


def _names(model: str) -> Iterator[str]:
    """The names a model may be known by, the most particular first."""
    # An ARN ends in the name; so does a path such as `accounts/fireworks/models/NAME` or a fine-tuned `ft:NAME:…`.
    name = model.rpartition("/")[2] if model.startswith("arn:") else model
    name = name.split(":")[1] if name.startswith("ft:") else name
    yield from dict.fromkeys(
        form
        for each in (name, name.lower(), _REGIONS.sub("", name, count=1), name.rpartition(":")[0], _bare(name))
        for form in _without_ends(each)
        if form
    )


def _bare(name: str) -> str:
    """The name behind the last slash: a route within a provider, or a maker."""
    return name.rpartition("/")[2]


def _without_ends(name: str) -> Iterator[str]:
    yield name
    shorter = _LATER.sub("", name)
    yield shorter
    yield _DATE.sub("", shorter)
