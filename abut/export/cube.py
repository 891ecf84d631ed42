"""Cubes as files: Zarr (a folder or a zip), netCDF, or a folder of Cloud Optimized GeoTIFFs.

What is written appears at its name when all of it is there. Lazy cubes are read piece by piece while they are written.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import warnings
import zipfile
from collections import Counter
from functools import partial
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import xarray as xr

from abut.errors import BadRequestError, ExportError
from abut.export.folder import new_file, new_folder, writing
from abut.export.gdal import STRIP, gdal_writing, require_pixels
from abut.lattice import BLOCK_SIZE, RESOLUTIONS
from abut.layout import BAND

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from abut.export.folder import Work

    type Format = Literal["zarr", "zip", "netcdf", "cog"]
    type Cube = xr.Dataset | xr.DataTree

_SUFFIXES: Final[dict[str, Format]] = {".zarr": "zarr", ".zarr.zip": "zip", ".nc": "netcdf", "": "cog"}
_BANDS: Final = {band.key: band.name for band in BAND.values()}
_PIECE: Final = 16_000_000
"""Bytes of a lazy cube, all variables of a group, that are read and written together, if that is more than a chunk."""
_COG: Final = {"COMPRESS": "DEFLATE", "PREDICTOR": "YES", "BIGTIFF": "IF_SAFER", "NUM_THREADS": "ALL_CPUS"}


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
                _write_tiffs(cube, work, done)
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


def datasets(cube: Cube) -> dict[str, xr.Dataset]:
    """Return the datasets of a cube by path of their group; a Dataset's own is ``/``."""
    if isinstance(cube, xr.Dataset):
        return {"/": cube}
    return {node.path: node.to_dataset(inherit=False) for node in cube.subtree}


def _write_netcdf(cube: Cube, path: Path) -> None:
    packed = {"zlib": True, "complevel": 1, "shuffle": True}
    encoding = {
        group: {name: {**_mapping(dataset[name]), **packed} for name in _rasters(dataset)}
        for group, dataset in datasets(cube).items()
    }
    if isinstance(cube, xr.Dataset):
        cube.to_netcdf(path, engine="h5netcdf", encoding=encoding["/"])
    else:
        cube.to_netcdf(path, engine="h5netcdf", encoding=encoding)


def write_zarr(
    cube: Cube, store: Any, done: Callable[[int, int], None] = lambda *_: None, *, scheduler: str | None = None
) -> None:
    """Write a cube into a Zarr store in which nothing is yet; consolidated metadata is written last.

    Parameters
    ----------
    cube : xarray.Dataset or xarray.DataTree
        What `abut.connection` returns, read or lazy.
    store : zarr.abc.store.Store
        Where to.
    done : callable
        Called with the number of pieces that are written, and of all; what it raises ends the writing.
    scheduler : str, optional
        How Dask computes the pieces of a lazy cube. Default: as it is configured.

    Raises
    ------
    MissingObjectError, DigestMismatchError, UnsupportedStoreError
        While a lazy cube is read.
    """
    import zarr  # noqa: PLC0415 - slow to import
    from zarr.codecs import BloscCodec  # noqa: PLC0415 - as above

    packed = BloscCodec(cname="zstd", clevel=3, shuffle="shuffle")
    groups = datasets(cube)
    total = sum(len(list(_pieces(dataset))) for dataset in groups.values())
    count = 0
    with warnings.catch_warnings():
        # Texts and consolidated metadata are not written down in the specification yet; xarray and zarr-python agree.
        warnings.filterwarnings("ignore", category=UserWarning, module=r"(zarr|xarray)\b")
        warnings.filterwarnings("ignore", category=FutureWarning, module=r"zarr\b")
        for group, dataset in groups.items():
            rasters = _rasters(dataset)
            encoding = {
                name: {**_mapping(dataset[name]), "chunks": _chunks(dataset[name]), "compressors": packed}
                for name in rasters
            }
            pieces = list(_pieces(dataset))
            lazy = pieces != [{}]
            made: Any = partial(dataset.to_zarr, store, group=group, mode="a", zarr_format=3, consolidated=False)
            made(encoding=encoding, compute=not lazy, safe_chunks=not lazy)
            for piece in pieces if lazy else ():
                part = dataset[rasters].isel(piece).load(scheduler=scheduler)
                part.drop_vars(list(part.coords)).to_zarr(
                    store, group=group, region=piece, zarr_format=3, consolidated=False
                )
                del part
                _give_back()
                count += 1
                done(count, total)
            if not lazy:
                count += len(pieces)
                done(count, total)
        zarr.consolidate_metadata(store, zarr_format=3)


