"""Across zones: what a target lacks is filled from other zones, reprojected and marked.

Each zone is mosaicked by itself (`abut.pixels`), then resampled (`abut.warp`). What the target has already stays as it
is, band by band; zones come in the order in which they are given, and the first that has a value wins.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import numpy as np
from pyproj import CRS

from abut.errors import BadRequestError
from abut.ground import ground_in, project, zones_on
from abut.lattice import Bounds
from abut.pieces import common, pieces
from abut.pixels import read_bands
from abut.timeline import Aligned, align
from abut.warp import Warp, warp_pieces

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray
    from odc.geo.geobox import GeoBox

    from abut.blocks import BlockSource, Slot
    from abut.lattice import Zone
    from abut.layout import Band
    from abut.pieces import Piece

NODATA: Final = 0
"""Provenance of a pixel without data."""
NATIVE: Final = 1
"""Provenance of a pixel whose values all come from the target's own zone."""
REPROJECTED: Final = 2
"""Provenance of a pixel with a value that was resampled from another zone."""

WARP_THREADS: Final = 2
"""Pieces that are warped at once, unless another number is asked for."""
_BATCH: Final = 16
"""Most pieces along a side of what is read together."""
_MEMORY: Final = 256 * 2**20
"""Most bytes that are read together, unless one piece of one band needs more."""


