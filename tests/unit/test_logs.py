"""Log lines: one JSON object each, and a message that repeats is counted instead of repeated."""

import logging
from typing import Any

import msgspec
import pytest

from fastroute.telemetry.logs import LINES_PER_S, JsonLines, Throttle, write_to_stderr


def record(message: str, *args: object, at_s: float = 1_700_000_000.0, **extra: Any) -> logging.LogRecord:
    made = logging.LogRecord("fastroute.test", logging.WARNING, "test.py", 1, message, args, extra.get("exc_info"))
    made.created, made.msecs = at_s, (at_s % 1) * 1_000
    return made


def line_of(made: logging.LogRecord) -> dict[str, Any]:
    text = JsonLines().format(made)
    assert "\n" not in text
    return msgspec.json.decode(text)


def test_a_line_says_when_how_important_who_and_what() -> None:
    assert line_of(record("stopping with %d exchanges under way", 3, at_s=1_700_000_000.25)) == {
        "time": "2023-11-14T22:13:20.250Z",
        "level": "warning",
        "logger": "fastroute.test",
        "message": "stopping with 3 exchanges under way",
    }


def test_text_from_outside_cannot_begin_a_line_of_its_own() -> None:
    made = record("%s", 'x"\n{"level":"error"}\x1b[31m\u2028')
    text = JsonLines().format(made)
    assert text.count("\n") == 0
    assert "\x1b" not in text
    assert msgspec.json.decode(text)["message"].startswith('x"\n{')


def test_an_exception_is_named_and_its_text_left_out() -> None:
    try:
        raise KeyError("a prompt could be in here")
    except KeyError as error:
        made = record("it failed", exc_info=(KeyError, error, error.__traceback__))
    assert line_of(made)["exception"] == "KeyError"
    assert "prompt" not in JsonLines().format(made)


def passed(throttle: Throttle, message: str, times: int, at_s: float) -> list[int]:
    """What each line that came through said was held back before it."""
    records = [record(message, at_s=at_s) for _ in range(times)]
    return [getattr(each, "held_back", 0) for each in records if throttle.filter(each)]


def test_a_message_comes_through_so_often_a_second_and_no_more() -> None:
    throttle = Throttle()
    assert passed(throttle, "again", LINES_PER_S + 5, 100.0) == [0] * LINES_PER_S


def test_what_was_held_back_is_counted_once_in_the_next_line() -> None:
    throttle = Throttle()
    passed(throttle, "again", LINES_PER_S + 5, 100.9)
    assert passed(throttle, "again", 3, 101.0) == [5, 0, 0]


def test_what_was_held_back_is_still_counted_after_a_second_of_silence() -> None:
    throttle = Throttle()
    passed(throttle, "again", LINES_PER_S + 5, 100.0)
    passed(throttle, "another", 1, 101.0)
    passed(throttle, "another", 1, 102.0)
    assert passed(throttle, "again", 1, 103.0) == [5]


def test_one_message_does_not_hold_back_another() -> None:
    throttle = Throttle()
    passed(throttle, "again", LINES_PER_S * 2, 100.0)
    assert passed(throttle, "another", 1, 100.0) == [0]


def test_a_message_is_known_by_its_template_whatever_is_filled_in() -> None:
    throttle = Throttle()
    lines = [record("port %d is taken", port, at_s=100.0) for port in range(LINES_PER_S * 2)]
    assert sum(throttle.filter(line) for line in lines) == LINES_PER_S


def test_a_process_logs_to_standard_error_from_the_level_it_is_told(capfd: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    level, kept = root.level, root.handlers[:]
    try:
        write_to_stderr("warning")
        logging.getLogger("fastroute.test").info("unheard")
        logging.getLogger("fastroute.test").warning("heard")
    finally:
        root.handlers[:] = kept
        root.setLevel(level)
    out, err = capfd.readouterr()
    assert out == ""
    assert [msgspec.json.decode(line)["message"] for line in err.splitlines()] == ["heard"]
