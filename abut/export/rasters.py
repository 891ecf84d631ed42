"""What is written of a cube, whatever the format: its groups, their rasters, and the rows that are read together."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Any

from abut.export.gdal import STRIP

if TYPE_CHECKING:
    from collections.abc import Iterator

    import xarray as xr

    type Cube = xr.Dataset | xr.DataTree


def datasets(cube: Cube) -> dict[str, xr.Dataset]:
    """Return the datasets of a cube by path of their group; a Dataset's own is ``/``."""
    import xarray as xr  # noqa: PLC0415 - slow to import, and there is no cube without it

    if isinstance(cube, xr.Dataset):
        return {"/": cube}
    return {node.path: node.to_dataset(inherit=False) for node in cube.subtree}


def rasters_of(dataset: xr.Dataset) -> list[str]:
    """Return the names of the variables that are pixels: (time, y, x)."""
    return [
        str(name)
        for name, variable in dataset.data_vars.items()
        if variable.dims[:1] == ("time",) and variable.ndim == 3
    ]


def mapping_of(raster: xr.DataArray) -> dict[str, Any]:
    """Return what an encoding that is given in place of a raster's own has to keep: where its coordinate system is."""
    return {name: value for name, value in raster.encoding.items() if name == "grid_mapping"}


def strips_of(raster: xr.DataArray) -> Iterator[tuple[int, int]]:
    """Rows that are read together: those of the chunks of a lazy cube."""
    rows = raster.shape[-2]
    if raster.chunks is None:
        sizes = [min(STRIP, rows - start) for start in range(0, rows, STRIP)]
    else:
        sizes = list(raster.chunks[-2])
    for stop, size in zip(accumulate(sizes), sizes, strict=True):
        yield stop - size, stop
