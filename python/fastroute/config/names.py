"""Finding the name somebody meant."""

import difflib
from collections.abc import Iterable

# difflib's own default: lower, and suggestions stop making sense; higher, and swapped letters are missed.
_CUTOFF = 0.6
# What is longer than any name is no slip of one, and difflib's time grows with the square of the length.
_MAX_LENGTH = 256


def nearest(name: str, names: Iterable[str], n: int = 3) -> list[str]:
    """At most `n` of `names` that `name` may be a slip of, best first."""
    if len(name) > _MAX_LENGTH:
        return []
    by_lower = {known.lower(): known for known in names}
    return [by_lower[found] for found in difflib.get_close_matches(name.lower(), by_lower, n=n, cutoff=_CUTOFF)]


def did_you_mean(name: str, names: Iterable[str]) -> str | None:
    """The hint for the one best name, if there is one."""
    found = nearest(name, names, n=1)
    return f'did you mean "{found[0]}"?' if found else None
