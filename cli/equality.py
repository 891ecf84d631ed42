"""`abut equality`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.demonstration import extras
from cli.demonstration.folder import fresh_folder
from cli.options import debug_option
from cli.output import plural
from cli.status import FAILED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cli.demonstration.report import Report

COMMAND = "equality"


@click.command(epilog="Exit status: 0 all products are equal, 1 one is not, 2 it could not run.")
@click.argument("safes", metavar="SAFE...", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default="equality-output",
    show_default=True,
    help="Folder to write to; emptied first if an earlier run made it.",
)
@click.option("--archive", metavar="DIR|URL", help="Archive to add the products to. [default: one inside --out]")
@debug_option()
def command(safes: tuple[Path, ...], out: Path, archive: str | None) -> int:
    """Prove for your own products that tiles come back as they went in, and see how overlaps compare.

    SAFE are products of one datatake that are neighbours: folders, zips, or folders that hold such. They are stored,
    overlap is removed, and every tile is compared with its SAFE: bands, masks, angles, files. Writes a certificate
    for each product, equality.json with histograms of the differences between neighbours for each band, and
    equality.html for reading. In an archive of your own (--archive) nothing is purged.

    \b
    abut equality --out proof downloads/
    abut equality --out proof S2B_MSIL1C_20250801*T32TMT*.SAFE S2B_MSIL1C_20250801*T32TNT*.SAFE
    """  # noqa: D301 - \b is click's mark before text that is not to be wrapped
    report = prove(fresh_folder(out, COMMAND, inputs=safes), safes, archive=archive)
    for certificate in report.certificates:
        click.echo(certificate.lines()[-1])
    for layer in report.layers:
        stock = layer.stock
        click.echo(
            f"{stock.layer}: {stock.stored_before - stock.stored_after:,} of {plural(stock.stored_before, 'block')} "
            f"released, {layer.unequal:,} stored again because pixels differ"
        )
        for (first, second), bands in layer.pairs.items():
            pixels, differing = sum(band.pixels for band in bands), sum(band.differing for band in bands)
            click.echo(f"  {first} / {second}: {differing:,} of {pixels:,} pixels differ")
    click.echo(f"\n{out / 'equality.html'}: to read; equality.json, certificates/: to keep")
    return 0 if report.equal else FAILED


def prove(out: Path, safes: Sequence[Path], *, archive: str | None = None, workers: int | None = None) -> Report:
    """Store, settle, verify and compare products, and write certificates, JSON, pictures and page.

    Parameters
    ----------
    out : Path
        An empty folder.
    safes : sequence of Path
        SAFE products, and folders that hold such.
    archive : str, optional
        Archive to use, in which nothing is purged. Default: a new one in `out`, purged at once.
    workers : int, optional
        Processes for ingest, as for `ingest.parallel.ingest_many`.

    Raises
    ------
    click.UsageError
        If Pillow or rasterio are not installed.
    click.ClickException
        If a product can't be ingested.
    """
    with extras():
        from cli.demonstration import steps  # noqa: PLC0415 - rasterio and Pillow are extras
        from cli.demonstration.page import page  # noqa: PLC0415 - as above
        from cli.demonstration.report import as_json, make_report  # noqa: PLC0415 - as above

    stored = steps.store(archive or out / "archive", safes, purge_now=archive is None, workers=workers)
    certificates = steps.certify(stored.archive, safes, out / "certificates")
    report = make_report(stored, certificates)
    (out / "equality.json").write_text(json.dumps(as_json(report), indent=1) + "\n", encoding="utf-8")
    pictures = steps.draw_stock(stored, out)
    (out / "equality.html").write_text(page(report, pictures), encoding="utf-8")
    return report
