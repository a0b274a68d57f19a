"""The `fastroute` command. One file per command, and a file is imported when its command runs.

One rule: what `--help` needs to say about a command stands in the table here, so that listing commands imports none.
"""

import contextlib
import errno
from collections.abc import Generator
from importlib import import_module
from typing import Any, NamedTuple

import click

from fastroute.cli.frame import abandon_stdout, write_examples
from fastroute.errors import ConfigError, FastrouteError
from fastroute.version import VERSION

# Faults of ours are 1, as Python has it; what the user can put right is 2, as click has it.
_FAULT, _USER_ERROR = 1, 2
_INTERRUPTED = 130
# What a full or failing disk behind `>` gives.
_UNWRITABLE = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO))


class Entry(NamedTuple):
    """A command before it is imported: its group in the help, where it is, and what it does."""

    group: str
    place: str
    summary: str


_GROUPS = ("Run", "Set up", "Inspect", "Test")

COMMANDS = {
    "serve": Entry("Run", "fastroute.cli.serve:serve", "Run the gateway."),
    "check": Entry("Set up", "fastroute.cli.check:check", "Find every mistake in a configuration file."),
    "schema": Entry("Inspect", "fastroute.cli.schema:schema", "Print the JSON Schema of the configuration file."),
    "journal": Entry("Inspect", "fastroute.cli.journal:journal", "Print what is on record of attempts."),
    "mock": Entry("Test", "fastroute.cli.mock:mock", "Run an upstream that needs no model: any speed, any fault."),
    "bench": Entry("Test", "fastroute.cli.bench:bench", "Measure the time the gateway adds to an upstream."),
}

_EXAMPLES = (
    "fastroute serve                          # keys from the environment, http://127.0.0.1:4000",
    "fastroute serve --config fastroute.yaml  # your own models, providers and policies",
    "fastroute check fastroute.yaml           # every mistake at once, with line and column",
)


class LazyGroup(click.Group):
    """Lists commands from the table, and imports the one that is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        module, _, name = entry.place.partition(":")
        return getattr(import_module(module), name)

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        write_examples(formatter, _EXAMPLES)
        super().format_help(ctx, formatter)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for group in _GROUPS:
            rows = [(name, entry.summary) for name, entry in COMMANDS.items() if entry.group == group]
            with formatter.section(group):
                formatter.write_dl(rows)

    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        # Where --help and --version write.
        with _endings():
            return super().make_context(*args, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        with _endings():
            return super().invoke(ctx)


@contextlib.contextmanager
def _endings() -> Generator[None]:
    """What ends a command without being a defect: one line and a status. A broken pipe is click's, and silent."""
    try:
        yield
    except FastrouteError as error:
        click.echo(str(error), err=True)
        raise click.exceptions.Exit(_USER_ERROR if isinstance(error, ConfigError) else _FAULT) from None
    except KeyboardInterrupt:
        # Before click makes a word and status 1 of it.
        raise click.exceptions.Exit(_INTERRUPTED) from None
    except OSError as error:
        # An error about a file has its name.
        if error.errno not in _UNWRITABLE or error.filename is not None:
            raise
        abandon_stdout()
        click.echo(f"cannot write the output: {error.strerror}", err=True)
        raise click.exceptions.Exit(_FAULT) from None


def _print_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        click.echo(f"fastroute {VERSION}")
        ctx.exit()


@click.group(cls=LazyGroup, context_settings={"max_content_width": 110})
@click.option(
    "--version", is_flag=True, expose_value=False, is_eager=True, callback=_print_version, help="Print the version."
)
def main() -> None:
    """A low-latency gateway in front of language-model providers."""
