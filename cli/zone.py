"""`abut zone`: the group of commands that treat a UTM zone as one array.

Adding one: a module with a `command`, and a line in `COMMANDS`; it is imported when it runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from cli.group import LazyGroup

if TYPE_CHECKING:
    from collections.abc import Mapping

COMMANDS: Final[Mapping[str, tuple[str, str]]] = {
    "info": ("cli.zone_info", "Say what a zone has: steps, products, blocks."),
    "materialise": ("cli.zone_materialise", "Write a zone as a Zarr of its own."),
}
"""Module and summary of each command."""


@click.group(cls=LazyGroup, modules=COMMANDS)
def command() -> None:
    """Treat a UTM zone as one array over time.

    All products of a zone are one array of blocks already: Python reads it with abut.zone_store, other programs from
    `abut serve` at /zarr/zones. Nothing has to be written for that; `materialise` writes it all the same.

    \b
    abut zone info --archive l1c --zone 32632 --datetime 2025-07
    abut zone materialise --archive l1c --zone 32632 --datetime 2025-07 --out zone.zarr
    """  # noqa: D301 - \b is click's mark before text that is not to be wrapped
