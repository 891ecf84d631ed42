"""Searches of items: what is found, in what order, and how it is paged through."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from itertools import chain
from typing import TYPE_CHECKING, Any

import pytest
from shapely.geometry import box, shape

from catalog.versions import told
from tests.stac.items import DAYS, L1C, OTHER, RELEASED, TILES, VERSIONS, WITHDRAWN, items, product_id

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.testclient import TestClient

    type Item = dict[str, Any]
    type Test = Callable[[Item], bool]

STOCKHOLM = [17.5, 59.0, 18.9, 59.9]
CUMULUS = {"op": ">", "args": [{"property": "eo:cloud_cover"}, 70]}


def listed() -> list[Item]:
    """All items that can be found, latest first."""
    live = [one for one in items() if not one["properties"].get("abut:withdrawn")]
    return sorted(live, key=lambda one: (moment(one), one["id"]), reverse=True)


def moment(item: Item) -> datetime:
    return datetime.fromisoformat(item["properties"]["datetime"])


def expected(test: Test) -> list[str]:
    return [one["id"] for one in listed() if test(one)]


def cloud(item: Item) -> float:
    found = item["properties"].get("eo:cloud_cover")
    return float("nan") if found is None else found


def found(api: TestClient, **parameters: Any) -> list[str]:
    """Ids of a search by GET and by POST, which must be the same."""
    got = api.get("/search", params={"limit": 100} | {name: as_text(value) for name, value in parameters.items()})
    assert got.status_code == 200, got.text
    posted = api.post("/search", json={"limit": 100, **parameters})
    assert posted.status_code == 200, posted.text
    ids = [feature["id"] for feature in got.json()["features"]]
    assert ids == [feature["id"] for feature in posted.json()["features"]]
    assert got.json()["features"] == posted.json()["features"]
    return ids


def as_text(value: Any) -> str:
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return ",".join(("-" if key["direction"] == "desc" else "+") + key["field"] for key in value)
    if isinstance(value, list):
        return ",".join(map(str, value))
    return value if isinstance(value, str) else json.dumps(value)


def test_search_for_nothing_in_particular_finds_all_but_withdrawn_ones_latest_first(api: TestClient) -> None:
    body = api.get("/search", params={"limit": 100}).json()
    assert [feature["id"] for feature in body["features"]] == expected(lambda _: True)
    assert body["numberMatched"] == body["numberReturned"] == len(listed())
    assert product_id(*WITHDRAWN) not in json.dumps(body)


def test_collections(api: TestClient) -> None:
    assert found(api, collections=[OTHER]) == expected(lambda one: one["collection"] == OTHER)
    assert found(api, collections=[OTHER, L1C]) == expected(lambda _: True)
    assert found(api, collections=["nothing"]) == []
    assert found(api, collections=OTHER) == found(api, collections=[OTHER])


def test_ids(api: TestClient) -> None:
    wanted = [product_id("32TNM", DAYS[1]), product_id("31TCJ", DAYS[5]), product_id(*WITHDRAWN), "nothing"]
    assert found(api, ids=wanted) == [wanted[1], wanted[0]]
    assert found(api, ids=["photo-1"], collections=[L1C]) == []
    assert found(api, ids=["photo-1"], bbox=[-10, -10, -9, -9]) == []


@pytest.mark.parametrize(
    "area",
    [
        STOCKHOLM,
        [9.0, 42.0, 9.5, 43.0],
        [-180, -90, 180, 90],
        [170, -30, -170, 0],
        [179.9, -17, 180, -16.5],
        [-179.9, -17, -179.8, -16.5],
        [0, 0, 1, 1],
        [11.0, 46.0, 11.0, 46.0],
    ],
    ids=str,
)
def test_bbox(api: TestClient, area: list[float]) -> None:
    west, south, east, north = area
    parts = [box(*area)] if west <= east else [box(west, south, 180, north), box(-180, south, east, north)]
    inside = expected(lambda one: any(shape(one["geometry"]).intersects(part) for part in parts))
    assert found(api, bbox=area) == inside
    assert found(api, bbox=[west, south, -100, east, north, 9000]) == inside


def test_intersects(api: TestClient) -> None:
    triangle = {"type": "Polygon", "coordinates": [[[8.0, 41.0], [12.0, 41.0], [8.0, 46.0], [8.0, 41.0]]]}
    points = {"type": "MultiPoint", "coordinates": [[18.0, 59.2], [11.0, 46.0]]}
    mixed = {"type": "GeometryCollection", "geometries": [triangle, {"type": "Point", "coordinates": [13.0, 48.0]}]}
    for geometry in (triangle, points, mixed):
        ground = shape(geometry)
        touching = [one["id"] for one in listed() if shape(one["geometry"]).intersects(ground)]
        assert found(api, intersects=geometry) == touching != []


@pytest.mark.parametrize(
    ("text", "test"),
    [
        ("2023-08-03T10:25:59.024Z", lambda at: at == DAYS[3]),
        ("2023-08-03T12:25:59.024+02:00", lambda at: at == DAYS[3]),
        ("2023-08-03t10:25:59.024z", lambda at: at == DAYS[3]),
        ("2023-08-03T10:25:59Z", lambda _: False),
        ("2023-07-01T00:00:00Z/2023-08-03T10:25:59.024Z", lambda at: datetime(2023, 7, 1, tzinfo=UTC) <= at <= DAYS[3]),
        ("2023-09-12T10:25:59.024Z/..", lambda at: at >= DAYS[5]),
        ("../2023-06-04T10:25:59.024Z", lambda at: at <= DAYS[0]),
        ("/2023-06-04T10:25:59.024Z", lambda at: at <= DAYS[0]),
        ("2023-12-31T23:59:60Z/..", lambda _: False),
    ],
)
def test_datetime(api: TestClient, text: str, test: Callable[[datetime], bool]) -> None:
    assert found(api, datetime=text) == expected(lambda one: test(moment(one)))


@pytest.mark.parametrize(
    ("text", "test"),
    [
        ("eo:cloud_cover < 30", lambda one: cloud(one) < 30),
        ("properties.eo:cloud_cover < 30", lambda one: cloud(one) < 30),
        ("eo:cloud_cover IS NULL", lambda one: one["properties"].get("eo:cloud_cover") is None),
        ("eo:cloud_cover BETWEEN 20 AND 40", lambda one: 20 <= cloud(one) <= 40),
        ("\"grid:code\" = 'MGRS-32TNM'", lambda one: one["properties"].get("grid:code") == "MGRS-32TNM"),
        (
            "\"grid:code\" IN ('MGRS-32TNM', 'MGRS-01KAB') AND NOT eo:cloud_cover > 50",
            lambda one: one["properties"].get("grid:code") in {"MGRS-32TNM", "MGRS-01KAB"} and cloud(one) <= 50,
        ),
        (
            "id LIKE '%T31TCJ%' OR collection = 'field-photos'",
            lambda one: "T31TCJ" in one["id"] or one["collection"] == OTHER,
        ),
        ("crop = 'maize'", lambda one: one["properties"].get("crop") == "maize"),
        ("datetime > TIMESTAMP('2023-10-01T00:00:00Z')", lambda one: moment(one) > datetime(2023, 10, 1, tzinfo=UTC)),
        ("S_INTERSECTS(geometry, POINT(18.0 59.2))", lambda one: "T33VXF" in one["id"]),
        (
            "deprecated = true",
            lambda one: one["id"] in {product_id(*VERSIONS), product_id(*VERSIONS, baseline="05.10")},
        ),
        (
            "\"sat:relative_orbit\" = 8 AND platform = 'sentinel-2a'",
            lambda one: one["properties"].get("sat:relative_orbit") == 8,
        ),
    ],
)
def test_filter_as_text_and_as_json(api: TestClient, text: str, test: Test) -> None:
    import cql2  # noqa: PLC0415 - only here

    wanted = expected(test)
    assert wanted
    as_json = json.loads(json.dumps(cql2.parse_text(text).to_json()))
    for language, value in (("cql2-text", text), ("cql2-json", as_json)):
        assert found(api, filter=value, **{"filter-lang": language}) == wanted
    assert found(api, filter=text) == found(api, filter=as_json) == wanted
    path = f"/collections/{L1C}/items"
    own = [item["id"] for item in api.get(path, params={"filter": text, "limit": 100}).json()["features"]]
    assert own == [one for one in wanted if not one.startswith("photo")]


def test_query_and_filter_hold_together(api: TestClient) -> None:
    query = {"eo:cloud_cover": {"lt": 60}, "platform": {"eq": "sentinel-2b"}}
    wanted = expected(lambda one: cloud(one) < 60 and one["properties"].get("platform") == "sentinel-2b")
    assert found(api, query=query) == wanted
    assert found(api, query=query, filter="eo:cloud_cover > 30") == [
        one["id"] for one in listed() if one["id"] in wanted and cloud(one) > 30
    ]
    assert found(api, query={"grid:code": {"in": ["MGRS-31TCJ"]}, "s2:datatake_id": {"startsWith": "GS2B_202312"}}) == [
        product_id("31TCJ", DAYS[7])
    ]


def test_sortby_puts_what_lacks_the_property_last(api: TestClient) -> None:
    keys = [{"field": "properties.eo:cloud_cover", "direction": "asc"}, {"field": "datetime", "direction": "desc"}]
    ids = found(api, sortby=keys)
    by_id = {one["id"]: one for one in listed()}
    clouds = [by_id[name]["properties"].get("eo:cloud_cover") for name in ids]
    known = [value for value in clouds if value is not None]
    assert known == sorted(known)
    assert clouds[len(known) :] == [None] * 6
    keys[0]["direction"] = "desc"
    down = found(api, sortby=keys)
    assert [by_id[name]["properties"].get("eo:cloud_cover") for name in down] == [*reversed(known), *[None] * 6]
    assert found(api, sortby=[{"field": "id", "direction": "asc"}]) == sorted(by_id)


def test_sortby_takes_a_plus_that_became_a_space(api: TestClient) -> None:
    plain = api.get("/search?sortby=id&limit=5").json()["features"]
    assert api.get("/search?sortby=+id&limit=5").json()["features"] == plain
    assert api.get("/search?sortby=%2Bid&limit=5").json()["features"] == plain


def test_fields_choose_what_is_returned(api: TestClient) -> None:
    one = {"ids": [product_id("32TNM", DAYS[0])]}
    (few,) = api.post("/search", json={**one, "fields": {"include": ["properties.eo:cloud_cover"]}}).json()["features"]
    assert few["properties"] == {"eo:cloud_cover": 0.0}
    assert {"geometry", "links", "assets"}.isdisjoint(few)
    answer = api.get("/search", params={"ids": one["ids"][0], "fields": "-assets,-links"})
    assert answer.headers["content-type"] == "application/geo+json"
    (rest,) = answer.json()["features"]
    assert {"assets", "links"}.isdisjoint(rest)
    assert rest["geometry"]
    whole = api.get("/search", params={"ids": one["ids"][0], "fields": ""}).json()["features"]
    assert whole == api.get("/search", params={"ids": one["ids"][0]}).json()["features"]


@pytest.mark.parametrize(
    "parameters", [{}, {"filter": CUMULUS}, {"sortby": [{"field": "eo:cloud_cover", "direction": "asc"}]}]
)
def test_paging_forth_and_back_by_get_and_post_shows_every_item_once(
    api: TestClient, parameters: dict[str, Any]
) -> None:
    everything = found(api, **parameters)
    for body in (None, {"limit": 7, **parameters}):
        if body is None:
            texts = {name: as_text(value) for name, value in parameters.items()}
            page = api.get("/search", params={"limit": 7, **texts}).json()
        else:
            page = api.post("/search", json=body).json()
        seen = [page]
        while following := next((link for link in page["links"] if link["rel"] == "next"), None):
            page = follow(api, following)
            seen.append(page)
        pages = [[feature["id"] for feature in one["features"]] for one in seen]
        assert list(chain(*pages)) == everything
        assert seen[0]["numberMatched"] == len(everything)
        assert all(len(one) == 7 for one in pages[:-1])
        for number in range(len(seen) - 2, -1, -1):
            (back,) = [link for link in page["links"] if link["rel"] == "prev"]
            page = follow(api, back)
            assert [feature["id"] for feature in page["features"]] == pages[number]
        assert not [link for link in page["links"] if link["rel"] == "prev"]


def follow(api: TestClient, link: dict[str, Any]) -> dict[str, Any]:
    if link["method"] == "GET":
        answer = api.get(link["href"])
    else:
        assert link["merge"] is False
        answer = api.post(link["href"], json=link["body"])
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def test_items_of_a_collection_are_paged_through_with_all_parameters(api: TestClient) -> None:
    page = api.get(f"/collections/{L1C}/items", params={"limit": 4, "bbox": "9,42,9.5,43", "fields": "id"}).json()
    ids = [feature["id"] for feature in page["features"]]
    assert len(ids) == 4
    while following := [link for link in page["links"] if link["rel"] == "next"]:
        page = follow(api, following[0])
        assert all("geometry" not in feature for feature in page["features"])
        ids += [feature["id"] for feature in page["features"]]
    assert ids == found(api, bbox=[9, 42, 9.5, 43], collections=[L1C])


def test_latest_leaves_superseded_products_out_and_nothing_else(api: TestClient) -> None:
    gone = {product_id(*VERSIONS), product_id(*VERSIONS, baseline="05.10")}
    assert found(api, latest=True) == expected(lambda one: one["id"] not in gone)
    only = f"/collections/{L1C}/items?latest=true&limit=100&filter=%22grid:code%22='MGRS-33VXF'"
    assert len(api.get(only).json()["features"]) == len(DAYS)


def test_complete_adds_the_holders_of_released_blocks(api: TestClient) -> None:
    name, day = RELEASED
    holders = sorted([product_id("32TMM", day), product_id("32TNN", day)])
    wanted = {"filter": f"\"grid:code\" = 'MGRS-{name}'", "datetime": "2023-08-23T00:00:00Z/2023-08-24T00:00:00Z"}
    alone = api.get("/search", params=wanted).json()
    assert "abut:completed" not in alone
    for answer in (
        api.get("/search", params={**wanted, "complete": "true"}),
        api.post("/search", json={**wanted, "complete": True}),
        api.get(f"/collections/{L1C}/items", params={**wanted, "complete": "true"}),
    ):
        body = answer.json()
        assert [feature["id"] for feature in body["features"]][:1] == [product_id(name, day)]
        assert sorted(feature["id"] for feature in body["features"][1:]) == holders
        assert sorted(body["abut:completed"]) == holders
        assert (body["numberMatched"], body["numberReturned"]) == (1, 3)
        assert "abut:missing" not in body
    few = api.get("/search", params={**wanted, "complete": "true", "fields": "properties.grid:code"}).json()
    assert sorted(feature["properties"]["grid:code"] for feature in few["features"]) == [
        "MGRS-32TMM",
        "MGRS-32TNM",
        "MGRS-32TNN",
    ]
    assert all("links" not in feature for feature in few["features"])


def test_complete_adds_nothing_twice(api: TestClient) -> None:
    ids = [product_id(name, RELEASED[1]) for name in ("32TNM", "32TNN")]
    body = api.post("/search", json={"ids": ids, "complete": True}).json()
    assert body["abut:completed"] == [product_id("32TMM", RELEASED[1])]
    assert len(body["features"]) == 3
    lone = api.post("/search", json={"ids": ["photo-1"], "complete": True}).json()
    assert lone["abut:completed"] == []


def test_limits_beyond_the_largest_are_lowered(api: TestClient) -> None:
    assert len(api.get("/search?limit=1000000000000000000000").json()["features"]) == len(listed())
    assert len(api.get("/search").json()["features"]) == 10
    assert len(api.post("/search", json={}).json()["features"]) == 10


def test_empty_lists_and_values_ask_for_nothing(api: TestClient) -> None:
    everything = expected(lambda _: True)
    assert found(api, ids=[], collections=[]) == everything
    answer = api.get(
        "/search?bbox=&datetime=&ids=&collections=&filter=&query=&sortby=&fields=&token=&intersects=&limit=100"
    )
    assert [feature["id"] for feature in answer.json()["features"]] == everything
    nulls = dict.fromkeys(("bbox", "datetime", "ids", "collections", "filter", "query", "sortby", "token"))
    assert len(api.post("/search", json={**nulls, "limit": 100}).json()["features"]) == len(everything)


def test_items_are_as_the_plain_rules_make_them(api: TestClient) -> None:
    """Served items are the stored ones, told of their versions, with links and hrefs for this client."""
    from catalog.places import served  # noqa: PLC0415 - only here
    from catalog.versions import family  # noqa: PLC0415

    groups: dict[str, list[Item]] = {}
    for one in items():
        groups.setdefault(family(one) or one["id"], []).append(one)
    stored = [one for group in groups.values() for one in (told(group) if family(group[0]) else group)]
    base = str(api.base_url).rstrip("/")
    from tests.stac.serving import places_at  # noqa: PLC0415

    plain = {one["id"]: served(one, places_at(base)) for one in stored}
    for feature in api.get("/search?limit=100").json()["features"]:
        assert feature == plain[feature["id"]]
    assert set(TILES) == {name.split("_")[5][1:] for name in plain if name.startswith("S2")}
