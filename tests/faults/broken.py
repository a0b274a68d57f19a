"""Faults of an answer that began: it falls silent, breaks off, or is not what it should be.

One rule: before content they are nobody's business, after it the client is told and nothing is made up. One surprise:
a plain reply of more than 64 KiB has begun for the client too; it then ends so that its breaking off can be seen.
"""

from typing import Any

from faults.fault import BOTH, PLAIN, STREAM, WHOLE, Case, Ending, Fault, Phase, Record, Seen, State, Way
from faults.script import (
    CUT_AT,
    EVENTS,
    LONG,
    REPLY,
    SETTLE,
    THREE,
    WORD,
    chunk,
    completion,
    cut,
    error,
    head,
    media,
    packed,
    padded,
    raw,
    response,
    send,
    status,
    wordless,
)

BROKEN = Seen(ending=Ending.BROKEN, status=200)
HTML = "<!doctype html><title>Bad gateway</title>"


def failed(code: str, status: int = 502, upstream_status: int | None = None) -> Seen:
    return Seen(ending=Ending.ERROR, status=status, code=code, upstream_status=upstream_status)


def in_band(code: str) -> Seen:
    return Seen(ending=Ending.IN_BAND, status=200, code=code)


def begun(
    way: Way,
    steps: tuple[Any, ...],
    alone: Seen,
    kind: str,
    state: State = State.UNKNOWN,
    *,
    clocks: str = "patient",
    elsewhere: bool = True,
) -> Case:
    record = Record(state, kind)
    return Case(phase=Phase.BEGUN, way=way, steps=steps, alone=alone, record=record, elsewhere=elsewhere, clocks=clocks)


def delivered(
    steps: tuple[Any, ...], alone: Seen, kind: str | None, way: Way = Way.STREAM, *, clocks: str = "patient"
) -> Case:
    state = State.COMPLETE if alone.ending is Ending.WHOLE else State.PARTIAL
    record = Record(state, kind)
    return Case(phase=Phase.DELIVERED, way=way, steps=steps, alone=alone, record=record, clocks=clocks)


def fault(name: str, title: str, rule: str, *cases: Case) -> Fault:
    return Fault(name=name, title=title, rule=rule, cases=cases)


TRUNCATED = failed("upstream_truncated")
MALFORMED = failed("upstream_malformed")
ROLE = 60
"""Bytes of a body: within its first event."""
TORN = 'data: {"id":"c-1","choices":[{"index":0,"delta":{"content":"wo'
UNTOLD = "Before content another target answers. After it: an error event, no finish reason and no `[DONE]`."
NO_REPLY = "Not a reply whatever its status says: once more, elsewhere."
UNSAFE = "No two readers would agree on where it ends: once more, elsewhere, and the connection is not used again."

HOSTILE = "No honest server sends it: once more, elsewhere, and the connection is not used again."

SILENCES = (
    fault(
        "stall",
        "The answer falls silent",
        UNTOLD,
        begun(
            Way.STREAM,
            ({"events": {"count": 0}}, "stall"),
            failed("upstream_stalled", 504),
            "stalled",
            State.PARTIAL,
            clocks="quiet",
        ),
        begun(
            Way.PLAIN,
            (cut(100, "stall"), REPLY),
            failed("upstream_stalled", 504),
            "stalled",
            State.PARTIAL,
            clocks="quiet",
        ),
        delivered((THREE, "stall"), in_band("upstream_stalled"), "stalled", clocks="quiet"),
        delivered((cut(CUT_AT, "stall"), LONG), BROKEN, "stalled", Way.PLAIN, clocks="quiet"),
    ),
    fault(
        "comments-only",
        "Comments keep coming and content does not",
        "A comment ends a silence, but hides no dead generation: content has a clock of its own.",
        Case(
            phase=Phase.BEGUN,
            way=Way.STREAM,
            steps=({"comments": {"count": 1000, "every_ms": 50}},),
            alone=failed("upstream_timeout", 504),
            record=Record(State.CANCELLED, "first_token_soft"),
            record_alone=Record(State.UNKNOWN, "first_token_hard"),
            elsewhere=True,
            clocks="hasty",
        ),
        delivered(
            (THREE, {"comments": {"count": 1000, "every_ms": 50}}),
            in_band("upstream_stalled"),
            "stalled",
            clocks="quiet",
        ),
    ),
)


FINISHED = (EVENTS, send(chunk()), send(chunk(WORD), 3), send(chunk(finish="stop")))
UNMARKED = Seen(ending=Ending.WHOLE, status=200, finished=False)
AT_ITS_END = (
    "The finish reason is the end: the reply is whole, whatever the connection does then. `[DONE]` is not made up."
)

