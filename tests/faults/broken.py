"""Faults of an answer that began: it falls silent or breaks off.

One rule: before content they are nobody's business, after it the client is told and nothing is made up. One surprise:
a plain reply of more than 64 KiB has begun for the client too; it then ends so that its breaking off can be seen.
"""

from faults.answer import BROKEN, TRUNCATED, begun, delivered, failed, fault, in_band, otherwise
from faults.fault import WHOLE, Case, Ending, Fault, Phase, Record, Seen, State, Way
from faults.script import (
    CUT_AT,
    EVENTS,
    LAST,
    LONG,
    REPLY,
    SETTLE,
    THREE,
    WORD,
    chunk,
    cut,
    send,
    status,
    torn_completion,
    words,
)

ROLE = 60
"""Bytes of a body: within its first event."""
TORN = words(lambda tongue: tongue.content("wo").rpartition("wo")[0] + "wo")
UNTOLD = "Before content another target answers. After it: an error event, no finish reason and no `[DONE]`."

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
        delivered(
            (*FINISHED, "stall"),
            UNMARKED,
            None,
            clocks="quiet",
            unmarked=otherwise(in_band("upstream_stalled", finish_told=True), "stalled"),
        ),
    ),
    fault(
        "reset-after-the-finish",
        "The answer is reset after its finish reason",
        AT_ITS_END,
        delivered(
            (*FINISHED, SETTLE, "reset"),
            UNMARKED,
            None,
            unmarked=otherwise(in_band("upstream_truncated", finish_told=True), "truncated"),
        ),
    ),
    fault(
        "close-after-done",
        "The connection breaks after `[DONE]`",
        AT_ITS_END,
        delivered(
            (*FINISHED, send(LAST), "close"),
            WHOLE,
            None,
            unmarked=otherwise(in_band("upstream_truncated", finish_told=True), "truncated"),
        ),
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
        begun(Way.PLAIN, (status(200, torn_completion()),), TRUNCATED, "truncated", State.PARTIAL),
        delivered((EVENTS, send(chunk()), send(chunk(WORD), 3)), in_band("upstream_truncated"), "truncated"),
    ),
)

BROKEN_OFF = (*SILENCES, *ENDS, *BREAKS)
