"""Faults of an answer that is not what it should be: no reply, not framed as one, or without a measure.

One rule: what nobody could read the same way is nobody's answer, and its connection is not used again.
"""

from faults.answer import MALFORMED, MALFORMED_LATER, TRUNCATED, begun, delivered, failed, fault, in_band, otherwise
from faults.fault import BOTH, PLAIN, WHOLE, Case, Ending, Phase, Record, Seen, State, Way
from faults.script import (
    EVENTS,
    LAST,
    REPLY,
    SETTLE,
    THREE,
    WORD,
    chunk,
    completion,
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

HTML = "<!doctype html><title>Bad gateway</title>"
NO_REPLY = "Not a reply whatever its status says: once more, elsewhere."
UNSAFE = "No two readers would agree on where it ends: once more, elsewhere, and the connection is not used again."
HOSTILE = "No honest server sends it: once more, elsewhere, and the connection is not used again."

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
                send(LAST),
            ),
            WHOLE,
            None,
            crossed=otherwise(MALFORMED_LATER, "malformed"),
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
        begun(Way.PLAIN, (EVENTS, send(chunk(WORD)), send(LAST)), MALFORMED, "malformed"),
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
            chat_only=True,
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
        delivered(
            (raw(response(Way.STREAM, length=4_000)), "close"),
            WHOLE,
            None,
            unmarked=otherwise(in_band("upstream_truncated", finish_told=True), "truncated"),
        ),
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

NO_ANSWERS = (*NONSENSE, *FRAMING, *GIANTS, *EVENT_ERRORS)
