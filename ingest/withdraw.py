"""Withdrawal: a product leaves search and views at once; nothing that another product needs is destroyed."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING

from abut.errors import CatalogueError
from ingest.register import change_ledger, join, publish

if TYPE_CHECKING:
    from abut.archive import Archive
    from abut.ledger import Ledger


def withdraw(archive: Archive, product_id: str) -> bool:
    """Take a product out of search and views.

    Its blocks stay while any live product relies on them; `purge` removes it when none does. Ingesting it again
    reinstates it.

    Returns
    -------
    bool
        False if it was withdrawn already.

    Raises
    ------
    ProductNotFoundError
        If there is no such product.
    CatalogueError
        If the product is withdrawn, but the catalogue could not be told.
    """
    with contextlib.suppress(CatalogueError):  # it is told of the withdrawal, or not told of that either
        join(archive, archive.product(product_id))
    product = archive.product(product_id)
    now = archive.store.now()

    def change(ledger: Ledger) -> Ledger | None:
        member = ledger.members.get(product.id)
        if member is None or member.prefix != product.prefix or not member.live:
            return None
        return ledger.changed(replace(member, withdrawn=now))

    before, after = change_ledger(archive, product.layer, change)
    publish(archive, before, after, also=[product.id])
    return before is not after
