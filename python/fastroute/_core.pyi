"""Types of the extension module."""

from typing import Any, Literal, final

__version__: str
__file__: str
FIELDS: list[tuple[str, str]]
"""The values of `fastroute.facts` that Rust builds, and the fields of each in the order they are filled in."""
DEBUG_BUILD: bool
WATCHDOG_SIGNAL: int

class JsonError(ValueError):
    """A body that is no request. Arguments: message, kind, offset in bytes, JSON pointer."""

class SseError(ValueError):
    """A stream that passed a limit."""

@final
class Scan:
    """What a request body says, without its content."""

    @property
    def model(self) -> str | None: ...
    @property
    def stream(self) -> bool | None: ...
    @property
    def include_usage(self) -> bool | None: ...
    @property
    def max_tokens(self) -> int | None: ...
    @property
    def n(self) -> int | None: ...
    @property
    def messages(self) -> int: ...
    @property
    def tools(self) -> int: ...
    @property
    def inputs(self) -> int: ...
    @property
    def text_bytes(self) -> int: ...

def scan(body: bytes, shape: str = "chat") -> Scan:
    """Scan a request body; `shape` is `chat`, `embeddings` or `any`. Raises JsonError."""

@final
class SseEvent:
    """One event: its name (empty for `message`), data and last event id."""

    @property
    def event(self) -> str: ...
    @property
    def data(self) -> bytes: ...
    @property
    def id(self) -> str: ...

@final
class SseParser:
    """Events from any chunking of a stream. Limits in bytes."""

    def __new__(cls, line_bytes: int = 1_048_576, event_bytes: int = 1_048_576) -> SseParser: ...
    def feed(self, chunk: bytes) -> list[SseEvent]:
        """Events that this chunk completes. Raises SseError past a limit."""
    def end(self) -> list[SseEvent]:
        """The last event, where the stream ended without its blank line."""

@final
class TokenCount:
    @property
    def tokens(self) -> int: ...
    @property
    def exact(self) -> bool: ...

def count_tokens(model: str, text: str) -> TokenCount:
    """Tokens of a text for a model; exact where the vocabulary is public and the text not too long."""

@final
class Request:
    """A request of granian's door whose body is being read."""

    @property
    def length(self) -> int | None: ...
    def feed(self, chunk: bytes) -> bool: ...
    def fail(self, why: Literal["late", "stopping", "broken"]) -> None: ...
    def run(self) -> Any: ...

@final
class NextTable:
    """A table compiled aside, on whatever thread; it can be swapped in once."""

    def __new__(cls, table: bytes) -> NextTable: ...

@final
class Engine:
    """The engine: I/O threads, upstream pools, the edge door."""

    def __new__(
        cls,
        event_loop: Any,
        table: bytes,
        bounds: bytes,
        threads: int,
        gateway: Any,
        values: Any,
        journal: bytes | None = None,
    ) -> Engine: ...
    def serve(self, descriptor: int) -> None: ...
    def serve_admin(self, descriptor: int) -> None: ...
    def swap(self, table: NextTable) -> None: ...
    def refused(self) -> None: ...
    def unready(self) -> None: ...
    def stop(self) -> None: ...
    def end(self) -> None: ...
    def in_flight(self) -> int: ...
    def open_replies(self) -> int: ...
    def unsettled(self) -> int: ...
    def nudge(self) -> None: ...
    def metrics(self) -> str: ...
    def notices(self) -> list[tuple[bool, str]]: ...
    def close_journal(self) -> None: ...
    def tell_metrics(self, rows: str) -> None: ...
    def unasked(self, target: int) -> int: ...
    def overdue(self) -> bool: ...
    def bell(self) -> int: ...
    def unwatched(self, age_s: float) -> list[tuple[int, Any]]: ...
    def watched(self, number: int, task: Any) -> bool: ...
    def gone(self, number: int) -> None: ...
    def places(self) -> int: ...
    def open(self, protocol: Any, scope: Any, waits: bool) -> Request | None:
        """Raises BlockingIOError where a request that `waits` finds no place."""

def read_segment(segment: bytes) -> tuple[list[str], str, int]:
    """The records of a journal's segment as JSON lines, how its reading ended (`whole`, `torn`, `damaged`, `foreign`),
    and at which byte."""

def run_mock(listener: int, script: str, folder: str) -> None:
    """Serves a script (JSON) on a listening socket, which it takes over, until a signal. Raises ValueError for a script
    that does not make sense."""

def load_script(workload: str) -> str:
    """The script an upstream needs for a workload such as `W1`."""

def run_load(
    address: str,
    workload: str,
    *,
    model: str,
    path: str,
    headers: list[tuple[str, str]],
    rate: float | None,
    connections: int,
    warm_up_s: float,
    window_s: float,
) -> bytes:
    """Measures a workload against a loopback address; the report is JSON. With a rate (requests a second) the loop is
    open."""
