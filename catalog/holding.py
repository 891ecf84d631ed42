"""What a product holds, as its item says it: a copy of the ledger at some revision."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pystac

from abut.product import NEIGHBOUR
from abut.tiling import tile
from catalog.bitmap import Position, pack, unpack
from catalog.geometry import bbox_of, ground_of_blocks

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """What the ledger of one revision says about one product."""

    revision: int
    """Revision of the ledger; 0 before the product is in it."""
    held: frozenset[Position]
    """Row and column, in the hull, of the blocks whose objects are the product's own."""
    holders: Mapping[Position, str]
    """Of each released block, the id of the product that holds it."""
    withdrawn: bool
    """Whether the product is hidden from search and views."""
    updated: datetime
    """When the ledger got this revision, UTC."""


def timestamp(moment: datetime) -> str:
    """Return a time as STAC writes it: RFC 3339 in UTC, microseconds where there are any.

    Raises
    ------
    ValueError
        If the time has no time zone.
    """
    if moment.tzinfo is None:
        raise ValueError(f"time {moment.isoformat()} has no time zone")
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def with_holding(item: pystac.Item | Mapping[str, Any], holding: Holding) -> dict[str, Any]:
    """Return a copy of an item that says what a ledger says.

    Geometry, bounding box, bitmaps, revision, links to neighbours, withdrawal and time of update follow the ledger;
    everything else stays. An older revision than the item's own changes nothing. A product that holds nothing has no
    geometry.

    Parameters
    ----------
    item : pystac.Item or mapping
        Item of the product; is not changed.
    holding : Holding
        What the ledger says.

    Returns
    -------
    dict
        The new item.

    Raises
    ------
    ValueError
        If the ledger names a block that was empty at ingest, or one both held and released.
    """
    new = _as_dict(item)
    properties = new["properties"]
    if holding.revision < properties.get("abut:revision", 0):
        return new
    blocks = properties["abut:blocks"]
    shape = (blocks["shape"][0], blocks["shape"][1])
    _check(new["id"], holding, unpack(blocks["valid"], shape))
    blocks["held"] = pack(holding.held, shape)
    properties["abut:revision"] = holding.revision
    properties["abut:withdrawn"] = holding.withdrawn
    properties["updated"] = timestamp(holding.updated)
    others = [link for link in new["links"] if link["rel"] != NEIGHBOUR]
    new["links"] = others + _neighbours(holding, shape)
    _place(new, holding)
    return new


def holding_of(item: pystac.Item | Mapping[str, Any]) -> Holding:
    """Return what an item says that its product holds: the inverse of `with_holding`."""
    record = _as_dict(item)
    properties = record["properties"]
    shape = (properties["abut:blocks"]["shape"][0], properties["abut:blocks"]["shape"][1])
    links = [link for link in record["links"] if link["rel"] == NEIGHBOUR]
    holders = {position: link["abut:product"] for link in links for position in unpack(link["abut:held"], shape)}
    return Holding(
        revision=properties["abut:revision"],
        held=unpack(properties["abut:blocks"]["held"], shape),
        holders=holders,
        withdrawn=properties["abut:withdrawn"],
        updated=datetime.fromisoformat(properties["updated"]),
    )


def valid_of(item: pystac.Item | Mapping[str, Any]) -> frozenset[Position]:
    """Return the blocks of the hull that had data at ingest, whoever holds them now."""
    blocks = _as_dict(item)["properties"]["abut:blocks"]
    return unpack(blocks["valid"], (blocks["shape"][0], blocks["shape"][1]))


def _as_dict(item: pystac.Item | Mapping[str, Any]) -> dict[str, Any]:
    if isinstance(item, pystac.Item):
        item = item.to_dict(include_self_link=False, transform_hrefs=False)
    return copy.deepcopy(dict(item))


def _check(product: str, holding: Holding, valid: frozenset[Position]) -> None:
    released = frozenset(holding.holders)
    if both := sorted(holding.held & released):
        raise ValueError(f"{product}: blocks both held and released: {both}")
    if empty := sorted((holding.held | released) - valid):
        raise ValueError(f"{product}: blocks held or released that were empty at ingest: {empty}")


def _neighbours(holding: Holding, shape: tuple[int, int]) -> list[dict[str, Any]]:
    """Links to the holders of released blocks, by id, each with the bitmap of what it holds of this hull."""
    return [
        {
            "rel": NEIGHBOUR,
            "href": f"./{holder}.json",
            "type": "application/geo+json",
            "title": "Holds blocks of this footprint",
            "abut:product": holder,
            "abut:held": pack((position for position, name in holding.holders.items() if name == holder), shape),
        }
        for holder in sorted(set(holding.holders.values()))
    ]


def _place(item: dict[str, Any], holding: Holding) -> None:
    """Set geometry and bounding box to the ground of the held blocks."""
    geometry = ground_of_blocks(tile(item["properties"]["grid:code"]), holding.held)
    item["geometry"] = geometry
    item.pop("bbox", None)
    if geometry is not None:
        item["bbox"] = bbox_of(geometry)
