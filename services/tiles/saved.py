"""What many products save together: the overlap of a box and a period that is stored once."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np

from abut import product as products
from abut.cache import Cache
from abut.errors import ProductNotFoundError, TooLargeError
from abut.finding import ArchiveFinder, Query
from abut.holdings import hull_of, in_threads
from abut.lattice import Bounds
from abut.newcomers import near
from abut.strips import sensed
from services.tiles.overlap import SQUARE_KILOMETRE, Share, grounds_of, sizes_of
from services.tiles.squares import tiles_in

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from abut.archive import Archive
    from abut.holdings import Held
    from abut.lattice import Zone
    from abut.period import Period
    from abut.tiling import Tile

LAYERS_LIMIT: Final = 500
"""Ledgers that are read for one answer."""
PRODUCTS_LIMIT: Final = 2_000
"""Products of one answer."""
RECORDS_LIMIT: Final = 200
"""Products whose records are read for one answer; of more, bytes are not told."""

_CACHED: Final = 8_000_000
"""Bytes of sizes that are kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """What products of a selection hold, and what neighbours hold for them."""

    products: int
    """Products of the selection."""
    released_by: int
    """How many of them released blocks."""
    held: Share
    """What they hold."""
    released: Share
    """What neighbours hold for them: stored no longer, or until it is purged."""
    measured: bool
    """Whether bytes were counted; if not, they are 0: there were too many products."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Finds what products of an archive save; one for a process."""

    archive: Archive
    """The archive."""
    finder: ArchiveFinder = field(default_factory=ArchiveFinder)
    """Finds products."""
    sizes: Cache[NDArray[np.int64]] = field(default_factory=lambda: Cache(_CACHED, _bytes_of))
    """Bytes of each block of a product's hull as it was written, by its store folder."""

    def saved(self, box: tuple[float, float, float, float], period: Period) -> Saved:
        """Return what the products save whose tiles touch a box.

        Parameters
        ----------
        box : tuple of float
            West, south, east, north in degrees; west > east crosses 180 degrees.
        period : Period
            When their datatakes start.

        Raises
        ------
        TooLargeError
            If there are more tiles, ledgers or products than one answer may have.
        """
        chosen = self._chosen(tiles_in(box), period)
        if len(chosen) > PRODUCTS_LIMIT:
            raise TooLargeError(f"{len(chosen)} products, more than {PRODUCTS_LIMIT}; choose less ground or time")
        measured = len(chosen) <= RECORDS_LIMIT
        sizes = in_threads(self.archive.store, self._sizes, chosen) if measured else [None] * len(chosen)
        parts = [(one, *_numbers(one), known) for one, known in zip(chosen, sizes, strict=True)]
        return Saved(
            products=len(chosen),
            released_by=sum(bool(one.released) for one in chosen),
            held=_sum((one.tile, held, known) for one, held, _, known in parts),
            released=_sum((one.tile, released, known) for one, _, released, known in parts),
            measured=measured,
        )

    def _chosen(self, tiles: list[Tile], period: Period) -> list[Held]:
        """Return the live products of tiles."""
        zones: dict[Zone, list[Tile]] = {}
        for tile in tiles:
            zones.setdefault(tile.zone, []).append(tile)
        codes = {str(zone.epsg) for zone in zones}
        layers = [name for name in self.archive.layers() if name.partition(".")[0] in codes]
        likely = sum(near(sensed(name), period) for name in layers)
        if likely > LAYERS_LIMIT:
            raise TooLargeError(f"ledgers of {likely} datastrips, more than {LAYERS_LIMIT}; choose less time")
        grounds = [Bounds.around(tile.footprint for tile in some) for some in zones.values()]
        found = [self.finder.find(self.archive, Query(ground, period)) for ground in grounds]
        wanted = set(tiles)
        return [one for layers in found for layer in layers for one in layer.chosen if one.tile in wanted]

    def _sizes(self, held: Held) -> NDArray[np.int64] | None:
        """Return the bytes of each block of a product's hull; None if it was removed meanwhile."""
        try:
            return self.sizes.get(held.prefix, lambda: self._read(held))
        except ProductNotFoundError:
            return None

    def _read(self, held: Held) -> NDArray[np.int64]:
        sizes = sizes_of(products.load(self.archive.store, held.product).record)
        return np.array([sizes.get(block, 0) for block in hull_of(held.tile)], np.int64)


def _bytes_of(sizes: NDArray[np.int64]) -> int:
    return sizes.nbytes


def _numbers(held: Held) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the numbers of the blocks that a product holds, and of those that it released."""
    released = [number for _, numbers in held.released for number in numbers]
    return np.flatnonzero(held.mask), np.array(released, np.intp)


def _sum(parts: Iterable[tuple[Tile, NDArray[np.intp], NDArray[np.int64] | None]]) -> Share:
    blocks = ground = size = 0
    for tile, numbers, sizes in parts:
        blocks += len(numbers)
        ground += int(_grounds(tile)[numbers].sum())
        size += 0 if sizes is None else int(sizes[numbers].sum())
    return Share(blocks=blocks, km2=ground / SQUARE_KILOMETRE, bytes=size)


@lru_cache(maxsize=1_024)
def _grounds(tile: Tile) -> NDArray[np.int64]:
    return np.fromiter(grounds_of(tile).values(), np.int64)
