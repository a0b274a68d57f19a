"""Config and catalogue compiled into a Table: who can be called, and who answers to which name.

One rule: a Table is immutable and whole; a request keeps the one it started with, and a change makes the next
generation. Surprises: each provider has a target without a model, which serves `provider/anything`; and a provider with
several keys has each of its targets once per key.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from math import gcd, lcm
from typing import Any

import msgspec
from msgspec import Struct

from fastroute.address import Address, parse_address
from fastroute.catalogue import Found, Models, Row, read_catalogue, read_models
from fastroute.config import schema
from fastroute.config.auth import credential_of
from fastroute.config.flaws import find_flaws
from fastroute.config.quirks import Quirks
from fastroute.config.schema import MOCK, SHORTHANDS, Config, Patience, Timeouts
from fastroute.config.source import Flaw, Source
from fastroute.credentials import Credential
from fastroute.credentials import as_wire as credential_as_wire
from fastroute.endpoints import ENDPOINTS
from fastroute.errors import ConfigError
from fastroute.needs import REGION
from fastroute.secret import Secret

_VERSION = re.compile(r"v[0-9]+(alpha|beta)?[0-9]*")

# Not a place: the engine answers `mock/echo` itself.
_MOCK_ADDRESS = Address(MOCK, "echo", 0, "")


class Key(Struct, frozen=True):
    """A key of a provider."""

    name: str
    """Where it is configured: what may be shown of it."""
    header: str
    """In lower case; where the key goes into the query its name there, and empty where it is not sent as it is."""
    value: Secret
    """The bytes that are sent."""


class Provider(Struct, frozen=True):
    """Somebody who can be called."""

    name: str
    address: Address
    speaks: Mapping[str, str]
    """Dialect, or endpoint that is passed on unread → path below the address."""
    headers: tuple[tuple[str, Secret], ...]
    """Those of every request. Names in lower case; values in the bytes that are sent."""
    keys: tuple[Key, ...]
    timeouts: Timeouts
    min_idle: int = 0
    ca_file: str | None = None
    on_client_gone: schema.OnClientGone = "cancel"
    quirks: Mapping[str, Any] = {}
    """How it departs from its dialects; what the names mean is the engine's affair."""
    credential: Credential | None = None
    """What signs its requests, or fetches tokens for them; `keys` then tells it from others and is not sent."""
    keys_in_query: bool = False


class Target(Struct, frozen=True):
    """Something that can be called. `index` is its place in `Table.targets`."""

    index: int
    provider: Provider
    model: str | None
    """The upstream's name for the model; None in the table's target for whatever a client asks of the provider."""
    key: Key | None = None
    """The one key of the provider's that it uses."""
    capabilities: Mapping[str, Any] = {}
    """What is known of the model, by the names of `catalogue.models.CAPABILITIES`."""

    def __repr__(self) -> str:
        return f"Target({self.index}, {self.provider.name}/{self.model or '*'})"


class Choice(Struct, frozen=True):
    """A target with its weight within one route."""

    target: Target
    weight: int = 1


class Route(Struct, frozen=True):
    """A public model name: its targets in the order they were written, its policy, its patience."""

    name: str
    choices: tuple[Choice, ...]
    policy: str
    """One of `schema.POLICIES`, or `package.module:function`."""
    patience: Patience
    on_loss: schema.OnLoss = "drop"
    """What becomes of what a target cannot be told."""


class Table(Struct, frozen=True):
    """All routes and targets of one generation."""

    generation: int
    providers: Mapping[str, Provider]
    targets: tuple[Target, ...]
    routes: Mapping[str, Route]
    direct: Mapping[str, tuple[Target, ...]]
    """Provider name → its targets for `provider/anything`, one per key."""
    defaults: schema.Routing
    endpoints: Mapping[str, str] = {}
    """Endpoint → the model that is meant where a request to it names none."""


def compile_table(config: Config, found: Found, generation: int) -> Table:
    """The table of a configuration and of the providers found in the environment.

    A configuration that names providers or models offers those alone; one that names none offers everything found.
    Raises ConfigError when parts of the configuration do not fit together.
    """
    flaws = [flaw for flaw in find_flaws(config, found.known()) if not flaw.warning]
    if flaws:
        source = Source("")
        raise ConfigError([source.mistake(flaw)._replace(line=0, column=0) for flaw in flaws])
    providers = {name: _provider(name, config, found) for name in _names(config, found)}
    models = read_models()
    targets: list[Target] = []
    per_key: dict[tuple[str, str | None], tuple[Target, ...]] = {}

    def targets_of(provider: str, model: str | None) -> tuple[Target, ...]:
        """One per key of the provider's."""
        if (provider, model) not in per_key:
            row, first, facts = providers[provider], len(targets), _capabilities(models, providers[provider], model)
            targets.extend(Target(first + at, row, model, key, facts) for at, key in enumerate(row.keys or (None,)))
            per_key[provider, model] = tuple(targets[first:])
        return per_key[provider, model]

    direct = {name: targets_of(name, None) for name in providers if name != MOCK}
    routes: dict[str, Route] = {}
    for name, model in config.models.items():
        choices = _choices([(targets_of(*_split(asked.to)), asked.weight) for asked in _weighted(model)])
        policy = model.policy or config.routing.policy
        patience = model.patience or config.routing.patience
        routes[name] = Route(name, choices, policy, patience, model.on_loss or config.routing.on_loss)
    if MOCK in providers:
        echo = Route(f"{MOCK}/echo", _choices([(targets_of(MOCK, "echo"), 1)]), "ordered", config.routing.patience)
        routes.setdefault(echo.name, echo)
    endpoints = _endpoints(config, providers)
    return Table(generation, providers, tuple(targets), routes, direct, config.routing, endpoints)


