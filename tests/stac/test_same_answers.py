"""Clients can't notice which database answers: the same requests get the same answers from both."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.stac.items import DAYS, L1C, OTHER, RELEASED, VERSIONS, WITHDRAWN, product_id

if TYPE_CHECKING:
    from starlette.testclient import TestClient

ITEM = f"/collections/{L1C}/items/{product_id('32TNM', DAYS[0])}"
TRIANGLE = {"type": "Polygon", "coordinates": [[[8.0, 41.0], [12.0, 41.0], [8.0, 46.0], [8.0, 41.0]]]}
HOLE = {
    "type": "Polygon",
    "coordinates": [
        [[-179.0, -80.0], [179.0, -80.0], [179.0, 80.0], [-179.0, 80.0], [-179.0, -80.0]],
        [[0.0, 40.0], [0.0, 50.0], [12.0, 50.0], [12.0, 40.0], [0.0, 40.0]],
    ],
}

PATHS = [
    *("/", "/conformance", "/collections", f"/collections/{L1C}", f"/collections/{OTHER}", "/collections/nothing"),
    *("/queryables", f"/collections/{OTHER}/queryables", "/sortables", "/aggregations", "/api"),
    *(ITEM, f"/collections/{L1C}/items/nothing", f"/collections/{L1C}/items/{product_id(*WITHDRAWN)}"),
    *(f"/collections/{L1C}/items/{product_id(*RELEASED)}", f"/collections/{L1C}/items/{product_id(*VERSIONS)}"),
    *(f"/collections/{OTHER}/items", f"/collections/{OTHER}/items?limit=2", f"/collections/{L1C}/items?limit=100"),
    *("/search", "/search?f=ndjson", "/search?limit=100", "/search?latest=true&limit=100", "/search?limit=1&fields=id"),
    *("/search?sortby=id&limit=100", "/search?sortby=-id&limit=100", "/search?sortby=eo:cloud_cover,id&limit=100"),
    *("/search?sortby=-eo:cloud_cover&limit=100", "/search?sortby=platform,-datetime&limit=100"),
    *("/search?sortby=crop,-collection,id&limit=100", "/search?sortby=-s2:datatake_id,grid:code&limit=100"),
    *("/search?sortby=updated,-created&limit=100", "/search?sortby=nothing&limit=100", "/search?sortby=gsd&limit=100"),
    *("/search?fields=-properties", "/search?fields=properties,-properties.datetime", "/search?fields=assets.B02.href"),
    *("/search?fields=-assets.B02,-links", "/search?fields=geometry,bbox,-id", "/search?fields=properties.nothing"),
    *("/search?bbox=9,42,9.5,43&limit=100", "/search?bbox=170,-30,-170,0", "/search?bbox=-180,-90,180,90&limit=100"),
    *(
        "/search?bbox=180,-17,180,-16.5",
        "/search?bbox=11,46,11,46",
        "/search?bbox=0,0,0,0",
        "/search?bbox=11,46,0,12,47,9",
    ),
    *("/search?datetime=2023-08-03T10:25:59.024Z", "/search?datetime=../2023-08-03T10:25:59Z&limit=100"),
    *("/search?datetime=2023-08-03T10:25:59.0240001Z", "/search?datetime=2023-08-03T12:25:59.024%2B02:00/.."),
    *("/aggregate", "/aggregate?latest=true", f"/aggregate?collections={OTHER}", f"/collections/{OTHER}/aggregate"),
    *(
        "/aggregate?ids=nothing",
        "/aggregate?bbox=9,42,9.5,43",
        "/aggregate?aggregations=total_count,datetime_frequency",
    ),
]

FILTERS = [
    "eo:cloud_cover < 20",
    "eo:cloud_cover <> 20",
    "NOT eo:cloud_cover < 20",
    "eo:cloud_cover = 37.0",
    "eo:cloud_cover IS NULL",
    "eo:cloud_cover IS NOT NULL AND collection = 'sentinel-2-l1c'",
    "NOT (eo:cloud_cover < 20 OR eo:cloud_cover > 80)",
    "eo:cloud_cover BETWEEN 20 AND 40",
    "eo:cloud_cover NOT BETWEEN 20 AND 40",
    "eo:cloud_cover + 10 > 2 * 40",
    "eo:cloud_cover IN (0, 37, 74)",
    "platform NOT IN ('sentinel-2a')",
    "platform LIKE 'sentinel-2_'",
    "platform LIKE 'SENTINEL%'",
    "id LIKE '%\\_T32TN_\\_%'",
    "title LIKE 'Photo%' AND crop <> 'wheat'",
    "crop > 'n'",
    "\"grid:code\" >= 'MGRS-32'",
    '"sat:relative_orbit" = 8',
    "\"sat:orbit_state\" = 'descending' AND \"processing:version\" > '05.09'",
    "deprecated = true",
    "deprecated = false AND gsd = 10",
    "deprecated IS NULL",
    "datetime < TIMESTAMP('2023-07-04T10:25:59.024Z')",
    "T_AFTER(datetime, TIMESTAMP('2023-10-01T00:00:00Z'))",
    "T_DURING(datetime, INTERVAL('2023-06-01T00:00:00Z', '2023-07-31T23:59:59Z'))",
    "T_INTERSECTS(datetime, INTERVAL('2023-06-01', '2023-06-30'))",
    "S_INTERSECTS(geometry, POLYGON((8 41, 12 41, 8 46, 8 41)))",
    "S_INTERSECTS(geometry, BBOX(9, 42, 9.5, 43))",
    "S_WITHIN(geometry, POLYGON((5 40, 20 40, 20 65, 5 65, 5 40)))",
    "S_DISJOINT(geometry, POLYGON((5 40, 20 40, 20 65, 5 65, 5 40)))",
    "A_CONTAINS(instruments, ('msi'))",
    "\"s2:datatake_id\" LIKE 'GS2B_202308%'",
    '"view:sun_elevation" > 48.7 AND "s2:nodata_pixel_percentage" < 1',
    "created > TIMESTAMP('2023-08-01T00:00:00Z')",
    "nothing = 5",
    "nothing IS NULL AND collection = 'field-photos'",
    "id = collection",
    "created > updated",
    '"sat:relative_orbit" < eo:cloud_cover',
    "CASEI(platform) = CASEI('SENTINEL-2A')",
    "CASEI(title) LIKE CASEI('PHOTO%')",
    "ACCENTI(title) = ACCENTI('Phóto 1')",
    "(eo:cloud_cover - 3) / 2 < 20 AND gsd * 2 = 20",
    "eo:cloud_cover % 2 = 1",
    "eo:cloud_cover ^ 2 > 400",
    "gsd DIV 3 = 3",
    *(f"S_{name}(geometry, POLYGON((5 40, 20 40, 20 65, 5 65, 5 40)))" for name in ("CONTAINS", "OVERLAPS", "TOUCHES")),
    "S_CONTAINS(geometry, POINT(9.5 42.0))",
    "S_EQUALS(geometry, POINT(12 47))",
    "S_CROSSES(geometry, LINESTRING(9.5 41, 9.5 45))",
    "S_INTERSECTS(geometry, MULTIPOINT((12 47), (9.5 42.0)))",
    "S_INTERSECTS(geometry, GEOMETRYCOLLECTION(POINT(12 47), LINESTRING(179.9 -18, 179.9 -16)))",
    *(
        f"T_{name}(datetime, INTERVAL('2023-06-04T10:25:59.024Z', '2023-08-03T10:25:59.024Z'))"
        for name in (
            *("AFTER", "BEFORE", "CONTAINS", "DISJOINT", "DURING", "EQUALS", "FINISHEDBY", "FINISHES", "INTERSECTS"),
            *("MEETS", "METBY", "OVERLAPPEDBY", "OVERLAPS", "STARTEDBY", "STARTS"),
        )
    ),
    *(f"A_{name}(instruments, ('msi'))" for name in ("EQUALS", "CONTAINEDBY", "OVERLAPS")),
    "A_OVERLAPS(instruments, ('sar', 'msi')) AND NOT A_CONTAINS(instruments, ('msi', 'sar'))",
]

BODIES: list[dict[str, Any]] = [
    {},
    {"limit": 3},
    {"ids": [product_id("32TNM", DAYS[0]), product_id(*WITHDRAWN), "photo-1"]},
    {"ids": [product_id(*RELEASED)], "complete": True},
    {"filter": "\"grid:code\" = 'MGRS-32TNM'", "complete": True, "limit": 100, "fields": {"include": ["properties"]}},
    {"intersects": TRIANGLE, "limit": 100},
    {"intersects": HOLE, "limit": 100},
    {"intersects": {"type": "Point", "coordinates": [180.0, -16.8]}},
    {"intersects": {"type": "LineString", "coordinates": [[8.0, 42.3], [18.5, 59.5]]}, "limit": 100},
    {"intersects": {"type": "GeometryCollection", "geometries": [TRIANGLE]}, "collections": [OTHER]},
    {"query": {"eo:cloud_cover": {"gte": 20, "lt": 60}}, "limit": 100},
    {"query": {"platform": {"neq": "sentinel-2a"}, "crop": {"eq": None}}, "limit": 100},
    {"query": {"id": {"contains": "T32T"}, "grid:code": {"endsWith": "M"}}, "limit": 100},
    {"query": {"crop": {"in": ["maize"]}}},
    {"sortby": [{"field": "properties.eo:cloud_cover", "direction": "desc"}], "limit": 100},
    {"bbox": [9, 42, 9.5, 43], "latest": True, "datetime": "2023-07-01T00:00:00Z/..", "limit": 4},
    {"limit": 0},
    {"bbox": [0, 10, 1, -10]},
    {"filter": {"op": "shout", "args": []}},
    {"token": "next:rubbish"},
]


def same(one: Any, other: Any) -> None:
    assert one.status_code == other.status_code
    assert without_tokens(one.content) == without_tokens(other.content)
    assert one.headers["content-type"] == other.headers["content-type"]


def without_tokens(content: bytes) -> Any:
    """The body, but for what is each database's own: the tokens of pages."""
    try:
        body = json.loads(content)
    except ValueError:
        return content
    for link in body.get("links", []):
        if link["rel"] in {"self", "next", "prev"}:
            link["href"] = link["href"].partition("token=")[0]
            link.get("body", {}).pop("token", None)
    return body


