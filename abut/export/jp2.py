"""JPEG 2000 images like ESA's: reversible 5-3 wavelet, one layer, five resolutions, LRCP, a GML header.

Whoever decodes them gets the pixels of the original images; the bytes differ, as OpenJPEG is another encoder.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from abut.export.gdal import Grid, gdal_writing, write_tiff

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

BLOCK: Final[Mapping[int, int]] = {10: 1024, 20: 640, 60: 192}
"""Side of the blocks that ESA codes apart, in pixels, by pixel size."""

RESOLUTIONS: Final = 5
"""Resolutions of the wavelet."""


def write_band(path: Path, grid: Grid, pixels: NDArray[np.uint16], scratch: Path) -> None:
    """Write a band image.

    Parameters
    ----------
    path : Path
        Where to.
    grid : Grid
        Its place.
    pixels : ndarray of uint16, shape (rows, columns)
        DN; 15 bits are declared where they are enough, as in ESA's images, else 16.
    scratch : Path
        Folder for a file that is needed meanwhile.

    Raises
    ------
    ExportError
        If it can't be written.
    """
    bits = 15 if int(pixels.max()) < 1 << 15 else 16
    block = BLOCK[grid.resolution]
    # GDAL honours block sizes only when it copies a file; a sparse one costs nothing where there is no data.
    plain = scratch / "band.tif"
    write_tiff(plain, grid, pixels, tiled=True, blockxsize=block, blockysize=block, SPARSE_OK=True)
    encode(plain, path, block, NBITS=bits)
    plain.unlink()


def encode(source: Path, path: Path, block: int, **options: Any) -> None:
    """Encode a raster without loss.

    Parameters
    ----------
    source : Path
        A GeoTIFF.
    path : Path
        Where to.
    block : int
        Side of the blocks in pixels.
    **options
        Further creation options of GDAL's JP2OpenJPEG driver.

    Raises
    ------
    ExportError
        If it can't be written.
    """
    with gdal_writing(path) as rasterio:
        path.parent.mkdir(parents=True, exist_ok=True)
        rasterio.shutil.copy(
            source,
            path,
            driver="JP2OpenJPEG",
            REVERSIBLE="YES",
            QUALITY="100",
            PROGRESSION="LRCP",
            RESOLUTIONS=RESOLUTIONS,
            PRECINCTS=",".join(["{256,256}"] * RESOLUTIONS),
            BLOCKXSIZE=block,
            BLOCKYSIZE=block,
            GMLJP2="YES",
            GeoJP2="NO",
            **options,
        )
