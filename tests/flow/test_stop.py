"""A stop under load: readiness first, then five seconds in which everybody is served, then what runs may end."""

import http.client
import os
import signal
import socket
import time
from typing import Any

import pytest

from fastroute.listeners import LAME_DUCK_S
from flow.crowd import Crowd
from flow.rig import (
    Door,
    Gateway,
    Route,
    Serve,
    Upstream,
    ask_raw,
    chat,
    configuration,
    eventually,
    finishes,
    free_port,
    read,
)

ROUTE = Route("patient-0", "patient-0-first", "patient-0-second")


def stopping(gateway: Gateway, admin: int) -> float:
    """Sends the signal; returns the seconds until nobody new should come."""
    ready = Door("admin", f"http://127.0.0.1:{admin}")
    assert ready.send("GET", "/readyz").status == 200
    began = time.monotonic()
    gateway.command.process.send_signal(signal.SIGTERM)
    eventually(lambda: ready.send("GET", "/readyz").status == 503, "readiness is off")
    return time.monotonic() - began


def stop_under_load(upstream: Upstream, serve: Serve, *, rate: float, streams: int, events: int) -> None:
    upstream.script(
        {"match": {"stream": True}, "steps": [{"events": {"count": events, "every_ms": 50}}, {"finish": {}}, "done"]}
    )
    admin = free_port()
    gateway = serve(configuration(upstream.origin, admin))
    with Crowd([*gateway.doors.values()], "patient-0", rate=rate, streams=streams) as crowd:
        eventually(lambda: crowd.answered > 0 and crowd.running == streams, "the crowd is there")
        off_s = stopping(gateway, admin)
        began = time.monotonic()
        answered = crowd.answered
        while time.monotonic() - began < LAME_DUCK_S / 2:
            assert gateway.command.process.poll() is None
            time.sleep(0.05)
        served = crowd.answered - answered
        crowd.ask_no_more()
    status = gateway.command.wait(events * 0.05 + 20)
    print(
        f"readiness off in {off_s * 1000:.0f} ms; {served} replies and {crowd.streamed} streams served while stopping, "
        f"{len(crowd.complaints)} complaints; left {time.monotonic() - began:.1f} s after the signal"
    )
    assert crowd.complaints == []
    assert served > 0
    assert crowd.streamed >= streams
    assert status == 0
    # A tenth of a second is promised; a busy machine gets more.
    assert off_s < 1


def test_nobody_is_cut_or_refused_while_balancers_look(upstream: Upstream, serve: Serve) -> None:
    stop_under_load(upstream, serve, rate=20, streams=20, events=120)


@pytest.mark.long
def test_five_hundred_streams_of_thirty_seconds_end_by_themselves(upstream: Upstream, serve: Serve) -> None:
    stop_under_load(upstream, serve, rate=300, streams=500, events=600)


@pytest.mark.parametrize("name", ["granian", "edge"])
def test_who_comes_after_the_grace_is_refused_at_once_while_streams_run_on(
    name: str, upstream: Upstream, serve: Serve
) -> None:
    upstream.script(
        {"match": {"stream": True}, "steps": [{"events": {"count": 160, "every_ms": 50}}, {"finish": {}}, "done"]}
    )
    admin = free_port()
    gateway = serve(configuration(upstream.origin, admin))
    door = gateway.doors[name]
    connection = door.connect()
    connection.request("POST", "/v1/chat/completions", chat("patient-0", stream=True))
    response = connection.getresponse()
    began = time.monotonic()
    stopping(gateway, admin)

    def refused() -> bool:
        try:
            door.socket().close()
        except ConnectionRefusedError:
            return True
        return False

    eventually(refused, "nobody waits in front of a door that is shut", LAME_DUCK_S + 1)
    assert time.monotonic() - began >= LAME_DUCK_S - 0.5
    assert gateway.command.process.poll() is None
    reply = read(response)
    assert (finishes(reply.events), reply.events[-1]) == (["stop"], "[DONE]")
    assert gateway.command.wait(20) == 0


def test_a_data_process_that_was_told_to_stop_by_somebody_else_is_followed_by_one_that_serves(
    upstream: Upstream, serve: Serve
) -> None:
    gateway = serve(configuration(upstream.origin, free_port()))
    before = gateway.process
    os.kill(before, signal.SIGINT)
    eventually(lambda: gateway.process not in (0, before), "another process", 10)
    for door in gateway.doors.values():
        assert door.ask("patient-0").status == 200


@pytest.mark.parametrize("name", ["granian", "edge"])
def test_a_kept_connection_is_closed_with_its_next_reply(name: str, upstream: Upstream, serve: Serve) -> None:
    admin = free_port()
    gateway = serve(configuration(upstream.origin, admin))
    door = gateway.doors[name]
    kept: list[http.client.HTTPConnection] = [door.connect() for _ in range(3)]
    for connection in kept:
        connection.request("GET", "/v1/models")
        assert "connection" not in read(connection.getresponse()).headers
    stopping(gateway, admin)
    asked: list[tuple[Any, ...]] = [
        ("GET", "/v1/models"),
        ("POST", "/v1/chat/completions", chat("patient-0")),
        ("POST", "/v1/chat/completions", chat("patient-0", stream=True)),
    ]
    for connection, request in zip(kept, asked, strict=True):
        before: socket.socket = connection.sock
        connection.request(*request)
        reply = read(connection.getresponse())
        assert (reply.status, reply.headers["connection"]) == (200, "close")
        assert before.fileno() == -1 or before.recv(1) == b""
    assert door.ask("patient-0").status == 200, "whoever comes anew is served"


@pytest.mark.parametrize("name", ["granian", "edge"])
def test_endless_streams_end_at_the_deadline_also_for_clients_that_do_not_read(
    name: str, upstream: Upstream, serve: Serve
) -> None:
    deadline_s = 2.0
    gateway = serve(configuration(upstream.origin, free_port(), drain_timeout_s=deadline_s))
    door = gateway.doors[name]
    upstream.script(
        {"match": {"stream": True}, "steps": [{"events": {"count": 100_000, "every_ms": 20, "text": "x" * 2_000}}]}
    )
    connections = [door.connect() for _ in range(10)]
    for connection in connections:
        connection.request("POST", "/v1/chat/completions", chat("patient-0", stream=True))
    responses = [connection.getresponse() for connection in connections]
    deaf = [ask_raw(door, ROUTE, stream=True) for _ in range(5)]
    for client in deaf:
        assert client.recv(16).startswith(b"HTTP/1.1 200 ")
    gateway.command.process.send_signal(signal.SIGTERM)
    began = time.monotonic()
    for response in responses:
        reply = read(response)
        assert reply.whole
        assert reply.events[-1]["error"]["code"] == "server_shutdown"
        assert finishes(reply.events) == []
    assert gateway.command.wait(30) == 0
    assert time.monotonic() - began < LAME_DUCK_S + deadline_s + 2 + 1, "two seconds are promised"
    for client in deaf:
        client.close()
