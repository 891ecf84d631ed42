"""Cubes as Zarr: lazy ones are read and written in pieces that are small whatever the size of the cube."""

from __future__ import annotations

import ctypes
import os
import warnings
import zipfile
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from abut.export.rasters import datasets, mapping_of, rasters_of, strips_of
from abut.export.zarr_chunks import ChunkWriter
from abut.lattice import BLOCK_SIZE, RESOLUTIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    import xarray as xr

    from abut.export.rasters import Cube

_PIECE: Final = 8_000_000
"""Bytes of a lazy cube, all variables of a group, that are read and written together, if that is more than a chunk."""


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
            rasters = rasters_of(dataset)
            encoding = {
                name: {**mapping_of(dataset[name]), "chunks": _chunks(dataset[name]), "compressors": packed}
                for name in rasters
            }
            pieces = list(_pieces(dataset))
            lazy = pieces != [{}]
            made: Any = partial(dataset.to_zarr, store, group=group, mode="a", zarr_format=3, consolidated=False)
            made(encoding=encoding, compute=not lazy, safe_chunks=not lazy)
            arrays: Any = zarr.open_group(store, path=group.strip("/"), mode="r+", zarr_format=3) if lazy else {}
            if lazy:
                for _ in _written(dataset[rasters], arrays, pieces, scheduler):
                    count += 1
                    done(count, total)
            if not lazy:
                count += len(pieces)
                done(count, total)
        zarr.consolidate_metadata(store, zarr_format=3)


def _written(
    dataset: xr.Dataset, group: Any, pieces: Sequence[dict[str, slice]], scheduler: str | None
) -> Iterator[None]:
    """Read and write the pieces of a lazy group; yields after each."""
    names = [str(name) for name in dataset.data_vars]
    with ChunkWriter({name: group[name] for name in names}) as writer:
        for piece in pieces:
            part = dataset.isel(piece).load(scheduler=scheduler)
            step, rows, columns = piece.values()
            writer.add(step.start, rows, columns, {name: part[name].to_numpy()[0] for name in names})
            del part
            _give_back()
            yield


def _give_back() -> None:
    """Give freed memory back to the system; glibc keeps up to 64 MB for each thread that ever read a block."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if os.name == "posix" else None
    if trim is not None:
        trim(0)


def zip_folder(folder: Path, target: Path) -> None:
    """Pack a folder of files that are packed already, such as a Zarr group or images, without further compression."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for file in sorted(path for path in folder.rglob("*") if path.is_file()):
            archive.write(file, file.relative_to(folder).as_posix())


def _chunks(raster: xr.DataArray) -> tuple[int, int, int]:
    """One step, and 9,600 m of ground as the archive has it; 960 pixels where they are not those of a zone."""
    size = abs(float(raster["spatial_ref"].attrs["GeoTransform"].split()[1]))
    side = round(BLOCK_SIZE / size) if size in RESOLUTIONS else BLOCK_SIZE // RESOLUTIONS[0]
    _, rows, columns = raster.shape
    return 1, min(side, rows), min(side, columns)


def _pieces(dataset: xr.Dataset) -> Iterator[dict[str, slice]]:
    """Parts of a group that are read and written together: all that was read, or some chunks of lazy ones.

    They end where chunks do, so that no block is read twice, and are small whatever the width of the cube.
    """
    rasters = rasters_of(dataset)
    if not rasters or dataset[rasters[0]].chunks is None:
        yield {}
        return
    raster = dataset[rasters[0]]
    time, down, across = map(str, raster.dims)
    columns: tuple[int, ...] = raster.chunksizes[across]
    pixel = sum(dataset[name].dtype.itemsize for name in rasters)
    for step in range(raster.shape[0]):
        for start, stop in strips_of(raster):
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
