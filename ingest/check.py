"""Check: store, ledgers, items and catalogue agree; repair what a run that died left behind.

Findings are either *damage* (something that should be there is not: nothing here can make it again) or *leftovers*
(something a later step should have done or removed), which `repair` puts right.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, Literal

from abut import ledger as ledgers
from abut import product as products
from abut.errors import AbutError, CatalogueError, ConflictError, ProductNotFoundError
from abut.layout import BAND, RECORD, block_key
from catalog.item import holding_of
from catalog.opening import explained, open_own
from ingest import attempt as attempts
from ingest import claims, listing
from ingest.commit import attempt_named, finish, read_item
from ingest.register import in_step, join, publish_members
from ingest.scrub import wrong_digests

if TYPE_CHECKING:
    from collections.abc import Iterator

    from abut.archive import Archive
    from abut.ledger import Ledger, Member
    from abut.product import Product

TEMPORARY_AGE: Final = timedelta(days=1)
"""Temporary files younger than this may belong to a writer that is at work."""

_LOOKS: Final = 5
"""How often a layer that others keep changing is looked at."""

_DIFFERENCES: Final = {
    "unknown": "in the catalogue, but not in the store",
    "differs": "the catalogue does not have the item of the store",
    "untold": "the catalogue does not tell of its other versions",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it should be."""

    kind: Literal["damage", "leftover"]
    """Whether data is missing or wrong, or only work left undone."""
    where: str
    """Product, layer, key or path."""
    what: str
    """What is wrong."""
    repaired: bool = False
    """Whether it has been put right."""


def check(archive: Archive, *, repair: bool = False, deep: bool = False) -> list[Finding]:
    """Compare everything in an archive with everything else.

    Parameters
    ----------
    archive : Archive
        The archive.
    repair : bool
        Put leftovers right: join products that no ledger knows, finish or remove attempts of runs that died, bring
        items and catalogue in step, remove temporary files.
    deep : bool
        Also read every object and compare its digest.

    Returns
    -------
    list of Finding
        Empty if all is well.
    """
    findings = list(_check_claims(archive, repair))
    known, broken = _load(archive)
    findings += broken
    findings += _check_membership(archive, known, repair)
    in_ledger: set[str] = set()
    for layer in archive.layers():
        findings += _check_layer(archive, layer, in_ledger, repair=repair, deep=deep)
    findings += _check_prefixes(archive, in_ledger, repair)
    findings += _check_collection(archive, repair)
    findings += _check_catalogue(archive, known.keys() | {finding.where for finding in broken}, repair)
    findings += _check_temporary(archive, repair)
    return findings


def _ledger(archive: Archive, layer: str) -> Ledger:
    return ledgers.load(archive.store, layer)[0]


def _load(archive: Archive) -> tuple[dict[str, tuple[str, str]], list[Finding]]:
    """Return prefix and layer of each product (all records of a large archive would fill the memory)."""
    known, broken = {}, []
    for name in archive.product_ids():
        try:
            product = archive.product(name)
            known[name] = product.prefix, product.layer
        except ProductNotFoundError:
            continue  # purge has removed it meanwhile
        except AbutError as error:
            broken.append(Finding("damage", name, str(error)))
    return known, broken


def _check_layer(archive: Archive, layer: str, in_ledger: set[str], *, repair: bool, deep: bool) -> list[Finding]:
    """Check a layer; if something is missing because others were at work meanwhile, look again."""
    for _ in range(_LOOKS):
        ledger = _ledger(archive, layer)
        in_ledger |= {member.prefix for member in ledger.members.values()}
        findings = [*_check_ledger(archive, ledger, deep=deep), *_check_copies(archive, ledger, repair)]
        damaged = any(finding.kind == "damage" for finding in findings)
        if not damaged or _ledger(archive, layer).revision == ledger.revision:
            break
    return findings


