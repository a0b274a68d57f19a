"""What an `auth` block means: the credential it makes, and what is wrong with it.

One rule: which keys each kind takes stands in one table here, so a flaw, and not a silent default, tells of a key that
does nothing.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from fastroute.config.schema import Auth, Provider
from fastroute.config.source import Flaw, Path
from fastroute.credentials import (
    AZURE_SCOPE,
    GOOGLE_METADATA,
    GOOGLE_SCOPE,
    METADATA_PATH,
    AwsKeys,
    Credential,
    EntraApplication,
    MachineAccount,
    ServiceAccount,
    parse_service_account,
    parse_token_address,
    read_service_account,
    region_of,
    tenant_address,
)
from fastroute.secret import Secret


class _Keys(NamedTuple):
    needed: tuple[str, ...] = ()
    possible: tuple[str, ...] = ()


_TAKES: Mapping[str, _Keys] = {
    "bearer": _Keys(),
    "header": _Keys(("name",)),
    "query": _Keys(("name",)),
    "aws_sigv4": _Keys(("access_key_id", "secret_access_key"), ("session_token", "region", "service")),
    "google_service_account": _Keys((), ("file", "json", "scope", "token_address")),
    "google_metadata": _Keys((), ("token_address",)),
    "azure_entra": _Keys(("tenant_id", "client_id", "client_secret"), ("scope", "token_address")),
}
_ALL = tuple(dict.fromkeys(key for keys in _TAKES.values() for key in (*keys.needed, *keys.possible)))
KEYED = frozenset(("bearer", "header", "query"))
"""Kinds that send the provider's `key`, or one of its `keys`."""

_USUAL_VARIABLES = {
    "access_key_id": "AWS_ACCESS_KEY_ID",
    "secret_access_key": "AWS_SECRET_ACCESS_KEY",
    "region": "AWS_REGION",
    "tenant_id": "AZURE_TENANT_ID",
    "client_id": "AZURE_CLIENT_ID",
    "client_secret": "AZURE_CLIENT_SECRET",
}


def takes_no_key(provider: Provider) -> bool:
    """Whether requests are proved by something else than a key of the provider's."""
    return provider.auth is not None and provider.auth.kind not in KEYED


def auth_flaws(at: Path, provider: Provider, host: str | None, has_a_key: bool) -> Iterator[Flaw]:
    """What is wrong in the `auth` block of the provider at `at`. `host` is the one it calls, where that is known;
    `has_a_key`: also counting what the environment may hold."""
    auth = provider.auth
    if auth is None:
        return
    path: Path = (*at, "auth")
    flaws = [*_field_flaws(path, auth, host), *_key_flaws(at, provider, auth, has_a_key)]
    for flaw in flaws:
        yield flaw._replace(relies_on=(*flaw.relies_on, (*path, "kind")))


def _field_flaws(path: Path, auth: Auth, host: str | None) -> Iterator[Flaw]:
    takes = _TAKES[auth.kind]
    for key in _ALL:
        value = getattr(auth, key)
        if value is None:
            if key in takes.needed:
                yield _missing(path, auth.kind, key)
        elif key not in (*takes.needed, *takes.possible):
            yield Flaw((*path, key), f'has no effect with kind "{auth.kind}"', hint="leave it out", at_key=True)
        elif not value:
            yield Flaw((*path, key), "is empty")
        # The content of a key file is no header's.
        elif key not in ("file", "json") and not _fits(value):
            hint = "a line end, a space around it, or not ASCII"
            yield Flaw((*path, key), "has characters that a header cannot carry", hint=hint)
    yield from _address_flaws(path, auth)
    if auth.kind == "aws_sigv4" and auth.region is None and host is not None and region_of(host) is None:
        yield _missing(path, auth.kind, "region")
    if auth.kind == "google_service_account":
        yield from _account_flaws(path, auth)


def _missing(path: Path, kind: str, key: str) -> Flaw:
    usual = _USUAL_VARIABLES.get(key)
    hint = f"write {key}: ${{{usual}}}" if usual else None
    return Flaw(path, f'kind "{kind}" needs "{key}"', hint=hint, at_key=True, relies_on=((*path, key),))


