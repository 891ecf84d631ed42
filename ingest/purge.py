"""Purge: deleting what was released long enough ago, after looking at what replaces it.

Nothing is deleted before the ledger says that it will be: a release is marked *dropped*, a withdrawn product
*removed*, by compare-and-swap, and only then the objects go. So a release that is taken back and a delete that is
under way exclude each other, and a purge that dies is completed by the next.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from abut import product as products
from abut.codec import decode_block
from abut.errors import DigestMismatchError, MissingObjectError, ProductNotFoundError
from abut.layout import BAND, block_key
from catalog.opening import catalogue_last, catalogue_of
from ingest.commit import attempt_named, encode_item, read_item, tombstone
from ingest.register import change_ledger, publish

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from abut.archive import Archive
    from abut.lattice import Block
    from abut.ledger import Ledger, Member
    from abut.product import Product

GRACE: Final = timedelta(days=7)
"""How long released objects stay, so that readers with an old plan and stock clients can finish."""


@dataclass(frozen=True, slots=True)
class Purged:
    """What purging one layer did."""

    layer: str
    """Name of the layer."""
    objects: int
    """Objects deleted."""
    bytes: int
    """Their bytes."""
    removed: tuple[str, ...]
    """Withdrawn products that are gone now."""
    taken_back: tuple[str, ...]
    """``product block``: releases undone, because the holder's object is missing or is not what was recorded."""


def purge(archive: Archive, *, grace: timedelta = GRACE, layers: Iterable[str] | None = None) -> list[Purged]:
    """Delete released blocks, and withdrawn products that no live product relies on, older than a grace period.

    Raises
    ------
    CatalogueError
        After all layers were purged, if the catalogue could not be told.
    """
    purged = []
    with catalogue_last() as later:
        for layer in archive.layers() if layers is None else layers:
            with later():
                purged.append(purge_layer(archive, layer, grace))
    return purged


def purge_layer(archive: Archive, layer: str, grace: timedelta) -> Purged:
    """Purge one layer.

    Raises
    ------
    CatalogueError
        After all was deleted, if the catalogue could not be told.
    """
    verifier = _Verifier(archive)
    now = archive.store.now()
    taken_back: list[str] = []

    def change(ledger: Ledger) -> Ledger | None:
        taken_back.clear()
        changed = [_drop(ledger, member, verifier, now - grace, taken_back) for member in ledger.members.values()]
        decided = ledger.changed(*changed)
        removable = _removable(decided, now - grace)
        decided = replace(decided.changed(*removable), revision=ledger.revision + 1)
        return decided if decided.members != ledger.members else None

    count = size = 0
    with catalogue_last() as later:
        before, after = change_ledger(archive, layer, change)
        with later():
            publish(archive, before, after)
        for member in after.members.values():
            if member.removed:
                with later():
                    _delist(archive, member)
                _bury(archive, member)
            for entry_size in _delete(archive, member):
                count, size = count + 1, size + entry_size
            if member.removed:
                _forget(archive, layer, member)
    removed = tuple(member.product for member in after.members.values() if member.removed)
    return Purged(layer, count, size, removed, tuple(taken_back))


def _drop(ledger: Ledger, member: Member, verifier: _Verifier, before: datetime, taken_back: list[str]) -> Member:
    """Mark what may be deleted, and take back what its holder has no more."""
    held, released = set(member.held), dict(member.released)
    for block, release in member.released.items():
        if release.dropped or release.since > before or member.removed:
            continue
        if verifier.has(ledger.members.get(release.to), block):
            released[block] = replace(release, dropped=True)
        elif verifier.has(member, block):
            del released[block]
            held.add(block)
            taken_back.append(f"{member.product} {block}")
    return replace(member, held=frozenset(held), released=released)


def _removable(ledger: Ledger, before: datetime) -> Iterator[Member]:
    """Withdrawn members that no live member relies on."""
    needed = {release.to for member in ledger.members.values() if member.live for release in member.released.values()}
    for member in ledger.members.values():
        if member.withdrawn is not None and member.withdrawn <= before and member.product not in needed:
            yield replace(member, removed=True)


def _delete(archive: Archive, member: Member) -> Iterator[int]:
    """Delete the objects that the ledger gave up; yield the size of each."""
    if not member.removed and not any(release.dropped for release in member.released.values()):
        return
    folder = f"products/{member.prefix}"
    gone = {member.tile.hull.position(block) for block, release in member.released.items() if release.dropped}
    paths = {band.path for band in BAND.values()}
    unneeded = []
    for entry in archive.store.entries(folder):
        path, _, position = entry.key.removeprefix(f"{folder}/").rpartition("/c/")
        if member.removed or (path in paths and tuple(map(int, position.split("/"))) in gone):
            unneeded.append(entry)
    archive.store.delete([entry.key for entry in unneeded])
    yield from (entry.size for entry in unneeded)


def _delist(archive: Archive, removed: Member) -> None:
    """Take a product out of the catalogue, unless it was ingested anew."""
    with catalogue_of(archive) as catalogue:
        if catalogue is not None:
            row = catalogue.get(removed.product)
            while row is not None and attempt_named(row) == removed.prefix and not catalogue.remove_if(row):
                row = catalogue.get(removed.product)


def _bury(archive: Archive, removed: Member) -> None:
    """Leave a tombstone for the item of a product, unless it was ingested anew."""
    store = archive.store
    while True:
        item, version = read_item(store, removed.product)
        if item is None or attempt_named(item) != removed.prefix or products.is_tombstone(item):
            return
        stone = encode_item(tombstone(item, store.now().isoformat()))
        if store.swap(products.item_key(removed.product), stone, version) is not None:
            return


def _forget(archive: Archive, layer: str, removed: Member) -> None:
    """Take a member out of the ledger once its objects are gone."""

    def change(ledger: Ledger) -> Ledger | None:
        member = ledger.members.get(removed.product)
        if member is None or member.prefix != removed.prefix or not member.removed:
            return None
        return ledger.changed(without=removed.product)

    change_ledger(archive, layer, change)


class _Verifier:
    """Looks, at most once, whether all bands of a block are in the store with the digest recorded."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._products: dict[str, Product | None] = {}
        self._seen: dict[tuple[str, Block], bool] = {}

    def has(self, member: Member | None, block: Block) -> bool:
        """Whether a member's own objects of a block are what was recorded."""
        if member is None:
            return False
        key = (member.prefix, block)
        if key not in self._seen:
            self._seen[key] = self._look(member, block)
        return self._seen[key]

    def _look(self, member: Member, block: Block) -> bool:
        product = self._product(member)
        if product is None:
            return False
        row, column = member.tile.hull.position(block)
        for name, band in product.record.bands.items():
            key = f"products/{member.prefix}/{block_key(BAND[name].path, row, column)}"
            try:
                pixels = decode_block(self._archive.store.get(key), BAND[name].block_pixels, self._archive.profile)
            except (MissingObjectError, ValueError):
                return False
            if hashlib.sha256(pixels).hexdigest() != band.blocks[block].digest:
                return False
        return True

    def _product(self, member: Member) -> Product | None:
        if member.prefix not in self._products:
            try:
                self._products[member.prefix] = self._archive.product(member.product)
            except (ProductNotFoundError, MissingObjectError, DigestMismatchError):  # or its record is lost
                self._products[member.prefix] = None
        return self._products[member.prefix]
