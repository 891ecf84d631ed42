"""JPEG 2000 images of a granule through GDAL, one row of codestream tiles at a time, with little memory.

What was measured (GDAL 3.12.2, OpenJPEG 2.5): `block_shapes` is the tile size of the codestream for every file of
ESA's (1024, 640, 192 for bands; 1024, 2048, 256 for masks). Reading windows of whole tiles decodes each tile once, if
its components fit into the block cache. With one thread a window that meets lost data raises (30 of 30 reads of files
cut at random); with several, GDAL's default, it comes back as zeros without an error (29 of 30). Tiles that are coded
by the same bytes, which most of a mask is, are worth decoding once.
"""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import rasterio
from affine import Affine
from rasterio.env import Env
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.windows import Window

from abut.errors import InvalidSafeError
from abut.tiling import TILE_SIZE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from ingest.granule import Granule

CACHE_BYTES: Final = 64 << 20
"""GDAL's block cache while images are read: all components of one tile of the largest masks (34 MB) fit.

rasterio hands the number to GDAL as bytes, unlike the configuration option of that name, which counts megabytes up to
100,000. A cache that is too small for one tile's components makes GDAL decode the tile once per component.
"""

_OPTIONS: Final = {
    "GDAL_CACHEMAX": CACHE_BYTES,
    # Several threads turn data that can't be decoded into zeros; whole bands are what runs in parallel.
    "GDAL_NUM_THREADS": 1,
    # Only the file itself counts: no world files, no .aux.xml read or written, nothing else that a name may lead to.
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_PAM_ENABLED": False,
}


def transform(granule: Granule, resolution: int) -> Affine:
    """Return the geotransform that an image of a granule must have."""
    tile = granule.metadata.tile
    return Affine(resolution, 0, tile.ulx, 0, -resolution, tile.uly)


@contextmanager
def opened(
    granule: Granule, path: str, resolution: int, *, count: int, dtype: str
) -> Iterator[rasterio.io.DatasetReader]:
    """Open an image of a granule; it is closed at the end.

    Parameters
    ----------
    granule : Granule
        The granule.
    path : str
        Path of the image in the SAFE.
    resolution : int
        Its pixel size in metres.
    count : int
        Number of components that it must have.
    dtype : str
        Data type that it must have.

    Raises
    ------
    InvalidSafeError
        If it is no JP2, or has another size, data type, number of components or georeference.
    """
    with _open(granule, path) as image:
        where, pixels = granule.label(path), TILE_SIZE // resolution
        if (image.shape, image.count, set(image.dtypes)) != ((pixels, pixels), count, {dtype}):
            raise InvalidSafeError(
                f"{where}: {image.height} x {image.width} px, {image.count} x {image.dtypes[0]}, "
                f"but {pixels} x {pixels} px, {count} x {dtype} are due"
            )
        epsg = image.crs.to_epsg() if image.crs else None
        tile, due = granule.metadata.tile, transform(granule, resolution)
        if image.transform != due or epsg != tile.zone.epsg:
            raise InvalidSafeError(
                f"{where}: georeference EPSG:{epsg} {tuple(image.transform)[:6]}, "
                f"but tile {tile} has {tile.zone} {tuple(due)[:6]}"
            )
        yield image


def _open(granule: Granule, path: str) -> rasterio.io.DatasetReader:
    with Env(**_OPTIONS), warnings.catch_warnings():
        # A missing georeference is an error, and said as one.
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        try:
            return rasterio.open(granule.gdal_path(path), driver="JP2OpenJPEG", sharing=False)
        except RasterioError as error:
            raise InvalidSafeError(f"{granule.label(path)}: can't be opened as JPEG 2000") from error


def tile_rows(image: rasterio.io.DatasetReader) -> Iterator[tuple[int, int]]:
    """Return first row and height of each row of codestream tiles, from north to south."""
    step = image.block_shapes[0][0]
    return ((row, min(step, image.height - row)) for row in range(0, image.height, step))


def tile_columns(image: rasterio.io.DatasetReader) -> Iterator[tuple[int, int]]:
    """Return first column and width of each column of codestream tiles, from west to east."""
    step = image.block_shapes[0][1]
    return ((column, min(step, image.width - column)) for column in range(0, image.width, step))


def read(
    image: rasterio.io.DatasetReader, where: str, rows: tuple[int, int], columns: tuple[int, int] | None = None
) -> NDArray[Any]:
    """Return a window of all components.

    Parameters
    ----------
    image : rasterio dataset
        The image.
    where : str
        Its name, for messages.
    rows, columns : tuple of int
        Start and length; all columns by default.

    Returns
    -------
    array
        Shape (components, rows, columns), of the image's data type.

    Raises
    ------
    InvalidSafeError
        If the data can't be decoded.
    """
    start, length = columns or (0, image.width)
    try:
        with Env(**_OPTIONS):
            window: NDArray[Any] = image.read(window=Window(start, rows[0], length, rows[1]))
    except RasterioError as error:
        raise InvalidSafeError(f"{where}: can't be decoded in rows {rows[0]} ... {sum(rows) - 1}") from error
    return window
