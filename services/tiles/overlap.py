"""What a product holds of its tile, what a neighbour holds for it, and what that saves: from ledgers and records."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from abut import product as products
from abut.errors import ProductNotFoundError
from abut.messages import quoted
from abut.tiling import ranked, tile
from services.tiles.wish import PRODUCT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from abut.archive import Archive
    from abut.lattice import Block
    from abut.ledger import Ledger, Member
    from abut.product import Product, Record
    from abut.tiling import Tile

SQUARE_KILOMETRE: Final = 1_000_000
"""Square metres."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """Blocks of a product, counted."""

    blocks: int
    """How many."""
    km2: float
    """Their ground within the tile's footprint, in square kilometres of the zone's grid."""
    bytes: int
    """Bytes of the product's own objects of all bands, as they were written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lent:
    """Blocks that a neighbour holds for a product."""

    holder: str
    """Id of the product that holds them."""
    tile: Tile
    """Its tile."""
    blocks: tuple[Block, ...]
    """The blocks, row by row from the north-west."""
    dropped: int
    """How many of them purge has deleted, or is about to."""
    share: Share
    """What they come to."""


def live(archive: Archive, name: str) -> tuple[Product, Member, Ledger]:
    """Return a product, and what the ledger says.

    Raises
    ------
    ProductNotFoundError
        If there is none, or it was withdrawn.
    InvalidArchiveError, DigestMismatchError, MissingObjectError
        If what the archive says of it can't be read.
    """
    if not PRODUCT.fullmatch(name):
        raise ProductNotFoundError(f"no product {quoted(name)}")
    product = archive.product(name)
    member, ledger = products.holding(archive.store, product)
    if not member.live:
        raise ProductNotFoundError(f"product {product.id!r} was withdrawn")
    return product, member, ledger


def lent(product: Product, member: Member, ledger: Ledger) -> list[Lent]:
    """Return what neighbours hold for a product, by their ids."""
    sizes = sizes_of(product.record)
    groups: dict[str, list[Block]] = {}
    for block in product.tile.hull:
        if block in member.released:
            groups.setdefault(member.released[block].to, []).append(block)
    return [
        Lent(
            holder=holder,
            tile=ledger.members[holder].tile,
            blocks=tuple(blocks),
            dropped=sum(member.released[block].dropped for block in blocks),
            share=share_of(product.tile, blocks, sizes),
        )
        for holder, blocks in sorted(groups.items())
    ]


def share_of(where: Tile, blocks: Iterable[Block], sizes: Mapping[Block, int]) -> Share:
    """Return what blocks of a tile come to."""
    counted = list(blocks)
    ground = grounds_of(where)
    return Share(
        blocks=len(counted),
        km2=sum(ground[block] for block in counted) / SQUARE_KILOMETRE,
        bytes=sum(sizes.get(block, 0) for block in counted),
    )


def sizes_of(record: Record) -> dict[Block, int]:
    """Return the bytes of a product's objects of all bands by block, as they were written."""
    sizes: dict[Block, int] = {}
    for band in record.bands.values():
        for block, entry in band.blocks.items():
            sizes[block] = sizes.get(block, 0) + entry.size
    return sizes


@lru_cache(maxsize=1_024)
def grounds_of(where: Tile) -> Mapping[Block, int]:
    """Return the ground of each block of a tile's hull that lies within its footprint, in square metres."""
    parts = ((block, block.bounds.intersection(where.footprint)) for block in where.hull)
    return {block: part.area if part else 0 for block, part in parts}


@lru_cache(maxsize=256)
def ranks_of(name: str) -> Mapping[Block, tuple[str, ...]]:
    """Return the ids of the tiles of the grid that touch each block of a tile's hull, the owner first."""
    return {block: tuple(one.id for one in ranked(block)) for block in tile(name).hull}
