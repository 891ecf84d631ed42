"""Pages end where their items get large; paging stays exact and complete, forwards and backwards."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pytest

from services.stac import holders, pgstac, requests
from tests.stac.items import DAYS, RELEASED, product_id

if TYPE_CHECKING:
    from starlette.testclient import TestClient

MOST = 60_000


@pytest.fixture(autouse=True)
def _small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "PAGE_BYTES", MOST)
    monkeypatch.setattr(pgstac, "TOGETHER", 20)
    monkeypatch.setattr(holders, "TOGETHER", 3)


@pytest.fixture(scope="module")
def everything(sqlite_api: TestClient) -> list[str]:
    """Ids of all items, latest first."""
    answer = sqlite_api.get("/search", params={"limit": 1000, "fields": "id"})
    return [one["id"] for one in answer.json()["features"]]


def walked(api: TestClient, body: dict[str, Any], rel: str = "next") -> list[dict[str, Any]]:
    """All pages from one on, by their links."""
    pages: list[dict[str, Any]] = []
    wanted: dict[str, Any] | None = body
    while wanted is not None:
        answer = api.post("/search", json=wanted)
        assert answer.status_code == 200, answer.text
        pages.append(answer.json())
        assert len(pages) < 100
        wanted = next((one["body"] for one in pages[-1]["links"] if one["rel"] == rel), None)
    return pages


def ids(pages: list[dict[str, Any]]) -> list[str]:
    return [feature["id"] for page in pages for feature in page["features"]]


def size(page: dict[str, Any]) -> int:
    """Bytes of the items of a page, as they were sent."""
    return sum(len(orjson.dumps(feature)) for feature in page["features"])


@pytest.mark.parametrize("limit", [10_000, 15])
def test_large_items_make_short_pages_that_lack_nothing(api: TestClient, everything: list[str], limit: int) -> None:
    pages = walked(api, {"limit": limit})
    assert ids(pages) == everything
    assert all(0 < len(page["features"]) == page["numberReturned"] < 15 for page in pages)
    assert all(size(page) <= MOST for page in pages)
    assert pages[0]["numberMatched"] == len(everything)
    last = next(one["body"] for one in pages[-1]["links"] if one["rel"] == "prev")
    back = walked(api, last, "prev")
    assert ids(back[::-1]) == everything[: -len(pages[-1]["features"])]
    assert all(size(page) <= MOST for page in back)


def test_an_item_that_is_larger_than_a_page_is_a_page(
    api: TestClient, everything: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requests, "PAGE_BYTES", 10)
    pages = walked(api, {"limit": 30, "sortby": [{"field": "id", "direction": "asc"}]})
    assert ids(pages) == sorted(everything)
    assert {page["numberReturned"] for page in pages} == {1}


def test_pages_of_small_items_are_as_long_as_they_are_asked_for(api: TestClient, everything: list[str]) -> None:
    (page,) = walked(api, {"limit": 1000, "fields": {"include": ["id"]}})
    assert ids([page]) == everything


def test_holders_count_and_pages_with_them_lack_nothing(api: TestClient, everything: list[str]) -> None:
    pages = walked(api, {"limit": 10_000, "complete": True})
    matches = [[one["id"] for one in page["features"] if one["id"] not in page["abut:completed"]] for page in pages]
    assert [name for some in matches for name in some] == everything
    assert all(len(page["features"]) <= 3 * 3 for page in pages), "some at a time, until they are large enough"
    assert pages[0]["numberMatched"] == len(everything)
    assert all(page["numberReturned"] == len(set(ids([page]))) == len(ids([page])) for page in pages)
    named = {name for page in pages for name in page["abut:completed"]}
    assert named <= {product_id(tile, RELEASED[1]) for tile in ("32TMM", "32TNN")}
    back = walked(api, next(one["body"] for one in pages[-1]["links"] if one["rel"] == "prev"), "prev")
    matches = [
        [one["id"] for one in page["features"] if one["id"] not in page["abut:completed"]] for page in back[::-1]
    ]
    assert [name for some in matches for name in some] == everything[: len(everything) - pages[-1]["numberReturned"]]


def test_streams_are_not_cut(api: TestClient, everything: list[str]) -> None:
    lines = api.get("/search?f=ndjson").text.splitlines()
    assert [orjson.loads(line)["id"] for line in lines] == everything
    named = api.get("/search", params={"f": "ndjson", "limit": 20, "datetime": f"{DAYS[0]:%Y-%m-%dT%H:%M:%SZ}/.."}).text
    assert [orjson.loads(line)["id"] for line in named.splitlines()] == everything[:20]
