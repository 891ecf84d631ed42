"""Extents of collections, gathered from their items."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(slots=True)
class Extent:
    """Extent of the items seen so far."""

    west: float = 180.0
    south: float = 90.0
    east: float = -180.0
    north: float = -90.0
    first: str = ""
    last: str = ""
    count: int = 0

    def add(self, item: Mapping[str, Any]) -> None:
        """Take in an item; one whose box crosses 180 degrees makes the collection's reach around the globe."""
        self.count += 1
        properties = item["properties"]
        start = properties.get("datetime") or properties.get("start_datetime") or ""
        stop = properties.get("datetime") or properties.get("end_datetime") or ""
        self.first = min(filter(None, (self.first, start)), default="")
        self.last = max(self.last, stop)
        box = item.get("bbox")
        if not box:
            return
        west, south, east, north = box if len(box) == 4 else (*box[:2], *box[3:5])
        if east < west:
            west, east = -180.0, 180.0
        self.west, self.south = min(self.west, west), min(self.south, south)
        self.east, self.north = max(self.east, east), max(self.north, north)

    def apply(self, collection: dict[str, Any]) -> None:
        """Write it into a collection, if there was anything to see."""
        if self.west <= self.east:
            collection["extent"]["spatial"] = {"bbox": [[self.west, self.south, self.east, self.north]]}
        if self.first:
            collection["extent"]["temporal"] = {"interval": [[self.first, self.last]]}
