"""Fastest: prefer the target likely to give the first token soonest.

score = expected time to first content × (requests in flight + 1). Two candidates are drawn at random and the better
one leads, so that many gateways do not all rush to the same winner (Mitzenmacher 2001, the power of two choices).
"""

from collections.abc import Sequence
from typing import Protocol

from fastroute.facts import Candidate, Facts


class _Dice(Protocol):
    def random(self) -> float: ...


def _score(candidate: Candidate) -> float:
    return candidate.ttft_ms * (candidate.in_flight + 1)


def rank(_facts: Facts, candidates: Sequence[Candidate], dice: _Dice) -> Sequence[Candidate]:
    by_score = sorted(candidates, key=_score)
    healthy = [candidate for candidate in by_score if candidate.available]
    if len(healthy) < 2:
        return by_score
    first = int(dice.random() * len(healthy))
    second = int(dice.random() * (len(healthy) - 1))
    second += second >= first
    lead = healthy[min(first, second)]
    if lead is not by_score[0]:
        by_score.remove(lead)
        by_score.insert(0, lead)
    return by_score
