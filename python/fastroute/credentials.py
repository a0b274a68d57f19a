"""What a request is signed with, or what a token is fetched by, where a key in a header does not do.

One rule: a token is fetched from a fixed address or from one that an operator wrote, over TLS unless it stays on this
machine. One surprise: Google's metadata server is asked in clear: it has no other way, and is a part of the host.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast

from msgspec import Struct

from fastroute.address import Address, is_loopback, parse_address
from fastroute.secret import Secret

GOOGLE_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
GOOGLE_TOKENS = "https://oauth2.googleapis.com/token"
GOOGLE_METADATA = "http://metadata.google.internal"
METADATA_PATH = "/computeMetadata/v1/instance/service-accounts/default/token"
AZURE_SCOPE = "https://cognitiveservices.azure.com/.default"
AZURE_LOGIN = "https://login.microsoftonline.com"
AWS_SERVICE = "bedrock"

# A key file has some 2,400 bytes.
_MAX_KEY_FILE_BYTES = 64 * 1024
_REGION_IN_HOST = re.compile(r"\.([a-z]{2}(?:-[a-z]+)+-[0-9]+)\.(?:amazonaws\.com(?:\.cn)?|api\.aws)\Z", re.ASCII)


class AwsKeys(Struct, frozen=True):
    """Each request is signed (SigV4)."""

    access_key_id: Secret
    secret_access_key: Secret
    session_token: Secret | None = None
    region: str | None = None
    """None: the one in the host's name."""
    service: str = AWS_SERVICE


class ServiceAccount(Struct, frozen=True):
    """A Google service account: tokens for a request signed with its key."""

    client_email: str
    private_key: Secret
    """PEM."""
    private_key_id: str | None = None
    audience: str = GOOGLE_TOKENS
    token_address: str = GOOGLE_TOKENS
    scope: str = GOOGLE_SCOPE


class MachineAccount(Struct, frozen=True):
    """The service account of the Google machine that this is."""

    token_address: str = GOOGLE_METADATA + METADATA_PATH


class EntraApplication(Struct, frozen=True):
    """An application in Microsoft Entra ID: tokens for its secret."""

    client_id: str
    client_secret: Secret
    token_address: str
    scope: str = AZURE_SCOPE


class BearerKey(Struct, frozen=True):
    """A key that is sent as a bearer token, where the environment has that in place of what signs."""

    key: Secret


Credential = AwsKeys | ServiceAccount | MachineAccount | EntraApplication


class Detected(NamedTuple):
    """What an environment says of one kind."""

    credential: Credential | BearerKey | None
    variable: str
    """The variable that says so; without a credential the one at fault."""
    problem: str | None = None
    """Why it does not do. None with no credential: no variable is set."""


def from_environment(kind: str, environ: Mapping[str, str]) -> Detected:
    """The credential of a kind, from the variables that the provider's own tools read."""
    given = {name: value.strip() for name, value in environ.items() if value.strip()}
    match kind:
        case "aws_sigv4":
            return _aws(given)
        case "google_service_account":
            return _google(given)
        case "google_metadata":
            host = given.get("GCE_METADATA_HOST")
            return Detected(MachineAccount(f"http://{host}{METADATA_PATH}") if host else None, "GCE_METADATA_HOST")
        case "azure_entra":
            return _azure(given)
        case _:
            raise ValueError(f"no variables are known for {kind}")


def _aws(given: Mapping[str, str]) -> Detected:
    bearer = given.get("AWS_BEARER_TOKEN_BEDROCK")
    if bearer is not None:
        return _fitting(BearerKey(Secret(bearer)), "AWS_BEARER_TOKEN_BEDROCK", [Secret(bearer)])
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    missing = [name for name in names if name not in given]
    if missing:
        return _incomplete(names, missing)
    session = given.get("AWS_SESSION_TOKEN")
    keys = AwsKeys(
        Secret(given[names[0]]),
        Secret(given[names[1]]),
        None if session is None else Secret(session),
        given.get("AWS_REGION", given.get("AWS_DEFAULT_REGION")),
    )
    return _fitting(keys, names[0], [keys.access_key_id, keys.secret_access_key, keys.session_token])


def _google(given: Mapping[str, str]) -> Detected:
    variable = "GOOGLE_APPLICATION_CREDENTIALS"
    file = given.get(variable)
    if file is None:
        return Detected(None, variable)
    try:
        return Detected(read_service_account(file), variable)
    except ValueError as error:
        return Detected(None, variable, str(error))


def _azure(given: Mapping[str, str]) -> Detected:
    names = ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET")
    missing = [name for name in names if name not in given]
    if missing:
        return _incomplete(names, missing)
    tenant, client, secret = (given[name] for name in names)
    login = given.get("AZURE_AUTHORITY_HOST", AZURE_LOGIN)
    # Azure's own tools take it with and without the scheme.
    login = (login if "://" in login else f"https://{login}").rstrip("/")
    try:
        address = tenant_address(tenant, login)
        parse_token_address(address)
    except ValueError as error:
        return Detected(None, names[0], str(error))
    return _fitting(EntraApplication(client, Secret(secret), address), names[1], [Secret(secret)])


