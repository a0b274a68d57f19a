"""The data process is killed, once and again: who waits is served by the next one, and the supervisor stays.

Times are for a busy machine and a build without optimisation; what operators are promised is half of them.
"""

import os
import signal
import statistics
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from flow.crowd import Crowd
from flow.rig import Door, Gateway, Serve, Upstream, configuration, eventually, free_port

AGAIN_S = 5.0


def killed(gateway: Gateway) -> int:
    """Ends the data process as a kernel short of memory does; returns what its number was."""
    before = eventually(lambda: gateway.process, "there is one", AGAIN_S)
    os.kill(before, signal.SIGKILL)
    return before


def serves_again(gateway: Gateway, door: Door) -> float:
    """Kills, and returns the seconds until somebody is answered."""
    began = time.monotonic()
    before = killed(gateway)
    eventually(lambda: gateway.process != before, "it is gone", AGAIN_S)
    assert door.ask("patient-0").status == 200
    return time.monotonic() - began


@pytest.mark.parametrize("name", ["granian", "edge"])
def test_who_connects_while_nobody_serves_is_served_by_the_next(name: str, upstream: Upstream, serve: Serve) -> None:
    gateway = serve(configuration(upstream.origin, free_port()))
    before = killed(gateway)
    eventually(lambda: gateway.process != before, "it is gone")
    with ThreadPoolExecutor(50) as clients:
        replies = list(clients.map(lambda _: gateway.doors[name].ask("patient-0").status, range(50)))
    assert replies == [200] * 50


def test_it_is_started_again_as_often_as_it_is_killed(upstream: Upstream, serve: Serve) -> None:
    gateway = serve(configuration(upstream.origin, free_port()))
    # More often in a row than a process that ends by itself is forgiven.
    again_s = [serves_again(gateway, gateway.doors["edge"]) for _ in range(8)]
    assert max(again_s) < AGAIN_S, again_s
    assert gateway.command.process.poll() is None
    assert gateway.command.output.count("ended with status -9") == 8


def test_one_that_is_killed_before_it_serves_is_started_again(upstream: Upstream, serve: Serve) -> None:
    gateway = serve(configuration(upstream.origin, free_port()))
    first = killed(gateway)
    second = eventually(lambda: (now := gateway.process) not in (0, first) and now, "the next one begins", AGAIN_S)
    os.kill(second, signal.SIGKILL)
    assert gateway.doors["edge"].ask("patient-0").status == 200
    assert gateway.process not in (0, first, second)


@pytest.mark.long
def test_fifty_kills_under_load(upstream: Upstream, serve: Serve) -> None:
    upstream.script(
        {"match": {"stream": True}, "steps": [{"events": {"count": 20, "every_ms": 50}}, {"finish": {}}, "done"]}
    )
    gateway = serve(configuration(upstream.origin, free_port()))
    doors = [*gateway.doors.values()]
    again_s: list[float] = []
    dice = threading.Event()
    with Crowd(doors, "patient-0", rate=100, streams=20) as crowd:
        for number in range(50):
            # Every fifth one while the one before has hardly begun.
            dice.wait(0.2 if number % 5 else 2.0)
            again_s.append(serves_again(gateway, doors[number % 2]))
        asked = crowd.answered
        eventually(lambda: crowd.answered > asked + 100, "everything goes on")
    print(
        f"serves again in {statistics.median(again_s):.2f} s, at most {max(again_s):.2f} s; {crowd.answered} replies, "
        f"{crowd.streamed} streams, {len(crowd.complaints)} cut"
    )
    assert max(again_s) < AGAIN_S
    assert gateway.command.process.poll() is None
    # Nobody was told anything but that the connection broke.
    assert [said for said in crowd.complaints if ": 5" in said or ": 2" in said] == []
