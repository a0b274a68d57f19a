"""Where the `fastroute` command and `python -m fastroute` begin.

One rule: nothing is imported above, because a Ctrl-C during an import ends as quietly as one during a command.
"""


def main() -> None:
    """Runs the command line. Exits; 130 when interrupted, as a shell has it."""
    try:
        # Here and not above: the command line takes most of a tenth of a second to import.
        from fastroute.cli import main as command

        command(prog_name="fastroute")
    except KeyboardInterrupt:
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
