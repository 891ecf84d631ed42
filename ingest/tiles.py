"""Images of a granule, tile by tile: tiles coded by the same bytes, such as empty ones, are decoded once.

Most of a mask is such tiles, and so is what lies outside of the swath in a band of 10 m. What was decoded is kept, in
bounded memory, for other bands and products of the same process.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ingest import jp2, raster
from ingest.container import reading

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from ingest.granule import Granule

type Convert = Callable[[NDArray[Any], str], NDArray[Any]]
"""Takes the planes of a tile, shape (count, rows, columns), and the name of the file for messages; returns one."""
type Key = tuple[bytes, int, int, str]

CACHE_BYTES: Final = 32 << 20
"""What the decoded tiles that are kept may take."""

FLAT_TILES: Final = 4096
"""How many tiles of a single value, as most are, are kept besides: half a kilobyte each, whatever their size."""

_lock = threading.Lock()


def tile_strips(
    granule: Granule, path: str, resolution: int, *, count: int, dtype: str, convert: Convert
) -> Iterator[NDArray[Any]]:
    """Return an image in strips from north to south, one row of the JP2's tiles each; no tile is decoded twice.

    Parameters
    ----------
    granule : Granule
        The granule.
    path : str
        Path of the image in the SAFE.
    resolution : int
        Its pixel size in metres.
    count : int
        Number of its planes.
    dtype : str
        Their data type.
    convert : callable
        Makes one plane of them, and refuses impossible values.

    Yields
    ------
    array, shape (rows, width)
        Consecutive strips over the full width.

    Raises
    ------
    InvalidSafeError
        If the image is broken, of another size or place, or has impossible values.
    """
    where = granule.label(path)
    keys = _keys(granule, path)
    with raster.opened(granule, path, resolution, count=count, dtype=dtype) as image:
        columns = list(raster.tile_columns(image))
        for row, rows in enumerate(raster.tile_rows(image)):
            contents = [keys.get(row * len(columns) + column) for column in range(len(columns))]
            if not any(contents):
                yield convert(raster.read(image, where, rows), where)
                continue
            strip = np.empty((rows[1], image.width), dtype)
            for content, (left, width) in zip(contents, columns, strict=True):
                key = None if content is None else (content, rows[1], width, convert.__name__)
                tile = _known(key)
                if tile is None:
                    tile = convert(raster.read(image, where, rows, (left, width)), where)
                    _remember(key, tile)
                strip[:, left : left + width] = tile
            yield strip


def _keys(granule: Granule, path: str) -> dict[int, bytes]:
    entry = granule.manifest.get(path)
    with reading(granule.container, path) as stream:
        size = stream.seek(0, os.SEEK_END) if entry is None else entry.size
        stream.seek(0)
        return jp2.tile_keys(stream, size)


def _known(key: Key | None) -> NDArray[Any] | None:
    if key is None:
        return None
    with _lock:
        return _kept.get(key)


def _remember(key: Key | None, tile: NDArray[Any]) -> None:
    if key is not None:
        with _lock:
            _kept.add(key, tile)


class _Kept:
    """Decoded tiles, those used last; what they take is bounded, and those of a single value are not pushed out."""

    def __init__(self, limit: int) -> None:
        self._limit, self._bytes = limit, 0
        self._mixed: OrderedDict[Key, NDArray[Any]] = OrderedDict()
        self._flat: OrderedDict[Key, NDArray[Any]] = OrderedDict()

    def get(self, key: Key) -> NDArray[Any] | None:
        tiles = self._flat if key in self._flat else self._mixed
        if key in tiles:
            tiles.move_to_end(key)
        return tiles.get(key)

    def add(self, key: Key, tile: NDArray[Any]) -> None:
        first = tile[:1, :1]
        if (tile == first).all():
            self._flat[key] = np.broadcast_to(first.copy(), tile.shape)
            if len(self._flat) > FLAT_TILES:
                self._flat.popitem(last=False)
            return
        if key not in self._mixed:
            self._mixed[key] = tile.copy()
            self._bytes += tile.nbytes
        while self._bytes > self._limit:
            self._bytes -= self._mixed.popitem(last=False)[1].nbytes


_kept = _Kept(CACHE_BYTES)
