"""Who stores which blocks of a layer, before and after the overlap is gone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from abut import ledger as ledgers

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from abut.archive import Archive
    from abut.lattice import Block, Zone
    from abut.product import Product
    from abut.tiling import Tile


@dataclass(frozen=True, slots=True)
class Share:
    """One product's share of a layer."""

    product: Product
    """The product."""
    before: frozenset[Block]
    """Blocks that it was ingested with."""
    after: frozenset[Block]
    """Blocks that it holds now."""

    @property
    def tile(self) -> Tile:
        """Its tile."""
        return self.product.tile

    def bytes_of(self, blocks: Iterable[Block]) -> int:
        """Bytes of all bands of some blocks."""
        return sum(band.blocks[block].size for block in blocks for band in self.product.record.bands.values())


@dataclass(frozen=True, slots=True)
class Stock:
    """A layer: who stores what."""

    layer: str
    """Name of the layer."""
    zone: Zone
    """Its zone."""
    shares: tuple[Share, ...]
    """One a product, by tile."""

    @property
    def distinct(self) -> int:
        """Blocks that hold data, each counted once."""
        return len(holders(self, after=False))

    @property
    def stored_before(self) -> int:
        """Blocks stored after ingest, counted for each product."""
        return sum(len(share.before) for share in self.shares)

    @property
    def stored_after(self) -> int:
        """Blocks stored now."""
        return sum(len(share.after) for share in self.shares)

    @property
    def bytes_before(self) -> int:
        """Bytes of all bands after ingest."""
        return sum(share.bytes_of(share.before) for share in self.shares)

    @property
    def bytes_after(self) -> int:
        """Bytes of all bands now (as soon as released objects are purged)."""
        return sum(share.bytes_of(share.after) for share in self.shares)


def holders(stock: Stock, *, after: bool) -> Mapping[Block, list[Share]]:
    """Return the shares that store each block, now or before."""
    found: dict[Block, list[Share]] = {}
    for share in stock.shares:
        for block in share.after if after else share.before:
            found.setdefault(block, []).append(share)
    return found


def take_stock(archive: Archive, products: Iterable[str]) -> list[Stock]:
    """Look up who stores what, for some products of an archive.

    Parameters
    ----------
    archive : Archive
        The archive.
    products : iterable of str
        Product ids.

    Returns
    -------
    list of Stock
        One for each layer, sorted by name.
    """
    layers: dict[str, list[Product]] = {}
    for name in products:
        product = archive.product(name)
        layers.setdefault(product.layer, []).append(product)
    return [_stock(archive, layer, layers[layer]) for layer in sorted(layers)]


def _stock(archive: Archive, layer: str, products: list[Product]) -> Stock:
    members = ledgers.load(archive.store, layer)[0].members
    shares = [
        Share(product, product.record.valid, members[product.id].held)
        for product in sorted(products, key=lambda one: one.tile)
    ]
    return Stock(layer, shares[0].tile.zone, tuple(shares))
