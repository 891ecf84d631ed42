"""Landing page, collections, items and the links between them."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

from services.stac.options import LandingLink
from tests.stac.items import DAYS, L1C, OTHER, RELEASED, VERSIONS, WITHDRAWN, product_id
from tests.stac.serving import HOST, client_of, make_app

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from services.stac.backend import Backend

ITEM = product_id("32TNM", DAYS[0])


def links_of(thing: dict[str, Any], rel: str) -> list[str]:
    return [link["href"] for link in thing["links"] if link["rel"] == rel]


def all_links(api: TestClient, paths: list[str]) -> Iterator[dict[str, Any]]:
    for path in paths:
        answer = api.get(path)
        assert answer.status_code == 200, path
        body = answer.json()
        yield from body["links"]
        for part in body.get("collections", []) + body.get("features", []):
            yield from part["links"]


def test_landing_page_names_what_there_is(api: TestClient) -> None:
    page = api.get("/").json()
    assert page["type"] == "Catalog"
    assert page["stac_version"] == "1.1.0"
    assert links_of(page, "self") == links_of(page, "root") == [f"{HOST}/"]
    assert links_of(page, "data") == [f"{HOST}/collections"]
    assert links_of(page, "search") == [f"{HOST}/search"] * 2
    assert {link["method"] for link in page["links"] if link["rel"] == "search"} == {"GET", "POST"}
    assert set(links_of(page, "child")) == {f"{HOST}/collections/{L1C}", f"{HOST}/collections/{OTHER}"}
    assert links_of(page, "service-desc") == [f"{HOST}/api"]
    assert links_of(page, "service-doc") == [f"{HOST}/api.html"]


def test_conformance_is_the_same_everywhere_and_says_what_is_implemented(api: TestClient) -> None:
    classes = api.get("/conformance").json()["conformsTo"]
    assert classes == api.get("/").json()["conformsTo"]
    assert len(set(classes)) == len(classes)
    assert "https://api.stacspec.org/v1.0.0/item-search" in classes
    assert not [name for name in classes if "transaction" in name]
    assert "http://www.opengis.net/spec/cql2/1.0/conf/cql2-text" in classes


def test_own_links_lead_somewhere_and_are_of_the_type_they_say(api: TestClient) -> None:
    pages = ["/", "/collections", f"/collections/{L1C}", "/search?limit=2", f"/collections/{OTHER}/items", "/aggregate"]
    seen = set()
    for link in all_links(api, pages):
        href = link["href"]
        if not href.startswith(f"{HOST}/") or "/tiles/" in href or "/zarr/" in href or link.get("method") == "POST":
            assert href.startswith(("https://", "http://")), link
            continue
        if href in seen:
            continue
        seen.add(href)
        answer = api.get(href)
        assert answer.status_code == 200, link
        assert answer.headers["content-type"].split(";")[0] == link["type"].split(";")[0], link
    assert len(seen) > 15


def test_collections_are_listed_by_id_with_the_extent_of_their_items(api: TestClient) -> None:
    body = api.get("/collections").json()
    assert [one["id"] for one in body["collections"]] == [OTHER, L1C]
    assert body["numberMatched"] == body["numberReturned"] == 2
    photos = body["collections"][0]
    assert photos["extent"]["spatial"]["bbox"] == [[11.0, 46.0, 15.0, 50.0]]
    first, last = photos["extent"]["temporal"]["interval"][0]
    assert first.startswith("2023-01-15T12:00:00")
    assert last.startswith("2023-05-15T12:00:00")
    assert photos == api.get(f"/collections/{OTHER}").json()


def test_extent_of_products_covers_those_that_are_found(api: TestClient) -> None:
    extent = api.get(f"/collections/{L1C}").json()["extent"]
    (box,) = extent["spatial"]["bbox"]
    assert box[1] < -17
    assert box[3] > 59
    first, last = extent["temporal"]["interval"][0]
    assert first.startswith("2023-06-04T10:25:59.024")
    assert last.startswith("2023-12-31T10:25:59.024")


def test_collection_keeps_its_licence_and_gets_links_of_its_own(api: TestClient) -> None:
    made = api.get(f"/collections/{L1C}").json()
    here = f"{HOST}/collections/{L1C}"
    assert links_of(made, "self") == [here]
    assert links_of(made, "items") == [f"{here}/items"]
    assert links_of(made, "aggregate") == [f"{here}/aggregate"]
    assert links_of(made, "http://www.opengis.net/def/rel/ogc/1.0/queryables") == [f"{here}/queryables"]
    assert links_of(made, "license")[0].startswith("https://sentinel")
    assert made["item_assets"]["B02"]


def test_item_has_absolute_hrefs_and_links_to_mounted_services(api: TestClient) -> None:
    answer = api.get(f"/collections/{L1C}/items/{ITEM}")
    assert answer.headers["content-type"] == "application/geo+json"
    made = answer.json()
    assert made["id"] == ITEM
    assert links_of(made, "self") == [f"{HOST}/collections/{L1C}/items/{ITEM}"]
    assert links_of(made, "parent") == links_of(made, "collection") == [f"{HOST}/collections/{L1C}"]
    assert links_of(made, "tilejson") == [f"{HOST}/tiles/{L1C}/{ITEM}"]
    assert made["assets"]["B02"]["href"].startswith(f"{HOST}/zarr/products/{ITEM}.0a1b2c.zarr/")
    assert made["properties"]["deprecated"] is False


def test_item_names_its_holders_and_versions(api: TestClient) -> None:
    released = api.get(f"/collections/{L1C}/items/{product_id(*RELEASED)}").json()
    holders = {f"{HOST}/collections/{L1C}/items/{product_id(name, RELEASED[1])}" for name in ("32TNN", "32TMM")}
    assert set(links_of(released, "abut:neighbour")) == holders
    old = api.get(f"/collections/{L1C}/items/{product_id(*VERSIONS)}").json()
    newest = f"{HOST}/collections/{L1C}/items/{product_id(*VERSIONS, baseline='05.11')}"
    assert old["properties"]["deprecated"] is True
    assert links_of(old, "latest-version") == [newest]
    assert api.get(newest).json()["properties"]["deprecated"] is False


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/collections/nothing", "'nothing'"),
        ("/collections/nothing/items", "'nothing'"),
        ("/collections/nothing/items?f=ndjson", "'nothing'"),
        ("/collections/nothing/items/any", "'nothing'"),
        ("/collections/nothing/queryables", "'nothing'"),
        ("/collections/nothing/sortables", "'nothing'"),
        ("/collections/nothing/aggregate", "'nothing'"),
        ("/collections/nothing/aggregations", "'nothing'"),
        (f"/collections/{L1C}/items/nothing", "'nothing'"),
        (f"/collections/{OTHER}/items/{ITEM}", ITEM),
        (f"/collections/{L1C}/items/a%00b", ""),
        (f"/collections/{L1C}/items/a%FFb", ""),
        ("/nothing", ""),
        ("/collections/", ""),
    ],
)
def test_what_is_not_there_is_404_and_says_what(api: TestClient, path: str, said: str) -> None:
    answer = api.get(path)
    assert answer.status_code == 404
    body = answer.json()
    assert body["code"] == "NotFound"
    assert said in body["description"]


def test_item_that_was_withdrawn_says_so_at_its_own_url_for_those_that_need_its_blocks(api: TestClient) -> None:
    answer = api.get(f"/collections/{L1C}/items/{product_id(*WITHDRAWN)}")
    assert answer.status_code == 200
    assert answer.json()["properties"]["abut:withdrawn"] is True
    assert api.get("/search", params={"ids": product_id(*WITHDRAWN)}).json()["features"] == []


def test_items_of_a_collection_are_its_own(api: TestClient) -> None:
    body = api.get(f"/collections/{OTHER}/items").json()
    assert [item["id"] for item in body["features"]] == [f"photo-{number}" for number in (4, 3, 2, 1, 0)]
    assert body["numberMatched"] == body["numberReturned"] == 5
    assert links_of(body, "collection") == [f"{HOST}/collections/{OTHER}"]
    assert not links_of(body, "next")


def test_queryables_and_sortables_are_json_schemas(api: TestClient) -> None:
    for path in ("/queryables", f"/collections/{L1C}/queryables", "/sortables", f"/collections/{L1C}/sortables"):
        answer = api.get(path)
        assert answer.headers["content-type"] == "application/schema+json"
        schema = answer.json()
        assert schema["$id"] == f"{HOST}{path}"
        assert schema["properties"]["eo:cloud_cover"]["type"] == "number"
    assert "geometry" not in schema["properties"]


def test_page_for_people_needs_nothing_from_elsewhere(api: TestClient) -> None:
    answer = api.get("/api.html")
    assert answer.headers["content-type"].startswith("text/html")
    assert "<script" not in answer.text
    assert answer.text.count("http") == answer.text.count(HOST)
    for said in ("GET /search", "POST /search", "abut:neighbour", "filter-lang", "The body is too large"):
        assert said in answer.text


def test_links_are_right_when_the_api_is_mounted_in_another_application(on_sqlite: Backend) -> None:
    inner = make_app(on_sqlite)

    @asynccontextmanager
    async def running(_: Starlette) -> AsyncIterator[None]:
        async with inner.router.lifespan_context(inner):
            yield

    outer = Starlette(routes=[Mount("/deep", app=Starlette(routes=[Mount("/stac", app=inner)]))], lifespan=running)
    with client_of(outer) as client:
        page = client.get("/deep/stac/").json()
        assert links_of(page, "search") == [f"{HOST}/deep/stac/search"] * 2
        first = client.get("/deep/stac/search?limit=1&bbox=-180,-90,180,90").json()
        assert links_of(first, "self") == [f"{HOST}/deep/stac/search?limit=1&bbox=-180%2C-90%2C180%2C90"]
        (href,) = links_of(first, "next")
        assert href.startswith(f"{HOST}/deep/stac/search?")
        assert client.get(href).json()["features"][0]["id"] != first["features"][0]["id"]
        assert client.head("/deep/stac/search").status_code == 200
        assert client.request("OPTIONS", "/deep/stac/search").headers["allow"] == "GET, HEAD, OPTIONS, POST"
        described = client.get("/deep/stac/api").json()
        assert "/search" in described["paths"]
        assert f'href="{HOST}/deep/stac/api"' in client.get("/deep/stac/api.html").text


def test_links_are_right_behind_a_proxy_that_takes_a_path_off(on_sqlite: Backend) -> None:
    with TestClient(make_app(on_sqlite), HOST, root_path="/eo") as client:  # as uvicorn's --root-path
        for path in ("/eo/collections", "/collections"):
            assert links_of(client.get(path).json(), "self") == [f"{HOST}/eo/collections"]


def test_headers_of_proxies_are_not_believed_here(sqlite_api: TestClient) -> None:
    """`services.proxy`, which is around the API, knows who may say so."""
    said = {"X-Forwarded-Host": "eo.example.org", "X-Forwarded-Prefix": "/eo", "Forwarded": "host=eo.example.org"}
    assert links_of(sqlite_api.get("/", headers=said).json(), "self") == [f"{HOST}/"]
    assert links_of(sqlite_api.get("/", headers={"Host": "[::1]:8080"}).json(), "self") == ["http://[::1]:8080/"]


def test_operator_decides_title_and_further_links(on_sqlite: Backend) -> None:
    viewer = LandingLink("preview", "https://viewer.example.org/", "text/html", "Viewer")
    tiles = LandingLink("tiles", "../tiles", "text/html", "Map tiles")
    named = {"id": "archive", "title": "Our archive", "description": "*All*"}
    with client_of(make_app(on_sqlite, **named, links=(viewer, tiles))) as client:
        page = client.get("/").json()
        assert (page["id"], page["title"], page["description"]) == ("archive", "Our archive", "*All*")
        assert links_of(page, "preview") == ["https://viewer.example.org/"]
        assert links_of(page, "tiles") == [f"{HOST}/tiles"]
        assert client.get("/api").json()["info"]["title"] == "Our archive"
