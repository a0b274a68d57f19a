"""Config to a running gateway: the only file that names every concrete class."""

import asyncio
import time
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from random import Random
from typing import NamedTuple, cast

import msgspec

from fastroute import facts, native
from fastroute.catalogue import Found
from fastroute.config.schema import Config
from fastroute.errors import ConfigError, Mistake
from fastroute.gateway import Gateway, install_watchdog
from fastroute.policies import REGISTRY, Rank
from fastroute.table import Table, as_wire, compile_table


def find_policies(table: Table) -> dict[str, Rank]:
    """The function of every policy the table names. Raises ConfigError for one that cannot be imported."""
    found: dict[str, Rank] = {}
    for route in table.routes.values():
        if route.policy not in found:
            found[route.policy] = REGISTRY.get(route.policy) or _imported(route.policy, route.name)
    return found


def _imported(policy: str, route: str) -> Rank:
    module, _, name = policy.partition(":")
    try:
        rank = getattr(import_module(module), name)
    except (Exception, SystemExit) as error:  # importing runs whatever the module holds, an exit too
        mistake = Mistake("", 0, 0, f"models.{route}.policy", f'cannot import "{policy}": {_reason(error)}')
        raise ConfigError([mistake]) from error
    if not callable(rank):
        raise ConfigError([Mistake("", 0, 0, f"models.{route}.policy", f'"{policy}" is not a function')])
    return cast("Rank", rank)


def _reason(error: BaseException) -> str:
    """Errors of importing say where they are; any other is named, because its text is the module's own."""
    return str(error) if isinstance(error, ImportError | AttributeError) else f"it raised {type(error).__name__}"


def bounds_of(config: Config) -> Mapping[str, object]:
    """The limits of a configuration under the engine's names."""
    limits = config.limits
    return {
        "body_bytes": limits.max_body_bytes,
        "all_body_bytes": limits.max_body_memory_bytes,
        "in_flight": limits.max_in_flight,
        "memory_bytes": limits.max_memory_bytes or 0,
        "connections": limits.max_connections,
        "body_timeout_s": limits.body_timeout_s,
        "write_stall_s": limits.client_stall_timeout_s,
    }


def journal_of(config: Config, folder: str | None) -> Mapping[str, object] | None:
    """The journal of a configuration under the engine's names; None where there is none."""
    if folder is None:
        return None
    journal = config.journal
    instance = Path(folder).parent.name
    return {
        "dir": folder,
        "instance": instance,
        "fsync": journal.fsync,
        "required": journal.required,
        "max_bytes": journal.max_bytes,
    }


class Successor(NamedTuple):
    """What takes over from a table that decides: compiled, and not yet in use."""

    config: Config
    table: Table
    policies: Mapping[str, Rank]
    engine_table: native.NextTable


def prepare(config: Config, found: Found, generation: int) -> Successor:
    """Compiles aside what a running gateway is to decide by next. May run on any thread. Raises ConfigError."""
    table = compile_table(config, found, generation)
    policies = find_policies(table)
    try:
        compiled = native.NextTable(msgspec.json.encode(as_wire(table)))
    except ValueError as error:
        # The engine's own checks, whose texts name places and no values.
        raise ConfigError([Mistake("", 0, 0, "", str(error))]) from error
    return Successor(config, table, policies, compiled)


class Terms(NamedTuple):
    """What a data process is told of itself beside its configuration."""

    threads: int = 0
    """I/O threads; 0: one per usable core."""
    journal: str | None = None
    """Folder to keep a journal in."""
    generation: int = 1
    """Number of its first table."""


def build(config: Config, found: Found, loop: asyncio.AbstractEventLoop, terms: Terms) -> tuple[Gateway, native.Engine]:
    """Starts the engine on `loop` with a gateway that decides for it."""
    threads, journal, generation = terms
    table = compile_table(config, found, generation)
    gateway = Gateway(table, find_policies(table), time.monotonic, Random())  # noqa: S311 - dice, not secrets
    encode = msgspec.json.encode
    kept = journal_of(config, journal)
    record = None if kept is None else encode(kept)
    engine = native.Engine(loop, encode(as_wire(table)), encode(bounds_of(config)), threads, gateway, facts, record)
    gateway.count_unasked(engine.unasked)
    install_watchdog(engine, native.WATCHDOG_SIGNAL)
    return gateway, engine
