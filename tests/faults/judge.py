"""Holds what happened against what the table promises; says the differences in words.

One rule: a judge only looks. One surprise: it compares attempts three times over (header, upstream log, journal),
because each of them has lied on its own before.
"""

import json
from collections.abc import Iterator
from typing import Any

from faults.cell import KEY_CANARY, LIMIT_S, PROMPT_CANARY, Cell
from faults.fault import SCRIPTED, Ending, Phase, Seen, Way
from faults.round import Observation, Round
from faults.script import CANARY, WORD, WORDS
from faults.stream import events
from flow.rig import Reply

MOST_ATTEMPTS = 3
MOST_KEPT = 16
"""Idle connections to the upstream that keeps them."""
STATUSES = {
    "rate_limit_exceeded": 429,
    "overloaded": 503,
    "provider_auth": 502,
    "provider_quota": 503,
    "response_too_large": 502,
    "upstream_error": 502,
    "upstream_malformed": 502,
    "upstream_stalled": 504,
    "upstream_timeout": 504,
    "upstream_tls": 502,
    "upstream_truncated": 502,
    "upstream_unreachable": 503,
}
"""Of our codes, also where they are told in a stream, whose own status is 200."""
SLACK_S = 1.5
"""A wait may end this much late: a debug build on a machine that does other things as well."""


def differences(observation: Observation) -> Iterator[str]:
    """What differs from the table, one sentence each."""
    cell = observation.cell
    reply, wanted = observation.timed.reply, cell.seen
    for what, seen, expected in (
        *_of_head(reply, cell, wanted),
        *_of_body(reply, cell, wanted),
        *_of_calls(observation),
        *_of_entries(observation),
    ):
        if seen != expected:
            yield f"{what}: {seen!r} instead of {expected!r}"
    limit_s = LIMIT_S[cell.what.clocks] + SLACK_S
    if observation.timed.took_s > limit_s:
        yield f"took {observation.timed.took_s:.2f} s instead of at most {limit_s} s"


def breaches(played: Round) -> Iterator[str]:
    """What holds whatever the fault: nothing is lost, left behind, or told that is secret."""
    asked = len(played.observations)
    exchanges = asked + sum(each.cell.what.well for each in played.observations)
    if played.exchanges != exchanges:
        yield f"{played.exchanges} exchanges for {exchanges} requests"
    ids = {each.timed.reply.headers.get("x-request-id") for each in played.observations}
    if len(ids) != asked or None in ids:
        yield f"{len(ids)} request ids for {asked} requests"
    for each in played.observations:
        if len(each.first) + len(each.second) > MOST_ATTEMPTS * (each.cell.what.requests + each.cell.what.well):
            yield f"{each.cell.label}: {len(each.first) + len(each.second)} requests upstream"
    unexplained = len(played.unasked) - sum(each.cell.what.well for each in played.observations)
    if unexplained:
        yield f"{unexplained} requests on record that nobody made"
    if played.stray or played.open_after:
        yield f"the upstream serves strangers {played.stray} or still works for {played.open_after}"
    after = played.after
    if after.panics or after.in_flight or after.body_bytes:
        yield f"left behind: {after}"
    if after.descriptors > played.before.descriptors + MOST_KEPT:
        yield f"{after.descriptors} descriptors, and {played.before.descriptors} at the start"
    yield from _indiscretions(played)


def _indiscretions(played: Round) -> Iterator[str]:
    replies = [str((each.timed.reply.headers, each.timed.reply.body)) for each in played.observations]
    own = [played.output, played.metrics]
    for canary, texts in ((KEY_CANARY, [*own, *replies]), (PROMPT_CANARY, [*own, *replies]), (CANARY, own)):
        if any(canary in text for text in texts):
            yield f"{canary} stands in the log, the metrics or a reply"
    if "Traceback" in played.output:
        yield f"a traceback in the log: {played.output[-2_000:]}"


Compared = tuple[str, Any, Any]


def _of_head(reply: Reply, cell: Cell, wanted: Seen) -> Iterator[Compared]:
    audience = cell.pair.audience
    yield "status", reply.status, audience.status(wanted.code, wanted.status)
    headers = reply.headers
    early = cell.what.early
    yield "attempts", headers.get("x-fastroute-attempts"), None if early else str(cell.attempts)
    if wanted.ending is not Ending.ERROR:
        answering = cell.other if cell.calls[1] else cell.first
        yield "target", headers.get("x-fastroute-target"), None if early else f"{answering}/{answering}"
        yield "x-should-retry", headers.get("x-should-retry"), None
        return
    yield "content-type", headers.get("content-type"), "application/json"
    yield "x-should-retry", headers.get("x-should-retry"), str(wanted.retry).lower()
    upstream_status = None if wanted.upstream_status is None else str(wanted.upstream_status)
    yield "x-fastroute-upstream-status", headers.get("x-fastroute-upstream-status"), upstream_status
    wait = headers.get("retry-after")
    if wanted.retry:
        least, most = wanted.wait_s
        fits = wait is not None and wait.isdecimal() and least <= int(wait) <= most
        yield f"retry-after ({wait}) within {least} to {most}", fits, True
    else:
        yield "retry-after", wait, None


