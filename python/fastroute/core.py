"""JSON scanning, server-sent events and token counting for other programs: the gateway's own, in Rust.

>>> from fastroute import core
>>> core.scan(b'{"model":"m","messages":[{"role":"user","content":"hi"}]}').model
'm'
"""

from fastroute._core import JsonError, Scan, SseError, SseEvent, SseParser, TokenCount, count_tokens, scan

__all__ = ["JsonError", "Scan", "SseError", "SseEvent", "SseParser", "TokenCount", "count_tokens", "scan"]