def _check_claims(archive: Archive, repair: bool) -> Iterator[Finding]:
    """Finish sealed attempts whose worker died, and remove unsealed ones that no one has renewed for a day."""
    store = archive.store
    _, entries = store.children("claims")
    now = store.now() if entries else None
    for entry in entries:
        claim = claims.read(store, entry.key)
        if claim is None or now is None:
            continue
        gone = now - entry.modified > claims.DEAD
        if claim.state == "writing" and not gone:
            continue  # someone may be at work, or come back
        what = "an attempt was complete but not committed" if claim.state == "sealed" else "an attempt was given up"
        yield Finding("leftover", claim.key, what, repair and _settle_claim(archive, claim))


def _settle_claim(archive: Archive, claim: claims.Claim) -> bool:
    try:
        if claim.state == "sealed" and finish(archive, claims.take_over(archive.store, claim)):
            return True
        current = claims.read(archive.store, claim.key)
        if current is not None:
            dead = claims.take_over(archive.store, replace(current, state="dead", item=None, bands={}))
            attempts.delete_objects(archive, dead)
    except ConflictError:
        return False  # its worker is alive
    return True


def _check_membership(archive: Archive, known: dict[str, tuple[str, str]], repair: bool) -> Iterator[Finding]:
    for layer in sorted({layer for _, layer in known.values()}):
        members = _ledger(archive, layer).members
        for name in [name for name, (_, its) in known.items() if its == layer]:
            member = members.get(name)
            if member is None or member.prefix != known[name][0]:
                yield Finding("leftover", name, f"committed, but not in the ledger of {layer}", repair)
                if repair:
                    # purge has removed it meanwhile, or the catalogue is away, which is found below
                    with contextlib.suppress(ProductNotFoundError, CatalogueError):
                        join(archive, archive.product(name))


def _check_ledger(archive: Archive, ledger: Ledger, *, deep: bool) -> Iterator[Finding]:
    where = f"{archive.store.url}/{ledgers.key(ledger.layer)}"
    for member in ledger.members.values():
        if member.removed:
            yield Finding("leftover", member.product, "withdrawn and decided to be removed; purge has not finished")
            continue
        try:
            product = archive.product(member.product)
        except ProductNotFoundError:
            yield Finding("damage", where, f"member {member.product} has no committed product")
        except AbutError:
            pass  # reported where all products were loaded
        else:
            if product.prefix == member.prefix:
                if member.valid != product.record.valid:
                    yield Finding("damage", where, f"the blocks of {member.product} are not those of its record")
                yield from _check_objects(archive, product, member, deep=deep)
        for block, release in member.released.items():
            holder = ledger.members.get(release.to)
            if member.live and (holder is None or holder.removed or block not in holder.held):
                yield Finding(
                    "damage", where, f"block {block} of {member.product} is held by {release.to}, which has it not"
                )


def _check_copies(archive: Archive, ledger: Ledger, repair: bool) -> Iterator[Finding]:
    for member in ledger.members.values():
        item, _ = read_item(archive.store, member.product)
        if item is None or products.is_tombstone(item) or attempt_named(item) != member.prefix:
            continue
        if not in_step(holding_of(item), ledger, member):
            yield Finding("leftover", member.product, "the item does not say what the ledger says", repair)
            if repair:
                with contextlib.suppress(CatalogueError):  # it is away, which is found below
                    publish_members(archive, ledger, [member.product])


