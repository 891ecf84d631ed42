"""The counterpart: rio-tiler's readers on COGs of the same pixels, set up as its makers advise for speed.

GDAL lists no folders when it opens a file, and may keep as much decoded as Abut. Threads are none: a picture's CPU is
least so, and reading ends at the first product that fills it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Final

import pystac

from benchmarks.tiles.scene import RANGE, box_of
from tests.toy import START

if TYPE_CHECKING:
    from collections.abc import Callable

    from rio_tiler.io import Reader
    from rio_tiler.models import ImageData

    from benchmarks.tiles.scene import MapTile

CACHE_MB: Final = 512
"""Most that GDAL keeps of decoded blocks, in MB."""
SETTINGS: Final = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_CACHEMAX": str(CACHE_MB),
    "RIO_TILER_MAX_THREADS": "1",
}
"""Environment of a process that reads so; GDAL takes small numbers from it as MB."""


def item_of(folder: str, place: str, bands: tuple[str, ...]) -> pystac.Item:
    """Return an MGRS tile's COGs as a STAC item with an asset a band."""
    box = box_of(place)
    item = pystac.Item(f"T{place}", None, list(box), datetime.fromtimestamp(START.timestamp(), UTC), {})
    for band in bands:
        item.add_asset(band, pystac.Asset(f"{folder}/T{place}_{band}.tif", media_type=pystac.MediaType.COG))
    return item


@dataclass(frozen=True)
class Cogs:
    """COGs of some MGRS tiles, read tile by tile as a mosaic whose first valid pixel wins."""

    folder: str
    """Where they are."""
    places: tuple[str, ...]
    """The MGRS tiles, in the order in which they are read."""
    bands: tuple[str, ...]
    """Bands, red, green and blue."""
    kept: bool
    """Whether files stay open: then GDAL also keeps their decoded blocks from tile to tile. titiler opens them anew."""
    _open: dict[str, list[Reader]] = field(default_factory=dict)

    @cached_property
    def items(self) -> dict[str, pystac.Item]:
        """Item of each MGRS tile."""
        return {place: item_of(self.folder, place, self.bands) for place in self.places}

    def read(self, one: MapTile) -> ImageData:
        """Read DN of a map tile, nearest neighbour, from the products whose boxes it touches."""
        from rio_tiler.mosaic import mosaic_reader  # noqa: PLC0415 - heavy; only in processes that read so

        touched = [place for place in self.places if touch(box_of(place), one.box)]
        how: Callable[..., ImageData] = self._of_open if self.kept else self._of_item
        image: ImageData
        image, _ = mosaic_reader(touched, how, one.x, one.y, one.z, threads=1)
        return image

    def render(self, one: MapTile, kind: str = "png") -> bytes:
        """Return a map tile as a picture, shown as Abut is asked to show it."""
        return shown(self.read(one), kind)

    def _of_item(self, place: str, x: int, y: int, z: int) -> ImageData:
        from rio_tiler.io import STACReader  # noqa: PLC0415 - as above

        with STACReader("", item=self.items[place]) as reader:
            image: ImageData = reader.tile(x, y, z, assets=list(self.bands), threads=1)
            return image

    def _of_open(self, place: str, x: int, y: int, z: int) -> ImageData:
        from rio_tiler.io import Reader  # noqa: PLC0415 - as above
        from rio_tiler.models import ImageData  # noqa: PLC0415 - as above

        if place not in self._open:
            self._open[place] = [Reader(asset.href) for asset in self.items[place].assets.values()]
        stacked: ImageData = ImageData.create_from_list([reader.tile(x, y, z) for reader in self._open[place]])
        return stacked


def shown(image: ImageData, kind: str) -> bytes:
    """Return DN as a picture, as titiler makes it."""
    from titiler.core.resources.enums import ImageType  # noqa: PLC0415 - as above
    from titiler.core.utils import render_image  # noqa: PLC0415 - as above

    picture, _ = render_image(image, output_format=ImageType[kind], rescale=[RANGE] * image.count)
    return picture


def environment() -> dict[str, str]:
    """Return this process's environment, with what the counterpart is told."""
    return {**os.environ, **SETTINGS}


def touch(one: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> bool:
    """Return whether two boxes of west, south, east and north have ground in common."""
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