@dataclass(frozen=True, slots=True)
class Neighbour:
    """Another zone that may supply pixels of a target."""

    source: Aligned
    """Its blocks, with the steps of the target."""
    window: Bounds
    """Ground that the source knows: all that the target needs of the zone, see `needed`."""


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
            common(piece.rows, self.rows, self.rows.start),
            common(piece.columns, self.columns, self.columns.start),
        )

    def cut(self, piece: Piece) -> tuple[slice, slice]:
        """Where these pixels lie in a piece, as far as they do."""
        return (
            common(piece.rows, self.rows, piece.rows.start),
            common(piece.columns, self.columns, piece.columns.start),
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
        return Bounds.around(piece.ground for piece in self.pieces)


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
        Steps of the sources that the values have. Default: all.
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
    BadRequestError
        If the method is not known, or the target has no coordinate system.
    MissingObjectError, DigestMismatchError, UnsupportedStoreError
        As `abut.pixels.read_bands`.
    """
    lacking = {band: array == 0 for band, array in part.values.items()}
    for neighbour in neighbours:
        source = neighbour.source
        slots = range(len(source.slots)) if steps is None else steps
        seen = {row: slot for row, slot in enumerate(slots) if source.index[slot] is not None}
        for batch in batches(part, neighbour, list(seen), resampling):
            for rows in _turns(part, batch, list(seen)):
                chosen = [seen[row] for row in rows]
                arrays = read_bands(source, batch.ground, batch.bands, chosen, threads=threads, on_block=on_block)
                _paste(part, batch, arrays, rows, warp_threads)
    return _provenance(part.values, lacking)


@dataclass(frozen=True, slots=True)
class Joined:
    """What a target is read from."""

    own: Aligned | None
    """Blocks of the target's own zone, if it is on the grid of one."""
    neighbours: tuple[Neighbour, ...]
    """Other zones in their order, only those that have a step."""
    slots: tuple[Slot, ...]
    """Steps of all of them."""


def join(
    target: GeoBox,
    bands: Iterable[Band],
    plan: Callable[[Bounds], BlockSource],
    own: BlockSource | None = None,
    *,
    resampling: str = "nearest",
    shift: timedelta | None = None,
) -> Joined:
    """Find all zones that a target can be read from, and give them one time axis.

    Parameters
    ----------
    target : GeoBox
        The target.
    bands : iterable of Band
        Bands that will be read.
    plan : callable
        Returns the blocks of a window of a zone, such as `abut.view.select` does; called zone by zone in their order.
    own : BlockSource, optional
        Blocks of the target's own zone, if it is on the grid of one.
    resampling : str
        How other zones will be resampled.
    shift : timedelta, optional
        Solar time less UTC, see `solar_shift`: steps are solar days, for `plan` too. Default: they are datatakes.

    Raises
    ------
    BadRequestError
        If the target has no coordinate system, or the method is not known.
    InvalidWindowError
        If the target reaches farther than can be projected.
    ValueError
        If a zone has two steps at one solar day.
    """
    if target.crs is None:
        raise BadRequestError(f"the GeoBox {target.boundingbox} has no coordinate system")
    chosen = list(bands)
    windows = [
        window
        for zone in zones_on(target)
        if (own is None or zone != own.zone) and (window := needed(target, zone, chosen, resampling)) is not None
    ]
    aligned = align([*([] if own is None else [own]), *map(plan, windows)], shift)
    others = aligned if own is None else aligned[1:]
    return Joined(
        None if own is None else aligned[0],
        tuple(Neighbour(one, window) for one, window in zip(others, windows, strict=True) if one.source.slots),
        aligned[0].slots if aligned else (),
    )


def solar_shift(target: GeoBox) -> timedelta:
    """Return solar time less UTC at the centre of a target, in whole hours towards UTC, as odc-stac has it."""
    assert target.crs is not None  # noqa: S101 - looked at before
    rows, columns = target.shape.yx
    x, y = target.transform @ (columns / 2, rows / 2)
    lon, _ = project(target.crs.proj, CRS.from_epsg(4326), np.array([x]), np.array([y]))
    return timedelta(hours=int(lon[0] / 15))


def needed(target: GeoBox, zone: Zone, bands: Iterable[Band], resampling: str = "nearest") -> Bounds | None:
    """Return the ground of a zone that a target can be filled from, as far as the zone has tiles there.

    Returns
    -------
    Bounds or None
        On the 60 m grid; None if the zone has no tile on the ground of the target.

    Raises
    ------
    InvalidWindowError
        If the target reaches farther than can be projected to the zone.
    """
    margin = max(Warp(target, zone, band.resolution, resampling).margin for band in bands)
    return ground_in(zone, target, margin)


def batches(part: Part, neighbour: Neighbour, steps: Sequence[int], resampling: str) -> Iterator[_Batch]:
    """Put pieces in which something lacks together with those beside them: `fill` reads these together.

    As many pieces, and then bands, as memory allows for one step. What is put together does not depend on what lacks.
    """
    for resolution in sorted({band.resolution for band in part.values}):
        bands = tuple(band for band in part.values if band.resolution == resolution)
        lacking = np.zeros((part.rows.stop - part.rows.start, part.columns.stop - part.columns.start), bool)
        for band in bands:
            for step in steps:
                lacking |= part.values[band][step] == 0
        warp = Warp(part.target, neighbour.source.zone, resolution, resampling)
        many = next((count for count in range(_BATCH, 1, -1) if _bytes(warp, count, len(bands)) <= _MEMORY), 1)
        side = many * warp.side
        groups: dict[tuple[int, int], list[Piece]] = {}
        for piece in pieces(warp, part.rows, part.columns, neighbour.window, lacking):
            groups.setdefault((piece.rows.start // side, piece.columns.start // side), []).append(piece)
        most = max(1, _MEMORY // _bytes(warp, many, 1))
        for group in groups.values():
            for start in range(0, len(bands), most):
                yield _Batch(warp, bands[start : start + most], tuple(group))


def _bytes(warp: Warp, count: int, bands: int) -> int:
    """Bytes of one step of a square of so many pieces along a side."""
    return 2 * bands * warp.span(count) ** 2


def _turns(part: Part, batch: _Batch, steps: Sequence[int]) -> Iterator[list[int]]:
    """Yield the steps of the values that lack something, as many at once as memory allows."""
    wanted = [step for step in steps if any(part.lacks(piece, batch.bands, step) for piece in batch.pieces)]
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
