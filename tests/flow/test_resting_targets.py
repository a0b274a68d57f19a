"""Who is left alone, for how long, and what clients see meanwhile; at both doors."""

import itertools
import json
import math
import threading
import time
from typing import Any

import pytest

from flow.rig import Door, Gateway, Route, Serve, Upstream, configuration, eventually, free_port

WAIT_S = 2
SLOW_START_S = 30.0


def limited(wait_s: int) -> dict[str, Any]:
    return {"status": {"code": 429, "headers": {"retry-after": str(wait_s)}}}


def is_left_of(wait_s: int, told_s: int, before_s: float) -> bool:
    """What is told of a wait that was named after `before_s`, in whole seconds, is what is left of it."""
    return wait_s - (time.monotonic() - before_s) <= told_s <= wait_s


def arrivals_s(upstream: Upstream, model: str) -> list[float]:
    return [row["arrival_ns"] / 1e9 for row in upstream.rows(model)]


def test_a_target_at_its_limit_is_sent_nothing_until_the_wait_it_named_is_over(
    upstream: Upstream, door: Door, route: Route
) -> None:
    upstream.script(route.rule(limited(WAIT_S), first=1))

    def again() -> bool:
        reply = door.ask(route)
        assert reply.status == 200, "no client notices"
        return reply.target == route.first

    eventually(again, "the first target is asked again", WAIT_S + 20)
    refused_s, again_s = arrivals_s(upstream, route.first)[:2]
    assert again_s - refused_s >= WAIT_S
    assert len(upstream.rows(route.second)) > 10, "somebody answered meanwhile"


def test_what_comes_back_takes_its_share_back_slowly(upstream: Upstream, door: Door, route: Route) -> None:
    upstream.script(route.rule(limited(1), first=1))
    before_s = time.monotonic()
    eventually(lambda: door.ask(route).target == route.first, "the first target is back", 20)
    led, asked = 0, 0
    # However slow the machine is: what it may have by now, and by chance a little more. When decisions are late it gets
    # less, and never more.
    while asked < 100:
        led, asked = led + (door.ask(route).target == route.first), asked + 1
        share = 0.1 + 0.9 * min(1.0, (time.monotonic() - before_s) / SLOW_START_S)
        assert led <= share * asked + 5 * math.sqrt(share * asked), f"{led} of {asked}: not all at once"
    eventually(lambda: door.ask(route).target == route.first, "it has a share", 40)


def test_when_all_are_at_their_limit_the_client_is_told_at_once_and_nobody_is_called(
    upstream: Upstream, door: Door, route: Route
) -> None:
    upstream.script(route.rule(limited(40)), route.rule(limited(90), second=True))
    before_s = time.monotonic()
    assert door.ask(route).status == 429
    for stream in (False, True):
        reply = door.ask(route, stream=stream)
        assert (reply.status, reply.error["code"], reply.error["type"]) == (
            429,
            "rate_limit_exceeded",
            "rate_limit_error",
        )
        assert reply.headers["x-should-retry"] == "true"
        assert is_left_of(40, int(reply.headers["retry-after"]), before_s)
    assert [row["model"] for row in upstream.rows()] == [route.first, route.second]


def test_a_wait_that_is_too_long_for_a_client_is_told_and_not_recommended(
    upstream: Upstream, door: Door, route: Route
) -> None:
    upstream.script(route.rule(limited(120)), route.rule(limited(90), second=True))
    before_s = time.monotonic()
    door.ask(route)
    reply = door.ask(route)
    assert (reply.status, reply.headers["x-should-retry"]) == (429, "false")
    assert is_left_of(90, int(reply.headers["retry-after"]), before_s)


def test_a_target_that_keeps_failing_stands_by_and_answers_when_nobody_else_does(
    upstream: Upstream, door: Door, route: Route
) -> None:
    upstream.script(route.rule({"status": {"code": 503}}))
    for _ in range(20):
        assert door.ask(route).target == route.second
    assert len(upstream.rows(route.first)) < 10
    # Now it is well and the other one is not.
    upstream.script(route.rule({"status": {"code": 503}}, second=True))
    assert door.ask(route).target == route.first


def test_metrics_name_who_is_not_called(
    upstream: Upstream, gateway: Gateway, admin_port: int, door: Door, route: Route
) -> None:
    upstream.script(route.rule(limited(40)))
    assert door.ask(route).target == route.second
    admin = Door("admin", f"http://127.0.0.1:{admin_port}")
    row = f'fastroute_target_out{{target="up/{route.first}",state="barred"}} 1'
    eventually(lambda: row in admin.send("GET", "/metrics").body.decode(), "the target is shown")


TWO_KEYS = ("sk-canary-of-the-first", "sk-canary-of-the-second")


@pytest.fixture
def two_keys(upstream: Upstream, serve: Serve) -> Gateway:
    config = configuration(upstream.origin, free_port())
    provider = config["providers"]["up"]
    del provider["key"]
    provider["keys"] = TWO_KEYS
    return serve(config)


def revoked(key: str, **match: Any) -> dict[str, Any]:
    refusal = {"code": 401, "body": {"error": {"code": "invalid_api_key", "message": "no"}}}
    return {"match": {"header": {"authorization": f"Bearer {key}"}, **match}, "steps": [{"status": refusal}]}


@pytest.mark.parametrize("name", ["granian", "edge"])
def test_a_key_that_is_revoked_under_load_is_noticed_by_the_operator_and_by_no_client(
    name: str, two_keys: Gateway, upstream: Upstream
) -> None:
    clients, each, door = 8, 40, two_keys.doors[name]
    upstream.script(revoked(TWO_KEYS[0], after=100))
    statuses: list[int] = []

    def ask() -> None:
        statuses.extend(door.ask("patient-1").status for _ in range(each))

    threads = [threading.Thread(target=ask) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * (clients * each)
    refused = [row for row in upstream.rows() if row["rule"] == 0]
    assert 1 <= len(refused) <= clients + 1, "no more than were under way"
    assert {row["model"] for row in upstream.rows()} == {"patient-1-first"}, "the model is well"
    alarms = eventually(lambda: _alarms(two_keys), "the operator is told")
    assert len(alarms) == 1
    assert "up: its key keys[0] was refused" in alarms[0]["message"]
    assert not any(key in two_keys.command.output for key in TWO_KEYS)


def _alarms(gateway: Gateway) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in gateway.command.output.splitlines() if line.startswith("{")]
    return [line for line in lines if line["level"] == "error"]


def test_when_every_key_is_refused_the_client_is_told_whose_problem_that_is(
    two_keys: Gateway, upstream: Upstream
) -> None:
    upstream.script(*map(revoked, TWO_KEYS))
    for number, door in zip(itertools.count(2), two_keys.doors.values(), strict=False):
        reply = door.ask(f"patient-{number}")
        assert (reply.status, reply.error["code"]) == (502, "provider_auth")
        assert not any(key in str(reply) for key in TWO_KEYS)
    assert len(upstream.rows()) == 2, "each key was refused once; the second request called nobody"
