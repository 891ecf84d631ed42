"""Resampling of a zone's mosaic onto another grid, so that nothing depends on how a request is cut.

GDAL does the arithmetic, through `rasterio.warp.reproject`. Two things in it depend on how the work is divided, and are
fixed here: coordinates that are interpolated along rows (``tolerance=0``), and the width of bilinear and cubic kernels,
which GDAL derives from the ratio of the source and target *windows* of each call (``XSCALE`` and ``YSCALE``). A third
depends on what is warped together: one layer alone is nodata where its nearest pixel is, several are where no pixel
under the kernel has data. Here it is always the latter, as every layer has company. The rest is the division of targets
into pieces, see `abut.pieces`.
"""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from pyproj import CRS, Geod

from abut.errors import BadRequestError
from abut.ground import project

if TYPE_CHECKING:
    from collections.abc import Sequence

    from affine import Affine
    from numpy.typing import NDArray
    from odc.geo.geobox import GeoBox
    from rasterio.io import DatasetWriter

    from abut.lattice import Zone
    from abut.pieces import Piece

REACH: Final = {"nearest": 0, "bilinear": 1, "cubic": 2, "average": 1}
"""Methods of resampling, and how far their kernels reach, in pixels of the source (or of the target if those are
larger)."""

_SIDE: Final = 160
_MARGIN: Final = 2
_LARGEST: Final = 8_192
"""Pixels of the source along a side of what one pixel of a target may need: 128 MB of DN."""
_MOST: Final = 65_535
_SIGNED_NODATA: Final = -(2**31)


