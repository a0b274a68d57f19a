"""A key of a provider: refused, used up, or good. It is known by its place in the configuration, never by its text."""

from fastroute.health.rest import BARRED, Rest

RETEST_S = (60.0, 600.0, 3_600.0)
"""A refused key is tried again after a minute, ten minutes, and then every hour."""
QUOTA_S = 3_600.0
"""A used-up account that does not say when it is filled again."""
QUOTA_PROBE_S = 900.0
"""Least time between two tries of a used-up account, whatever it says and whatever became of them."""


class Account:
    """A key rests for all its models at once, and only one request at a time may try whether it is good again."""

    __slots__ = ("key", "provider", "rest", "used_up")

    def __init__(self, provider: str, key: str) -> None:
        self.provider = provider
        self.key = key
        self.rest = Rest(BARRED, BARRED)
        self.used_up = False
        """Why it rests: its account is empty; else the provider refuses it."""

    def refused(self, sent_s: float, now_s: float) -> float | None:
        """The provider does not take the key. How long it rests; None when that is no news."""
        if self._known(sent_s):
            return None
        wait_s = RETEST_S[min(self.rest.count(now_s), len(RETEST_S) - 1)]
        self.used_up = False
        self.rest.begin(now_s, now_s + wait_s)
        return wait_s

    def exhausted(self, retry_after_ms: int | None, sent_s: float, now_s: float) -> float | None:
        """The key's account is used up. How long it rests; None when that is no news."""
        if self._known(sent_s):
            return None
        # This was a try: the next one keeps its distance from it.
        wait_s = max(QUOTA_PROBE_S, QUOTA_S if retry_after_ms is None else retry_after_ms / 1000)
        self.used_up = True
        self.rest.begin(now_s, now_s + wait_s, QUOTA_PROBE_S)
        return wait_s

    def answered(self, sent_s: float, now_s: float) -> bool:
        """The key was taken. True when that ends its rest."""
        if not self.rest.open or sent_s < self.rest.since_s:
            return False
        self.rest.end(now_s)
        return True

    def _known(self, sent_s: float) -> bool:
        return sent_s < self.rest.since_s or (self.rest.open and sent_s < self.rest.until_s)
