"""What the faults of an answer that began are put together from.

One rule: a case here says what a client of chat sees before an upstream that speaks it; `pair` says the rest.
"""

from typing import Any

from faults.fault import Case, Ending, Fault, Otherwise, Phase, Record, Seen, State, Way

BROKEN = Seen(ending=Ending.BROKEN, status=200)


def failed(code: str, status: int = 502, upstream_status: int | None = None) -> Seen:
    return Seen(ending=Ending.ERROR, status=status, code=code, upstream_status=upstream_status)


def in_band(code: str, *, finish_told: bool = False) -> Seen:
    return Seen(ending=Ending.IN_BAND, status=200, code=code, finish_told=finish_told)


def begun(
    way: Way,
    steps: tuple[Any, ...],
    alone: Seen,
    kind: str,
    state: State = State.UNKNOWN,
    *,
    clocks: str = "patient",
    elsewhere: bool = True,
) -> Case:
    record = Record(state, kind)
    return Case(phase=Phase.BEGUN, way=way, steps=steps, alone=alone, record=record, elsewhere=elsewhere, clocks=clocks)


def delivered(
    steps: tuple[Any, ...],
    alone: Seen,
    kind: str | None,
    way: Way = Way.STREAM,
    *,
    clocks: str = "patient",
    crossed: Otherwise | None = None,
    unmarked: Otherwise | None = None,
) -> Case:
    return Case(
        phase=Phase.DELIVERED,
        way=way,
        steps=steps,
        alone=alone,
        record=ended(alone, kind),
        clocks=clocks,
        crossed=crossed,
        unmarked=unmarked,
    )


def ended(alone: Seen, kind: str | None) -> Record:
    return Record(State.COMPLETE if alone.ending is Ending.WHOLE else State.PARTIAL, kind)


def otherwise(alone: Seen, kind: str) -> Otherwise:
    return Otherwise(alone, ended(alone, kind))


def fault(name: str, title: str, rule: str, *cases: Case) -> Fault:
    return Fault(name=name, title=title, rule=rule, cases=cases)


TRUNCATED = failed("upstream_truncated")
MALFORMED = failed("upstream_malformed")
MALFORMED_LATER = in_band("upstream_malformed")
