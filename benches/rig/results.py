"""From raw windows to figures: every number of the report is computed here, from the rows alone.

The rule: a ratio compares two windows of one round; what is reported is the median of the ratios and the band that
holds the middle half of them.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from statistics import median, quantiles
from typing import Any, NamedTuple

Row = dict[str, Any]
YARDSTICK = "nginx"


class Band(NamedTuple):
    """Median and middle half of some values."""

    median: float
    low: float
    high: float
    minimum: float
    rounds: int


class Figure(NamedTuple):
    """Something a window tells. `added` figures are counted from the `direct` window of the same round, `times` ones
    are multiples of what the same door had by itself: of `edge`, for `edge, Anthropic to chat`."""

    name: str
    unit: str
    of: Callable[[Row], float | None]
    added: bool = False
    times: bool = False


def band(values: Iterable[float]) -> Band | None:
    """None when there are no values."""
    ordered = sorted(values)
    if not ordered:
        return None
    if len(ordered) == 1:
        return Band(ordered[0], ordered[0], ordered[0], ordered[0], 1)
    low, _, high = quantiles(ordered, n=4, method="inclusive")
    return Band(median(ordered), low, high, ordered[0], len(ordered))


def _shape(row: Row) -> Row:
    return row["load"]["shapes"][0]


def _cpu(row: Row) -> float:
    return sum(row["cpu_s"].values())


def _percentile(name: str, key: str) -> Callable[[Row], float | None]:
    def read(row: Row) -> float | None:
        found = _shape(row).get(name) or (_shape(row).get("stream") or {}).get(name)
        return found[key] if found else None

    return read


def _per(count: Callable[[Row], float]) -> Callable[[Row], float | None]:
    def read(row: Row) -> float | None:
        number = count(row)
        return _cpu(row) / number * 1e6 if number else None

    return read


def _chunks(row: Row) -> float:
    transit = _shape(row)["stream"]["transit"]
    return transit["count"] if transit else 0


def _per_stream(row: Row) -> float | None:
    # One event a second and stream: what arrived in the window says how many were open.
    streams = round(_chunks(row) / row["load"]["window_s"])
    return (row["resident_kib"] - row["resident_before_kib"]) / streams if streams else None


def _met(name: str) -> Callable[[Row], float | None]:
    """How much longer the requests took that met the failure than the others of the same window, at the median."""

    def read(row: Row) -> float | None:
        others, met = ((shape.get(name) or (shape.get("stream") or {}).get(name)) for shape in row["load"]["shapes"])
        return met["p50_us"] - others["p50_us"] if met and others else None

    return read


def _attempts(row: Row) -> float | None:
    counted = row.get("counted")
    if counted is None or not counted["fastroute_exchanges_total"]:
        return None
    return 1 + counted["fastroute_retries_total"] / counted["fastroute_exchanges_total"]


REQUEST_CPU = Figure("CPU per request", "µs", _per(lambda row: row["load"]["completed"]))
CHUNK_CPU = Figure("CPU per chunk", "µs", _per(_chunks))
RATE = Figure("requests", "/s", lambda row: row["load"]["completed_per_s"])
PEAK = Figure("peak RSS", "MiB", lambda row: row["peak_kib"] / 1024)
_UNARY = (REQUEST_CPU, RATE)
_LATENCY = (
    REQUEST_CPU,
    Figure("p50 added", "µs", _percentile("latency", "p50_us"), added=True),
    Figure("p99 added", "µs", _percentile("latency", "p99_us"), added=True),
    Figure("p50", "µs", _percentile("latency", "p50_us")),
    Figure("p99", "µs", _percentile("latency", "p99_us")),
)


def _failover(name: str) -> tuple[Figure, ...]:
    return (
        Figure("p50 added by the failure", "µs", _met(name)),
        # One request in twenty meets it, so 1.05 says that each was tried once more.
        Figure("attempts per request", "", _attempts),
        Figure("p50 of the others", "µs", _percentile(name, "p50_us")),
        REQUEST_CPU,
    )


_OPEN_STREAMS = (
    Figure("RSS per stream", "KiB", _per_stream),
    CHUNK_CPU,
    Figure("streams", "", lambda row: round(_chunks(row) / row["load"]["window_s"])),
)

FIGURES: dict[str, tuple[Figure, ...]] = {
    "W1-c16": _UNARY,
    "W1-c64": _UNARY,
    "W1-open": _LATENCY,
    "W2": _UNARY,
    "W3": (*_UNARY, PEAK),
    "W4": (
        CHUNK_CPU,
        Figure("transit p50 added", "µs", _percentile("transit", "p50_us"), added=True),
        Figure("transit p99 added", "µs", _percentile("transit", "p99_us"), added=True),
        Figure("TTFT added", "µs", _percentile("first_content", "p50_us"), added=True),
        # 1 when each event came in a chunk of its own, as the upstream sent it.
        Figure("events per chunk", "", lambda row: _shape(row)["stream"]["events_per_chunk"]),
    ),
    "W5-1000": _OPEN_STREAMS,
    "W5-5000": _OPEN_STREAMS,
    "W6": (*_UNARY, PEAK),
    "W7-503": _failover("latency"),
    "W7-reset": _failover("latency"),
    "W7-hang": _failover("first_content"),
    "W8": _LATENCY,
    "W10-c16": (*_UNARY, Figure("CPU over W1's", "×", REQUEST_CPU.of, times=True)),
    "W10-10k": (REQUEST_CPU, Figure("CPU over W1's", "×", REQUEST_CPU.of, times=True)),
    "W10-stream": (CHUNK_CPU, Figure("CPU per chunk over W4's", "×", CHUNK_CPU.of, times=True)),
    "W11": _LATENCY,
}


class Table(NamedTuple):
    """What is known of one plan."""

    plan: str
    contenders: list[str]
    rounds: int
    discarded: int
    foreign: Band | None
    late_us: Band | None
    """How late the generator sent, at its 99th percentile: latencies of this size say more of it than of anyone."""
    errors: int
    rows: list[Row]

    def values(self, figure: Figure, contender: str) -> dict[int, float]:
        """The figure of each round in which this contender was measured."""
        found = {row["round"]: figure.of(row) for row in self.rows if row["contender"] == contender}
        if figure.times:
            return self._times(figure, contender, found)
        if figure.added:
            direct = {row["round"]: figure.of(row) for row in self.rows if row["contender"] == "direct"}
            return {
                number: value - base
                for number, value in found.items()
                if value is not None and (base := direct.get(number)) is not None
            }
        return {number: value for number, value in found.items() if value is not None}

    def _times(self, figure: Figure, contender: str, found: dict[int, float | None]) -> dict[int, float]:
        door, comma, _ = contender.partition(", ")
        if not comma:
            return {}
        own = {row["round"]: figure.of(row) for row in self.rows if row["contender"] == door}
        return {
            number: value / base for number, value in found.items() if value is not None and (base := own.get(number))
        }

    def band(self, figure: Figure, contender: str) -> Band | None:
        return band(self.values(figure, contender).values())

    def ratio(self, figure: Figure, contender: str) -> Band | None:
        """The figure over the yardstick's, round by round; where the yardstick added nothing, there is no ratio."""
        ours, theirs = self.values(figure, contender), self.values(figure, YARDSTICK)
        return band(ours[number] / theirs[number] for number in ours if theirs.get(number, 0.0) > 0)


