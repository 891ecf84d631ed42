"""pystac-client, unchanged, against the API as a real server on each database."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

import pystac_client
import pytest

from tests.stac.items import L1C, OTHER, RELEASED, items, product_id

if TYPE_CHECKING:
    from pystac_client import Client

LIVE = [one for one in items() if not one["properties"].get("abut:withdrawn")]
BOX = [9.0, 42.0, 9.5, 43.0]
POLYGON = {"type": "Polygon", "coordinates": [[[9, 42], [9.5, 42], [9.5, 43], [9, 43], [9, 42]]]}


@pytest.fixture(scope="module")
def client(url: str) -> Client:
    """A client that knows the landing page."""
    return pystac_client.Client.open(url)


def test_client_finds_all_that_it_can_ask_for_in_the_conformance_classes(client: Client) -> None:
    classes = pystac_client.ConformanceClasses
    for one in (
        *(classes.CORE, classes.COLLECTIONS, classes.FEATURES, classes.ITEM_SEARCH),
        *(classes.FILTER, classes.SORT, classes.FIELDS, classes.QUERY),
        *(classes.COLLECTION_SEARCH, classes.COLLECTION_SEARCH_FREE_TEXT),
    ):
        assert client.conforms_to(one), one


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_searches_page_through_everything(client: Client, method: str) -> None:
    search = client.search(method=method, limit=7)
    assert search.matched() == len(LIVE)
    pages = [[item["id"] for item in page["features"]] for page in search.pages_as_dicts()]
    assert [len(page) for page in pages] == [7] * (len(LIVE) // 7) + [len(LIVE) % 7]
    assert sorted(chain(*pages)) == sorted(one["id"] for one in LIVE)
    newest = client.search(method=method, query=["deprecated=false"], limit=20)
    assert all(item.assets for item in newest.items())  # pystac warns of items that are deprecated


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_every_way_to_search_is_understood(client: Client, method: str) -> None:
    def ids(**wanted: object) -> list[str]:
        return [item["id"] for item in client.search(method=method, limit=20, **wanted).items_as_dicts()]  # type: ignore[arg-type]

    clear = sorted(one["id"] for one in LIVE if one["properties"].get("eo:cloud_cover", 100) < 30)
    less = {"op": "<", "args": [{"property": "eo:cloud_cover"}, 30]}
    assert sorted(ids(filter="eo:cloud_cover < 30", filter_lang="cql2-text")) == clear
    assert sorted(ids(filter=less, filter_lang="cql2-json")) == clear
    assert sorted(ids(query={"eo:cloud_cover": {"lt": 30}})) == clear
    assert sorted(ids(query=["eo:cloud_cover<30"])) == clear
    assert ids(bbox=BOX) == ids(intersects=POLYGON) != []
    assert ids(ids=["photo-1", "photo-2"], sortby="+id") == ["photo-1", "photo-2"]
    assert ids(collections=[OTHER], sortby=["-properties.datetime"], max_items=2) == ["photo-4", "photo-3"]
    assert ids(datetime="2023-12") == ids(datetime=["2023-12-01T00:00:00Z", "2023-12-31T23:59:59Z"]) != []
    (few,) = client.search(method=method, ids=["photo-1"], fields={"include": ["id"], "exclude": []}).items_as_dicts()
    assert "assets" not in few


def test_collections_are_found_and_their_items_too(client: Client) -> None:
    assert [one.id for one in client.get_collections()] == [OTHER, L1C]
    assert [one.id for one in client.collection_search(q="snow").collections()] == [OTHER]
    assert [one.id for one in client.collection_search(bbox=[100, -17, 110, -16]).collections()] == [L1C]
    photos, products = client.get_collection(OTHER), client.get_collection(L1C)
    assert photos is not None
    assert products is not None
    assert len(list(photos.get_items())) == 5
    item = products.get_item(product_id(*RELEASED))
    assert item is not None
    assert item.assets["B02"].get_absolute_href() == item.assets["B02"].href
    assert "eo:cloud_cover" in client.get_queryables()["properties"]


def test_unknown_things_are_errors_of_the_client(client: Client) -> None:
    assert client.get_collection("nothing") is None
    with pytest.raises(pystac_client.exceptions.APIError, match="bbox"):
        list(client.search(bbox=[0, 10, 1, -10]).items())
