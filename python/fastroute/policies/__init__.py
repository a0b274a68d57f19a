"""Policies: facts and candidates in, candidates in order of preference out.

The contract: a pure function of its arguments. It returns only given candidates, each once; clock and dice are
arguments, never imported. Unavailable candidates go last; `gateway` sees to that after every policy.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from fastroute.facts import Candidate, Facts
from fastroute.policies import fastest, ordered, weighted


class Dice(Protocol):
    """What a policy may ask of chance: a number in [0, 1)."""

    def random(self) -> float: ...


Rank = Callable[[Facts, Sequence[Candidate], Dice], Sequence[Candidate]]

REGISTRY: dict[str, Rank] = {
    "ordered": ordered.rank,
    "weighted": weighted.rank,
    "fastest": fastest.rank,
}
"""Policy name in a configuration → function. Another is named as `package.module:function`."""
