"""What an environment holds of the catalogue: keys, addresses, and what stands in them.

One rule: only environment variables are looked at; nothing is probed. One surprise: a variable that points a provider's
SDK elsewhere is honoured only when it does not lead back to us, because a shell made ready for clients has
OPENAI_BASE_URL set to the gateway.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import msgspec

from fastroute.address import fits_an_address, leads_to, parse_address
from fastroute.catalogue.rows import SIGNED, Row, read_catalogue
from fastroute.credentials import AwsKeys, BearerKey, Credential, from_environment, region_of
from fastroute.needs import REGION, Needs
from fastroute.secret import Secret


class FoundKey(NamedTuple):
    """A key, the variable it is in, and the header it goes in; or what signs requests or fetches tokens for them."""

    variable: str
    header: str
    value: Secret | Credential


class FoundProvider(NamedTuple):
    """A provider that can be called as it is, and the variable its key is in."""

    name: str
    address: str
    speaks: Mapping[str, str]
    variable: str
    key: Secret | Credential


class Found(NamedTuple):
    """What an environment holds of the catalogue."""

    providers: Mapping[str, FoundProvider]
    """Those that are offered where no configuration names any."""
    rows: Mapping[str, Row]
    keys: Mapping[str, FoundKey]
    """Keys of all rows, also of those that wait to be named."""
    vars: Mapping[str, Mapping[str, str]]
    """What fills the addresses of the rows that leave something open."""
    ignored: tuple[tuple[str, str], ...]
    """Variables that are set and not used, and why."""

    def known(self) -> dict[str, Needs]:
        """Each provider of the catalogue with what it still needs."""
        return {name: self._needs(name, row) for name, row in self.rows.items()}

    def _needs(self, name: str, row: Row) -> Needs:
        keyed = name in self.keys or row.keyless or row.auth in SIGNED
        names = row.variables()
        return Needs(
            keys=() if keyed else (*row.key_env, *row.bearer_env),
            address=not row.address,
            vars={each: row.vars[each].env if each in row.vars else () for each in sorted(names)},
            open=frozenset(each for each in names if each in row.vars and each not in self.vars[name]),
            free=frozenset(row.vars),
            regions=tuple(row.regions),
        )


def find_providers(environ: Mapping[str, str], listeners: Iterable[tuple[str, int]] = ()) -> Found:
    """The providers `environ` has keys for. `listeners` are our own (host, port), never taken for an upstream."""
    listeners = tuple(listeners)
    providers: dict[str, FoundProvider] = {}
    rows: dict[str, Row] = {}
    keys: dict[str, FoundKey] = {}
    values: dict[str, Mapping[str, str]] = {}
    ignored: list[tuple[str, str]] = []
    for name, written in read_catalogue().providers.items():
        address, reason = _address(written, environ, listeners)
        if reason is not None and written.address_env is not None:
            ignored.append((written.address_env, reason))
        rows[name] = row = msgspec.structs.replace(written, address=address)
        values[name] = dict(_values(row, environ))
        key, reason = _key(row, environ)
        if key is None:
            continue
        if reason is not None:
            ignored.append((key.variable, reason))
            continue
        keys[name] = key
        if row.named:
            continue
        missing = row.variables() - values[name].keys() if row.vars else frozenset[str]()
        if missing:
            ignored.append((key.variable, _unfilled(row, min(missing))))
        else:
            found = FoundProvider(name, row.address_in(values[name]), row.speaks, key.variable, key.value)
            providers[name] = found
    return Found(providers, rows, keys, values, tuple(dict.fromkeys(ignored)))


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


def _values(row: Row, environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for name, variable in row.vars.items():
        from_environ = (environ.get(each, "").strip() for each in variable.env)
        # What is no part of a host's name would lead a key to another host.
        value = next((each for each in from_environ if fits_an_address(each)), variable.default)
        if value is not None:
            yield name, value


def _key(row: Row, environ: Mapping[str, str]) -> tuple[FoundKey | None, str | None]:
    """The first key that is set, and why it cannot be used if it cannot."""
    if row.auth in SIGNED:
        found, reason = _credential(row, environ)
        if found is not None:
            return found, reason
    headers = dict.fromkeys(row.key_env, row.key_header) | dict.fromkeys(row.bearer_env, "authorization")
    for variable, header in headers.items():
        key = Secret(environ.get(variable, "").strip())
        if key:
            reason = None if key.fits_a_header() else "it has characters that a header cannot carry"
            return FoundKey(variable, header, key), reason
    return None, None


def _credential(row: Row, environ: Mapping[str, str]) -> tuple[FoundKey | None, str | None]:
    detected = from_environment(row.auth, environ)
    found, reason = detected.credential, detected.problem
    if found is None:
        nothing = Secret("")
        return (None, None) if reason is None else (FoundKey(detected.variable, "", nothing), reason)
    if isinstance(found, BearerKey):
        return FoundKey(detected.variable, "authorization", found.key), reason
    if isinstance(found, AwsKeys) and found.region is None and REGION not in row.variables():
        host = parse_address(row.address).host
        if region_of(host) is None:
            reason = "AWS_REGION must be set with it"
    return FoundKey(detected.variable, "", found), reason


def _unfilled(row: Row, variable: str) -> str:
    env = row.vars[variable].env if variable in row.vars else ()
    return f"the address needs {' or '.join(env)}" if env else f'the address needs "{variable}" from a configuration'
