"""The sockets that clients connect to: bound by the supervisor, all of them or none.

The rule: whoever reads why one cannot be opened knows who has the port and which is free.
"""

import contextlib
import errno
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from fastroute.config.listeners import unguarded_listeners, wanted_listeners
from fastroute.config.schema import Listen
from fastroute.errors import FastrouteError

BACKLOG = 4096
LAME_DUCK_S = 5.0
"""A gateway that was told to stop still takes requests for so long: balancers look at readiness about this often."""
PROBE_PORTS = 100
"""How far behind a taken port a free one is looked for."""


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
