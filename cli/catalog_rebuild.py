"""`abut catalog rebuild`."""

from __future__ import annotations

import click

from catalog.opening import open_own
from cli.catalog_info import require_catalogue
from cli.opening import open_for_writing
from cli.options import archive_option, debug_option, json_option
from cli.output import bar, plural, print_json
from ingest.listing import rebuild


@click.command
@archive_option()
@json_option()
@debug_option()
def command(archive: str, *, as_json: bool) -> None:
    """List the items of the store anew, and nothing else of the archive's collection.

    Searches go on meanwhile. Use it for a catalogue that was lost or made empty; `abut check --repair` mends one.

    \b
    abut catalog rebuild --archive l1c
    """  # noqa: D301 - \b is click's mark before text that is not to be wrapped
    opened = open_for_writing(archive)
    with (
        open_own(require_catalogue(opened)) as catalogue,
        bar(len(opened.item_ids()), " items", hidden=as_json) as progress,
    ):
        count = rebuild(opened, catalogue, lambda: progress.update(1))
        url = catalogue.url
    if as_json:
        print_json({"catalogue": url, "items": count})
    else:
        click.echo(f"{plural(count, 'item')} listed in {url}")
