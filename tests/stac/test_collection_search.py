"""Searches of collections."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.stac.items import L1C, OTHER
from tests.stac.serving import HOST

if TYPE_CHECKING:
    from starlette.testclient import TestClient


def found(api: TestClient, query: str) -> list[str]:
    answer = api.get(f"/collections?{query}")
    assert answer.status_code == 200, answer.text
    return [one["id"] for one in answer.json()["collections"]]


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("", [OTHER, L1C]),
        ("bbox=11,46,12,47", [OTHER, L1C]),
        ("bbox=100,-17,110,-16", [L1C]),
        ("bbox=-10,70,-5,80", []),
        ("datetime=2023-02-01T00:00:00Z", [OTHER]),
        ("datetime=2023-06-10T00:00:00Z/..", [L1C]),
        ("datetime=../2023-06-10T00:00:00Z", [OTHER, L1C]),
        ("datetime=2025-01-01T00:00:00Z/..", []),
        ("q=snow", [OTHER]),
        ("q=SNOW,zarr", [OTHER, L1C]),
        ("q=ground%20truth", [OTHER]),
        ("q=sno", []),
        ("q=msi", [L1C]),
        ("filter=id='field-photos'", [OTHER]),
        ("filter=title LIKE 'Sentinel%25'", [L1C]),
        ('filter={"op":"=","args":[{"property":"license"},"CC-BY-4.0"]}', [OTHER]),
        ("filter=nothing > 5", []),
        ("filter=a_contains(keywords, ('zarr'))", [L1C]),
        ("sortby=-id", [L1C, OTHER]),
        ("sortby=title", [OTHER, L1C]),
        ("sortby=-nothing,id", [OTHER, L1C]),
        ("limit=1", [OTHER]),
        ("limit=1&offset=1", [L1C]),
        ("offset=5", []),
        ("q=snow&bbox=100,-17,110,-16", []),
    ],
)
def test_collections_that_match_all_that_is_given(api: TestClient, query: str, ids: list[str]) -> None:
    assert found(api, query) == ids


def test_pages_of_collections_are_linked(api: TestClient) -> None:
    first = api.get("/collections?limit=1&sortby=id").json()
    assert (first["numberMatched"], first["numberReturned"]) == (2, 1)
    links = {link["rel"]: link["href"] for link in first["links"]}
    assert "prev" not in links
    assert links["next"] == f"{HOST}/collections?limit=1&sortby=id&offset=1"
    second = api.get(links["next"]).json()
    assert [one["id"] for one in second["collections"]] == [L1C]
    links = {link["rel"]: link["href"] for link in second["links"]}
    assert "next" not in links
    assert api.get(links["prev"]).json()["collections"] == first["collections"]


def test_fields_of_collections_are_chosen(api: TestClient) -> None:
    few = api.get("/collections?fields=id,title").json()["collections"]
    assert [set(one) - {"type"} for one in few] == [{"id", "title"}] * 2
    rest = api.get("/collections?fields=-links,-item_assets").json()["collections"]
    assert all("links" not in one and "extent" in one for one in rest)
