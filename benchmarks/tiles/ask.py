"""Where tiles are asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from benchmarks.cubes.scene import DATE
from benchmarks.tiles.scene import RANGE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from benchmarks.tiles.scene import MapTile

OFFSET: Final = -1_000
"""Radiometric offset of the products, in DN; 10,000 DN are a reflectance of 1."""


def tile_path(one: MapTile, bands: Iterable[str], kind: str = "png", **more: str) -> str:
    """Return where a map tile of the first date is asked for, shown as the counterpart shows it.

    Parameters
    ----------
    one : MapTile
        Which tile.
    bands : iterable of str
        Names of bands.
    kind : str
        Format; ``npy`` gives DN, and a mask as the last layer.
    **more : str
        Further parameters, or others than the default ones.
    """
    low, high = ((value + OFFSET) / 10_000 for value in RANGE)
    how = {"unscale": "false", "return_mask": "true"} if kind == "npy" else {"rescale": f"{low:g},{high:g}"}
    query = {"datetime": DATE, "resampling": "nearest", **how, **more}
    asked = urlencode([*(("bands", band) for band in bands), *query.items()])
    return f"/tiles/mosaic/tiles/WebMercatorQuad/{one.z}/{one.x}/{one.y}.{kind}?{asked}"
