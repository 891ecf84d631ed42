"""A scene as rio-tiler's readers are: what titiler's routes read pictures from."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from morecantile import Tile
from rasterio.crs import CRS
from rasterio.errors import RasterioError
from rasterio.features import bounds as bounds_of
from rasterio.features import rasterize
from rasterio.warp import transform_geom
from rio_tiler.constants import WGS84_CRS
from rio_tiler.io import BaseReader
from rio_tiler.models import ImageData, Info, PointData

from abut.errors import BadRequestError, NoDataError
from abut.layout import BAND
from services.tiles.errors import TooWideError
from services.tiles.frame import Frame, crs_text, system_of
from services.tiles.images import FINEST, as_image, finest_of, point_in_zone, transformed, without_padding
from services.tiles.sizes import part_size, require_pixels, scaled_size
from services.tiles.told import EmptyTileError
from services.tiles.zooms import BANDS, first_zoom

if TYPE_CHECKING:
    from collections.abc import Sequence

    from services.tiles.expressions import Expression
    from services.tiles.scene import Scene
    from services.tiles.source import Source

    type Box = tuple[float, float, float, float]

_RADIUS: Final = 6_378_137.0
"""Metres of a radian along the equator."""


class SceneReader(BaseReader):
    """Reads a scene.

    Parameters
    ----------
    input : Source
        What is read, and for which request.
    tms : morecantile.TileMatrixSet
        The tiles that may be asked for.
    """

    input: Source

    @cached_property
    def scene(self) -> Scene:
        """The scene; errors as `services.tiles.scenes.Scenes.open`."""
        return self.input.scene()

    @property
    def bounds(self) -> Box:  # type: ignore[override]  # an attribute in rio-tiler; this one waits until it is needed
        """West, south, east, north in degrees."""
        return self.scene.bounds

    @property
    def crs(self) -> CRS:
        """Coordinate system of the bounds."""
        return WGS84_CRS

    @property
    def maxzoom(self) -> int:
        """Zoom whose pixels are about as small as the smallest ones of the products."""
        system = system_of(crs_text(self.tms.rasterio_crs))
        metres = system.axis_info[0].unit_conversion_factor * (1.0 if system.is_projected else _RADIUS)
        return int(self.tms.zoom_for_res(FINEST / metres))

    @property
    def minzoom(self) -> int:
        """Zoom from which on no tile needs more objects than a picture may."""
        return self._first_zoom(BANDS, deep=False)

    def _first_zoom(self, bands: int, *, deep: bool) -> int:
        scene, limit, last = self.scene, self.input.context.settings.tile_objects, self.maxzoom
        return scene.scenes.first_zoom(
            scene.wish,
            (self.tms.id, bands, deep),
            lambda: first_zoom(scene, self.tms, limit, last, bands=bands, deep=deep),
        )

    def info(self) -> Info:
        """Return what is in the scene."""
        self.input.told.products.update(self.scene.products)
        return Info(
            bounds=self.bounds,
            crs="http://www.opengis.net/def/crs/OGC/1.3/CRS84",
            band_metadata=[(name, {"resolution": band.resolution}) for name, band in BAND.items()],
            band_descriptions=[(name, band.common_name or name) for name, band in BAND.items()],
            dtype="float32",
            nodata_type="Mask",
            products=len(self.scene.products),  # type: ignore[call-arg]  # the model takes more
        )

    def statistics(self, **asked: Any) -> Any:
        """Return statistics of a preview."""
        return self.preview(**asked).statistics()

    def tile(  # noqa: PLR0917 - what titiler hands over
        self,
        tile_x: int,
        tile_y: int,
        tile_z: int,
        tilesize: int | None = None,
        buffer: float = 0,
        padding: int = 0,
        empty: str = "none",
        **asked: Any,
    ) -> ImageData:
        """Read a map tile.

        Raises
        ------
        BadRequestError
            If there is no such tile.
        EmptyTileError
            If it has nothing; with the reason.
        AbutError
            As `services.tiles.scene.Scene.read`.
        """
        tile = Tile(tile_x, tile_y, tile_z)
        self._require(tile)
        matrix = self.tms.matrix(tile_z)
        width, height = tilesize or matrix.tileWidth, tilesize or matrix.tileHeight
        if not (math.isfinite(buffer) and 2 * buffer == int(2 * buffer) and buffer <= max(width, height)):
            raise BadRequestError(f"buffer {buffer} is not a multiple of 0.5 up to {max(width, height)}")
        if padding > max(width, height):
            raise BadRequestError(f"padding {padding} is more than {max(width, height)}")
        shown = (width + int(2 * buffer), height + int(2 * buffer))
        frame = self._frame(tile, width, height, buffer + padding)
        try:
            image = self._image(frame, **asked)
            nothing = self._why_empty(frame) if image.array.mask.all() else None
        except TooWideError as error:
            zoom = self._first_zoom(max(BANDS, len(asked["layers"])), deep=True)
            sure = tile_z < zoom < self.maxzoom
            where = f"tiles answer from zoom {zoom} on" if sure else "ask for a higher zoom or a shorter period"
            reason = f"too wide: {error}; {where}"
            raise EmptyTileError(reason, shown, transparent=empty == "transparent") from error
        except NoDataError as error:
            raise EmptyTileError(f"no data: {error}", shown, transparent=empty == "transparent") from error
        if nothing:
            raise EmptyTileError(nothing, shown, transparent=empty == "transparent")
        return without_padding(image, padding)

    def part(
        self,
        bbox: Sequence[float],
        *,
        dst_crs: CRS | None = None,
        bounds_crs: CRS | None = None,
        max_size: int | None = None,
        width: int | None = None,
        height: int | None = None,
        align_bounds_with_dataset: bool = False,  # noqa: ARG002 - of rio-tiler; pixels are as small as asked for
        **asked: Any,
    ) -> ImageData:
        """Read a box, by default in pixels of the size of the finest layer.

        Raises
        ------
        BadRequestError
            If it is none.
        TooLargeError, TooWideError
            If it is larger than a picture may be.
        AbutError
            As `services.tiles.scene.Scene.read`.
        """
        source_crs = bounds_crs or WGS84_CRS
        bounds = transformed(source_crs, dst_crs or source_crs, bbox)
        system = crs_text(dst_crs or source_crs)
        size = part_size(system, bounds, finest_of(asked.get("layers", ())))
        columns, rows = scaled_size(size, max_size, width, height)
        return self._image(Frame(system, bounds, columns, rows), **asked)

    def preview(
        self,
        *,
        max_size: int | None = 1024,
        width: int | None = None,
        height: int | None = None,
        dst_crs: CRS | None = None,
        **asked: Any,
    ) -> ImageData:
        """Read all of the scene, in few pixels; one product in the coordinates of its zone. Errors as `part`."""
        item = self.input.wish.item
        if item is None:
            bounds: Sequence[float] = self.scene.extent
            bounds_crs = WGS84_CRS
        else:
            ground = self.input.context.archive.product(item).tile.footprint
            bounds, bounds_crs = (ground.left, ground.bottom, ground.right, ground.top), CRS.from_epsg(ground.zone.epsg)
        sizes: dict[str, Any] = {"max_size": max_size, "width": width, "height": height}
        return self.part(bounds, dst_crs=dst_crs, bounds_crs=bounds_crs, **sizes, **asked)

    def point(self, lon: float, lat: float, coord_crs: CRS = WGS84_CRS, **asked: Any) -> PointData:
        """Read the pixels that a point lies in, of the zone of its longitude.

        Raises
        ------
        BadRequestError
            If the point is none on the ground.
        """
        zone, x, y = point_in_zone(lon, lat, coord_crs)
        left, bottom = FINEST * math.floor(x / FINEST), FINEST * math.floor(y / FINEST)
        frame = Frame(f"EPSG:{zone}", (left, bottom, left + FINEST, bottom + FINEST), 1, 1)
        image = self._image(frame, **{**asked, "resampling": "nearest"})
        return PointData(
            image.array[:, 0, 0],
            band_names=image.band_names,
            band_descriptions=image.band_descriptions,
            coordinates=(lon, lat),
            crs=coord_crs,
        )

    def feature(
        self, shape: dict[str, Any], *, shape_crs: CRS | None = None, dst_crs: CRS | None = None, **asked: Any
    ) -> ImageData:
        """Read the box around a shape; what is outside of it has no data. Errors as `part`."""
        geometry = shape.get("geometry", shape)
        source_crs = shape_crs or WGS84_CRS
        try:
            bbox = bounds_of(geometry)
            image = self.part(bbox, dst_crs=dst_crs, bounds_crs=source_crs, **asked)
            if dst_crs is not None and dst_crs != source_crs:
                geometry = transform_geom(source_crs, dst_crs, geometry)
            outside = rasterize(
                [geometry],
                out_shape=(image.height, image.width),
                transform=image.transform,
                all_touched=True,
                default_value=0,
                fill=1,
                dtype="uint8",
            ).astype(np.bool_)
        except (RasterioError, ValueError, TypeError, KeyError, IndexError) as error:
            if isinstance(error, BadRequestError) or _is_known(error):
                raise
            raise BadRequestError(f"geometry: {error}") from error
        image.cutline_mask = outside
        image.array.mask = image.array.mask | outside
        return image

    def _require(self, tile: Tile) -> None:
        """Raise unless the tile is one of the set."""
        if not self.tms.minzoom <= tile.z <= self.tms.maxzoom:
            raise BadRequestError(f"z {tile.z} is not between {self.tms.minzoom} and {self.tms.maxzoom}")
        matrix = self.tms.matrix(tile.z)
        for name, value, count in (("x", tile.x, matrix.matrixWidth), ("y", tile.y, matrix.matrixHeight)):
            if not 0 <= value < count:
                raise BadRequestError(f"{name} {value} is not between 0 and {count - 1}, as zoom {tile.z} has")

    def _frame(self, tile: Tile, width: int, height: int, around: float) -> Frame:
        """Return the pixels of a tile and some around it."""
        left, bottom, right, top = self.tms.xy_bounds(tile)
        dx, dy = around * (right - left) / width, around * (top - bottom) / height
        more = int(2 * around)
        require_pixels(width + more, height + more, self.input.context.settings.tile_pixels)
        bounds = (left - dx, bottom - dy, right + dx, top + dy)
        return Frame(crs_text(self.tms.rasterio_crs), bounds, width + more, height + more)

    def _why_empty(self, frame: Frame) -> str:
        if self.scene.touches(frame):
            return "no data"
        found = "outside of what there is"
        return f"no data: no product is found for {self.scene.wish.said}" if self.scene.empty else found

    def _image(
        self,
        frame: Frame,
        *,
        layers: tuple[str, ...],
        expression: Expression | None = None,
        resampling: str = "nearest",
        unscale: bool = True,
    ) -> ImageData:
        """Read pixels and compute what is asked for."""
        require_pixels(frame.width, frame.height, self.input.context.settings.tile_pixels)
        once = tuple(dict.fromkeys(layers))
        pixels = self.input.read(self.scene, frame, once, resampling=resampling, unscale=unscale)
        if len(once) < len(layers):
            order = [once.index(name) for name in layers]
            pixels = replace(pixels, data=pixels.data[order], nodata=pixels.nodata[order], layers=layers)
        return as_image(frame, pixels, expression)


def _is_known(error: Exception) -> bool:
    """Whether an error is one of Abut, which says itself what is wrong."""
    from abut.errors import AbutError  # noqa: PLC0415 - short

    return isinstance(error, AbutError)
