"""What the counterparts are told: STAC items of the COGs, and which SAFE has which part of a window."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise, product
from typing import TYPE_CHECKING

import pystac

from abut.lattice import Bounds
from abut.layout import BAND
from abut.tiling import tile
from benchmarks.cubes.scene import MIDDLE, TILES
from tests.toy import START

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from abut.tiling import Tile


def cog_items(where: str, bands: Sequence[str]) -> list[pystac.Item]:
    """Return an item for each of the nine tiles, with all that odc-stac needs to open no file before it reads."""
    return [_item(where, tile(name), bands) for name in TILES]


def _item(where: str, place: Tile, bands: Sequence[str]) -> pystac.Item:
    foot = place.footprint
    item = pystac.Item(f"T{place.id}", None, None, datetime.fromtimestamp(START.timestamp(), UTC), {})
    item.properties["proj:code"] = str(foot.zone)
    item.stac_extensions = [
        "https://stac-extensions.github.io/projection/v2.0.0/schema.json",
        "https://stac-extensions.github.io/raster/v1.1.0/schema.json",
    ]
    for band in (BAND[name] for name in bands):
        size = band.resolution
        extra = {
            "proj:shape": list(foot.shape(size)),
            "proj:transform": [size, 0, foot.left, 0, -size, foot.top],
            "raster:bands": [{"data_type": "uint16", "nodata": 0}],
        }
        href = f"{where}/T{place.id}_{band.name}.tif"
        kind = pystac.MediaType.COG
        item.add_asset(band.name, pystac.Asset(href, media_type=kind, roles=["data"], extra_fields=extra))
    return item


def shares(window: Bounds) -> Iterator[tuple[Tile, Bounds]]:
    """Cut a window at the edges of the tile in the middle; yield each part and the first tile that has all of it."""
    foot = tile(MIDDLE).footprint
    x = sorted(
        {window.left, window.right, *(edge for edge in (foot.left, foot.right) if window.left < edge < window.right)}
    )
    y = sorted({window.bottom, window.top, *(e for e in (foot.bottom, foot.top) if window.bottom < e < window.top)})
    names = sorted(TILES, key=lambda name: name != MIDDLE)
    for (left, right), (bottom, top) in product(pairwise(x), pairwise(y)):
        part = Bounds(window.zone, left, bottom, right, top)
        yield next(tile(name) for name in names if tile(name).footprint.contains(part)), part
