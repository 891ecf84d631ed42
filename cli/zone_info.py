"""`abut zone info`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
import numpy as np

from abut.zone_layout import zone_blocks
from abut.zone_zarr import zone_view
from abut.zoned import open_zoned
from cli.options import debug_option, json_option
from cli.output import plural, print_json, print_table

if TYPE_CHECKING:
    from abut.zone_chunks import ZoneSource


@click.command
@click.option("--archive", "-a", envvar="ABUT_ARCHIVE", show_envvar=True, metavar="DIR|URL", help="The archive.")
@click.option("--zone", metavar="EPSG", help="EPSG code of the UTM zone, such as 32632.")
@click.option("--datetime", "period", metavar="PERIOD", help="Year, month, day, or two as a/b. Default: all time.")
@click.option("--zarr", "path", metavar="DIR|URL", help="A zone that was materialised, instead of an archive's.")
@json_option()
@debug_option()
def command(archive: str | None, zone: str | None, period: str | None, path: str | None, *, as_json: bool) -> None:
    """Say what a zone has: its steps in time, their products and blocks, and how many blocks several products hold.

    \b
    abut zone info --archive l1c --zone 32632 --datetime 2025-07
    abut zone info --zarr zone.zarr
    """  # noqa: D301 - \b is click's mark before text that is not to be wrapped
    source: ZoneSource
    if path is not None:
        if zone is not None or period is not None:
            raise click.UsageError("--zarr is by itself: it says which zone and period it has")
        source = open_zoned(path)
    elif archive is None or zone is None:
        raise click.UsageError("--archive and --zone are needed, or --zarr")
    else:
        source = zone_view(archive, zone, period)
    described = _described(source)
    if as_json:
        print_json(described)
        return
    rows, columns = described["shape"]["r10m"]
    click.echo(f"{described['zone']}  {plural(len(source.slots), 'step')} of {rows:,} x {columns:,} pixels of 10 m")
    print_table(
        ["time", "products", "blocks", "of several", "datatake"],
        [
            [step["time"][:19], str(step["products"]), str(step["blocks"]), str(step["merged"]), step["datatake"]]
            for step in described["steps"]
        ],
    )


def _described(source: ZoneSource) -> dict[str, Any]:
    bounds = zone_blocks(source.zone).bounds
    counts = [source.counts(step) for step in range(len(source.slots))]
    return {
        "zone": str(source.zone),
        "profile": source.profile,
        "bounds": [bounds.left, bounds.bottom, bounds.right, bounds.top],
        "shape": {f"r{size}m": list(bounds.shape(size)) for size in (10, 20, 60)},
        "steps": [
            {
                "time": slot.time.isoformat(),
                "datatake": " ".join(slot.datatakes),
                "products": len(slot.products),
                "blocks": int(np.count_nonzero(held)),
                "merged": int(np.count_nonzero(held > 1)),
            }
            for slot, held in zip(source.slots, counts, strict=True)
        ],
    }
