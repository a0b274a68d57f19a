"""The rig's own arithmetic, on rows made up here: a benchmark that counts wrong is worse than none."""

from typing import Any

import pytest
from benches.rig import machine, results
from benches.rig.programs import SOME_PORTS, gateway_config
from benches.rig.results import FIGURES, REQUEST_CPU, Row, band, tables
from benches.rig.workloads import PLANS


def make_row(contender: str, number: int, cpu_s: float, p50_us: float = 100.0, **load: Any) -> Row:
    shape = {"latency": {"p50_us": p50_us, "p99_us": 10 * p50_us}, "stream": None}
    report = {"completed": 1000, "completed_per_s": 500.0, "statuses": {"200": 1000}, "errors": {}, "unsent": 0}
    return {
        "kind": "window",
        "plan": "W1-open",
        "round": number,
        "contender": contender,
        "cpu_s": {"thread": cpu_s},
        "foreign": 0.1,
        "load": report | {"shapes": [shape]} | load,
    }


def test_a_ratio_compares_windows_of_one_round_only() -> None:
    # The machine was twice as slow in the second round, for everyone.
    rows = [
        make_row("nginx", 0, 0.010),
        make_row("edge", 0, 0.015),
        make_row("nginx", 1, 0.020),
        make_row("edge", 1, 0.030),
        make_row("edge", 2, 9.0),
    ]
    ratio = tables(rows)[0].ratio(REQUEST_CPU, "edge")
    assert ratio is not None
    assert (ratio.median, ratio.rounds) == (pytest.approx(1.5), 2)


def test_added_latency_is_counted_from_the_direct_window_of_the_round() -> None:
    rows = [
        make_row("direct", 0, 0.001, p50_us=50),
        make_row("nginx", 0, 0.001, p50_us=150),
        make_row("edge", 0, 0.001, p50_us=170),
    ]
    added = next(figure for figure in FIGURES["W1-open"] if figure.name == "p50 added")
    table = tables(rows)[0]
    assert table.values(added, "edge") == {0: 120}
    assert table.ratio(added, "edge") == band([1.2])


def test_a_window_with_a_fault_is_discarded_and_counted() -> None:
    rows = [make_row("nginx", 0, 0.010), make_row("edge", 0, 0.001, statuses={"200": 999, "503": 1})]
    table = tables(rows)[0]
    assert (table.discarded, table.errors) == (1, 1)
    assert table.band(REQUEST_CPU, "edge") is None


def test_the_band_holds_the_middle_half() -> None:
    assert band([5, 1, 2, 3, 4]) == results.Band(3, 2, 4, 1, 5)
    assert band([]) is None


def test_run_time_of_a_thread_that_began_in_the_window_counts_in_full() -> None:
    before = machine.Sample(0.0, {1: ("a", 1.0)}, {})
    after = machine.Sample(1.0, {1: ("a", 1.5), 2: ("b", 0.25)}, {})
    assert machine.spent(before, after) == {"a": 0.5, "b": 0.25}


def test_what_a_translation_costs_is_counted_from_the_same_door_of_the_round() -> None:
    rows = [
        make_row(contender, number, cpu_s) | {"plan": "W10-c16"}
        for number, slower in ((0, 1), (1, 3))
        for contender, cpu_s in (
            ("nginx", 0.010 * slower),
            ("edge", 0.020 * slower),
            ("edge, Anthropic to chat", 0.028 * slower),
            ("granian", 0.100 * slower),
        )
    ]
    over = next(figure for figure in FIGURES["W10-c16"] if figure.times)
    table = tables(rows)[0]
    assert table.values(over, "edge, Anthropic to chat") == {0: pytest.approx(1.4), 1: pytest.approx(1.4)}
    assert table.band(over, "edge") is None
    ratio = table.ratio(REQUEST_CPU, "edge, Anthropic to chat")
    assert ratio is not None
    assert ratio.median == pytest.approx(2.8)


def test_every_plan_has_figures_and_every_contender_a_model_of_the_gateways() -> None:
    models = gateway_config(SOME_PORTS)["models"]
    for plan in PLANS:
        assert plan.name in FIGURES
        gateways = [each for each in plan.contenders if each.door in {"granian", "edge"}]
        assert {each.model for each in gateways} <= models.keys()


def make_failover_row(contender: str, met_us: float, retries: int) -> Row:
    shapes = [{"latency": {"p50_us": us, "p99_us": 9 * us}, "stream": None} for us in (200.0, met_us)]
    row = make_row(contender, 0, 0.010, shapes=shapes) | {"plan": "W7-503"}
    counts = {"fastroute_exchanges_total": 1000, "fastroute_retries_total": retries}
    return row if contender == "nginx" else row | {"counted": counts}


def test_what_a_failure_adds_is_counted_from_the_other_requests_of_the_window() -> None:
    table = tables([make_failover_row("nginx", 500.0, 0), make_failover_row("edge", 650.0, 50)])[0]
    added, attempts, *_ = FIGURES["W7-503"]
    assert table.values(added, "edge") == {0: 450.0}
    assert table.ratio(added, "edge") == band([1.5])
    assert table.values(attempts, "edge") == {0: 1.05}
    assert table.values(attempts, "nginx") == {}
