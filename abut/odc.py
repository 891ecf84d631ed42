"""`odc.stac.load` for items of an archive: the same call and an equal result, with blocks read directly.

All that odc-stac decides stays odc-stac's: parsing of items, pixels of the result, grouping, chunks, and which item's
pixel wins. Only its reader is another one (`BlockReader`). Where the pixels asked for lie on the grid of an item's
array, it fetches the array's chunks by their keys and pastes them; anything else it leaves to odc-stac's own reader,
which is GDAL. Like that one it shows what an item's array *holds*, not the legacy tile: see `abut.complete`.
"""

from __future__ import annotations

import inspect
import json
import logging
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import odc.stac
from odc.loader import RioDriver, resolve_dst_nodata, resolve_src_nodata

from abut.cache import Cache
from abut.codec import decode_block
from abut.errors import AbutError, MissingObjectError
from abut.store import open_store
from abut.threads import for_each
from abut.token import token_for_found, with_token
from abut.unusable import explained

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray
    from odc.geo.geobox import GeoBox
    from odc.loader import RasterLoadParams, RasterSource

    from abut.store import Store

_log = logging.getLogger(__name__)

_LOCAL_THREADS: Final = 4
_REMOTE_THREADS: Final = 64
_MEMORY: Final = 192 * 2**20
_TYPES: Final = frozenset({"uint16", "int32", "uint32", "int64", "float32", "float64"})
"""Types that hold every DN; conversion to others is GDAL's affair."""


@wraps(odc.stac.load, assigned=())  # its signature
def load(*args: Any, **kwargs: Any) -> xr.Dataset:
    """Load items as `odc.stac.load` does, which see for all parameters; equal values, coordinates and attributes.

    ``token`` is one more: the bearer token of a service that needs one to read; default: the environment's, below
    ``ABUT_TOKEN_URL``. GDAL, which reads what is not pasted, has settings of its own: ``GDAL_HTTP_HEADERS``.

    A log record of level DEBUG says for each array whether its chunks are read directly, and if not, why. Calls with
    a ``driver`` or ``with_properties`` of their own are passed to `odc.stac.load` as they are.
    """
    token = kwargs.pop("token", None)
    given = inspect.signature(odc.stac.load).bind(*args, **kwargs)
    if given.arguments.get("driver") is None and given.arguments.get("with_properties") is None:
        kwargs = {**kwargs, "driver": BlockDriver(keep=given.arguments.get("chunks") is None, token=token)}
    else:
        _log.debug("odc.stac.load itself: driver or with_properties was given")
    return odc.stac.load(*args, **kwargs)


@dataclass(frozen=True, slots=True)
class _Array:
    """An array in a store whose chunks are blocks."""

    store: Store
    path: str
    side: int
    """Rows and columns of a chunk."""
    profile: str

    def block(self, row: int, column: int) -> NDArray[np.uint16] | None:
        """Return a chunk, None where there is none."""
        key = f"{self.path}/c/{row}/{column}"
        try:
            with explained(f"{self.store.url}/{key}"):
                data = self.store.get(key)
        except MissingObjectError:
            return None
        return decode_block(data, self.side, self.profile)


class BlockDriver(RioDriver):
    """A driver of odc-loader that reads chunks of Zarr arrays directly.

    Parameters
    ----------
    keep : bool
        Whether decoded chunks are kept for a while: those at the edges of odc-stac's own chunks are needed again.
    token : str, optional
        Bearer token for arrays on the web; it goes along to workers of Dask.
    """

    def __init__(self, *, keep: bool = False, token: str | None = None) -> None:
        super().__init__()
        self.keep = keep
        self._token = token
        self._arrays: Cache[_Array | None] = Cache(100_000, lambda _: 1)
        self._blocks: Cache[NDArray[np.uint16] | None] = Cache(
            _MEMORY if keep else 0, lambda block: 0 if block is None else block.nbytes
        )
        self._stores: Cache[Store] = Cache(100, lambda _: 1)

    def __reduce__(self) -> tuple[Any, ...]:
        return _driver, (self.keep, self._token)

    def finalise_load(self, load_state: Any) -> Any:
        """Forget what was read."""
        self._blocks = Cache(0, lambda _: 0)
        return super().finalise_load(load_state)

    def open(self, src: RasterSource, ctx: Any) -> BlockReader:  # type: ignore[override]  # any reader will do
        """Return a reader of a band of an item."""
        return BlockReader(self, src, super().open(src, ctx))

    def array(self, source: RasterSource) -> _Array | None:
        """Return the array that a band is in, None if it is none whose chunks are read here."""
        return self._arrays.get(source.uri, lambda: self._opened(source))

    def block(self, array: _Array, row: int, column: int) -> NDArray[np.uint16] | None:
        """Return a chunk of an array, None where there is none."""
        key = array.store.url, array.path, row, column
        return self._blocks.get(key, lambda: array.block(row, column))

    def _store(self, folder: str) -> Store:
        return with_token(open_store(folder), token_for_found(folder, self._token))

    def _opened(self, source: RasterSource) -> _Array | None:
        folder, mark, rest = source.uri.partition("/products/")
        if not mark or source.geobox is None or "?" in source.uri:
            _log.debug("%s: through GDAL, it is not in an archive", source.uri)
            return None
        try:
            store = self._stores.get(folder, lambda: self._store(folder))
            path = f"products/{rest}"
            with explained(source.uri):
                metadata = json.loads(store.get(f"{path}/zarr.json"))
            found = _understood(metadata, source.geobox.shape.yx)
        except (AbutError, LookupError, TypeError, ValueError) as error:
            _log.debug("%s: through GDAL, %s", source.uri, error)
            return None
        if found is None:
            _log.debug("%s: through GDAL, it is no array of blocks", source.uri)
            return None
        _log.debug("%s: chunks are read directly", source.uri)
        return _Array(store, path, *found)


