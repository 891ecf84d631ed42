"""Settling: products release the blocks that a better-ranked product of their layer holds with equal pixels.

Members of a block are taken in their rank, best first. The first holds it. Every other one is released to the
best-ranked live product that holds it, covers every part of it that the member's footprint covers, and has equal
pixels there in every band; if there is none it holds the block itself. A member that had been released before is
compared through the product that holds it for it, so the outcome does not depend on the order of arrival.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from abut import ledger as ledgers
from abut.codec import decode_block
from abut.errors import AbutError, CatalogueError, DigestMismatchError, MissingObjectError, ProductNotFoundError
from abut.layout import BAND, block_key
from abut.ledger import Release
from abut.tiling import rank_key
from catalog.opening import catalogue_last
from ingest.register import change_ledger, join, publish

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from numpy.typing import NDArray

    from abut.archive import Archive
    from abut.lattice import Block, Bounds
    from abut.ledger import Ledger, Member
    from abut.product import Product


@dataclass(frozen=True, slots=True)
class Settled:
    """What settling one layer did."""

    layer: str
    """Name of the layer."""
    released: int
    """Blocks newly released."""
    repointed: int
    """Releases that name another holder than before."""
    unequal: int
    """Blocks that stay stored more than once because their pixels differ."""
    pixel_blocks: int
    """Blocks of products whose pixels were read (those that a footprint cuts)."""


def settle(archive: Archive, layers: Iterable[str] | None = None) -> list[Settled]:
    """Release what need not be stored twice, layer by layer (by default all).

    Committed products that have not joined their layer yet, because a run died, join first. A layer in which
    something is damaged does not keep the others from being settled.

    Raises
    ------
    AbutError
        After all other layers were settled: what is damaged in the first layer that could not be, or that the
        catalogue could not be told.
    """
    settled: list[Settled] = []
    errors: list[AbutError] = []
    try:
        join_missing(archive)
    except CatalogueError as error:
        errors.append(error)
    for layer in archive.layers() if layers is None else layers:
        try:
            settled.append(settle_layer(archive, layer))
        except AbutError as error:
            errors.append(error)
    if errors:
        raise errors[0]
    return settled


def join_missing(archive: Archive) -> list[str]:
    """Join committed products that no ledger knows, or knows only under an older attempt; return their ids.

    Raises
    ------
    CatalogueError
        After all have joined, if the catalogue could not be told of one.
    """
    known = {
        name: (member.prefix, member.live)  # no more: all members of a large archive would fill the memory
        for layer in archive.layers()
        for name, member in ledgers.load(archive.store, layer)[0].members.items()
    }
    joined = []
    with catalogue_last() as later:
        for name in archive.item_ids():
            prefix, live = known.get(name, ("", False))
            if live:
                continue  # only what was withdrawn can have been ingested anew
            with later(), contextlib.suppress(ProductNotFoundError):
                product = archive.product(name)
                if prefix != product.prefix:
                    join(archive, product)
                    joined.append(name)
    return joined


def settle_layer(archive: Archive, layer: str) -> Settled:
    """Settle one layer by one swap of its ledger."""
    comparer = Comparer(archive)
    now = archive.store.now()
    unequal = 0

    def change(ledger: Ledger) -> Ledger | None:
        nonlocal unequal
        members, unequal = _settled(ledger, comparer, now)
        changed = [member for name, member in members.items() if member != ledger.members[name]]
        return ledger.changed(*changed) if changed else None

    before, after = _change_while_others_purge(archive, layer, change)
    publish(archive, before, after)
    pairs = [(before.members[name], member) for name, member in after.members.items() if name in before.members]
    return Settled(
        layer=layer,
        released=sum(len(old.held - new.held) for old, new in pairs),
        repointed=sum(
            1 for old, new in pairs for block, release in old.released.items() if new.holder(block) != release.to
        ),
        unequal=unequal,
        pixel_blocks=comparer.pixel_blocks,
    )


def _change_while_others_purge(
    archive: Archive, layer: str, change: Callable[[Ledger], Ledger | None]
) -> tuple[Ledger, Ledger]:
    """Change a ledger; if an object was missing because purge was at work meanwhile, look again."""
    while True:
        seen, _ = ledgers.load(archive.store, layer)
        try:
            return change_ledger(archive, layer, change)
        except (MissingObjectError, ProductNotFoundError):
            if ledgers.load(archive.store, layer)[0].revision == seen.revision:
                raise


def _settled(ledger: Ledger, comparer: Comparer, now: datetime) -> tuple[dict[str, Member], int]:
    members = dict(ledger.members)
    comparer.begin(ledger)
    blocks: dict[Block, list[Member]] = {}
    for member in ledger.members.values():
        if not member.removed:
            for block in member.valid:
                blocks.setdefault(block, []).append(member)
    unequal = 0
    for block in sorted(blocks):
        candidates = blocks[block]
        if len(candidates) > 1:
            candidates.sort(key=lambda member, block=block: rank_key(block, member.tile))  # type: ignore[misc]
            unequal += _settle_block(block, candidates, members, comparer, now)
            comparer.forget_pixels()
    return members, unequal


def _settle_block(
    block: Block, candidates: list[Member], members: dict[str, Member], comparer: Comparer, now: datetime
) -> int:
    """Decide who holds one block; return how many hold it although a better-ranked product holds it too."""
    holding: list[Member] = []  # live products that hold the block, best rank first
    moved: dict[str, str] = {}  # holders that released the block now, and to whom
    unequal = 0
    for member in candidates:
        held = block in member.held
        # A withdrawn product only follows its holder, which may be gone: there may be no pixels to compare.
        target = next(
            (
                other
                for other in (holding if member.live else ())
                if comparer.covers(other, member, block) and comparer.equal(member, other, block)
            ),
            None,
        )
        if held and target is None:
            unequal += member.live and any(comparer.covers(other, member, block) for other in holding)
            if member.live:
                holding.append(member)
        elif target is not None and held:
            moved[member.product] = target.product
            members[member.product] = _release(members[member.product], block, Release(target.product, now))
        else:
            old = member.released[block]
            to = target.product if target is not None else moved.get(old.to, old.to)
            if to != old.to:
                members[member.product] = _release(members[member.product], block, replace(old, to=to))
    return unequal


def _release(member: Member, block: Block, release: Release) -> Member:
    return replace(member, held=member.held - {block}, released={**member.released, block: release})


@dataclass(slots=True)
class Comparer:
    """Compares blocks of products: by digest where both cover a block whole, else by pixels, each read once."""

    archive: Archive
    """The archive."""
    pixel_blocks: int = 0
    """Blocks of products whose pixels were read."""
    _products: dict[str, Product] = field(default_factory=dict)
    _ledger: Ledger | None = None
    _pixels: dict[tuple[str, Block], dict[str, NDArray[np.uint16]]] = field(default_factory=dict)
    _known: dict[tuple[str, str, Block], bool] = field(default_factory=dict)

    def begin(self, ledger: Ledger) -> None:
        """Compare as of a ledger; what is known of pixels stays true."""
        self._ledger = ledger

    def forget_pixels(self) -> None:
        """Let go of the pixels of the last block."""
        self._pixels.clear()

    def covers(self, holder: Member, member: Member, block: Block) -> bool:
        """Whether a holder's footprint covers every part of a block that the member's footprint covers."""
        part = member.tile.footprint.intersection(block.bounds)
        return part is not None and holder.tile.footprint.contains(part)

    def equal(self, member: Member, holder: Member, block: Block) -> bool:
        """Whether a holder has a member's pixels of a block in every band, where the member's footprint covers it."""
        key = (member.prefix, holder.prefix, block)
        if key not in self._known:
            whole = all(one.tile.footprint.contains(block.bounds) for one in (member, holder))
            self._known[key] = (
                self._same_digests(member, holder, block) if whole else self._same_pixels(member, holder, block)
            )
        return self._known[key]

    def _same_digests(self, member: Member, holder: Member, block: Block) -> bool:
        mine, theirs = self._product(member).record.bands, self._product(holder).record.bands
        return mine.keys() == theirs.keys() and all(
            band.blocks[block].digest == theirs[name].blocks[block].digest for name, band in mine.items()
        )

    def _same_pixels(self, member: Member, holder: Member, block: Block) -> bool:
        part = member.tile.footprint.intersection(block.bounds)
        mine, theirs = self._read(member, block), self._read(holder, block)
        if part is None or mine.keys() != theirs.keys():
            return False
        return all(
            np.array_equal(_crop(mine[name], name, block, part), _crop(theirs[name], name, block, part))
            for name in mine
        )

    def _product(self, member: Member) -> Product:
        if member.prefix not in self._products:
            self._products[member.prefix] = self.archive.product(member.product)
        return self._products[member.prefix]

    def _read(self, member: Member, block: Block) -> dict[str, NDArray[np.uint16]]:
        """Read all bands of a block from whoever holds it for a member."""
        name = member.holder(block) or member.product
        holder = member if name == member.product or self._ledger is None else self._ledger.members[name]
        key = (holder.prefix, block)
        if key not in self._pixels:
            self.pixel_blocks += 1
            row, column = holder.tile.hull.position(block)
            self._pixels[key] = {
                name: self._decoded(f"products/{holder.prefix}/{block_key(BAND[name].path, row, column)}", name)
                for name in self._product(holder).record.bands
            }
        return self._pixels[key]

    def _decoded(self, key: str, band: str) -> NDArray[np.uint16]:
        store = self.archive.store
        try:
            return decode_block(store.get(key), BAND[band].block_pixels, self.archive.profile)
        except ValueError as error:
            raise DigestMismatchError(f"{store.url}/{key}: {error}") from error


def _crop(pixels: NDArray[np.uint16], band: str, block: Block, part: Bounds) -> NDArray[np.uint16]:
    return pixels[block.bounds.slices(part, BAND[band].resolution)]