def _incomplete(names: tuple[str, ...], missing: list[str]) -> Detected:
    problem = None if len(missing) == len(names) else f"{' and '.join(missing)} must be set with it"
    return Detected(None, next((name for name in names if name not in missing), names[0]), problem)


def _fitting(credential: Credential | BearerKey, variable: str, secrets: list[Secret | None]) -> Detected:
    if all(secret is None or secret.fits_a_header() for secret in secrets):
        return Detected(credential, variable)
    return Detected(None, variable, "it has characters that a header cannot carry")


def tenant_address(tenant: str, login: str = AZURE_LOGIN) -> str:
    """Where the tokens of a tenant are fetched. Raises ValueError."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.-]*", tenant, re.ASCII):
        raise ValueError("a tenant is a GUID or a domain")
    return f"{login}/{tenant}/oauth2/v2.0/token"


def parse_token_address(url: str, *, in_clear: bool = False) -> Address:
    """Split the URL of a token endpoint. Raises ValueError, whose text never repeats it."""
    address = parse_address(url)
    if address.scheme == "http" and not in_clear and not is_loopback(address.host):
        raise ValueError('a token is fetched over "https://", or from this machine')
    return address


def read_service_account(file: str) -> ServiceAccount:
    """The account in a key file. Raises ValueError, whose text names the flaw and repeats nothing of the file."""
    try:
        with Path(file).open("rb") as opened:
            content = opened.read(_MAX_KEY_FILE_BYTES + 1)
        text = content.decode()
    except OSError as error:
        raise ValueError(f"this file cannot be read: {error.strerror}") from None
    except ValueError:
        raise ValueError("not the key file of a service account: it is not UTF-8") from None
    return parse_service_account(text)


def parse_service_account(text: str) -> ServiceAccount:
    """The account in the content of a key file. Raises ValueError as `read_service_account` does."""
    wrong = "not the key file of a service account: "
    if len(text) > _MAX_KEY_FILE_BYTES:
        raise ValueError(f"{wrong}it is longer than 64 KiB")
    try:
        content: object = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError(f"{wrong}it is not JSON") from None
    if not isinstance(content, dict):
        raise ValueError(f"{wrong}it is not a JSON object")
    fields = cast(dict[str, Any], content)
    if fields.get("type") != "service_account":
        raise ValueError(f'{wrong}its "type" is not "service_account"')
    for name in ("client_email", "private_key"):
        if not isinstance(fields.get(name), str) or not fields[name].isascii():
            raise ValueError(f'{wrong}it has no "{name}"')
    if "-----BEGIN " not in fields["private_key"]:
        raise ValueError(f'{wrong}its "private_key" is not PEM')
    identity, address = fields.get("private_key_id"), fields.get("token_uri", GOOGLE_TOKENS)
    if not isinstance(identity, str | None) or not isinstance(address, str):
        raise ValueError(f'{wrong}its "private_key_id" or "token_uri" is no text')
    try:
        parse_token_address(address)
    except ValueError as error:
        raise ValueError(f'{wrong}its "token_uri": {error}') from None
    private_key = Secret(fields["private_key"])
    return ServiceAccount(fields["client_email"], private_key, identity, audience=address, token_address=address)


def region_of(host: str) -> str | None:
    """The AWS region that a host's name tells."""
    found = _REGION_IN_HOST.search(host)
    return found[1] if found else None


def as_wire(credential: Credential, host: str) -> dict[str, Any]:
    """What the engine is told, in clear. `host` is the provider's."""
    if isinstance(credential, AwsKeys):
        return {
            "kind": "aws_sigv4",
            "region": credential.region or region_of(host) or "",
            "service": credential.service,
            "access_key_id": credential.access_key_id.reveal(),
            "secret_access_key": credential.secret_access_key.reveal(),
            "session_token": None if credential.session_token is None else credential.session_token.reveal(),
        }
    address = parse_token_address(credential.token_address, in_clear=isinstance(credential, MachineAccount))
    at = {"scheme": address.scheme, "host": address.host, "port": address.port, "path": address.prefix or "/"}
    return {"kind": "token", "at": at, "by": _grant(credential)}


def _grant(credential: ServiceAccount | MachineAccount | EntraApplication) -> dict[str, Any]:
    match credential:
        case MachineAccount():
            return {"grant": "google_metadata"}
        case ServiceAccount():
            return {
                "grant": "google_service_account",
                "client_email": credential.client_email,
                "private_key_id": credential.private_key_id,
                "private_key": credential.private_key.reveal(),
                "audience": credential.audience,
                "scope": credential.scope,
            }
        case EntraApplication():
            return {
                "grant": "azure_entra",
                "client_id": credential.client_id,
                "client_secret": credential.client_secret.reveal(),
                "scope": credential.scope,
            }
