"""The page of providers: `python -m fastroute.catalogue.reference > docs/providers.md`.

One rule: what the page says of a provider is taken from its row. A test compares the page with this module and names
the command above when they differ.
"""

import sys

from fastroute.catalogue.rows import SIGNED, Row, read_catalogue
from fastroute.endpoints import COUNTING, ENDPOINTS
from fastroute.needs import REGION

_TOP = """\
# Providers

<!-- Made by `python -m fastroute.catalogue.reference`; change `python/fastroute/catalogue/providers.toml`. -->

Providers that fastroute knows by name. One whose key is in the environment is found by itself; those marked ○ are
called only when a configuration names them. What an address leaves open is taken from `region` and `vars` in a
configuration, else from the variable named here. How to change one in part, and how to add another:
[add a provider](add-a-provider.md). Endpoints behind the dialects are [passed on as they
are](decisions/0014-pass-through.md).

| provider | key | proves who we are by | its address asks for | dialects | passed on |
|---|---|---|---|---|---|
"""

_AUTH = {
    "bearer": "bearer token",
    "query": "key in the query",
    "azure_entra": "Microsoft Entra ID",
    "aws_sigv4": "AWS SigV4, or a bearer token",
    "google_service_account": "Google service account, or a bearer token",
    "google_metadata": "Google metadata server",
}


def render_reference() -> str:
    """The whole page as Markdown."""
    return _TOP + "".join(_line(name, row) for name, row in sorted(read_catalogue().providers.items()))


def _line(name: str, row: Row) -> str:
    cells = (
        f"`{name}`{' ○' if row.named else ''}",
        _keys(row),
        _auth(row),
        _asks(row),
        _dialects(row),
        _passed_on(row),
    )
    return f"| {' | '.join(cells)} |\n"


def _keys(row: Row) -> str:
    keys = ", ".join(f"`{variable}`" for variable in (*row.key_env, *row.bearer_env))
    return f"{keys}, or none" if keys and row.keyless else keys or "none"


def _auth(row: Row) -> str:
    if row.auth in SIGNED or row.auth in _AUTH:
        return _AUTH[row.auth]
    return f"`{row.auth_header}`" + (", or a bearer token" if row.bearer_env else "")


def _asks(row: Row) -> str:
    if not row.address:
        return f"all of it (`{row.address_env}`)"
    return "; ".join(_variable(name, row) for name in sorted(row.variables()))


def _variable(name: str, row: Row) -> str:
    variable = row.vars.get(name)
    if variable is None:
        return f"`{REGION}`: {', '.join(row.regions)}"
    where = f" ({', '.join(f'`{each}`' for each in variable.env)})" if variable.env else ""
    return f"`{name}`{where}" + (f", else {variable.default}" if variable.default else "")


def _dialects(row: Row) -> str:
    return ", ".join(dialect for dialect in row.speaks if dialect not in ("models", *ENDPOINTS, *COUNTING))


def _passed_on(row: Row) -> str:
    return ", ".join(endpoint for endpoint in ENDPOINTS if endpoint in row.speaks)


if __name__ == "__main__":
    sys.stdout.write(render_reference())