@dataclass(frozen=True, slots=True)
class Warp:
    """How pixels of one size in one zone become pixels of a target.

    Raises
    ------
    BadRequestError
        If the method is not one of `REACH`, the target has no coordinate system, or its pixels are so large that one of
        them needs too much of the source.
    """

    target: GeoBox
    """The whole target, never only a chunk of it."""
    zone: Zone
    """Zone of the source."""
    resolution: int
    """Pixel size of the source in metres."""
    resampling: str
    """One of `REACH`."""

    def __post_init__(self) -> None:
        if self.resampling not in REACH:
            raise BadRequestError(f"resampling {self.resampling!r} is not one of {', '.join(REACH)}")
        if self.target.crs is None:
            raise BadRequestError(f"the GeoBox {self.target.boundingbox} has no coordinate system")
        if max(self.factors) > _LARGEST // (1 + 2 * REACH[self.resampling]):
            raise BadRequestError(
                f"pixels of {max(self.factors) * self.resolution:,.0f} m are too large to be resampled from "
                f"{self.resolution} m ({self.resampling}): at most "
                f"{_LARGEST // (1 + 2 * REACH[self.resampling]) * self.resolution:,} m"
            )

    @property
    def factors(self) -> tuple[float, float]:
        """Columns and rows of the source for a pixel of the target, at the target's centre."""
        across, down = _pixel_size(self.target)
        return across / self.resolution, down / self.resolution

    @property
    def side(self) -> int:
        """Pixels of the target along a side of a piece: fewer where they are large, so that sources stay small."""
        factor = max(self.factors)
        return _SIDE if factor <= 2 else max(1, 2 * _SIDE // math.ceil(factor))

    def span(self, pieces: int) -> int:
        """Return how many pixels of the source lie along a side of a square of so many pieces, with its margins."""
        return math.ceil(pieces * self.side * max(self.factors)) + 2 * self.margin // self.resolution

    @property
    def margin(self) -> int:
        """Metres that kernels reach beyond the ground of a pixel."""
        return self.resolution * (_MARGIN + math.ceil(REACH[self.resampling] * max(1.0, *self.factors)))


def warp_piece(warp: Warp, piece: Piece, layers: Sequence[NDArray[np.uint16]]) -> NDArray[np.uint16]:
    """Warp one piece, all its layers at once.

    Parameters
    ----------
    warp : Warp
        What is warped.
    piece : Piece
        One of its pieces.
    layers : sequence of ndarray of uint16, shape (y, x)
        DN of bands, or of bands and steps in time, on the piece's ground, row 0 in the north; 0 is nodata, in each
        layer by itself.

    Returns
    -------
    ndarray of uint16, shape (layer, rows, columns)
        DN on the piece's pixels, at least 1; 0 where there is nothing to resample.
    """
    import rasterio  # noqa: PLC0415 - an extra
    from affine import Affine  # noqa: PLC0415 - an extra
    from rasterio.warp import Resampling, reproject  # noqa: PLC0415 - an extra

    size, transform = float(warp.resolution), warp.target.transform
    x, y = target_places(warp.target, np.array([[piece.columns.start, piece.rows.start]], np.float64))
    place = Affine(size, 0.0, float(piece.ground.left), 0.0, -size, float(piece.ground.top))
    padded = np.stack([*layers, np.zeros_like(layers[0])])  # GDAL has rules of its own for one layer, or full ones
    target = Affine(transform.a, transform.b, float(x[0]), transform.d, transform.e, float(y[0]))
    shape = piece.rows.stop - piece.rows.start, piece.columns.stop - piece.columns.start
    bands = list(range(1, len(layers) + 2))
    across, down = warp.factors
    signed = warp.resampling == "cubic"  # it undershoots: below 1 there has to be room beside nodata
    nodata = _SIGNED_NODATA if signed else 0
    with (  # arrays given to reproject would become datasets in a way that is not safe in threads
        _dataset(bands, padded.shape[1:], place, str(warp.zone)) as source,
        _dataset(bands, shape, target, str(warp.target.crs), "int32" if signed else "uint16") as result,
    ):
        source.write(padded)
        reproject(
            rasterio.band(source, bands),
            rasterio.band(result, bands),
            src_nodata=0,
            dst_nodata=nodata,
            resampling=Resampling[warp.resampling],
            tolerance=0,
            UNIFIED_SRC_NODATA="NO",  # nodata layer by layer
            XSCALE=_kernel_scale(across),
            YSCALE=_kernel_scale(down),
        )
        pixels = result.read(bands[:-1])
    if signed:
        pixels = np.where(pixels == nodata, 0, np.clip(pixels, 1, _MOST)).astype(np.uint16)
    return np.asarray(pixels)


def warp_pieces(
    warp: Warp, chosen: Sequence[Piece], layers: Sequence[Sequence[NDArray[np.uint16]]], threads: int = 1
) -> list[NDArray[np.uint16]]:
    """Warp several pieces in threads (GDAL runs without Python's lock), see `warp_piece`."""
    if threads <= 1 or len(chosen) <= 1:
        return [warp_piece(warp, piece, own) for piece, own in zip(chosen, layers, strict=True)]
    with ThreadPoolExecutor(threads, "abut-warp") as pool:
        return list(pool.map(lambda one: warp_piece(warp, *one), zip(chosen, layers, strict=True)))


def _kernel_scale(factor: float) -> float:
    """Width of bilinear and cubic kernels as GDAL wants it: 1 for pixels of like size or smaller ones."""
    return 1.0 if factor <= 1.05 else 1.0 / factor


def target_places(target: GeoBox, places: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return x and y, in a target's own coordinate system, of its columns and rows, shape (n, 2)."""
    transform = target.transform
    columns, rows = places[:, 0], places[:, 1]
    x = transform.c + transform.a * columns + transform.b * rows
    y = transform.f + transform.d * columns + transform.e * rows
    return x, y


@lru_cache(maxsize=256)
def _pixel_size(target: GeoBox) -> tuple[float, float]:
    """Width and height in metres of the pixel at a target's centre, along the ellipsoid."""
    row, column = target.shape.y / 2, target.shape.x / 2
    ends = np.array([(column - 0.5, row), (column + 0.5, row), (column, row - 0.5), (column, row + 0.5)])
    x, y = target_places(target, ends)
    lon, lat = project(system_of(target), CRS.from_epsg(4326), x, y)
    _, _, metres = Geod(ellps="WGS84").inv(lon[::2], lat[::2], lon[1::2], lat[1::2])
    if not np.isfinite(metres).all() or not (metres > 0).all():
        raise BadRequestError(f"the centre of the GeoBox {target.boundingbox} is not on the ground")
    return float(metres[0]), float(metres[1])


def system_of(target: GeoBox) -> CRS:
    """Return the coordinate system of a target that has one."""
    assert target.crs is not None  # noqa: S101 - looked at before
    return target.crs.proj


def _dataset(
    bands: Sequence[int], shape: tuple[int, ...], transform: Affine, crs: str, dtype: str = "uint16"
) -> DatasetWriter:
    import rasterio  # noqa: PLC0415 - an extra

    height, width = shape
    return rasterio.open(
        "piece",
        "w+",
        driver="MEM",
        count=len(bands),
        height=height,
        width=width,
        dtype=dtype,
        transform=transform,
        crs=_gdal_crs(crs),
    )


@lru_cache(maxsize=256)
def _gdal_crs(name: str) -> Any:
    from rasterio.crs import CRS as GdalCrs  # noqa: PLC0415, N811 - an extra

    return GdalCrs.from_user_input(name)