class BlockReader:
    """A reader of odc-loader for one band of an item.

    Parameters
    ----------
    driver : BlockDriver
        The driver, which knows arrays and keeps chunks.
    source : RasterSource
        The band.
    other : odc.loader.RioReader
        What reads it where its chunks can't be pasted.
    """

    def __init__(self, driver: BlockDriver, source: RasterSource, other: Any) -> None:
        self._driver, self._source, self._other = driver, source, other

    def read(
        self,
        cfg: RasterLoadParams,
        dst_geobox: GeoBox,
        *,
        dst: NDArray[Any] | None = None,
        selection: Any = None,
    ) -> tuple[tuple[slice, slice], NDArray[Any]]:
        """Return the pixels that the band has of a GeoBox, and where they lie in it."""
        source = self._source
        if dst is None and selection is None and str(cfg.dtype) in _TYPES and source.geobox is not None:
            offset = _offset(source.geobox, dst_geobox)
            array = None if offset is None else self._driver.array(source)
            if array is not None and offset is not None:
                try:
                    return self._pasted(array, cfg, offset, dst_geobox.shape.yx)
                except (AbutError, ValueError) as error:
                    _log.debug("%s: through GDAL, %s", source.uri, error)
        found: tuple[tuple[slice, slice], NDArray[Any]] = self._other.read(
            cfg, dst_geobox, dst=dst, selection=selection
        )
        return found

    def _pasted(
        self, array: _Array, cfg: RasterLoadParams, offset: tuple[int, int], shape: tuple[int, int]
    ) -> tuple[tuple[slice, slice], NDArray[Any]]:
        assert self._source.geobox is not None  # noqa: S101 - looked at before
        rows, columns = (
            _common(start, size, whole)
            for start, size, whole in zip(offset, shape, self._source.geobox.shape.yx, strict=True)
        )
        pixels = np.zeros((len(rows), len(columns)), np.uint16)
        side = array.side

        def paste(block: tuple[int, int]) -> None:
            found = self._driver.block(array, *block)
            if found is not None:
                target, inside = zip(
                    *(_parts(number, side, wanted) for number, wanted in zip(block, (rows, columns), strict=True)),
                    strict=True,
                )
                pixels[target] = found[inside]

        blocks = [
            (row, column)
            for row in range(rows.start // side, -(-rows.stop // side))
            for column in range(columns.start // side, -(-columns.stop // side))
        ]
        if pixels.size:
            threads = _LOCAL_THREADS if array.store.root else _REMOTE_THREADS
            for_each(blocks, paste, min(threads, len(blocks)))
        nodata = resolve_src_nodata(0, cfg)
        result = pixels.astype(np.dtype(cfg.dtype), copy=False)
        filled = resolve_dst_nodata(result.dtype, cfg, nodata)
        if filled is not None and filled != nodata:
            result[pixels == nodata] = filled
        place = tuple(
            slice(part.start - start, part.stop - start) for part, start in zip((rows, columns), offset, strict=True)
        )
        return (place[0], place[1]), result


def _driver(keep: bool, token: str | None) -> BlockDriver:
    return BlockDriver(keep=keep, token=token)


def _understood(metadata: Any, shape: tuple[int, int]) -> tuple[int, str] | None:
    """Return the side of an array's chunks and their encoding, None if it is not one of an archive."""
    height, width = metadata["chunk_grid"]["configuration"]["chunk_shape"]
    codecs = [codec["name"] for codec in metadata["codecs"]]
    profile = {("bytes", "blosc"): "default", ("numcodecs.pcodec",): "dense"}.get(tuple(codecs))
    separator = metadata["chunk_key_encoding"].get("configuration", {}).get("separator", "/")
    fits = (
        height == width
        and profile is not None
        and tuple(metadata["shape"]) == shape
        and metadata["data_type"] == "uint16"
        and metadata["fill_value"] == 0
        and (metadata["chunk_key_encoding"]["name"], separator) == ("default", "/")
    )
    return (height, profile) if fits and profile else None


def _offset(source: Any, wanted: GeoBox) -> tuple[int, int] | None:
    """Return row and column of the source at the corner of a GeoBox on the same grid, None if it is on another."""
    one, other = source.transform, wanted.transform
    if (
        source.crs != wanted.crs
        or one.b
        or one.d
        or (one.a, one.b, one.d, one.e) != (other.a, other.b, other.d, other.e)
    ):
        return None
    row, column = (other.f - one.f) / one.e, (other.c - one.c) / one.a
    if not (row.is_integer() and column.is_integer()):
        return None
    return int(row), int(column)


def _common(start: int, size: int, whole: int) -> range:
    """Return which of 0 ... whole are in start ... start + size."""
    first = min(max(start, 0), whole)
    return range(first, max(first, min(start + size, whole)))


def _parts(number: int, side: int, wanted: range) -> tuple[slice, slice]:
    """Return where a chunk's rows (or columns) lie in what is wanted, and those in the chunk."""
    first, last = max(number * side, wanted.start), min((number + 1) * side, wanted.stop)
    return slice(first - wanted.start, last - wanted.start), slice(first - number * side, last - number * side)
