"""`fastroute serve` up to the point where it serves: what it accepts, what it refuses, and the first screen."""

import contextlib
import importlib
import itertools
import re
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from fastroute.catalogue import read_catalogue
from fastroute.cli import main
from fastroute.config.schema import Config

PACKAGE = Path(__file__).parents[2] / "python"
# What a build without optimisation warns of is not looked at here.
ENVIRON = {"PYTHONPATH": str(PACKAGE), "PYTHONWARNINGS": "ignore"}
# The module: `fastroute.cli.serve` as an attribute is the same, but a checker takes it for the command.
serve: Any = importlib.import_module("fastroute.cli.serve")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, and no key in the environment."""
    monkeypatch.chdir(tmp_path)
    for variable in [
        "FASTROUTE_CONFIG",
        *(name for row in read_catalogue().providers.values() for name in (*row.key_env, *row.bearer_env)),
    ]:
        monkeypatch.delenv(variable, raising=False)
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ("serve", *arguments))


def test_a_file_may_name_a_provider_of_the_catalogue(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-one")
    monkeypatch.setenv("GROQ_API_KEY", "gsk-two")
    (folder / "a.yaml").write_text("providers: {openai: {min_idle: 2}}\nmodels: {a: {targets: [openai/x, groq/y]}}\n")
    result = run("--dry-run", "-c", "a.yaml")
    assert (result.exit_code, result.output) == (0, "the configuration can be used\n")


def test_what_check_would_say_is_said_with_line_and_column(folder: Path) -> None:
    (folder / "a.yaml").write_text("models: {a: {targets: [groq/y]}}\n")
    result = run("--dry-run", "-c", "a.yaml")
    assert result.exit_code == 2
    assert result.stderr == 'a.yaml:1:24: models.a.targets[0]: provider "groq" has no key; set GROQ_API_KEY\n'


@contextlib.contextmanager
def serving(*arguments: str, **environ: str) -> Generator[list[str]]:
    """The lines of the first screen of a gateway on free ports, which is ended afterwards."""
    with (
        tempfile.TemporaryDirectory() as state,
        subprocess.Popen(
            [sys.executable, "-c", "from fastroute.cli import main; main()", "serve", *arguments],
            env=ENVIRON | {"FASTROUTE_STATE_DIR": state} | environ,
            stdout=subprocess.PIPE,
            text=True,
        ) as process,
    ):
        try:
            yield list(itertools.takewhile(lambda line: "SDKs" not in line, process.stdout or ()))
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=30)


def line_of(screen: list[str], word: str) -> str:
    (line,) = (line for line in screen if line.split()[0] == word)
    return line.split(maxsplit=1)[1].strip()


def test_the_first_screen_lists_every_listener_and_what_the_admin_one_answers() -> None:
    with serving("--port", "0") as screen:
        assert len(re.findall(r"http://127\.0\.0\.1:\d+ \((?:granian|edge)\)", line_of(screen, "listening"))) == 2
        admin = line_of(screen, "admin")
        address = re.match(r"(http://127\.0\.0\.1:\d+/metrics), also /livez and /readyz$", admin)
        assert address, admin
        with urllib.request.urlopen(address[1], timeout=10) as reply:  # noqa: S310 - the pattern holds the scheme
            assert b"fastroute_exchanges_total" in reply.read()


def test_the_first_screen_promises_no_provider_that_is_not_there() -> None:
    with serving("--port", "0") as screen:
        assert line_of(screen, "models") == "mock/echo"
    with serving("--port", "0", OPENAI_API_KEY="sk-one") as screen:
        assert line_of(screen, "models") == "mock/echo; provider/model reaches every other"


def test_a_file_with_providers_alone_gets_a_request_to_copy_that_names_one(folder: Path) -> None:
    (folder / "a.yaml").write_text('providers: {here: {dialect: openai_chat, address: "http://127.0.0.1:9"}}\n')
    with serving("--port", "0", "-c", str(folder / "a.yaml")) as screen:
        assert line_of(screen, "models") == "provider/model reaches every one"
        assert '"model":"here/MODEL"' in line_of(screen, "try")


def ports_of(**options: int | None) -> tuple[int, int, int]:
    asked = {"port": None, "edge_port": None, "admin_port": None, **options}
    listen = serve._with_options(Config(), {**serve._ports(**asked)}).listen
    return listen.port, listen.edge_port, listen.admin_port


def test_one_port_moves_all_three_and_each_can_be_moved_alone() -> None:
    assert ports_of() == (4000, 4001, 4002)
    assert ports_of(port=8000) == (8000, 8001, 8002)
    assert ports_of(port=0) == (0, 0, 0)
    assert ports_of(admin_port=9090) == (4000, 4001, 9090)
    assert ports_of(port=8000, edge_port=0, admin_port=9090) == (8000, 0, 9090)
    assert ports_of(port=65_535, edge_port=1, admin_port=2) == (65_535, 1, 2)


def test_a_port_without_room_above_it_says_which_options_make_room(folder: Path) -> None:
    result = run("--dry-run", "--port", "65534")
    assert result.exit_code == 2
    assert "--port 65534 leaves no room above it; say --edge-port and --admin-port too" in result.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_a_gateway_serves_on_although_its_first_screen_cannot_be_written(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    arguments = ["serve", "--port", str(port), "--edge-port", "0", "--admin-port", "0"]
    with (
        Path("/dev/full").open("w") as full,
        subprocess.Popen(
            [sys.executable, "-c", "from fastroute.cli import main; main()", *arguments],
            env=ENVIRON | {"FASTROUTE_STATE_DIR": str(tmp_path)},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        ) as process,
    ):
        try:
            assert process.stderr is not None
            assert process.stderr.readline() == "cannot write the first screen: No space left on device\n"
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=10) as reply:
                assert reply.status == 200
        finally:
            process.send_signal(signal.SIGINT)
            rest = process.communicate(timeout=30)[1]
    assert (process.returncode, rest) == (0, "")
