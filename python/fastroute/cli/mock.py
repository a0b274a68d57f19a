"""`fastroute mock`: an upstream that needs no model, at any speed and with any fault, to test clients and gateways.

One rule: it listens on this machine only, because whoever reaches it may replace its script, and scripts name files.
"""

import socket
from pathlib import Path

import click
import msgspec
import yaml

from fastroute.address import is_loopback
from fastroute.cli.frame import command, option
from fastroute.native import run_mock

_BACKLOG = 1024


@command(
    "mock",
    "fastroute mock                           # well-behaved: chat, streams, embeddings, messages",
    "fastroute mock --script faults.yaml      # resets, stalls, cuts at a byte, statuses, pauses",
    "curl http://127.0.0.1:4010/__mock/log    # what arrived, what was sent, when the peer left",
)
@option(
    "--script",
    env="FASTROUTE_MOCK_SCRIPT",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    show_default="none: it behaves well",
    help="Rules and steps, YAML or JSON.",
)
@option("--host", env="FASTROUTE_MOCK_HOST", default="127.0.0.1", help="Loopback address it binds.")
@option(
    "--port",
    env="FASTROUTE_MOCK_PORT",
    type=click.IntRange(0, 65_535),
    default=4010,
    help="Port it binds; 0 takes any free one.",
)
def mock(script: Path | None, host: str, port: int) -> None:
    """Run an upstream that needs no model.

    A script is rules that match requests (by model, path, header, position) and the steps each gets: delays, statuses,
    events at a pace, bytes as they are, a cut after so many bytes, a stall, a reset.
    """
    rules = _read(script) if script else "{}"
    listener = _bound(host, port)
    address, bound_port = listener.getsockname()[:2]
    origin = f"http://[{address}]:{bound_port}" if ":" in address else f"http://{address}:{bound_port}"
    click.echo(f"mock upstream on {origin}/v1, log on {origin}/__mock/log")
    try:
        run_mock(listener.detach(), rules, str(script.parent if script else ""))
    except ValueError as error:
        raise click.UsageError(f"{script or 'the empty script'}: {error}") from error
    except KeyboardInterrupt:
        return


def _read(script: Path) -> str:
    """The script as JSON. JSON stays as it is, so that a mistake is named where it stands."""
    try:
        text = script.read_text(encoding="utf-8")
    except OSError as error:
        raise click.UsageError(f"{script}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise click.UsageError(f"{script}: not UTF-8") from error
    if script.suffix == ".json":
        return text
    try:
        return msgspec.json.encode(yaml.safe_load(text) or {}).decode()
    except yaml.YAMLError as error:
        raise click.UsageError(f"{script}: {error}") from error


def _bound(host: str, port: int) -> socket.socket:
    if not is_loopback(host):
        raise click.UsageError(f"{host} can be reached from other machines; the mock listens on 127.0.0.1 or ::1 only")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise click.UsageError(f"port {port} on {host}: {error.strerror}; --port 0 takes a free one") from error
    return listener
