"""Pixels of a window: objects are fetched, decoded and pasted, several at once; nothing is interpolated.

Where several products hold a block, the first DN > 0 in their order wins, pixel by pixel and band by band. What is held
for a product that was chosen, by one that was not, is cropped to the footprint of the chosen one. A further holder's
object is read only while the part of the block that it may show has zeros left: a block of one holder costs exactly one
object, a block of n holders at least one and at most n.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from abut.codec import DTYPE
from abut.errors import MissingObjectError
from abut.lattice import BlockRange
from abut.merging import decoded, merge
from abut.regrid import regrid_dn
from abut.threads import for_each

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from abut.blocks import BlockSource, Part
    from abut.lattice import Block, Bounds
    from abut.layout import Band

LOCAL_THREADS: Final = 4
"""Threads that read a local store: the work is decoding."""
REMOTE_THREADS: Final = 64
"""Threads that read a remote store: the work is waiting."""
PLANS: Final = 5
"""How often a read plans again after an object that it had planned to read was purged."""


@dataclass(frozen=True, slots=True)
class _Job:
    """A block of a band at a step, and its place in the result."""

    row: int
    """Index of the step in the result."""
    slot: int
    """Index of the step in the source."""
    block: Block
    """The block."""
    band: Band
    """The band."""


def read_bands(
    source: BlockSource,
    window: Bounds,
    bands: Sequence[Band],
    slots: Sequence[int] | None = None,
    *,
    resolution: int | None = None,
    threads: int | None = None,
    on_block: Callable[[int], None] | None = None,
) -> dict[Band, NDArray[np.uint16]]:
    """Return bands of a window, at their own resolution unless another is asked for.

    Parameters
    ----------
    source : BlockSource
        Who holds the blocks.
    window : Bounds
        Ground in the source's zone; its edges are multiples of the bands' pixel sizes, counted from easting 0 and
        the equator (windows that are snapped to 60 m are).
    bands : sequence of Band
        Which bands.
    slots : sequence of int, optional
        Which steps of the source, in the order of the result. Default: all.
    resolution : int, optional
        Pixel size of the result in metres, 10, 20 or 60, by the rules of `abut.regrid`: coarser bands are repeated,
        of finer ones the mean of DN > 0 is taken, block by block. Default: each band's own, nothing is resampled.
    threads : int, optional
        How many objects are fetched and decoded at once. Default: 4 from a folder, 64 from elsewhere.
    on_block : callable, optional
        Called after each block of a band and step that somebody holds, with the bytes that were read for it; from
        other threads, never two at once.

    Returns
    -------
    dict of Band to ndarray of uint16, shape (slot, y, x)
        DN, row 0 in the north; 0 is nodata. Memory is the result and, for each thread, one block.

    Raises
    ------
    ValueError
        If the window is in another zone or its edges are not on the grid of a band.
    MissingObjectError
        If an object that somebody should hold is not there, and planning again names no other; if nobody holds a
        block any more that somebody held when it was planned.
    DigestMismatchError
        If an object is no block.
    UnsupportedStoreError
        If the store can't be reached.
    """
    for band in bands:
        _require_aligned(source, window, max(band.resolution, resolution or 0))
    steps = range(len(source.slots)) if slots is None else slots
    arrays: dict[Band, NDArray[np.uint16]] = {
        band: np.zeros((len(steps), *window.shape(resolution or band.resolution)), DTYPE)
        for band in dict.fromkeys(bands)
    }

    def place(job: _Job, plan: BlockSource) -> int:
        part = job.block.bounds.intersection(window)
        if part is None:
            return 0  # blocks are around the window: none is outside
        size = job.band.resolution
        target = resolution or size
        region = arrays[job.band][job.row][window.slices(part, target)]
        pixels = region if target == size else np.zeros(part.shape(size), DTYPE)
        parts = _parts(source, plan, job.slot, job.block)
        read = merge(plan, parts, job.band, pixels, job.block, part)
        if target != size:
            region[...] = regrid_dn(pixels, size, target)
        return read

    jobs = _jobs(source, window, tuple(arrays), steps)
    most = len(BlockRange.around(window)) * len(arrays) * len(steps)
    _run(source, jobs, place, max(1, min(threads or threads_for(source), most)), on_block)
    return arrays


def block_pixels(source: BlockSource, slot: int, band: Band, block: Block) -> NDArray[np.uint16] | None:
    """Return a block of a band at a step, merged from its holders.

    Returns
    -------
    ndarray of uint16, shape (n, n), or None
        DN, row 0 in the north; None where nobody holds it. n is 960, 480 or 160. The array may be read-only.

    Raises
    ------
    MissingObjectError, DigestMismatchError, UnsupportedStoreError
        As `read_bands`.
    """

    def merged(plan: BlockSource) -> NDArray[np.uint16] | None:
        parts = _parts(source, plan, slot, block)
        if not parts:
            return None
        if len(parts) == 1 and parts[0].crop is None:
            return decoded(plan, parts[0].key(band), band)[0]
        pixels: NDArray[np.uint16] = np.zeros((band.block_pixels,) * 2, DTYPE)
        merge(plan, parts, band, pixels, block, block.bounds)
        return pixels

    return with_plans(source, merged)


def suppliers(
    source: BlockSource, slot: int, band: Band, block: Block, part: Bounds
) -> tuple[tuple[str, ...], NDArray[np.uint8] | None]:
    """Say which chosen product each pixel of a part of a block is of, whoever holds the block for it.

    Returns
    -------
    products : tuple of str
        Ids of the products in the order of the overlay; empty where none has data in the block.
    index : ndarray of uint8, shape (y, x), or None
        Index into `products` of the first with DN > 0; 0, the first, where none has data. None where there is
        one product or none: then nothing was read.

    Raises
    ------
    MissingObjectError, DigestMismatchError, UnsupportedStoreError
        As `read_bands`.
    """

    def found(plan: BlockSource) -> tuple[tuple[str, ...], NDArray[np.uint8] | None]:
        parts = _parts(source, plan, slot, block)
        names = tuple(holder.whose for holder in parts)
        if len(parts) < 2:
            return names, None
        region: NDArray[np.uint16] = np.zeros(part.shape(band.resolution), DTYPE)
        index = np.zeros(region.shape, np.uint8)
        merge(plan, parts, band, region, block, part, index=index)
        return names, index

    return with_plans(source, found)


def with_plans[T](source: BlockSource, read: Callable[[BlockSource], T]) -> T:
    """Read by a plan, and by newer ones as long as objects are missing and plans change."""
    for _ in range(PLANS):
        try:
            return read(source)
        except MissingObjectError:
            renewed = source.renewed()
            if renewed == source:
                raise
            source = renewed
    return read(source)


def _parts(first: BlockSource, plan: BlockSource, slot: int, block: Block) -> tuple[Part, ...]:
    """Return the holders of a block; a newer plan that has none where the first one had some is an error, no hole."""
    parts = plan.parts(slot, block)
    if not parts and plan is not first and (held := first.parts(slot, block)):
        names = ", ".join(part.product for part in held)
        where = f"{block.zone.epsg}/{block.p}/{block.q}"
        raise MissingObjectError(f"{first.store.url}: block {where} of {names} is held by nobody any more; ask again")
    return parts


def _require_aligned(source: BlockSource, window: Bounds, resolution: int) -> None:
    if window.zone != source.zone:
        raise ValueError(f"a window in {window.zone} can't be read from blocks of {source.zone}")
    edges = (window.left, window.right, window.bottom - window.zone.equator, window.top - window.zone.equator)
    if any(edge % resolution for edge in edges):
        raise ValueError(f"the edges of {window} are not on the {resolution} m grid")


def threads_for(source: BlockSource) -> int:
    """Return how many threads read a source by default."""
    return LOCAL_THREADS if source.store.root else REMOTE_THREADS


def _jobs(source: BlockSource, window: Bounds, bands: Sequence[Band], steps: Sequence[int]) -> Iterator[_Job]:
    blocks = BlockRange.around(window)
    for row, slot in enumerate(steps):
        for block in blocks:
            if _held(source, slot, block):
                for band in bands:
                    yield _Job(row, slot, block, band)


def _held(source: BlockSource, slot: int, block: Block) -> bool:
    """Whether there is something to read; what was withdrawn since may have come back, as reading it will tell."""
    try:
        return bool(source.parts(slot, block))
    except MissingObjectError:
        return True


def _run(
    source: BlockSource,
    jobs: Iterable[_Job],
    place: Callable[[_Job, BlockSource], int],
    threads: int,
    on_block: Callable[[int], None] | None,
) -> None:
    """Do all jobs; those whose objects are gone again, by a new plan."""
    for attempt in range(PLANS + 1):
        failed = _round(source, jobs, place, threads, on_block)
        if not failed:
            return
        renewed = source.renewed()
        if renewed == source or attempt == PLANS:
            raise failed[0][1]
        source, jobs = renewed, [job for job, _ in failed]


def _round(
    source: BlockSource,
    jobs: Iterable[_Job],
    place: Callable[[_Job, BlockSource], int],
    threads: int,
    on_block: Callable[[int], None] | None,
) -> list[tuple[_Job, MissingObjectError]]:
    """Do all jobs by one plan; return those whose objects are missing."""
    failed: list[tuple[_Job, MissingObjectError]] = []
    lock = threading.Lock()

    def do(job: _Job) -> None:
        try:
            size = place(job, source)
        except MissingObjectError as error:
            failed.append((job, error))
            return
        if on_block is not None:
            with lock:
                on_block(size)

    for_each(jobs, do, threads)
    return failed
