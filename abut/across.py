"""Across zones: what a target lacks is filled from other zones, reprojected and marked.

Each zone is mosaicked by itself (`abut.pixels`), then resampled (`abut.warp`). What the target has already stays as it
is, band by band; zones come in the order in which they are given, and the first that has a value wins.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from abut.lattice import Bounds
from abut.pixels import read_bands
from abut.warp import Warp, pieces, warp_pieces

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray
    from odc.geo.geobox import GeoBox

    from abut.blocks import BlockSource
    from abut.lattice import Zone
    from abut.layout import Band
    from abut.warp import Piece

NODATA: Final = 0
"""Provenance of a pixel without data."""
NATIVE: Final = 1
"""Provenance of a pixel whose values all come from the target's own zone."""
REPROJECTED: Final = 2
"""Provenance of a pixel with a value that was resampled from another zone."""

WARP_THREADS: Final = 2
"""Pieces that are warped at once, unless another number is asked for."""
_BATCH: Final = 16
_MEMORY: Final = 256 * 2**20


@dataclass(frozen=True, slots=True)
class Neighbour:
    """Another zone that may supply pixels of a target."""

    source: BlockSource
    """Its blocks."""
    slots: tuple[int | None, ...]
    """For each step of the target the step of the source, None where that zone saw nothing then."""


@dataclass(frozen=True, slots=True)
class Part:
    """Pixels of a target that are being filled."""

    target: GeoBox
    """The whole target of the request, of any coordinate system and pixel size."""
    rows: slice
    """Rows of the target that are filled."""
    columns: slice
    """Columns of the target that are filled."""
    values: Mapping[Band, NDArray[np.uint16]]
    """DN (step, y, x) of these rows and columns: what is there already, 0 where something may be filled in."""

    def place(self, piece: Piece) -> tuple[slice, slice]:
        """Where a piece lies in the values, as far as it does."""
        return (
            _common(piece.rows, self.rows, self.rows.start),
            _common(piece.columns, self.columns, self.columns.start),
        )

    def cut(self, piece: Piece) -> tuple[slice, slice]:
        """Where these pixels lie in a piece, as far as they do."""
        return (
            _common(piece.rows, self.rows, piece.rows.start),
            _common(piece.columns, self.columns, piece.columns.start),
        )

    def lacks(self, piece: Piece, bands: Sequence[Band], step: int) -> bool:
        """Whether a band has a zero in a piece."""
        return any((self.values[band][step, *self.place(piece)] == 0).any() for band in bands)


@dataclass(frozen=True, slots=True)
class _Batch:
    """Pieces of one zone, close to each other, that are read together."""

    warp: Warp
    """How they are warped."""
    bands: tuple[Band, ...]
    """Bands of the pixel size that is warped."""
    pieces: tuple[Piece, ...]
    """The pieces."""

    @property
    def ground(self) -> Bounds:
        """What all of them need of the zone."""
        grounds = [piece.ground for piece in self.pieces]
        return Bounds(
            self.warp.zone,
            min(one.left for one in grounds),
            min(one.bottom for one in grounds),
            max(one.right for one in grounds),
            max(one.top for one in grounds),
        )


