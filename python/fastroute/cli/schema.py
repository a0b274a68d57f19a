"""`fastroute schema`: the JSON Schema of the configuration file, for editors and for CI."""

import click
import msgspec

from fastroute.cli.frame import command
from fastroute.config.json_schema import published_schema


@command(
    "schema",
    "fastroute schema > fastroute.schema.json",
    "# then, as the first line of fastroute.yaml:",
    "# yaml-language-server: $schema=fastroute.schema.json",
)
def schema() -> None:
    """Print the JSON Schema of the configuration file."""
    click.echo(msgspec.json.format(msgspec.json.encode(published_schema()), indent=2))