def _give_back() -> None:
    """Give freed memory back to the system; glibc keeps up to 64 MB for each thread that ever read a block."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if os.name == "posix" else None
    if trim is not None:
        trim(0)


def _folder_store(folder: Path) -> Any:
    from zarr.storage import LocalStore  # noqa: PLC0415 - slow to import

    return LocalStore(folder)


def zip_folder(folder: Path, target: Path) -> None:
    """Pack a folder of files that are packed already, such as a Zarr group or images, without further compression."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for file in sorted(path for path in folder.rglob("*") if path.is_file()):
            archive.write(file, file.relative_to(folder).as_posix())


def _write_tiffs(cube: Cube, work: Work, done: Callable[[int, int], None]) -> None:
    jobs = [
        (dataset, name, step, file)
        for group, dataset in datasets(cube).items()
        for step, moment in enumerate(_moments(dataset))
        for name in _rasters(dataset)
        for file in [f"{moment}_{_title(name, group)}.tif"]
    ]
    if not jobs:
        raise BadRequestError("nothing in the cube can be written as GeoTIFF")
    for count, (dataset, name, step, file) in enumerate(jobs, 1):
        _write_tiff(dataset, name, step, work.content / file, work.scratch / "plain.tif")
        done(count, len(jobs))


def _write_tiff(dataset: xr.Dataset, name: str, step: int, path: Path, scratch: Path) -> None:
    """Write one raster as Cloud Optimized GeoTIFF; GDAL makes it of a plain one."""
    raster = dataset[name].isel(time=step)
    digest = hashlib.sha256()
    with gdal_writing(path) as rasterio:
        with rasterio.open(scratch, "w", driver="GTiff", count=1, BIGTIFF="IF_SAFER", **_profile(raster)) as target:
            for late, value in _scaling(dataset, name, step).items():
                setattr(target, late, (value,))
            target.update_tags(**_tags(dataset, name, step))
            target.descriptions = (_title(name, "/"),)
            for start, stop in _strips(raster):
                part = np.ascontiguousarray(raster[start:stop].to_numpy())
                target.write(part, 1, window=((start, stop), (0, raster.shape[1])))
                digest.update(part)
        resampling = "AVERAGE" if name in _BANDS else "NEAREST"
        rasterio.shutil.copy(scratch, path, driver="COG", OVERVIEW_RESAMPLING=resampling, **_COG)
    require_pixels(path, digest.hexdigest())
    scratch.unlink()


def _profile(raster: xr.DataArray) -> dict[str, Any]:
    from affine import Affine  # noqa: PLC0415 - comes with rasterio, an extra

    reference = raster["spatial_ref"].attrs
    left, width, _, top, _, height = map(float, reference["GeoTransform"].split())
    nodata = 0 if raster.dtype == np.uint16 else np.nan if raster.dtype.kind == "f" else None
    return {
        "height": raster.shape[0],
        "width": raster.shape[1],
        "dtype": raster.dtype.name,
        "crs": reference["crs_wkt"],
        "transform": Affine(width, 0, left, 0, height, top),
        "nodata": nodata,
    }


def _scaling(dataset: xr.Dataset, name: str, step: int) -> dict[str, float]:
    """Reflectance = DN * scale + offset where DN > 0."""
    if dataset[name].dtype != np.uint16:
        return {}
    quantification = int(dataset["quantification_value"][step])
    return {"scales": 1 / quantification, "offsets": _offset(dataset, name, step) / quantification}


