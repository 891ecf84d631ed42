"""Rasters through GDAL, with little memory. rasterio is an extra and is imported when something is exported."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from abut.errors import ExportError
from abut.export.folder import unwritable, writing

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from abut.lattice import Bounds

STRIP: Final = 1024
"""Rows that are handled at once."""

_OPTIONS: Final[Mapping[str, Any]] = {
    "GDAL_CACHEMAX": 64 << 20,  # rasterio hands the number on as bytes
    "GDAL_NUM_THREADS": "ALL_CPUS",
    # The files themselves are all there is: nothing beside them is read or written.
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_PAM_ENABLED": False,
}


@dataclass(frozen=True, slots=True)
class Grid:
    """Where the pixels of a raster lie."""

    bounds: Bounds
    """Their ground."""
    resolution: int
    """Pixel size in metres."""

    @property
    def profile(self) -> dict[str, Any]:
        """Size and georeference as rasterio's `open` wants them."""
        from affine import Affine  # noqa: PLC0415 - comes with rasterio, an extra

        rows, columns = self.bounds.shape(self.resolution)
        transform = Affine(self.resolution, 0, self.bounds.left, 0, -self.resolution, self.bounds.top)
        return {"height": rows, "width": columns, "crs": f"EPSG:{self.bounds.zone.epsg}", "transform": transform}


def require_rasterio() -> Any:
    """Return rasterio.

    Raises
    ------
    ExportError
        If it is not installed.
    """
    try:
        import rasterio  # noqa: PLC0415 - an extra
        import rasterio.shutil  # noqa: PLC0415
    except ImportError as error:
        raise ExportError("exporting needs rasterio: pip install 'abut[ingest]'") from error
    return rasterio


@contextmanager
def gdal_writing(path: Path) -> Iterator[Any]:
    """Yield rasterio in Abut's settings; what goes wrong while writing `path` becomes `ExportError`."""
    rasterio = require_rasterio()
    from rasterio._err import CPLE_BaseError  # noqa: PLC0415 - what `rasterio.shutil.copy` raises, public nowhere

    try:
        with writing(path), rasterio.Env(**_OPTIONS):
            yield rasterio
    except (rasterio.errors.RasterioError, CPLE_BaseError) as error:
        raise unwritable(path, error) from error


def write_tiff(path: Path, grid: Grid, pixels: NDArray[Any], **profile: Any) -> None:
    """Write one band as GeoTIFF.

    Parameters
    ----------
    path : Path
        Where to.
    grid : Grid
        Its place.
    pixels : ndarray of uint8 or uint16, shape (rows, columns)
        The band.
    **profile
        Creation options of GDAL, and ``nodata``, ``scales``, ``offsets``, ``descriptions``, ``tags``.

    Raises
    ------
    ExportError
        If it can't be written. What a full disk does may show only in `require_pixels`.
    """
    late = {name: profile.pop(name) for name in ("scales", "offsets", "descriptions") if name in profile}
    tags = profile.pop("tags", {})
    with gdal_writing(path) as rasterio:
        path.parent.mkdir(parents=True, exist_ok=True)
        with rasterio.open(
            path, "w", driver="GTiff", count=1, dtype=pixels.dtype.name, **grid.profile, **profile
        ) as target:
            for name, value in late.items():
                setattr(target, name, (value,))
            target.update_tags(**tags)
            for start in range(0, len(pixels), STRIP):
                part = pixels[start : start + STRIP]
                target.write(part, 1, window=((start, start + len(part)), (0, part.shape[1])))


def digests_of(path: Path) -> tuple[str, ...]:
    """Decode a raster and return the SHA-256 of the pixels of each band (little-endian, C order).

    Raises
    ------
    ExportError
        If it can't be read.
    """
    with gdal_writing(path) as rasterio, rasterio.open(path) as image:
        digests = [hashlib.sha256() for _ in image.indexes]
        for index, digest in zip(image.indexes, digests, strict=True):
            step = image.block_shapes[index - 1][0]
            for start in range(0, image.height, step):
                rows = (start, min(start + step, image.height))
                part = image.read(index, window=(rows, (0, image.width)))
                digest.update(np.ascontiguousarray(part, part.dtype.newbyteorder("<")))
    return tuple(digest.hexdigest() for digest in digests)


def require_pixels(path: Path, *expected: str) -> None:
    """Decode a raster that was written, and compare: GDAL reports some failed writes to nobody.

    Parameters
    ----------
    path : Path
        The raster.
    *expected : str
        SHA-256 of the pixels of each band, as `digests_of`.

    Raises
    ------
    ExportError
        If its pixels are others, or it can't be read.
    """
    found = digests_of(path)
    if found != expected:
        raise ExportError(
            f"{path}: SHA-256 of the pixels read back is {', '.join(found)}, "
            f"written was {', '.join(expected)} (disk full?)"
        )
