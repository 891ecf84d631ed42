"""Items of all kinds for the tests of searches, and the slow, obvious way to search them."""

from __future__ import annotations

import itertools
import random
from datetime import UTC, datetime, timedelta
from functools import cmp_to_key
from typing import TYPE_CHECKING, Any

import shapely
from shapely.geometry import shape

from abut.tiling import tile
from catalog.holding import Holding, with_holding
from tests.catalog_products import START, item, whole
from tests.cql2_reference import evaluate

if TYPE_CHECKING:
    from collections.abc import Iterable

    from catalog.search import Search

L1C = "sentinel-2-l1c"
PLOTS = "plots"

COLLECTION = {
    "type": "Collection",
    "stac_version": "1.1.0",
    "id": PLOTS,
    "description": "Things that are no products.",
    "license": "other",
    "extent": {"spatial": {"bbox": [[-180, -90, 180, 90]]}, "temporal": {"interval": [[None, None]]}},
    "links": [],
}

GEOMETRIES: tuple[dict[str, Any] | None, ...] = (
    None,
    {"type": "Point", "coordinates": [9.0, 42.0]},
    {"type": "Point", "coordinates": [180.0, 10.0]},
    {"type": "Point", "coordinates": [-180.0, -90.0]},
    {"type": "LineString", "coordinates": [[8.0, 41.0], [11.0, 43.0]]},
    {"type": "MultiPoint", "coordinates": [[-179.5, 70.0], [179.5, 71.0]]},
    {"type": "Polygon", "coordinates": [[[-180, -90], [180, -90], [180, 90], [-180, 90], [-180, -90]]]},
    {
        "type": "Polygon",
        "coordinates": [
            [[8.0, 41.0], [11.0, 41.0], [11.0, 43.0], [8.0, 43.0], [8.0, 41.0]],
            [[9.0, 41.5], [10.0, 41.5], [10.0, 42.5], [9.0, 42.5], [9.0, 41.5]],
        ],
    },
    {
        "type": "MultiPolygon",
        "coordinates": [
            [[[179, 0], [180, 0], [180, 1], [179, 1], [179, 0]]],
            [[[-180, 0], [-179, 0], [-179, 1], [-180, 1], [-180, 0]]],
        ],
    },
    {
        "type": "GeometryCollection",
        "geometries": [
            {"type": "Point", "coordinates": [-170.0, 0.0]},
            {"type": "LineString", "coordinates": [[170.0, 0.0], [175.0, 5.0]]},
        ],
    },
    {
        "type": "MultiPolygon",
        "coordinates": [
            [[[-120, 30], [-110, 30], [-110, 40], [-120, 40], [-120, 30]]],
            [[[100, 30], [110, 30], [110, 40], [100, 40], [100, 30]]],
        ],
    },
)
"""Ground of the things that are no products."""

_SIZES = (None, 1, 2.5, -3, "2.5", True, [1], 10**17, 0)
_LABELS = ("Écrins", "ecrins", "ÉCRINS", "Straße", "100%", "a_b", "a\\b", "", None, "x*y[z]?")
_TAGS: tuple[Any, ...] = (["a", "b"], ["b"], [], None, ["a", 1, True], "a", ["c", "b", "a"])


def products() -> list[dict[str, Any]]:
    """Products of several tiles, some at 180 degrees, and days; clouds known or not; withdrawn; parts released."""
    chance = random.Random(7)  # noqa: S311 - a fixed sample
    records = []
    places = ["32TNM", "32TMM", "53HNA", "01CCV", "60XWR", "01WCS", "60KXF", "01KAB"]
    for number, (name, day) in enumerate(itertools.product(places, range(5))):
        start = START + timedelta(days=day, microseconds=number)
        cloud = None if number % 7 == 0 else float(chance.randrange(101))
        fresh = item(name, start=start, cloud_percentage=cloud)
        blocks = whole(tile(name))
        held = frozenset(block for block in blocks if chance.random() < 0.4)
        holding = Holding(
            revision=1 + number,
            held=held,
            holders=dict.fromkeys(blocks - held, "S2H"),
            withdrawn=number % 5 == 3,
            updated=start,
        )
        records.append(with_holding(fresh, holding) if number % 3 else fresh)
    return records


