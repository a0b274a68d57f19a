"""Faults of the way there: no connection, none in time, or one that breaks before an answer began.

One rule: what was never written may be tried anywhere; what was written and not answered is tried once more, elsewhere.
"""

from faults.fault import BOTH, STREAM, WHOLE, Case, Ending, Fault, Phase, Record, Seen, State, Upstream, Way
from faults.script import KEPT, SETTLE, raw


def failed(status: int, code: str) -> Seen:
    return Seen(ending=Ending.ERROR, status=status, code=code)


def unreachable(name: str, title: str, rule: str, *, upstream: Upstream, kind: str, alone: Seen) -> Fault:
    cases = [
        Case(
            phase=Phase.UNWRITTEN,
            way=way,
            alone=alone,
            record=Record(State.REFUSED, kind),
            elsewhere=True,
            tries=1 if upstream is Upstream.PLAINTEXT else 2,
            upstream=upstream,
        )
        for way in BOTH
    ]
    return Fault(name=name, title=title, rule=rule, cases=tuple(cases))


RESTED_S = 1.2
"""Longer than servers leave a connection that they are about to close."""
NOTHING_SENT = "Nothing was sent, so nothing can have been done twice: the next target answers."
ANSWERLESS = "The work may have been done and billed: once more, elsewhere, never at the same target."
UNREACHABLE = failed(503, "upstream_unreachable")
NO_ANSWER = failed(502, "upstream_error")
LATE = failed(504, "upstream_timeout")


def written(name: str, title: str, *steps: object, alone: Seen = NO_ANSWER, kind: str = "reset") -> Fault:
    cases = [
        Case(
            phase=Phase.WRITTEN,
            way=way,
            steps=steps,
            alone=alone,
            record=Record(State.UNKNOWN, kind),
            elsewhere=True,
        )
        for way in BOTH
    ]
    return Fault(name=name, title=title, rule=ANSWERLESS, cases=tuple(cases))


TRANSPORT = (
    unreachable(
        "refused", "Connection refused", NOTHING_SENT, upstream=Upstream.REFUSING, kind="refused", alone=UNREACHABLE
    ),
    unreachable(
        "connect-blackhole",
        "No answer to the connect",
        NOTHING_SENT,
        upstream=Upstream.BLACKHOLE,
        kind="connect_timeout",
        alone=UNREACHABLE,
    ),
    unreachable(
        "no-address", "The name has no address", NOTHING_SENT, upstream=Upstream.NAMELESS, kind="dns", alone=UNREACHABLE
    ),
    unreachable(
        "no-tls",
        "The TLS handshake fails",
        "Another target answers; never plaintext, never without verification.",
        upstream=Upstream.PLAINTEXT,
        kind="tls",
        alone=failed(502, "upstream_tls"),
    ),
    Fault(
        name="closed-while-idle",
        title="A connection that rested turns out to be closed when it is used again",
        rule=(
            "It was unused for a second, and ended within 250 ms without a byte, most likely before it was read: sent "
            "again on a fresh one as the same attempt, but not where `ambiguous_retry` is `never`. One that ends later "
            "may have had the request."
        ),
        cases=tuple(
            Case(
                phase=Phase.UNWRITTEN,
                way=way,
                steps=KEPT,
                alone=WHOLE,
                record=Record(State.COMPLETE),
                requests=3,
                rest_s=RESTED_S,
                upstream=Upstream.KEPT,
            )
            for way in BOTH
        ),
    ),
    Fault(
        name="reset-at-once-when-used-again",
        title="Reset after the request was written on a connection that was in use just before",
        rule=ANSWERLESS,
        cases=tuple(
            Case(
                phase=Phase.WRITTEN,
                way=way,
                steps=("reset",),
                alone=NO_ANSWER,
                record=Record(State.UNKNOWN, "reset"),
                elsewhere=True,
                well=1,
                upstream=Upstream.KEPT,
            )
            for way in BOTH
        ),
    ),
    written("reset-without-an-answer", "Reset after the request was written", "reset"),
    written("closed-without-an-answer", "Closed after the request was written", "close"),
    written("half-a-head", "Closed in the middle of the head", raw("HTTP/1.1 200 OK\r\ncontent-ty"), SETTLE, "close"),
    written(
        "no-http",
        "An answer that is no HTTP",
        raw("SSH-2.0-OpenSSH_9.2\r\n"),
        "close",
        alone=failed(502, "upstream_malformed"),
        kind="malformed",
    ),
    Fault(
        name="slow-first-token",
        title="No content before the soft limit",
        rule="Streams only. Another target in service is asked, and the first let go once that has not failed at once. "
        "Where there is no other, or no budget for it, the hard limit holds.",
        cases=(
            Case(
                phase=Phase.WRITTEN,
                way=Way.STREAM,
                steps=("stall",),
                alone=LATE,
                record=Record(State.CANCELLED, "first_token_soft"),
                record_alone=Record(State.UNKNOWN, "first_token_hard"),
                elsewhere=True,
                clocks="hasty",
            ),
            Case(
                phase=Phase.BEGUN,
                way=Way.STREAM,
                steps=({"events": {"count": 0}}, "stall"),
                alone=LATE,
                record=Record(State.CANCELLED, "first_token_soft"),
                record_alone=Record(State.UNKNOWN, "first_token_hard"),
                elsewhere=True,
                clocks="hasty",
            ),
        ),
    ),
    Fault(
        name="silence-behind-comments",
        title="No content for so long that the client gets comments",
        rule="A comment takes status 200 out and no content: other targets are asked all the same, and what nobody can "
        "mend is told as an event.",
        cases=(
            Case(
                phase=Phase.WRITTEN,
                way=Way.STREAM,
                steps=("stall",),
                alone=Seen(ending=Ending.IN_BAND, status=200, code="upstream_timeout"),
                record=Record(State.CANCELLED, "first_token_soft"),
                record_alone=Record(State.UNKNOWN, "first_token_hard"),
                elsewhere=True,
                clocks="chatty",
                early=True,
            ),
        ),
    ),
    Fault(
        name="late-first-token",
        title="First content between the soft and the hard limit",
        rule="Another target is asked and the first let go. Where there is no other, it is waited for.",
        cases=(
            Case(
                phase=Phase.BEGUN,
                way=Way.STREAM,
                steps=({"reply": {"first_ms": 1400}},),
                alone=WHOLE,
                record=Record(State.CANCELLED, "first_token_soft"),
                record_alone=Record(State.COMPLETE),
                elsewhere=True,
                clocks="hasty",
            ),
        ),
    ),
    Fault(
        name="total-deadline",
        title="No end before the total limit",
        rule="One deadline is shared by all attempts: when it is over nobody else is asked.",
        cases=(
            *(
                Case(
                    phase=Phase.WRITTEN,
                    way=way,
                    steps=("stall",),
                    alone=LATE,
                    record=Record(State.UNKNOWN, "total_timeout"),
                    clocks="short",
                )
                for way in BOTH
            ),
            Case(
                phase=Phase.BEGUN,
                way=STREAM[0],
                steps=({"comments": {"count": 1000, "every_ms": 100}},),
                alone=LATE,
                record=Record(State.UNKNOWN, "total_timeout"),
                clocks="short",
            ),
            Case(
                phase=Phase.DELIVERED,
                way=STREAM[0],
                steps=({"events": {"count": 1000, "every_ms": 50, "text": "word "}},),
                alone=Seen(ending=Ending.IN_BAND, status=200, code="upstream_timeout"),
                record=Record(State.PARTIAL, "total_timeout"),
                clocks="short",
            ),
        ),
    ),
)
