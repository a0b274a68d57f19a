"""Requests and failures of the last half minute, as they leave it."""

from fastroute.health.window import BUCKET_S, BUCKETS, ENOUGH, Window


def test_a_window_forgets_one_bucket_at_a_time() -> None:
    window = Window()
    for _ in range(ENOUGH):
        window.sent(0.0)
        window.failed(0.0)
    assert window.mostly_failed(BUCKETS * BUCKET_S - 0.001)
    assert not window.mostly_failed(BUCKETS * BUCKET_S)


def test_news_of_long_ago_does_not_count_as_now() -> None:
    window = Window()
    window.sent(BUCKETS * BUCKET_S)
    for _ in range(ENOUGH):
        window.sent(0.0)
        window.failed(0.0)
    assert not window.mostly_failed(BUCKETS * BUCKET_S)