ENDS = (
    fault("no-done", "`[DONE]` is missing after the finish reason", AT_ITS_END, delivered(FINISHED, UNMARKED, None)),
    fault(
        "silence-after-the-finish",
        "The answer falls silent after its finish reason",
        AT_ITS_END,
        delivered((*FINISHED, "stall"), UNMARKED, None, clocks="quiet"),
    ),
    fault(
        "reset-after-the-finish",
        "The answer is reset after its finish reason",
        AT_ITS_END,
        delivered((*FINISHED, SETTLE, "reset"), UNMARKED, None),
    ),
    fault(
        "close-after-done",
        "The connection breaks after `[DONE]`",
        AT_ITS_END,
        delivered((*FINISHED, send("data: [DONE]\n\n"), "close"), WHOLE, None),
    ),
)


def breaking(name: str, title: str, how: str) -> Fault:
    return fault(
        name,
        title,
        UNTOLD,
        begun(Way.STREAM, (cut(ROLE, how), REPLY), TRUNCATED, "truncated", State.PARTIAL),
        begun(Way.PLAIN, (cut(100, how), REPLY), TRUNCATED, "truncated", State.PARTIAL),
        delivered((THREE, SETTLE, how), in_band("upstream_truncated"), "truncated"),
        delivered((cut(CUT_AT, how), LONG), BROKEN, "truncated", Way.PLAIN),
    )


BREAKS = (
    breaking("cut", "The answer ends in the middle", "close"),
    breaking("reset", "The answer is reset in the middle", "reset"),
    fault(
        "cut-within-an-event",
        "The answer ends within an event",
        "The torn event does not go on: the client gets whole events, then the error.",
        begun(Way.STREAM, (EVENTS, send(TORN), "close"), TRUNCATED, "truncated", State.PARTIAL),
        delivered((THREE, send(TORN), "close"), in_band("upstream_truncated"), "truncated"),
    ),
    fault(
        "proper-end-without-a-finish",
        "The transport ends properly, and no finish reason was said",
        "A finish reason is never made up, however properly the connection ends.",
        begun(Way.STREAM, (EVENTS, send(chunk())), TRUNCATED, "truncated", State.PARTIAL),
        begun(Way.PLAIN, (status(200, completion()[:-40]),), TRUNCATED, "truncated", State.PARTIAL),
        delivered((EVENTS, send(chunk()), send(chunk(WORD), 3)), in_band("upstream_truncated"), "truncated"),
    ),
)

NONSENSE = (
    fault(
        "malformed-json",
        "An event that is no JSON",
        "Before content: once more, elsewhere. After it the event goes on as it came, and the stream with it.",
        begun(Way.STREAM, (EVENTS, send("data: {not json}\n\n")), MALFORMED, "malformed"),
        begun(Way.PLAIN, (status(200, '{"id":"x","choices":[}'),), MALFORMED, "malformed"),
        delivered(
            (
                EVENTS,
                send(chunk()),
                send(chunk(WORD), 3),
                send("data: {not json}\n\n"),
                send(chunk(finish="stop")),
                send("data: [DONE]\n\n"),
            ),
            WHOLE,
            None,
        ),
    ),
    fault(
        "malformed-events",
        "Lines that are no event stream",
        "What is no event is none: before content once more, elsewhere; after it the end is missing.",
        begun(Way.STREAM, (EVENTS, send("this is\nno stream\n\n")), MALFORMED, "malformed"),
        delivered((THREE, send("this is\nno stream\n\n")), in_band("upstream_truncated"), "truncated"),
    ),
    fault(
        "html",
        "A page with status 200",
        NO_REPLY,
        *(begun(way, (head("text/html"), send(HTML)), MALFORMED, "malformed") for way in BOTH),
    ),
    fault(
        "empty",
        "An empty answer with status 200",
        NO_REPLY,
        *(begun(way, (status(200, ""),), MALFORMED, "malformed") for way in BOTH),
        begun(Way.STREAM, (EVENTS, send("")), MALFORMED, "malformed"),
    ),
    fault(
        "wrong-media-type",
        "A plain reply where a stream was asked for, or the other way round",
        NO_REPLY,
        begun(Way.STREAM, (status(200, completion()),), MALFORMED, "malformed"),
        begun(Way.PLAIN, (EVENTS, send(chunk(WORD)), send("data: [DONE]\n\n")), MALFORMED, "malformed"),
    ),
    fault(
        "error-with-status-200",
        "An error object with status 200, without a name that says more",
        "Judged by what it says; where it says nothing it is the provider's failure. Once more, elsewhere.",
        *(
            begun(
                way,
                (status(200, error(None, "oops")),),
                failed("upstream_error", 502, 200),
                "upstream_error",
                State.REFUSED,
            )
            for way in BOTH
        ),
    ),
    fault(
        "no-content",
        "A proper reply without a word, where the route minds (`patience.retry_empty`)",
        "A route may call an empty reply a failure: once more, elsewhere. Other routes pass it on.",
        *(
            Case(
                phase=Phase.BEGUN,
                way=way,
                steps=(head(media(way)), send(wordless(way))),
                alone=MALFORMED,
                record=Record(State.UNKNOWN, "malformed"),
                elsewhere=True,
                clocks="minding",
            )
            for way in BOTH
        ),
    ),
    fault(
        "no-choices",
        "A reply without choices",
        "Passed on: some dialects of OpenAI's answer so on purpose.",
        Case(
            phase=Phase.BEGUN,
            way=Way.PLAIN,
            steps=(status(200, {"id": "x", "choices": []}),),
            alone=WHOLE,
            record=Record(State.COMPLETE),
        ),
    ),
)