@pytest.mark.parametrize("path", PATHS)
def test_both_databases_answer_get_with_the_same(sqlite_api: TestClient, pgstac_api: TestClient, path: str) -> None:
    same(sqlite_api.get(path), pgstac_api.get(path))


@pytest.mark.parametrize("text", FILTERS)
def test_both_databases_understand_a_filter_in_the_same_way(
    sqlite_api: TestClient, pgstac_api: TestClient, text: str
) -> None:
    query = {"filter": text, "limit": "100", "fields": "id"}
    answers = [one.get("/search", params=query) for one in (sqlite_api, pgstac_api)]
    assert answers[0].status_code == 200, answers[0].text
    same(*answers)


@pytest.mark.parametrize("body", BODIES, ids=str)
def test_both_databases_answer_post_with_the_same(
    sqlite_api: TestClient, pgstac_api: TestClient, body: dict[str, Any]
) -> None:
    same(sqlite_api.post("/search", json=body), pgstac_api.post("/search", json=body))


@pytest.mark.parametrize("sortby", ["-datetime", "eo:cloud_cover", "-eo:cloud_cover,id", "crop,-datetime", "platform"])
def test_pages_are_cut_at_the_same_places(sqlite_api: TestClient, pgstac_api: TestClient, sortby: str) -> None:
    answers = [
        one.get("/search", params={"sortby": sortby, "limit": 9, "fields": "id"}) for one in (sqlite_api, pgstac_api)
    ]
    for _ in range(20):
        same(*answers)
        links = [{link["rel"]: link["href"] for link in one.json()["links"]} for one in answers]
        if "next" not in links[0]:
            break
        answers = [one.get(link["next"]) for one, link in zip((sqlite_api, pgstac_api), links, strict=True)]
    else:
        pytest.fail("the pages have no end")
