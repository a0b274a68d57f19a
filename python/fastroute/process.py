"""The data process: one event loop, granian embedded on it, the engine with its edge door, and the order of stopping.

The supervisor starts it by exec with bound sockets and a pipe; it never runs by fork, and nothing starts at import.
"""

import asyncio
import contextlib
import gc
import logging
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import msgspec
import uvloop
from granian._granian import SocketHolder  # pyright: ignore[reportPrivateUsage, reportUnknownVariableType, reportAttributeAccessIssue]
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.server.embed import Server

from fastroute.catalogue import find_providers
from fastroute.config.schema import Config, unpack
from fastroute.doors.rsgi import Rsgi
from fastroute.errors import FastrouteError
from fastroute.health import render_health
from fastroute.listeners import BACKLOG, LAME_DUCK_S
from fastroute.reload.channel import Channel, Next
from fastroute.telemetry.logs import write_to_stderr

if TYPE_CHECKING:
    from fastroute.gateway import Gateway
    from fastroute.native import Engine

log = logging.getLogger("fastroute.process")

# What a signal asks for; each further one asks for more: no wait for balancers, then none for running replies.
_GRACE, _HURRY, _NOW = 1, 2, 3

TELL_HEALTH_S = 1.0
"""More often than anybody scrapes."""
LAST_WORDS_S = 1.0
"""For replies that are ended at the deadline to tell their clients so; those that do not read are not waited for."""
SETTLE_S = 5.0
"""For the last outcomes to be settled."""
JOURNAL_S = 1.0
"""For the journal to be synced; the kernel has it by then."""
NOTICES_S = 0.25
"""An alarm is heard within a second."""
LOOP_NICE = 10
"""Over what the process was started with. Beside a loop busy 5 % of the time, the edge door's p99 fell from 1.4 to 0.8
of nginx's (benches, W11)."""
NICEST = 19
RESERVED_DESCRIPTORS = 64
"""As in the engine: for health, metrics and the disk."""
HEAD_TIMEOUT_MS = 10_000
HEAD_BYTES = 64 * 1024
SWITCH_INTERVAL_S = 0.0001
"""granian's thread needs the interpreter per request; at the default 5 ms a busy loop starves it for seconds."""


class Errand(msgspec.Struct, frozen=True):
    """What the supervisor hands over on the pipe, so that no key is in an argument or in the environment."""

    config: bytes
    listeners: list[tuple[str, int]]
    door: int
    edge: int | None
    admin: int | None
    lifeline: int
    """Readable (end of file) when the supervisor is gone."""
    report: int
    """Where to write that the process is ready."""
    control: int
    """Where the next configuration comes from."""
    generation: int = 1
    threads: int = 0
    journal: str | None = None
    """Folder of the journal."""


class _Door(Server):
    """granian on a socket that is already bound and listening."""

    listening: socket.socket

    def _init_shared_socket(self) -> None:
        self._ssp = None
        # Its stub names no arguments: descriptor, whether it is a Unix socket, backlog.
        self._shd = SocketHolder(self.listening.fileno(), False, BACKLOG)  # pyright: ignore[reportCallIssue]
        self._sfd = self.listening.fileno()


def _open_door(app: Rsgi, listening: socket.socket, connections: int) -> _Door:
    host, port = listening.getsockname()[:2]
    door = _Door(
        app,
        address=host,
        port=port,
        interface=Interfaces.RSGI,
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(header_read_timeout=HEAD_TIMEOUT_MS, max_buffer_size=HEAD_BYTES),
        websockets=False,
        backlog=BACKLOG,
        # A count of connections, idle ones included; requests are admitted by the engine.
        backpressure=connections,
        log_enabled=False,
        log_access=False,
    )
    door.listening = listening
    return door


