"""From counts of a few products to a month of a continent, at list prices; pure arithmetic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Requests that a store was asked, and bytes of their bodies."""

    put: int
    """Writes, conditional ones too."""
    get: int
    """Reads."""
    head: int
    """Questions about an object."""
    list: int
    """Pages of listings."""
    delete: int
    """Deletes; of up to 1,000 objects each."""
    read: int
    """Bytes that were read."""
    written: int
    """Bytes that were written."""


@dataclass(frozen=True, slots=True)
class Product:
    """Objects of a product as ingested, by kind; of a full tile."""

    objects: Mapping[str, float]
    """Number."""
    bytes: Mapping[str, float]
    """Bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """List prices in dollars."""

    put: float
    """Of 1,000 PUT or LIST."""
    get: float
    """Of 1,000 GET or HEAD."""
    gigabyte: float
    """Of 1 GB (10^9 bytes) for a month."""

    def of(self, counts: Counts) -> float:
        """Return what requests cost; deletes are free."""
        return ((counts.put + counts.list) * self.put + (counts.get + counts.head) * self.get) / 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Month:
    """What comes in a month."""

    tiles: int
    """Tiles."""
    products: float
    """Products of each."""
    covered: float
    """Mean share of a tile that a product covers."""
    safe_gigabytes: float
    """GB of a real SAFE of a full tile; made ones compress in their own way."""


def month_of(
    steps: Mapping[str, Counts],
    number: int,
    product: Product,
    *,
    safe_bytes: int,
    interior: float,
    month: Month,
    prices: Prices,
) -> list[tuple[str, float, float]]:
    """Extrapolate to a month: rows of a label, the figure of the archive, and that of SAFE zips.

    Blocks and overviews grow with the ground that a product covers; all else is taken as that of a full tile, and so
    are requests (the upper bound). Blocks that stay are those of an interior tile.

    Parameters
    ----------
    steps : mapping of str to Counts
        Requests of ``ingest``, ``settle``, ``purge`` and ``read`` of some products of full tiles.
    number : int
        Number of those.
    product : Product
        Objects of one.
    safe_bytes : int
        Bytes of its SAFE.
    interior : float
        Share of a product's blocks that stay after settling and purging.
    month : Month
        The month.
    prices : Prices
        Prices.
    """
    all_products = month.tiles * month.products
    grown = {kind: month.covered if kind in ("blocks", "overviews") else 1.0 for kind in product.objects}
    stays = {kind: interior if kind == "blocks" else 1.0 for kind in product.objects}
    scale = month.safe_gigabytes * 1e9 / safe_bytes
    objects = all_products * sum(product.objects[kind] * grown[kind] * stays[kind] for kind in grown)
    size = all_products * sum(product.bytes[kind] * grown[kind] * stays[kind] for kind in grown) * scale
    safe_size = all_products * month.covered * month.safe_gigabytes * 1e9
    cost = {name: prices.of(counts) / number * all_products for name, counts in steps.items()}
    each = 1000.0
    return [
        ("products", all_products, all_products),
        ("objects that stay, million", objects / 1e6, all_products / 1e6),
        ("TB that stay", size / 1e12, safe_size / 1e12),
        ("mean object, kB", size / objects / 1e3, safe_size / all_products / 1e3),
        (
            "writing, settling, purging: dollars, once",
            cost["ingest"] + cost["settle"] + cost["purge"],
            all_products * prices.put / each,
        ),
        ("storing: dollars a month", size / 1e9 * prices.gigabyte, safe_size / 1e9 * prices.gigabyte),
        ("reading all bands of all once: dollars of requests", cost["read"], all_products * prices.get / each),
    ]
