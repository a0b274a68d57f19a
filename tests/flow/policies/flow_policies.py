"""Policies for the flow tests: one tells through its choice what it was shown, the others break the contract."""

import time
from collections.abc import Sequence
from typing import Any

from fastroute.facts import Candidate, Facts

HANG_S = 10.0
"""As good as for ever, for who waits behind it."""
HOARD_BYTES = 1 << 30


def first_when_idle(_facts: Facts, candidates: Sequence[Candidate], _dice: Any) -> Sequence[Candidate]:
    """As written while nothing is counted as in flight, else reversed: an exchange settled never or twice shows."""
    idle = all(candidate.in_flight == 0 for candidate in candidates)
    return candidates if idle else candidates[::-1]


def raises(_facts: Facts, _candidates: Sequence[Candidate], _dice: Any) -> Sequence[Candidate]:
    raise LookupError("canary of the policy")


def sleeps(_facts: Facts, candidates: Sequence[Candidate], _dice: Any) -> Sequence[Candidate]:
    time.sleep(HANG_S)
    return candidates


def spins(_facts: Facts, candidates: Sequence[Candidate], _dice: Any) -> Sequence[Candidate]:
    end = time.monotonic() + HANG_S
    while time.monotonic() < end:
        pass
    return candidates


def hoards(_facts: Facts, candidates: Sequence[Candidate], _dice: Any) -> Sequence[Candidate]:
    piece = 1 << 20
    hoard = [b"x" * piece for _ in range(HOARD_BYTES // piece)]
    return candidates if hoard else []


def hoards_at_once(_facts: Facts, candidates: Sequence[Candidate], _dice: Any) -> Sequence[Candidate]:
    """One call into C: no signal is heard before it is over."""
    hoard = b"x" * HOARD_BYTES
    return candidates if hoard else []


def foreign(_facts: Facts, candidates: Sequence[Candidate], _dice: Any) -> Sequence[Candidate]:
    stranger = Candidate(999, "nobody/nothing", 1, 1.0, 0, 0, True)
    return [stranger, *candidates]
