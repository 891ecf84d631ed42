"""Cloud cover of products, by which a mosaic may be ordered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from abut.cache import Cache
from abut.holdings import in_threads
from abut.newcomers import read_item

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from abut.archive import Archive
    from abut.store import Store
    from services.tiles.plan import Overlay

UNKNOWN: Final = 101.0
"""What counts as the cover of a product that states none: it comes last."""

_KEPT: Final[Cache[float]] = Cache(200_000, lambda _: 1)
"""Cloud cover by archive and store of a product: it never changes while that is the same."""


def clouds_of(archive: Archive, overlays: Sequence[Overlay]) -> Mapping[str, float]:
    """Return the cloud cover of products in percent; `UNKNOWN` of one that states none."""
    found = {}
    absent = []
    for one in overlays:
        kept = _KEPT.peek((archive.store.url, one.folder))
        if kept is None:
            absent.append(one)
        else:
            found[one.product] = kept
    found |= in_threads(archive.store, lambda one: (one.product, _read(archive.store, one)), absent)
    return found


def cover_of(store: Store, product: str) -> float | None:
    """Return the cloud cover that a product's item states, in percent; None if it states none, or is gone."""
    item = read_item(store, product)
    cover = None if item is None else item["properties"].get("eo:cloud_cover")
    return None if cover is None else float(cover)


def _read(store: Store, one: Overlay) -> float:
    def made() -> float:
        cover = cover_of(store, one.product)
        return UNKNOWN if cover is None else cover

    return _KEPT.get((store.url, one.folder), made)
