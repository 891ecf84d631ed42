"""Raster masks, tile by tile: most tiles of a mask are coded by the same bytes, and so decoded once for all bands."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

import numpy as np

from ingest import jp2, raster

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from ingest.granule import Granule

type Convert = Callable[[NDArray[np.uint8], str], NDArray[np.uint8]]
"""Takes the planes of a tile, shape (count, rows, columns), and the name of the file for messages; returns one."""

CACHE_BYTES: Final = 32 << 20
"""What decoded tiles may take, of all masks that are being read."""

_cache: OrderedDict[tuple[bytes, int, int, str], NDArray[np.uint8]] = OrderedDict()
_lock = threading.Lock()


def mask_strips(
    granule: Granule, path: str, resolution: int, count: int, convert: Convert
) -> Iterator[NDArray[np.uint8]]:
    """Return a mask in strips from north to south, one row of the JP2's tiles each.

    Parameters
    ----------
    granule : Granule
        The granule.
    path : str
        Path of the mask in the SAFE.
    resolution : int
        Its pixel size in metres.
    count : int
        Number of its planes.
    convert : callable
        Makes one plane of them, and refuses impossible values.

    Yields
    ------
    array of uint8, shape (rows, width)
        Consecutive strips over the full width.

    Raises
    ------
    InvalidSafeError
        If the mask is broken, of another size or place, or has impossible values.
    """
    where = granule.label(path)
    keys = jp2.tile_keys(granule.read(path))
    with raster.opened(granule, path, resolution, count=count, dtype="uint8") as image:
        columns = list(raster.tile_columns(image))
        for row, rows in enumerate(raster.tile_rows(image)):
            strip = np.empty((rows[1], image.width), np.uint8)
            for column, (left, width) in enumerate(columns):
                content = keys.get(row * len(columns) + column)
                key = None if content is None else (content, rows[1], width, convert.__name__)
                tile = _known(key)
                if tile is None:
                    tile = convert(raster.read(image, where, rows, (left, width)), where)
                    _remember(key, tile)
                strip[:, left : left + width] = tile
            yield strip


def _known(key: tuple[bytes, int, int, str] | None) -> NDArray[np.uint8] | None:
    if key is None:
        return None
    with _lock:
        if key in _cache:
            _cache.move_to_end(key)
        return _cache.get(key)


def _remember(key: tuple[bytes, int, int, str] | None, tile: NDArray[np.uint8]) -> None:
    if key is None:
        return
    with _lock:
        _cache[key] = tile.copy()
        while sum(entry.nbytes for entry in _cache.values()) > CACHE_BYTES:
            _cache.popitem(last=False)
