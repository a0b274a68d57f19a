"""Config and catalogue compiled into a Table: who can be called, and who answers to which name.

One rule: a Table is immutable and whole; a request keeps the one it started with, and a change makes the next
generation. One surprise: each provider has one target without a model, which serves `provider/anything`.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from fastroute.address import Address, parse_address
from fastroute.catalogue import Found
from fastroute.config import schema
from fastroute.config.flaws import find_flaws
from fastroute.config.names import nearest
from fastroute.config.schema import MOCK, SHORTHANDS, Config, Patience, Timeouts
from fastroute.config.source import Source
from fastroute.errors import ConfigError
from fastroute.secret import Secret

# Not a place: the engine answers `mock/echo` itself.
_MOCK_ADDRESS = Address(MOCK, "echo", 0, "")


class Provider(Struct, frozen=True):
    """Somebody who can be called. `headers` already holds the one that carries the key."""

    name: str
    address: Address
    speaks: Mapping[str, str]
    """Dialect → path below the address."""
    headers: tuple[tuple[str, Secret], ...]
    """Names in lower case; values in the bytes that are sent."""
    timeouts: Timeouts
    min_idle: int = 0
    ca_file: str | None = None


class Target(Struct, frozen=True):
    """Something that can be called. `index` is its place in `Table.targets`."""

    index: int
    provider: Provider
    model: str | None
    """The upstream's name for the model; None in the table's target for whatever a client asks of the provider."""

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


class Table(Struct, frozen=True):
    """All routes and targets of one generation."""

    generation: int
    providers: Mapping[str, Provider]
    targets: tuple[Target, ...]
    routes: Mapping[str, Route]
    direct: Mapping[str, Target]
    """Provider name → its target for `provider/anything`."""
    defaults: schema.Routing

    def nearest(self, name: str, n: int = 3) -> list[str]:
        """At most `n` public names that `name` may be a slip of, best first."""
        return nearest(name, self.routes, n)


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
    targets: dict[tuple[str, str | None], Target] = {}

    def target(provider: str, model: str | None) -> Target:
        key = (provider, model)
        if key not in targets:
            targets[key] = Target(len(targets), providers[provider], model)
        return targets[key]

    direct = {name: target(name, None) for name in providers if name != MOCK}
    routes: dict[str, Route] = {}
    for name, model in config.models.items():
        choices = tuple(Choice(target(*_split(asked.to)), asked.weight) for asked in _weighted(model))
        policy = model.policy or config.routing.policy
        routes[name] = Route(name, choices, policy, model.patience or config.routing.patience)
    if MOCK in providers:
        echo = Route(f"{MOCK}/echo", (Choice(target(MOCK, "echo")),), "ordered", config.routing.patience)
        routes.setdefault(echo.name, echo)
    return Table(generation, providers, tuple(targets.values()), routes, direct, config.routing)


def as_wire(table: Table) -> dict[str, Any]:
    """The table as plain dicts, lists, numbers and text, keys in clear: for the engine and for nothing that is kept."""
    order = {name: index for index, name in enumerate(table.providers)}
    return {
        "generation": table.generation,
        "providers": [_provider_as_wire(provider) for provider in table.providers.values()],
        "targets": [{"provider": order[target.provider.name], "model": target.model} for target in table.targets],
        "routes": [
            {
                "name": route.name,
                "choices": [{"target": choice.target.index, "weight": choice.weight} for choice in route.choices],
                "policy": route.policy,
                "patience": msgspec.structs.asdict(route.patience),
            }
            for route in table.routes.values()
        ],
        "direct": [target.index for target in table.direct.values()],
        "patience": msgspec.structs.asdict(table.defaults.patience),
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
    if not config.providers and not config.models:
        return [*found.providers, MOCK]
    asked = (_split(target.to)[0] for model in config.models.values() for target in _weighted(model))
    return list(dict.fromkeys((*config.providers, *asked)))


def _provider(name: str, config: Config, found: Found) -> Provider:
    if name == MOCK:
        return Provider(MOCK, _MOCK_ADDRESS, _plain(SHORTHANDS["openai_chat"]), (), config.routing.timeouts)
    wanted = config.providers.get(name, schema.Provider())
    row, detected = found.rows.get(name), found.providers.get(name)
    address, speaks = wanted.address, wanted.speaks
    if speaks is None and wanted.dialect is not None:
        speaks = SHORTHANDS[wanted.dialect]
    paths = _plain(speaks or {})
    if row is not None:
        address, paths = address or row.address, paths or row.speaks
    key = wanted.key
    # A key goes only to the address it was found for: another one needs its key written down.
    if key is None and detected is not None and wanted.address is None:
        key = detected.key
    return Provider(
        name=name,
        address=parse_address(address or ""),
        speaks=paths,
        headers=_headers(wanted, key),
        timeouts=wanted.timeouts or config.routing.timeouts,
        min_idle=wanted.min_idle,
        ca_file=wanted.ca_file,
    )


def _plain(speaks: Mapping[schema.Dialect, str]) -> dict[str, str]:
    return {str(dialect): path for dialect, path in speaks.items()}


def _headers(wanted: schema.Provider, key: Secret | None) -> tuple[tuple[str, Secret], ...]:
    headers = {name.lower(): value for name, value in wanted.headers.items()}
    if key is not None:
        name = wanted.key_header.lower()
        headers[name] = Secret(f"Bearer {key.reveal()}") if name == "authorization" else key
    return tuple(headers.items())


def _provider_as_wire(provider: Provider) -> dict[str, Any]:
    return {
        "name": provider.name,
        "scheme": provider.address.scheme,
        "host": provider.address.host,
        "port": provider.address.port,
        "prefix": provider.address.prefix,
        "speaks": dict(provider.speaks),
        "headers": [[name, value.reveal()] for name, value in provider.headers],
        "timeouts": msgspec.structs.asdict(provider.timeouts),
        "min_idle": provider.min_idle,
        "ca_file": provider.ca_file,
    }
