"""Ingest of one product: compare with what is there, write an attempt, commit it, register it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from abut import ledger as ledgers
from abut import product as products
from abut.errors import (
    ConflictError,
    DigestMismatchError,
    DuplicateProductError,
    MissingObjectError,
    ProductNotFoundError,
)
from abut.layout import LEGACY
from abut.legacy import read_bands
from catalog.item import StoreDescription
from ingest import attempt as attempts
from ingest import claims
from ingest.commit import attempt_named, commit, read_item
from ingest.register import join, restorable
from ingest.scrub import wrong_digests

if TYPE_CHECKING:
    from collections.abc import Callable

    from abut.archive import Archive
    from abut.product import Product, Record
    from ingest.source import Source

_TRIES = 5
"""How often an ingest starts over when other runs are at the same product."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of ingesting one product."""

    product: str
    """Product id."""
    status: Literal["ingested", "unchanged", "reinstated", "skipped"]
    """Whether it was written, was there already, had been withdrawn and is live again, or was left alone since the
    archive has a product of its id."""
    data_bytes: int
    """Bytes of its band objects."""
    unlisted: str = ""
    """Why the catalogue could not be told of it; empty if it was."""


def ingest(
    archive: Archive, source: Source, *, threads: int = 2, done: Callable[[str], None] = lambda _: None
) -> Outcome:
    """Write a product into an archive and register it; see `store_product` and `register`.

    Raises
    ------
    CatalogueError
        If the product is in the archive, but the catalogue could not be told; `check --repair` tells it.
    """
    for _ in range(_TRIES):
        outcome = store_product(archive, source, threads=threads, done=done)
        try:
            register(archive, outcome)
        except (ConflictError, ProductNotFoundError):
            continue  # withdrawn and purged in between: it needs a new attempt
        return outcome
    raise ConflictError(f"{source.id}: other runs keep changing this product; try again later")


def store_product(
    archive: Archive, source: Source, *, threads: int = 2, done: Callable[[str], None] = lambda _: None
) -> Outcome:
    """Write a product's store and commit it: the part that many workers do at once.

    Parameters
    ----------
    archive : Archive
        Where to.
    source : Source
        The product.
    threads : int
        Bands decoded at once.
    done : callable
        Called with the name of each band that is complete.

    Raises
    ------
    InvalidSafeError
        If the source is broken; nothing is registered, and what was written is deleted.
    DigestMismatchError
        If the product is in the archive with other pixels.
    DuplicateProductError
        If its layer has the same pixels under another id.
    ConflictError
        If other runs kept interfering.
    """
    last = ConflictError(f"{source.id}: other runs keep committing this product; try again later")
    for _ in range(_TRIES):
        current, _version = read_item(archive.store, source.id)
        replaces = attempt_named(current)
        if current is not None and not products.is_tombstone(current):
            try:
                product = archive.product(source.id)
            except ProductNotFoundError:
                continue  # removed since its item was read
            outcome = _compare(archive, source, product)
            if outcome is not None:
                return outcome
            replaces = product.prefix
        source.check()
        try:
            record = _attempt(archive, source, replaces, threads, done)
        except ConflictError as error:
            last = error
            continue
        if record is not None:
            return Outcome(source.id, "ingested", record.data_bytes)
    raise last


def register(archive: Archive, outcome: Outcome) -> Product:
    """Join a committed product to its layer and the catalogue: the part that one process does.

    Raises
    ------
    ConflictError, ProductNotFoundError
        If it was withdrawn, and purged meanwhile.
    CatalogueError
        If the catalogue could not be told.
    """
    return join(archive, archive.product(outcome.product), reinstate=outcome.status == "reinstated")


