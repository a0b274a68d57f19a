"""How one target stands: what its attempts say of it, of its key and of its provider, and whether it may be called.

The surprise: a target for whatever model a client names is never barred for a limit nor left out for a model that does
not exist or is not allowed, because that was said about one model and the next request names another.
"""

import math

from msgspec import Struct

from fastroute.facts import Attempt
from fastroute.health.account import RETEST_S, Account
from fastroute.health.blame import Blame, blame_of
from fastroute.health.breaker import Breaker, Dice
from fastroute.health.expectation import Expectation
from fastroute.health.rest import ABSENT, BARRED, FIRST_SHARE, FIT, SLOW_START_S, STANDBY, THINNED, Rest
from fastroute.table import Target

LIMIT_S = 5.0
"""A rate limit that does not say how long; each that follows shortly after counts twice as long."""
LIMIT_TOP_S = 60.0
LIMIT_CAP_S = 300.0
"""No stated wait is honoured for longer: a probe costs one request."""
NO_MODEL_S = 600.0
"""A model that the provider does not have is a mistake in the configuration, and seldom mended soon."""


class News(Struct, frozen=True):
    """A change that an operator may want to read about. `alarm`: only an operator can mend it."""

    text: str
    alarm: bool = False


class Standing:
    """One target. `account` is the key it uses, if it uses one; `way` is the connection to its provider."""

    __slots__ = (
        "_rests",
        "_troubled",
        "account",
        "any_model",
        "breaker",
        "cooling",
        "expectation",
        "failures",
        "forbidden",
        "in_flight",
        "index",
        "label",
        "missing",
        "way",
    )

    def __init__(self, target: Target, account: Account | None, way: Breaker, troubled: set[int]) -> None:
        """`troubled` is told when it is in full service again."""
        self.index = target.index
        self.label = _label_of(target)
        self.any_model = target.model is None
        self.account = account
        self.way = way
        self.in_flight = 0
        self.failures = 0
        """Since the last success."""
        self._troubled = troubled
        self.breaker = Breaker()
        self.cooling = Rest(STANDBY if self.any_model else BARRED, STANDBY)
        self.missing = Rest(ABSENT, ABSENT)
        self.forbidden = Rest(BARRED, BARRED)
        """This key may not call this model. As with a refused key, nobody is sent there to hear it again."""
        self.expectation = Expectation()
        self._gather()

    def take_over(self, before: "Standing") -> None:
        """Goes on with what is known of the same target."""
        self.breaker = before.breaker
        self.cooling = before.cooling
        self.missing = before.missing
        self.forbidden = before.forbidden
        self.expectation = before.expectation
        self.failures = before.failures
        self._gather()

    def _gather(self) -> None:
        own = (self.breaker.rest, self.cooling, self.missing, self.forbidden, self.way.rest)
        self._rests = own if self.account is None else (*own, self.account.rest)

    def rested(self) -> bool:
        """Something about it rests, or did."""
        return any(rest.times for rest in self._rests)

    def tier(self, now_s: float, dice: Dice) -> int:
        """Where it belongs in a plan that is made now."""
        tier, warm_s, whole = FIT, -math.inf, True
        for rest in self._rests:
            if rest.open:
                whole = False
                tier = max(tier, rest.tier(now_s))
            else:
                warm_s = max(warm_s, rest.warm_s)
        if now_s < warm_s + SLOW_START_S:
            share = FIRST_SHARE + (1.0 - FIRST_SHARE) * max(0.0, now_s - warm_s) / SLOW_START_S
            if tier == FIT and dice.random() >= share:
                tier = THINNED
        elif whole:
            self._troubled.discard(self.index)
        return tier

    def comes_back(self, now_s: float) -> bool:
        """It takes its share back slowly."""
        return any(now_s < rest.warm_s + SLOW_START_S for rest in self._rests)

    def wait_s(self, now_s: float) -> float:
        """How long it stays barred."""
        barring = [rest.wait_s(now_s) for rest in self._rests if rest.open and rest.tier(now_s) == BARRED]
        return max(barring, default=0.0)

    def limited(self, now_s: float) -> bool:
        """A rate limit is what bars it."""
        return self.cooling.resting(now_s)

    def used_up(self) -> bool:
        """An empty account is what bars it."""
        return self.account is not None and self.account.rest.open and self.account.used_up

    def was_refused(self) -> bool:
        """Its key, or what it may be used for: only one request at a time asks whether that still is so."""
        return self.forbidden.open or (self.account is not None and self.account.rest.open)

    def claim(self, now_s: float) -> bool:
        """The plan that is about to go leads here. True when it is the probe of something that rested."""
        # One request probes whatever of it rested.
        claims = [rest.claim(now_s) for rest in self._rests]
        return True in claims

    def release(self, sent_s: float) -> None:
        """What was sent here ended and said nothing: where it was the probe, another may go."""
        for rest in self._rests:
            if rest.open:
                rest.release(sent_s)

    def observe(self, attempt: Attempt, sent_s: float, now_s: float, dice: Dice) -> News | None:
        """Takes one attempt into account that failed, or that showed content."""
        if attempt.failure is None:
            return self._answered(attempt, sent_s, now_s)
        blame = blame_of(attempt)
        if blame is Blame.NOBODY:
            return None
        if blame in {Blame.TARGET, Blame.WAY, Blame.LIMIT}:
            self.failures += 1
            self.expectation.failed(attempt.retry_after_ms, now_s)
        if blame is not Blame.WAY:
            self.way.answered(sent_s, now_s)
        return self._failed(blame, attempt, sent_s, now_s, dice)

    def _failed(self, blame: Blame, attempt: Attempt, sent_s: float, now_s: float, dice: Dice) -> News | None:
        match blame:
            case Blame.LIMIT:
                tripped = self.breaker.failed(sent_s, now_s, dice, in_a_row=False)
                cools = self._cools(attempt.retry_after_ms, sent_s, now_s)
                return cools or (self._rests_now(now_s) if tripped else None)
            case Blame.KEY if self.account is not None:
                return _key_out(self.account, self.account.refused(sent_s, now_s), "was refused")
            case Blame.QUOTA if self.account is not None:
                wait_s = self.account.exhausted(attempt.retry_after_ms, sent_s, now_s)
                return _key_out(self.account, wait_s, "is used up")
            case Blame.KEY | Blame.QUOTA | Blame.PERMISSION:
                rest = self.forbidden if blame is Blame.PERMISSION else self.missing
                return self._left_out(rest, None, "may not be called with this key", sent_s, now_s)
            case Blame.MODEL:
                return self._left_out(self.missing, NO_MODEL_S, "is not there", sent_s, now_s)
            case _:
                out = blame is Blame.WAY and self.way.failed(sent_s, now_s, dice)
                tripped = self.breaker.failed(sent_s, now_s, dice)
                return self._rests_now(now_s) if tripped or out else None

    def _rests_now(self, now_s: float) -> News:
        self.expectation.pardon()
        rests_s = max(rest.until_s - now_s for rest in (self.breaker.rest, self.way.rest) if rest.open)
        return News(f"{self.label} fails too often and rests for {rests_s:.1f} s")

    def _cools(self, retry_after_ms: int | None, sent_s: float, now_s: float) -> News | None:
        rest = self.cooling
        stated_s = None if retry_after_ms is None else min(LIMIT_CAP_S, retry_after_ms / 1000)
        if sent_s < rest.since_s or (rest.open and sent_s < rest.until_s):
            # One of those that were under way when the limit was met. It may still know better how long it holds.
            if rest.open and stated_s is not None:
                rest.until_s = max(rest.until_s, now_s + stated_s)
            return None
        wait_s = min(LIMIT_TOP_S, LIMIT_S * 2 ** min(rest.count(now_s), 8)) if stated_s is None else stated_s
        rest.begin(now_s, now_s + wait_s)
        self.expectation.pardon()
        return News(f"{self.label} is at its rate limit for {wait_s:.1f} s")

    def _left_out(self, rest: Rest, wait_s: float | None, why: str, sent_s: float, now_s: float) -> News | None:
        """`wait_s`: how long; None: longer each time, as with a refused key."""
        if self.any_model or sent_s < rest.since_s or (rest.open and sent_s < rest.until_s):
            return None
        lasts_s = RETEST_S[min(rest.count(now_s), len(RETEST_S) - 1)] if wait_s is None else wait_s
        rest.begin(now_s, now_s + lasts_s)
        return News(f"{self.label} {why}, says its provider; it is left out for {lasts_s:.0f} s", alarm=True)

    def _answered(self, attempt: Attempt, sent_s: float, now_s: float) -> News | None:
        self.failures = 0
        if attempt.first_content_us is not None:
            self.expectation.answered(attempt.first_content_us / 1000, now_s)
        back = self.way.answered(sent_s, now_s)
        back = self.breaker.answered(sent_s, now_s) or back
        return self._came_back(back, sent_s, now_s) if self.index in self._troubled else None

    def _came_back(self, back: bool, sent_s: float, now_s: float) -> News | None:
        # A cool-down is over when it says so, whatever slipped through meanwhile.
        missing, forbidden = self.missing, self.forbidden
        for rest, from_s in (
            (self.cooling, self.cooling.until_s),
            (missing, missing.since_s),
            (forbidden, forbidden.since_s),
        ):
            if rest.open and sent_s >= from_s:
                rest.end(now_s)
                back = True
        if self.account is not None and self.account.answered(sent_s, now_s):
            return News(f"{self.account.provider} takes its key {self.account.key} again")
        return News(f"{self.label} answers again") if back else None


def _key_out(account: Account, wait_s: float | None, why: str) -> News | None:
    if wait_s is None:
        return None
    text = f"{account.provider}: its key {account.key} {why}; it is tried again in {wait_s:.0f} s"
    return News(text, alarm=True)


def _label_of(target: Target) -> str:
    """`provider/model`, and the key where there are several: how logs name it."""
    label = f"{target.provider.name}/{target.model or '*'}"
    return label if target.key is None or len(target.provider.keys) < 2 else f"{label} ({target.key.name})"
