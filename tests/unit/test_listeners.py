"""Listeners: bound all or none, refused with what to do, and never taken from somebody without saying from whom."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from fastroute import listeners as module
from fastroute.config.schema import Listen
from fastroute.listeners import Listener, ListenerError, open_listeners

ANY = Listen(port=0, edge_port=0, admin_port=0)
needs_proc = pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="no /proc/net/tcp on this system")


@pytest.fixture
def taken() -> Iterator[int]:
    """A port of loopback that somebody (this process) listens on."""
    with socket.create_server(("127.0.0.1", 0)) as held:
        yield held.getsockname()[1]


def close(listeners: list[Listener]) -> None:
    for listener in listeners:
        listener.socket.close()


def descriptors() -> int:
    """How many are open; 0 where the system does not tell."""
    return sum(1 for _ in Path("/proc/self/fd").glob("*"))


def test_every_listener_is_bound_and_listening() -> None:
    listeners = open_listeners(ANY)
    try:
        assert [listener.name for listener in listeners] == ["granian", "edge", "admin"]
        for listener in listeners:
            host, port = listener.place
            assert listener.url == f"http://{host}:{port}"
            socket.create_connection((host, port), timeout=5).close()
    finally:
        close(listeners)


def test_listeners_that_are_not_wanted_are_not_opened() -> None:
    listeners = open_listeners(Listen(port=0, edge=False, admin=False))
    close(listeners)
    assert [listener.name for listener in listeners] == ["granian"]


def test_the_url_of_an_ipv6_listener_can_be_copied() -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6 on this system")
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6) as bound:
            port = bound.getsockname()[1]
            assert Listener("edge", bound).url == f"http://[::1]:{port}"
    except OSError:
        pytest.skip("no IPv6 loopback on this system")


@pytest.mark.parametrize(
    "listen",
    [
        Listen(address="0.0.0.0", port=0),
        Listen(port=0, edge_address="0.0.0.0", edge_port=0),
        Listen(port=0, edge_port=0, admin_address="0.0.0.0", admin_port=0),
    ],
    ids=["granian", "edge", "admin"],
)
def test_no_listener_is_opened_to_other_machines_by_accident(listen: Listen) -> None:
    with pytest.raises(ListenerError, match=r"0\.0\.0\.0 can be reached from other machines.*--open"):
        open_listeners(listen)


def test_open_allows_it() -> None:
    listeners = open_listeners(Listen(address="0.0.0.0", port=0, edge=False, admin=False, open=True))
    try:
        assert listeners[0].place[0] == "0.0.0.0"
    finally:
        close(listeners)


def test_a_taken_port_closes_the_listeners_opened_before_it(taken: int) -> None:
    before = descriptors()
    with pytest.raises(ListenerError, match=f"edge: port {taken} on 127.0.0.1 is taken"):
        open_listeners(Listen(port=0, edge_port=taken, admin=False))
    assert descriptors() == before


def test_a_taken_port_comes_with_a_free_one(taken: int) -> None:
    with pytest.raises(ListenerError) as raised:
        open_listeners(Listen(port=taken, edge=False, admin=False))
    suggested = int(str(raised.value).rsplit("; ", 1)[1].removesuffix(" is free"))
    assert suggested > taken
    socket.create_server(("127.0.0.1", suggested)).close()


@needs_proc
def test_the_holder_of_a_port_is_named(taken: int) -> None:
    name = Path("/proc/self/comm").read_text().strip()
    assert module._holder(taken) == f"{name} (process {os.getpid()})"
    with pytest.raises(ListenerError, match=rf"taken by {name} \(process {os.getpid()}\)"):
        open_listeners(Listen(port=taken, edge=False, admin=False))


@needs_proc
def test_a_port_nobody_listens_on_has_no_holder(taken: int) -> None:
    with socket.create_connection(("127.0.0.1", taken)) as client:
        # It is used, for a connection, and still nobody listens there.
        assert module._holder(client.getsockname()[1]) is None


def test_an_address_of_another_machine_is_told_as_that() -> None:
    # RFC 5737 keeps this block for documentation, so no machine has it.
    with pytest.raises(ListenerError, match=r"granian: cannot listen on port 0 of 192\.0\.2\.1: Cannot assign"):
        open_listeners(Listen(address="192.0.2.1", port=0, open=True))


def test_a_name_nobody_has_is_told_as_that() -> None:
    # RFC 6761: `.invalid` never resolves.
    with pytest.raises(ListenerError, match=r"gateway\.invalid is no address of this machine"):
        open_listeners(Listen(address="gateway.invalid", port=0, open=True))
