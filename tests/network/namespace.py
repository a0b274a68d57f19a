"""A network of a test's own: a namespace whose loopback has all addresses, and packets on it that get lost.

One rule: nothing of it can be seen from outside, and all of it goes with the test. One surprise: a socket belongs to
the namespace of the thread that opened it, wherever it is used; so clients open theirs in threads on the inside.
"""

import contextlib
import ctypes
import functools
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import pytest

T = TypeVar("T")

ESTABLISHED = "01"
"""As /proc/net/tcp has it."""
CLONE_NEWNET = 0x40000000


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
    return done.stdout


@functools.cache
def missing() -> str | None:
    """Why there can be no network of our own here."""
    for tool, package in (("ip", "iproute2"), ("nft", "nftables")):
        if shutil.which(tool) is None:
            return f"needs {tool} (Debian: {package})"
    name = f"fr-probe-{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)
    if made.returncode != 0:
        return f"may make no network namespace: {made.stderr.strip()}"
    ruled = subprocess.run(
        ["ip", "netns", "exec", name, "nft", "add", "table", "inet", "t"], capture_output=True, text=True, check=False
    )
    run("ip", "netns", "del", name)
    return None if ruled.returncode == 0 else f"nftables rules do not work here: {ruled.stderr.strip()}"


class Network:
    """The namespace, and what is wrong in it."""

    def __init__(self, name: str, threads: ThreadPoolExecutor) -> None:
        self._name = name
        self._threads = threads

    @property
    def inside(self) -> Sequence[str]:
        """Put before a command line that is to run in it."""
        return ("ip", "netns", "exec", self._name)

    def command(self, *command: str) -> str:
        return run(*self.inside, *command)

    def call(self, work: Callable[..., T], *arguments: Any, **more: Any) -> T:
        """Runs something on the inside."""
        return self._threads.submit(work, *arguments, **more).result()

    def together(self, works: Sequence[Callable[[], T]]) -> list[T]:
        return [each.result() for each in [self._threads.submit(work) for work in works]]

    def drop(self, *rules: str) -> None:
        """Packets that these match (in the words of `nft`) are lost from now on."""
        self.heal()
        self.command("nft", "add", "table", "inet", "faults")
        self.command("nft", "add", "chain", "inet", "faults", "in", "{ type filter hook input priority 0; }")
        for rule in rules:
            self.command("nft", "add", "rule", "inet", "faults", "in", *rule.split(), "drop")

    def ports_towards(self, address: str, port: int) -> list[int]:
        """Our ends of the connections to a place."""
        there = f"{int.from_bytes(socket.inet_aton(address), sys.byteorder):08X}:{port:04X}"
        lines = self.call(Path("/proc/thread-self/net/tcp").read_text).splitlines()[1:]
        rows = [line.split() for line in lines]
        return [int(row[1].split(":")[1], 16) for row in rows if row[2] == there and row[3] == ESTABLISHED]

    def heal(self) -> None:
        self.command("nft", "flush", "ruleset")


def _enter(name: str) -> None:
    """Takes the calling thread inside, for good."""
    with Path(f"/run/netns/{name}").open("rb") as place:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.setns(place.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"no way into {name}")


@contextlib.contextmanager
def network() -> Iterator[Network]:
    if (reason := missing()) is not None:
        pytest.skip(reason)
    name = f"fr-test-{os.getpid()}"
    run("ip", "netns", "add", name)
    try:
        run("ip", "-n", name, "link", "set", "lo", "up")
        with ThreadPoolExecutor(32, initializer=_enter, initargs=(name,)) as threads:
            yield Network(name, threads)
    finally:
        run("ip", "netns", "del", name)
