"""Aggregations and extents of the embedded catalogue are those of a plain count."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from shapely.geometry import shape

from catalog.aggregation import AGGREGATIONS, CLOUD_BINS
from catalog.literals import timestamp
from catalog.search import Search
from catalog.sqlite import Catalogue, open_catalogue
from catalog.totals import aggregate, extent
from tests.catalog_scene import COLLECTION, L1C, PLOTS, SCENE, found, times_of
from tests.test_catalog_pages import TOLD, searches

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAMES = [one.name for one in AGGREGATIONS]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalogue]:
    with open_catalogue(tmp_path_factory.mktemp("totals") / "catalog.sqlite") as opened:
        opened.put_collection(COLLECTION)
        opened.upsert_many(SCENE)
        yield opened


def expected(items: list[dict[str, Any]]) -> dict[str, Any]:
    """Values, or keys and counts, by name."""
    starts = [times_of(one)[0] for one in items]
    clouds = [one["properties"].get("eo:cloud_cover") for one in items]

    def counts(name: str) -> dict[str, int]:
        known = (one["properties"].get(name) for one in items)
        return dict(Counter(str(value) for value in known if value is not None))

    return {
        "total_count": len(items),
        "datetime_min": timestamp(min(starts)) if items else None,
        "datetime_max": timestamp(max(starts)) if items else None,
        "datetime_frequency": dict(Counter(f"{start:%Y-%m}-01T00:00:00Z" for start in starts)),
        "grid_code_frequency": counts("grid:code"),
        "cloud_cover_frequency": {
            str(low): sum(cloud is not None and low <= cloud < high for cloud in clouds)
            for low, high in zip(CLOUD_BINS, (*CLOUD_BINS[1:], 101), strict=True)
        },
        "datatake_frequency": counts("s2:datatake_id"),
        "platform_frequency": counts("platform"),
        "relative_orbit_frequency": counts("sat:relative_orbit"),
        "baseline_frequency": counts("processing:version"),
    }


def plain(answer: dict[str, Any]) -> Any:
    if "buckets" not in answer:
        return answer["value"]
    assert answer["overflow"] == 0
    return {bucket["key"]: bucket["frequency"] for bucket in answer["buckets"]}


@settings(deadline=None, max_examples=60)
@given(search=searches)
def test_aggregations_count_what_a_search_finds(filled: Catalogue, search: Search) -> None:
    answers = aggregate(filled.reader, search, NAMES)
    assert [answer["name"] for answer in answers] == NAMES
    assert {answer["name"]: plain(answer) for answer in answers} == expected(found(TOLD, search))


def test_keys_come_by_frequency_and_times_in_order(filled: Catalogue, monkeypatch: pytest.MonkeyPatch) -> None:
    (tiles, months) = aggregate(filled.reader, Search(), ["grid_code_frequency", "datetime_frequency"])
    frequencies = [(-bucket["frequency"], bucket["key"]) for bucket in tiles["buckets"]]
    assert frequencies == sorted(frequencies)
    keys = [bucket["key"] for bucket in months["buckets"]]
    assert keys == sorted(keys)
    monkeypatch.setattr("catalog.totals.MAX_BUCKETS", 3)
    (few,) = aggregate(filled.reader, Search(), ["grid_code_frequency"])
    assert few["buckets"] == tiles["buckets"][:3]
    assert few["overflow"] == sum(bucket["frequency"] for bucket in tiles["buckets"][3:])


def test_aggregation_that_is_unknown_is_refused(filled: Catalogue) -> None:
    with pytest.raises(ValueError, match="aggregation 'sum' is unknown; there are total_count"):
        aggregate(filled.reader, Search(), ["total_count", "sum"])
    assert aggregate(filled.reader, Search(), []) == []


@pytest.mark.parametrize(
    ("boxes", "bbox"),
    [
        ([(8, 41, 11, 43), (-5, 50, -4, 51)], [-5, 41, 11, 51]),
        ([(170, 0, 175, 1), (-175, 2, -170, 3)], [170, 0, -170, 3]),
        ([(179, 0, 180, 1)], [179, 0, 180, 1]),
        ([(-180, 0, -179, 1), (178, 0, 180, 1)], [178, 0, -179, 1]),
        ([(-150, 0, -140, 1), (140, 0, 150, 1)], [140, 0, -140, 1]),
        ([(-80, 0, -70, 1), (70, 0, 80, 1)], [-80, 0, 80, 1]),
        ([(-180, -90, 180, 90)], [-180, -90, 180, 90]),
        ([], [-180, -90, 180, 90]),
    ],
)
def test_extent_has_all_items_and_little_else(
    tmp_path: Path, boxes: list[tuple[float, float, float, float]], bbox: list[float]
) -> None:
    thing = next(one for one in SCENE if one["collection"] == PLOTS)
    moment = {"datetime": "2025-08-01T00:00:00Z", "start_datetime": None}
    with open_catalogue(tmp_path / "c.sqlite") as catalogue:
        catalogue.put_collection(COLLECTION)
        assert extent(catalogue.reader, PLOTS) is None
        for number, (west, south, east, north) in enumerate(boxes):
            ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
            geometry = {"type": "Polygon", "coordinates": [ring]}
            properties = {**thing["properties"], **moment}
            catalogue.upsert({**thing, "id": f"box-{number}", "geometry": geometry, "properties": properties})
        catalogue.upsert({**thing, "geometry": None, "properties": {"datetime": "2025-08-02T00:00:00Z"}})
        made = extent(catalogue.reader, PLOTS)
    assert made is not None
    assert made[0] == bbox
    assert made[1] == ["2025-08-02T00:00:00Z" if not boxes else "2025-08-01T00:00:00Z", "2025-08-02T00:00:00Z"]


def test_extent_leaves_out_what_was_withdrawn(filled: Catalogue) -> None:
    made = extent(filled.reader, L1C)
    visible = found(TOLD, Search(collections=(L1C,)))
    assert made is not None
    _, south, _, north = made[0]
    bounds = [shape(one["geometry"]).bounds for one in visible if one["geometry"] is not None]
    assert (south, north) == (min(one[1] for one in bounds), max(one[3] for one in bounds))
    starts = sorted(times_of(one)[0] for one in visible)
    assert made[1] == [timestamp(starts[0]), timestamp(starts[-1])]
    assert extent(filled.reader, "none") is None


def test_months_end_with_their_last_microsecond(tmp_path: Path) -> None:
    moments = ["2023-08-31T23:59:59.999600Z", "2023-09-01T00:00:00Z", "1969-12-31T23:59:59.500000Z"]
    with open_catalogue(tmp_path / "catalog.sqlite") as opened:
        opened.put_collection(COLLECTION)
        for number, moment in enumerate(moments):
            one = SCENE[0] | {"id": f"moment-{number}"}
            opened.upsert_many([one | {"properties": one["properties"] | {"datetime": moment}}])
        (months,) = aggregate(opened.reader, Search(), ["datetime_frequency"])
    assert plain(months) == {f"{month}-01T00:00:00Z": 1 for month in ("2023-08", "2023-09", "1969-12")}
