"""Pixels as images of rio-tiler, and the places that requests name as those that are read."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np
from rasterio.crs import CRS
from rasterio.errors import RasterioError
from rasterio.warp import transform, transform_bounds
from rio_tiler.constants import WGS84_CRS
from rio_tiler.models import ImageData

from abut.errors import BadRequestError
from abut.ground import zone_of
from abut.layout import BAND
from services.tiles.renders import stretch_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from services.tiles.expressions import Expression
    from services.tiles.frame import Frame, Pixels

    type Box = tuple[float, float, float, float]

FINEST: Final = 10
"""Metres of the smallest pixels."""


def as_image(frame: Frame, pixels: Pixels, expression: Expression | None) -> ImageData:
    """Return pixels as titiler renders them, with ranges that show them well where the request names none."""
    data, nodata, names = pixels.data, pixels.nodata, pixels.layers
    shown: Sequence[tuple[float, float]] | None = stretch_of(names) if data.dtype == np.float32 else None
    if expression is not None:
        data, nodata = expression.computed(data, nodata)
        names, shown = expression.names, [(-1.0, 1.0)] * len(data)
    return ImageData(
        np.ma.MaskedArray(data, mask=nodata),
        bounds=frame.bounds,
        crs=CRS.from_user_input(frame.crs),
        band_names=[f"b{number}" for number in range(1, len(data) + 1)],
        band_descriptions=list(names),
        dataset_statistics=shown,
    )


def point_in_zone(lon: float, lat: float, coord_crs: CRS = WGS84_CRS) -> tuple[int, float, float]:
    """Return the EPSG code of the zone of a point, and its coordinates there.

    Raises
    ------
    BadRequestError
        If it is not on the ground that zones cover.
    """
    try:
        if coord_crs != WGS84_CRS:
            (west,), (south,) = transform(coord_crs, WGS84_CRS, [lon], [lat])
        else:
            west, south = lon, lat
        if not (math.isfinite(west) and -180 <= west <= 180 and -84 <= south <= 84):
            raise BadRequestError(f"point {lon},{lat} is not between 180 W and 180 E and 84 S and 84 N")
        zone = zone_of(west, south)
        (x,), (y,) = transform(WGS84_CRS, CRS.from_epsg(zone.epsg), [west], [south])
    except RasterioError as error:
        raise BadRequestError(f"point {lon},{lat}: {error}") from error
    return zone.epsg, x, y


def transformed(source: CRS, target: CRS, bbox: Sequence[float]) -> Box:
    """Return a box of one coordinate system as one of another, which it fits in.

    In degrees, west may be more than east: across the antimeridian, for at most half of the globe.

    Raises
    ------
    BadRequestError
        If it is empty, not finite, or not on the ground.
    """
    left, bottom, right, top = map(float, bbox)
    if source.is_geographic and -180 <= right < left <= 180 and right + 360 - left <= 180:
        right += 360
    if not all(map(math.isfinite, (left, bottom, right, top))) or left >= right or bottom >= top:
        raise BadRequestError(f"bbox {left},{bottom},{right},{top} is empty or not finite")
    if source.is_geographic and not (abs(left) <= 360 and abs(right) <= 360 and abs(bottom) <= 90 and abs(top) <= 90):
        raise BadRequestError(f"bbox {left},{bottom},{right},{top} is not in degrees")
    if source == target:
        return left, bottom, right, top
    try:
        found: Box = transform_bounds(source, target, left, bottom, right, top, densify_pts=21)
    except RasterioError as error:
        raise BadRequestError(f"bbox {left},{bottom},{right},{top}: {error}") from error
    return found


def finest_of(layers: Sequence[str]) -> int:
    """Return the pixel size of the finest layer in metres."""
    sizes = [BAND[name].resolution if name in BAND else 60 for name in (layer.partition("_")[0] for layer in layers)]
    return min(sizes, default=FINEST)


def without_padding(image: ImageData, padding: int) -> ImageData:
    """Return an image without so many pixels at each side."""
    if not padding or image.bounds is None:
        return image
    left, bottom, right, top = image.bounds
    dx, dy = padding * (right - left) / image.width, padding * (top - bottom) / image.height
    return ImageData(
        image.array[:, padding:-padding, padding:-padding],
        bounds=(left + dx, bottom + dy, right - dx, top - dy),
        crs=image.crs,
        band_names=image.band_names,
        band_descriptions=image.band_descriptions,
        dataset_statistics=image.dataset_statistics,
    )
