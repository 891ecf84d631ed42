"""`abut catalog export`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Final

import click

from abut.errors import ExportError
from catalog.export import export_geoparquet, export_static
from catalog.export.geoparquet import SUFFIXES
from catalog.item import COLLECTION_ID
from catalog.opening import open_catalogue
from cli.opening import open_with_catalogue
from cli.options import archive_option, debug_option, json_option
from cli.output import bar, plural, print_json, size
from cli.reading import index_of

if TYPE_CHECKING:
    from catalog.export.static import Grouping

_WAYS: Final = ("absolute", "relative")


@click.command
@archive_option()
@click.argument("target", metavar="DIR|FILE|URL")
@click.option(
    "--by", type=click.Choice(["month", "tile"]), default="month", show_default=True, help="Folders of items."
)
@click.option(
    "--asset-hrefs",
    "hrefs",
    default="absolute",
    show_default=True,
    metavar="absolute|relative|URL",
    help="How assets are named: where the archive lies, from where each item lies, or where URL has the archive.",
)
@click.option("--collection", default=COLLECTION_ID, show_default=True, help="Collection of a table.")
@click.option("--force", is_flag=True, help="Replace an earlier export.")
@json_option()
@debug_option()
def command(
    *, archive: str, target: str, by: Grouping, hrefs: str, collection: str, force: bool, as_json: bool
) -> None:
    """Write an archive's catalogue as static STAC, or as one stac-geoparquet table (FILE.parquet).

    Static STAC is a folder, or s3://bucket/prefix, whose files link to each other: a web server makes it a catalogue.
    Withdrawn products are left out.

    \b
    abut catalog export --archive l1c stac
    abut catalog export --archive l1c s3://bucket/stac --asset-hrefs https://example.org/zarr
    abut catalog export --archive l1c l1c.parquet
    """  # noqa: D301 - \b is click's mark before text that is not to be wrapped
    opened = open_with_catalogue(archive)
    place = opened.store.url if hrefs in _WAYS else hrefs
    if hrefs not in _WAYS and "://" not in hrefs:
        raise click.UsageError(f"--asset-hrefs {hrefs!r} is neither absolute, relative nor a URL")
    table = target.endswith(SUFFIXES)
    if table and hrefs == "relative":
        raise ExportError(f"{target}: a table has no relative hrefs")
    with (
        index_of(opened) as url,
        open_catalogue(url, create=False) as catalogue,
        bar(None, " items", hidden=as_json) as progress,
    ):
        if table:
            done = export_geoparquet(
                catalogue, target, archive=place, collection=collection, force=force, on_item=progress.update
            )
        else:
            relative = hrefs == "relative"
            done = export_static(
                catalogue, target, archive=place, by=by, relative=relative, force=force, on_item=progress.update
            )
    if as_json:
        print_json(asdict(done))
    else:
        click.echo(
            f"{plural(done.items, 'item')} in {plural(done.files, 'file')}, {size(done.data_bytes)}: {done.target}"
        )