def fill(
    part: Part,
    neighbours: Sequence[Neighbour],
    *,
    steps: Sequence[int] | None = None,
    resampling: str = "nearest",
    threads: int | None = None,
    warp_threads: int = WARP_THREADS,
    on_block: Callable[[int], None] | None = None,
) -> NDArray[np.uint8]:
    """Fill zeros of bands from other zones, in place, and say where values come from.

    Parameters
    ----------
    part : Part
        What is filled. However a target is divided into parts, the bytes are the same.
    neighbours : sequence of Neighbour
        Other zones; the first that has a value wins.
    steps : sequence of int, optional
        Steps of the target that the values have. Default: all.
    resampling : str
        One of `abut.warp.REACH`.
    threads : int, optional
        How many objects are fetched and decoded at once, see `abut.pixels.read_bands`.
    warp_threads : int
        How many pieces are warped at once.
    on_block : callable, optional
        Called after each block that was read, see `abut.pixels.read_bands`.

    Returns
    -------
    ndarray of uint8, shape (step, y, x)
        `NODATA` where no band has a value, `REPROJECTED` where a band's value was filled here, else `NATIVE`.

    Raises
    ------
    ValueError
        If the method is not known, or the target has no coordinate system.
    MissingObjectError, DigestMismatchError, UnsupportedStoreError
        As `abut.pixels.read_bands`.
    """
    lacking = {band: array == 0 for band, array in part.values.items()}
    for neighbour in neighbours:
        slots = neighbour.slots if steps is None else [neighbour.slots[step] for step in steps]
        for batch in _batches(part, neighbour.source.zone, slots, resampling):
            for chosen in _turns(part, batch, slots):
                arrays = read_bands(
                    neighbour.source,
                    batch.ground,
                    batch.bands,
                    [slot for _, slot in chosen],
                    threads=threads,
                    on_block=on_block,
                )
                _paste(part, batch, arrays, [step for step, _ in chosen], warp_threads)
    return _provenance(part.values, lacking)


def _batches(part: Part, zone: Zone, slots: Sequence[int | None], resampling: str) -> Iterator[_Batch]:
    """Put pieces in which something lacks together with those beside them."""
    steps = [step for step, slot in enumerate(slots) if slot is not None]
    for resolution in sorted({band.resolution for band in part.values}):
        bands = tuple(band for band in part.values if band.resolution == resolution)
        warp = Warp(part.target, zone, resolution, resampling)
        side = _BATCH * warp.side
        groups: dict[tuple[int, int], list[Piece]] = {}
        for piece in pieces(warp, part.rows, part.columns):
            if any(part.lacks(piece, bands, step) for step in steps):
                groups.setdefault((piece.rows.start // side, piece.columns.start // side), []).append(piece)
        for group in groups.values():
            yield _Batch(warp, bands, tuple(group))


def _turns(part: Part, batch: _Batch, slots: Sequence[int | None]) -> Iterator[list[tuple[int, int]]]:
    """Pair steps of the values that lack something with those of the source, as many at once as memory allows."""
    wanted = [
        (step, slot)
        for step, slot in enumerate(slots)
        if slot is not None and any(part.lacks(piece, batch.bands, step) for piece in batch.pieces)
    ]
    height, width = batch.ground.shape(batch.warp.resolution)
    most = max(1, _MEMORY // (2 * height * width * len(batch.bands)))
    for start in range(0, len(wanted), most):
        yield wanted[start : start + most]


def _paste(
    part: Part, batch: _Batch, arrays: Mapping[Band, NDArray[np.uint16]], steps: Sequence[int], threads: int
) -> None:
    """Warp the pieces, all their bands and steps at once, and put what lacks into the values."""
    work = []
    for piece in batch.pieces:
        ground, place = batch.ground.slices(piece.ground, batch.warp.resolution), part.place(piece)
        found = [
            (part.values[band][step, *place], arrays[band][row, *ground])
            for band in batch.bands
            for row, step in enumerate(steps)
            if part.lacks(piece, [band], step) and arrays[band][row, *ground].any()
        ]
        if found:
            work.append((piece, found))
    layers = [[source for _, source in found] for _, found in work]
    results = warp_pieces(batch.warp, [piece for piece, _ in work], layers, threads)
    for (piece, found), result in zip(work, results, strict=True):
        for (region, _), pixels in zip(found, result, strict=True):
            np.copyto(region, pixels[part.cut(piece)], where=region == 0)


def _common(one: slice, other: slice, start: int) -> slice:
    return slice(max(one.start, other.start) - start, min(one.stop, other.stop) - start)


def _provenance(
    values: Mapping[Band, NDArray[np.uint16]], lacking: Mapping[Band, NDArray[np.bool_]]
) -> NDArray[np.uint8]:
    shape = next(iter(values.values())).shape
    native, filled = np.zeros(shape, bool), np.zeros(shape, bool)
    for band, array in values.items():
        native |= ~lacking[band]
        filled |= lacking[band] & (array > 0)
    result = np.full(shape, NODATA, np.uint8)
    result[native] = NATIVE
    result[filled] = REPROJECTED
    return result
