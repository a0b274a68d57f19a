"""A client leaves and its provider wants to be read on (`on_client_gone`): one outcome, with what was really used."""

import signal
import time
from pathlib import Path
from typing import Any

import pytest

from flow.records import Journal, journal_of
from flow.rig import Command, Door, Route, Serve, Upstream, ask_raw, configuration, eventually, free_port

RUNNING = [{"events": {"count": 40, "every_ms": 20}}, {"finish": {}}, "done"]
LATE = [{"delay": {"ms": 700}}, {"reply": {"events": 4}}]


def leave(door: Door, route: Route, upstream: Upstream, reads: int, **more: Any) -> None:
    """Asks, reads so much once the upstream is at work, and closes the connection."""
    with ask_raw(door, route, **more) as client:
        upstream.row(route.first, lambda row: row["ended"] == "open", "the upstream is at work")
        while reads > 0:
            reads -= len(client.recv(65_536))


def ended(upstream: Upstream, route: Route) -> dict[str, Any]:
    return upstream.row(route.first, lambda row: row["ended"] != "open", "the upstream saw an end")


def on_record(journal: Path, row: dict[str, Any]) -> dict[str, Any]:
    """How the journal says that the attempt behind a row of the upstream's log ended."""
    attempt = row["headers"]["x-fastroute-attempt"]
    return eventually(lambda: Journal(journal).settles.get(attempt) or {}, "the attempt is settled")


def settled_once(door: Door, route: Route) -> None:
    """Nothing is counted as in flight at the first target, or its policy would choose the other for good."""
    eventually(lambda: door.ask(route).target == route.first, "the exchange was settled", 3)
    assert all(door.ask(route).target == route.first for _ in range(3))


@pytest.fixture(params=["drained", "finished"])
def route(request: pytest.FixtureRequest) -> Route:
    return request.getfixturevalue(request.param)


def test_a_reply_that_runs_is_read_to_its_end(upstream: Upstream, door: Door, journal: Path, route: Route) -> None:
    upstream.script(route.rule(*RUNNING, first=1))
    leave(door, route, upstream, 2_000, stream=True)
    row = ended(upstream, route)
    assert row["ended"] == "complete"
    end = on_record(journal, row)
    assert (end["state"], end["failure"], end["basis"]) == ("complete", "client_gone", "provider")
    assert end["completion_tokens"] > 0
    assert upstream.rows(route.second) == []
    settled_once(door, route)


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "plain"])
def test_finish_waits_for_an_answer_that_has_not_begun_and_drain_does_not(
    stream: bool, upstream: Upstream, door: Door, journal: Path, route: Route
) -> None:
    upstream.script(route.rule(*LATE, first=1))
    leave(door, route, upstream, 0, stream=stream)
    row = ended(upstream, route)
    end = on_record(journal, row)
    told = (row["ended"], end["state"], end["failure"], end["basis"])
    if route.name.startswith("finished"):
        assert told == ("complete", "complete", "client_gone", "provider")
    else:
        assert told == ("cancelled", "cancelled", "client_gone", "estimated")
    assert upstream.rows(route.second) == []
    settled_once(door, route)


def test_what_is_carried_on_is_not_tried_elsewhere(upstream: Upstream, door: Door, finished: Route) -> None:
    upstream.script(finished.rule({"delay": {"ms": 400}}, {"status": {"code": 503}}, first=1))
    leave(door, finished, upstream, 0, stream=True)
    ended(upstream, finished)
    settled_once(door, finished)
    assert upstream.rows(finished.second) == []


@pytest.mark.parametrize("name", ["granian", "edge"])
def test_a_stop_waits_for_what_is_read_on_and_then_ends_it(
    name: str, upstream: Upstream, serve: Serve, tmp_path: Path, drained: Route
) -> None:
    gateway = serve(configuration(upstream.origin, free_port(), drain_timeout_s=0.5))
    upstream.script(drained.rule({"events": {"count": 10_000, "every_ms": 20}}))
    leave(gateway.doors[name], drained, upstream, 1_000, stream=True)
    command: Command = gateway.command
    command.process.send_signal(signal.SIGINT)
    began = time.monotonic()
    assert command.wait() == 0
    assert time.monotonic() - began >= 0.5
    row = ended(upstream, drained)
    assert row["ended"] == "cancelled"
    end = on_record(journal_of(tmp_path, gateway), row)
    assert (end["state"], end["failure"]) == ("cancelled", "client_gone")
