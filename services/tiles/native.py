"""Native pixels of a tile and what lies around it as one file: the cube's DN, the first step that has data wins."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from abut.errors import BadRequestError, MixedBaselinesError, TooLargeError
from abut.export.gdal import Grid, gdal_writing
from abut.lattice import BLOCK_SIZE
from abut.layout import BAND

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import xarray as xr
    from numpy.typing import NDArray

    from services.cubes.execution import Stop
    from services.tiles.wish import Order

NPY: Final = "npy"
_TILE: Final = 480
_PACKED: Final = {
    "compress": "zstd",
    "zstd_level": 1,
    "predictor": 2,
    "tiled": True,
    "BIGTIFF": "IF_SAFER",
    "num_threads": 2,
}
"""Fast: of DN, higher levels and DEFLATE take several times as long for little."""


@dataclass(frozen=True, slots=True)
class Native:
    """Native pixels that are not read yet."""

    cube: xr.Dataset
    """Lazy: DN (time, y, x) of each band at one pixel size."""
    names: tuple[str, ...]
    """Bands, in the order of the file."""
    grid: Grid
    """Where they lie."""
    order: Order
    """Which step is shown where several have data."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Bands, rows, columns."""
        return (len(self.names), *self.grid.bounds.shape(self.grid.resolution))

    def require(self, limit: int) -> None:
        """Raise what keeps a file from being made of it.

        Raises
        ------
        TooLargeError
            If it would be larger than a limit in bytes.
        MixedBaselinesError
            If steps differ in offset or quantification value.
        BadRequestError
            If the order is one that steps do not have.
        """
        require_bytes(self.shape, limit)
        if self.order not in ("latest", "earliest"):
            raise BadRequestError(f"order {self.order!r} is of products; steps of native pixels are latest or earliest")
        for name in ("radio_add_offset", "quantification_value"):
            values = self.cube[name].to_numpy()
            if len(values) and (values != values[0]).any():
                told = sorted({int(value) for value in np.ravel(values)})
                raise MixedBaselinesError(f"steps differ in {name} ({told}): their DN can't be put into one file")

    def strips(self, stop: Stop) -> Iterator[tuple[int, NDArray[np.uint16]]]:
        """Yield rows of pixels from the top: the first row's number, and an array (band, y, x)."""
        _, rows, _ = self.shape
        high = BLOCK_SIZE // self.grid.resolution
        steps = range(self.cube.sizes["time"])
        for first in range(0, rows, high):
            part = self.cube.isel(y=slice(first, first + high))
            found = []
            for name in self.names:
                pixels = np.zeros((part.sizes["y"], part.sizes["x"]), np.uint16)
                for step in reversed(steps) if self.order == "latest" else steps:
                    stop.check()
                    np.copyto(pixels, part[name.lower()].isel(time=step).to_numpy(), where=pixels == 0)
                    if pixels.all():
                        break
                found.append(pixels)
            yield first, np.stack(found)


def require_bytes(shape: tuple[int, int, int], limit: int) -> None:
    """Raise `TooLargeError` if an array of 16-bit numbers has more bytes than a limit."""
    size = 2 * int(np.prod([int(side) for side in shape], dtype=object))
    if size > limit:
        raise TooLargeError(
            f"{shape[0]} bands of {shape[2]} x {shape[1]} pixels are {size:,} bytes, more than the limit of {limit:,}; "
            "ask for fewer bands or a smaller buffer, or for a cube"
        )


def write_native(native: Native, form: str, scratch: str | None, stop: Stop) -> tuple[Path, Path]:
    """Write a file into a temporary folder.

    Parameters
    ----------
    native : Native
        The pixels.
    form : str
        ``tif``, ``tiff`` or ``npy``: an array (band, y, x) of uint16.
    scratch : str, optional
        Folder for temporary folders. Default: the system's.
    stop : Stop
        Ends it early.

    Returns
    -------
    tuple of Path
        The folder, which whoever takes it removes, and the file in it.

    Raises
    ------
    AbutError
        As `abut.connection.Connection.tile`, and ExportError if it can't be written.
    """
    folder = Path(tempfile.mkdtemp(prefix="abut-grid-", dir=scratch))
    try:
        path = folder / f"pixels.{form}"
        if form == NPY:
            target = np.lib.format.open_memmap(path, "w+", np.dtype("<u2"), native.shape)
            for first, pixels in native.strips(stop):
                target[:, first : first + pixels.shape[1]] = pixels
            target.flush()
        else:
            _write_tiff(native, path, stop)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return folder, path


def _write_tiff(native: Native, path: Path, stop: Stop) -> None:
    bands, _, columns = native.shape
    profile: dict[str, Any] = {**native.grid.profile, **_PACKED, "blockxsize": _TILE, "blockysize": _TILE}
    opened: dict[str, Any] = {"driver": "GTiff", "count": bands, "dtype": "uint16", "nodata": 0, **profile}
    with gdal_writing(path) as rasterio, rasterio.open(path, "w", **opened) as target:
        target.descriptions = native.names
        if native.cube.sizes["time"]:
            scale = 1 / int(native.cube["quantification_value"][0])
            offsets = native.cube["radio_add_offset"].isel(time=0)
            target.scales = (scale,) * bands
            target.offsets = tuple(scale * int(offsets.sel(band=name)) for name in native.names)
        for first, pixels in native.strips(stop):
            target.write(pixels, window=((first, first + pixels.shape[1]), (0, columns)))


def finest(names: Sequence[str]) -> int:
    """Return the pixel size that a file of some bands has, in metres.

    Raises
    ------
    BadRequestError
        If one of them is no band.
    """
    for name in names:
        if name not in BAND:
            raise BadRequestError(f"bands: {name!r} is no band; native pixels are of {', '.join(BAND)}")
    return min(BAND[name].resolution for name in names)
