"""Pieces of upstream scripts that the fault table is put together from.

One rule: what the upstream says in words is known here, so that a test can tell a prefix of it from an invention.
"""

import base64
import gzip
import json
from typing import Any

from faults.fault import Way

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


def chunk(content: str | None = None, finish: str | None = None) -> str:
    """One event of a stream, as text on the wire."""
    delta = {"role": "assistant"} if content is None and finish is None else {"content": content} if content else {}
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return "data: " + json.dumps({"id": "c-1", "object": "chat.completion.chunk", "choices": [choice]}) + "\n\n"


def completion(text: str = "a whole reply") -> str:
    """A plain reply, as text."""
    message = {"role": "assistant", "content": text}
    choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
    return json.dumps({"id": "c-1", "object": "chat.completion", "model": "m", "choices": choices})


def answer(way: Way) -> str:
    """The body of a good answer."""
    if way is Way.PLAIN:
        return completion()
    return chunk() + chunk(WORD) * WORDS + chunk(finish="stop") + "data: [DONE]\n\n"


def wordless(way: Way) -> str:
    """The body of a proper answer that says nothing."""
    return completion("") if way is Way.PLAIN else chunk() + chunk(finish="stop") + "data: [DONE]\n\n"


def media(way: Way) -> str:
    return "application/json" if way is Way.PLAIN else "text/event-stream"


def response(way: Way, *header_lines: str, body: str | None = None, length: int | None = None) -> str:
    """A whole response as text on the wire, with these header lines beside its own."""
    body = answer(way) if body is None else body
    lines = [
        "HTTP/1.1 200 OK",
        f"content-type: {media(way)}",
        f"content-length: {len(body) if length is None else length}",
        *header_lines,
    ]
    return "\r\n".join([*lines, "", body])


def padded(way: Way, start: str, filling: str, repeat: int) -> tuple[dict[str, Any], ...]:
    """A good answer with so much filling behind the start of a header line, as steps."""
    head_of, _, body = response(way).partition("\r\n\r\n")
    end = "" if filling.endswith("\r\n") else "\r\n"
    return raw(f"{head_of}\r\n{start}"), raw(filling, repeat), raw(f"{end}\r\n{body}"), {"delay": {"ms": 20}}


def packed(way: Way) -> dict[str, Any]:
    """The body of a good answer, compressed, as a step."""
    return {"send": {"base64": base64.b64encode(gzip.compress(answer(way).encode(), mtime=0)).decode()}}
