"""One thing that can be out of service: it rests, is then tried by one request at a time, and comes back slowly.

The rule: nothing happens by itself; what a rest is worth is read off the clock. The surprise: a rest that is over
still counts as open until an attempt that was sent after it went well.
"""

import math

FIT = 0
"""May lead a plan."""
THINNED = 1
"""Comes back slowly and was not drawn this time."""
STANDBY = 2
"""At the end of a plan: a live request may try it when everybody before it failed."""
ABSENT = 3
"""Left out while anybody else is there."""
BARRED = 4
"""Never called, even if the request must then be refused."""

PROBE_S = 30.0
"""A probe of which nothing was heard for this long no longer keeps others from trying."""
SLOW_START_S = 30.0
FIRST_SHARE = 0.1
"""What comes back takes a tenth of its share at once and the rest within `SLOW_START_S`: caches and pools are cold,
and everybody else's requests return in the same moment."""
MOMENT_S = 1.0
"""The wait that is told while a probe is out: its answer decides, and nobody knows when it comes."""


class Rest:
    """In service, resting, half-open (the rest is over and a probe may go or is out), or in slow start."""

    __slots__ = ("_meanwhile", "_out", "open", "probe_s", "since_s", "spacing_s", "times", "until_s", "warm_s")

    def __init__(self, out: int, meanwhile: int) -> None:
        """`out` is its tier while it rests, `meanwhile` while a probe is out."""
        self._out = out
        self._meanwhile = meanwhile
        self.open = False
        self.since_s = -math.inf
        """The last change. What was sent before it says nothing about what came after."""
        self.until_s = -math.inf
        self.probe_s = -math.inf
        """When the probe that is out was sent."""
        self.spacing_s = PROBE_S
        """Least time between two probes of which nothing is heard. Where it is longer than usual, a probe that came to
        nothing counts like one that was answered."""
        self.warm_s = -math.inf
        self.times = 0
        """Rests since it was last in full service."""

    def count(self, now_s: float) -> int:
        """How many rests came shortly before the one that is to begin now."""
        return self.times if self.open or now_s < self.warm_s + SLOW_START_S else 0

    def begin(self, now_s: float, until_s: float, spacing_s: float = PROBE_S) -> None:
        self.times = self.count(now_s) + 1
        self.open = True
        self.since_s = now_s
        self.until_s = until_s
        self.spacing_s = spacing_s
        self.probe_s = -math.inf

    def end(self, now_s: float) -> None:
        self.open = False
        self.since_s = self.warm_s = now_s

    def resting(self, now_s: float) -> bool:
        return self.open and now_s < self.until_s

    def tier(self, now_s: float) -> int:
        """Where an open rest puts what it is about; `FIT` when its probe may go."""
        if now_s < self.until_s:
            return self._out
        return self._meanwhile if now_s < self.probe_s + self.spacing_s else FIT

    def wait_s(self, now_s: float) -> float:
        """How long until it may be called again, as far as is known."""
        if now_s < self.until_s:
            return self.until_s - now_s
        return MOMENT_S if self.spacing_s == PROBE_S else max(MOMENT_S, self.probe_s + self.spacing_s - now_s)

    def claim(self, now_s: float) -> bool:
        """Makes the request that is about to go its probe. False when none is wanted."""
        if not self.open or now_s < self.until_s:
            return False
        self.probe_s = now_s
        return True

    def release(self, sent_s: float) -> None:
        """An attempt sent at `sent_s` ended without a verdict: where it was the probe, another may go, unless probes
        keep their distance. Infinity: it was never sent."""
        if sent_s >= self.probe_s and (self.spacing_s == PROBE_S or sent_s == math.inf):
            self.probe_s = -math.inf
