"""An event stream as a client reads it, bytes it should not have come with included."""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any


def events(body: bytes) -> list[Any]:
    """The data of a stream's events as a client reads them; what is no JSON stays text."""
    blocks = (re.findall(rb"^data: ?(.*)$", block, re.MULTILINE) for block in re.split(rb"\r?\n\r?\n", body))
    texts = [b"\n".join(lines).decode(errors="replace").strip() for lines in blocks if lines]
    return [_json_or_text(text) for text in texts]


def _json_or_text(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def choices(seen: Sequence[Any]) -> Iterator[dict[str, Any]]:
    """Every choice in these events that has the shape of one."""
    for event in seen:
        several = event.get("choices") if isinstance(event, dict) else None
        yield from (choice for choice in several or [] if isinstance(choice, dict))


def text_of(seen: Sequence[Any]) -> str:
    """The content of a stream's events, joined."""
    deltas = (choice.get("delta") for choice in choices(seen))
    pieces = (delta.get("content") for delta in deltas if isinstance(delta, dict))
    return "".join(piece for piece in pieces if isinstance(piece, str))


def finishes(seen: Sequence[Any]) -> list[str]:
    reasons = (choice.get("finish_reason") for choice in choices(seen))
    return [reason for reason in reasons if reason]
