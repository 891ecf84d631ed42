"""`abut catalog info`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from abut.catalogue import POSTGRES, scheme_of, without_secrets
from abut.errors import InvalidArchiveError
from catalog.opening import open_own
from cli.opening import open_with_catalogue
from cli.options import archive_option, debug_option, json_option
from cli.output import plural, print_json

if TYPE_CHECKING:
    from abut.archive import Archive
    from catalog.interface import Catalogue


@click.command(epilog="Exit status: 0 it answers, 1 it does not, 2 the archive has none.")
@archive_option()
@json_option()
@debug_option()
def command(archive: str, *, as_json: bool) -> None:
    """Say what an archive's catalogue is and what it lists.

    \b
    abut catalog info --archive l1c
    """  # noqa: D301 - \b is click's mark before text that is not to be wrapped
    opened = require_catalogue(open_with_catalogue(archive))
    with open_own(opened, create=False, claim=False) as catalogue:
        collections = [_counted(catalogue, collection["id"]) for collection in catalogue.collections()]
        owner = catalogue.owner()
        described = {
            "catalogue": catalogue.url,
            "kind": kind(opened.catalogue_url),
            "archive": owner.id if owner else None,
            "collections": collections,
        }
    if as_json:
        print_json(described)
        return
    click.echo(f"{described['catalogue']}  ({described['kind']})")
    for one in collections:
        withdrawn = f", {one['withdrawn']:,} withdrawn" if one["withdrawn"] else ""
        click.echo(f"  {one['collection']}  {plural(one['items'], 'item')}{withdrawn}")


def require_catalogue(archive: Archive) -> Archive:
    """Return an archive that has a catalogue.

    Raises
    ------
    InvalidArchiveError
        If it has none.
    """
    if not archive.catalogue:
        raise InvalidArchiveError(f"{archive.store.url}: the archive has no catalogue")
    return archive


def kind(catalogue: str) -> str:
    """Return what keeps a catalogue."""
    scheme = scheme_of(without_secrets(catalogue))
    if not scheme:
        return "SQLite"
    return "PostgreSQL with pgstac" if scheme in POSTGRES else "STAC API"


def _counted(catalogue: Catalogue, collection: str) -> dict[str, Any]:
    items = withdrawn = 0
    for item in catalogue.items(collection, withdrawn=True):
        items += 1
        withdrawn += bool(item["properties"].get("abut:withdrawn"))
    return {"collection": collection, "items": items, "withdrawn": withdrawn}
