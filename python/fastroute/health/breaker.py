"""When failures are too many: five in a row, or half of at least twenty within thirty seconds.

Both rules are those of linkerd2-proxy's unified breaker: the first sees an outage at once, the second one that meets
only half of the requests. A rate limit counts for the second alone, and fails a probe. The surprise: what rests stays
at the end of plans, so a request that nobody else could answer may end the rest early.
"""

import math
from typing import Protocol

from fastroute.health.rest import STANDBY, Rest
from fastroute.health.window import Window

RUN = 5
"""Failures in a row, as they were sent."""
REST_S = 5.0
"""The first rest; each that follows shortly after is twice as long."""
REST_CAP_S = 15.0
"""A probe is a live request that can still fail over, so longer rests would only delay recovery."""
JITTER = 0.5
"""Rests end up to half earlier or later, so that many gateways do not probe in the same moment."""


class Dice(Protocol):
    """What health asks of chance: a number in [0, 1)."""

    def random(self) -> float: ...


class Breaker:
    """Decides when its rest begins and ends."""

    __slots__ = ("_row", "_well_s", "rest", "window")

    def __init__(self) -> None:
        self.rest = Rest(STANDBY, STANDBY)
        self.window = Window()
        self._row: list[float] = []
        """When those were sent that failed, if nothing that was sent later went well."""
        self._well_s = -math.inf

    def sent(self, sent_s: float) -> None:
        """An attempt went, or is told of that nobody counted when it went."""
        if sent_s >= self.rest.since_s:
            self.window.sent(sent_s)

    def failed(self, sent_s: float, now_s: float, dice: Dice, *, in_a_row: bool = True) -> bool:
        """An attempt failed in a way that is the target's. True when a rest begins with it."""
        rest = self.rest
        if sent_s < rest.since_s:
            return False
        self.window.failed(sent_s)
        if rest.open:
            # What was sent during the rest was a last resort and says nothing about the time after it.
            if now_s < rest.until_s or sent_s < rest.until_s:
                return False
        else:
            if in_a_row and sent_s > self._well_s:
                self._row.append(sent_s)
            if len(self._row) < RUN and not self.window.mostly_failed(now_s):
                return False
        self._begin(now_s, dice)
        return True

    def answered(self, sent_s: float, now_s: float) -> bool:
        """An attempt went well. True when it ends a rest."""
        if sent_s > self._well_s:
            self._well_s = sent_s
            if self._row:
                self._row = [failed_s for failed_s in self._row if failed_s > sent_s]
        if not self.rest.open or sent_s < self.rest.since_s:
            return False
        self.rest.end(now_s)
        self._forget()
        return True

    def _begin(self, now_s: float, dice: Dice) -> None:
        usual_s = min(REST_CAP_S, REST_S * 2 ** min(self.rest.count(now_s), 8))
        least_s, most_s = usual_s * (1 - JITTER), min(REST_CAP_S, usual_s * (1 + JITTER))
        self.rest.begin(now_s, now_s + least_s + (most_s - least_s) * dice.random())
        self._forget()

    def _forget(self) -> None:
        self._row.clear()
        self.window.clear()
