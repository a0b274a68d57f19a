"""The providers fastroute knows by name, and which of them this environment has a key for.

One rule: only environment variables are looked at; nothing is probed. One surprise: a variable that points a provider's
SDK elsewhere is honoured only when it does not lead back to us, because a shell made ready for clients has
OPENAI_BASE_URL set to the gateway.
"""

import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

import msgspec

from fastroute.address import leads_to, parse_address
from fastroute.credentials import AwsKeys, BearerKey, Credential, from_environment, region_of
from fastroute.secret import Secret


class Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A provider as data: where it is, which variables may hold its key, which dialects it speaks on which path."""

    address: str
    key_env: tuple[str, ...]
    speaks: dict[str, str]
    address_env: str | None = None
    auth: str | None = None
    """Where a key in a header does not do: a kind that `credentials.from_environment` knows."""


class Unsupported(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A provider whose dialect is not built yet."""

    dialect: str
    key_env: tuple[str, ...]


class Catalogue(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    providers: dict[str, Row]
    not_yet: dict[str, Unsupported]


class FoundProvider(NamedTuple):
    """A provider this environment has a key for, and the variable the key is in."""

    name: str
    address: str
    speaks: Mapping[str, str]
    variable: str
    key: Secret | Credential
    """A key for the usual header, or what signs or fetches tokens."""


class Found(NamedTuple):
    """What an environment holds of the catalogue."""

    providers: Mapping[str, FoundProvider]
    rows: Mapping[str, Row]
    not_yet: tuple[tuple[str, str], ...]
    """Providers and variables of keys for a dialect that is not built yet."""
    ignored: tuple[tuple[str, str], ...]
    """Variables that are set and not used, and why."""

    def known(self) -> dict[str, tuple[str, ...]]:
        """Each provider of the catalogue with the variables that would give it a key; none where it has one."""
        return {name: () if name in self.providers else row.key_env for name, row in self.rows.items()}


@cache
def read_catalogue() -> Catalogue:
    """The rows that come with fastroute, read once and only when asked for."""
    text = Path(__file__).with_name("providers.toml").read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(text), Catalogue)


def find_providers(environ: Mapping[str, str], listeners: Iterable[tuple[str, int]] = ()) -> Found:
    """The providers `environ` has keys for. `listeners` are our own (host, port), never taken for an upstream."""
    catalogue = read_catalogue()
    listeners = tuple(listeners)
    providers: dict[str, FoundProvider] = {}
    rows: dict[str, Row] = {}
    ignored: list[tuple[str, str]] = []
    for name, row in catalogue.providers.items():
        address, reason = _address(row, environ, listeners)
        if reason is not None and row.address_env is not None:
            ignored.append((row.address_env, reason))
        rows[name] = msgspec.structs.replace(row, address=address)
        variable, key, reason = _key(rows[name], environ)
        if key is not None:
            providers[name] = FoundProvider(name, address, row.speaks, variable, key)
        elif reason is not None:
            ignored.append((variable, reason))
    not_yet = ((name, _first_set(row.key_env, environ)) for name, row in catalogue.not_yet.items())
    seen = tuple((name, variable) for name, variable in not_yet if variable is not None)
    return Found(providers, rows, seen, tuple(ignored))


def _detected(
    kind: str, address: str, environ: Mapping[str, str]
) -> tuple[str, Credential | BearerKey | None, str | None]:
    detected = from_environment(kind, environ)
    found = detected.credential
    if isinstance(found, AwsKeys) and found.region is None and region_of(parse_address(address).host) is None:
        return detected.variable, None, "AWS_REGION must be set with it"
    return detected.variable, found, detected.problem


def _key(row: Row, environ: Mapping[str, str]) -> tuple[str, Secret | Credential | None, str | None]:
    """The variable that gives the key, the key, and why there is none although the variable is set."""
    if row.auth is not None:
        variable, found, reason = _detected(row.auth, row.address, environ)
        return variable, found.key if isinstance(found, BearerKey) else found, reason
    variable = _first_set(row.key_env, environ)
    if variable is None:
        return "", None, None
    key = Secret(environ[variable].strip())
    if key.fits_a_header():
        return variable, key, None
    return variable, None, "it has characters that a header cannot carry"


def _address(row: Row, environ: Mapping[str, str], listeners: tuple[tuple[str, int], ...]) -> tuple[str, str | None]:
    """The address to call, and why the environment's was not taken if it was not."""
    asked = environ.get(row.address_env, "").strip() if row.address_env else ""
    if not asked:
        return row.address, None
    try:
        address = parse_address(asked)
    except ValueError as error:
        return row.address, str(error)
    if leads_to(address, listeners):
        return row.address, "it points at this gateway"
    return asked, None


def _first_set(names: Iterable[str], environ: Mapping[str, str]) -> str | None:
    return next((name for name in names if environ.get(name, "").strip()), None)
