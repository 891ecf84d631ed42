"""`abut create`."""

from __future__ import annotations

import click

from abut.catalogue import without_secrets
from abut.codec import PROFILES
from catalog.opening import open_own
from cli.opening import make_archive
from cli.options import archive_option, debug_option, json_option
from cli.output import print_json


@click.command(epilog="Exit status: 0 it is there, 1 the catalogue can't be reached, 2 it can't be made.")
@archive_option()
@click.option("--profile", type=click.Choice(list(PROFILES)), help="Encoding of its blocks. [default: default]")
@click.option(
    "--catalogue",
    metavar="FILE|URL",
    envvar="ABUT_CATALOGUE",
    show_envvar=True,
    help="Its catalogue: a SQLite file, postgresql://host/database, or the URL of a STAC API. "
    "[default: catalog.sqlite in a folder, none on S3]",
)
@json_option()
@debug_option()
def command(archive: str, profile: str | None, *, catalogue: str | None, as_json: bool) -> None:
    """Make an archive without products, and its catalogue, if they are not there.

    `abut ingest` does it by itself; services need an archive before there is a product. One that is there is left as it
    is, but its catalogue must be the one that is named.

    \b
    abut create --archive s3://bucket/l1c --catalogue postgresql://db.example.org/stac
    """  # noqa: D301 - \b is click's mark before text that is not to be wrapped
    opened = make_archive(archive, profile, catalogue)
    if opened.catalogue:
        open_own(opened).close()
    url = without_secrets(opened.catalogue_url) if opened.catalogue else None
    if as_json:
        print_json({"archive": opened.store.url, "id": opened.id, "profile": opened.profile, "catalogue": url})
    else:
        click.echo(f"{opened.store.url}: profile {opened.profile}, catalogue {url or 'none'}")
