"""What the catalogues of these tests hold: products all over the globe and the year, and a small foreign collection."""

from __future__ import annotations

import copy
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from abut.tiling import tile
from catalog.collection import make_collection
from catalog.holding import Holding, with_holding
from tests.catalog_products import item, whole

if TYPE_CHECKING:
    from catalog.bitmap import Position

L1C: Final = "sentinel-2-l1c"
OTHER: Final = "field-photos"

TILES: Final = ("32TNM", "32TMM", "32TNN", "31TCJ", "33VXF", "01KAB")
"""The first three are neighbours; the last crosses 180 degrees."""

DAYS: Final = tuple(
    datetime(2023, month, day, 10, 25, 59, 24_000, tzinfo=UTC)
    for month, day in ((6, 4), (6, 24), (7, 4), (8, 3), (8, 23), (9, 12), (10, 2), (12, 31))
)
"""Starts of the datatakes."""

WITHDRAWN: Final = ("31TCJ", DAYS[2])
"""Tile and day of the product that was withdrawn."""

RELEASED: Final = ("32TNM", DAYS[4])
"""Tile and day of the product that released blocks to its neighbours."""

VERSIONS: Final = ("33VXF", DAYS[3])
"""Tile and day of the product that there are three versions of."""


@cache
def collections() -> tuple[dict[str, Any], ...]:
    """Return the collections."""
    made = make_collection().to_dict(include_self_link=False, transform_hrefs=False)
    photos = {
        "type": "Collection",
        "id": OTHER,
        "stac_version": "1.1.0",
        "stac_extensions": [],
        "title": "Photos of the field",
        "description": "Pictures from the ground, for comparison: crops, snow, open water.",
        "keywords": ["in situ", "ground truth"],
        "license": "CC-BY-4.0",
        "extent": {
            "spatial": {"bbox": [[8.0, 45.0, 18.0, 60.0]]},
            "temporal": {"interval": [["2022-01-01T00:00:00Z", None]]},
        },
        "links": [{"rel": "license", "href": "https://creativecommons.org/licenses/by/4.0/"}],
    }
    return made, photos


@cache
def items() -> tuple[dict[str, Any], ...]:
    """Return the items as an archive has them."""
    return (*_products(), *_versions(), *(_photo(number) for number in range(5)))


def copies() -> list[dict[str, Any]]:
    """Return the items, each a copy that may be changed."""
    return [copy.deepcopy(one) for one in items()]


def product_id(tile_id: str, start: datetime, baseline: str = "05.09") -> str:
    """Return the id of a product."""
    return f"S2B_MSIL1C_{start:%Y%m%dT%H%M%S}_N{baseline.replace('.', '')}_R122_T{tile_id}_{start:%Y%m%d}T120234"


def _products() -> list[dict[str, Any]]:
    made = []
    for row, name in enumerate(TILES):
        for column, day in enumerate(DAYS):
            cloud = None if (row, column) == (2, 0) else float((37 * row + 23 * column) % 101)
            changes: dict[str, Any] = {"cloud_percentage": cloud}
            if row % 2:
                changes |= {"spacecraft": "Sentinel-2A", "relative_orbit": 8, "orbit_direction": "ascending"}
            made.append(_held(item(name, start=day, id=product_id(name, day), **changes), name, day))
    return made


def _held(fresh: dict[str, Any], name: str, day: datetime) -> dict[str, Any]:
    blocks = whole(tile(name))
    if (name, day) == RELEASED:
        east, south = _edges(blocks)
        holders = dict.fromkeys(east, product_id("32TNN", day)) | dict.fromkeys(south, product_id("32TMM", day))
        return with_holding(fresh, _holding(blocks - holders.keys(), holders))
    if (name, day) == WITHDRAWN:
        return with_holding(fresh, _holding(blocks, {}, withdrawn=True))
    return fresh


def _edges(blocks: frozenset[Position]) -> tuple[set[Position], set[Position]]:
    """Return the first row and the first column of a hull."""
    first = {position for position in blocks if position[0] == 0}
    return first, {position for position in blocks if position[1] == 0} - first


def _holding(held: frozenset[Position], holders: dict[Position, str], *, withdrawn: bool = False) -> Holding:
    moment = datetime(2024, 1, 1, tzinfo=UTC)
    return Holding(revision=3, held=held, holders=holders, withdrawn=withdrawn, updated=moment)


def _versions() -> list[dict[str, Any]]:
    """Return two later versions of a product."""
    name, day = VERSIONS
    return [
        item(
            name,
            start=day,
            id=product_id(name, day, baseline),
            processing_baseline=baseline,
            spacecraft="Sentinel-2B",
            generation_time=day + timedelta(days=100 * number),
            cloud_percentage=50.0 + number,
        )
        for number, baseline in enumerate(("05.10", "05.11"), start=1)
    ]


def _photo(number: int) -> dict[str, Any]:
    place = [11.0 + number, 46.0 + number]
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "stac_extensions": [],
        "id": f"photo-{number}",
        "collection": OTHER,
        "geometry": {"type": "Point", "coordinates": place},
        "bbox": [*place, *place],
        "properties": {
            "datetime": f"2023-0{number + 1}-15T12:00:00Z",
            "title": f"Photo {number}",
            "crop": ["maize", "wheat"][number % 2],
        },
        "links": [],
        "assets": {"image": {"href": f"https://photos.example.org/{number}.jpg", "type": "image/jpeg"}},
    }
