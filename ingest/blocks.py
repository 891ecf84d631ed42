"""One band into blocks: strips in, encoded objects, digests and overviews out, in bounded memory."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from abut.codec import DTYPE, encode_block
from abut.errors import InvalidSafeError
from abut.layout import block_key
from ingest.overviews import Pyramid

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    from abut.lattice import Block
    from abut.layout import Band
    from abut.tiling import Tile


@dataclass(frozen=True, slots=True)
class WrittenBand:
    """What became of one band."""

    digest: str
    """SHA-256 of the decoded legacy array."""
    blocks: dict[Block, tuple[str, int]] = field(default_factory=dict)
    """Digest of the decoded block, and bytes of the object, of each block that has data in this band."""
    overviews: dict[int, NDArray[np.uint16]] = field(default_factory=dict)
    """Overview arrays that span the hull, by reduction (4, 16, 64)."""


def write_band(
    band: Band,
    tile: Tile,
    strips: Iterable[NDArray[np.uint16]],
    put: Callable[[str, bytes], None],
    *,
    profile: str,
    source: str,
) -> WrittenBand:
    """Cut a band into blocks and write those that have data.

    Parameters
    ----------
    band : Band
        Which band.
    tile : Tile
        Its tile.
    strips : iterable of ndarray of uint16
        Rows of the legacy array from north to south, shape (rows, 109800 / resolution).
    put : callable
        Takes the key of an object below the product's store folder, and its bytes.
    profile : str
        Encoding, see `abut.codec`.
    source : str
        What the errors name.

    Raises
    ------
    InvalidSafeError
        If the strips are not exactly the legacy array.
    """
    rows, columns = tile.footprint.shape(band.resolution)
    top, left = (part.start for part in tile.hull.bounds.slices(tile.footprint, band.resolution))
    assembler = _BlockRows(band, tile, put, profile)
    whole = hashlib.sha256()
    done = 0
    for strip in strips:
        if strip.dtype != DTYPE or strip.ndim != 2 or strip.shape[1] != columns or done + strip.shape[0] > rows:
            raise InvalidSafeError(
                f"{source}: {band.name} has a strip of {strip.dtype} {strip.shape} at row {done}, "
                f"expected uint16 of {rows} x {columns}"
            )
        whole.update(np.ascontiguousarray(strip))
        assembler.add(strip, top + done, left)
        done += strip.shape[0]
    if done != rows:
        raise InvalidSafeError(f"{source}: {band.name} has {done} rows, expected {rows}")
    return assembler.finish(whole.hexdigest())


class _BlockRows:
    """Collects rows until a row of blocks is whole; holds one such row at a time."""

    def __init__(self, band: Band, tile: Tile, put: Callable[[str, bytes], None], profile: str) -> None:
        self._band, self._hull, self._put, self._profile = band, tile.hull, put, profile
        self._rows = np.zeros((band.block_pixels, self._hull.shape[1] * band.block_pixels), DTYPE)
        self._row = 0
        self._pyramid = Pyramid(band, self._hull.shape)
        self._blocks: dict[Block, tuple[str, int]] = {}

    def add(self, strip: NDArray[np.uint16], at: int, left: int) -> None:
        """Take rows that start at row `at` of the hull and column `left`."""
        pixels = self._band.block_pixels
        while len(strip):
            if at // pixels != self._row:
                self._write_row()
            start = at - self._row * pixels
            part = strip[: pixels - start]
            self._rows[start : start + len(part), left : left + part.shape[1]] = part
            strip, at = strip[len(part) :], at + len(part)

    def finish(self, digest: str) -> WrittenBand:
        """Write what is left."""
        while self._row < self._hull.shape[0]:
            self._write_row()
        return WrittenBand(digest, self._blocks, self._pyramid.levels())

    def _write_row(self) -> None:
        pixels = self._band.block_pixels
        for column in range(self._hull.shape[1]):
            block = np.ascontiguousarray(self._rows[:, column * pixels : (column + 1) * pixels])
            if block.any():
                data = encode_block(block, self._profile)
                self._put(block_key(self._band.path, self._row, column), data)
                where = self._hull.block(self._row, column)
                self._blocks[where] = (hashlib.sha256(block).hexdigest(), len(data))
                self._pyramid.add(block, self._row, column)
        self._rows[:] = 0
        self._row += 1
