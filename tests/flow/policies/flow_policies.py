"""Policies for the flow tests: one tells through its choice what it was shown, the others break the contract."""

import time
from collections.abc import Sequence
from typing import Any

from fastroute.facts import Candidate, Facts


def first_when_idle(_facts: Facts, candidates: Sequence[Candidate], _dice: Any) -> Sequence[Candidate]:
    """As written while nothing is counted as in flight, else reversed: an exchange settled never or twice shows."""
    idle = all(candidate.in_flight == 0 for candidate in candidates)
    return candidates if idle else candidates[::-1]


def raises(_facts: Facts, _candidates: Sequence[Candidate], _dice: Any) -> Sequence[Candidate]:
    raise LookupError("canary of the policy")


def sleeps(_facts: Facts, candidates: Sequence[Candidate], _dice: Any) -> Sequence[Candidate]:
    time.sleep(1.0)
    return candidates


def spins(_facts: Facts, candidates: Sequence[Candidate], _dice: Any) -> Sequence[Candidate]:
    end = time.monotonic() + 1.0
    while time.monotonic() < end:
        pass
    return candidates


def foreign(_facts: Facts, candidates: Sequence[Candidate], _dice: Any) -> Sequence[Candidate]:
    stranger = Candidate(999, "nobody/nothing", 1, 1.0, 0, 0, True)
    return [stranger, *candidates]
