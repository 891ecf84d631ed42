"""Products that an archive has already, told without fetching any."""

from __future__ import annotations

from typing import TYPE_CHECKING

from abut import ledger as ledgers
from abut import product as products
from abut.errors import ProductNotFoundError
from ingest.commit import read_item
from ingest.ingest import Outcome

if TYPE_CHECKING:
    from abut.archive import Archive
    from abut.ledger import Member
    from abut.product import Product
    from ingest.safe_source import SafeSource


def known_by_digest(archive: Archive, source: SafeSource) -> Outcome | None:
    """Return that a product is stored already, if what is live in the archive was made from the same files.

    The same is: equal digests of manifest and metadata, and of every file's path, size and checksum in the manifest.
    The files themselves are not read again, as they are when a SAFE lies here.
    """
    found = _committed(archive, source.id)
    if found is None or found[0].record.safe.get("source") != source.digest:
        return None
    product, member = found
    if member is not None and not member.live:
        return None  # withdrawn: whether it can be reinstated is looked at with the files at hand
    return Outcome(source.id, "unchanged", product.record.data_bytes)


def known_by_id(archive: Archive, product_id: str) -> Outcome | None:
    """Return that a product of an id is live in the archive, whatever it was made from."""
    found = _committed(archive, product_id)
    if found is None or found[1] is None or not found[1].live:
        return None
    return Outcome(product_id, "skipped", found[0].record.data_bytes)


def _committed(archive: Archive, product_id: str) -> tuple[Product, Member | None] | None:
    """Return a committed product, and what its layer's ledger knows of it: nothing, if its run died before."""
    item, _ = read_item(archive.store, product_id)
    if item is None or products.is_tombstone(item):
        return None
    try:
        product = archive.product(product_id)
    except ProductNotFoundError:  # removed since
        return None
    ledger, _ = ledgers.load(archive.store, product.layer)
    member = ledger.members.get(product.id)
    return product, member if member is not None and member.prefix == product.prefix else None
