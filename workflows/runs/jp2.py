"""A part of a band's JPEG 2000 image, decoded by rasterio."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from abut.errors import InvalidSafeError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from abut.lattice import Bounds
    from abut.layout import Band
    from ingest.granule import Granule

_OPTIONS: Final = {
    # Bytes; each part is read once, and the default is a share of the machine's memory.
    "GDAL_CACHEMAX": 64 << 20,
    # With several threads GDAL gives zeros, without an error, where data can't be decoded.
    "GDAL_NUM_THREADS": 1,
    # Nothing but the file itself counts.
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_PAM_ENABLED": False,
}


def read_part(granule: Granule, band: Band, ground: Bounds) -> NDArray[np.uint16]:
    """Return the digital numbers of a part of a granule; only the JP2's tiles that it touches are decoded.

    Parameters
    ----------
    granule : Granule
        The granule.
    band : Band
        The band.
    ground : Bounds
        Inside of the tile's footprint, on the 60 m grid.

    Raises
    ------
    InvalidSafeError
        If the image is not that of the tile, or can't be decoded.
    """
    import rasterio  # noqa: PLC0415 - an extra
    from rasterio.windows import from_bounds  # noqa: PLC0415 - as above

    path = granule.metadata.bands[band.index].image
    where, footprint = granule.label(path), granule.metadata.tile.footprint
    try:
        with rasterio.Env(**_OPTIONS), rasterio.open(granule.gdal_path(path), driver="JP2OpenJPEG") as image:
            edges = tuple(round(edge) for edge in image.bounds)
            epsg = image.crs.to_epsg() if image.crs else None
            if (epsg, edges) != (footprint.zone.epsg, _edges(footprint)) or image.dtypes != ("uint16",):
                raise InvalidSafeError(
                    f"{where}: {', '.join(image.dtypes)} of EPSG:{epsg} {edges}, but uint16 of {footprint.zone} "
                    f"{_edges(footprint)} is due"
                )
            pixels: NDArray[np.uint16] = image.read(1, window=from_bounds(*_edges(ground), image.transform))
    except rasterio.errors.RasterioError as error:
        raise InvalidSafeError(f"{where}: can't be decoded ({str(error).splitlines()[0]})") from error
    if pixels.shape != ground.shape(band.resolution):
        raise InvalidSafeError(f"{where}: {pixels.shape} pixels on {ground}, not {ground.shape(band.resolution)}")
    return pixels


def _edges(bounds: Bounds) -> tuple[int, int, int, int]:
    return bounds.left, bounds.bottom, bounds.right, bounds.top
