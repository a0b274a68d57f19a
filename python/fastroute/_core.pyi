"""Types of the extension module."""

from typing import Any, Literal, TypeAlias, final

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

def model_spellings(model: str) -> list[str]:
    """The names a model may be known by, the most particular first."""

def model_family(model: str) -> str:
    """Without what tells one snapshot of a model from another."""

DIALECTS: list[str]
"""Names of the dialects that can be translated."""

class DialectError(ValueError):
    """A document that its dialect does not know. Arguments: message, JSON pointer, parameter as OpenAI spells it."""

@final
class WayBack:
    """What was said otherwise in a request and comes back in other words: tools, free text, answers."""

@final
class Translated:
    """A request in another dialect."""

    @property
    def body(self) -> bytes: ...
    @property
    def dropped(self) -> list[str]:
        """What the target's dialect cannot say, as names and places, never values."""
    @property
    def changed(self) -> list[str]:
        """Places where the conversation was changed, because the target refuses it as it was."""
    @property
    def way_back(self) -> WayBack:
        """What the reply must be read with, for `translate_reply` or `StreamTranslator`."""
    @property
    def stream(self) -> bool:
        """The client wants a stream. Some dialects say so in the address and not in the body."""
    @property
    def include_usage(self) -> bool:
        """The client wants to hear the usage at the end of its stream."""
    @property
    def encoding(self) -> str | None:
        """In which encoding the client wants its vectors, if it said so: `float` or `base64`. For the reply."""
    @property
    def alone(self) -> bool:
        """The client asked for one vector and not for a list of them. For the reply."""

def translate_request(body: bytes, source: str, target: str) -> Translated:
    """Say a request of dialect `source` in dialect `target`. Raises DialectError for a body that is no request."""

def translate_reply(
    body: bytes,
    source: str,
    target: str,
    *,
    way_back: WayBack | None = None,
    reply_id: str = "",
    model: str = "",
    encoding: str | None = None,
    alone: bool = False,
) -> bytes:
    """Say a whole reply of the upstream's dialect `source` in the client's, `target`.

    `way_back`, `encoding` and `alone` are those of `Translated`; `reply_id` and `model` stand in where the upstream
    gave none, and a random id does where there is no `reply_id` either. The id of a reply gets the prefix that clients
    of `target` know, such as `msg_`. Raises DialectError for a body that is no reply; errors are read by `parse_error`.
    """

@final
class StreamTranslator:
    """An upstream's stream of dialect `source`, in any pieces, as the client's stream of dialect `target`.

    `reply_id` and `model` are those of `translate_reply`.
    """

    def __new__(
        cls,
        source: str,
        target: str,
        *,
        way_back: WayBack | None = None,
        include_usage: bool = True,
        reply_id: str = "",
        model: str = "",
    ) -> StreamTranslator: ...
    def push(self, chunk: bytes) -> bytes:
        """What these bytes mean to the client; often nothing."""
    def finish(self) -> bytes:
        """The upstream has closed. A stream that broke off ends with an error event and without a finish."""
    @property
    def ended(self) -> bool:
        """It has had its end, or an error in its place."""

@final
class ToolCall:
    @property
    def id(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def arguments(self) -> str:
        """JSON text as the model wrote it, valid or not."""

@final
class ReplyUsage:
    """Tokens: the prompt is everything read, cached or not; the completion everything generated, reasoning included."""

    @property
    def prompt_tokens(self) -> int: ...
    @property
    def completion_tokens(self) -> int: ...
    @property
    def total_tokens(self) -> int: ...
    @property
    def cached_tokens(self) -> int | None: ...
    @property
    def cache_write_tokens(self) -> int | None: ...
    @property
    def reasoning_tokens(self) -> int | None: ...

@final
class ReplyError:
    """An error as its sender worded it: it may quote keys or prompts."""

    @property
    def message(self) -> str: ...
    @property
    def kind(self) -> str | None: ...
    @property
    def code(self) -> str | None: ...
    @property
    def param(self) -> str | None: ...
    @property
    def status(self) -> int | None: ...

Finish: TypeAlias = Literal["stop", "length", "tool_calls", "content_filter", "error"]

@final
class ReplyChoice:
    @property
    def index(self) -> int: ...
    @property
    def text(self) -> str: ...
    @property
    def reasoning(self) -> str: ...
    @property
    def refusal(self) -> str: ...
    @property
    def tool_calls(self) -> list[ToolCall]: ...
    @property
    def finish(self) -> Finish | None:
        """None where the upstream did not say."""

@final
class ParsedReply:
    @property
    def id(self) -> str: ...
    @property
    def model(self) -> str: ...
    @property
    def choices(self) -> list[ReplyChoice]: ...
    @property
    def usage(self) -> ReplyUsage | None: ...

def parse_reply(body: bytes, dialect: str) -> ParsedReply:
    """What a whole reply says, as plain values. Raises DialectError.

    Tokens are brought to one invariant: `prompt_tokens` with cache reads and writes, `completion_tokens` with
    reasoning, `total_tokens` their sum. `finish` is `tool_calls` where a tool is called, also where the server says
    `stop`.
    """

def parse_error(body: bytes, dialect: str) -> ReplyError:
    """What an error says; a body that is no error object of the dialect becomes the message of a plain one."""

@final
class StreamEvent:
    """One thing that a stream says. `kind` tells which fields are filled.

    `start` (id, name: the model), `text`, `reasoning`, `refusal` (text), `tool_call` (call, id, name), `arguments`
    (call, text), `finish`, `usage`, `error`, `done`.
    """

    @property
    def kind(
        self,
    ) -> Literal[
        "start", "text", "reasoning", "refusal", "tool_call", "arguments", "finish", "usage", "error", "done"
    ]: ...
    @property
    def choice(self) -> int: ...
    @property
    def call(self) -> int | None:
        """Number of the call among those of its choice, from 0."""
    @property
    def text(self) -> str: ...
    @property
    def id(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def finish(self) -> Finish | None: ...
    @property
    def usage(self) -> ReplyUsage | None: ...
    @property
    def error(self) -> ReplyError | None: ...

@final
class StreamReader:
    """A stream of one dialect, in any pieces, as plain values."""

    def __new__(cls, dialect: str) -> StreamReader: ...
    def push(self, chunk: bytes) -> list[StreamEvent]:
        """What these bytes say. Raises DialectError for an event that is none of the dialect's."""
    def finish(self) -> list[StreamEvent]:
        """The stream is over; what its last bytes say. It was whole if each choice had its `finish`."""

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
