"""The rows of the catalogue: a provider as data, read from `providers.toml` and, for its quirks, from `quirks.toml`.

One rule: a row is found wrong when it is read and not when it is used. One surprise: a row that is `like` another takes
whole fields from it, so a `speaks` of its own replaces the other's.
"""

import re
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal

import msgspec

from fastroute.endpoints import COUNTING, ENDPOINTS
from fastroute.needs import REGION

Auth = Literal[
    "bearer", "header", "query", "azure_key", "azure_entra", "aws_sigv4", "google_service_account", "google_metadata"
]

SIGNED: frozenset[Auth] = frozenset(("azure_entra", "aws_sigv4", "google_service_account", "google_metadata"))
"""Kinds that need more than a key, or none: where a key is given all the same, it is a bearer token."""

_VARIABLE = re.compile(r"\{([a-z]+)\}")


class Variable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What stands in braces in an address: where its value is looked for when a configuration has none."""

    env: tuple[str, ...] = ()
    default: str | None = None


class Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A provider as data; `providers.toml` says what each field means."""

    speaks: dict[str, str]
    address: str = ""
    address_env: str | None = None
    key_env: tuple[str, ...] = ()
    bearer_env: tuple[str, ...] = ()
    auth: Auth = "bearer"
    auth_header: str | None = None
    headers: dict[str, str] = {}
    vars: dict[str, Variable] = {}
    regions: dict[str, str] = {}
    named: bool = False
    keyless: bool = False
    like: str | None = None
    quirks: dict[str, Any] = {}

    @property
    def key_header(self) -> str:
        """The header its key goes in: `authorization` as a bearer token, any other as it is."""
        if self.auth in ("header", "azure_key") and self.auth_header:
            return self.auth_header
        return "authorization"

    def variables(self) -> frozenset[str]:
        """What its addresses leave open, `region` included where it chooses among them."""
        named = {name for address in (self.address, *self.regions.values()) for name in _VARIABLE.findall(address)}
        return frozenset(named | ({REGION} if self.regions else set()))

    def address_in(self, values: Mapping[str, str]) -> str:
        """Its address with `values` in the place of the variables. Raises KeyError for one without a value."""
        address = self.regions.get(values.get(REGION, ""), self.address)
        return _VARIABLE.sub(lambda match: values[match[1]], address)


class Catalogue(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    providers: dict[str, Row]


@cache
def read_catalogue() -> Catalogue:
    """The rows that come with fastroute, read once and only when asked for."""
    return read_rows(Path(__file__).parent)


def read_rows(folder: Path) -> Catalogue:
    """The rows in a folder. Raises ValueError for a file that is wrong."""
    rows: dict[str, dict[str, Any]] = _read(folder / "providers.toml")["providers"]
    quirks = _read(folder / "quirks.toml")
    if not quirks.keys() <= rows.keys():
        raise ValueError(f"quirks of providers that have no row: {', '.join(sorted(quirks.keys() - rows.keys()))}")
    providers = {name: {**rows.get(row.get("like", ""), {}), **row} for name, row in rows.items()}
    for name, row in providers.items():
        row["quirks"] = quirks.get(name, quirks.get(row.get("like", ""), {}) if _alike(rows, name) else {})
    return msgspec.convert({"providers": providers}, Catalogue)


def _alike(rows: Mapping[str, Mapping[str, Any]], name: str) -> bool:
    """Whether a row speaks a dialect of the one it is like: only then has it the other's oddities."""
    other = rows.get(rows[name].get("like", ""), {}).get("speaks", {})
    return bool((rows[name].get("speaks", other).keys() & other.keys()) - {"models", *ENDPOINTS, *COUNTING})


def _read(file: Path) -> dict[str, Any]:
    return tomllib.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
