"""Decoded objects of an archive, kept in one bounded cache for all pictures of a process.

Objects never change, so what was decoded stays right. One that is broken or lost is remembered for some seconds, so
that a thousand tiles over it cost one request and one line in the log.
"""

from __future__ import annotations

import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from abut.cache import Cache
from abut.codec import decode_block, decode_mask
from abut.errors import MissingObjectError
from abut.pixels import LOCAL_THREADS, REMOTE_THREADS
from abut.regrid import regrid_bits, regrid_ids
from abut.unusable import explained
from abut.view_masks import of_product
from services.metrics import metrics
from services.tiles.levels import halved

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from abut.archive import Archive

_log = logging.getLogger(__name__)

BELIEVED: Final = 10.0
"""Seconds for which an object that is broken or lost is not asked for again."""
TOLD: Final = 60.0
"""Seconds for which the log says nothing more of it."""

type Kind = Literal["block", "overview", "bits", "ids"]
"""What an object is: a block of a band, a chunk of an overview, or one of a mask, of flags or of ids."""


@dataclass(frozen=True, slots=True)
class Want:
    """An object, and how it is decoded."""

    key: str
    """Key in the archive."""
    product: str
    """Id of the product that it is of."""
    kind: Kind
    """What it is."""
    side: int
    """Pixels along its sides."""
    factor: int
    """How many of them become one: 1 or 2; of masks any number that divides the side."""
    cut: tuple[int, int, int, int] | None = None
    """Rows and columns (from, to, from, to) beyond which nothing counts; None: all do. Only where several become one:
    who reads the pixels as they are cuts them where they are pasted."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """Pixels of an object."""

    pixels: NDArray[np.uint16] | NDArray[np.uint8]
    """Shape (y, x); not to be written."""
    full: bool
    """Whether all pixels have data."""

    @property
    def empty(self) -> bool:
        """Whether there is no such object, as all its pixels are 0."""
        return not self.pixels.size


@dataclass(frozen=True, slots=True)
class Broken:
    """An object that can't be read."""

    reason: str
    """Why, with its key."""
    lost: bool
    """Whether it is gone, so that a newer plan may name another."""
    since: float
    """When that was seen, on the monotonic clock."""


class Objects:
    """The decoded objects of an archive; of any thread.

    Parameters
    ----------
    archive : Archive
        The archive.
    limit : int
        Bytes of pixels that are kept.
    """

    def __init__(self, archive: Archive, limit: int) -> None:
        self._archive = archive
        self._cache: Cache[Decoded | Broken] = Cache(limit, _size)
        self._lock = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None
        self._told: dict[str, float] = {}

    @property
    def size(self) -> int:
        """Bytes that are kept."""
        return self._cache.size

    def get(self, wants: Sequence[Want]) -> list[Decoded | Broken]:
        """Return what some objects are, several of them fetched at once.

        Raises
        ------
        UnsupportedStoreError
            If the store can't be reached.
        """
        found: dict[int, Decoded | Broken] = {}
        absent = []
        for number, want in enumerate(wants):
            kept = self._cache.peek(want)
            if kept is None or (isinstance(kept, Broken) and time.monotonic() - kept.since > BELIEVED):
                absent.append(number)
            else:
                found[number] = kept
        cached = metrics().cached
        cached.labels("hit").inc(len(found))
        cached.labels("miss").inc(len(absent))
        if len(absent) == 1:
            found[absent[0]] = self._one(wants[absent[0]])
        elif absent:
            contexts = [copy_context() for _ in absent]
            made = self._threads().map(lambda place, number: place.run(self._one, wants[number]), contexts, absent)
            found.update(zip(absent, made, strict=True))
        return [found[number] for number in range(len(wants))]

    def tell(self, product: str, broken: Broken) -> None:
        """Say in the log that an object of a product can't be shown; once in some time."""
        now = time.monotonic()
        with self._lock:
            if now - self._told.get(broken.reason, -TOLD) < TOLD:
                return
            if len(self._told) > 1_000:
                self._told.clear()
            self._told[broken.reason] = now
        _log.warning("%s can't be shown: %s", product, broken.reason)

    def _threads(self) -> ThreadPoolExecutor:
        with self._lock:
            if self._pool is None:  # when it is needed first: threads do not survive a fork
                count = LOCAL_THREADS if self._archive.store.root else REMOTE_THREADS
                self._pool = ThreadPoolExecutor(count, "abut-tiles")
            return self._pool

    def _one(self, want: Want) -> Decoded | Broken:
        found = self._cache.get(want, lambda: self._read(want))
        if isinstance(found, Broken) and time.monotonic() - found.since > BELIEVED:
            self._cache.forget(want)
            found = self._cache.get(want, lambda: self._read(want))
        return found

    def _read(self, want: Want) -> Decoded | Broken:
        where = f"{self._archive.store.url}/{want.key}"
        try:
            with explained(where):
                data = self._archive.store.get(want.key)
        except MissingObjectError as error:
            if want.kind != "block" and not self._recorded(want):
                return _NOTHING
            return Broken(str(error), lost=True, since=time.monotonic())
        try:
            return _decoded(want, data, self._archive.profile)
        except ValueError as error:
            return Broken(f"{where}: {error}", lost=False, since=time.monotonic())

    def _recorded(self, want: Want) -> bool:
        """Whether a product says that it has an object; chunks of zeros alone are never written."""
        folder, _, _ = want.key.partition(".zarr/")
        inside = want.key.removeprefix(f"{folder}.zarr/")
        try:
            return of_product(
                self._archive.store,
                want.product,
                lambda product: product.folder != f"{folder}.zarr" or inside in product.record.objects,
            )
        except (MissingObjectError, ValueError, KeyError):
            return True


def _decoded(want: Want, data: bytes, profile: str) -> Decoded:
    if want.kind in ("block", "overview"):
        pixels = decode_block(data, want.side, profile if want.kind == "block" else "default")
        if want.factor == 2:
            pixels = halved(pixels if want.cut is None else _cut(pixels, want.cut))
        return Decoded(pixels, bool(pixels.all()))
    mask = decode_mask(data, want.side)
    if want.factor > 1:
        mask = regrid_bits(mask, 1, want.factor) if want.kind == "bits" else regrid_ids(mask, 1, want.factor)[0]
    return Decoded(mask, full=False)


def _cut(pixels: NDArray[np.uint16], cut: tuple[int, int, int, int]) -> NDArray[np.uint16]:
    kept = np.zeros_like(pixels)
    inside = slice(cut[0], cut[1]), slice(cut[2], cut[3])
    kept[inside] = pixels[inside]
    return kept


_NOTHING: Final = Decoded(np.zeros((0, 0), np.uint16), full=False)


def _size(value: Decoded | Broken) -> int:
    return value.pixels.nbytes if isinstance(value, Decoded) else 200