def _of_body(reply: Reply, cell: Cell, wanted: Seen) -> Iterator[Compared]:
    yield "transport whole", reply.whole, wanted.ending is not Ending.BROKEN
    yield "begins with a comment", reply.body.startswith(b":"), cell.what.early
    match wanted.ending:
        case Ending.ERROR:
            yield from _of_error(_object(reply.body), cell, wanted)
        case Ending.BROKEN:
            yield "begins as it was sent", reply.body.lstrip()[:1], b"{"
        case Ending.WHOLE if cell.what.way is Way.PLAIN:
            yield "is a reply", cell.pair.audience.replies(_object(reply.body)), True
        case _:
            yield from _of_stream(reply.body, cell, wanted)


def _of_stream(body: bytes, cell: Cell, wanted: Seen) -> Iterator[Compared]:
    audience = cell.pair.audience
    seen = audience.events(body)
    if wanted.ending is Ending.WHOLE:
        yield "finish reasons", audience.finishes(seen), [audience.finish]
        marked = [audience.last(event) for event in seen]
        yield "last words", sum(marked), int(wanted.finished and audience.has_last)
        yield "behind the last words", not any(marked[:-1]), True
        yield "content", bool(audience.text(seen)), True
        yield "error events", [event for event in seen if audience.error(event)], []
        yield "answers", audience.answers(seen), 1
        return
    yield "finish reasons", audience.finishes(seen), [audience.finish] if wanted.finish_told else []
    yield "last words", any(audience.last(event) for event in seen), False
    yield "ends with a whole event", body.endswith(b"\n\n"), True
    if not cell.what.early:
        yield from _of_words(audience.text(seen), cell)
    yield from _of_error(seen[-1] if seen else None, cell, wanted)


def _of_words(text: str, cell: Cell) -> Iterator[Compared]:
    """What went on is a prefix of what was sent; of a short script it is all of it."""
    yield "content is a prefix", (WORD * (len(text) // len(WORD) + 1)).startswith(text) and text != "", True
    if cell.what.clocks != "short":
        yield "content", text, WORD * WORDS


def _of_error(body: Any, cell: Cell, wanted: Seen) -> Iterator[Compared]:
    pair, audience = cell.pair, cell.pair.audience
    error = audience.error(body)
    if error is None:
        yield "error object", body, "an object"
    elif wanted.said is not None and pair.crosses:
        # Said again in other words, but for what it says to people.
        yield "the upstream's message", CANARY in error.get("message", ""), True
    elif wanted.said is not None:
        yield "the upstream's words", error, audience.error(_as_it_came(cell, wanted))
    else:
        yield "members of the error", audience.members - set(error), set()
        code = wanted.code or ""
        yield "code", audience.named(error), audience.code(code, audience.status(code, STATUSES[code]))
        yield "the upstream's words", CANARY in json.dumps(error), False


def _as_it_came(cell: Cell, wanted: Seen) -> Any:
    said, tongue = {"error": wanted.said}, cell.pair.tongue
    if wanted.ending is Ending.ERROR and (cell.what.phase is not Phase.BEGUN or cell.what.way is Way.PLAIN):
        return tongue.error(said)
    (event,) = events((tongue.error_event(said) or "").encode())
    return event


def _of_calls(observation: Observation) -> Iterator[Compared]:
    cell = observation.cell
    first, second = cell.calls
    turns, well = cell.what.requests, cell.what.well
    yield "requests accepted at the first target", len(observation.first), first * turns + well
    yield "requests accepted at the second target", len(observation.second), second * turns
    told = observation.timed.reply.headers.get("x-fastroute-attempts", "0")
    if cell.what.upstream in SCRIPTED and turns + well == 1 and not cell.what.early:
        yield "attempts told and accepted", int(told), len(observation.first) + len(observation.second)


def _of_entries(observation: Observation) -> Iterator[Compared]:
    """The journal tells the attempts that the table expects, and the upstream was told the same ones."""
    cell, entries = observation.cell, observation.entries
    yield (
        "on record",
        [(entry.state, entry.failure) for entry in entries],
        [(record.state.value, record.kind) for record in cell.records],
    )
    yield "ordinals on record", [entry.ordinal for entry in entries], list(range(1, len(entries) + 1))
    if cell.what.upstream in SCRIPTED and cell.what.requests + cell.what.well == 1:
        rows = [*observation.first, *observation.second]
        named = {row["headers"].get("x-fastroute-attempt") for row in rows}
        yield "attempts named to the upstream", named, {entry.attempt for entry in entries}


def _object(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body[:80]
