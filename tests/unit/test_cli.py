"""The command line as a whole: help, options, what is imported and how fast it answers."""

import os
import resource
import socket
import subprocess
import sys
from pathlib import Path
from typing import IO, cast

import click
import pytest
from click.testing import CliRunner

from fastroute.cli import COMMANDS, LazyGroup, main
from fastroute.cli.frame import Command, command, config_option, option
from fastroute.errors import ConfigError, EngineError, Mistake
from fastroute.version import VERSION

PACKAGE = Path(__file__).parents[2] / "python"
WRITTEN = [
    name
    for name, entry in COMMANDS.items()
    if (PACKAGE / f"{entry.place.partition(':')[0].replace('.', '/')}.py").is_file()
]


def in_new_process(code: str) -> str:
    result = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(PACKAGE)},
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_help_shows_three_examples_first_and_then_the_commands_in_groups() -> None:
    lines = CliRunner().invoke(main, ["--help"]).stdout.splitlines()
    assert [line.split()[:2] for line in lines[:3]] == [
        ["fastroute", "serve"],
        ["fastroute", "serve"],
        ["fastroute", "check"],
    ]
    assert lines[4].startswith("Usage: fastroute") or lines[4].startswith("Usage: main")
    groups = [line for line in lines if line in ("Run:", "Set up:", "Inspect:", "Test:")]
    assert groups == ["Run:", "Set up:", "Inspect:", "Test:"]
    for name, entry in COMMANDS.items():
        assert any(line.split(maxsplit=1) == [name, entry.summary] for line in lines)


def test_help_is_plain_text_everywhere() -> None:
    result = CliRunner().invoke(main, ["--help"], color=True)
    assert "\x1b" not in result.stdout


def test_help_imports_no_command_and_nothing_heavy() -> None:
    code = """
import sys
from click.testing import CliRunner
from fastroute.cli import main
assert CliRunner().invoke(main, ["--help"]).exit_code == 0
print(*sys.modules)
"""
    loaded = set(in_new_process(code).split())
    heavy = {"msgspec", "yaml", "jsonschema_rs", "granian", "uvloop", "asyncio", "fastroute._core", "fastroute.config"}
    assert not loaded & (heavy | {entry.place.partition(":")[0] for entry in COMMANDS.values()})


def test_help_answers_within_its_budget() -> None:
    code = "from fastroute.cli import main; main(['--help'], prog_name='fastroute')"

    def cpu_s() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        in_new_process(code)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime

    # CPU time, and the least of five: neighbours on the machine only ever add to it.
    assert min(cpu_s() for _ in range(5)) < 0.150


def test_an_unknown_command_exits_with_2() -> None:
    result = CliRunner().invoke(main, ["servee"])
    assert result.exit_code == 2
    assert "No such command 'servee'" in result.output


@pytest.mark.parametrize("name", WRITTEN)
def test_every_option_of_a_command_has_a_variable_a_default_and_a_word_of_help(name: str) -> None:
    found = main.get_command(click.Context(main), name)
    assert isinstance(found, Command)
    assert found.name == name
    assert found.examples, "a command's help starts with examples"
    assert found.help
    for parameter in found.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name
            assert isinstance(parameter.envvar, str), parameter.name
            assert parameter.envvar.startswith("FASTROUTE_"), parameter.name
            assert parameter.show_envvar, parameter.name
            assert parameter.show_default, parameter.name


def test_an_option_frame_shows_variable_and_default() -> None:
    @command("try", "fastroute try")
    @option("--port", env="FASTROUTE_PORT", default=4000, help="Port.")
    @config_option()
    def attempt(port: int, config: str | None) -> None:
        """Try."""
        click.echo(f"{port} {config}")

    text = " ".join(CliRunner().invoke(attempt, ["--help"]).stdout.split())
    assert text.startswith("fastroute try Usage: try")
    assert "[env var: FASTROUTE_PORT; default: 4000]" in text
    assert "[env var: FASTROUTE_CONFIG; default: (none: keys from the environment)]" in text
    run = CliRunner().invoke(attempt, [], env={"FASTROUTE_PORT": "1", "FASTROUTE_CONFIG": "x.yaml"})
    assert run.stdout == "1 x.yaml\n"


