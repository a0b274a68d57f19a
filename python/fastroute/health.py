"""How each target is doing: pure updates over a clock that is passed in.

First version: an exponentially weighted time to first content, requests in flight, failures in a row, and a rest
after too many of them. The surprise: a failure also counts as a slow answer, because a target that fails fast would
otherwise look like the fastest one and draw all traffic (Linkerd's load biaser solves the same).
"""

import math

from fastroute.facts import Attempt

DECAY_S = 10.0
"""Weight of an observation falls to 1/e after this long."""
SEED_MS = 1_000.0
"""What is expected of a target nobody has tried."""
PENALTY_MS = 5_000.0
"""What a failure counts as, in place of a time."""
RESTS_AFTER = 5
"""Failures in a row before a target rests."""
REST_S = 5.0
REST_CAP_S = 15.0
"""A live request probes a resting target and can still fail over, so long rests only delay recovery."""


class Health:
    """The state of one target. Written by `observe`, read through the attributes."""

    __slots__ = ("_observed_s", "failures", "in_flight", "rests_until_s", "ttft_ms")

    def __init__(self, before: "Health | None" = None) -> None:
        """`before` is the same target in the table before this one; what is in flight stays with that."""
        self.ttft_ms = before.ttft_ms if before else SEED_MS
        self.in_flight = 0
        self.failures = before.failures if before else 0
        self.rests_until_s = before.rests_until_s if before else 0.0
        self._observed_s = before._observed_s if before else -math.inf

    def available(self, now_s: float) -> bool:
        """False while the target rests; the first request after the rest is its probe."""
        return now_s >= self.rests_until_s

    def observe(self, attempt: Attempt, now_s: float) -> None:
        """Takes one finished attempt into account. `now_s` is monotonic and never goes back."""
        if attempt.failure is None:
            if attempt.first_content_us is not None:
                self._weigh(attempt.first_content_us / 1000, now_s)
            self.failures = 0
            self.rests_until_s = 0.0
        elif attempt.blamed:
            self._weigh(max(PENALTY_MS, float(attempt.retry_after_ms or 0)), now_s)
            self.failures += 1
            if self.failures >= RESTS_AFTER:
                rest_s = min(REST_CAP_S, REST_S * 2 ** (self.failures - RESTS_AFTER))
                self.rests_until_s = now_s + rest_s

    def _weigh(self, value_ms: float, now_s: float) -> None:
        """Time-weighted average: the longer since the last observation, the more this one counts.

        Peaks are taken over at once and forgotten slowly (peak EWMA, as in Finagle's load balancer).
        """
        if value_ms > self.ttft_ms or self._observed_s == -math.inf:
            self.ttft_ms = value_ms
        else:
            keep = math.exp(-max(0.0, now_s - self._observed_s) / DECAY_S)
            # A burst of observations at one instant must move the average too.
            keep = min(keep, 0.9)
            self.ttft_ms = self.ttft_ms * keep + value_ms * (1.0 - keep)
        self._observed_s = now_s
