"""The parent process: binds the listeners, starts the data process by exec, forwards signals, starts it again.

The rule: it holds the sockets, so a data process that dies loses its exchanges but not one waiting connection. It
answers no request itself.
"""

import contextlib
import errno
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from fastroute.config.listeners import unguarded_listeners, wanted_listeners
from fastroute.config.schema import Config, Listen, pack
from fastroute.errors import ConfigError, FastrouteError, Mistake
from fastroute.state_dir import Instance

BACKLOG = 4096
YOUNG_S = 5.0
"""A data process that ends sooner than this after it was ready did not really run."""
YOUNG_DEATHS = 5
"""So many of those in a row and the fault is not passing."""
BACKOFF_S = 0.5
ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": str(4 << 20), "MALLOC_TRIM_THRESHOLD_": str(64 << 20)}
"""glibc gives memory back to the kernel as soon as a few bodies of 1 MiB are free, and the next ones pay for every page
of it again. What it would come to keep by itself, after a body of 32 MiB, it keeps from the start (mallopt(3))."""
PROBE_PORTS = 100


class ListenerError(FastrouteError):
    """A listener cannot be opened; the text says why and what to do."""


class Listener(NamedTuple):
    """A bound, listening socket and what it is for."""

    name: str
    socket: socket.socket

    @property
    def place(self) -> tuple[str, int]:
        host, port = self.socket.getsockname()[:2]
        return host, port

    @property
    def url(self) -> str:
        host, port = self.place
        shown = f"[{host}]" if ":" in host else host
        return f"http://{shown}:{port}"


def open_listeners(listen: Listen) -> list[Listener]:
    """Binds every listener of the configuration, or none. Raises ListenerError."""
    for unguarded in unguarded_listeners(listen):
        raise ListenerError(
            f"{unguarded.name}: {unguarded.address} can be reached from other machines and no keys are asked for; "
            "listen on 127.0.0.1, or say --open (listen.open: true) if something in front of the gateway asks for keys"
        )
    opened: list[Listener] = []
    with contextlib.ExitStack() as undo:
        for wanted in wanted_listeners(listen):
            listener = Listener(wanted.name, _bound(wanted.name, wanted.address, wanted.port))
            undo.callback(listener.socket.close)
            opened.append(listener)
        undo.pop_all()
    return opened


def _bound(name: str, host: str, port: int) -> socket.socket:
    try:
        family, kind, proto, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise ListenerError(f"{name}: {host} is no address of this machine: {error.strerror}") from error
    bound = socket.socket(family, kind, proto)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Accepted sockets take it over, also granian's, which sets none: with Nagle's algorithm on, each second small
        # event of a stream waits up to 40 ms for the client's delayed acknowledgement.
        bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        bound.bind(place)
        bound.listen(BACKLOG)
    except PermissionError as error:
        bound.close()
        raise ListenerError(f"{name}: port {port} may not be opened by this user; take one above 1023") from error
    except OSError as error:
        bound.close()
        if error.errno != errno.EADDRINUSE:
            raise ListenerError(f"{name}: cannot listen on port {port} of {host}: {error.strerror}") from error
        holder = _holder(port)
        free = _free_port(family, place, port)
        suggestion = f"; {free} is free" if free else ""
        by = f" by {holder}" if holder else ""
        raise ListenerError(f"{name}: port {port} on {host} is taken{by}{suggestion}") from error
    return bound


def _free_port(family: int, place: Sequence[object], port: int) -> int | None:
    for candidate in range(port + 1, min(port + PROBE_PORTS, 65_536)):
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((place[0], candidate, *place[2:]))
                return candidate
            except OSError:
                continue
    return None


def _holder(port: int) -> str | None:
    """Name and process id of who listens on a port, where `/proc` lets us see it."""
    inodes = set(_listening_inodes(port))
    if not inodes:
        return None
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            for descriptor in (entry / "fd").iterdir():
                if str(descriptor.readlink()) in inodes:
                    return f"{(entry / 'comm').read_text().strip()} (process {entry.name})"
        except OSError:
            continue
    return None


def _listening_inodes(port: int) -> Iterator[str]:
    listening = "0A"
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError):
            for line in Path(table).read_text().splitlines()[1:]:
                columns = line.split()
                if columns[3] == listening and int(columns[1].rpartition(":")[2], 16) == port:
                    yield f"socket:[{columns[9]}]"