@pytest.mark.parametrize(
    "error, status",
    [(ConfigError([Mistake("a.yaml", 1, 2, "listen", "wrong", "do this")]), 2), (EngineError("it broke; do that"), 1)],
)
def test_what_is_raised_on_purpose_is_one_line_and_no_traceback(error: Exception, status: int) -> None:
    group = LazyGroup("fastroute")

    @click.command("fail")
    def fail() -> None:
        raise error

    group.get_command = lambda ctx, cmd_name: fail  # type: ignore[method-assign]
    result = CliRunner().invoke(group, ["fail"])
    assert (result.exit_code, result.stderr) == (status, f"{error}\n")


def run_into(output: object, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", "from fastroute.cli import main; main()", *arguments],
        env={"PYTHONPATH": str(PACKAGE)},
        stdout=cast("IO[str]", output),
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )


WRITING = pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["check", "--help"], ["schema"], ["check", "a.yaml"]], ids=" ".join
)


@WRITING
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_a_full_disk_behind_stdout_is_told_in_one_line(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.yaml").write_text("listen: {prot: 1}\n")
    with Path("/dev/full").open("w") as full:
        result = run_into(full, *arguments)
    assert (result.returncode, result.stderr) == (1, "cannot write the output: No space left on device\n")


@WRITING
def test_a_reader_that_left_ends_a_command_silently(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.yaml").write_text("listen: {prot: 1}\n")
    read, write = os.pipe()
    os.close(read)
    try:
        result = run_into(write, *arguments)
    finally:
        os.close(write)
    assert (result.returncode, result.stderr) == (1, "")


def test_the_version_needs_no_installed_package() -> None:
    assert CliRunner().invoke(main, ["--version"]).stdout == f"fastroute {VERSION}\n"


INTERRUPTED = """
import sys

class Interrupts:
    def find_spec(self, name, path=None, target=None):
        if name == MODULE:
            raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupts())
from fastroute.__main__ import main
main()
"""


@pytest.mark.parametrize(
    "module",
    ["fastroute.cli", "click", "fastroute.cli.frame", "fastroute.cli.serve", "msgspec", "fastroute.supervisor"],
)
def test_an_interrupt_while_something_is_imported_is_silent(module: str) -> None:
    result = subprocess.run(
        [sys.executable, "-c", INTERRUPTED.replace("MODULE", repr(module)), "serve", "--dry-run"],
        env={"PYTHONPATH": str(PACKAGE)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (result.returncode, result.stdout, result.stderr) == (130, "", "")


@pytest.mark.parametrize("place", ["msgspec.msgpack.encode", "fastroute.supervisor.os.fdopen", "subprocess.Popen"])
def test_an_interrupt_while_the_data_process_starts_is_silent_and_leaves_none_behind(
    place: str, tmp_path: Path
) -> None:
    holder, _, name = place.rpartition(".")
    code = f"""
import fastroute.supervisor, msgspec, subprocess, sys
before = {place}
def interrupted(*args, **settings):
    {holder}.{name} = before
    # A child that lives on holds stderr open, and whoever reads it waits.
    if {name!r} == "Popen":
        before(*args, **settings)
    raise KeyboardInterrupt
{holder}.{name} = interrupted
from fastroute.__main__ import main
sys.argv[1:] = ["serve", "--port", "0"]
main()
"""
    result = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(PACKAGE), "PYTHONWARNINGS": "ignore", "FASTROUTE_STATE_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (result.returncode, result.stdout, result.stderr) == (130, "", "")


def test_the_package_runs_as_a_module() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "fastroute", "--version"],
        env={"PYTHONPATH": str(PACKAGE)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (result.returncode, result.stdout) == (0, f"fastroute {VERSION}\n")


def test_a_script_that_is_no_text_is_told_as_that(tmp_path: Path) -> None:
    script = tmp_path / "latin.yaml"
    script.write_bytes(b"# caf\xe9\n")
    result = CliRunner().invoke(main, ["mock", "--port", "0", "--script", str(script)])
    assert result.exit_code == 2
    assert f"Error: {script}: not UTF-8" in result.stderr


def test_a_measurement_of_nobody_is_an_error_and_no_table_of_zeros() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        place = f"127.0.0.1:{free.getsockname()[1]}"
    result = CliRunner().invoke(main, ["bench", f"http://{place}/v1", "--seconds", "0.1", "--connections", "1"])
    assert (result.exit_code, result.stdout) == (1, "")
    assert f"gateway: nobody listens on {place}" in result.stderr
