"""The true colour image (TCI): derived from B04, B03 and B02, as it is no measurement and not stored.

ESA's user guide (Sentinel-2 MSI, definitions, "TCI") says that reflectances are coded between 1 and 255, that 0 is no
data, and that 255 stands for 0.3558 at Level-1C. It does not say how values are rounded. Rounding down, and 0 where any
of the three bands has no data, agrees with every pixel of the one TCI that this was compared with, which is itself
synthetic (baseline 05.11): the image looks like ESA's, equality is not claimed.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

import numpy as np

from abut.export.gdal import STRIP, Grid, gdal_writing, require_pixels, write_tiff

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

BANDS: Final = ("B04", "B03", "B02")
"""Red, green and blue."""

WHITE: Final = 3558
"""Reflectance times 10,000 that is shown as 255."""

_QUANTIFICATION: Final = 10_000


def table(offset: int, quantification: int) -> NDArray[np.uint8]:
    """Return what each DN is shown as.

    Parameters
    ----------
    offset : int
        ``RADIO_ADD_OFFSET`` of the band in DN.
    quantification : int
        ``QUANTIFICATION_VALUE``: DN per unit of reflectance.

    Returns
    -------
    ndarray of uint8, shape (65536,)
        ``max(1, min(255, floor(255 (DN + offset) / (0.3558 quantification))))``; 0 for DN 0.
    """
    dn = np.arange(1 << 16, dtype=np.int64)
    shown = ((dn + offset) * (255 * _QUANTIFICATION) // (WHITE * quantification)).clip(1, 255)
    shown[0] = 0
    return shown.astype(np.uint8)


def write_colour(scratch: Path, band: str, grid: Grid, pixels: NDArray[np.uint16], shown: NDArray[np.uint8]) -> None:
    """Keep what one band contributes, so that the bands need not be in memory together."""
    options = {"tiled": True, "blockxsize": STRIP, "blockysize": STRIP, "SPARSE_OK": True}
    colour = shown[pixels]
    write_tiff(_part(scratch, band), grid, colour, **options)
    require_pixels(_part(scratch, band), hashlib.sha256(colour).hexdigest())


def join_colours(scratch: Path, grid: Grid) -> tuple[Path, tuple[str, ...]]:
    """Put the three colours together.

    Returns
    -------
    Path
        A GeoTIFF of three bands in `scratch`; 0 in all of them where one of the bands has no data.
    tuple of str
        SHA-256 of the pixels of each of its bands.
    """
    joined = scratch / "tci.tif"
    digests = [hashlib.sha256() for _ in BANDS]
    options = {"tiled": True, "blockxsize": STRIP, "blockysize": STRIP, "SPARSE_OK": True, "photometric": "RGB"}
    with gdal_writing(joined) as rasterio:
        parts = [rasterio.open(_part(scratch, band)) for band in BANDS]
        try:
            with rasterio.open(
                joined, "w", driver="GTiff", count=3, dtype="uint8", interleave="band", **grid.profile, **options
            ) as target:
                for start in range(0, target.height, STRIP):
                    window = ((start, min(start + STRIP, target.height)), (0, target.width))
                    colours = np.stack([part.read(1, window=window) for part in parts])
                    colours[:, ~colours.all(axis=0)] = 0
                    target.write(colours, window=window)
                    for digest, colour in zip(digests, colours, strict=True):
                        digest.update(colour)
        finally:
            for part in parts:
                part.close()
    for band in BANDS:
        _part(scratch, band).unlink()
    return joined, tuple(digest.hexdigest() for digest in digests)


def _part(scratch: Path, band: str) -> Path:
    return scratch / f"tci-{band}.tif"