def _compare(archive: Archive, source: Source, product: Product) -> Outcome | None:
    """Compare a source with the committed product of its id; None if it must be written under a new attempt."""
    source.check()
    if product.record.safe.get("source") != source.digest:
        _require_same_pixels(source, product.record)
    ledger, _ = ledgers.load(archive.store, product.layer)
    member = ledger.members.get(product.id)
    size = product.record.data_bytes
    if member is None or member.prefix != product.prefix or member.live:
        return Outcome(source.id, "unchanged", size)
    whole = restorable(ledger, member) and _is_whole(archive, product)
    return Outcome(source.id, "reinstated", size) if whole else None


def _is_whole(archive: Archive, product: Product) -> bool:
    """Whether every band can be read and all else is what was recorded.

    A holder that was removed may have come back with other pixels since, and withdrawing a product of which an object
    is damaged, to ingest it again, is how it is mended.
    """
    if any(True for _ in wrong_digests(archive, product, product.record.objects)):
        return False
    try:
        for _ in read_bands(archive, product):
            pass
    except (DigestMismatchError, MissingObjectError):
        return False
    return True


def _require_same_pixels(source: Source, record: Record) -> None:
    for band in source.bands:
        digest = hashlib.sha256()
        for strip in source.strips(band):
            digest.update(strip)
        expected = record.bands[band.name].digest
        if digest.hexdigest() != expected:
            raise DigestMismatchError(
                f"{source.id} {band.name}: the archive has this product with other pixels "
                f"(SHA-256 {expected}, not {digest.hexdigest()})"
            )


def _attempt(
    archive: Archive, source: Source, replaces: str | None, threads: int, done: Callable[[str], None]
) -> Record | None:
    """Write and commit one attempt; None if another was committed first."""
    store = archive.store
    claim = claims.resume(store, source.id, source.digest, replaces) or claims.begin(
        store, source.id, source.digest, replaces
    )
    try:
        claim, record = attempts.write(archive, source, claim, threads=threads, done=done)
        _require_no_duplicate(archive, source, record)
        item = source.item(describe(archive, claim.prefix, source, record))
        won = commit(archive, claim, item)
    except Exception:
        _give_up(archive, claim)
        raise
    if not won:
        _give_up(archive, claim, also="sealed")
        return None
    return record


def _give_up(archive: Archive, claim: claims.Claim, *, also: str = "") -> None:
    """Discard what is still this worker's; not what it sealed, unless it is known that that was not committed.

    After an error nobody knows what the store did: the item may be there although the answer was lost. What is
    sealed is complete; `check --repair` finishes it.
    """
    current = claims.read(archive.store, claim.key)
    if current is not None and current.worker == claim.worker and current.state in ("writing", also):
        attempts.discard(archive, current)


def describe(archive: Archive, prefix: str, source: Source, record: Record) -> StoreDescription:
    """Return what the item says of a store."""
    hull = record.tile.hull
    legacy = f"{LEGACY}/"
    return StoreDescription(
        prefix=prefix,
        layer=source.layer,
        band_digests={name: band.digest for name, band in record.bands.items()},
        mask_digests=record.masks,
        record_digest=hashlib.sha256(products.encode(record)).hexdigest(),
        valid=frozenset(hull.position(block) for block in record.valid),
        legacy_files={
            key.removeprefix(legacy): entry.size for key, entry in record.objects.items() if key.startswith(legacy)
        },
        data_bytes=record.data_bytes,
        created=archive.store.now(),
        bands=tuple(record.bands),
    )


def _require_no_duplicate(archive: Archive, source: Source, record: Record) -> None:
    """Refuse the same pixels of the same datastrip and tile under another product id."""
    ledger, _ = ledgers.load(archive.store, source.layer)
    occupant = ledger.of_tile(source.tile)
    if occupant is None or occupant.product == source.id:
        return
    try:
        other = archive.product(occupant.product).record
    except ProductNotFoundError:
        return
    mine = {name: band.digest for name, band in record.bands.items()}
    if mine == {name: band.digest for name, band in other.bands.items()} and dict(record.masks) == dict(other.masks):
        raise DuplicateProductError(f"{source.id}: the same pixels as {occupant.product}, which is in the archive")
