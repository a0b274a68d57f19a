"""Weighted: each target leads in proportion to its weight; the others follow by weight.

With weights 95 and 5 one request in twenty goes to the second target. A target of weight 0 never leads by draw but
still stands at the end, as the last resort.
"""

from collections.abc import Sequence
from typing import Protocol

from fastroute.facts import Candidate, Facts


class _Dice(Protocol):
    def random(self) -> float: ...


def rank(_facts: Facts, candidates: Sequence[Candidate], dice: _Dice) -> Sequence[Candidate]:
    mark = dice.random() * sum(candidate.weight for candidate in candidates)
    lead = candidates[0]
    for candidate in candidates:
        mark -= candidate.weight
        if mark < 0:
            lead = candidate
            break
    rest = sorted((other for other in candidates if other is not lead), key=lambda other: -other.weight)
    return [lead, *rest]
