"""After the first content nothing is invented: an error event, no finish, no terminator, and a clean end."""

from typing import Any

import pytest

from flow.rig import Door, Route, Upstream, finishes, text_of

THREE = {"events": {"count": 3, "text": "word "}}


def broken(upstream: Upstream, door: Door, route: Route, *steps: Any) -> dict[str, Any]:
    """Runs a stream that breaks after three words; gives the error the client was told."""
    upstream.script(route.rule(*steps))
    reply = door.ask(route, stream=True)
    assert (reply.status, reply.target, reply.attempts) == (200, route.first, 1)
    seen = reply.events
    assert text_of(seen) == "word word word "
    assert finishes(seen) == []
    assert "[DONE]" not in seen
    assert reply.whole, "the transport ends as it should; the error is in the stream"
    assert reply.body.endswith(b"\n\n")
    assert upstream.rows(route.second) == [], "a stream that began is not begun again elsewhere"
    assert list(seen[-1]) == ["error"]
    return seen[-1]["error"]


@pytest.mark.parametrize("end", ["close", "reset"])
def test_a_cut_stream_is_never_reported_as_finished(end: str, upstream: Upstream, door: Door, route: Route) -> None:
    error = broken(upstream, door, route, THREE, {"delay": {"ms": 30}}, end)
    assert error["code"] == "upstream_truncated"
    assert set(error) == {"message", "type", "param", "code"}


def test_a_stream_that_ends_properly_without_its_finish_is_truncated(
    upstream: Upstream, door: Door, route: Route
) -> None:
    # The chunked body ends as it should; only the last words are missing.
    error = broken(upstream, door, route, {"head": {"content_type": "text/event-stream"}}, *words(3))
    assert error["code"] == "upstream_truncated"


def words(count: int) -> list[Any]:
    event = 'data: {"id":"c","model":"m","choices":[{"index":0,"delta":{"content":"word "}}]}'
    return [{"send": {"utf8": event + "\n\n", "repeat": count}}]


def test_a_stream_that_falls_silent_ends_with_an_error(upstream: Upstream, door: Door, hasty: Route) -> None:
    error = broken(upstream, door, hasty, THREE, "stall")
    assert error["code"] == "upstream_stalled"
    upstream.row(hasty.first, lambda row: row["ended"] == "cancelled", "the silent upstream was given up")


def test_comments_end_no_silence_of_content_but_keep_the_stream_alive(
    upstream: Upstream, door: Door, hasty: Route
) -> None:
    # Comments for longer than the route's silence, then the rest.
    upstream.script(hasty.rule(THREE, {"comments": {"count": 30, "every_ms": 30}}, {"finish": {}}, "done"))
    reply = door.ask(hasty, stream=True)
    assert (finishes(reply.events), reply.events[-1]) == (["stop"], "[DONE]")


def test_an_error_event_goes_on_to_the_client_as_it_came(upstream: Upstream, door: Door, route: Route) -> None:
    said = {"error": {"message": "the model fell over", "type": "server_error", "param": None, "code": "oops"}}
    error = broken(upstream, door, route, THREE, {"error_event": {"data": said}})
    assert error == said["error"]


@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_long_plain_reply_that_breaks_off_is_seen_to(how: str, upstream: Upstream, door: Door, route: Route) -> None:
    upstream.script(
        route.rule({"cut": {"after_bytes": 200_000, "of": "body", "how": how}}, {"reply": {"bytes": 400_000}})
    )
    reply = door.ask(route)
    assert reply.status == 200
    assert not reply.whole, "a client must be able to tell that the reply is not complete"
    assert len(reply.body) <= 200_000
    assert upstream.rows(route.second) == []


def test_a_long_plain_reply_without_a_length_that_breaks_off_is_no_answer(
    upstream: Upstream, door: Door, route: Route
) -> None:
    """granian would end it like a whole one, so its door sends the head only when the reply is whole."""
    framing = {"head": {"framing": "chunked"}}
    upstream.script(route.rule(framing, {"cut": {"after_bytes": 200_000, "of": "body"}}, {"reply": {"bytes": 400_000}}))
    reply = door.ask(route)
    if door.name == "granian":
        assert (reply.status, reply.error["code"]) == (502, "upstream_truncated")
    else:
        assert (reply.status, reply.whole) == (200, False)


def test_a_long_plain_reply_without_a_length_arrives_as_it_was_sent(
    upstream: Upstream, door: Door, route: Route
) -> None:
    upstream.script(route.rule({"head": {"framing": "chunked"}}, {"reply": {"bytes": 400_000}}))
    reply = door.ask(route)
    assert (reply.status, reply.whole) == (200, True)
    assert len(reply.body) >= 400_000
