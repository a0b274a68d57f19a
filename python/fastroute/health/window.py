"""Requests and failures of the last thirty seconds, by the instant they were sent.

Counting a request when it is sent and not when it is over keeps long streams, of which nothing is heard for minutes,
on the side of what goes well.
"""

BUCKETS = 10
BUCKET_S = 3.0
ENOUGH = 20
"""Fewer samples say nothing about a share."""


class Window:
    """A ring of counts. Exact within a bucket; the oldest bucket leaves as a whole."""

    __slots__ = ("_failed", "_numbers", "_sent")

    def __init__(self) -> None:
        self._numbers = [-BUCKETS] * BUCKETS
        self._sent = [0] * BUCKETS
        self._failed = [0] * BUCKETS

    def sent(self, sent_s: float) -> None:
        number = int(sent_s // BUCKET_S)
        at = number % BUCKETS
        if self._numbers[at] != number and not self._turn(number, at):
            return
        self._sent[at] += 1

    def failed(self, sent_s: float) -> None:
        """One of those that were sent failed."""
        number = int(sent_s // BUCKET_S)
        at = number % BUCKETS
        if self._numbers[at] == number or self._turn(number, at):
            self._failed[at] += 1

    def taken_back(self, now_s: float) -> None:
        """One that was counted as sent just now was not."""
        number = int(now_s // BUCKET_S)
        for late in (number, number - 1):
            at = late % BUCKETS
            if self._numbers[at] == late and self._sent[at]:
                self._sent[at] -= 1
                return

    def mostly_failed(self, now_s: float) -> bool:
        oldest = int(now_s // BUCKET_S) - BUCKETS
        sent = failed = 0
        for at, number in enumerate(self._numbers):
            if number > oldest:
                sent += self._sent[at]
                failed += self._failed[at]
        return sent >= ENOUGH and 2 * failed >= sent

    def clear(self) -> None:
        self._numbers = [-BUCKETS] * BUCKETS

    def _turn(self, number: int, at: int) -> bool:
        """Gives the bucket to a later time. False for one that is over: the news is too old to count."""
        if number < self._numbers[at]:
            return False
        self._numbers[at] = number
        self._sent[at] = self._failed[at] = 0
        return True
