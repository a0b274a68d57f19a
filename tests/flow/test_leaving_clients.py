"""Dropping is aborting: a client leaves, the upstream sees it within 250 ms, and the exchange is settled once."""

import time
from typing import Any

import pytest

from flow.rig import Door, Route, Upstream, ask_raw, eventually

NOTICED_MS = 250
ROLE = {"events": {"count": 0}}

# Whether it is a stream, what the upstream does, and how much the client has read when it leaves.
PHASES: dict[str, tuple[bool, list[Any], int]] = {
    "a stream before its head": (True, ["stall"], 0),
    "a stream in its preamble": (True, [ROLE, "stall"], 0),
    "a stream that runs": (True, [{"events": {"count": 2000, "every_ms": 10}}], 2_000),
    "a stream that is silent": (True, [{"events": {"count": 3}}, "stall"], 400),
    "a plain request before its head": (False, ["stall"], 0),
    "a plain request in its reply": (
        False,
        [{"cut": {"after_bytes": 300, "of": "body", "how": "stall"}}, {"reply": {}}],
        0,
    ),
    "a long plain reply": (
        False,
        [{"cut": {"after_bytes": 200_000, "of": "body", "how": "stall"}}, {"reply": {"bytes": 400_000}}],
        100_000,
    ),
}


@pytest.mark.parametrize("phase", PHASES)
def test_the_upstream_sees_a_client_leave(phase: str, upstream: Upstream, door: Door, counted: Route) -> None:
    stream, steps, reads = PHASES[phase]
    upstream.script(counted.rule(*steps, first=1))
    with ask_raw(door, counted, stream=stream) as client:
        upstream.row(counted.first, lambda row: row["ended"] == "open", "the upstream is at work")
        while reads > 0:
            reads -= len(client.recv(65_536))
        left_ns = time.monotonic_ns()
    row = upstream.row(counted.first, lambda row: row["ended"] != "open", "the upstream saw an end")
    assert row["ended"] == "cancelled"
    assert (row["cancel_ns"] - left_ns) / 1e6 < NOTICED_MS
    assert upstream.rows(counted.second) == []
    # The policy prefers the first target only while exactly nothing is counted as in flight: an exchange that was
    # never settled, or settled twice, would show here for good.
    eventually(lambda: door.ask(counted).target == counted.first, "the exchange was settled once", 3)
    assert all(door.ask(counted).target == counted.first for _ in range(3))


def test_a_client_that_leaves_one_stream_of_many_ends_that_one_alone(
    upstream: Upstream, door: Door, route: Route
) -> None:
    upstream.script(route.rule({"events": {"count": 60, "every_ms": 10}}, {"finish": {}}, "done"))
    clients = [ask_raw(door, route, stream=True) for _ in range(6)]
    for client in clients:
        assert client.recv(16).startswith(b"HTTP/1.1 200 ")
    clients[0].close()
    bodies = [b"".join(iter(lambda: client.recv(65_536), b"")) for client in clients[1:]]  # noqa: B023 - run at once
    assert all(b"data: [DONE]\n\n" in body for body in bodies)
    ended = sorted(row["ended"] for row in upstream.rows(route.first))
    assert ended == ["cancelled", *["complete"] * 5]
