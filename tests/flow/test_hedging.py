"""Another target beside a slow one: the first to answer wins, the other is let go, and the cost of it is bounded."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from flow.records import Journal
from flow.rig import Door, Route, Upstream, eventually, text_of

NOTICED_MS = 100
REQUESTS = 160
SLOW = [{"delay": {"ms": 700}}, {"reply": {"events": 2}}]


def save_up(door: Door, route: Route) -> None:
    """Twenty streams pay for one attempt beside another; one more is for a stream that this machine makes slow."""
    assert all(door.ask(route, stream=True).status == 200 for _ in range(41))


def ends(journal: Path, rows: list[dict[str, Any]]) -> list[tuple[str, str | None]]:
    """State and failure of the attempts behind rows of the upstream's log, from the journal."""
    wanted = [row["headers"]["x-fastroute-attempt"] for row in rows]

    def look() -> list[tuple[str, str | None]]:
        settles = Journal(journal).settles
        found = [settles[attempt] for attempt in wanted if attempt in settles]
        return [(end["state"], end["failure"]) for end in found] if len(found) == len(wanted) else []

    return eventually(look, "every attempt is settled")


def test_the_second_target_answers_for_a_first_that_shows_nothing(
    upstream: Upstream, door: Door, journal: Path, hedging: Route
) -> None:
    save_up(door, hedging)
    upstream.script(
        hedging.rule("stall"), hedging.rule({"reply": {"events": 3, "every_ms": 100, "text": "a b c"}}, second=True)
    )
    reply = door.ask(hedging, stream=True)
    assert (reply.status, reply.target, reply.attempts) == (200, hedging.second, 2)
    assert reply.events[-1] == "[DONE]"
    assert text_of(reply.events)
    loser = upstream.row(hedging.first, lambda row: row["ended"] != "open", "the first is let go")
    winner = upstream.row(hedging.second, lambda row: row["ended"] == "complete", "the second answered")
    assert loser["ended"] == "cancelled"
    assert (loser["cancel_ns"] - winner["first_byte_ns"]) / 1e6 < NOTICED_MS
    assert ends(journal, [loser, winner]) == [("cancelled", "hedged"), ("complete", None)]
    # The plan's first target lost, and leads the next one all the same.
    upstream.script()
    assert all(door.ask(hedging).target == hedging.first for _ in range(3))


def test_a_first_that_answers_after_all_wins_over_the_second(
    upstream: Upstream, door: Door, journal: Path, hedging: Route
) -> None:
    save_up(door, hedging)
    upstream.script(hedging.rule(*SLOW), hedging.rule("stall", second=True))
    reply = door.ask(hedging, stream=True)
    assert (reply.status, reply.target, reply.attempts) == (200, hedging.first, 2)
    loser = upstream.row(hedging.second, lambda row: row["ended"] != "open", "the second is let go")
    assert ends(journal, [loser, *upstream.rows(hedging.first)]) == [
        ("cancelled", "hedged"),
        ("complete", None),
    ]


def test_when_everybody_is_slow_one_in_twenty_requests_is_asked_twice(
    upstream: Upstream, door: Door, journal: Path, hedging: Route
) -> None:
    upstream.script(hedging.rule(*SLOW), hedging.rule(*SLOW, second=True))
    with ThreadPoolExecutor(32) as crowd:
        replies = list(crowd.map(lambda _: door.ask(hedging, stream=True), range(REQUESTS)))
    assert {reply.status for reply in replies} == {200}
    assert len(upstream.rows(hedging.first)) == REQUESTS
    beside = upstream.rows(hedging.second)
    assert REQUESTS / 40 < len(beside) <= REQUESTS / 20
    assert sum(reply.attempts - 1 for reply in replies) == len(beside)
    told = ends(journal, [*upstream.rows(hedging.first), *beside])
    # Which of two equally slow ones wins is chance; each pair has one of either.
    assert told.count(("cancelled", "hedged")) == len(beside)
    assert told.count(("complete", None)) == REQUESTS


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "plain"])
def test_a_client_that_leaves_two_attempts_leaves_neither_running(
    stream: bool, upstream: Upstream, door: Door, hedging: Route
) -> None:
    save_up(door, hedging)
    upstream.script(hedging.rule("stall"), hedging.rule("stall", second=True))
    with door.socket() as client:
        body = b'{"model":"%s","messages":[{"role":"user","content":"x"}],"stream":%s}' % (
            hedging.name.encode(),
            b"true" if stream else b"false",
        )
        head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body)
        client.sendall(head + body)
        running = hedging.second if stream else hedging.first
        eventually(lambda: upstream.rows(running), "the last of them is asked")
    models = [hedging.first, hedging.second] if stream else [hedging.first]
    for model in models:
        assert upstream.row(model, lambda row: row["ended"] != "open", "let go")["ended"] == "cancelled"
    assert len(upstream.rows(hedging.first, hedging.second)) == len(models)
