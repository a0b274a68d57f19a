"""How long a limited client is told to wait, in every form in which a provider may say it.

One rule: a wait is told in whole seconds and never cut short; beyond a minute nobody should wait by himself.
"""

import email.utils
import time
from typing import NamedTuple

from faults.client import Timed, ask_many
from faults.round import Stage
from faults.script import error, status
from flow.rig import Door, chat

LONGEST_S = 60
"""A client that is told to come back later than this is told not to come back by itself."""


class Said(NamedTuple):
    """A limit as a provider puts it, and the wait that it means; None for none."""

    headers: dict[str, str]
    wait_s: int | None
    late_s: int = 0
    """A date comes closer while it is read."""


def after(value: object, wait_s: int | None) -> Said:
    return Said({"retry_after": str(value)}, wait_s)


def in_ms(value: object, wait_s: int | None, beside: str | None = None) -> Said:
    return Said({"retry_after_ms": str(value), **({} if beside is None else {"retry_after": beside})}, wait_s)


def at(seconds: int, form: str) -> Said:
    """A date so far from now, in one of the three forms of RFC 9110."""
    then = time.gmtime(time.time() + seconds)
    return Said({"retry_after": time.strftime(form, then)}, seconds, late_s=2)


DATES = ("%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y")
NO_WAIT = (
    *("", " ", "0", "0.0", "-0", "-1", "-7", "soon", "later", "NaN", "nan", "null", "none", "true", "7 seconds", "7s"),
    *("6m0s", "1h", "0x10", "7,8", "7;8", "7 8", "١٢", "1_000", "--7", "Thu, 01 Jan 1970 00:00:00 GMT"),
    *("Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 99 Nov 2100 08:49:37 GMT", "2100-01-01T00:00:00Z", "4102444800000x"),
)
FAR = ("86400", "3600", "1e9", "1e300", "inf", "Infinity", "99999999999999999999", "Fri, 31 Dec 2100 23:59:59 GMT")


def vectors() -> list[Said]:
    """Waits of 6 s and more: shorter ones are waited for when nobody else can answer.

    None lies just above a whole second, because what is told is what is left of it.
    """
    return [
        *(after(seconds, seconds) for seconds in range(6, 191)),
        *(after(f"{seconds}.{part}", seconds + 1) for seconds in (6, 7, 30, 59) for part in ("5", "75", "999")),
        *(after(f"{space}9{space}", 9) for space in (" ", "\t", "  ")),
        *(after(spelling, 12) for spelling in ("12", "012", "+12", "12.", "12.0", "1.2e1", "0012.000")),
        *(in_ms(ms, -(-ms // 1000)) for ms in (6_500, 7_000, 7_700, 29_999, 59_500, 60_000, 61_500, 90_000)),
        *(in_ms(f"{ms}.5", ms // 1000 + 1) for ms in (6_700, 8_500, 30_600)),
        *(in_ms(9_000, 9, beside=other) for other in ("1", "30", "0", "-1", "soon", FAR[-1])),
        *(in_ms(nothing, 8, beside="8") for nothing in ("0", "-1", "soon", "", "NaN")),
        *(at(seconds, form) for seconds in (10, 20, 30, 45, 58, 120, 600) for form in DATES),
        *(after(value, 10**9) for value in FAR),
        *(after(value, None) for value in NO_WAIT),
        *(in_ms(value, None) for value in ("0", "-1", "-0.5", "soon", "", "NaN", "1s")),
        Said({}, None),
    ]  # fmt: skip


def test_a_date_of_ours_is_the_date_of_the_standard_library() -> None:
    now = time.time()
    assert time.strftime(DATES[0], time.gmtime(now)) == email.utils.formatdate(now, usegmt=True)


def test_every_way_to_say_a_wait_is_told_as_whole_seconds(stage: Stage, door: Door) -> None:
    said = [one for one in vectors() if one.wait_s is not None]
    assert len(said) >= 200
    wrong = [f"{one.headers}: {what}" for one, timed in asked(said, stage, door) for what in wrongs(one, timed)]
    assert not wrong, "\n".join(wrong)


def test_what_says_no_wait_is_taken_for_none(stage: Stage, door: Door) -> None:
    """All of them are answered as a limit without a wait is, whatever that is."""
    said = [one for one in vectors() if one.wait_s is None]
    seen = {
        str(one.headers): (
            timed.reply.status,
            timed.reply.headers["x-should-retry"],
            timed.reply.headers.get("retry-after"),
        )
        for one, timed in asked(said, stage, door)
    }
    plain = seen[str(said[-1].headers)]
    assert plain[0] == 429
    assert {headers: otherwise for headers, otherwise in seen.items() if otherwise != plain} == {}


def told(timed: Timed) -> tuple[int, str, str | None]:
    headers = timed.reply.headers
    return timed.reply.status, headers["x-should-retry"], headers.get("retry-after")


def asked(said: list[Said], stage: Stage, door: Door) -> list[tuple[Said, Timed]]:
    limit = error("rate_limit_exceeded", "requests")
    models = [f"waits-{door.name}-{number}" for number in range(len(said))]
    stage.upstream.script(
        *(
            {"match": {"model": model}, "steps": [status(429, limit, **one.headers)]}
            for model, one in zip(models, said, strict=True)
        ),
        keep_alive=False,
    )
    replies = ask_many(door, [chat(f"up/{model}") for model in models])
    return list(zip(said, replies, strict=True))


def wrongs(said: Said, timed: Timed) -> list[str]:
    assert said.wait_s is not None
    status_seen, should, wait = told(timed)
    if said.wait_s > LONGEST_S:
        fits = (should, wait) == ("false", None)
    else:
        fits = should == "true" and wait is not None and said.wait_s - said.late_s <= int(wait) <= said.wait_s
    return [] if fits and status_seen == 429 else [f"{told(timed)} for a wait of {said.wait_s} s"]
