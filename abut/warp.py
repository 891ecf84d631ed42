"""Resampling of a zone's mosaic onto another grid, piece by piece, so that nothing depends on how a request is cut.

The target is any GeoBox. It is divided into *pieces*, squares of pixels that are counted from the origin of its CRS
(or from its corner, where that is no whole number of pixels). A piece is warped as a whole, always from the ground that
the piece alone determines, with exact coordinates for each pixel and with kernels of one width; a request, or a chunk
of one, is put together from pieces. So every chunk gets the bytes that the whole request gets.

GDAL does the arithmetic, through `rasterio.warp.reproject`. Two things in it depend on how the work is divided, and are
fixed here: coordinates that are interpolated along rows (``tolerance=0``), and the width of bilinear and cubic kernels,
which GDAL derives from the ratio of the source and target *windows* of each call (``XSCALE`` and ``YSCALE``). A third
depends on what is warped together: one layer alone is nodata where its nearest pixel is, several are where no pixel
under the kernel has data. Here it is always the latter, as every layer has company.
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
from abut.lattice import GRID_STEP, Bounds, Zone
from abut.tiling import tiles_touching

if TYPE_CHECKING:
    from collections.abc import Sequence

    from affine import Affine
    from numpy.typing import NDArray
    from odc.geo.geobox import GeoBox
    from rasterio.io import DatasetWriter

REACH: Final = {"nearest": 0, "bilinear": 1, "cubic": 2, "average": 1}
"""Methods of resampling, and how far their kernels reach, in pixels of the source (or of the target if those are
larger)."""

_SIDE: Final = 160
_EDGE_POINTS: Final = 33
_MARGIN: Final = 2
_MOST: Final = 65_535
_SIGNED_NODATA: Final = -(2**31)


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a target that is warped as a whole."""

    rows: slice
    """Its rows in the target."""
    columns: slice
    """Its columns in the target."""
    ground: Bounds
    """What it needs of the source zone, on the 60 m grid."""