def things() -> list[dict[str, Any]]:
    """Items that are no products: any geometry, times that last, properties of any type, ids of products."""
    records = []
    for number, geometry in enumerate(GEOMETRIES * 2):
        start = datetime(2023, 8, 20, tzinfo=UTC) + timedelta(days=number % 9, hours=number)
        stamp = start.isoformat().replace("+00:00", "Z")
        times: dict[str, Any] = {"datetime": stamp}
        if number % 4 == 0:
            stop = start + timedelta(days=number)
            times = {"datetime": None, "start_datetime": stamp, "end_datetime": stop.isoformat()}
        optional = {
            "size": _SIZES[number % len(_SIZES)],
            "label": _LABELS[number % len(_LABELS)],
            "tags": _TAGS[number % len(_TAGS)],
            "eo:cloud_cover": [None, 0, 12.5, 100][number % 4],
            "deprecated": [None, True, False][number % 3],
            "updated": [None, stamp][number % 2],
            "surveyed": [None, stamp, "yesterday"][number % 3],
            "inner": {"depth": number, "name": {"long": "x" * (number % 3)}},
        }
        records.append(
            {
                "type": "Feature",
                "stac_version": "1.1.0",
                "stac_extensions": [],
                "id": f"thing-{number:02d}",
                "collection": PLOTS,
                "geometry": geometry,
                **({} if geometry is None else {"bbox": list(shape(geometry).bounds)}),
                "properties": {**times, **{key: value for key, value in optional.items() if value is not None}},
                "links": [],
                "assets": {"photo": {"href": f"https://h/{number}.jpg"}, "near": {"href": f"./{number}.tif"}},
            }
        )
    twin = {**records[3], "id": products()[0]["id"]}
    return [*records, twin]


SCENE = [*products(), *things()]
"""All items, none twice."""


def found(items: Iterable[dict[str, Any]], search: Search) -> list[dict[str, Any]]:
    """Return all items that match a search, in its order."""
    matching = [one for one in items if matches(one, search)]
    order = [(key.property, key.descending) for key in search.sortby] or [("datetime", True)]
    order += [("id", True), ("collection", True)]

    def compared(one: dict[str, Any], other: dict[str, Any]) -> int:
        return _compared(one, other, order)

    return sorted(matching, key=cmp_to_key(compared))


def matches(record: dict[str, Any], search: Search) -> bool:
    """Whether an item matches a search."""
    start, stop = times_of(record)
    geometry = None if record["geometry"] is None else shape(record["geometry"])
    return all(
        (
            not record["properties"].get("abut:withdrawn"),
            search.collections is None or record["collection"] in search.collections,
            search.ids is None or record["id"] in search.ids,
            search.start is None or stop >= search.start,
            search.stop is None or start <= search.stop,
            search.bbox is None or touches(geometry, search.bbox),
            search.intersects is None or (geometry is not None and geometry.intersects(shape(search.intersects))),
            search.filter is None or evaluate(search.filter, record) is True,
        )
    )


def touches(geometry: Any, bbox: tuple[float, float, float, float]) -> bool:
    """Whether a geometry touches a box that may cross 180 degrees."""
    west, south, east, north = bbox
    parts = [(west, east)] if west <= east else [(west, 180.0), (-180.0, east)]
    return geometry is not None and any(geometry.intersects(shapely.box(w, south, e, north)) for w, e in parts)


def times_of(record: dict[str, Any]) -> tuple[datetime, datetime]:
    """First and last instant of an item."""
    properties = record["properties"]
    ends = [properties.get("start_datetime"), properties.get("end_datetime")]
    start, stop = (datetime.fromisoformat(end or properties["datetime"]) for end in ends)
    return start, stop


def value_of(record: dict[str, Any], name: str) -> Any:
    """What an item is sorted by."""
    if name in {"id", "collection"}:
        return record[name]
    if name == "datetime":
        return times_of(record)[0]
    return record["properties"].get(name)


def _compared(one: dict[str, Any], other: dict[str, Any], order: list[tuple[str, bool]]) -> int:
    for name, descending in order:
        first, second = value_of(one, name), value_of(other, name)
        if first == second:
            continue
        if first is None or second is None:
            return 1 if first is None else -1
        return (1 if first > second else -1) * (-1 if descending else 1)
    return 0
