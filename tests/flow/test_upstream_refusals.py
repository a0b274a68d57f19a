"""What an upstream refuses: the client's own mistakes come back as they were told, the operator's are not shown."""

from typing import Any

import pytest

from flow.rig import Door, Route, Upstream

CANARY = "canary-in-an-upstream-error"


def error_body(code: str) -> dict[str, Any]:
    return {"error": {"message": f"about {CANARY}", "type": "invalid_request_error", "param": "messages", "code": code}}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("status", [400, 404, 413, 422])
def test_a_mistake_of_the_client_comes_back_as_it_was_told_and_is_not_tried_elsewhere(
    status: int, stream: bool, upstream: Upstream, door: Door, route: Route
) -> None:
    body = error_body("bad_thing")
    upstream.script(route.rule({"status": {"code": status, "body": body}}))
    reply = door.ask(route, stream=stream)
    assert (reply.status, reply.error) == (status, body["error"])
    assert reply.headers["x-should-retry"] == "false"
    assert reply.headers["x-fastroute-upstream-status"] == str(status)
    assert [row["model"] for row in upstream.rows()] == [route.first]


@pytest.mark.parametrize("status, answered", [(401, 502), (403, 502), (402, 503)])
def test_what_is_wrong_with_the_operators_account_is_not_shown_to_clients(
    status: int, answered: int, upstream: Upstream, door: Door, account: Route
) -> None:
    step = {"status": {"code": status, "body": error_body("invalid_api_key")}}
    upstream.script(account.rule(step), account.rule(step, second=True))
    reply = door.ask(account)
    assert reply.status == answered
    assert CANARY.encode() not in reply.body
    assert CANARY not in str(reply.headers)
    assert reply.headers["x-should-retry"] == "false"
    assert len(upstream.rows()) == 1, "the route's other target has the same account"


@pytest.mark.parametrize(("status", "told"), [(401, (502, 1)), (402, (503, 1)), (403, (502, 2))])
def test_who_refused_the_gateway_is_left_alone_even_where_nobody_else_is(
    status: int, told: tuple[int, int], upstream: Upstream, door: Door, account: Route
) -> None:
    """A client that insists is told at once. What a key may not call says nothing of its other models."""
    answered, calls = told
    step = {"status": {"code": status, "body": {"error": {"message": "no"}}}}
    upstream.script(account.rule(step), account.rule(step, second=True))
    for _ in range(6):
        assert door.ask(account).status == answered
    assert len(upstream.rows()) == calls


def test_a_limit_at_every_target_is_a_limit_for_the_client_with_the_shortest_wait(
    upstream: Upstream, door: Door, route: Route
) -> None:
    def limited(seconds: int) -> dict[str, Any]:
        return {
            "status": {"code": 429, "headers": {"retry-after": str(seconds)}, "body": error_body("rate_limit_exceeded")}
        }

    upstream.script(route.rule(limited(7)), route.rule(limited(9), second=True))
    reply = door.ask(route)
    assert reply.status == 429
    assert reply.headers["retry-after"] == "7"
    assert reply.headers["x-should-retry"] == "true"
    assert reply.attempts == 2


def test_an_overload_of_every_target_is_told_with_its_wait(upstream: Upstream, door: Door, route: Route) -> None:
    step = {"status": {"code": 503, "headers": {"retry-after": "8"}}}
    upstream.script(route.rule(step), route.rule(step, second=True))
    reply = door.ask(route)
    assert (reply.status, reply.headers["retry-after"]) == (503, "8")
    assert reply.headers["x-should-retry"] == "true"


def test_a_long_error_page_is_neither_shown_nor_waited_for(upstream: Upstream, door: Door, route: Route) -> None:
    page = {"head": {"status": 500, "content_type": "text/html"}}
    upstream.script(route.rule(page, {"send": {"utf8": "x" * 1000, "repeat": 10_000}}, "stall"))
    reply = door.ask(route)
    assert (reply.status, reply.target) == (200, route.second)
