"""Cubes as Zarr: lazy ones are read and written in pieces that are small whatever the size of the cube."""

from __future__ import annotations

import asyncio
import ctypes
import os
import warnings
import zipfile
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from abut.export.lazy import computed
from abut.export.rasters import datasets, mapping_of, rasters_of, strips_of
from abut.export.zarr_chunks import ChunkWriter
from abut.lattice import BLOCK_SIZE, RESOLUTIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    import xarray as xr
    from zarr.abc.store import Store

    from abut.export.lazy import Piece
    from abut.export.rasters import Cube

_ROOT: Final = "zarr.json"
"""Key of the metadata of all: who reads it finds everything."""
_AT_ONCE: Final = 32
"""Small objects that are written at once."""
_KEPT: Final = 64_000_000
"""Bytes of pieces after which freed memory is given back to the system: what is not, is used for the next ones."""
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
    from zarr.core.sync import sync  # noqa: PLC0415 - as above
    from zarr.storage import MemoryStore  # noqa: PLC0415 - as above

    # A cube is read a few times and then gone: lz4 takes a fifth of zstd's CPU, for some 5 % more bytes of DN.
    packed = BloscCodec(cname="lz4", clevel=5, shuffle="shuffle")
    groups = datasets(cube)
    pieces = {group: list(_pieces(dataset)) for group, dataset in groups.items()}
    lazy = [group for group, some in pieces.items() if some]
    total, count = sum(max(1, len(some)) for some in pieces.values()), 0
    # A group has dozens of small arrays, coordinates among them: one request after the other, each with the latency of
    # the store, would take longer than its pixels.
    draft = MemoryStore() if lazy else store
    with warnings.catch_warnings():
        # Texts and consolidated metadata are not written down in the specification yet; xarray and zarr-python agree.
        warnings.filterwarnings("ignore", category=UserWarning, module=r"(zarr|xarray)\b")
        warnings.filterwarnings("ignore", category=FutureWarning, module=r"zarr\b")
        for group, dataset in groups.items():
            encoding = {
                name: {
                    **mapping_of(dataset[name]),
                    **_empty(dataset[name]),
                    "chunks": _chunks(dataset[name]),
                    "compressors": packed,
                }
                for name in rasters_of(dataset)
            }
            made: Any = partial(dataset.to_zarr, draft, group=group, mode="a", zarr_format=3, consolidated=False)
            made(encoding=encoding, compute=group not in lazy, safe_chunks=group not in lazy)
        zarr.consolidate_metadata(draft, zarr_format=3)
        if lazy:
            sync(_copied(draft, store, lambda key: key != _ROOT))
        for group, dataset in groups.items():
            if group in lazy:
                rasters = rasters_of(dataset)
                paths = {name: f"{group}/{name}".strip("/") for name in rasters}
                arrays = {
                    name: zarr.open_array(store, path=path, mode="r+", zarr_format=3) for name, path in paths.items()
                }
                for _ in _written(dataset[rasters], arrays, pieces[group], scheduler):
                    count += 1
                    done(count, total)
            else:
                count += 1
                done(count, total)
        if lazy:
            sync(_copied(draft, store, lambda key: key == _ROOT))


async def _copied(draft: Store, store: Store, wanted: Callable[[str], bool]) -> None:
    """Copy the objects of a small store whose keys are wanted into another, some at once."""
    from zarr.core.buffer import default_buffer_prototype  # noqa: PLC0415 - slow to import

    free = asyncio.Semaphore(_AT_ONCE)

    async def copy(key: str) -> None:
        content = await draft.get(key, default_buffer_prototype())
        assert content is not None  # noqa: S101 - it was listed
        async with free:
            await store.set(key, content)

    await asyncio.gather(*[copy(key) async for key in draft.list() if wanted(key)])


def _written(
    dataset: xr.Dataset, arrays: Mapping[str, Any], pieces: Sequence[Piece], scheduler: str | None
) -> Iterator[None]:
    """Read and write the pieces of a lazy group; yields after each."""
    kept = 0
    with ChunkWriter(arrays) as writer:
        for piece, values in zip(pieces, computed(dataset, pieces, scheduler), strict=True):
            writer.add(*piece, values)
            kept += sum(array.nbytes for array in values.values())
            del values
            if kept >= _KEPT:
                _give_back()
                kept = 0
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


def _empty(raster: xr.DataArray) -> dict[str, Any]:
    """Return the encoding by which chunks without data need not be written: they read as what says so."""
    told = {**raster.attrs, **raster.encoding}
    found = [told[name] for name in ("_FillValue", "nodata") if told.get(name) is not None]
    return {"fill_value": raster.dtype.type(found[0])} if found else {}


def _chunks(raster: xr.DataArray) -> tuple[int, int, int]:
    """One step, and 9,600 m of ground as the archive has it; 960 pixels where they are not those of a zone."""
    size = abs(float(raster["spatial_ref"].attrs["GeoTransform"].split()[1]))
    side = round(BLOCK_SIZE / size) if size in RESOLUTIONS else BLOCK_SIZE // RESOLUTIONS[0]
    _, rows, columns = raster.shape
    return 1, min(side, rows), min(side, columns)


def _pieces(dataset: xr.Dataset) -> Iterator[Piece]:
    """Parts of a lazy group that are read and written together; none of one that was read.

    They end where chunks do, so that no block is read twice, and are small whatever the width of the cube.
    """
    rasters = rasters_of(dataset)
    if not rasters or dataset[rasters[0]].chunks is None:
        return
    raster = dataset[rasters[0]]
    columns: tuple[int, ...] = raster.chunksizes[raster.dims[-1]]
    pixel = sum(dataset[name].dtype.itemsize for name in rasters)
    for step in range(raster.shape[0]):
        for start, stop in strips_of(raster):
            most = max(1, _PIECE // max(1, pixel * (stop - start)))
            for left, right in _runs(columns, most):
                yield step, slice(start, stop), slice(left, right)


def _runs(sizes: Sequence[int], most: int) -> Iterator[tuple[int, int]]:
    """Put neighbouring chunks together as long as they have at most so many pixels; at least one each."""
    start = stop = 0
    for size in sizes:
        if stop > start and stop + size - start > most:
            yield start, stop
            start = stop
        stop += size
    yield start, stop
