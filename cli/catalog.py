"""`abut catalog`: the group of commands that look after an archive's catalogue.

Adding one: a module with a `command`, and a line in `COMMANDS`; it is imported when it runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from cli.group import LazyGroup

if TYPE_CHECKING:
    from collections.abc import Mapping

COMMANDS: Final[Mapping[str, tuple[str, str]]] = {
    "info": ("cli.catalog_info", "Say what the catalogue is and what it lists."),
    "migrate": ("cli.catalog_migrate", "Copy the catalogue into another one, and switch to it."),
    "upgrade": ("cli.catalog_upgrade", "Bring a catalogue of an older version of Abut up to date."),
    "rebuild": ("cli.catalog_rebuild", "List the items of the store anew."),
    "export": ("cli.catalog_export", "Write static STAC or stac-geoparquet."),
}
"""Module and summary of each command."""


@click.group(cls=LazyGroup, modules=COMMANDS)
def command() -> None:
    """Look after an archive's catalogue: an index of its items, in a SQLite file or elsewhere.

    It can be made again from the items at any time; which one an archive has is written in its archive.json. Passwords
    and tokens are not: PostgreSQL's come from PGUSER and PGPASSWORD, that of a STAC API from ABUT_CATALOGUE_TOKEN.

    \b
    abut catalog info --archive l1c
    abut catalog migrate --archive l1c --to postgresql://db.example.org/stac --switch
    """  # noqa: D301 - \b is click's mark before text that is not to be wrapped
