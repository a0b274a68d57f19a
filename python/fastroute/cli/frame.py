"""What every command is made of: examples first, then usage, then options with their variable and default.

One rule: an option can be given by an environment variable, and its help says which. Nothing is coloured, so the output
is the same in a terminal, in a pipe and with NO_COLOR.
"""

import contextlib
import os
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

# Wide enough for an option with its variable and default on one line, where the terminal allows it.
_WIDTH = 110


class Command(click.Command):
    """A command whose help starts with examples."""

    def __init__(self, *args: Any, examples: tuple[str, ...] = (), **kwargs: Any) -> None:
        kwargs.setdefault("context_settings", {"max_content_width": _WIDTH, "show_default": True})
        super().__init__(*args, **kwargs)
        self.examples = examples

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        write_examples(formatter, self.examples)
        super().format_help(ctx, formatter)


def command(name: str, *examples: str) -> Callable[[Callable[..., Any]], Command]:
    """Make a function the command `name`. Its docstring is the help text."""
    return click.command(name, cls=Command, examples=examples)


def option(*names: str, env: str, **settings: Any) -> Callable[[F], F]:
    """An option that `env` can give as well. The help shows both the variable and the default."""
    return click.option(
        *names, envvar=env, show_envvar=True, show_default=settings.pop("show_default", True), **settings
    )


def config_option() -> Callable[[F], F]:
    """`--config FILE`, the same for every command that reads one."""
    return option(
        "-c",
        "--config",
        env="FASTROUTE_CONFIG",
        type=click.Path(dir_okay=False),
        show_default="none: keys from the environment",
        help="Configuration file, YAML or TOML.",
    )


def abandon_stdout() -> None:
    """After a write that failed: what is left in the buffer would fail once more as the interpreter ends."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def state_dir_option() -> Callable[[F], F]:
    """`--state-dir DIR`, the same for every command that keeps or reads state."""
    return option(
        "--state-dir",
        env="FASTROUTE_STATE_DIR",
        type=click.Path(file_okay=False),
        show_default="$STATE_DIRECTORY, or fastroute in $XDG_STATE_HOME or ~/.local/state",
        help="Folder of what outlives the process, one subfolder per port.",
    )


def write_examples(formatter: click.HelpFormatter, examples: tuple[str, ...]) -> None:
    """The examples as they are typed, above everything else."""
    for line in examples:
        formatter.write(f"  {line}\n")
    if examples:
        formatter.write("\n")
