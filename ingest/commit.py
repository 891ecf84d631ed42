"""The commit: sealing an attempt's claim and creating the item that makes the product exist.

The item is created only if there is none, or replaced only where it names the very attempt that was found there when
this one began (a product that was withdrawn). Prefixes are unique, so an attempt that was overtaken can never undo a
later one, however late it wakes up.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from abut import product as products
from ingest import claims

if TYPE_CHECKING:
    from collections.abc import Mapping

    from abut.archive import Archive
    from abut.store import Store
    from ingest.claims import Claim


def commit(archive: Archive, claim: Claim, item: Mapping[str, Any]) -> bool:
    """Seal a complete attempt and make its item the product.

    Returns
    -------
    bool
        False if another attempt was committed meanwhile; this one is then given up.

    Raises
    ------
    ConflictError
        If another run, or repair, has taken the claim.
    """
    sealed = claims.renew(archive.store, replace(claim, state="sealed", item=item, bands={}))
    return finish(archive, sealed)


def finish(archive: Archive, sealed: Claim) -> bool:
    """Create the item of a sealed claim (again, if need be), and let go of the claim."""
    store = archive.store
    if not _publish(store, sealed):
        return False
    store.delete([sealed.key])
    return True


def attempt_named(item: Mapping[str, Any] | None) -> str | None:
    """Return the prefix of the attempt that an item or tombstone names; None if there is no item."""
    return None if item is None else str(item["properties"]["abut:store"])


def read_item(store: Store, product_id: str) -> tuple[dict[str, Any] | None, str | None]:
    """Read a product's item, or what is left of it, and its version."""
    found = store.read(products.item_key(product_id))
    return (None, None) if found is None else (json.loads(found.data), found.version)


def encode_item(item: Mapping[str, Any]) -> bytes:
    """Return an item as the bytes that are stored."""
    return json.dumps(item, separators=(",", ":"), ensure_ascii=False).encode()


def tombstone(item: Mapping[str, Any], removed: str) -> dict[str, Any]:
    """Return what is left of an item whose product was removed at a time (RFC 3339)."""
    return {"id": item["id"], "properties": {"abut:store": attempt_named(item), "abut:removed": removed}}


def _publish(store: Store, sealed: Claim) -> bool:
    if sealed.item is None:
        raise ValueError(f"{sealed.key}: the claim is not sealed")
    data = encode_item(sealed.item)
    while True:
        current, version = read_item(store, sealed.product)
        named = attempt_named(current)
        if named == sealed.prefix:
            return current is not None and not products.is_tombstone(current)
        if named != sealed.replaces:
            return False
        if store.swap(products.item_key(sealed.product), data, version) is not None:
            return True
