"""`abut zone`: the group of commands that treat a UTM zone as one array.

Adding one: a module with a `command`, and a line in `COMMANDS`; it is imported when it runs.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from collections.abc import Mapping

COMMANDS: Final[Mapping[str, tuple[str, str]]] = {
    "info": ("cli.zone_info", "Say what a zone has: steps, products, blocks."),
    "materialise": ("cli.zone_materialise", "Write a zone as a Zarr of its own."),
}
"""Module and summary of each command."""


class _Group(click.Group):
    """The group of `COMMANDS`."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Names of all commands."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - as above
        """Import a command."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(COMMANDS[cmd_name][0]).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - as above
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])


@click.group(cls=_Group)
def command() -> None:
    """Treat a UTM zone as one array over time.

    All products of a zone are one array of blocks already: Python reads it with abut.zone_store, other programs from
    `abut serve` at /zarr/zones. Nothing has to be written for that; `materialise` writes it all the same.

    \b
    abut zone info --archive l1c --zone 32632 --datetime 2025-07
    abut zone materialise --archive l1c --zone 32632 --datetime 2025-07 --out zone.zarr
    """  # noqa: D301 - \b is click's mark before text that is not to be wrapped