def faults(row: Row) -> int:
    """Requests that failed, for whatever reason."""
    load = row["load"]
    wrong = sum(count for status, count in load["statuses"].items() if int(status) != 200)
    return wrong + sum(load["errors"].values()) + load["unsent"]


def read(file: Path) -> list[Row]:
    """Raw rows, oldest first."""
    return [json.loads(line) for line in file.read_text().splitlines()]


def tables(rows: Sequence[Row]) -> list[Table]:
    """One table per plan. A window with faults is discarded and counted."""
    windows = [row for row in rows if row["kind"] == "window"]
    found = []
    for plan in dict.fromkeys(row["plan"] for row in windows):
        mine = [row for row in windows if row["plan"] == plan]
        kept = [row for row in mine if not faults(row)]
        found.append(
            Table(
                plan,
                list(dict.fromkeys(sorted((row["contender"] for row in mine), key=_order))),
                len({row["round"] for row in mine}),
                len(mine) - len(kept),
                band(row["foreign"] for row in mine),
                band(late["p99_us"] for row in kept if (late := row["load"].get("lateness"))),
                sum(faults(row) for row in mine),
                kept,
            )
        )
    return found


def _order(contender: str) -> tuple[int, str]:
    first = ("direct", YARDSTICK, "granian", "edge")
    return (first.index(contender) if contender in first else len(first), contender)
