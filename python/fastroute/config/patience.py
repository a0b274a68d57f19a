"""What a user may write about time: the clocks of connections, and what one request may spend.

One rule: these blocks are completed from `routing` as a file is read, so that a default stands here once.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct

# A day: longer than any reply and short enough that a value meant as milliseconds is noticed.
Seconds = Annotated[float, Meta(gt=0, le=86_400)]

Repeats = Annotated[int, Meta(ge=0, le=9)]
# Five minutes: nobody holds a request for longer to spare another target.
Wait = Annotated[float, Meta(ge=0, le=300)]

KeepAlive = Annotated[float, Meta(ge=0, le=86_400)]


class Timeouts(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Clocks of a provider's connections."""

    dns_timeout_s: Annotated[Seconds, Meta(description="Looking up the provider's name.")] = 2.0
    connect_timeout_s: Annotated[
        Seconds,
        Meta(
            description="TCP connect, all addresses together; also how long the other end may leave a request "
            "unconfirmed (Linux)."
        ),
    ] = 3.0
    tls_timeout_s: Annotated[Seconds, Meta(description="TLS handshake.")] = 5.0
    # Below 60 s and 75 s, where common load balancers drop idle connections.
    pool_idle_timeout_s: Annotated[Seconds, Meta(description="An unused connection is closed after this.")] = 45.0
    pool_max_age_s: Annotated[Seconds, Meta(description="A connection is replaced at this age, give or take 20 %.")] = (
        600.0
    )


class Patience(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What one request may spend: attempts and clocks."""

    attempts: Annotated[int, Meta(ge=1, le=10, description="Attempts per request over all targets.")] = 3
    ambiguous_retry: Annotated[
        Literal["once", "never"],
        Meta(description="Whether a request that may have been carried out is tried again, at another target."),
    ] = "once"
    same_target_retries: Annotated[
        Repeats | None,
        Meta(
            description="How often a target is tried again before another one; null: not while there is another, "
            "else once.",
        ),
    ] = None
    wait_retry_after_s: Annotated[
        Wait | None,
        Meta(
            description="How long a target that named a wait is waited for before another one is tried; null: not "
            "while there is another, else up to 5.",
        ),
    ] = None
    retry_ratio: Annotated[
        float,
        Meta(ge=0, le=10, description="Further attempts that a request pays for, on average over all of this model."),
    ] = 0.1
    ttft_timeout_s: Annotated[
        Seconds, Meta(description="Time to the first content of a stream, all attempts together.")
    ] = 120.0
    ttft_soft_timeout_s: Annotated[
        Seconds | None,
        Meta(
            description="Time to the first content of a stream before another target is tried instead; null: three "
            "times what 95 of 100 streams of the target needed in the last five minutes, at least 15 and at most 60, "
            "and 60 while fewer than 50 are known.",
        ),
    ] = None
    hedge_after_s: Annotated[
        Seconds | None,
        Meta(
            description="Time to the first content of a stream before another target is asked beside the slow one, for "
            "one in twenty requests at most; the first to answer wins. Null: never."
        ),
    ] = None
    retry_empty: Annotated[
        bool, Meta(description="Take a reply without any content for a failure, so that another target is tried.")
    ] = False
    keep_alive_s: Annotated[
        KeepAlive,
        Meta(
            description="Silence towards the client of a stream before it gets comments, each half of that after the "
            "one before; 0: none. With the first one the status is out, and later errors come as events."
        ),
    ] = 30.0
    idle_timeout_s: Annotated[Seconds, Meta(description="Silence within a stream; a comment ends the silence.")] = 30.0
    content_idle_timeout_s: Annotated[
        Seconds, Meta(description="Time without content within a stream; a comment does not count.")
    ] = 120.0
    total_timeout_s: Annotated[Seconds, Meta(description="A whole request that is not streamed.")] = 600.0
    stream_total_timeout_s: Annotated[Seconds, Meta(description="A whole streamed request.")] = 1_800.0
