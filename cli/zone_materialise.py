"""`abut zone materialise`."""

from __future__ import annotations

import click

from abut.asked import parse_bands
from abut.materialise import chunks_of, materialise
from abut.store import open_store
from abut.zone_layout import ZoneLayout
from abut.zone_zarr import zone_view
from cli.options import archive_option, debug_option, json_option
from cli.output import bar, plural, print_json, size


@click.command
@archive_option()
@click.option("--zone", required=True, metavar="EPSG", help="EPSG code of the UTM zone, such as 32632.")
@click.option("--datetime", "period", metavar="PERIOD", help="Year, month, day, or two as a/b. Default: all time.")
@click.option("--bands", metavar="B02,...", help="Only these bands.")
@click.option("--masks", is_flag=True, help="Write masks too.")
@click.option("--out", required=True, metavar="DIR|URL", help="Where to: a folder, or s3://bucket/prefix.")
@json_option()
@debug_option()
def command(
    *, archive: str, zone: str, period: str | None, bands: str | None, masks: bool, out: str, as_json: bool
) -> None:
    """Write a zone over some time as a Zarr of its own, which any Zarr client reads.

    Blocks that one product holds are copied without decoding, others are merged. A run that was interrupted is gone
    on with by running it again; the Zarr has no metadata until all of it is there. An archive that has got other
    products of this time meanwhile is refused.

    \b
    abut zone materialise --archive l1c --zone 32632 --datetime 2025-07 --out zone.zarr
    """  # noqa: D301 - \b is click's mark before text that is not to be wrapped
    chosen, view = parse_bands(bands), zone_view(archive, zone, period)
    total = chunks_of(view, ZoneLayout(view.zone, len(view.slots), chosen, masks))
    target = open_store(out, create=True)
    with bar(total, " blocks", hidden=as_json) as progress:
        done = materialise(view, target, bands=chosen, masks=masks, on_chunk=lambda _: progress.update())
    if as_json:
        counts = {"copied": done.counts.passed, "merged": done.counts.merged, "masks": done.counts.masks}
        print_json({"path": target.url, **counts, "written": done.written, "present": done.present, "bytes": done.size})
        return
    earlier = f", {done.present:,} were there" if done.present else ""
    click.echo(
        f"{target.url}  {plural(done.counts.passed, 'block')} copied, {done.counts.merged:,} merged; "
        f"{plural(done.written, 'object')} of {size(done.size)} written{earlier}"
    )
