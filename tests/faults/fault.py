"""The words of the fault table: what an upstream does wrong, when, and what then must be seen on every side.

One rule: a case says everything that follows from its fault, so that test, page and journal are read from one place.
One surprise: most cases say only what a client sees when nobody else can answer; with a second target the rest follows.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Any

from msgspec import Struct


class Phase(StrEnum):
    """How far an attempt had come."""

    UNWRITTEN = "A"
    """Nothing of the request was on the wire."""
    WRITTEN = "B"
    """The request was written and no answer began."""
    BEGUN = "C"
    """An answer began, and no content of it went to the client."""
    DELIVERED = "D"
    """Content went to the client: nothing can be taken back."""


class Way(StrEnum):
    STREAM = "stream"
    PLAIN = "plain"


BOTH = (Way.STREAM, Way.PLAIN)
STREAM = (Way.STREAM,)
PLAIN = (Way.PLAIN,)


class Ending(StrEnum):
    """What the client holds in the end."""

    WHOLE = "whole"
    """A complete reply."""
    ERROR = "error"
    """An error instead of a reply."""
    IN_BAND = "in-band"
    """Content, then an error event, no finish and no `[DONE]`."""
    BROKEN = "broken"
    """A plain reply that can be told to be incomplete: the transport breaks off."""


class State(StrEnum):
    """What became of an attempt, as the journal puts it."""

    COMPLETE = "complete"
    PARTIAL = "partial"
    REFUSED = "refused"
    UNKNOWN = "unknown"
    CANCELLED = "cancelled"


class Record(Struct, frozen=True):
    """One attempt in the journal: its state, and the kind of its failure if it failed."""

    state: State
    kind: str | None = None


class Seen(Struct, frozen=True, kw_only=True):
    """What a client sees."""

    ending: Ending
    status: int
    code: str | None = None
    """`error.code`, in the body or in the last event. None: not looked at, because the upstream's words are."""
    said: Any = None
    """The upstream's own error object, where it goes on as it came."""
    retry: bool = False
    """`x-should-retry`; where it is true, `retry-after` is within `wait_s`."""
    wait_s: tuple[int, int] = (0, 0)
    upstream_status: int | None = None
    """`x-fastroute-upstream-status`."""
    finished: bool = True
    """Of a whole stream: the last words of the dialect are there."""
    finish_told: bool = False
    """The failure came behind the finish, which is no end in this dialect."""


WHOLE = Seen(ending=Ending.WHOLE, status=200)


class Upstream(StrEnum):
    """Where a faulty target lives."""

    MOCK = "mock"
    """Each of its connections serves one request, so that nobody meets one that was used before."""
    KEPT = "kept"
    """The same, and its connections are kept."""
    REFUSING = "refusing"
    """A port that nobody listens on."""
    BLACKHOLE = "blackhole"
    """A port whose queue is full: no packet is answered."""
    NAMELESS = "nameless"
    """A name without an address."""
    PLAINTEXT = "plaintext"
    """A server without TLS behind an https address."""


SCRIPTED = (Upstream.MOCK, Upstream.KEPT)


class Otherwise(Struct, frozen=True):
    """What is seen instead where dialects differ."""

    alone: Seen
    record: Record


class Case(Struct, frozen=True, kw_only=True):
    """A fault in one phase, for streams or plain requests."""

    phase: Phase
    way: Way
    steps: Sequence[Any] = ()
    """What the scripted upstream does."""
    alone: Seen
    """What the client sees when there is no other target."""
    record: Record
    """The failed attempt."""
    record_alone: Record | None = None
    """The same where there is no other target, if that makes a difference."""
    elsewhere: bool = False
    """Another target answers in its place, and the client sees a whole reply."""
    tries: int = 1
    """Attempts at the one target there is."""
    upstream: Upstream = Upstream.MOCK
    clocks: str = "patient"
    """Which of the driver's sets of clocks the route has."""
    early: bool = False
    """The client has waited so long that a comment took the status out: nothing but events can tell it anything."""
    requests: int = 1
    """Requests one after the other on one connection; each must be seen as described."""
    well: int = 0
    """Requests before them that the upstream answers well."""
    rest_s: float = 0
    """Between one request and the next."""
    crossed: Otherwise | None = None
    """Where the upstream speaks another dialect than the client."""
    unmarked: Otherwise | None = None
    """Where the upstream's dialect has no end but that of its body."""
    chat_only: bool = False
    """Other dialects have nothing of the kind."""

    @property
    def calls(self) -> int:
        """Requests that the faulty upstream accepts per request when it is alone."""
        return self.tries if self.upstream in SCRIPTED else 0


class Fault(Struct, frozen=True, kw_only=True):
    """One way to fail."""

    name: str
    title: str
    """What happens, as a reader of the page would say it."""
    rule: str
    """What the gateway does about it, and why."""
    cases: tuple[Case, ...]