class DataProcess:
    """Runs until told to stop; then stops in one order (readiness, doors, exchanges, outcomes, loop)."""

    def __init__(self, config: Config, errand: Errand) -> None:
        self._config = config
        self._errand = errand
        self._stop = asyncio.Event()
        self._urgency = 0

    def _asked_to_stop(self, least: int) -> None:
        self._urgency = max(self._urgency + 1, least)
        self._stop.set()

    async def run(self) -> int:
        loop = asyncio.get_running_loop()
        for number, least in ((signal.SIGTERM, _GRACE), (signal.SIGINT, _HURRY)):
            loop.add_signal_handler(number, self._asked_to_stop, least)
        loop.add_reader(self._errand.lifeline, self._supervisor_gone, loop)
        # Here and not above, because it imports the extension, and one that does not fit is told to the supervisor.
        from fastroute.build import Terms, build
        from fastroute.reload.takeover import Takeover

        found = find_providers(os.environ, self._errand.listeners)
        errand = self._errand
        terms = Terms(errand.threads, errand.journal, errand.generation)
        gateway, engine = build(self._config, found, loop, terms)
        # The engine's threads are there already and go on to interrupt: its I/O is what others wait for.
        _wake_politely()
        telling = [loop.create_task(_tell_journal(engine))]
        control = Channel(socket.socket(fileno=errand.control), Next)
        Takeover(control, found, gateway, engine, self._reconfigured).listen(loop)
        if self._errand.edge is not None:
            engine.serve(self._errand.edge)
        if self._errand.admin is not None:
            engine.serve_admin(self._errand.admin)
        app = Rsgi(engine, self._config.limits.body_timeout_s)
        door = _open_door(app, socket.socket(fileno=self._errand.door), _connections(self._config))
        serving = loop.create_task(door.serve())
        # The worker is spawned in the first turns of the loop; only then is the port really served.
        while not getattr(door, "wrks", None):
            await asyncio.sleep(0)
        gc.collect()
        gc.freeze()
        # Linux applies it to the calling thread alone: where a core is short, a busy loop yields to the I/O threads,
        # whose snapshot decides when it is late.
        os.setpriority(os.PRIO_PROCESS, 0, min(os.getpriority(os.PRIO_PROCESS, 0) + LOOP_NICE, NICEST))
        # A supervisor that left meanwhile is told by the lifeline.
        with contextlib.suppress(BrokenPipeError):
            os.write(self._errand.report, b"ready\n")
        os.close(self._errand.report)
        telling.append(loop.create_task(_tell_health(gateway, engine)))
        await self._stop.wait()
        await self._wind_down(engine, app, door, serving)
        for task in telling:
            task.cancel()
        _pass_on(engine)
        loop.remove_reader(engine.bell())
        return 0

    def _reconfigured(self, config: Config) -> None:
        self._config = config

    def _supervisor_gone(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.remove_reader(self._errand.lifeline)
        self._asked_to_stop(_HURRY)

    async def _wind_down(self, engine: "Engine", app: Rsgi, door: _Door, serving: "asyncio.Task[None]") -> None:
        engine.unready()
        await _until(lambda: self._urgency >= _HURRY, LAME_DUCK_S)
        engine.stop()
        door.stop()

        def quiet() -> bool:
            return engine.in_flight() == 0 and engine.open_replies() == 0

        await _until(lambda: quiet() or self._urgency >= _NOW, self._config.limits.drain_timeout_s)
        in_time = quiet()
        if not in_time:
            log.warning("the time to finish is over for %d exchanges", engine.in_flight())
            app.end()
            engine.end()
            await _until(quiet, LAST_WORDS_S)
        await asyncio.wait([serving], timeout=SETTLE_S if in_time else LAST_WORDS_S / 2)
        engine.nudge()
        await _until(lambda: engine.unsettled() == 0, SETTLE_S)
        # A disk that hangs must not hold up the end: what the kernel has outlives this process anyway.
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.to_thread(engine.close_journal), JOURNAL_S)


async def _tell_journal(engine: "Engine") -> None:
    """Logs what the journal has to tell, for as long as it may have something."""
    while True:
        _pass_on(engine)
        await asyncio.sleep(NOTICES_S)


def _pass_on(engine: "Engine") -> None:
    for alarm, text in engine.notices():
        log.log(logging.ERROR if alarm else logging.WARNING, "%s", text)


async def _tell_health(gateway: "Gateway", engine: "Engine") -> None:
    """Keeps `/metrics` up to date on who rests."""
    while True:
        engine.tell_metrics(render_health(gateway.health, time.monotonic()))
        await asyncio.sleep(TELL_HEALTH_S)


async def _until(done: Callable[[], bool], limit_s: float) -> None:
    """Waits for a state that nothing announces, a hundredth of a second at a time."""
    loop = asyncio.get_running_loop()
    end = loop.time() + limit_s
    while not done() and loop.time() < end:
        await asyncio.sleep(0.01)


def _connections(config: Config) -> int:
    """Of granian's door, which cannot be told to stop accepting: each may need a second descriptor for its provider."""
    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return config.limits.max_connections
    return max(1, min(config.limits.max_connections, (soft - RESERVED_DESCRIPTORS) // 2))


def _wake_politely() -> None:
    """The loop thread lets the running one finish when it wakes, and so do the threads that are started from here on.

    Short of cores, a woken thread of granian's else stops the loop, only to wait for the interpreter that this one
    holds. Without those changes of thread a request at granian's door costs half (benches/results/profile.md).
    """
    # Not where somebody chose a class of scheduling for us, and not where a sandbox forbids it.
    if hasattr(os, "SCHED_BATCH") and os.sched_getscheduler(0) == os.SCHED_OTHER:
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def _raise_descriptor_limit() -> None:
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def main() -> int:
    """`python -m fastroute.process DESCRIPTOR`: the descriptor is a pipe with the errand."""
    with os.fdopen(int(sys.argv[1]), "rb") as pipe:
        told = pipe.read()
    if not told:
        # The supervisor left before it could say anything.
        return 1
    # For the supervisor, and sent to everybody of a name it would end this process.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    errand = msgspec.msgpack.decode(told, type=Errand)
    config = unpack(errand.config)
    write_to_stderr(config.observability.log_level)
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    _raise_descriptor_limit()
    try:
        with asyncio.Runner(loop_factory=cast("Any", uvloop.new_event_loop)) as runner:
            return runner.run(DataProcess(config, errand).run())
    except FastrouteError as error:
        os.write(errand.report, f"{error}\n".encode())
        return 2


if __name__ == "__main__":
    _status = main()
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    # Threads of granian's may outlive the loop, and would meet an interpreter that is being taken down.
    os._exit(_status)
