"""JSON scanning, server-sent events, token counting and translation for other programs: the gateway's own, in Rust.

>>> from fastroute import core
>>> core.scan(b'{"model":"m","messages":[{"role":"user","content":"hi"}]}').model
'm'

A reply as plain values, whichever dialect of `core.DIALECTS` it is in:

>>> body = b'{"choices":[{"message":{"role":"assistant","content":"Hello"},"finish_reason":"stop"}]}'
>>> core.parse_reply(body, "openai_chat").choices[0].text
'Hello'
"""

from fastroute._core import (
    DIALECTS,
    DialectError,
    JsonError,
    ParsedReply,
    ReplyChoice,
    ReplyError,
    ReplyUsage,
    Scan,
    SseError,
    SseEvent,
    SseParser,
    StreamEvent,
    StreamReader,
    StreamTranslator,
    TokenCount,
    ToolCall,
    Translated,
    WayBack,
    count_tokens,
    parse_error,
    parse_reply,
    scan,
    translate_reply,
    translate_request,
)

__all__ = [
    "DIALECTS",
    "DialectError",
    "JsonError",
    "ParsedReply",
    "ReplyChoice",
    "ReplyError",
    "ReplyUsage",
    "Scan",
    "SseError",
    "SseEvent",
    "SseParser",
    "StreamEvent",
    "StreamReader",
    "StreamTranslator",
    "TokenCount",
    "ToolCall",
    "Translated",
    "WayBack",
    "count_tokens",
    "parse_error",
    "parse_reply",
    "scan",
    "translate_reply",
    "translate_request",
]
