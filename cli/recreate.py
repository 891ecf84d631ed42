"""`abut recreate`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from abut.connection import connect
from abut.export import export_geotiff, export_safe
from abut.export.neighbourhood import export_neighbourhood
from abut.layout import BAND
from abut.length import parse_length
from cli.options import archive_option, debug_option, json_option
from cli.output import bar, print_json

if TYPE_CHECKING:
    from tqdm import tqdm


@click.command
@click.argument("products", metavar="ID...", nargs=-1, required=True)
@archive_option("The archive: a folder, s3://bucket/prefix, or the URL of a service (`abut serve`).")
@click.option(
    "--format",
    "kind",
    type=click.Choice(["geotiff", "safe"]),
    default="geotiff",
    show_default=True,
    help="What to write.",
)
@click.option(
    "--out",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the folders; made if missing.",
)
@click.option(
    "--band",
    "bands",
    multiple=True,
    type=click.Choice(list(BAND)),
    help="Only this band and its masks; can be repeated. GeoTIFF only.",
)
@click.option(
    "--buffer", metavar="LENGTH", help="With what the same datatake saw around the tile: 10km, 500m. GeoTIFF only."
)
@json_option()
@debug_option()
def command(
    products: tuple[str, ...],
    archive: str,
    kind: str,
    out: Path,
    bands: tuple[str, ...],
    *,
    buffer: str | None,
    as_json: bool,
) -> None:
    """Write legacy tiles, as GeoTIFF or as SAFE.

    Pixels are those that came in, wherever they are stored now; each band is compared with the digest recorded at
    ingest. A folder appears when all in it is there.

    \b
    abut recreate S2B_MSIL1C_20250801T101559_N0511_R065_T32TMT_20250801T121559 --archive l1c --out tiles
    abut recreate S2B_MSIL1C_20250801T101559_N0511_R065_T32TMT_20250801T121559 --archive l1c \\
        --format safe --out tiles
    abut recreate S2B_MSIL1C_20250801T101559_N0511_R065_T32TMT_20250801T121559 --archive l1c \\
        --buffer 10km --out tiles
    """  # noqa: D301 - \b is click's mark before text that is not to be wrapped
    if bands and kind == "safe":
        raise click.UsageError("--band is for GeoTIFF; a SAFE has all bands")
    if buffer is not None and kind == "safe":
        raise click.UsageError("--buffer is for GeoTIFF; a SAFE is a tile")
    around = None if buffer is None else parse_length(buffer)
    connection = connect(archive)
    opened = connection.archive
    written = []
    for product in [opened.product(name) for name in products]:
        with bar(None, " files", hidden=as_json) as progress:
            done = partial(_step, progress)
            if around is not None:
                folder = export_neighbourhood(connection, product, around, out, bands=bands or None, done=done)[
                    0
                ].parent
            elif kind == "safe":
                folder = export_safe(opened, product, out, done=done)
            else:
                folder = export_geotiff(opened, product, out, bands=bands or None, done=done)[0].parent
        written.append({"product": product.id, "format": kind, "path": str(folder)})
        if not as_json:
            click.echo(folder)
    if as_json:
        print_json({"recreated": written})


def _step(progress: tqdm[Any], file: str) -> None:
    progress.set_postfix_str(file.rpartition("/")[2], refresh=False)
    progress.update()
