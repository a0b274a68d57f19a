"""The values that Rust and Python exchange per request: small, frozen, shared by every layer.

The rule: no content in any of them, only shapes, sizes and times. The surprise: Rust builds these by position, so a
field added here is added in `rust/py/src/brain.rs` at the same place.
"""

from msgspec import Struct


class Facts(Struct, frozen=True, gc=False):
    """What is known of a request before anyone is called."""

    model: str
    """As the client spelled it."""
    dialect: str
    door: str
    stream: bool
    body_bytes: int
    text_bytes: int
    """Bytes of text in messages or inputs, for estimates."""
    messages: int
    tools: int
    media: int
    """Images, audio and files."""
    max_tokens: int | None


class Candidate(Struct, frozen=True, gc=False):
    """A target as it looks right now."""

    index: int
    """Place in `Table.targets`."""
    name: str
    """`provider/model`."""
    weight: int
    ttft_ms: float
    """Expected time to the first content, smoothed over the last seconds of traffic."""
    in_flight: int
    failures: int
    """Failures since the last success."""
    available: bool
    """False while the target rests after failures, or comes back slowly and was not drawn."""


class Plan(Struct, frozen=True, gc=False):
    """The answer to one request: targets in the order they are to be tried."""

    route: int
    generation: int
    targets: tuple[int, ...]
    may_lead: int
    """How many of them, from the first, are in service; the rest stand by in case these fail."""
    probe: bool = False
    """The first target rested and this request tries it: what comes of it is to be told at once."""
    standing: bool = False
    """Every request for this model is told the same until something fails, so the engine need not ask for each."""
    once: bool = False
    """It is for one request alone: its lead comes back slowly and was drawn for it. While answers are late, the engine
    does not go on with it."""


class Refusal(Struct, frozen=True, gc=False):
    """The other answer: nobody is called."""

    status: int
    code: str
    message: str
    param: str | None = None
    retry_after_s: int | None = None
    """When the same request may be answered again, as far as is known."""


class Attempt(Struct, frozen=True, gc=False):
    """One try at one target. Times in microseconds, `started_us` from the start of the exchange."""

    target: int
    started_us: int
    first_content_us: int | None
    """From the start of the attempt; None when no content came."""
    took_us: int
    failure: str | None
    blamed: bool
    """The failure says something about the target (not about the request or the client)."""
    retry_after_ms: int | None


class Usage(Struct, frozen=True, gc=False):
    """Tokens as the upstream reported them, brought to one invariant: prompt holds cache reads and writes."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    cached_tokens: int
    cache_write_tokens: int
    reasoning_tokens: int


class Outcome(Struct, frozen=True):
    """What an exchange came to. Exactly one per exchange, whatever happened."""

    request_id: str
    generation: int
    route: int | None
    lead: int | None
    """First target of a plan that was made here for this request (and counted as in flight)."""
    decided_by: str | None
    """`policy`; `standing` for a plan of the policy that held for this request too; `snapshot`; None without a plan."""
    came: tuple[str, str, bool]
    """Door, dialect, stream."""
    status: int
    ending: str
    """`complete`, `refused`, `broken` or `client_gone`."""
    attempts: list[Attempt]
    """In the order in which they ended: the last is the one that was answered with."""
    usage: Usage | None
    code: str | None
    """Code of the failure the exchange ended with."""
    measures: tuple[int, int, int, int, int]
    """Start (ms since 1970), duration (µs), bytes in, bytes out, how long ago it ended (µs)."""
