"""Requests that no client would send on purpose: each is answered with 2xx or a 4xx that names what is wrong."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.cql2 import MAX_CONDITIONS, MAX_VALUES
from catalog.cql2_operators import ARRAY, COMPARISONS, SPATIAL, TEMPORAL
from tests.stac.fuzzing import as_bytes, fuzzed, leaves, proper, texts, trees
from tests.stac.items import L1C

if TYPE_CHECKING:
    from starlette.testclient import TestClient

PARAMETERS: Final = [
    *("bbox", "datetime", "filter", "filter-lang", "filter-crs", "query", "latest", "ids", "intersects", "collections"),
    *("sortby", "fields", "limit", "token", "complete", "f"),
]

PATHS: Final = [
    "/search",
    f"/collections/{L1C}/items",
    "/collections",
    "/aggregate",
    "/queryables",
    "/api",
    "/register",
]

operators = st.sampled_from(
    [
        *sorted(COMPARISONS | SPATIAL | TEMPORAL.keys() | ARRAY),
        *(
            "and",
            "or",
            "not",
            "like",
            "in",
            "between",
            "isNull",
            "casei",
            "accenti",
            "+",
            "-",
            "*",
            "/",
            "%",
            "^",
            "div",
        ),
    ]
)

nodes = st.recursive(
    leaves
    | st.builds(lambda name: {"property": name}, texts | st.sampled_from(["id", "geometry", "datetime", "gsd", "bbox"]))
    | st.builds(lambda text: {"timestamp": text}, texts)
    | st.builds(lambda text: {"date": text}, texts)
    | st.builds(lambda ends: {"interval": ends}, st.lists(texts, max_size=3))
    | st.builds(lambda numbers: {"bbox": numbers}, st.lists(st.floats(), max_size=7))
    | st.builds(lambda numbers: {"type": "Point", "coordinates": numbers}, st.lists(st.floats(), max_size=4)),
    lambda inner: st.builds(lambda op, args: {"op": op, "args": args}, operators, st.lists(inner, max_size=3)),
    max_leaves=10,
)


def post(api: TestClient, body: bytes, path: str = "/search", kind: str = "application/json") -> int:
    return proper(api.post(path, content=body, headers={"Content-Type": kind}))


@given(path=st.sampled_from(PATHS), query=st.dictionaries(st.sampled_from(PARAMETERS), texts, max_size=4))
@fuzzed
def test_any_text_in_a_url(api: TestClient, path: str, query: dict[str, str]) -> None:
    proper(api.get(path + "?" + "&".join(f"{name}={quote(value, safe='')}" for name, value in query.items())))


@given(query=st.binary(max_size=60).filter(lambda raw: b"#" not in raw))
@fuzzed
def test_any_bytes_in_a_url(api: TestClient, query: bytes) -> None:
    proper(api.get("/search?ids=a&filter=" + "".join(f"%{byte:02X}" for byte in query)))
    proper(api.get("/collections/" + "".join(f"%{byte:02x}" for byte in query)))


@given(parts=st.lists(texts, min_size=1, max_size=3))
@fuzzed
def test_any_path(api: TestClient, parts: list[str]) -> None:
    path = "/".join(quote(part, safe="") for part in parts)
    for place in (f"/collections/{path}", f"/collections/{L1C}/items/{path}", f"/{path}"):
        proper(api.get(place))


@given(body=st.dictionaries(st.sampled_from(PARAMETERS), trees, max_size=3))
@fuzzed
def test_any_values_in_a_body(api: TestClient, body: dict[str, Any]) -> None:
    post(api, as_bytes(body))


@given(name=st.sampled_from(PARAMETERS), value=trees)
@fuzzed
def test_any_value_of_a_member(api: TestClient, name: str, value: Any) -> None:
    post(api, as_bytes({name: value}))
    post(api, as_bytes({name: value}), "/aggregate")


@given(node=nodes)
@fuzzed
def test_any_filter(api: TestClient, node: Any) -> None:
    body = as_bytes({"filter": node, "filter-lang": "cql2-json"})
    post(api, body)
    post(api, body, "/aggregate")


@given(query=st.dictionaries(texts, st.dictionaries(st.sampled_from(["eq", "lt", "in", "contains", "neq"]), trees)))
@fuzzed
def test_any_query(api: TestClient, query: Any) -> None:
    post(api, as_bytes({"query": query}))


@given(
    kind=st.sampled_from(["Point", "MultiPoint", "LineString", "Polygon", "MultiPolygon", "GeometryCollection"]),
    coordinates=st.recursive(st.floats() | st.integers(-200, 200), lambda inner: st.lists(inner, max_size=6)),
)
@fuzzed
def test_any_geometry(api: TestClient, kind: str, coordinates: Any) -> None:
    post(api, as_bytes({"intersects": {"type": kind, "coordinates": coordinates, "geometries": coordinates}}))


@given(body=st.binary(max_size=80))
@fuzzed
def test_any_bytes_as_a_body(api: TestClient, body: bytes) -> None:
    post(api, body)


@given(tail=st.text(max_size=60), place=st.integers(0, 60), letter=st.characters(codec="utf-8"))
@fuzzed
def test_tokens_that_were_changed(api: TestClient, tail: str, place: int, letter: str) -> None:
    links = api.get("/search?limit=1&fields=id").json()["links"]
    (link,) = [one["href"] for one in links if one["rel"] == "next"]
    token = link.partition("token=")[2]
    at = place % len(token)
    for changed in (token[:at] + letter + token[at + 1 :], token[:at], token + tail, tail):
        proper(api.get(f"/search?limit=1&fields=id&token={quote(changed, safe='%')}"))
        post(api, as_bytes({"token": changed, "limit": 1}))


BODIES: Final = {
    "empty": b"",
    "blank": b"   ",
    "not UTF-8": b'{"ids": ["\xff\xfe"]}',
    "cut UTF-8": b'{"ids": ["\xe2\x82"]}',
    "overlong UTF-8": b'{"ids": ["\xc0\x80"]}',
    "surrogate in UTF-8": b'{"ids": ["\xed\xa0\x80"]}',
    "lone surrogate": b'{"ids": ["\\ud800"]}',
    "lone low surrogate": b'{"filter": {"op": "=", "args": [{"property": "id"}, "\\udc00"]}}',
    "surrogate as a name": b'{"query": {"\\ud800": {"eq": 1}}}',
    "UTF-16": '{"limit": 1}'.encode("utf-16"),
    "byte order mark": b'\xef\xbb\xbf{"limit": 1}',
    "NUL": b'{"ids": ["a\\u0000b"]}',
    "raw NUL": b'{"ids": ["a\0b"]}',
    "NUL as a name": b'{"query": {"a\\u0000": {"eq": 1}}}',
    "deep lists": b'{"intersects": ' + b"[" * 50_000 + b"]" * 50_000 + b"}",
    "deep objects": b'{"query": ' + b'{"a":' * 50_000 + b"0" + b"}" * 50_000 + b"}",
    "deep but allowed to Python": b'{"filter": ' + b'{"op":"not","args":[' * 400 + b"true" + b"]}" * 400 + b"}",
    "deep geometries": b'{"intersects": '
    + b'{"type":"GeometryCollection","geometries":[' * 300
    + b'{"type":"Point","coordinates":[0,0]}'
    + b"]}" * 300
    + b"}",
    "deep coordinates": b'{"intersects": {"type": "Polygon", "coordinates": ' + b"[" * 900 + b"]" * 900 + b"}}",
    "many digits": b'{"limit": ' + b"9" * 5_000 + b"}",
    "many decimals": b'{"bbox": [0.' + b"1" * 5_000 + b", 0, 1, 1]}",
    "huge exponent": b'{"bbox": [1e400, 0, 1, 1]}',
    "huge limit": b'{"limit": 99999999999999999999}',
    "huge number in a filter": b'{"filter": {"op": ">", "args": [{"property": "gsd"}, ' + b"9" * 400 + b"]}}",
    "huge integer in a filter": b'{"filter": {"op": ">", "args": [{"property": "gsd"}, 9223372036854775808]}}',
    "huge integer in a query": b'{"query": {"sat:relative_orbit": {"in": [123456789012345678901234567890]}}}',
    "NaN": b'{"query": {"eo:cloud_cover": {"lt": NaN}}}',
    "Infinity": b'{"intersects": {"type": "Point", "coordinates": [Infinity, 0]}}',
    "wrong types": b'{"ids": {"a": 1}, "bbox": {}, "limit": [], "sortby": 5, "fields": 5}',
    "a list": b"[1, 2]",
    "a number": b"5",
    "two documents": b"{}{}",
    "a comma too many": b'{"limit": 1,}',
    "a comment": b'{"limit": 1 /* one */}',
    "very long id": b'{"ids": ["' + b"x" * 500_000 + b'"]}',
    "many ids": json.dumps({"ids": [f"id-{number}" for number in range(40_000)]}).encode(),
    "many names of fields": json.dumps({"fields": {"include": [f"properties.a{n}" for n in range(20_000)]}}).encode(),
    "wide filter": json.dumps({"filter": {"op": "or", "args": [True] * 60_000}}).encode(),
    "many values": json.dumps({"query": {"id": {"in": [f"id-{n}" for n in range(40_000)]}}}).encode(),
    "many properties": json.dumps({"query": {f"a{n}": {"eq": 1} for n in range(5_000)}}).encode(),
    "many corners": json.dumps(
        {"intersects": {"type": "MultiPoint", "coordinates": [[n % 180, n % 90] for n in range(50_000)]}}
    ).encode(),
    "long text of a filter": json.dumps({"filter": "(" * 5_000 + "id = 'a'" + ")" * 5_000}).encode(),
    "many conditions as text": json.dumps({"filter": " OR ".join(f"gsd = {n}" for n in range(5_000))}).encode(),
    "expensive pattern": json.dumps({"filter": "id LIKE '" + "%a" * 2_000 + "%'"}).encode(),
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_bodies_that_have_broken_programs(api: TestClient, body: bytes) -> None:
    for path in ("/search", "/aggregate", f"/collections/{L1C}/aggregate"):
        post(api, body, path)
    good = api.post("/search", json={"limit": 1})
    assert good.status_code == 200
    assert good.json()["numberReturned"] == 1


@pytest.mark.parametrize("name", ["x" * 100_000, "two\nlines", "\n"])
def test_descriptions_are_one_line_however_names_are(api: TestClient, name: str) -> None:
    bodies: list[dict[str, Any]] = [{"query": {name: {}}}, {"query": {name: None}}, {name: 1}]
    for body in (*bodies, {"sortby": [{"field": name}]}):
        assert post(api, as_bytes(body)) == 400
    assert proper(api.get("/search", params={name[:100]: "1"})) == 400


@pytest.mark.parametrize(
    ("body", "said"),
    [(BODIES["not UTF-8"], "0xff"), (BODIES["deep lists"], "recursion"), (BODIES["many digits"], "digit")],
)
def test_what_can_not_be_read_is_told_why(api: TestClient, body: bytes, said: str) -> None:
    answer = api.post("/search", content=body, headers={"Content-Type": "application/json"})
    assert answer.json()["description"].startswith("body: not JSON that can be read (")
    assert said in answer.json()["description"]


def test_of_members_that_come_twice_one_counts_for_all(api: TestClient) -> None:
    """Whichever of two equal names is read: what is checked must be what is done."""
    answer = api.post("/search", content=b'{"limit": 1, "limit": 2}', headers={"Content-Type": "application/json"})
    assert answer.json()["numberReturned"] == 2
    assert post(api, b'{"limit": 5, "limit": 0}') == 400
    assert post(api, b'{"limit": 0, "limit": 5}') == 200
    assert post(api, b'{"bbox": [0, 0, 1, 1], "bbox": "x"}') == 400


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"query": {f"a{number}": {"eq": 1} for number in range(MAX_CONDITIONS)}}, "conditions"),
        ({"query": {"id": {"in": [f"id-{number}" for number in range(MAX_VALUES)]}}}, "values"),
    ],
)
def test_filters_that_databases_would_fail_at_are_refused(api: TestClient, body: dict[str, Any], said: str) -> None:
    answer = api.post("/search", json=body)
    assert proper(answer) == 400
    assert said in answer.json()["description"]


def test_large_filters_are_answered(api: TestClient) -> None:
    many = {"op": "in", "args": [{"property": "id"}, [f"id-{number}" for number in range(9_000)] + ["photo-1"]]}
    wide = {"op": "or", "args": [{"op": "=", "args": [{"property": "gsd"}, number]} for number in range(400)]}
    answer = api.post("/search", json={"filter": {"op": "and", "args": [many, {"op": "not", "args": [wide]}]}})
    assert answer.status_code == 200
    assert api.post("/search", json={"filter": many}).json()["numberReturned"] == 1
