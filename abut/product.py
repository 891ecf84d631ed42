"""A committed product: what its item and its record say.

The *item*, ``products/<id>.json``, is the commit: it names the store folder of the attempt that finished. The
*record* in that folder never changes; it lists the digests and sizes of all that the attempt wrote.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from abut import ledger as ledgers
from abut.errors import DigestMismatchError, InvalidArchiveError, MissingObjectError, ProductNotFoundError
from abut.layout import RECORD
from abut.ledger import Ledger, Member
from abut.tiling import Tile, tile

if TYPE_CHECKING:
    from collections.abc import Mapping

    from abut.lattice import Block
    from abut.store import Store

FORMAT: Final = 1
"""Version of the record's JSON."""

NEIGHBOUR: Final = "abut:neighbour"
"""Relation of the links from a product's item to those of the products that hold blocks of its tile."""


@dataclass(frozen=True, slots=True)
class BlockRecord:
    """One block of one band as it was written."""

    digest: str
    """SHA-256 of the decoded block (little-endian, C order, zero outside the legacy footprint), hex."""
    size: int
    """Bytes of the object."""


@dataclass(frozen=True, slots=True)
class BandRecord:
    """One band as it was written."""

    digest: str
    """SHA-256 of the decoded legacy array (little-endian, C order), hex."""
    blocks: Mapping[Block, BlockRecord]
    """Every block that is not empty in the product."""


@dataclass(frozen=True, slots=True)
class FileRecord:
    """One other object, or one legacy file, as it was written."""

    digest: str
    """SHA-256 of its bytes, hex."""
    size: int
    """Bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What an attempt wrote."""

    product: str
    """Product id."""
    tile: Tile
    """Its tile."""
    bands: Mapping[str, BandRecord]
    """By band name; the same blocks in each."""
    masks: Mapping[str, str]
    """SHA-256 of each decoded mask by name: ``detector_footprint/B02``, ``quality/B02``, ``classification``."""
    objects: Mapping[str, FileRecord]
    """Every object that is no block of a band, by key below the store folder (legacy files included)."""
    safe: Mapping[str, Any]
    """What writing the SAFE again needs: its name, format, image paths (``images``, ``tci``)."""

    @property
    def valid(self) -> frozenset[Block]:
        """Blocks that are not empty."""
        return frozenset(next(iter(self.bands.values())).blocks)

    @property
    def data_bytes(self) -> int:
        """Bytes of all band objects."""
        return sum(block.size for band in self.bands.values() for block in band.blocks.values())


@dataclass(frozen=True, slots=True)
class Product:
    """A committed product."""

    id: str
    """Product id: the SAFE name without ``.SAFE``."""
    prefix: str
    """Folder of its store beside the item: ``<id>.<attempt>.zarr``."""
    layer: str
    """Name of its layer."""
    record: Record
    """What was written."""

    @property
    def tile(self) -> Tile:
        """Its tile."""
        return self.record.tile

    @property
    def folder(self) -> str:
        """Key of its store folder in the archive."""
        return f"products/{self.prefix}"

    def unsettled(self) -> Member:
        """Its membership before the ledger knows it: it holds all its blocks."""
        return Member(self.id, self.prefix, self.tile, self.record.valid)


def item_key(product_id: str) -> str:
    """Return the key of a product's item in the archive."""
    return f"products/{product_id}.json"


def is_tombstone(item: Mapping[str, Any]) -> bool:
    """Whether an item only says that its product was removed."""
    return bool(item.get("properties", {}).get("abut:removed"))


def load(store: Store, product_id: str) -> Product:
    """Read a committed product.

    Raises
    ------
    ProductNotFoundError
        If it was never committed, or was removed.
    DigestMismatchError
        If its record is not the one that was committed.
    MissingObjectError
        If its record is gone.
    """
    missing: MissingObjectError | None = None
    prefix = None
    while True:
        found = store.read(item_key(product_id))
        item = json.loads(found.data) if found else None
        if item is None or is_tombstone(item):
            raise ProductNotFoundError(f"{store.url}: no product {product_id!r}")
        if missing is not None and item["properties"]["abut:store"] == prefix:
            raise missing
        prefix = item["properties"]["abut:store"]
        try:
            return from_item(store, item)
        except MissingObjectError as error:
            missing = error  # damage, unless the product was removed or replaced since its item was read


def from_item(store: Store, item: Mapping[str, Any]) -> Product:
    """Read the rest of a product whose item is at hand; errors as `load`."""
    properties = item["properties"]
    prefix, expected = properties["abut:store"], properties["abut:record_digest"]
    where = f"products/{prefix}/{RECORD}"
    data = store.get(where)
    if hashlib.sha256(data).hexdigest() != expected:
        raise DigestMismatchError(f"{store.url}/{where}: not the record that the item names")
    return Product(item["id"], prefix, properties["abut:layer"], decode(data, where))


def holding(store: Store, product: Product) -> tuple[Member, Ledger]:
    """Return what the ledger says of a product; one that has not joined yet holds all its blocks."""
    ledger, _ = ledgers.load(store, product.layer)
    member = ledger.members.get(product.id)
    if member is None or member.prefix != product.prefix:
        member = product.unsettled()
    return member, ledger


def encode(record: Record) -> bytes:
    """Return a record as JSON."""
    number = {block: index for index, block in enumerate(record.tile.hull)}
    return json.dumps(
        {
            "abut:record": FORMAT,
            "product": record.product,
            "tile": record.tile.id,
            "bands": {
                name: {
                    "digest": band.digest,
                    "blocks": {str(number[b]): [r.digest, r.size] for b, r in sorted(band.blocks.items())},
                }
                for name, band in record.bands.items()
            },
            "masks": dict(record.masks),
            "objects": {name: [entry.digest, entry.size] for name, entry in sorted(record.objects.items())},
            "safe": dict(record.safe),
        },
        separators=(",", ":"),
    ).encode()


def decode(data: bytes, source: str) -> Record:
    """Read a record's JSON.

    Raises
    ------
    InvalidArchiveError
        If it can't be understood.
    """
    try:
        document = json.loads(data)
        if document["abut:record"] != FORMAT:
            raise InvalidArchiveError(f"{source}: record format {document['abut:record']} is not {FORMAT}")
        where = tile(document["tile"])
        return Record(
            product=document["product"],
            tile=where,
            bands={name: _band_in(entry, list(where.hull)) for name, entry in document["bands"].items()},
            masks=document["masks"],
            objects={name: FileRecord(*entry) for name, entry in document["objects"].items()},
            safe=document["safe"],
        )
    except (KeyError, ValueError, TypeError, IndexError) as error:
        if isinstance(error, InvalidArchiveError):
            raise
        raise InvalidArchiveError(f"{source}: not a record ({error})") from error


def _band_in(entry: Mapping[str, Any], blocks: list[Block]) -> BandRecord:
    return BandRecord(
        entry["digest"],
        {blocks[int(number)]: BlockRecord(digest, size) for number, (digest, size) in entry["blocks"].items()},
    )
