"""`fastroute serve`: checks everything first, starts, then says in one screen what is reachable and how."""

import os
from collections.abc import Iterator, Sequence
from typing import Any

import click
import msgspec

from fastroute.address import is_loopback
from fastroute.catalogue import Found, find_providers
from fastroute.cli.frame import abandon_stdout, command, config_option, option, state_dir_option
from fastroute.config import load
from fastroute.config.schema import Config, Listen
from fastroute.listeners import Listener, ListenerError, open_listeners
from fastroute.reload.watch import ConfigFile
from fastroute.state_dir import StateDirError, hold, state_home
from fastroute.supervisor import Supervisor
from fastroute.table import Table, compile_table
from fastroute.version import VERSION

_MAX_PORT = 65_535
_PORT = click.IntRange(0, _MAX_PORT)
# Model names on one line of the first screen; the rest is a request away.
_SHOWN_MODELS = 5


@command(
    "serve",
    "fastroute serve                          # keys from the environment, or the built-in mock/echo",
    "fastroute serve -c gateway.yaml          # your own models, providers and policies",
    "fastroute serve --port 8000              # the edge door on 8001, metrics on 8002",
)
@config_option()
@option("--host", env="FASTROUTE_HOST", show_default="127.0.0.1", help="Address that both doors bind.")
@option(
    "--port", env="FASTROUTE_PORT", type=_PORT, show_default="4000", help="Port of the default door; 0: any free one."
)
@option(
    "--edge-port",
    env="FASTROUTE_EDGE_PORT",
    type=_PORT,
    show_default="one above --port",
    help="Port of the edge door; 0: any free one.",
)
@option(
    "--admin-port",
    env="FASTROUTE_ADMIN_PORT",
    type=_PORT,
    show_default="two above --port",
    help="Port of the admin listener, which has the metrics; 0: any free one.",
)
@option(
    "--open",
    "open_",
    env="FASTROUTE_OPEN",
    is_flag=True,
    help="Allow other machines in although no keys are asked for.",
)
@option(
    "--threads",
    env="FASTROUTE_THREADS",
    type=click.IntRange(0, 1024),
    default=0,
    show_default="one per core",
    help="I/O threads.",
)
@state_dir_option()
@option("--dry-run", env="FASTROUTE_DRY_RUN", is_flag=True, help="Check the configuration and stop.")
def serve(
    config: str | None,
    host: str | None,
    port: int | None,
    edge_port: int | None,
    admin_port: int | None,
    open_: bool,
    threads: int,
    state_dir: str | None,
    dry_run: bool,
) -> None:
    """Run the gateway.

    Without a configuration it offers every provider whose key is in the environment, and a built-in model that echoes.
    """
    found = find_providers(os.environ)
    changes: dict[str, Any] = {**_ports(port, edge_port, admin_port)}
    if host is not None:
        changes |= {"address": host, "edge_address": None}
    if open_:
        changes["open"] = True

    def read() -> Config:
        return _with_options(load(config, found.known()) if config else Config(), changes)

    settings = read()
    # A table that does not compile is told before any port is taken.
    compile_table(settings, found, 0)
    if dry_run:
        click.echo("the configuration can be used")
        return
    try:
        listeners = open_listeners(settings.listen)
        instance = None
        if settings.journal.enabled:
            instance = hold(state_home(state_dir, os.environ), str(listeners[0].place[1]))
    except (ListenerError, StateDirError) as error:
        raise click.UsageError(str(error)) from error
    # Which variables point back at us is known only now that the ports are.
    found = find_providers(os.environ, [listener.place for listener in listeners])
    table = compile_table(settings, found, 0)
    file = ConfigFile(config, read) if config else None
    supervisor = Supervisor(settings, listeners, threads, instance, file)
    supervisor.start()
    try:
        for line in _first_screen(table, found, listeners):
            click.echo(line)
    except OSError as error:
        # It serves by now: that nobody reads this, or that a disk is full, is no reason to stop.
        abandon_stdout()
        if not isinstance(error, BrokenPipeError):
            click.echo(f"cannot write the first screen: {error.strerror}", err=True)
    raise SystemExit(supervisor.run())


def _ports(port: int | None, edge_port: int | None, admin_port: int | None) -> dict[str, int]:
    """The ports that options say, under their keys: --port moves all three, in a row."""
    ports: dict[str, int] = {}
    if port is not None:
        step = 1 if port else 0
        ports = {"port": port, "edge_port": port + step, "admin_port": port + 2 * step}
    ports |= {"edge_port": edge_port} if edge_port is not None else {}
    ports |= {"admin_port": admin_port} if admin_port is not None else {}
    if any(number > _MAX_PORT for number in ports.values()):
        raise click.UsageError(f"--port {port} leaves no room above it; say --edge-port and --admin-port too")
    return ports


def _with_options(config: Config, changes: dict[str, Any]) -> Config:
    listen: Listen = msgspec.structs.replace(config.listen, **changes)
    return msgspec.structs.replace(config, listen=listen)


def _first_screen(table: Table, found: Found, listeners: Sequence[Listener]) -> Iterator[str]:
    """Version, addresses, providers, models, who may call, and two lines to copy."""
    urls = {listener.name: listener.url for listener in listeners}
    yield f"fastroute {VERSION}"
    yield f"  listening  {urls['granian']} (granian)" + (f", {urls['edge']} (edge)" if "edge" in urls else "")
    if "admin" in urls:
        yield f"  admin      {urls['admin']}/metrics, also /livez and /readyz"
    yield from _providers(table, found)
    yield f"  models     {_models(table)}"
    reached = any(not is_loopback(listener.place[0]) for listener in listeners)
    yield f"  access     {'open to the network, no keys' if reached else 'open, loopback only'}"
    model = next(iter(table.routes), None) or f"{next(iter(table.direct))}/MODEL"
    body = f'{{"model":"{model}","messages":[{{"role":"user","content":"hello"}}]}}'
    yield f"  try        curl {urls['granian']}/v1/chat/completions -H 'content-type: application/json' -d '{body}'"
    yield f"  SDKs       OPENAI_BASE_URL={urls['granian']}/v1 OPENAI_API_KEY=unused"


def _models(table: Table) -> str:
    names = list(table.routes)
    more = f" and {len(names) - _SHOWN_MODELS} more" if len(names) > _SHOWN_MODELS else ""
    named = f"{', '.join(names[:_SHOWN_MODELS])}{more}"
    if not table.direct:
        return named
    return f"{named}; provider/model reaches every other" if names else "provider/model reaches every one"


def _providers(table: Table, found: Found) -> Iterator[str]:
    """Names of providers and of the variables their keys came from; never a key."""
    shown = [
        f"{name} (${found.keys[name].variable})" if name in found.keys else name
        for name in table.providers
        if name != "mock"
    ]
    if shown:
        yield f"  providers  {', '.join(shown)}"
    else:
        yield "  providers  none found; set OPENAI_API_KEY (or another provider's key) and start again"
    for variable, reason in found.ignored:
        yield f"             ${variable} is not used: {reason}"
