"""Cubes as files: Zarr (a folder or a zip), netCDF, or a folder of Cloud Optimized GeoTIFFs.

What is written appears at its name when all of it is there. Lazy cubes are read piece by piece while they are written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

from abut.errors import BadRequestError, ExportError
from abut.export.cube_tiff import write_tiffs
from abut.export.cube_zarr import write_zarr, zip_folder
from abut.export.folder import new_file, new_folder, writing
from abut.export.rasters import datasets, mapping_of, rasters_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from abut.export.rasters import Cube

    type Format = Literal["zarr", "zip", "netcdf", "cog"]

_SUFFIXES: Final[dict[str, Format]] = {".zarr": "zarr", ".zarr.zip": "zip", ".nc": "netcdf", "": "cog"}


def format_of(out: Path) -> Format:
    """Return the format that a name asks for.

    Parameters
    ----------
    out : Path
        ``x.zarr``, ``x.zarr.zip``, ``x.nc``, or a name without a suffix: a folder of GeoTIFFs.

    Raises
    ------
    BadRequestError
        If it has another suffix.
    """
    name = out.name
    for suffix, found in _SUFFIXES.items():
        if suffix and name.endswith(suffix) and name != suffix:
            return found
    if "." in name.lstrip("."):
        raise BadRequestError(
            f"{out}: write to x.zarr, x.zarr.zip or x.nc, or to a name without a suffix: a folder of GeoTIFFs"
        )
    return "cog"


def write_cube(cube: Cube, out: Path, *, done: Callable[[int, int], None] = lambda *_: None) -> None:
    """Write a cube in the format that the name asks for, see `format_of`.

    Zarr is version 3 with chunks of one step and 9,600 m; a tree becomes groups. GeoTIFFs are one for each step and
    variable: ``<time>_B02.tif``, DN with scale and offset as tags, nodata 0, or reflectance with nodata NaN; their
    pixels are read again and compared.

    Parameters
    ----------
    cube : xarray.Dataset or xarray.DataTree
        What `abut.connection` returns, read or lazy.
    out : Path
        Name of the file or folder; nothing may be there.
    done : callable
        Called with the number of pieces that are written, and of all.

    Raises
    ------
    BadRequestError
        If the name asks for no format, or the format can't hold the cube.
    ExportError
        If something is there, or it can't be written (disk full).
    MissingObjectError, DigestMismatchError, UnsupportedStoreError
        While a lazy cube is read.
    """
    kind = format_of(out)
    target = new_folder(out) if kind in ("zarr", "cog") else new_file(out)
    try:
        with target as work, writing(out):
            if kind == "cog":
                write_tiffs(cube, work, done)
            elif kind == "netcdf":
                _write_netcdf(cube, work.content)
                done(1, 1)
            else:
                folder = work.content if kind == "zarr" else work.scratch / "zarr"
                write_zarr(cube, _folder_store(folder), done)
                if kind == "zip":
                    zip_folder(folder, work.content)
    except ImportError as error:
        raise ExportError(f"{out}: {error.name} is not installed: pip install 'abut[cubes]'") from error


def _write_netcdf(cube: Cube, path: Path) -> None:
    import xarray as xr  # noqa: PLC0415 - slow to import, and there is no cube without it

    packed = {"zlib": True, "complevel": 1, "shuffle": True}
    encoding = {
        group: {name: {**mapping_of(dataset[name]), **packed} for name in rasters_of(dataset)}
        for group, dataset in datasets(cube).items()
    }
    if isinstance(cube, xr.Dataset):
        cube.to_netcdf(path, engine="h5netcdf", encoding=encoding["/"])
    else:
        cube.to_netcdf(path, engine="h5netcdf", encoding=encoding)


def _folder_store(folder: Path) -> Any:
    from zarr.storage import LocalStore  # noqa: PLC0415 - slow to import

    return LocalStore(folder)
