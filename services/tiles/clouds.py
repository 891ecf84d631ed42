"""Cloud cover of products, by which a mosaic may be ordered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from abut.holdings import in_threads
from abut.newcomers import read_item

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from abut.archive import Archive
    from services.tiles.plan import Overlay

_CLOUDS: Final[dict[tuple[str, str], float]] = {}
"""Cloud cover by archive and store of a product."""
_CLOUDS_LIMIT: Final = 200_000
"""So many are kept."""


def clouds_of(archive: Archive, overlays: Sequence[Overlay]) -> Mapping[str, float]:
    """Return the cloud cover of products in percent; 101 of one that states none.

    It never changes while a product's store is the same, so it is read once.
    """
    keys = {one.product: (archive.store.url, one.folder) for one in overlays}
    found = {product: _CLOUDS[key] for product, key in keys.items() if key in _CLOUDS}
    unknown = [product for product in keys if product not in found]
    covers = in_threads(archive.store, lambda product: _cloud(archive, product), unknown)
    found |= zip(unknown, covers, strict=True)
    if len(_CLOUDS) + len(unknown) > _CLOUDS_LIMIT:
        _CLOUDS.clear()
    _CLOUDS.update((keys[product], found[product]) for product in unknown[:_CLOUDS_LIMIT])
    return found


def _cloud(archive: Archive, product: str) -> float:
    item = read_item(archive.store, product)
    cover = None if item is None else item["properties"].get("eo:cloud_cover")
    return 101.0 if cover is None else float(cover)
