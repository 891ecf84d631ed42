"""``complete=true``: every page can be loaded by itself, a stream has nothing twice, withdrawn holders are there."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from abut.tiling import tile
from catalog.holding import Holding, with_holding
from catalog.opening import open_catalogue
from services.stac import stream as streaming
from services.stac.pgstac import PgstacBackend
from services.stac.sqlite import SqliteBackend
from tests.catalog_products import item, whole
from tests.postgres import new_database
from tests.stac.items import DAYS, L1C, product_id
from tests.stac.serving import client_of, make_app

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from starlette.testclient import TestClient

    from services.stac.backend import Backend

DAY = DAYS[0]
NORTH, WEST, EAST, HIDDEN, FAR = (product_id(name, DAY) for name in ("32TNN", "32TMM", "32TNM", "32TMN", "31TCJ"))
"""North and east released blocks to west and to the hidden one, east to north too; far to one that is not listed."""
LOST = product_id("31TDJ", DAY)


def products() -> list[dict[str, Any]]:
    return [
        product("32TNN", WEST, HIDDEN),
        product("32TMM"),
        product("32TNM", WEST, HIDDEN, NORTH),
        product("32TMN", withdrawn=True),
        product("31TCJ", LOST),
    ]


def product(name: str, *holders: str, withdrawn: bool = False) -> dict[str, Any]:
    released = dict(zip(sorted(whole(tile(name))), holders, strict=False))
    held = whole(tile(name)) - released.keys()
    moment = datetime(2024, 1, 1, tzinfo=UTC)
    holding = Holding(revision=3, held=held, holders=released, withdrawn=withdrawn, updated=moment)
    return with_holding(item(name, start=DAY, id=product_id(name, DAY)), holding)


@pytest.fixture(scope="module", params=["sqlite", "pgstac"])
def api(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """Client of an API with these products alone, on each of the databases."""
    if request.param == "sqlite":
        path: Path = tmp_path_factory.mktemp("complete") / "catalog.sqlite"
        with open_catalogue(str(path)) as catalogue:
            catalogue.upsert_many(products())
        with serving(SqliteBackend(path)) as client:
            yield client
        return
    with new_database(request.getfixturevalue("postgres")) as url:
        with open_catalogue(url) as catalogue:
            catalogue.upsert_many(products())
        with serving(PgstacBackend(url)) as client:
            yield client


def serving(backend: Backend) -> AbstractContextManager[TestClient]:
    return client_of(make_app(backend))


def ids(body: dict[str, Any]) -> list[str]:
    return [feature["id"] for feature in body["features"]]


def pages(api: TestClient, **parameters: Any) -> list[dict[str, Any]]:
    found = [api.get("/search", params=parameters).json()]
    while links := [link["href"] for link in found[-1]["links"] if link["rel"] == "next"]:
        found.append(api.get(links[0]).json())
    return found


def streamed(api: TestClient, **parameters: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for line in api.get("/search", params={"f": "ndjson", **parameters}).text.splitlines()]


def test_every_page_has_its_own_holders_after_its_matches(api: TestClient) -> None:
    found = pages(api, complete="true", limit=1, sortby="-id")
    assert [ids(page) for page in found] == [
        [NORTH, WEST, HIDDEN],
        [EAST, WEST, HIDDEN, NORTH],
        [WEST],
        [FAR],
    ]
    assert [page["abut:completed"] for page in found] == [[WEST, HIDDEN], [WEST, HIDDEN, NORTH], [], []]
    assert [page.get("abut:missing") for page in found] == [None, None, None, [LOST]]


def test_a_page_has_nothing_twice(api: TestClient) -> None:
    (page,) = pages(api, complete="true", sortby="-id")
    assert ids(page) == [NORTH, EAST, WEST, FAR, HIDDEN]
    assert page["abut:completed"] == [HIDDEN]
    assert (page["numberMatched"], page["numberReturned"]) == (4, 5)


def test_a_holder_that_was_withdrawn_says_so_and_is_never_a_match(api: TestClient) -> None:
    (page,) = pages(api, complete="true", ids=NORTH)
    assert {one["id"]: one["properties"]["abut:withdrawn"] for one in page["features"]} == {
        NORTH: False,
        WEST: False,
        HIDDEN: True,
    }
    (none,) = pages(api, complete="true", ids=HIDDEN)
    assert (ids(none), none["numberMatched"], none["abut:completed"]) == ([], 0, [])
    assert ids(api.get(f"/collections/{L1C}/items?limit=100").json()) == ids(api.get("/search?limit=100").json())
    assert HIDDEN not in ids(api.get("/search?limit=100").json())


def test_every_holder_is_where_the_links_lead(api: TestClient) -> None:
    """But for one that is not listed at all."""
    for page in pages(api, complete="true"):
        for feature in page["features"]:
            for link in feature["links"]:
                if link["rel"] == "abut:neighbour":
                    expected = 404 if link["abut:product"] == LOST else 200
                    assert api.get(link["href"]).status_code == expected


@pytest.mark.parametrize("length", [1, 2, 250])
def test_a_stream_is_all_matches_in_order_then_the_other_holders_and_nothing_twice(
    api: TestClient, monkeypatch: pytest.MonkeyPatch, length: int
) -> None:
    monkeypatch.setattr(streaming, "PAGE", length)
    assert [one["id"] for one in streamed(api, complete="true", sortby="-id")] == [NORTH, EAST, WEST, FAR, HIDDEN]
    assert [one["id"] for one in streamed(api, complete="true", sortby="-id", limit=2)] == [NORTH, EAST, WEST, HIDDEN]
    few = streamed(api, complete="true", ids=EAST, fields="properties.grid:code")
    assert [one["id"] for one in few] == [EAST, WEST, HIDDEN, NORTH]
    assert [set(one) for one in few] == [{"type", "id", "collection", "properties"}] * 4