def _fits(value: str | Secret) -> bool:
    return (Secret(value) if isinstance(value, str) else value).fits_a_header()


def _key_flaws(at: Path, provider: Provider, auth: Auth, has_a_key: bool) -> Iterator[Flaw]:
    keys = tuple((*at, key) for key in ("key", "keys"))
    if auth.kind in KEYED:
        if not has_a_key:
            text = f'kind "{auth.kind}" needs "key" or "keys"'
            yield Flaw((*at, "auth"), text, at_key=True, relies_on=(*keys, (*at, "address")))
    else:
        for key, given in zip(keys, (provider.key is not None, bool(provider.keys)), strict=True):
            if given:
                yield Flaw(key, f'is not used with auth.kind "{auth.kind}"', hint="leave it out", at_key=True)
    if provider.key_header is not None and provider.key_header.lower() != "authorization":
        yield Flaw((*at, "key_header"), 'stands beside "auth"', hint="write auth: {kind: header, name: …}", at_key=True)


def _address_flaws(path: Path, auth: Auth) -> Iterator[Flaw]:
    if auth.token_address:
        try:
            parse_token_address(auth.token_address, in_clear=auth.kind == "google_metadata")
        except ValueError as error:
            yield Flaw((*path, "token_address"), str(error))
    if auth.tenant_id:
        try:
            tenant_address(auth.tenant_id)
        except ValueError as error:
            yield Flaw((*path, "tenant_id"), str(error))


def _account_flaws(path: Path, auth: Auth) -> Iterator[Flaw]:
    if auth.file is not None and auth.json is not None:
        yield Flaw((*path, "json"), 'stands beside "file"', hint="keep one of the two", at_key=True)
    elif auth.file is None and auth.json is None:
        hint = "write file: ${GOOGLE_APPLICATION_CREDENTIALS}"
        relies_on = ((*path, "file"), (*path, "json"))
        yield Flaw(
            path, 'kind "google_service_account" needs "file" or "json"', hint=hint, at_key=True, relies_on=relies_on
        )
    if auth.json:
        try:
            parse_service_account(auth.json.reveal())
        except ValueError as error:
            yield Flaw((*path, "json"), str(error))


def file_flaws(at: Path, auth: Auth) -> Iterator[Flaw]:
    """What is wrong with a key file. Looked at apart, because nothing else here reads a file."""
    if auth.kind == "google_service_account" and auth.file:
        try:
            read_service_account(auth.file)
        except ValueError as error:
            yield Flaw((*at, "auth", "file"), str(error), relies_on=((*at, "auth", "kind"),))


def credential_of(auth: Auth) -> Credential | None:
    """The credential that a block without flaws makes; None for those that send a key. Raises ValueError where a key
    file does not do."""
    match auth.kind:
        case "aws_sigv4":
            keys = (auth.access_key_id or Secret(""), auth.secret_access_key or Secret(""))
            signing = AwsKeys(*keys, auth.session_token, auth.region)
            return signing if auth.service is None else AwsKeys(*keys, auth.session_token, auth.region, auth.service)
        case "google_service_account":
            return _account(auth)
        case "google_metadata":
            return MachineAccount(auth.token_address or GOOGLE_METADATA + METADATA_PATH)
        case "azure_entra":
            address = auth.token_address or tenant_address(auth.tenant_id or "")
            secret = auth.client_secret or Secret("")
            return EntraApplication(auth.client_id or "", secret, address, auth.scope or AZURE_SCOPE)
        case _:
            return None


def _account(auth: Auth) -> ServiceAccount:
    json = "" if auth.json is None else auth.json.reveal()
    account = parse_service_account(json) if auth.file is None else read_service_account(auth.file)
    return ServiceAccount(
        account.client_email,
        account.private_key,
        account.private_key_id,
        audience=account.audience,
        token_address=auth.token_address or account.token_address,
        scope=auth.scope or GOOGLE_SCOPE,
    )
