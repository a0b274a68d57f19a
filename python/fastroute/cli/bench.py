"""`fastroute bench`: the time the gateway adds, as the difference between two ways to the same upstream.

One rule: every way is measured with the same requests at the same offered rate, and only on this machine. Without
addresses it starts a scripted upstream and a gateway of its own, and ends them.
"""

import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click
import msgspec

from fastroute.address import is_loopback, parse_address
from fastroute.cli.frame import command, option
from fastroute.native import load_script, run_load

_UNARY, _STREAMS = "W1", "W4"
_WARM_UP_S = 0.5
_SHARE_OF_SLOWEST = 3
"""The open loop offers a third of what the slowest way can do: enough to be busy, too little to queue."""
_STREAMS_S = 3.0
"""A stream of the workload lasts one; those that begin and end within the window count."""
_MODEL = "mock-small"
_COMMAND = [sys.executable, "-W", "ignore", "-m", "fastroute"]


class Way(NamedTuple):
    """A way to the upstream: what the table calls it, and where requests go."""

    name: str
    address: str
    path: str


class Row(NamedTuple):
    """What one workload came to on one way; times in milliseconds."""

    way: str
    per_s: float
    p50: float | None
    p99: float | None
    ttft_p50: float | None
    ttft_p99: float | None
    errors: int


@command(
    "bench",
    "fastroute bench                          # starts an upstream and a gateway, compares three ways",
    "fastroute bench http://127.0.0.1:4000/v1 --upstream http://127.0.0.1:8080/v1 --model qwen",
    "fastroute bench http://127.0.0.1:4001/v1 --upstream http://127.0.0.1:4010/v1 --seconds 10",
)
@click.argument("gateway", required=False)
@option("--upstream", env="FASTROUTE_BENCH_UPSTREAM", show_default="none", help="URL to compare with, up to /v1.")
@option("--model", env="FASTROUTE_BENCH_MODEL", default=_MODEL, help="Model both are asked for.")
@option(
    "--key",
    env="FASTROUTE_BENCH_KEY",
    show_default="none",
    help="Bearer token sent with every request.",
)
@option(
    "--connections",
    env="FASTROUTE_BENCH_CONNECTIONS",
    type=click.IntRange(1, 4096),
    default=16,
    help="Connections that saturate.",
)
@option(
    "--streams",
    env="FASTROUTE_BENCH_STREAMS",
    type=click.IntRange(0, 4096),
    default=50,
    help="Streams open at once; 0 leaves them out.",
)
@option(
    "--rate",
    env="FASTROUTE_BENCH_RATE",
    type=click.FloatRange(min=1),
    show_default="a third of what the slowest way can do",
    help="Requests a second in the open loop.",
)
@option(
    "--seconds",
    env="FASTROUTE_BENCH_SECONDS",
    type=click.FloatRange(0.1, 600),
    default=3.0,
    help="Length of each measurement.",
)
def bench(
    gateway: str | None,
    upstream: str | None,
    model: str,
    key: str | None,
    connections: int,
    streams: int,
    rate: float | None,
    seconds: float,
) -> None:
    """Measure the time the gateway adds to an upstream.

    GATEWAY is a URL up to /v1. Three workloads: saturation (each connection sends again at once), an open loop
    (requests fall due at a fixed rate, so waiting counts), and streams. Load goes to loopback addresses only.
    """
    headers = [("authorization", f"Bearer {key}")] if key else []
    with contextlib.ExitStack() as stack:
        if gateway or upstream:
            asked = (("upstream", upstream), ("gateway", gateway))
            ways = [_way(name, url) for name, url in asked if url]
        else:
            ways = stack.enter_context(_own_ways())

        def measure(workload: str, count: int, offered: float | None = None) -> list[Row]:
            return [_measured(way, workload, model, headers, count, offered, seconds) for way in ways]

        saturated = measure(_UNARY, connections)
        _print(f"saturation, {connections} connections", saturated)
        offered = rate or max(1.0, round(min(row.per_s for row in saturated) / _SHARE_OF_SLOWEST))
        _print(f"open loop, {offered:g} requests/s", measure(_UNARY, 256, offered))
        if streams:
            seconds = max(seconds, _STREAMS_S)
            _print(f"streams, {streams} at once", measure(_STREAMS, streams))


