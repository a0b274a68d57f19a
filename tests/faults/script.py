"""Pieces of upstream scripts that the fault table is put together from.

One rule: what the upstream says in words is known here, so that a test can tell a prefix of it from an invention.
"""

import base64
import gzip
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from faults.fault import Way
from faults.tongue import CHAT, Tongue

CANARY = "canary-of-the-upstream-error"
"""Stands in every error an upstream words itself."""
WORD = "word "
WORDS = 3
THREE = {"events": {"count": WORDS, "text": WORD}}
"""Three content events."""
SETTLE = {"delay": {"ms": 250}}
"""Before a reset: what was sent must have been read, or the kernel throws it away with the connection."""
REPLY = {"reply": {}}
KEPT = (REPLY, {"snub": {"after_ms": 1_005}})
"""A reply on a connection that is dead after a rest of a second, when the gateway no longer trusts it either."""
LONG_BYTES = 400_000
"""A plain reply that commits before it ends."""
LONG = {"reply": {"bytes": LONG_BYTES}}
CUT_AT = 150_000


def error(code: str | int | None, kind: str, param: str | None = None) -> dict[str, Any]:
    """An error as OpenAI shapes it."""
    return {"error": {"message": f"about {CANARY}", "type": kind, "param": param, "code": code}}


def status(code: int, body: Any = None, **headers: str) -> dict[str, Any]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return {"status": {"code": code, "headers": named, **({} if body is None else {"body": body})}}


def head(content_type: str, **more: Any) -> dict[str, Any]:
    return {"head": {"content_type": content_type, **more}}


def send(text: str, repeat: int = 1) -> dict[str, Any]:
    return {"send": {"utf8": text, "repeat": repeat}}


def raw(text: str, repeat: int = 1) -> dict[str, Any]:
    return {"raw": {"utf8": text, "repeat": repeat}}


def cut(after_bytes: int, how: str = "close") -> dict[str, Any]:
    return {"cut": {"after_bytes": after_bytes, "of": "body", "how": how}}


EVENTS = head("text/event-stream")
"""The head of a stream."""


class Words(str):
    """A text as chat says it, which knows how upstreams of other dialects do."""

    __slots__ = ("said",)
    said: Callable[[Tongue], str]


def words(said: Callable[[Tongue], str]) -> Words:
    made = Words(said(CHAT))
    made.said = said
    return made


def chunk(content: str | None = None, finish: str | None = None) -> Words:
    """One event of a stream, as text on the wire. A finish is that of the table's three words, with chat's reason."""
    if finish:
        return words(lambda tongue: tongue.finish(WORD * WORDS).replace('"stop"', f'"{finish}"'))
    return words(lambda tongue: tongue.content(content) if content else tongue.opening)


LAST = words(lambda tongue: tongue.last)
"""What is said behind the finish: `[DONE]`, in chat."""


def completion(text: str = "a whole reply") -> Words:
    """A plain reply, as text."""
    return words(lambda tongue: tongue.reply(text))


def torn_completion() -> Words:
    """A plain reply that breaks off within a text."""
    return words(lambda tongue: tongue.reply("a whole reply").partition("a whole reply")[0] + "a wh")


def answer(way: Way) -> Words:
    """The body of a good answer."""
    return completion() if way is Way.PLAIN else words(lambda tongue: tongue.stream(WORD, WORDS))


def wordless(way: Way) -> Words:
    """The body of a proper answer that says nothing."""
    return completion("") if way is Way.PLAIN else words(lambda tongue: tongue.stream("", 0))


def media(way: Way) -> str:
    return "application/json" if way is Way.PLAIN else "text/event-stream"


def response(way: Way, *header_lines: str, body: str | None = None, length: int | None = None) -> Words:
    """A whole response as text on the wire, with these header lines beside its own."""

    def said(tongue: Tongue) -> str:
        text = answer(way).said(tongue) if body is None else body
        lines = [
            "HTTP/1.1 200 OK",
            f"content-type: {media(way)}",
            f"content-length: {len(text) if length is None else length}",
            *header_lines,
        ]
        return "\r\n".join([*lines, "", text])

    return words(said)


def padded(way: Way, start: str, filling: str, repeat: int) -> tuple[dict[str, Any], ...]:
    """A good answer with so much filling behind the start of a header line, as steps."""
    end = "" if filling.endswith("\r\n") else "\r\n"
    head_of = words(lambda tongue: response(way).said(tongue).partition("\r\n\r\n")[0] + f"\r\n{start}")
    rest = words(lambda tongue: f"{end}\r\n" + response(way).said(tongue).partition("\r\n\r\n")[2])
    return raw(head_of), raw(filling, repeat), raw(rest), {"delay": {"ms": 20}}


def packed(way: Way) -> dict[str, Any]:
    """The body of a good answer, compressed, as a step."""

    def said(tongue: Tongue) -> str:
        return base64.b64encode(gzip.compress(answer(way).said(tongue).encode(), mtime=0)).decode()

    return {"send": {"base64": words(said)}}


LONGEST_SCRIPT = 40
"""Events of a pace that a case is over before."""


def spoken(steps: Sequence[Any], tongue: Tongue, way: Way) -> list[Any] | None:
    """What an upstream of this dialect does; None where the dialect has no word for it."""
    if tongue is CHAT:
        return list(steps)
    said: list[Any] = []
    for step in steps:
        match step:
            case {"events": events}:
                said += _events(tongue, **events)
            case {"reply": reply}:
                said += _reply(tongue, way, headed(said), **reply)
            case {"error_event": {"data": error}} if (event := tongue.error_event(error)) is not None:
                said += [*headed(said), send(event)]
            case {"error_event": _}:
                return None
            case {"status": {"code": 200, "body": {"error": _} as body}} if tongue.error_event(body) is None:
                return None
            case {"status": {"body": {"error": _} as body, **more}}:
                # Some bodies are not worded as an error of the table is.
                said.append({"status": {**more, "body": tongue.error(body) if "type" in body["error"] else body}})
            case _:
                said.append(_spoken(step, tongue))
    return said


def headed(said: Sequence[Any]) -> list[Any]:
    """The head that is still to be said."""
    return [] if any("head" in step for step in said) else [EVENTS]


def _events(tongue: Tongue, count: int, text: str = WORD, every_ms: int = 0) -> Iterator[Any]:
    yield from (EVENTS, send(tongue.opening))
    pause = [{"delay": {"ms": every_ms}}] if every_ms else []
    for _ in range(min(count, LONGEST_SCRIPT)):
        yield from (send(tongue.content(text)), *pause)


def _reply(tongue: Tongue, way: Way, head: Sequence[Any], first_ms: int = 0, **size: int) -> Iterator[Any]:
    """What a well-behaved server says; of a length that is known, so that the answer ends where it does."""
    if way is Way.PLAIN:
        yield status(200, tongue.reply("x" * size.get("bytes", 100)))
    elif first_ms:
        yield from (*head, send(tongue.opening), {"delay": {"ms": first_ms}})
        yield send(tongue.stream(WORD, WORDS).removeprefix(tongue.opening))
    else:
        yield from (*head, status(200, tongue.stream(WORD, WORDS)))


def _spoken(value: Any, tongue: Tongue) -> Any:
    if isinstance(value, Words):
        return value.said(tongue)
    if isinstance(value, dict):
        return {name: _spoken(inner, tongue) for name, inner in value.items()}
    return value
