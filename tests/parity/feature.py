"""A feature of a conversation, and how it is found whether a dialect has it: it is said there, and read back.

One rule: a cell is measured, never written. What is neither kept nor named as gone is `LOST`, and fails.
"""

import json
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from contract.recorded import CHAT_DIALECTS
from fastroute import core

CHAT = "openai_chat"
DIALECTS = CHAT_DIALECTS
YES = "yes"
DROPPED = "dropped, named"
REFUSED = "refused"
ABSENT = "–"
LOST = "lost"

Cell = str


class Feature(NamedTuple):
    """`measure(dialect)` says what becomes of it; `otherwise` has words for dialects that say it in another way."""

    name: str
    measure: Callable[[str], Cell]
    otherwise: dict[str, str] | None = None

    def cell(self, dialect: str) -> Cell:
        found = self.measure(dialect)
        return (self.otherwise or {}).get(dialect, LOST) if found == LOST else found


class Asked(NamedTuple):
    """A request with something in it, which a notice would call by one of `names`; `kept` finds it on the way back."""

    source: str
    body: bytes
    names: tuple[str, ...]
    kept: Callable[[dict[str, Any]], bool]

    def __call__(self, dialect: str) -> Cell:
        try:
            there = core.translate_request(self.body, self.source, dialect)
        except core.DialectError:
            return REFUSED
        return self.found(there.body, dialect, [*there.dropped, *there.changed])

    def found(self, body: bytes, dialect: str, notices: Sequence[str]) -> Cell:
        """What became of it in the body that was written in this dialect."""
        try:
            back = core.translate_request(body, dialect, self.source)
        except core.DialectError:
            return REFUSED
        if self.kept(json.loads(back.body)):
            return YES
        return DROPPED if any(notice.startswith(self.names) for notice in [*notices, *back.dropped]) else LOST


def asked(*names: str, source: str = CHAT, kept: Callable[[dict[str, Any]], bool], **wanted: Any) -> Asked:
    """A request with `wanted`."""
    question = [{"role": "user", "content": "hi"}]
    body = json.dumps({"model": "m", "max_tokens": 4_096, "messages": question} | wanted).encode()
    return Asked(source, body, names, kept)


def answered(
    *, kept: Callable[[core.ReplyChoice, core.ReplyUsage], bool], usage: dict[str, Any] | None = None, **message: Any
) -> Callable[[str], Cell]:
    """A whole reply with `message`; `kept` finds it in the other dialect."""
    body = json.dumps(reply({"role": "assistant", "content": "Hello"} | message, usage)).encode()

    def measure(dialect: str) -> Cell:
        told = core.parse_reply(core.translate_reply(body, CHAT, dialect, reply_id="r1", model="m"), dialect)
        assert told.usage is not None
        return YES if kept(told.choices[0], told.usage) else LOST

    return measure


def returned(*, kept: Callable[[dict[str, Any]], bool], **message: Any) -> Callable[[str], Cell]:
    """A whole reply with `message`; `kept` finds it in the message on the way back."""
    body = json.dumps(reply({"role": "assistant", "content": "Hello"} | message, None)).encode()

    def measure(dialect: str) -> Cell:
        there = core.translate_reply(body, CHAT, dialect, reply_id="r1", model="m")
        back = core.translate_reply(there, dialect, CHAT, reply_id="r1", model="m")
        return YES if kept(json.loads(back)["choices"][0]["message"]) else LOST

    return measure


def reply(message: dict[str, Any], usage: dict[str, Any] | None) -> dict[str, Any]:
    finish = "tool_calls" if message.get("tool_calls") else "stop"
    counts = {"prompt_tokens": 10, "completion_tokens": 8, "total_tokens": 18} | (usage or {})
    choice = {"index": 0, "message": message, "finish_reason": finish}
    return {"id": "c1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": counts}


def streamed(*deltas: dict[str, Any], kept: Callable[[list[core.StreamEvent]], bool]) -> Callable[[str], Cell]:
    """A stream of `deltas`; one that is an error ends it. `kept` finds it among the events of the other dialect."""
    events = [
        delta if "error" in delta else {"id": "c1", "model": "m", "choices": [{"index": 0, "delta": delta}]}
        for delta in deltas
    ]
    if not any("error" in delta for delta in deltas):
        finish = "tool_calls" if any("tool_calls" in delta for delta in deltas) else "stop"
        events.append({"id": "c1", "model": "m", "choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
    body = b"".join(f"data: {json.dumps(event)}\n\n".encode() for event in events)
    end = b"" if any("error" in delta for delta in deltas) else b"data: [DONE]\n\n"

    def measure(dialect: str) -> Cell:
        stream = core.StreamTranslator(CHAT, dialect, reply_id="r1", model="m")
        reader = core.StreamReader(dialect)
        told = reader.push(stream.push(body + end) + stream.finish()) + reader.finish()
        return YES if kept(told) else LOST

    return measure
