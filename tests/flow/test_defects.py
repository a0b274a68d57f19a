"""A defect of ours in a running gateway: one request pays for it, and everybody else goes on.

One rule: a file in the folder of failpoints arms the point of its name; whoever passes it first removes the file, and
panics. One surprise: only dev builds have failpoints. Those that need no border are in the engine's own tests.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from fastroute.native import DEBUG_BUILD
from flow.records import Instance
from flow.rig import CHAT, Door, Gateway, Reply, Route, Upstream, chat, eventually, read

pytestmark = pytest.mark.skipif(not DEBUG_BUILD, reason="failpoints are in dev builds only")

LONG = 200_000
"""Bytes of a plain reply that is handed on in pieces."""


class Stage(NamedTuple):
    """A gateway with failpoints."""

    gateway: Gateway
    instance: Instance
    points: Path

    def arm(self, *points: str) -> None:
        for point in points:
            (self.points / point).touch()

    def met(self, *points: str) -> bool:
        return not any((self.points / point).exists() for point in points)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory, shared_upstream: Upstream) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("defects")
    points = folder / "points"
    points.mkdir()
    instance = Instance(folder, shared_upstream, fsync=True)
    try:
        yield Stage(instance.start(env={"FASTROUTE_FAILPOINTS": str(points)}), instance, points)
    finally:
        instance.stop()


def refused(reply: Reply) -> None:
    assert (reply.status, reply.error["code"]) == (500, "internal_error"), reply
    assert reply.headers["x-request-id"]


def event(reply: Reply) -> None:
    assert (reply.status, reply.whole) == (200, True), reply
    assert reply.events[-1]["error"]["code"] == "internal_error", reply
    assert "[DONE]" not in reply.events


def cut(reply: Reply) -> None:
    assert (reply.status, reply.whole) == (200, False), reply


def unseen(reply: Reply) -> None:
    assert (reply.status, reply.whole) == (200, True), reply
    assert b"internal_error" not in reply.body


Told = Callable[[Reply], None]

PLAIN: Any = [{"reply": {}}]
WHOLE: Any = [{"reply": {"bytes": LONG}}]
UNKNOWN: Any = [{"head": {"framing": "chunked"}}, {"reply": {"bytes": LONG}}]
EVENTS: Any = [{"events": {"count": 3, "every_ms": 30}}, {"finish": {}}, "done"]
FAILING: Any = [{"status": {"code": 503}}]


class Case(NamedTuple):
    door: str
    point: str
    stream: bool
    steps: Any
    """Of the upstream."""
    told: Told


CASES = [
    Case("granian", "border.open", False, PLAIN, refused),
    Case("granian", "border.feed", False, PLAIN, refused),
    Case("granian", "border.run", False, PLAIN, refused),
    Case("granian", "border.spawn", False, PLAIN, refused),
    Case("granian", "border.task", True, EVENTS, refused),
    Case("granian", "exchange.run", False, PLAIN, refused),
    Case("granian", "walk.attempt", True, EVENTS, refused),
    Case("granian", "attempt.whole", False, PLAIN, refused),
    Case("granian", "border.hand_over", True, EVENTS, refused),
    Case("granian", "border.chunk", True, EVENTS, event),
    Case("granian", "delivery.take", True, EVENTS, event),
    Case("granian", "delivery.take", False, WHOLE, cut),
    Case("granian", "delivery.take", False, UNKNOWN, refused),
    Case("granian", "drain.whole", False, PLAIN, refused),
    Case("granian", "drain.start", True, EVENTS, refused),
    Case("granian", "drain.chunk", True, EVENTS, event),
    Case("granian", "drain.chunk", False, WHOLE, cut),
    Case("granian", "drain.end", True, EVENTS, unseen),
    Case("granian", "drain.report", False, FAILING, unseen),
    Case("granian", "drain.settle", False, PLAIN, unseen),
    Case("edge", "drain.ask", False, PLAIN, unseen),
    Case("edge", "drain.report", True, FAILING, unseen),
    Case("edge", "drain.settle", True, EVENTS, unseen),
    Case("edge", "walk.pledged", True, EVENTS, refused),
    Case("edge", "delivery.take", True, EVENTS, event),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.door}-{case.point}-{case.told.__name__}")
def test_a_defect_ends_one_request_and_leaves_nothing_behind(
    stage: Stage, upstream: Upstream, counted: Route, case: Case
) -> None:
    door = stage.gateway.doors[case.door]
    upstream.script(counted.rule(*case.steps, first=1))
    before = stage.instance.count("panics_total")
    stage.arm(case.point)
    case.told(door.ask(counted, stream=case.stream))
    eventually(lambda: stage.met(case.point), f"{case.point} is met")
    eventually(lambda: stage.instance.count("panics_total") == before + 1, "it is counted once")
    # Its policy sees whether anything is still counted as in flight.
    eventually(lambda: door.ask(counted).target == counted.first, "nothing is in flight at its targets")
    for name in ("in_flight", "request_body_bytes"):
        eventually(lambda name=name: stage.instance.count(name) == 0, f"{name} is back at zero")
    eventually(lambda: not stage.instance.journal.left, "each attempt has an end on record")


@pytest.mark.parametrize("point", ["border.chunk", "drain.chunk", "delivery.take"])
def test_streams_beside_a_defect_go_on(
    stage: Stage, upstream: Upstream, route: Route, counted: Route, point: str
) -> None:
    slow = [{"events": {"count": 3, "every_ms": 400}}, {"finish": {}}, "done"]
    upstream.script(route.rule(*slow), counted.rule(*EVENTS))
    for door in stage.gateway.doors.values():
        if door.name == "edge" and point != "delivery.take":
            continue
        neighbours = [begin(door, route) for _ in range(4)]
        stage.arm(point)
        event(door.ask(counted, stream=True))
        for neighbour in neighbours:
            unseen(neighbour())


def begin(door: Door, route: Route) -> Callable[[], Reply]:
    """A stream whose first bytes are here."""
    connection = door.connect()
    connection.request("POST", CHAT, chat(route.name, stream=True), {"content-type": "application/json"})
    response = connection.getresponse()
    assert response.status == 200
    response.peek()
    return lambda: read(response)


def test_what_serves_everybody_begins_anew(stage: Stage, upstream: Upstream, counted: Route) -> None:
    points = (
        "journal.keeper",
        "journal.syncer",
        "journal.write",
        "pressure.look",
        "pressure.pulse",
        "pool.tend",
        "border.watch",
        "decide.letter",
        "decide.sweep",
    )
    upstream.script()
    edge = stage.gateway.doors["edge"]
    for _ in range(2):
        stage.arm(*points)
        eventually(lambda: edge.ask(counted).status == 200 and stage.met(*points), "each was met, and met again")
    eventually(lambda: edge.ask(counted).target == counted.first, "the decider is heard, and nothing is in flight")
    eventually(lambda: not stage.instance.journal.left, "each attempt has an end on record")


def test_a_door_that_met_a_defect_accepts_again(stage: Stage, upstream: Upstream, counted: Route) -> None:
    upstream.script()
    edge = stage.gateway.doors["edge"]
    stage.arm("door.accept")
    with pytest.raises(ConnectionError):
        edge.ask(counted)
    # Another thread accepts meanwhile, and this one again after a second.
    stage.arm("door.accept")
    with pytest.raises(ConnectionError):
        eventually(lambda: edge.ask(counted).status != 200, "it is met again")
    assert eventually(lambda: edge.ask(counted), "served").status == 200


def test_the_log_tells_where_and_whose_and_nothing_else(stage: Stage, upstream: Upstream, counted: Route) -> None:
    upstream.script()
    stage.arm("attempt.send")
    reply = stage.gateway.doors["edge"].ask(counted)
    refused(reply)
    told = f"request {reply.headers['x-request-id']} was given up for a defect of the gateway"
    eventually(lambda: told in stage.gateway.command.output, "the log names the request")
    assert "a defect of the gateway at rust/engine/src/failpoint.rs" in stage.gateway.command.output


def test_a_thread_that_ends_takes_its_process_along_and_another_serves(
    stage: Stage, upstream: Upstream, counted: Route
) -> None:
    upstream.script()
    before = stage.instance.process
    stage.arm("thread.park")
    eventually(lambda: stage.instance.process not in (0, before), "another process serves", 20)
    for door in stage.gateway.doors.values():
        eventually(lambda door=door: answers(door, counted), "it answers", 20)
    assert "a thread of requests ended" in stage.gateway.command.output


def answers(door: Door, route: Route) -> bool:
    try:
        return door.ask(route).status == 200
    except (ConnectionError, TimeoutError):
        return False
