"""A scripted upstream that speaks chat, for tests that must know word for word what a model says.

A script is turns, one for each request of a model, the last one for all that follow. What a turn says is said whole or
in pieces, as the request asks (each way counts its own turns). Each test takes a model of its own, so that scripts and
health stay there.
"""

import itertools
import json
from collections.abc import Callable, Mapping
from typing import Any

from flow.rig import Command, Upstream

Turn = Callable[[bool], list[Any]]
"""What the upstream does with one request; told whether that asked for a stream."""

KEPT_BYTES = 1 << 20
"""More than a coding agent says; a body that was cut would not be JSON."""

_numbers = itertools.count()


class Scripted:
    """The running upstream."""

    def __init__(self, command: Command) -> None:
        self._upstream = Upstream(command)
        self._rules: list[Mapping[str, Any]] = []

    def forget(self) -> None:
        """Ends every script, and empties the log."""
        self._rules.clear()
        self._tell()
        self._upstream.call("DELETE", "log")

    @property
    def address(self) -> str:
        return self._upstream.origin

    def model(self, *turns: Turn, prefix: str = "model") -> str:
        """A new model that takes these turns, by the name that the gateway knows it by."""
        name = f"{prefix}-{next(_numbers)}"
        self._rules += [
            {"match": {"model": name, "stream": stream, **({} if turn is turns[-1] else {"first": 1})}, "steps": steps}
            for stream in (False, True)
            for turn in turns
            if (steps := turn(stream))
        ]
        self._tell()
        return f"scripted/{name}"

    def heard(self, model: str) -> list[dict[str, Any]]:
        """The bodies of the requests for this model, oldest first."""
        return [json.loads(row["body"]) for row in self._upstream.rows(model.partition("/")[2])]

    def _tell(self) -> None:
        script = {"rules": self._rules, "keep_body_bytes": KEPT_BYTES}
        self._upstream.call("PUT", "script", json.dumps(script).encode())


def said(text: str, *, reason: str = "stop") -> Turn:
    """An answer in words."""

    def turn(stream: bool) -> list[Any]:
        if stream:
            pieces = [{"events": {"count": 1, "text": piece}} for piece in _pieces(text)]
            return [*pieces, {"finish": {"reason": reason}}, "done"]
        return [_whole({"role": "assistant", "content": text}, reason)]

    return turn


def called(name: str, **arguments: Any) -> Turn:
    """An answer that calls one tool."""
    text = json.dumps(arguments)

    def turn(stream: bool) -> list[Any]:
        if stream:
            return [
                {"tool_call": {"name": name, "arguments": text, "pieces": 3}},
                {"finish": {"reason": "tool_calls"}},
                "done",
            ]
        call = {"id": f"call_{next(_numbers)}", "type": "function", "function": {"name": name, "arguments": text}}
        return [_whole({"role": "assistant", "content": None, "tool_calls": [call]}, "tool_calls")]

    return turn


def refused(status: int, message: str, *, code: str | None = None, headers: Mapping[str, str] | None = None) -> Turn:
    """An error, in the shape that chat has for it."""
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": code}
    return lambda _stream: [{"status": {"code": status, "headers": dict(headers or {}), "body": {"error": error}}}]


OPERATORS_TO_MEND = {
    "quota spent": refused(429, "You exceeded your current quota.", code="insufficient_quota"),
    "key refused": refused(401, "Incorrect API key provided."),
    "balance spent": refused(402, "Insufficient balance."),
    "access refused": refused(403, "Your project has no access to this model."),
}
"""What no client can do anything about."""

USAGE = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
"""Of every whole reply; a stream counts for itself."""


def _whole(message: Mapping[str, Any], reason: str) -> dict[str, Any]:
    body = {
        "id": "chatcmpl-scripted",
        "object": "chat.completion",
        "created": 1_790_000_000,
        "model": "scripted",
        "choices": [{"index": 0, "message": message, "finish_reason": reason}],
        "usage": USAGE,
    }
    return {"status": {"code": 200, "headers": {"content-type": "application/json"}, "body": body}}


def _pieces(text: str) -> list[str]:
    """Words with the space before them."""
    head, *rest = text.split(" ")
    return [head, *(f" {word}" for word in rest)]
