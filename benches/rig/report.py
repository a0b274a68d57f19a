"""Tables and plots from raw rows; run again at any time, it gives the same."""

from pathlib import Path
from typing import Any

from benches.rig import results
from benches.rig.results import FIGURES, YARDSTICK, Band, Figure, Table
from benches.rig.workloads import PLANS

TITLES = {plan.name: plan.title for plan in PLANS}


def render(folder: Path) -> str:
    """The report of a folder with `raw.jsonl`; also draws a plot per plan where matplotlib is installed."""
    rows = results.read(folder / "raw.jsonl")
    lines = ["# Results", "", *_about(rows)]
    found = results.tables(rows)
    for table in found:
        lines += ["", *_table(table)]
    for row in rows:
        if row["kind"] == "startup":
            lines += ["", *_startup(row)]
    _draw(found, folder)
    return "\n".join(lines) + "\n"


def _about(rows: list[dict[str, Any]]) -> list[str]:
    about = next(row for row in rows if row["kind"] == "run")
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    machine = about["machine"]
    return [
        f"Commit `{about['commit']}`{' with changes' if about['changed'] else ''}; {versions}.",
        (
            f"{machine['cpu']}, {machine['cores']} cores{' (virtual)' if machine['hypervisor'] else ''}, "
            f"Linux {machine['kernel']}."
        ),
        "",
        (
            "Each cell: median over rounds, in parentheses the ratio to nginx in the same round with the band of its "
            "middle half. Absolute numbers describe this machine in those minutes; only ratios can be compared."
        ),
    ]


def _table(table: Table) -> list[str]:
    figures = FIGURES[table.plan]
    foreign = f"{table.foreign.median:.2f} ({table.foreign.low:.2f}–{table.foreign.high:.2f})" if table.foreign else "–"
    late = ""
    if any(figure.added for figure in figures) and table.late_us:
        late = f"; the generator itself sent {_number(table.late_us.median)} µs late at its p99"
    lines = [
        f"## {table.plan}: {TITLES.get(table.plan, '')}",
        "",
        (
            f"{table.rounds} rounds; {table.discarded} windows discarded for {table.errors} faults; others kept "
            f"{foreign} of the two cores busy{late}."
        ),
        "",
        "| | "
        + " | ".join(f"{figure.name}, {figure.unit}" if figure.unit else figure.name for figure in figures)
        + " |",
        "|---" * (len(figures) + 1) + "|",
    ]
    for contender in table.contenders:
        cells = [_cell(table, figure, contender) for figure in figures]
        lines.append(f"| {contender} | " + " | ".join(cells) + " |")
    return lines


def _cell(table: Table, figure: Figure, contender: str) -> str:
    found = table.band(figure, contender)
    if found is None or (contender == "direct" and figure.added):
        return "–"
    if figure.times:
        return _ratio(found)
    text = _number(found.median)
    if figure.name.startswith("p99"):
        text += f", min {_number(found.minimum)}"
    ratio = table.ratio(figure, contender)
    if contender in {YARDSTICK, "direct"} or ratio is None:
        return f"{text} [{_number(found.low)}–{_number(found.high)}]"
    return f"{text} ({_ratio(ratio)})"


def _ratio(ratio: Band) -> str:
    return f"**{ratio.median:.2f}×**, {ratio.low:.2f}–{ratio.high:.2f}"


def _number(value: float) -> str:
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _startup(row: dict[str, Any]) -> list[str]:
    mib = 1024 * 1024
    return [
        "## Before the first request",
        "",
        "| | |",
        "|---|---|",
        f"| from command to first answer | {row['ready_ms']:.0f} ms |",
        f"| `import fastroute` (bare Python {row['bare_python_ms']:.0f} ms) | {row['import_ms']:.0f} ms |",
        f"| `fastroute --help` | {row['help_ms']:.0f} ms |",
        (
            f"| idle RSS: data process, supervisor | {row['idle_data_process_kib'] / 1024:.1f}, "
            f"{row['idle_supervisor_kib'] / 1024:.1f} MiB |"
        ),
        (
            f"| installed: packages, size, of it the extension | {len(row['packages'])}, "
            f"{row['installed_bytes'] / mib:.1f} MiB, {row['extension_bytes'] / mib:.1f} MiB |"
        ),
    ]


def _draw(found: list[Table], folder: Path) -> None:
    try:
        # A report is readable without pictures, so the library is no requirement of the gateway's development.
        import matplotlib as mpl  # pyright: ignore[reportMissingImports]
    except ImportError:
        return
    mpl.use("svg")
    # Stable bytes: the same rows give the same file.
    mpl.rcParams["svg.hashsalt"] = "fastroute"
    for table in found:
        _plot(table, folder / f"{table.plan}.svg")


def _plot(table: Table, file: Path) -> None:
    """The first figure of a plan as ratios: a dot per round, a line over the middle half."""
    from matplotlib import pyplot  # pyright: ignore[reportMissingImports]

    figure = FIGURES[table.plan][0]
    contenders = [name for name in table.contenders if name not in {YARDSTICK, "direct"}]
    canvas, axes = pyplot.subplots(figsize=(7, 1.2 + 0.5 * len(contenders)), layout="constrained")
    theirs = table.values(figure, YARDSTICK)
    for place, contender in enumerate(contenders):
        ours = table.values(figure, contender)
        ratios = [value / theirs[number] for number, value in ours.items() if theirs.get(number)]
        spread = results.band(ratios)
        if spread is None:
            continue
        axes.plot([spread.low, spread.high], [place, place], color="0.6", linewidth=6, solid_capstyle="butt")
        axes.plot(ratios, [place] * len(ratios), "o", color="black", markersize=4)
        axes.annotate(f"{spread.median:.2f}×", (spread.median, place), (0, 7), textcoords="offset points", ha="center")
    axes.axvline(1, color="0.3", linestyle=":")
    axes.set_yticks(range(len(contenders)), contenders)
    axes.set_ylim(len(contenders) - 0.4, -0.6)
    axes.set_xlim(left=0)
    axes.set_xlabel(f"{figure.name}, × nginx in the same round")
    axes.set_title(f"{table.plan}: {TITLES.get(table.plan, '')}", fontsize=10)
    canvas.savefig(file, metadata={"Date": None})
    pyplot.close(canvas)
