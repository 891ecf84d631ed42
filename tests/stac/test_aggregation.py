"""Aggregations of searches, counted again the slow way."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from catalog.aggregation import AGGREGATIONS
from tests.stac.items import DAYS, L1C, OTHER
from tests.stac.serving import HOST

if TYPE_CHECKING:
    from starlette.testclient import TestClient


def aggregated(api: TestClient, path: str = "/aggregate", **parameters: Any) -> dict[str, Any]:
    answer = api.get(path, params=parameters)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["type"] == "AggregationCollection"
    return {one["name"]: one for one in body["aggregations"]}


def frequencies(aggregation: dict[str, Any]) -> dict[str, int]:
    return {bucket["key"]: bucket["frequency"] for bucket in aggregation["buckets"]}


def features(api: TestClient, **parameters: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = api.get("/search", params={"limit": 100, **parameters}).json()["features"]
    return found


def test_all_aggregations_there_are_are_named_and_answered(api: TestClient) -> None:
    names = [one.name for one in AGGREGATIONS]
    for path in ("/aggregations", f"/collections/{L1C}/aggregations"):
        for answer in (api.get(path), api.post(path)):
            assert [one["name"] for one in answer.json()["aggregations"]] == names
    assert list(aggregated(api)) == names
    links = {link["rel"]: link["href"] for link in api.get("/aggregate").json()["links"]}
    assert links == {"self": f"{HOST}/aggregate", "root": f"{HOST}/"}


def test_aggregations_count_what_a_search_finds(api: TestClient) -> None:
    for parameters in (
        {},
        {"filter": "eo:cloud_cover < 50"},
        {"bbox": "9,42,9.5,43"},
        {"collections": OTHER},
        {"latest": "true"},
        {"ids": "nothing"},
        {"datetime": "2023-08-01T00:00:00Z/.."},
        {"query": '{"platform":{"eq":"sentinel-2a"}}'},
        {"intersects": '{"type":"Point","coordinates":[18.0,59.2]}'},
    ):
        found = features(api, **parameters)
        made = aggregated(api, **parameters)
        assert made["total_count"]["value"] == len(found)
        for name, key in (
            ("grid_code_frequency", "grid:code"),
            ("platform_frequency", "platform"),
            ("datatake_frequency", "s2:datatake_id"),
            ("relative_orbit_frequency", "sat:relative_orbit"),
            ("baseline_frequency", "processing:version"),
        ):
            values = Counter(str(one["properties"][key]) for one in found if key in one["properties"])
            assert frequencies(made[name]) == values
        months = Counter(one["properties"]["datetime"][:7] for one in found)
        assert frequencies(made["datetime_frequency"]) == {f"{key}-01T00:00:00Z": n for key, n in months.items()}
        known = [one["properties"]["eo:cloud_cover"] for one in found if "eo:cloud_cover" in one["properties"]]
        assert sum(frequencies(made["cloud_cover_frequency"]).values()) == len(known)


def test_months_are_in_order_and_terms_by_frequency(api: TestClient) -> None:
    made = aggregated(api)
    months = list(frequencies(made["datetime_frequency"]))
    assert months == sorted(months)
    counts = list(frequencies(made["grid_code_frequency"]).values())
    assert counts == sorted(counts, reverse=True)
    assert made["datetime_min"]["value"].startswith("2023-01-15")
    assert made["datetime_max"]["value"].startswith(f"{DAYS[7]:%Y-%m-%d}")


def test_aggregations_of_a_collection_are_of_its_items_alone(api: TestClient) -> None:
    path = f"/collections/{OTHER}/aggregate"
    assert aggregated(api, path)["total_count"]["value"] == 5
    filtered = aggregated(api, path, filter="crop = 'maize'", aggregations="total_count")
    assert {name: one["value"] for name, one in filtered.items()} == {"total_count": 3}
    posted = api.post(path, json={"filter": "crop = 'maize'", "aggregations": ["total_count"]}).json()
    assert posted["aggregations"] == list(filtered.values())


def test_post_and_get_agree(api: TestClient) -> None:
    got = api.get("/aggregate", params={"aggregations": "total_count,datetime_max", "bbox": "9,42,9.5,43"}).json()
    body = {"aggregations": ["total_count", "datetime_max"], "bbox": [9, 42, 9.5, 43]}
    posted = api.post("/aggregate", json=body).json()
    assert [one["name"] for one in posted["aggregations"]] == ["total_count", "datetime_max"]
    assert posted["aggregations"] == got["aggregations"]
