"""`fastroute serve`: checks everything first, starts, then says in one screen what is reachable and how."""

import os
from collections.abc import Iterator, Sequence
from typing import Any

import click
import msgspec

from fastroute.catalogue import Found, find_providers
from fastroute.cli.frame import command, config_option, option, state_dir_option
from fastroute.config import load
from fastroute.config.schema import Config, Listen
from fastroute.state_dir import StateDirError, hold, state_home
from fastroute.supervisor import Listener, ListenerError, Supervisor, open_listeners
from fastroute.table import Table, compile_table
from fastroute.version import VERSION

# Model names on one line of the first screen; the rest is a request away.
_SHOWN_MODELS = 5


@command(
    "serve",
    "fastroute serve                          # keys from the environment, or the built-in mock/echo",
    "fastroute serve -c gateway.yaml          # your own models, providers and policies",
    "fastroute serve --port 8000              # the edge door is one port above",
)
@config_option()
@option("--host", env="FASTROUTE_HOST", show_default="127.0.0.1", help="Address that both doors bind.")
@option(
    "--port",
    env="FASTROUTE_PORT",
    type=click.IntRange(0, 65_535),
    show_default="4000",
    help="Port of the default door; the edge door takes the next one up.",
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
    open_: bool,
    threads: int,
    state_dir: str | None,
    dry_run: bool,
) -> None:
    """Run the gateway.

    Without a configuration it offers every provider whose key is in the environment, and a built-in model that echoes.
    """
    settings = _with_options(load(config) if config else Config(), host, port, open_)
    # A table that does not compile is told before any port is taken.
    compile_table(settings, find_providers(os.environ), 0)
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
    supervisor = Supervisor(settings, listeners, threads, instance)
    supervisor.start()
    for line in _first_screen(table, found, listeners, settings):
        click.echo(line)
    raise SystemExit(supervisor.run())


def _with_options(config: Config, host: str | None, port: int | None, open_: bool) -> Config:
    changes: dict[str, Any] = {}
    if host is not None:
        changes |= {"address": host, "edge_address": None}
    if port is not None:
        step = 1 if port else 0
        changes |= {"port": port, "edge_port": port + step, "admin_port": port + 2 * step}
    if open_:
        changes["open"] = True
    if not changes:
        return config
    listen: Listen = msgspec.structs.replace(config.listen, **changes)
    return msgspec.structs.replace(config, listen=listen)


def _first_screen(table: Table, found: Found, listeners: Sequence[Listener], config: Config) -> Iterator[str]:
    """Version, addresses, providers, models, who may call, and two lines to copy."""
    urls = {listener.name: listener.url for listener in listeners}
    yield f"fastroute {VERSION}"
    yield f"  listening  {urls['granian']} (granian)" + (f", {urls['edge']} (edge)" if "edge" in urls else "")
    yield from _providers(table, found)
    names = list(table.routes)
    more = f" and {len(names) - _SHOWN_MODELS} more" if len(names) > _SHOWN_MODELS else ""
    yield f"  models     {', '.join(names[:_SHOWN_MODELS])}{more}; provider/model reaches every other"
    yield f"  access     {'open to the network, no keys' if config.listen.open else 'open, loopback only'}"
    model = names[0] if names else "mock/echo"
    body = f'{{"model":"{model}","messages":[{{"role":"user","content":"hello"}}]}}'
    yield f"  try        curl {urls['granian']}/v1/chat/completions -H 'content-type: application/json' -d '{body}'"
    yield f"  SDKs       OPENAI_BASE_URL={urls['granian']}/v1 OPENAI_API_KEY=unused"


def _providers(table: Table, found: Found) -> Iterator[str]:
    """Names of providers and of the variables their keys came from; never a key."""
    shown = [
        f"{name} (${found.providers[name].variable})" if name in found.providers else name
        for name in table.providers
        if name != "mock"
    ]
    if shown:
        yield f"  providers  {', '.join(shown)}"
    else:
        yield "  providers  none found; set OPENAI_API_KEY (or another provider's key) and start again"
    for name, variable in found.not_yet:
        yield f"             {name} (${variable}): found, not yet supported"
    for variable, reason in found.ignored:
        yield f"             ${variable} is not used: {reason}"
