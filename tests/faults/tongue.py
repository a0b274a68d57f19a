"""How an upstream of each dialect says what the fault table makes it say.

One rule: the table is written once, in the words of chat; here they become those of the dialect. One surprise: a
dialect may have no word for something, such as an error event with a status; then the case does not exist there.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

MODEL = "m"
USAGE = {"input_tokens": 1, "output_tokens": 3}
STATUSES: dict[str | int, int] = {
    "rate_limit_exceeded": 429,
    "insufficient_quota": 429,
    "invalid_api_key": 401,
    "access_denied": 403,
    "unsupported_country_region_territory": 403,
    "model_not_found": 404,
    "context_length_exceeded": 400,
    "content_policy_violation": 400,
    "invalid_value": 400,
    "unprocessable": 422,
    "request_too_large": 413,
    "conflict": 409,
    "service_unavailable": 503,
    "overloaded_error": 529,
}
"""The status under which each error of the table comes."""


class Tongue(NamedTuple):
    """The words of one dialect."""

    dialect: str
    path: str
    """Where its provider is asked."""
    key_header: str
    opening: str
    """The first event of a stream, without content."""
    content: Callable[[str], str]
    """An event with this text."""
    finish: Callable[[str], str]
    """How a stream that said this text ends, its last words apart."""
    last: str
    """What is said behind the finish, where a dialect has such a thing."""
    reply: Callable[[str], str]
    """A plain reply."""
    error: Callable[[Mapping[str, Any]], dict[str, Any]]
    """An error of the table as the body of a reply."""
    error_event: Callable[[Mapping[str, Any]], str | None]
    """The same as an event; None: there is no word for it."""

    def stream(self, text: str, times: int) -> str:
        """A whole stream."""
        return self.opening + self.content(text) * times + self.finish(text * times) + self.last


def _event(data: Any, name: str | None = None) -> str:
    return (f"event: {name}\n" if name else "") + f"data: {json.dumps(data)}\n\n"


def _typed(event: Mapping[str, Any]) -> str:
    return _event(event, event["type"])


def _chunk(delta: Mapping[str, Any], finish: str | None = None) -> str:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return _event({"id": "c-1", "object": "chat.completion.chunk", "choices": [choice]})


def _completion(text: str) -> str:
    message = {"role": "assistant", "content": text}
    choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
    return json.dumps({"id": "c-1", "object": "chat.completion", "model": MODEL, "choices": choices})


CHAT = Tongue(
    dialect="openai_chat",
    path="/chat/completions",
    key_header="authorization",
    opening=_chunk({"role": "assistant"}),
    content=lambda text: _chunk({"content": text}),
    finish=lambda _: _chunk({}, "stop"),
    last="data: [DONE]\n\n",
    reply=_completion,
    error=dict,
    error_event=_event,
)


def _message(content: list[Any], **more: Any) -> dict[str, Any]:
    head = {"id": "msg_1", "type": "message", "role": "assistant", "model": MODEL, "content": content}
    return {**head, "stop_reason": None, "stop_sequence": None, "usage": USAGE, **more}


def _delta(text: str) -> str:
    delta = {"type": "text_delta", "text": text}
    return _typed({"type": "content_block_delta", "index": 0, "delta": delta})


_ANTHROPIC_KINDS = {
    "rate_limit_exceeded": "rate_limit_error",
    "insufficient_quota": "billing_error",
    "invalid_api_key": "authentication_error",
    "access_denied": "permission_error",
    "unsupported_country_region_territory": "permission_error",
    "model_not_found": "not_found_error",
    "request_too_large": "request_too_large",
    "conflict": "conflict_error",
    "service_unavailable": "overloaded_error",
    "overloaded_error": "overloaded_error",
    402: "billing_error",
    408: "timeout_error",
    504: "timeout_error",
    500: "api_error",
    502: "api_error",
    None: "api_error",
    "oops": "api_error",
}
_ANTHROPIC_WORDS = {
    "context_length_exceeded": "prompt is too long: {}",
    "content_policy_violation": "{}: against the content policy",
}
"""What is told apart by its message only."""


def _anthropic_error(said: Mapping[str, Any]) -> dict[str, Any]:
    inner = said["error"]
    code = inner.get("code")
    kind = _ANTHROPIC_KINDS.get(code, "invalid_request_error")
    message = _ANTHROPIC_WORDS.get(code, "{}").format(inner["message"])
    return {"type": "error", "error": {"type": kind, "message": message}}


ANTHROPIC = Tongue(
    dialect="anthropic_messages",
    path="/messages",
    key_header="x-api-key",
    opening=_typed({"type": "message_start", "message": _message([])})
    + _typed({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
    content=_delta,
    finish=lambda _: (
        _typed({"type": "content_block_stop", "index": 0})
        + _typed({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 3}})
    ),
    last=_typed({"type": "message_stop"}),
    reply=lambda text: json.dumps(_message([{"type": "text", "text": text}], stop_reason="end_turn")),
    error=_anthropic_error,
    # An error event has no status, and no kind for this one.
    error_event=lambda said: None if said["error"].get("code") == 425 else _typed(_anthropic_error(said)),
)


def _response(output: list[Any], status: str) -> dict[str, Any]:
    head = {"id": "resp_1", "object": "response", "created_at": 1, "model": MODEL, "error": None}
    return {**head, "status": status, "output": output, "usage": {**USAGE, "total_tokens": 4}}


def _item(text: str | None) -> dict[str, Any]:
    part = {"type": "output_text", "text": text, "annotations": []}
    content, status = ([], "in_progress") if text is None else ([part], "completed")
    return {"type": "message", "id": "msg_1", "role": "assistant", "status": status, "content": content}


_PLACE = {"output_index": 0, "content_index": 0, "item_id": "msg_1"}


def _coded(said: Mapping[str, Any]) -> dict[str, Any]:
    """The error with its code as a text: this dialect has no numbers there."""
    inner = said["error"]
    code = inner.get("code")
    return {"error": {**inner, **({} if code is None else {"code": str(code)})}}


def _flat(said: Mapping[str, Any]) -> str:
    inner = _coded(said)["error"]
    members = {name: inner.get(name) for name in ("code", "message", "param")}
    return _typed({"type": "error", "sequence_number": 9, **members})


RESPONSES = Tongue(
    dialect="openai_responses",
    path="/responses",
    key_header="authorization",
    opening=_typed({"type": "response.created", "sequence_number": 0, "response": _response([], "in_progress")})
    + _typed({"type": "response.output_item.added", "output_index": 0, "item": _item(None)}),
    content=lambda text: _typed({"type": "response.output_text.delta", **_PLACE, "delta": text}),
    finish=lambda text: (
        _typed({"type": "response.output_item.done", "output_index": 0, "item": _item(text)})
        + _typed({"type": "response.completed", "response": _response([_item(text)], "completed")})
    ),
    # `response.completed` is both.
    last="",
    reply=lambda text: json.dumps(_response([_item(text)], "completed")),
    error=_coded,
    error_event=_flat,
)


def _candidate(text: str, **more: Any) -> dict[str, Any]:
    candidate = {"content": {"role": "model", "parts": [{"text": text}]}, "index": 0, **more}
    return {"candidates": [candidate], "responseId": "r-1", "modelVersion": MODEL}


_GOOGLES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_COUNTED = {"usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 3, "totalTokenCount": 4}}


def _google_error(said: Mapping[str, Any]) -> dict[str, Any]:
    inner = said["error"]
    code = inner.get("code")
    status = code if isinstance(code, int) else STATUSES.get(code or "", 500)
    reason = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": str(code).upper()}
    told = {"code": status, "message": inner["message"], "status": _GOOGLES.get(status, "INTERNAL")}
    return {"error": told if code is None or isinstance(code, int) else {**told, "details": [reason]}}


GEMINI = Tongue(
    dialect="gemini",
    path="/models/{model}:generateContent",
    key_header="x-goog-api-key",
    opening=_event(_candidate("")),
    content=lambda text: _event(_candidate(text)),
    finish=lambda _: _event({**_candidate("", finishReason="STOP"), **_COUNTED}),
    # The end of the body is the end.
    last="",
    reply=lambda text: json.dumps({**_candidate(text, finishReason="STOP"), **_COUNTED}),
    error=_google_error,
    error_event=lambda said: _event(_google_error(said)),
)

TONGUES = {tongue.dialect: tongue for tongue in (CHAT, ANTHROPIC, RESPONSES, GEMINI)}