def environment(own: Mapping[str, str]) -> dict[str, str]:
    """The environment of a data process: ours, and settings of its allocator where the operator made none."""
    return ALLOCATOR | dict(own)


class Supervisor:
    """Keeps one data process running on the given listeners until told to stop."""

    def __init__(
        self, config: Config, listeners: Sequence[Listener], threads: int = 0, instance: Instance | None = None
    ) -> None:
        self._config = config
        self._listeners = listeners
        self._threads = threads
        self._instance = instance
        self._child: subprocess.Popen[bytes] | None = None
        self._stopping = False
        self._bell, self._wake = socket.socketpair()
        # Held open for as long as we live; its end of file is how a data process notices that we are gone.
        self._lifeline_read, self._lifeline_write = os.pipe()

    def start(self) -> None:
        """Starts a data process and waits until it serves. Raises ConfigError with what it said if it does not."""
        errand_read, errand_write = os.pipe()
        report_read, report_write = os.pipe()
        sockets = {listener.name: listener.socket.fileno() for listener in self._listeners}
        held = () if self._instance is None else (self._instance.lock,)
        inherited = (*sockets.values(), errand_read, report_write, self._lifeline_read, *held)
        self._child = subprocess.Popen(
            [sys.executable, "-m", "fastroute.process", str(errand_read)],
            pass_fds=inherited,
            env=environment(os.environ),
            # A terminal's Ctrl-C reaches the supervisor alone, which passes it on.
            start_new_session=True,
        )
        os.close(errand_read)
        os.close(report_write)
        errand = {
            "config": pack(self._config),
            "listeners": [listener.place for listener in self._listeners],
            "door": sockets["granian"],
            "edge": sockets.get("edge"),
            "admin": sockets.get("admin"),
            "lifeline": self._lifeline_read,
            "report": report_write,
            "threads": self._threads,
            "journal": None if self._instance is None else str(self._instance.journal),
        }
        try:
            with os.fdopen(errand_write, "wb") as pipe:
                pipe.write(msgspec.msgpack.encode(errand))
            with os.fdopen(report_read, "rb") as pipe:
                said = pipe.read().decode().strip()
        except KeyboardInterrupt:
            # It serves nobody yet, so nothing is cut; and whoever starts again at once finds the ports free.
            self._child.kill()
            self._child.wait()
            raise
        if said != "ready":
            status = self._child.wait()
            if not said:
                raise FastrouteError(f"the data process ended with status {status} before it was ready")
            # What it takes back in its own words is for the user to put right, such as a policy that is not there.
            raise ConfigError([Mistake("", 0, 0, "", said)])
        # From here on it can be stopped well; who waits for the first screen may stop it with the first line.
        self._watch_signals()

    def run(self) -> int:
        """Waits, forwards signals and starts the data process again when it dies. Returns the exit status."""
        deaths = 0
        while True:
            began = time.monotonic()
            status = self._wait()
            if self._stopping:
                return 0 if status == 0 else 1
            deaths = deaths + 1 if time.monotonic() - began < YOUNG_S else 1
            print(f"fastroute: the data process ended with status {status}", file=sys.stderr)
            if deaths > YOUNG_DEATHS:
                print("fastroute: it does not stay up; giving up", file=sys.stderr)
                return 1
            time.sleep(BACKOFF_S * (deaths - 1))
            if self._stopping:
                return 0
            try:
                self.start()
            except FastrouteError:
                # The stop reached a child that could not yet stop well; nothing served, so nothing was cut.
                if self._stopping:
                    return 0
                raise
            if self._stopping and self._child is not None:
                # The signal came while there was no child to pass it on to.
                self._child.send_signal(signal.SIGTERM)

    def _watch_signals(self) -> None:
        """Every signal also rings the bell. Idempotent."""
        for end in (self._bell, self._wake):
            end.setblocking(False)
        signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._forward)
        # Its death rings too; there is nothing more to do.
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)

    def _wait(self) -> int:
        # Not waitpid: Python runs a handler between two instructions or when a call is interrupted, so a signal that
        # comes just before the call would wait for the next one. The bell has rung by then.
        while self._child is not None:
            status = self._child.poll()
            if status is not None:
                return status
            select.select([self._bell], [], [])
            self._bell.recv(4096)
        return 0

    def _forward(self, number: int, _frame: object) -> None:
        self._stopping = True
        if self._child is not None and self._child.poll() is None:
            self._child.send_signal(number)
