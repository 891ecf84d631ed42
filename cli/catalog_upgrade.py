"""`abut catalog upgrade`."""

from __future__ import annotations

import click

from abut.catalogue import without_secrets
from catalog.opening import open_own, upgrade_catalogue
from cli.catalog_info import require_catalogue
from cli.opening import open_for_writing
from cli.options import archive_option, debug_option, json_option
from cli.output import print_json


@click.command(epilog="Exit status: 0 it is up to date, 1 it can't be reached, 2 it can't be upgraded.")
@archive_option()
@json_option()
@debug_option()
def command(archive: str, *, as_json: bool) -> None:
    """Bring a catalogue that an older version of Abut made up to date.

    No other command does, because programs of the older version can't use it afterwards: upgrade those of all machines
    that share it. Done wholly or not at all; writers wait meanwhile.

    \b
    abut catalog upgrade --archive l1c
    """  # noqa: D301 - \b is click's mark before text that is not to be wrapped
    opened = require_catalogue(open_for_writing(archive))
    upgraded = upgrade_catalogue(opened.catalogue_url)
    open_own(opened, create=False).close()
    url = without_secrets(opened.catalogue_url)
    if as_json:
        print_json({"catalogue": url, "upgraded": upgraded})
    else:
        click.echo(f"{url}: {'upgraded' if upgraded else 'is up to date'}")