def _tags(dataset: xr.Dataset, name: str, step: int) -> dict[str, Any]:
    tags: dict[str, Any] = {"DATATAKE": str(dataset["datatake"].to_numpy()[step])}
    if name in _BANDS:
        tags["RADIO_ADD_OFFSET"] = _offset(dataset, name, step)
        tags["QUANTIFICATION_VALUE"] = int(dataset["quantification_value"][step])
    meanings = dataset[name].attrs.get("flag_meanings")
    return {**tags, **({"FLAG_MEANINGS": meanings} if meanings else {})}


def _offset(dataset: xr.Dataset, name: str, step: int) -> int:
    return int(dataset["radio_add_offset"].sel(band=_BANDS[name])[step])


def _title(name: str, group: str) -> str:
    """Return ``B02`` for a band, ``B02_quality`` for a mask; a raster of every group has the group's name too."""
    start, _, rest = name.partition("_")
    if start in _BANDS:
        return f"{_BANDS[start]}_{rest}" if rest else _BANDS[start]
    return f"{name}_{group.strip('/')}" if name == "provenance" and group != "/" else name


def _rasters(dataset: xr.Dataset) -> list[str]:
    return [
        str(name)
        for name, variable in dataset.data_vars.items()
        if variable.dims[:1] == ("time",) and variable.ndim == 3
    ]


def _moments(dataset: xr.Dataset) -> list[str]:
    """Return the times of the steps as parts of file names, all different."""
    if "time" not in dataset:
        return []
    names = [np.datetime_as_string(moment, "s").replace("-", "").replace(":", "") for moment in dataset["time"].values]
    seen: Counter[str] = Counter()
    unique = []
    for name in names:
        seen[name] += 1
        unique.append(name if seen[name] == 1 else f"{name}-{seen[name]}")
    return unique


def _mapping(raster: xr.DataArray) -> dict[str, Any]:
    """Return what an encoding that is given in place of a raster's own has to keep: where its coordinate system is."""
    return {name: value for name, value in raster.encoding.items() if name == "grid_mapping"}


def _chunks(raster: xr.DataArray) -> tuple[int, int, int]:
    """One step, and 9,600 m of ground as the archive has it; 960 pixels where they are not those of a zone."""
    size = abs(float(raster["spatial_ref"].attrs["GeoTransform"].split()[1]))
    side = round(BLOCK_SIZE / size) if size in RESOLUTIONS else BLOCK_SIZE // RESOLUTIONS[0]
    _, rows, columns = raster.shape
    return 1, min(side, rows), min(side, columns)


def _strips(raster: xr.DataArray) -> Iterator[tuple[int, int]]:
    """Rows that are read together: those of the chunks of a lazy cube."""
    rows = raster.shape[-2]
    if raster.chunks is None:
        sizes = [min(STRIP, rows - start) for start in range(0, rows, STRIP)]
    else:
        sizes = list(raster.chunks[-2])
    for stop, size in zip(accumulate(sizes), sizes, strict=True):
        yield stop - size, stop


def _pieces(dataset: xr.Dataset) -> Iterator[dict[str, slice]]:
    """Parts of a group that are read and written together: all that was read, or some chunks of lazy ones.

    They end where chunks do, so that no block is read twice, and are small whatever the width of the cube.
    """
    rasters = _rasters(dataset)
    if not rasters or dataset[rasters[0]].chunks is None:
        yield {}
        return
    raster = dataset[rasters[0]]
    time, down, across = map(str, raster.dims)
    columns: tuple[int, ...] = raster.chunksizes[across]
    pixel = sum(dataset[name].dtype.itemsize for name in rasters)
    for step in range(raster.shape[0]):
        for start, stop in _strips(raster):
            most = max(1, _PIECE // max(1, pixel * (stop - start)))
            for left, right in _runs(columns, most):
                yield {time: slice(step, step + 1), down: slice(start, stop), across: slice(left, right)}


def _runs(sizes: Sequence[int], most: int) -> Iterator[tuple[int, int]]:
    """Put neighbouring chunks together as long as they have at most so many pixels; at least one each."""
    start = stop = 0
    for size in sizes:
        if stop > start and stop + size - start > most:
            yield start, stop
            start = stop
        stop += size
    yield start, stop