FRAMING = (
    fault(
        "shorter-than-announced",
        "The body is shorter than its `content-length`",
        UNSAFE,
        *(
            begun(way, (raw(response(way, length=4_000)), "close"), TRUNCATED, "truncated", State.PARTIAL)
            for way in PLAIN
        ),
        # A stream that said its last word has lost nothing.
        *(delivered((raw(response(way, length=4_000)), "close"), WHOLE, None) for way in STREAM),
    ),
    fault(
        "longer-than-announced",
        "The body is longer than its `content-length`",
        "What is announced counts; the rest is never taken for the next answer.",
        begun(Way.PLAIN, (raw(response(Way.PLAIN, length=40)), "close"), TRUNCATED, "truncated", State.PARTIAL),
        begun(Way.STREAM, (raw(response(Way.STREAM, length=40)), "close"), MALFORMED, "malformed"),
    ),
    fault(
        "two-lengths",
        "`content-length` beside `transfer-encoding`",
        UNSAFE,
        *(
            begun(way, (head(media(way), framing={"length_and_chunked": 10}), REPLY), MALFORMED, "malformed")
            for way in BOTH
        ),
    ),
    fault(
        "different-lengths",
        "Two `content-length` that differ",
        UNSAFE,
        *(begun(way, (raw(response(way, "content-length: 7")), "close"), MALFORMED, "malformed") for way in BOTH),
    ),
    fault(
        "bad-chunk",
        "A chunk whose size is no number",
        UNSAFE,
        *(
            begun(way, (head(media(way), framing="chunked"), send(" "), raw("zz\r\n"), "close"), MALFORMED, "malformed")
            for way in BOTH
        ),
        delivered((THREE, SETTLE, raw("zz\r\n"), "close"), in_band("upstream_malformed"), "malformed"),
    ),
    fault(
        "giant-header",
        "A header of a megabyte",
        HOSTILE,
        *(begun(way, (*padded(way, "x-long: ", "a" * 1024, 1024), "close"), MALFORMED, "malformed") for way in BOTH),
    ),
    fault(
        "many-headers",
        "5,000 headers",
        HOSTILE,
        *(begun(way, (*padded(way, "", "x-many: a\r\n", 5_000), "close"), MALFORMED, "malformed") for way in BOTH),
    ),
    fault(
        "many-interim-answers",
        "A hundred interim answers before the real one",
        HOSTILE,
        *(
            begun(
                way, (raw("HTTP/1.1 103 Early Hints\r\n\r\n", 100), raw(response(way)), "close"), MALFORMED, "malformed"
            )
            for way in BOTH
        ),
    ),
    fault(
        "compressed",
        "A compressed answer although none was asked for",
        NO_REPLY,
        *(
            begun(way, (head(media(way), headers={"content-encoding": "gzip"}), packed(way)), MALFORMED, "malformed")
            for way in BOTH
        ),
    ),
)

GIANTS = (
    fault(
        "endless-event",
        "An event without an end",
        "One event may have 1 MiB; then the upstream is let go.",
        begun(
            Way.STREAM,
            (EVENTS, send("data: " + "a" * 1000), send("a" * 1000, 2_000)),
            failed("response_too_large"),
            "response_too_large",
            State.PARTIAL,
            elsewhere=False,
        ),
        delivered(
            (THREE, send("data: " + "a" * 1000), send("a" * 1000, 2_000)),
            in_band("response_too_large"),
            "response_too_large",
        ),
    ),
    fault(
        "giant-reply",
        "A plain reply of 100 MiB, announced",
        "More than a door may carry (granian's 16 MiB, the edge door 64 MiB): said at once, the upstream is let go.",
        begun(
            Way.PLAIN,
            (head("application/json", framing={"length": 100 << 20}), send(completion()), "stall"),
            failed("response_too_large"),
            "response_too_large",
            State.PARTIAL,
            elsewhere=False,
        ),
    ),
)

EVENT_ERRORS = (
    fault(
        "error-event-first",
        "An error event before content",
        "It stands in place of a status and is judged like one.",
        begun(
            Way.STREAM,
            ({"events": {"count": 0}}, {"error_event": {"data": error("oops", "server_error")}}),
            failed("upstream_error", 502, 200),
            "upstream_error",
            State.REFUSED,
        ),
    ),
    fault(
        "error-event-later",
        "An error event after content",
        "It goes on in the upstream's words, and ends the stream; keys and accounts are not spoken of.",
        delivered(
            (THREE, {"error_event": {"data": error("oops", "server_error")}}),
            Seen(ending=Ending.IN_BAND, status=200, said=error("oops", "server_error")["error"]),
            "upstream_error",
        ),
    ),
)

BROKEN_ANSWERS = (*SILENCES, *ENDS, *BREAKS, *NONSENSE, *FRAMING, *GIANTS, *EVENT_ERRORS)
