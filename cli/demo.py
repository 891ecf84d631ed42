"""`abut demo`."""

from __future__ import annotations

from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

import click

from abut.errors import DigestMismatchError
from cli.demonstration import extras
from cli.demonstration.folder import fresh_folder
from cli.demonstration.viewer import show
from cli.options import debug_option
from cli.output import plural, size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cli.demonstration.products import Plan
    from cli.demonstration.steps import Recreated, Stored
    from ingest.certificate import Certificate

COMMAND = "demo"


@click.command(epilog="Exit status: 0 all is equal, 1 something is not, 2 it could not run.")
@click.argument("safes", metavar="[SAFE...]", nargs=-1, type=click.Path(exists=True, path_type=Path))
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default="demo-output",
    show_default=True,
    help="Folder to write to; emptied first if an earlier demo made it.",
)
@click.option(
    "--open/--no-open",
    "opening",
    help="At the end, in a terminal with a screen: serve the archive and open the viewer.  [default: no-open]",
)
@debug_option()
def command(safes: tuple[Path, ...], out: Path, *, opening: bool) -> None:
    """See the main job done: SAFE in, overlap out, any legacy tile back bit for bit.

    Makes five products with real pixels around a corner of four tiles at the border of a UTM zone, stores them in an
    archive, removes the overlap, verifies every pixel against the SAFEs, and writes one SAFE again. With SAFE it does
    the same to products of your own: a tile and its neighbours of one datatake.

    \b
    abut demo
    abut demo --out my-demo S2A_MSIL1C_20250801*T32TMT*.SAFE S2A_MSIL1C_20250801*T32TNT*.SAFE
    """  # noqa: D301 - \b is click's mark before text that is not to be wrapped
    from cli.demonstration.products import plan  # noqa: PLC0415 - loads numpy

    folder = fresh_folder(out, COMMAND, inputs=safes)
    demonstrate(folder, list(safes) or plan())
    show(folder / "archive", opening=opening)


def demonstrate(out: Path, source: Plan | Sequence[Path], *, workers: int | None = None) -> None:
    """Run all steps in an empty folder and print what each did.

    Parameters
    ----------
    out : Path
        The folder.
    source : Plan or sequence of Path
        Products to be made, or SAFEs that exist.
    workers : int, optional
        Processes for ingest, as for `ingest.parallel.ingest_many`; 0 does all in this one.

    Raises
    ------
    DigestMismatchError
        If something did not come back as it went in.
    click.UsageError
        If a package that the demonstration needs is not installed.
    """
    with extras():
        from cli.demonstration import steps  # noqa: PLC0415 - rasterio and Pillow are extras
        from cli.demonstration.products import Plan, make_products  # noqa: PLC0415 - as above

    clock = _Clock()
    own = not isinstance(source, Plan)
    if isinstance(source, Plan):
        safes: Sequence[Path] = make_products(source, out / "safe")
        made = " ".join(str(tile) for tile in source.tiles)
        clock.say("products", f"{plural(len(safes), 'SAFE')} made, real pixels in a made-up swath: {made}")
    else:
        safes = source
    stored = steps.store(out / "archive", safes, purge_now=True, workers=workers)
    _say_stored(clock, stored)
    certificates = steps.certify(stored.archive, safes, out / "certificates", processes=1 if own or workers == 0 else 2)
    _say_certified(clock, certificates)
    first = certificates[0]
    recreated = steps.recreate(
        stored.archive, stored.archive.product(first.product), Path(first.safe), out / "recreated"
    )
    _say_recreated(clock, recreated, first.tile)
    pictures = steps.draw_stock(stored, out)
    clock.say("picture", f"who stores which block, before and after: {' '.join(path.name for path in pictures)}")
    _say_more(out, first, recreated)
    failed = [certificate.product for certificate in certificates if not certificate.equal]
    if failed or recreated.unequal:
        what = failed[0] if failed else recreated.unequal[0]
        raise DigestMismatchError(f"{what}: not equal to the SAFE, see {out / 'certificates'}")


class _Clock:
    """Says what a step did, and how long it took."""

    def __init__(self) -> None:
        self._last = monotonic()

    def say(self, step: str, text: str) -> None:
        """Print a line."""
        now = monotonic()
        click.echo(f"{step:<10} {text}  [{now - self._last:.0f} s]")
        self._last = now


def _say_stored(clock: _Clock, stored: Stored) -> None:
    stock = stored.stock
    before, after = sum(one.bytes_before for one in stock), sum(one.bytes_after for one in stock)
    blocks, left = sum(one.stored_before for one in stock), sum(one.stored_after for one in stock)
    distinct = sum(one.distinct for one in stock)
    unequal = sum(layer.unequal for layer in stored.settled)
    objects = sum(layer.objects for layer in stored.purged)
    clock.say(
        "ingest",
        f"{plural(len(stored.products), 'product')}: {blocks:,} blocks, {size(before)} in 13 bands, then settled",
    )
    click.echo(
        f"{'overlap':<10} {distinct:,} distinct blocks; stored before {blocks:,}, now {left:,}; {unequal:,} differ"
    )
    saved = f"{100 * (before - after) / before:.0f} %" if before else "nothing"
    click.echo(f"{'purge':<10} {objects:,} objects dropped: {size(before)} -> {size(after)}, {saved} saved here")


def _say_certified(clock: _Clock, certificates: Sequence[Certificate]) -> None:
    equal = sum(certificate.equal for certificate in certificates)
    values = sum(certificate.pixels for certificate in certificates)
    differing = sum(certificate.differing for certificate in certificates)
    files = sum(len(certificate.files) for certificate in certificates)
    clock.say(
        "verify",
        f"{equal} of {len(certificates)} products equal to their SAFEs: "
        f"{values:,} values compared, {differing:,} differ; {files:,} files",
    )


def _say_recreated(clock: _Clock, recreated: Recreated, tile: str) -> None:
    bad = f"; NOT EQUAL: {', '.join(recreated.unequal)}" if recreated.unequal else ""
    clock.say(
        "recreate",
        f"{tile} as SAFE again: {recreated.images} of 13 images decode to equal pixels, "
        f"{recreated.files} other files equal byte for byte{bad}",
    )


def _say_more(out: Path, first: Certificate, recreated: Recreated) -> None:
    archive = out / "archive"
    click.echo(
        f"""
In {out}:
  overlap-*.png   the picture: look at it first
  certificates/   one per product, JSON: digests of every array, what was compared and what was not
  archive/        the overlap-free archive, Zarr; recreated/: {recreated.folder.name}

Most of this ground is overlap, so it saves more than whole tiles do: there it is 17 % of what a zone stores.

Try next:
  abut list --archive {archive}
  abut check --deep --archive {archive}
  abut recreate {first.product} --archive {archive} --out {out / "tiles"}
  make equality SAFE="a.SAFE b.SAFE"      the same proof for your own products, as a page"""
    )
