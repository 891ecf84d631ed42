"""Where tiles of a layer overlap: how many pixels differ, and by how much. No source promises that they are equal."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import combinations
from typing import TYPE_CHECKING, Final

import numpy as np

from abut import ledger as ledgers
from abut.layout import BANDS
from abut.legacy import read_band

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from abut.archive import Archive
    from abut.layout import Band
    from abut.product import Product

_ROWS: Final = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class OverlapDifferences:
    """One band of two products on the ground that both footprints cover."""

    first: str
    """Id of a product."""
    second: str
    """Id of its neighbour."""
    band: str
    """Name of the band."""
    pixels: int
    """Pixels of the overlap that have data in both."""
    one_sided: int
    """Pixels that have data in only one of them."""
    histogram: Mapping[int, int] = field(default_factory=dict)
    """Number of the pixels with data in both, by absolute difference in DN; only differences above 0."""

    @property
    def differing(self) -> int:
        """Pixels with data in both that differ."""
        return sum(self.histogram.values())


def overlap_differences(archive: Archive, layer: str) -> Iterator[OverlapDifferences]:
    """Compare the products of a layer where they overlap, as legacy tiles.

    Each tile is read once per band; what its neighbours need of it is kept until they have been read.

    Parameters
    ----------
    archive : Archive
        The archive.
    layer : str
        Name of the layer.

    Yields
    ------
    OverlapDifferences
        Band by band, for each pair of live products whose legacy footprints share ground.

    Raises
    ------
    MissingObjectError, DigestMismatchError
        If a tile can't be read as it was ingested.
    """
    ledger, _ = ledgers.load(archive.store, layer)
    live = [archive.product(member.product) for member in ledger.members.values() if member.live]
    products = sorted(live, key=lambda product: (-product.tile.uly, product.tile.ulx))
    pairs = [pair for pair in combinations(products, 2) if pair[0].tile.footprint.intersection(pair[1].tile.footprint)]
    for band in BANDS:
        yield from _of_band(
            archive, band, [product for product in products if band.name in product.record.bands], pairs
        )


def _of_band(
    archive: Archive, band: Band, products: list[Product], pairs: list[tuple[Product, Product]]
) -> Iterator[OverlapDifferences]:
    kept: dict[tuple[str, str], NDArray[np.uint16]] = {}
    for product in products:
        mine = [pair for pair in pairs if product.id in (pair[0].id, pair[1].id)]
        if not mine or band.name not in product.record.bands:
            continue
        pixels = read_band(archive, product, band)
        for first, second in mine:
            shared = first.tile.footprint.intersection(second.tile.footprint)
            if shared is None:
                continue
            part = pixels[product.tile.footprint.slices(shared, band.resolution)]
            other = kept.pop((first.id, second.id), None)
            if other is None:
                kept[first.id, second.id] = part.copy()
            else:
                yield _differences(first.id, second.id, band.name, other, part)
        del pixels


def _differences(
    first: str, second: str, band: str, ours: NDArray[np.uint16], theirs: NDArray[np.uint16]
) -> OverlapDifferences:
    pixels, one_sided = 0, 0
    histogram: Counter[int] = Counter()
    for start in range(0, len(ours), _ROWS):
        a, b = (part[start : start + _ROWS].astype(np.int32) for part in (ours, theirs))
        both = (a > 0) & (b > 0)
        pixels += int(np.count_nonzero(both))
        one_sided += int(np.count_nonzero((a > 0) != (b > 0)))
        steps, counts = np.unique(np.abs(a - b)[both], return_counts=True)
        histogram.update({int(step): int(count) for step, count in zip(steps, counts, strict=True) if step})
    return OverlapDifferences(
        first=first,
        second=second,
        band=band,
        pixels=pixels,
        one_sided=one_sided,
        histogram=dict(sorted(histogram.items())),
    )
