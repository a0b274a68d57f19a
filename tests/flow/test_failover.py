"""Before the first content a failure is nobody's business: the next target answers, at both doors."""

from typing import Any

import pytest

from flow.rig import HASTE_S, Door, Route, Upstream, eventually, finishes, text_of
from flow.sockets import open_to

HTML = "<!doctype html><title>Bad gateway</title>"
STREAM = {"head": {"content_type": "text/event-stream"}}

ANY_REPLY: dict[str, list[Any]] = {
    "503": [{"status": {"code": 503}}],
    "500": [{"status": {"code": 500}}],
    "529": [{"status": {"code": 529}}],
    "a limit": [{"status": {"code": 429, "headers": {"retry-after": "7"}}}],
    "a reset before the head": ["reset"],
    "an end before the head": ["close"],
    "half a head": [{"raw": {"utf8": "HTTP/1.1 200 OK\r\ncontent-ty"}}, "close"],
    "no HTTP": [{"raw": {"utf8": "SSH-2.0-OpenSSH_9.2\r\n"}}, "close"],
    "a page with status 200": [{"head": {"content_type": "text/html"}}, {"send": {"utf8": HTML}}],
    "an error with status 200": [{"status": {"code": 200, "body": {"error": {"message": "no", "code": 500}}}}],
    "an empty body": [{"status": {"code": 200, "body": ""}}],
}
UNARY = {
    "a reply cut in the middle": [{"cut": {"after_bytes": 100, "of": "body"}}, {"reply": {}}],
    "a reply reset in the middle": [{"cut": {"after_bytes": 100, "of": "body", "how": "reset"}}, {"reply": {}}],
    "half a JSON document": [{"status": {"code": 200, "body": '{"id":"x","choices":[{"mess'}}],
}
STREAMED = {
    "an error event first": [{"error_event": {}}],
    "a stream of nothing": [STREAM, {"send": {"utf8": ""}}],
    "only comments": [{"comments": {"count": 3}}, "close"],
    "a cut within the role": [{"cut": {"after_bytes": 60, "of": "body"}}, {"reply": {}}],
    "a reset after the role": [{"cut": {"after_bytes": 260, "of": "body", "how": "reset"}}, {"reply": {}}],
}


def fails_over(upstream: Upstream, door: Door, route: Route, steps: list[Any], stream: bool) -> None:
    upstream.script(route.rule(*steps), events=4)
    reply = door.ask(route, stream=stream)
    assert reply.status == 200, reply.body
    assert (reply.target, reply.attempts) == (route.second, 2)
    # A request on a reused connection that ends without a byte is sent once more, on a fresh one, within its attempt.
    assert list(dict.fromkeys(row["model"] for row in upstream.rows())) == [route.first, route.second]
    assert len(upstream.rows(route.second)) == 1
    assert reply.whole
    if stream:
        assert text_of(reply.events)
        assert (finishes(reply.events), reply.events[-1]) == (["stop"], "[DONE]")
        # One stream only: nothing of the failed attempt is in it.
        assert len({event["id"] for event in reply.events[:-1]}) == 1
    else:
        assert b'"choices"' in reply.body
        assert b'"error"' not in reply.body


@pytest.mark.parametrize("fault", [*ANY_REPLY, *UNARY])
def test_a_plain_request_goes_to_the_second_target_after(
    fault: str, upstream: Upstream, door: Door, route: Route
) -> None:
    fails_over(upstream, door, route, (ANY_REPLY | UNARY)[fault], stream=False)


@pytest.mark.parametrize("fault", [*ANY_REPLY, *STREAMED])
def test_a_stream_goes_to_the_second_target_after(fault: str, upstream: Upstream, door: Door, route: Route) -> None:
    fails_over(upstream, door, route, (ANY_REPLY | STREAMED)[fault], stream=True)


@pytest.mark.parametrize("silence", ["no head", "no body", "only a role", "only comments"])
def test_a_stream_without_content_in_time_goes_to_the_second_target(
    silence: str, upstream: Upstream, door: Door, hasty: Route
) -> None:
    steps: dict[str, list[Any]] = {
        "no head": ["stall"],
        "no body": [STREAM, {"send": {"utf8": ""}}, "stall"],
        "only a role": [{"events": {"count": 0}}, "stall"],
        "only comments": [{"comments": {"count": 1000, "every_ms": 20}}],
    }
    fails_over(upstream, door, hasty, steps[silence], stream=True)
    first, second = upstream.rows()
    waited_s = (second["arrival_ns"] - first["arrival_ns"]) / 1e9
    assert HASTE_S * 0.9 <= waited_s < HASTE_S + 1.0
    upstream.row(hasty.first, lambda row: row["ended"] == "cancelled", "the silent attempt was given up")


def test_a_refused_connection_goes_to_the_second_target(upstream: Upstream, door: Door, refused: Route) -> None:
    for stream in (False, True):
        reply = door.ask(refused, stream=stream)
        assert (reply.status, reply.target, reply.attempts) == (200, refused.second, 2)


def test_a_connection_that_was_closed_while_idle_costs_no_attempt(upstream: Upstream, door: Door, route: Route) -> None:
    upstream.script(route.rule({"reply": {}}, "close"))
    port = int(upstream.origin.rpartition(":")[2])
    for _ in range(8):
        before = open_to(port)
        reply = door.ask(route)
        assert (reply.status, reply.target, reply.attempts) == (200, route.first, 1)
        # The upstream closes behind its reply, and may have to wait for a core to do it.
        eventually(lambda: open_to(port) <= before, "the connection is closed")  # noqa: B023 - run at once


def test_when_every_target_fails_the_client_gets_one_error_in_its_own_shape(
    upstream: Upstream, door: Door, route: Route
) -> None:
    upstream.script(
        route.rule({"status": {"code": 500, "body": "canary of the first"}}),
        route.rule("reset", second=True),
    )
    for stream in (False, True):
        reply = door.ask(route, stream=stream)
        assert 500 <= reply.status < 600
        assert set(reply.error) == {"message", "type", "param", "code"}
        assert reply.attempts == 2
        assert reply.headers["content-type"] == "application/json"
        assert reply.headers["x-should-retry"] == "false"
        assert "retry-after" not in reply.headers
        assert b"canary" not in reply.body


def test_a_request_that_may_have_been_carried_out_is_repeated_once_only(upstream: Upstream, door: Door) -> None:
    upstream.script({"match": {"model": "thrice-*"}, "steps": [{"raw": {"utf8": "HTTP/1.1 200 OK\r\n"}}, "reset"]})
    reply = door.ask("thrice")
    assert reply.status == 502
    assert reply.attempts == 2
    assert [row["model"] for row in upstream.rows()] == ["thrice-1", "thrice-2"]
