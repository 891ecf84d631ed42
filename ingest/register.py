"""Registration: joining the ledger of a layer, and keeping the copies in items and catalogue in step with it.

The ledger is the truth. Items and catalogue rows carry copies with the ledger's revision; they are replaced only by
newer ones, gainers before losers, and `check --repair` brings those in step that a crash left behind.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from abut import ledger as ledgers
from abut import product as products
from abut.errors import ConflictError
from catalog.item import Holding, holding_of, with_holding
from catalog.opening import catalogue_of
from ingest.commit import attempt_named, encode_item, read_item
from ingest.listing import list_items, put_collection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from abut.archive import Archive
    from abut.ledger import Ledger, Member
    from abut.product import Product


def change_ledger(archive: Archive, layer: str, change: Callable[[Ledger], Ledger | None]) -> tuple[Ledger, Ledger]:
    """Change a layer's ledger by compare-and-swap, trying again until no one was faster.

    Parameters
    ----------
    archive : Archive
        The archive.
    layer : str
        Name of the layer.
    change : callable
        Takes the ledger and returns the next one, or None to leave it. It is called anew after a lost race.

    Returns
    -------
    before, after : Ledger
        The ledgers; the same if nothing was changed.
    """
    while True:
        before, version = ledgers.load(archive.store, layer)
        after = change(before)
        if after is None:
            return before, before
        if archive.store.swap(ledgers.key(layer), ledgers.encode(after), version) is not None:
            return before, after


def join(archive: Archive, product: Product, *, reinstate: bool = False) -> Product:
    """Make a committed product a member of its layer, or a withdrawn one live again, and register it.

    If its layer has another product of the same tile, it gets a layer of its own.

    Returns
    -------
    Product
        The product, with the layer that it is in.

    Raises
    ------
    ConflictError
        If it was withdrawn and can't simply be reinstated: it must be ingested under a new attempt.
    CatalogueError
        If it is a member now, but the catalogue could not be told.
    """
    put_collection(archive)
    while True:
        taken, layer = False, product.layer

        def change(ledger: Ledger, product: Product = product) -> Ledger | None:
            nonlocal taken, layer
            item, _ = read_item(archive.store, product.id)
            if attempt_named(item) != product.prefix or item is None or products.is_tombstone(item):
                return None  # a later attempt has replaced this one
            layer = str(item["properties"]["abut:layer"])
            if layer != product.layer:
                return None  # another process has given it a layer of its own since it was loaded
            member = ledger.members.get(product.id)
            if member is not None and member.prefix == product.prefix:
                if member.live or not reinstate:
                    return None
                if not restorable(ledger, member):
                    raise ConflictError(f"{product.id}: blocks that it relied on are gone")
                return ledger.changed(replace(member, withdrawn=None))
            occupant = ledger.of_tile(product.tile)
            taken = occupant is not None and occupant.product != product.id
            return None if taken else ledger.changed(product.unsettled())

        before, after = change_ledger(archive, product.layer, change)
        if layer != product.layer:
            product = replace(product, layer=layer)
            continue
        if not taken:
            publish(archive, before, after, also=[product.id])
            return product
        product = _own_layer(archive, product)


def restorable(ledger: Ledger, member: Member) -> bool:
    """Whether every block of a withdrawn product is still there, its own and those that others hold for it."""
    if member.removed:
        return False
    for block, release in member.released.items():
        holder = ledger.members.get(release.to)
        if holder is None or holder.removed or block not in holder.held:
            return False
    return True


def publish(archive: Archive, before: Ledger, after: Ledger, *, also: Iterable[str] = ()) -> None:
    """Bring the copies in items and catalogue in step with a changed ledger: gainers first, then losers.

    Raises
    ------
    CatalogueError
        If the catalogue can't be written; ledger and items are, and `check --repair` brings the catalogue in step.
    """
    changed = [name for name, member in after.members.items() if before.members.get(name) != member]
    names = dict.fromkeys([*changed, *also])

    def loses(name: str) -> bool:
        old, new = before.members.get(name), after.members.get(name)
        return old is not None and (new is None or not new.live or bool(old.held - new.held))

    publish_members(archive, after, sorted(names, key=lambda name: (loses(name), name)))


def publish_members(archive: Archive, ledger: Ledger, names: Iterable[str]) -> list[str]:
    """Write what a ledger says of some products into their items, then the catalogue; return the ids that changed.

    Raises
    ------
    CatalogueError
        If the catalogue can't be written; the items are.
    """
    changed = []
    rows: list[dict[str, Any]] = []
    for name in names:
        member = ledger.members.get(name)
        if member is not None:
            item, different = _publish_item(archive, ledger, member)
            if item is not None:
                rows.append(item)
            if different:
                changed.append(name)
    with catalogue_of(archive) as catalogue:
        if catalogue is not None and rows:
            list_items(archive, catalogue, rows)
    return changed


def holding_in(ledger: Ledger, member: Member, updated: datetime) -> Holding:
    """Return what a ledger says of a member as the item carries it."""
    hull = member.tile.hull
    return Holding(
        revision=ledger.revision,
        held=frozenset(hull.position(block) for block in member.held),
        holders={hull.position(block): release.to for block, release in member.released.items()},
        withdrawn=not member.live,
        updated=updated,
    )


def in_step(copy: Holding, ledger: Ledger, member: Member) -> bool:
    """Whether an item's copy says the same as the ledger (its revision may be older: not all revisions concern it)."""
    says = holding_in(ledger, member, copy.updated)
    return copy.revision > 0 and replace(copy, revision=says.revision) == says


def _publish_item(archive: Archive, ledger: Ledger, member: Member) -> tuple[dict[str, Any] | None, bool]:
    store = archive.store
    while True:
        item, version = read_item(store, member.product)
        if item is None or products.is_tombstone(item) or attempt_named(item) != member.prefix:
            return None, False
        has = holding_of(item)
        if has.revision > ledger.revision or in_step(has, ledger, member):
            return item, False
        newer = with_holding(item, holding_in(ledger, member, store.now()))
        if store.swap(products.item_key(member.product), encode_item(newer), version) is not None:
            return newer, True


def _own_layer(archive: Archive, product: Product) -> Product:
    """Give a product a layer of its own, named after it."""
    layer = f"{product.tile.zone.epsg}.{product.id}"
    store = archive.store
    while True:
        item, version = read_item(store, product.id)
        if item is None or attempt_named(item) != product.prefix:
            return replace(product, layer=layer)
        item["properties"]["abut:layer"] = layer
        if store.swap(products.item_key(product.id), encode_item(item), version) is not None:
            return replace(product, layer=layer)
