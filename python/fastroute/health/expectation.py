"""How long a target takes to its first content, as far as its last answers tell.

A failure counts as a slow answer, because a target that fails fast would otherwise look like the fastest one and draw
all traffic (Linkerd's load biaser solves the same). The surprise: a rest wipes that out, because it was the penalty.
"""

import math

DECAY_S = 10.0
"""Weight of an observation falls to 1/e after this long."""
FADES_S = 60.0
FADED = math.exp(-FADES_S / DECAY_S)
"""What is left of a value when nothing was observed for long. Values fade so that a target that was slow once, or that
nobody has tried, is tried in the end; they do not fade to nothing, because after a quiet night all would be alike."""
SEED_MS = 1_000.0
"""What is expected of a target nobody has tried."""
PENALTY_MS = 5_000.0
"""What a failure counts as, in place of a time."""
PENALTY_CAP_MS = 300_000.0


class Expectation:
    """Peaks are taken over at once and forgotten slowly (peak EWMA, as in Finagle's load balancer)."""

    __slots__ = ("_at_s", "_own_ms", "_seen", "_value_ms")

    def __init__(self) -> None:
        self._value_ms = self._own_ms = SEED_MS
        self._seen = False
        self._at_s = math.inf

    def ttft_ms(self, now_s: float) -> float:
        """Expected time to first content."""
        passed_s = now_s - self._at_s
        if passed_s <= 0.0:
            if self._at_s == math.inf:
                # A guess ages from when it is first relied on.
                self._at_s = now_s
            return self._value_ms
        return self._value_ms * (math.exp(-passed_s / DECAY_S) if passed_s < FADES_S else FADED)

    def answered(self, after_ms: float, now_s: float) -> None:
        keep = self._keep(now_s)
        self._value_ms = _weighed(self._value_ms, after_ms, keep)
        self._own_ms = _weighed(self._own_ms, after_ms, keep)

    def failed(self, retry_after_ms: int | None, now_s: float) -> None:
        asked_ms = min(PENALTY_CAP_MS, float(retry_after_ms or 0))
        self._value_ms = _weighed(self._value_ms, max(PENALTY_MS, asked_ms), self._keep(now_s))

    def pardon(self) -> None:
        """A rest begins: afterwards the target is as fast as it was before it failed."""
        self._value_ms = self._own_ms

    def _keep(self, now_s: float) -> float:
        """How much of the value stays beside a new observation: the longer since the last one, the less."""
        passed_s = now_s - self._at_s
        self._at_s = now_s
        if not self._seen:
            self._seen = True
            return 0.0
        # A burst of observations at one instant must move the average too.
        return min(0.9, math.exp(-max(0.0, passed_s) / DECAY_S))


def _weighed(value_ms: float, seen_ms: float, keep: float) -> float:
    return seen_ms if seen_ms > value_ms else value_ms * keep + seen_ms * (1.0 - keep)