def _check_objects(archive: Archive, product: Product, member: Member, *, deep: bool) -> Iterator[Finding]:
    """Compare the objects of a product with its record and the ledger."""
    folder = f"{product.folder}/"
    found = {entry.key.removeprefix(folder): entry.size for entry in archive.store.entries(product.folder)}
    found.pop(RECORD, None)
    expected = {key: entry.size for key, entry in product.record.objects.items()}
    dropped: set[str] = set()
    for name, band in product.record.bands.items():
        for block, entry in band.blocks.items():
            key = block_key(BAND[name].path, *member.tile.hull.position(block))
            release = member.released.get(block)
            if release is not None and release.dropped:
                dropped.add(key)
            else:
                expected[key] = entry.size
    for key in sorted(expected.keys() - found.keys()):
        yield Finding("damage", f"{folder}{key}", "missing")
    for key in sorted(expected.keys() & found.keys()):
        if expected[key] != found[key]:
            yield Finding("damage", f"{folder}{key}", f"{found[key]} bytes, recorded were {expected[key]}")
    left = Counter(
        "dropped, not deleted yet" if key in dropped else "unknown" for key in found.keys() - expected.keys()
    )
    for what, count in left.items():
        yield Finding("leftover", product.id, f"{count} objects: {what}")
    if deep:
        for key in wrong_digests(archive, product, [key for key in expected if found.get(key) == expected[key]]):
            yield Finding("damage", f"{folder}{key}", "not the bytes or pixels that were recorded")


def _check_prefixes(archive: Archive, in_ledger: set[str], repair: bool) -> Iterator[Finding]:
    """Find store folders that no claim, item or ledger names.

    The order matters: a committed product has its item before its claim goes, so a folder that had no claim when the
    claims were listed is either named by the item that is read after that, or by nothing.
    """
    store = archive.store
    folders, _ = store.children("products")
    _, entries = store.children("claims")
    claimed = {entry.key.removeprefix("claims/").removesuffix(".json") + ".zarr" for entry in entries}
    for folder in folders:
        prefix = folder.rstrip("/").removeprefix("products/")
        if prefix in claimed or prefix in in_ledger:
            continue
        item, _ = read_item(store, prefix.rsplit(".", 2)[0])
        if attempt_named(item) == prefix and not (item is None or products.is_tombstone(item)):
            continue
        objects = list(store.entries(folder))
        if not objects:
            continue  # an empty folder of a local store: a write that failed had made it
        old = store.now() - max(entry.modified for entry in objects) > claims.DEAD
        what = f"{len(objects)} objects of an attempt that was never committed"
        yield Finding("leftover", folder, what, repair and old)
        if repair and old:
            store.delete([entry.key for entry in objects])


def _check_collection(archive: Archive, repair: bool) -> Iterator[Finding]:
    if listing.is_outdated(archive):
        yield Finding("leftover", listing.COLLECTION, "of an older version of Abut", repair)
        if repair:
            listing.put_collection(archive)


def _check_catalogue(archive: Archive, known: set[str], repair: bool) -> list[Finding]:
    """Compare the catalogue with the items in the store, which it can always be rebuilt from."""
    findings: list[Finding] = []
    if not archive.catalogue:
        return findings
    try:
        with open_own(archive, create=repair or archive.catalogue_path is not None, claim=repair) as catalogue:
            if repair:
                listing.list_collection(archive, catalogue)
            for difference in list(listing.differences(archive, catalogue, known)):
                if repair:
                    listing.repair(archive, catalogue, difference)
                findings.append(Finding("leftover", difference.product, _DIFFERENCES[difference.what], repair))
    except Exception as error:  # noqa: BLE001 - whatever keeps it has errors of its own; the other findings count
        findings.append(Finding("damage", "catalogue", f"can't be compared: {explained(archive, error)}"))
    return findings


def _check_temporary(archive: Archive, repair: bool) -> Iterator[Finding]:
    leftovers = archive.store.leftovers()
    now = archive.store.now() if leftovers else None
    for path in leftovers:
        with contextlib.suppress(FileNotFoundError):  # its writer has just finished
            age = now - datetime.fromtimestamp(path.stat().st_mtime, UTC) if now else TEMPORARY_AGE
            if age >= TEMPORARY_AGE:
                yield Finding("leftover", str(path), "temporary file of a writer that died", repair)
                if repair:
                    path.unlink(missing_ok=True)
