"""What has no meaning is refused with 400, and a line that names parameter and value; never with a failure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from tests.stac.items import L1C
from tests.stac.serving import client_of, make_app

if TYPE_CHECKING:
    from starlette.testclient import TestClient

    from services.stac.backend import Backend

BOW_TIE = {"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [1, 0], [0, 1], [0, 0]]]}
FAR_AWAY = {"type": "Point", "coordinates": [1000, 2000]}
DEEP: dict[str, Any] = {"op": "not", "args": []}
for _ in range(200):
    DEEP = {"op": "not", "args": [DEEP]}

BOTH_WAYS: list[tuple[dict[str, Any], str]] = [
    ({"bbox": [1, 2, 3]}, "bbox"),
    ({"bbox": [1, 2, 3, 4, 5]}, "bbox"),
    ({"bbox": [0, 10, 1, -10]}, "bbox"),
    ({"bbox": [0, 0, 100, 1, 1, 50]}, "bbox"),
    ({"bbox": [-181, 0, 1, 1]}, "bbox"),
    ({"bbox": [0, -91, 1, 1]}, "bbox"),
    ({"bbox": [0, 0, 1, 91]}, "bbox"),
    ({"datetime": "yesterday"}, "yesterday"),
    ({"datetime": "2023-01-01"}, "2023-01-01"),
    ({"datetime": "2023-01-01T00:00:00"}, "2023-01-01"),
    ({"datetime": "2023-02-30T00:00:00Z"}, "2023-02-30"),
    ({"datetime": "2023-01-01T00:00:00+0100"}, "+0100"),
    ({"datetime": "2023-01-01T00:00:00,5Z"}, ",5Z"),
    ({"datetime": "2024-01-01T00:00:00Z/2023-01-01T00:00:00Z"}, "2023"),
    ({"datetime": "../.."}, ".."),
    ({"datetime": "/"}, "/"),
    ({"datetime": "2023-01-01T00:00:00Z/2023-01-02T00:00:00Z/2023-01-03T00:00:00Z"}, "2023"),
    ({"datetime": "0001-01-01T00:00:00+10:00"}, "0001"),
    ({"datetime": "9999-12-31T23:59:59-10:00"}, "9999"),
    ({"intersects": {"type": "Circle", "coordinates": [0, 0]}}, "Circle"),
    ({"intersects": {"type": "Point"}}, "intersects"),
    ({"intersects": {"type": "Point", "coordinates": []}}, "intersects"),
    ({"intersects": {"type": "Point", "coordinates": ["a", "b"]}}, "intersects"),
    ({"intersects": {"type": "Polygon", "coordinates": [[[0, 0], [1, 1]]]}}, "intersects"),
    ({"intersects": {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 1]]]}}, "closed"),
    ({"intersects": {"type": "GeometryCollection", "geometries": []}}, "intersects"),
    ({"intersects": BOW_TIE}, "Self-intersection"),
    ({"intersects": FAR_AWAY}, "1000"),
    ({"intersects": {"type": "Feature", "geometry": None}}, "intersects"),
    ({"bbox": [0, 0, 1, 1], "intersects": {"type": "Point", "coordinates": [0, 0]}}, "exclude"),
    ({"limit": 0}, "limit"),
    ({"limit": -1}, "limit"),
    ({"token": "next:nothing"}, "nothing"),
    ({"token": "rubbish"}, "rubbish"),
    ({"filter": {"op": "shout", "args": []}}, "shout"),
    ({"filter": {"op": "<", "args": [{"property": "eo:cloud_cover"}]}}, "<"),
    ({"filter": {"op": "<", "args": [{"property": "eo:cloud_cover"}, "many"]}}, "many"),
    ({"filter": {"op": "s_intersects", "args": [{"property": "geometry"}, FAR_AWAY]}}, "1000"),
    ({"filter": DEEP}, "deep"),
    ({"filter": "eo:cloud_cover <"}, "eo:cloud_cover <"),
    ({"filter": "eo:cloud_cover < 10", "filter-lang": "cql2-json"}, "filter"),
    ({"filter": "id = 'a'", "filter-crs": "EPSG:3857"}, "EPSG:3857"),
    ({"filter-lang": "cql-text", "filter": "id = 'a'"}, "filter-lang"),
    ({"query": {"eo:cloud_cover": {"about": 5}}}, "about"),
    ({"query": {"eo:cloud_cover": {}}}, "eo:cloud_cover"),
    ({"aggregations": ["median"]}, "median"),
    ({"unknown": 1}, "unknown"),
    ({"ids": ["a\0b"]}, "u0000"),
]

BY_URL = [
    ("bbox=a,b,c,d", "a,b,c,d"),
    ("bbox=1,2,nan,4", "nan"),
    ("bbox=1,2,inf,4", "inf"),
    ("bbox=1,2,,4", "bbox"),
    ("limit=ten", "ten"),
    ("limit=1.5", "1.5"),
    ("limit=", "limit"),
    ("intersects=rubbish", "rubbish"),
    ("intersects=[1]", "intersects"),
    ("query=rubbish", "rubbish"),
    ("query=[]", "query"),
    ("filter={", "filter"),
    ("sortby=%25", "sortby"),
    ("sortby=geometry", "geometry"),
    ("sortby=-properties", "properties"),
    ("sortby=" + ",".join(f"a{number}" for number in range(9)), "9 keys"),
    ("latest=perhaps", "perhaps"),
    ("complete=perhaps", "perhaps"),
    ("f=xml", "xml"),
    ("cloud=5", "cloud"),
    ("limit=5&limit=6", "more than once"),
    ("ids=a&ids=b", "more than once"),
    ("ids=a%00b", "u0000"),
]

BODIES = [
    ("", "body"),
    ("{", "not JSON"),
    ("[]", "body"),
    ("null", "body"),
    ('"text"', "body"),
    ('{"limit": "10"}', "limit"),
    ('{"limit": 1.5}', "limit"),
    ('{"limit": true}', "limit"),
    ('{"fields": null}', "fields"),
    ('{"ids": [1]}', "ids"),
    ('{"collections": {}}', "collections"),
    ('{"bbox": "0,0,1,1"}', "bbox"),
    ('{"bbox": [true, 0, 1, 1]}', "bbox"),
    ('{"bbox": [NaN, 0, 1, 1]}', ""),
    ('{"bbox": [1e999, 0, 1, 1]}', ""),
    ('{"filter": {"op": "=", "args": [{"property": "a"}, NaN]}}', "JSON"),
    ('{"ids": ["\\ud800"]}', "JSON"),
    ('{"datetime": 5}', "datetime"),
    ('{"intersects": "POINT(0 0)"}', "intersects"),
    ('{"sortby": "id"}', "sortby"),
    ('{"sortby": [{"field": "id", "direction": "up"}]}', "up"),
    ('{"sortby": [{"direction": "asc"}]}', "field"),
    ('{"sortby": [{"field": "bbox"}]}', "bbox"),
    ('{"fields": ["id"]}', "fields"),
    ('{"fields": {"include": "id"}}', "include"),
    ('{"query": {"a": 5}}', "query"),
    ('{"latest": "yes"}', "latest"),
    ('{"token": 5}', "token"),
    ("[" * 100_000, "body"),
]


def refused(answer: Any, said: str) -> None:
    assert answer.status_code == 400, answer.text
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert set(body) == {"code", "description"}
    assert body["code"] == "BadRequest"
    assert said in body["description"], body
    assert "\n" not in body["description"]
    assert len(body["description"]) < 900
    assert "Traceback" not in answer.text


@pytest.mark.parametrize(("parameters", "said"), BOTH_WAYS, ids=str)
def test_what_has_no_meaning_is_refused_by_get_and_post(api: TestClient, parameters: dict[str, Any], said: str) -> None:
    path = "/aggregate" if "aggregations" in parameters else "/search"
    refused(api.post(path, json=parameters), said)
    texts = {
        name: ",".join(map(str, value))
        if isinstance(value, list)
        else value
        if isinstance(value, str)
        else json.dumps(value)
        for name, value in parameters.items()
    }
    refused(api.get(path, params=texts), said)


@pytest.mark.parametrize(("query", "said"), BY_URL)
def test_parameters_that_are_no_such_value_are_refused(api: TestClient, query: str, said: str) -> None:
    refused(api.get(f"/search?{query}"), said)


@pytest.mark.parametrize(("body", "said"), BODIES, ids=range(len(BODIES)))
def test_bodies_that_are_no_search_are_refused(api: TestClient, body: str, said: str) -> None:
    refused(api.post("/search", content=body, headers={"Content-Type": "application/json"}), said)


@pytest.mark.parametrize(
    "path",
    ["/", "/conformance", "/collections/" + L1C, f"/collections/{L1C}/items/any", "/queryables", "/aggregations"],
)
def test_parameters_where_there_are_none_are_refused(api: TestClient, path: str) -> None:
    refused(api.get(f"{path}?bbox=0,0,1,1"), "bbox")


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("limit=0", "limit"),
        ("offset=-1", "offset"),
        ("bbox=0,1,0,0", "bbox"),
        ("datetime=now", "now"),
        ("filter=title <", "title <"),
        ("sortby=*", "*"),
        ("ids=a", "ids"),
    ],
)
def test_searches_of_collections_that_have_no_meaning_are_refused(api: TestClient, query: str, said: str) -> None:
    refused(api.get(f"/collections?{query}"), said)


def test_long_values_are_quoted_only_in_part(api: TestClient) -> None:
    refused(api.get("/search", params={"datetime": "x" * 5000}), "xxx")


def test_body_of_another_type_is_415(api: TestClient) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "application/xml", ""):
        answer = api.post("/search", content='{"limit": 1}', headers={"Content-Type": kind})
        assert answer.status_code == 415, kind
        assert answer.json()["code"] == "UnsupportedMediaType"
    for kind in ("application/json; charset=utf-8", "application/geo+json"):
        assert api.post("/search", content='{"limit": 1}', headers={"Content-Type": kind}).status_code == 200


def test_oversized_bodies_are_413_by_their_announcement_and_while_they_arrive(on_sqlite: Backend) -> None:
    with client_of(make_app(on_sqlite, max_body=1000)) as client:
        large = json.dumps({"ids": ["x" * 1000]}).encode()
        kind = {"Content-Type": "application/json"}
        for content in (large, iter([large[:600], large[600:]])):
            answer = client.post("/search", content=content, headers=kind)
            assert answer.status_code == 413
            assert answer.json()["code"] in {"ContentTooLarge", "RequestEntityTooLarge"}
            assert "1000" in answer.json()["description"]
        lies = client.post("/search", content=iter([large]), headers={**kind, "Content-Length": "5"})
        assert lies.status_code == 413
        assert client.post("/search", content=b'{"limit": 1}', headers=kind).status_code == 200
        assert client.post("/collections/a/aggregate", content=large, headers=kind).status_code == 413


def test_absurdly_long_urls_are_414(api: TestClient) -> None:
    answer = api.get("/search?ids=" + "x" * 40_000)
    assert answer.status_code == 414
    assert "POST" in answer.json()["description"]


def test_a_failing_database_is_503_without_details_and_a_bug_is_500(on_sqlite: Backend) -> None:
    from starlette.testclient import TestClient  # noqa: PLC0415 - only here

    class Broken:
        error: Exception = OSError("password=secret")

        def __getattr__(self, name: str) -> Any:
            return getattr(on_sqlite, name)

        async def search(self, *_: Any) -> Any:
            raise self.error

    broken: Any = Broken()
    with TestClient(make_app(broken), raise_server_exceptions=False) as client:
        answer = client.get("/search")
        assert answer.status_code == 503
        assert "secret" not in answer.text
        assert answer.headers["retry-after"]
        broken.error = RuntimeError("secret")
        answer = client.get("/search")
        assert answer.status_code == 500
        assert answer.json()["code"] == "InternalServerError"
        assert "secret" not in answer.text


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "POST", "TRACE", "SHOUT"])
def test_methods_that_are_none_are_405_and_say_which_there_are(api: TestClient, method: str) -> None:
    answer = api.request(method, f"/collections/{L1C}/items/any")
    assert answer.status_code == 405
    assert answer.json()["code"] == "MethodNotAllowed"
    assert answer.headers["allow"] == "GET, HEAD, OPTIONS"


@pytest.mark.parametrize("text", ["'; DROP TABLE items; --", "%", "_", "\\", "é", "🌍", "a b", "${x}", "{{7*7}}"])
def test_names_with_any_characters_are_names(api: TestClient, text: str) -> None:
    for path in (f"/collections/{quote(text, safe='')}", f"/collections/{L1C}/items/{quote(text, safe='')}"):
        assert api.get(path).status_code == 404
    for parameters in ({"ids": [text]}, {"collections": [text]}, {"query": {"platform": {"eq": text}}}):
        assert api.post("/search", json=parameters).json()["features"] == []
