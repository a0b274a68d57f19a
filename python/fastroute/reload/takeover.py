"""The data process's side of a reload: compiles the next table beside the loop, and swaps it in between two callbacks.

The rule: whatever is wrong with a configuration, the table that decides goes on. The surprise: each one is compiled on
a thread of its own that nobody waits for, because the import of a policy may never return.
"""

import asyncio
import contextlib
import functools
import logging
import threading
from collections.abc import Callable

from fastroute.build import Successor, prepare
from fastroute.catalogue import Found
from fastroute.config.schema import Config, unpack
from fastroute.errors import ConfigError
from fastroute.gateway import Gateway
from fastroute.native import Engine
from fastroute.reload.channel import Channel, Next, Verdict


class Takeover:
    """Lets a running gateway decide by the configurations that come in on a channel."""

    def __init__(
        self, channel: Channel[Next], found: Found, gateway: Gateway, engine: Engine, taken: Callable[[Config], None]
    ) -> None:
        """`taken` is told of each configuration that is in use from now on."""
        self._channel = channel
        self._found = found
        self._gateway = gateway
        self._engine = engine
        self._taken = taken

    def listen(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.add_reader(self._channel.fileno(), self._hear, loop)

    def _hear(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            for told in self._channel.receive():
                if told.config is None:
                    self._engine.refused()
                else:
                    aside = functools.partial(self._prepare, told.generation, told.config, loop)
                    threading.Thread(target=aside, name="fr-reload", daemon=True).start()
        except (EOFError, OSError):
            # The supervisor is gone; whoever has to stop for it is told by the lifeline.
            loop.remove_reader(self._channel.fileno())

    def _prepare(self, generation: int, packed: bytes, loop: asyncio.AbstractEventLoop) -> None:
        flaws: list[str] = []
        successor: Successor | None = None
        try:
            successor = prepare(unpack(packed), self._found, generation)
        except ConfigError as error:
            flaws = [str(mistake) for mistake in error.mistakes]
        except Exception as error:  # noqa: BLE001 - a defect of ours, or of a module that was imported
            flaws = [f"it could not be compiled: {type(error).__name__}"]
        # A loop that is closed has nothing left to decide.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(self._finish, Verdict(generation, flaws), successor)

    def _finish(self, verdict: Verdict, successor: Successor | None) -> None:
        if successor is None:
            self._engine.refused()
        elif successor.table.generation > self._gateway.table.generation:
            self._engine.swap(successor.engine_table)
            self._gateway.replace(successor.table, successor.policies)
            logging.getLogger().setLevel(successor.config.observability.log_level.upper())
            self._taken(successor.config)
        with contextlib.suppress(OSError):
            self._channel.send(verdict)
