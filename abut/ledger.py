"""The ledger of a layer: the one object that says which product holds which block.

A ledger is an immutable value here; `ingest` computes new ones and swaps them in. A block of a product is *empty*
(in neither set), *held*, or *released to* another product of the layer, which holds it with equal pixels. A release
is *dropped* once purge has committed to deleting the objects: from then on it can't be taken back.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from abut.errors import InvalidArchiveError
from abut.tiling import Tile, tile

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from abut.lattice import Block
    from abut.store import Store

FORMAT: Final = 1
"""Version of the ledger's JSON."""


@dataclass(frozen=True, slots=True)
class Release:
    """A block that a product gave up because another product holds it with equal pixels."""

    to: str
    """Id of the product that holds it."""
    since: datetime
    """When it was released, on the store's clock."""
    dropped: bool = False
    """Whether purge has decided to delete the objects, or has deleted them."""


@dataclass(frozen=True, slots=True)
class Member:
    """A product of a layer and the state of its blocks."""

    product: str
    """Product id."""
    prefix: str
    """Folder of its store: ``<id>.<attempt>.zarr``, beside the item."""
    tile: Tile
    """Its tile; a layer has at most one product per tile."""
    held: frozenset[Block]
    """Blocks whose objects it holds."""
    released: Mapping[Block, Release] = field(default_factory=dict)
    """Blocks that another product holds for it."""
    withdrawn: datetime | None = None
    """When it was taken out of search and views, on the store's clock; None if it was not."""
    removed: bool = False
    """Whether purge has decided to delete all its objects (withdrawn, and no live product relies on it)."""

    @property
    def valid(self) -> frozenset[Block]:
        """Blocks that are not empty."""
        return self.held | self.released.keys()

    @property
    def live(self) -> bool:
        """Whether searches and views see it."""
        return self.withdrawn is None and not self.removed

    def holder(self, block: Block) -> str | None:
        """Id of the product that holds a block for this one, or None where it is empty."""
        if block in self.held:
            return self.product
        release = self.released.get(block)
        return release.to if release else None


@dataclass(frozen=True, slots=True)
class Ledger:
    """Who holds what in a layer."""

    layer: str
    """Name of the layer."""
    revision: int
    """Grows by one with every change; 0 before the first."""
    members: Mapping[str, Member]
    """Members by product id."""

    def changed(self, *members: Member, without: str | None = None) -> Ledger:
        """Return the next revision with some members replaced or added, and one left out."""
        merged = {**self.members, **{member.product: member for member in members}}
        if without is not None:
            merged.pop(without, None)
        return replace(self, revision=self.revision + 1, members=merged)

    def of_tile(self, wanted: Tile) -> Member | None:
        """Return the member of a tile, if any."""
        return next((member for member in self.members.values() if member.tile == wanted), None)


def key(layer: str) -> str:
    """Return the key of a layer's ledger in the archive."""
    return f"layers/{layer}.json"


def load(store: Store, layer: str) -> tuple[Ledger, str | None]:
    """Read a layer's ledger, and the version to swap it by (None if there is none yet).

    Raises
    ------
    InvalidArchiveError
        If it can't be understood.
    """
    found = store.read(key(layer))
    if found is None:
        return Ledger(layer, 0, {}), None
    return decode(found.data, f"{store.url}/{key(layer)}"), found.version


def encode(ledger: Ledger) -> bytes:
    """Return a ledger as JSON, the same bytes for the same ledger."""
    return json.dumps(
        {
            "abut:ledger": FORMAT,
            "layer": ledger.layer,
            "revision": ledger.revision,
            "members": [_member_out(ledger.members[name]) for name in sorted(ledger.members)],
        },
        separators=(",", ":"),
    ).encode()


def decode(data: bytes, source: str) -> Ledger:
    """Read a ledger's JSON.

    Raises
    ------
    InvalidArchiveError
        If it can't be understood.
    """
    layer, revision, members = decoded(data, source, _member_in)
    return Ledger(layer, revision, {member.product: member for member in members})


def decoded[M](data: bytes, source: str, member: Callable[[Mapping[str, Any]], M]) -> tuple[str, int, list[M]]:
    """Read a ledger's JSON with members of any kind.

    Parameters
    ----------
    data : bytes
        The JSON.
    source : str
        Where it is from, for messages.
    member : callable
        Makes a member of its entry; a KeyError, ValueError, TypeError or IndexError says that it is none.

    Returns
    -------
    layer : str
        Name of the layer.
    revision : int
        Revision of the ledger.
    members : list
        What `member` made.

    Raises
    ------
    InvalidArchiveError
        If it can't be understood.
    """
    try:
        document = json.loads(data)
        if document["abut:ledger"] != FORMAT:
            raise InvalidArchiveError(f"{source}: ledger format {document['abut:ledger']} is not {FORMAT}")
        return document["layer"], document["revision"], [member(entry) for entry in document["members"]]
    except (KeyError, ValueError, TypeError, IndexError) as error:
        if isinstance(error, InvalidArchiveError):
            raise
        raise InvalidArchiveError(f"{source}: not a ledger ({error})") from error


def _member_out(member: Member) -> dict[str, Any]:
    """Blocks are written as numbers, row by row from the north-west corner of the hull."""
    hull = member.tile.hull
    number = {block: index for index, block in enumerate(hull)}
    groups: dict[Release, list[int]] = {}
    for block, release in member.released.items():
        groups.setdefault(release, []).append(number[block])
    releases = [
        {"to": release.to, "since": release.since.isoformat(), "dropped": release.dropped, "blocks": sorted(blocks)}
        for release, blocks in groups.items()
    ]
    return {
        "product": member.product,
        "prefix": member.prefix,
        "tile": member.tile.id,
        "withdrawn": member.withdrawn.isoformat() if member.withdrawn else None,
        "removed": member.removed,
        "held": sorted(number[block] for block in member.held),
        "released": sorted(releases, key=lambda entry: entry["blocks"]),
    }


def _member_in(entry: Mapping[str, Any]) -> Member:
    where = tile(entry["tile"])
    blocks = list(where.hull)
    released = {
        blocks[number]: Release(group["to"], datetime.fromisoformat(group["since"]), group["dropped"])
        for group in entry["released"]
        for number in group["blocks"]
    }
    return Member(
        product=entry["product"],
        prefix=entry["prefix"],
        tile=where,
        held=frozenset(blocks[number] for number in entry["held"]),
        released=released,
        withdrawn=datetime.fromisoformat(entry["withdrawn"]) if entry["withdrawn"] else None,
        removed=entry["removed"],
    )