def _way(name: str, url: str) -> Way:
    try:
        address = parse_address(url)
    except ValueError as error:
        raise click.UsageError(f"{name}: {error}") from error
    if address.scheme != "http" or not is_loopback(address.host):
        raise click.UsageError(f"{name}: load goes to http:// addresses of this machine only")
    host = "127.0.0.1" if address.host == "localhost" else address.host
    shown = f"[{host}]" if ":" in host else host
    return Way(name, f"{shown}:{address.port}", f"{address.prefix}/chat/completions")


def _measured(
    way: Way,
    workload: str,
    model: str,
    headers: list[tuple[str, str]],
    connections: int,
    rate: float | None,
    seconds: float,
) -> Row:
    try:
        report = msgspec.json.decode(
            run_load(
                way.address,
                workload,
                model=model,
                path=way.path,
                headers=headers,
                rate=rate,
                connections=connections,
                warm_up_s=_WARM_UP_S,
                window_s=seconds,
            )
        )
    except OSError as error:
        raise click.ClickException(f"{way.name} at {way.address}: {error}") from error
    if not report["statuses"] and report["errors"].get("connect"):
        raise click.ClickException(f"{way.name}: nobody listens on {way.address}")
    return _row(way.name, report)


def _row(way: str, report: Mapping[str, Any]) -> Row:
    shape: dict[str, Any] = report["shapes"][0]
    stream: dict[str, Any] = shape["stream"] or {}
    first = stream.get("first_content") or shape["first_byte"]
    wrong = sum(count for status, count in report["statuses"].items() if not status.startswith("2"))
    errors = max(wrong, sum(report["errors"].values())) + report["unsent"]

    def ms(values: Mapping[str, float] | None, which: str) -> float | None:
        return values[which] / 1000 if values else None

    return Row(
        way,
        report["completed_per_s"],
        ms(shape["latency"], "p50_us"),
        ms(shape["latency"], "p99_us"),
        ms(first, "p50_us"),
        ms(first, "p99_us"),
        errors,
    )


_COLUMNS = ("req/s", "p50 ms", "p99 ms", "TTFT p50", "TTFT p99", "added p50", "added p99", "errors")


def _print(title: str, rows: Sequence[Row]) -> None:
    """One table; `added` is over the first row, which is the upstream itself where it was measured."""
    click.echo(f"{title:<26}" + "".join(f"{column:>11}" for column in _COLUMNS))
    direct = rows[0] if rows[0].way == "upstream" else None
    for row in rows:
        added = ("-", "-")
        if direct is not None and row is not direct:
            added = (_over(row.p50, direct.p50), _over(row.p99, direct.p99))
        cells = (f"{row.per_s:.0f}", *map(_shown, row[2:6]), *added, str(row.errors))
        click.echo(f"  {row.way:<24}" + "".join(f"{cell:>11}" for cell in cells))
    click.echo()


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _over(value: float | None, direct: float | None) -> str:
    return "-" if value is None or direct is None else f"{value - direct:+.3f}"


@contextlib.contextmanager
def _own_ways() -> Generator[list[Way]]:
    """A scripted upstream and a gateway before it, each in a process of its own."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        script = Path(folder, "script.json")
        script.write_text(load_script(_STREAMS))
        said = stack.enter_context(_running("mock", "--port", "0", "--script", str(script)))
        upstream = next(word.rstrip(",") for word in said.split() if word.startswith("http://"))
        config = Path(folder, "gateway.yaml")
        config.write_text(
            f"listen: {{port: 0, edge_port: 0, admin: false}}\n"
            f"providers: {{bench: {{dialect: openai_chat, address: {upstream}}}}}\n"
            f"models: {{{_MODEL}: {{targets: [bench/{_MODEL}]}}}}\n"
        )
        said = stack.enter_context(_running("serve", "--config", str(config), "--state-dir", folder))
        granian, edge = (word for word in said.split() if word.startswith("http://"))
        yield [_way("upstream", upstream), _way("granian", f"{granian}/v1"), _way("edge", f"{edge}/v1")]


@contextlib.contextmanager
def _running(*arguments: str) -> Generator[str]:
    """One of our own commands; gives the line of its output that names addresses."""
    with subprocess.Popen([*_COMMAND, *arguments], stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - ours
        try:
            line = next((line for line in process.stdout or () if "http://" in line), None)
            if line is None:
                raise click.ClickException(f"`fastroute {arguments[0]}` did not start")
            yield line
        finally:
            # Interrupted rather than terminated: a gateway then leaves without its grace for load balancers.
            process.send_signal(2)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()