@dataclass(frozen=True)
class Warp:
    """How pixels of one size in one zone become pixels of a target.

    Raises
    ------
    BadRequestError
        If the method is not one of `REACH`, or the target has no coordinate system.
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

    @property
    def factors(self) -> tuple[float, float]:
        """Columns and rows of the source for a pixel of the target, at the target's centre."""
        across, down = _pixel_size(self.target)
        return across / self.resolution, down / self.resolution

    @property
    def side(self) -> int:
        """Pixels of the target along a side of a piece: fewer where they are large, so that sources stay small."""
        factor = max(self.factors)
        return _SIDE if factor <= 2 else max(4, 2 * _SIDE // math.ceil(factor))

    @property
    def margin(self) -> int:
        """Metres that kernels reach beyond the ground of a pixel."""
        return self.resolution * (_MARGIN + math.ceil(REACH[self.resampling] * max(1.0, *self.factors)))


def pieces(warp: Warp, rows: slice, columns: slice, window: Bounds, wanted: NDArray[np.bool_]) -> list[Piece]:
    """Return the pieces that a part of the target touches and on whose ground the source zone has tiles.

    Parameters
    ----------
    warp : Warp
        What is warped.
    rows, columns : slice
        The part, in pixels of the whole target.
    window : Bounds
        Ground of the source zone outside of which nothing is needed, the same for all parts of the target.
    wanted : ndarray of bool, shape (y, x)
        Pixels of the part that are wanted; pieces without any are left out.

    Returns
    -------
    list of Piece
        Row by row. They may reach beyond the part, never beyond the target.
    """
    height, width = warp.target.shape.yx
    first_row, first_column = _phase(warp.target, warp.side)
    cuts = [
        (part_rows, part_columns)
        for part_rows in _cuts(rows, first_row, warp.side, height)
        for part_columns in _cuts(columns, first_column, warp.side, width)
        if wanted[common(part_rows, rows, rows.start), common(part_columns, columns, columns.start)].any()
    ]
    found = []
    for (part_rows, part_columns), whole in zip(cuts, _grounds(warp, cuts), strict=True):
        ground = whole and whole.intersection(window)
        if ground is not None and tiles_touching(ground):
            found.append(Piece(part_rows, part_columns, ground))
    return found


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
    x, y = _target_places(warp.target, np.array([[piece.columns.start, piece.rows.start]], np.float64))
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


def common(one: slice, other: slice, start: int) -> slice:
    """Return what two slices have in common, counted from `start`."""
    return slice(max(one.start, other.start) - start, min(one.stop, other.stop) - start)


def _kernel_scale(factor: float) -> float:
    """Width of bilinear and cubic kernels as GDAL wants it: 1 for pixels of like size or smaller ones."""
    return 1.0 if factor <= 1.05 else 1.0 / factor


def _cuts(part: slice, first: int, side: int, size: int) -> list[slice]:
    """Cut 0 ... size at first, first + side, ...; return what `part` touches."""
    start = first + (part.start - first) // side * side
    return [slice(max(at, 0), min(at + side, size)) for at in range(start, part.stop, side)]


def _phase(target: GeoBox, side: int) -> tuple[int, int]:
    """Row and column of the target where a piece begins: pieces are counted from the CRS's origin if that is whole."""
    transform = target.transform
    counted = []
    for offset, size, skew in ((transform.f, transform.e, transform.d), (transform.c, transform.a, transform.b)):
        whole = skew == 0 and float(size).is_integer() and (offset / size).is_integer()
        counted.append(-int(offset / size) % side if whole else 0)
    return counted[0], counted[1]


def _grounds(warp: Warp, cuts: Sequence[tuple[slice, slice]]) -> list[Bounds | None]:
    """Ground of the source zone that parts of the target need, or None where its projection doesn't reach."""
    if not cuts:
        return []
    outlines = np.stack([_outline(rows, columns, _EDGE_POINTS) for rows, columns in cuts])
    x, y = _source_places(warp, outlines.reshape(-1, 2))
    shape = outlines.shape[:2]
    grounds = []
    for (rows, columns), east, north in zip(cuts, x.reshape(shape), y.reshape(shape), strict=True):
        places = east, north
        if not (np.isfinite(east).all() and np.isfinite(north).all()):  # the edge of a projection: every pixel counts
            places = _source_places(warp, _corners(rows, columns))
        grounds.append(_snapped(warp.zone, *places, warp.margin))
    return grounds


def _snapped(zone: Zone, x: NDArray[np.float64], y: NDArray[np.float64], margin: int) -> Bounds | None:
    finite = np.isfinite(x) & np.isfinite(y)
    if not finite.any():
        return None
    x, y, step = x[finite], y[finite], GRID_STEP
    equator = zone.equator
    return Bounds(
        zone,
        step * math.floor((x.min() - margin) / step),
        equator + step * math.floor((y.min() - margin - equator) / step),
        step * math.ceil((x.max() + margin) / step),
        equator + step * math.ceil((y.max() + margin - equator) / step),
    )


def _outline(rows: slice, columns: slice, count: int) -> NDArray[np.float64]:
    """Points along the four edges of a part of a target, as columns and rows."""
    down = np.linspace(rows.start, rows.stop, count)
    across = np.linspace(columns.start, columns.stop, count)
    edges = [(across, rows.start), (across, rows.stop), (columns.start, down), (columns.stop, down)]
    return np.concatenate([np.stack(np.broadcast_arrays(*edge), axis=-1) for edge in edges]).astype(np.float64)


def _corners(rows: slice, columns: slice) -> NDArray[np.float64]:
    grid = np.meshgrid(np.arange(columns.start, columns.stop + 1), np.arange(rows.start, rows.stop + 1))
    return np.stack(grid, axis=-1).reshape(-1, 2).astype(np.float64)


def _source_places(warp: Warp, places: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Easting and northing in the source zone of columns and rows of the target; infinite where there are none."""
    x, y = _target_places(warp.target, places)
    return project(_system(warp.target), CRS.from_epsg(warp.zone.epsg), x, y)


def _target_places(target: GeoBox, places: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
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
    x, y = _target_places(target, ends)
    lon, lat = project(_system(target), CRS.from_epsg(4326), x, y)
    _, _, metres = Geod(ellps="WGS84").inv(lon[::2], lat[::2], lon[1::2], lat[1::2])
    if not np.isfinite(metres).all() or not (metres > 0).all():
        raise BadRequestError(f"the centre of the GeoBox {target.boundingbox} is not on the ground")
    return float(metres[0]), float(metres[1])


def _system(target: GeoBox) -> CRS:
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
