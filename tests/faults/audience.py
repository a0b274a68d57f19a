"""What a client of each dialect asks, and what it hears in the answer.

One rule: it reads as the dialect's official client would, so that an end or an error that such a client would not see
is none. One surprise: Gemini's streams break off with an error that stands in no event.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from faults import stream
from flow.rig import CHAT


class Audience(NamedTuple):
    """How one dialect asks, and where it says what."""

    path: Callable[[str, bool], str]
    body: Callable[[str, str, bool], dict[str, Any]]
    """Of a model, a prompt and whether a stream is wanted."""
    events: Callable[[bytes], list[Any]]
    text: Callable[[Sequence[Any]], str]
    finishes: Callable[[Sequence[Any]], list[str]]
    finish: str
    """The one that a good answer has."""
    last: Callable[[Any], bool]
    """Is the last word of a stream."""
    replies: Callable[[Any], bool]
    """Is a plain reply."""
    answers: Callable[[Sequence[Any]], int]
    """How many different answers one stream tells."""
    error: Callable[[Any], dict[str, Any] | None]
    """The error in a body or an event."""
    members: frozenset[str]
    """What our own errors say."""
    code: Callable[[str, int], Any]
    """What stands for one of our codes and its status in this dialect."""
    named: Callable[[Mapping[str, Any]], Any]
    """The same, of an error that came."""
    status: Callable[[str | None, int], int] = lambda _code, status: status
    """With which status an error is told."""
    has_last: bool = True
    """Gemini's streams have no last word: the end of the body is the end."""


def _inner(document: Any) -> dict[str, Any] | None:
    error = document.get("error") if isinstance(document, dict) else None
    return error if isinstance(error, dict) else None


def _objects(seen: Sequence[Any], kind: str | None = None) -> Iterator[dict[str, Any]]:
    return (each for each in seen if isinstance(each, dict) and kind in (None, each.get("type")))


def _kinds(seen: Sequence[Any]) -> list[str]:
    return [str(each.get("type")) for each in _objects(seen)]


def _ids(seen: Sequence[Any], name: str) -> int:
    return len({each[name] for each in _objects(seen) if name in each})


OPENAI = Audience(
    path=lambda _model, _stream: CHAT,
    body=lambda model, prompt, streamed: {
        "model": model,
        "messages": [{"role": "user", "content": prompt}],
        "stream": streamed,
    },
    events=stream.events,
    text=stream.text_of,
    finishes=stream.finishes,
    finish="stop",
    last=lambda event: event == "[DONE]",
    replies=lambda body: isinstance(body, dict) and "choices" in body and "error" not in body,
    answers=lambda seen: _ids(seen, "id"),
    error=_inner,
    members=frozenset({"message", "type", "param", "code"}),
    code=lambda code, _status: code,
    named=lambda error: error.get("code"),
)


def _anthropic_body(model: str, prompt: str, streamed: bool) -> dict[str, Any]:
    messages = [{"role": "user", "content": prompt}]
    return {"model": model, "max_tokens": 100, "messages": messages, "stream": streamed}


_ANTHROPIC_KINDS = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "api_error",
    504: "timeout_error",
    529: "overloaded_error",
}

ANTHROPIC = Audience(
    path=lambda _model, _stream: "/v1/messages",
    body=_anthropic_body,
    events=stream.events,
    text=lambda seen: "".join(each["delta"].get("text", "") for each in _objects(seen, "content_block_delta")),
    finishes=lambda seen: [
        each["delta"]["stop_reason"]
        for each in _objects(seen, "message_delta")
        if each.get("delta", {}).get("stop_reason")
    ],
    finish="end_turn",
    last=lambda event: _kinds([event]) == ["message_stop"],
    replies=lambda body: isinstance(body, dict) and body.get("type") == "message" and "error" not in body,
    answers=lambda seen: _kinds(seen).count("message_start"),
    error=lambda document: _inner(document) if isinstance(document, dict) and document.get("type") == "error" else None,
    members=frozenset({"type", "message"}),
    code=lambda _code, status: _ANTHROPIC_KINDS.get(status, "api_error"),
    named=lambda error: error.get("type"),
    # Anthropic's own, which its clients know.
    status=lambda code, status: 529 if code == "overloaded" else status,
)


def _responses_error(document: Any) -> dict[str, Any] | None:
    if not isinstance(document, dict):
        return None
    if document.get("type") == "error" and "error" not in document:
        return {name: value for name, value in document.items() if name not in {"type", "sequence_number"}}
    return _inner(document.get("response")) if document.get("type") == "response.failed" else _inner(document)


RESPONSES = Audience(
    path=lambda _model, _stream: "/v1/responses",
    body=lambda model, prompt, streamed: {"model": model, "input": prompt, "stream": streamed},
    events=stream.events,
    text=lambda seen: "".join(each["delta"] for each in _objects(seen, "response.output_text.delta")),
    finishes=lambda seen: [each["response"]["status"] for each in _objects(seen, "response.completed")],
    finish="completed",
    last=lambda event: _kinds([event]) == ["response.completed"],
    replies=lambda body: isinstance(body, dict) and body.get("object") == "response" and not body.get("error"),
    answers=lambda seen: len({each["response"]["id"] for each in _objects(seen) if "response" in each}),
    error=_responses_error,
    members=frozenset({"message", "code"}),
    code=lambda code, _status: code,
    # A response that failed has one of the schema's codes, and the word for what happened beside it.
    named=lambda error: error["type"] if error.get("code") == "server_error" else error.get("code"),
)


def _gemini_events(body: bytes) -> list[Any]:
    """Events, and the error behind them that stands in none."""
    events = stream.events(body)
    _, _, last = body.rstrip().rpartition(b"\n")
    return [*events, json.loads(last)] if last.startswith(b"{") else events


def _parts(seen: Sequence[Any]) -> Iterator[dict[str, Any]]:
    for each in _candidates(seen):
        yield from each.get("content", {}).get("parts", [])


def _candidates(seen: Sequence[Any]) -> Iterator[dict[str, Any]]:
    for each in _objects(seen):
        yield from each.get("candidates", [])


_GOOGLES = {
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


def _google_status(_code: str, status: int) -> str:
    return _GOOGLES.get(status, "INVALID_ARGUMENT" if status < 500 else "INTERNAL")


GEMINI = Audience(
    path=lambda model, streamed: (
        f"/v1beta/models/{model}:" + ("streamGenerateContent?alt=sse" if streamed else "generateContent")
    ),
    body=lambda _model, prompt, _stream: {"contents": [{"role": "user", "parts": [{"text": prompt}]}]},
    events=_gemini_events,
    text=lambda seen: "".join(part.get("text", "") for part in _parts(seen)),
    finishes=lambda seen: [each["finishReason"] for each in _candidates(seen) if each.get("finishReason")],
    finish="STOP",
    last=lambda _event: False,
    has_last=False,
    replies=lambda body: isinstance(body, dict) and "candidates" in body and "error" not in body,
    answers=lambda seen: _ids(seen, "responseId"),
    error=_inner,
    members=frozenset({"code", "message", "status"}),
    code=_google_status,
    named=lambda error: error.get("status"),
)

AUDIENCES = {
    "openai_chat": OPENAI,
    "anthropic_messages": ANTHROPIC,
    "openai_responses": RESPONSES,
    "gemini": GEMINI,
}
