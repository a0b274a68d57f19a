"""Log lines: JSON, one per event, on standard error. Never a key, a prompt or a reply.

The surprise: the same line is written at most ten times a second; what was held back is counted in the next one.
"""

import logging
import time
from typing import Any

import msgspec

LINES_PER_S = 10


class JsonLines(logging.Formatter):
    """One JSON object per record; control characters are escaped by the encoding."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(record.created))}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        held_back = getattr(record, "held_back", 0)
        if held_back:
            line["held_back"] = held_back
        if record.exc_info and record.exc_info[0] is not None:
            line["exception"] = record.exc_info[0].__name__
        return msgspec.json.encode(line).decode()


class Throttle(logging.Filter):
    """Lets each message template through `LINES_PER_S` times a second."""

    def __init__(self) -> None:
        super().__init__()
        self._second = 0
        self._seen: dict[str, int] = {}
        self._held: dict[str, int] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        second = int(record.created)
        if second != self._second:
            self._second = second
            # Added up, because a message may be silent for a second before it says what was held back.
            for key, count in self._seen.items():
                if count > LINES_PER_S:
                    self._held[key] = self._held.get(key, 0) + count - LINES_PER_S
            self._seen = {}
        key = str(record.msg)
        count = self._seen[key] = self._seen.get(key, 0) + 1
        if count > LINES_PER_S:
            return False
        record.held_back = self._held.pop(key, 0)
        return True


def write_to_stderr(level: str) -> None:
    """Set up the process's logging. For the gateway's own processes only; a library leaves the root alone."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    handler.addFilter(Throttle())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