def _endpoints(config: Config, providers: Mapping[str, Provider]) -> dict[str, str]:
    """The model behind each endpoint: as configured, else anything of the only provider that has it."""
    configured = config.routing.endpoints
    wanted: dict[str, str] = {}
    for endpoint in ENDPOINTS:
        able = [name for name, provider in providers.items() if endpoint in provider.speaks]
        named = configured.get(endpoint) or (able[0] if len(able) == 1 else None)
        if named is not None:
            wanted[endpoint] = named if named in config.models or "/" in named else f"{named}/*"
    return wanted


def _choices(asked: Sequence[tuple[tuple[Target, ...], int]]) -> tuple[Choice, ...]:
    """The targets of a route. The keys of a target share its weight equally, so weights are brought to one measure."""
    shares = lcm(*(len(targets) for targets, _ in asked))
    weights = [weight * shares // len(targets) for targets, weight in asked]
    measure = gcd(*weights) if shares > 1 else 1
    return tuple(
        Choice(target, weight // max(1, measure))
        for (targets, _), weight in zip(asked, weights, strict=True)
        for target in targets
    )


def as_wire(table: Table) -> dict[str, Any]:
    """The table as plain dicts, lists, numbers and text, keys in clear: for the engine and for nothing that is kept."""
    order = {name: index for index, name in enumerate(table.providers)}
    models = read_models()
    return {
        "generation": table.generation,
        "providers": [
            {**_provider_as_wire(provider), "known": models.known(_whose_models(provider))}
            for provider in table.providers.values()
        ],
        "targets": [_target_as_wire(target, order[target.provider.name]) for target in table.targets],
        "routes": [
            {
                "name": route.name,
                "choices": [{"target": choice.target.index, "weight": choice.weight} for choice in route.choices],
                "policy": route.policy,
                "patience": msgspec.structs.asdict(route.patience),
                "on_loss": route.on_loss,
            }
            for route in table.routes.values()
        ],
        "direct": [[target.index for target in targets] for targets in table.direct.values()],
        "patience": msgspec.structs.asdict(table.defaults.patience),
        "on_loss": table.defaults.on_loss,
        "endpoints": dict(table.endpoints),
    }


class _Asked(Struct, frozen=True):
    to: str
    weight: int


def _weighted(model: schema.Model) -> list[_Asked]:
    asked: list[_Asked] = []
    for target in model.targets:
        if isinstance(target, str):
            asked.append(_Asked(target, 1))
        else:
            asked.append(_Asked(target.to, 1 if target.weight is None else target.weight))
    return asked


def _split(target: str) -> tuple[str, str]:
    provider, _, model = target.partition("/")
    return provider, model


def _names(config: Config, found: Found) -> list[str]:
    """The providers that can be called, in the order they are first named."""
    passing = [_split(name)[0] for name in config.routing.endpoints.values() if name not in config.models]
    if not config.providers and not config.models:
        return list(dict.fromkeys((*found.providers, MOCK, *passing)))
    asked = (_split(target.to)[0] for model in config.models.values() for target in _weighted(model))
    return list(dict.fromkeys((*config.providers, *asked, *passing)))


def _provider(name: str, config: Config, found: Found) -> Provider:
    if name == MOCK:
        return Provider(MOCK, _MOCK_ADDRESS, _plain(SHORTHANDS["openai_chat"]), (), (), config.routing.timeouts)
    wanted = config.providers.get(name, schema.Provider())
    row, detected = found.rows.get(name, Row(speaks={})), found.keys.get(name)
    values = {**found.vars.get(name, {}), **wanted.vars}
    if wanted.region is not None:
        values[REGION] = wanted.region
    address = wanted.address or row.address_in(values)
    parsed = parse_address(address)
    speaks = wanted.speaks
    if speaks is None and wanted.dialect is not None:
        speaks = _spoken(wanted.dialect, parsed.prefix)
    keys, credential = _keys(wanted, row.key_header), _credential(name, wanted)
    # A key goes only to the address it was found for: another one needs its key written down.
    if not keys and credential is None and detected is not None and wanted.address is None:
        if isinstance(detected.value, Secret):
            keys = (_key(wanted, detected.variable, wanted.key_header or detected.header, detected.value),)
        else:
            credential = detected.value
            keys = (_identity(credential, detected.variable, address),)
    elif credential is not None:
        keys = (_identity(credential, "auth", address),)
    headers = {name.lower(): Secret(value) for name, value in row.headers.items()}
    headers.update((name.lower(), value) for name, value in wanted.headers.items())
    return Provider(
        name=name,
        address=parsed,
        speaks=_plain(speaks or {}) or row.speaks,
        headers=tuple(headers.items()),
        keys=keys,
        timeouts=wanted.timeouts or config.routing.timeouts,
        min_idle=wanted.min_idle,
        ca_file=wanted.ca_file,
        on_client_gone=wanted.on_client_gone,
        quirks={**row.quirks, **msgspec.to_builtins(wanted.quirks or Quirks())},
        credential=credential,
        keys_in_query=wanted.auth is not None and wanted.auth.kind == "query",
    )


def _whose_models(provider: Provider) -> str:
    """Whose models it has, in the catalogue: its own where it has a row there, else those of the row at its address."""
    if provider.name in read_catalogue().providers:
        return provider.name
    return _public_hosts().get(provider.address.host, provider.name)


@cache
def _public_hosts() -> Mapping[str, str]:
    """Hosts of the catalogue, with the first provider that is there."""
    rows = reversed(read_catalogue().providers.items())
    fixed = ((name, row.address) for name, row in rows if row.address.startswith("https://") and "{" not in row.address)
    return {parse_address(address).host: name for name, address in fixed}


def _capabilities(models: Models, provider: Provider, model: str | None) -> Mapping[str, Any]:
    facts = None if model is None else models.facts(_whose_models(provider), model)
    return {} if facts is None else facts.capabilities()


def _spoken(dialect: schema.Shorthand, prefix: str) -> Mapping[schema.Speakable, str]:
    """What a shorthand stands for below an address. Google's SDKs put a version behind the address that they are given;
    one that names a version already is taken as it is."""
    speaks = SHORTHANDS[dialect]
    if dialect != "gemini" or not any(_VERSION.fullmatch(segment) for segment in prefix.split("/")):
        return speaks
    return {name: path.removeprefix("/v1beta") for name, path in speaks.items()}


def _plain(speaks: Mapping[schema.Speakable, str]) -> dict[str, str]:
    return {str(dialect): path for dialect, path in speaks.items()}


def _keys(wanted: schema.Provider, usual_header: str) -> tuple[Key, ...]:
    header = wanted.key_header or usual_header
    if wanted.key is not None:
        return (_key(wanted, "key", header, wanted.key),)
    return tuple(_key(wanted, f"keys[{at}]", header, value) for at, value in enumerate(wanted.keys))


def _target_as_wire(target: Target, provider: int) -> dict[str, Any]:
    sent = target.key is not None and target.provider.credential is None
    return {
        "provider": provider,
        "model": target.model,
        "key": target.provider.keys.index(target.key) if sent and target.key is not None else None,
        "key_id": _key_id(target.key),
        "capabilities": dict(target.capabilities),
    }


def _credential(name: str, wanted: schema.Provider) -> Credential | None:
    if wanted.auth is None:
        return None
    try:
        return credential_of(wanted.auth)
    except ValueError as error:
        # A key file that was good when the file was checked.
        flaw = Flaw(("providers", name, "auth", "file"), str(error))
        raise ConfigError([Source("").mistake(flaw)._replace(line=0, column=0)]) from None


def _identity(credential: Credential, name: str, address: str) -> Key:
    """Stands for a credential where keys are told apart: in health, and on record."""
    return Key(name, "", Secret(json.dumps(credential_as_wire(credential, address), sort_keys=True)))


def _key(wanted: schema.Provider, name: str, header: str, value: Secret) -> Key:
    auth = wanted.auth
    if auth is not None and auth.kind in ("header", "query"):
        where = auth.name or ""
        return Key(name, where.lower() if auth.kind == "header" else where, value)
    header = header.lower()
    return Key(name, header, Secret(f"Bearer {value.reveal()}") if header == "authorization" else value)


def _auth_as_wire(provider: Provider) -> dict[str, Any] | None:
    if provider.credential is not None:
        return credential_as_wire(provider.credential, provider.address.host)
    return {"kind": "query"} if provider.keys_in_query else None


def _provider_as_wire(provider: Provider) -> dict[str, Any]:
    sealed = provider.credential is not None
    return {
        "name": provider.name,
        "scheme": provider.address.scheme,
        "host": provider.address.host,
        "port": provider.address.port,
        "prefix": provider.address.prefix,
        "speaks": dict(provider.speaks),
        "headers": [[name, value.reveal()] for name, value in provider.headers],
        "keys": [] if sealed else [[key.header, key.value.reveal()] for key in provider.keys],
        "auth": _auth_as_wire(provider),
        "timeouts": msgspec.structs.asdict(provider.timeouts),
        "min_idle": provider.min_idle,
        "ca_file": provider.ca_file,
        "on_client_gone": provider.on_client_gone,
        "quirks": dict(provider.quirks),
    }


def _key_id(key: Key | None) -> str:
    """Tells a key from others on record, and nothing else about it."""
    if key is None:
        return ""
    return hashlib.sha256(f"{key.header}:{key.value.reveal()}".encode()).hexdigest()[:16]
