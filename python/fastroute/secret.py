"""A value that may be sent and must never be shown: printing, formatting and logging it give dots.

The one way to the text is `reveal()`, so every place that sends a key can be found by that word.
"""

import re
from typing import NoReturn, final

# Visible ASCII, spaces only between. A line end would let a value add headers of its own (RFC 9110, section 5.5).
_HEADER_VALUE = re.compile(r"[!-~](?:[ -~]*[!-~])?", re.ASCII)


@final
class Secret:
    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        return self._text

    def tail(self) -> str:
        """The last four characters, for telling keys apart; dots when that would give too much of it away."""
        return f"…{self._text[-4:]}" if len(self._text) >= 16 else "…"

    def fits_a_header(self) -> bool:
        """Whether the text can be sent as the value of an HTTP header."""
        return _HEADER_VALUE.fullmatch(self._text) is not None

    def __repr__(self) -> str:
        return "Secret(…)"

    def __str__(self) -> str:
        return "…"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __bool__(self) -> bool:
        return bool(self._text)

    def __reduce__(self) -> NoReturn:
        # Pickles end in caches and crash reports, where nobody looks for keys.
        raise TypeError("a Secret is not pickled; pass the configuration with fastroute.config.pack")
