"""Searches in PostgreSQL find what the slow, obvious reference finds, and page through it in its order."""

from __future__ import annotations

import base64
import json
import unicodedata
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from anyio.from_thread import start_blocking_portal
from hypothesis import example, given, settings

from catalog.cql2 import parsed
from catalog.cql2_operators import COMPARISONS, SPATIAL, TEMPORAL
from catalog.fields import chosen
from catalog.functions import accenti
from catalog.item import COLLECTION_ID
from catalog.pgstac import open_pgstac
from catalog.places import ItemLink, Places, served
from catalog.search import MATCHED_CAP, Fields, Search, SortKey
from services.stac.pgstac import PgstacBackend
from tests import test_catalog_filters as embedded
from tests import test_catalog_pages as embedded_pages
from tests.catalog_scene import COLLECTION, GEOMETRIES, PLOTS, SCENE, found
from tests.postgres import new_database

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from anyio.from_thread import BlockingPortal

    from catalog.search import Page
    from tests.postgres import Cluster

type Find = Callable[[Search], Page]
type Agrees = Callable[[Any], None]

PLACES = Places(
    "https://h/stac",
    "https://h/zarr/products",
    (ItemLink("tilejson", "https://h/tiles/{collection}/{id}/tiles.json", "application/json", "Tiles"),),
)
GROUND = {"property": "geometry"}
ALPS = {"type": "Polygon", "coordinates": [[[5.0, 44.0], [12.0, 44.0], [12.0, 48.0], [5.0, 48.0], [5.0, 44.0]]]}


def cases(test: Any, argument: str) -> list[Any]:
    """What a test of the embedded catalogue is tried with: here it is tried with the same."""
    values: list[Any] = next(mark.args[1] for mark in test.pytestmark if mark.args[0] == argument)
    return values


@pytest.fixture(scope="module")
def portal() -> Iterator[BlockingPortal]:
    with start_blocking_portal() as opened:
        yield opened


@pytest.fixture(scope="module")
def backend(postgres: Cluster, portal: BlockingPortal) -> Iterator[PgstacBackend]:
    with new_database(postgres) as url:
        with open_pgstac(url) as catalogue:
            for name in (COLLECTION_ID, PLOTS):
                catalogue.put_collection({**COLLECTION, "id": name})
            assert catalogue.upsert_many(SCENE) == len(SCENE)
        made = PgstacBackend(url)
        with portal.wrap_async_context_manager(made.running()):
            yield made


@pytest.fixture(scope="module")
def find(backend: PgstacBackend, portal: BlockingPortal) -> Find:
    return lambda search: portal.call(backend.search, search, PLACES)


@pytest.fixture(scope="module")
def everything(backend: PgstacBackend) -> list[dict[str, Any]]:
    """All items as they are listed: versions know of each other."""
    with open_pgstac(backend.url) as catalogue:
        return list(catalogue.items(withdrawn=True))


def names(items: list[Any]) -> list[tuple[str, str]]:
    return [(item["collection"], item["id"]) for item in items]


def names_of(page: Page) -> list[tuple[str, str]]:
    return names([json.loads(one) for one in page.features])


@pytest.fixture(scope="module")
def agrees(find: Find, everything: list[dict[str, Any]]) -> Agrees:
    """Assert that a filter finds what the reference finds."""

    def check(condition: Any) -> None:
        language = "cql2-text" if isinstance(condition, str) else "cql2-json"
        search = Search(filter=parsed(condition, language), limit=1000)  # type: ignore[arg-type]  # one of its two
        expected = names(found(everything, search))
        assert names_of(find(search)) == expected, json.dumps(condition)

    return check


# --- filters --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("operator", sorted(COMPARISONS))
def test_comparison(agrees: Agrees, operator: str) -> None:
    for arguments in cases(embedded.test_comparison, "arguments"):
        condition = {"op": operator, "args": arguments}
        agrees(condition)
        agrees({"op": "not", "args": [condition]})


@pytest.mark.parametrize("text", cases(embedded.test_condition_as_text, "text"))
def test_condition_as_text(agrees: Agrees, text: str) -> None:
    agrees(text)


@pytest.mark.parametrize("operator", sorted(SPATIAL))
@pytest.mark.parametrize("geometry", [ALPS, embedded.SMALL, *filter(None, GEOMETRIES)], ids=lambda one: one["type"])
def test_spatial_relation(agrees: Agrees, operator: str, geometry: dict[str, Any]) -> None:
    if geometry["type"] == "GeometryCollection" and operator not in {"s_intersects", "s_disjoint"}:
        pytest.skip("GEOS defines the other relations of collections in its newer versions only")
    for arguments in ([GROUND, geometry], [geometry, GROUND]):
        condition = {"op": operator, "args": arguments}
        agrees(condition)
        agrees({"op": "not", "args": [condition]})


def test_spatial_relations_without_an_item_or_without_a_literal(agrees: Agrees) -> None:
    for operator in ("s_intersects", "s_disjoint"):
        for arguments in ([ALPS, ALPS], [GROUND, GROUND]):
            condition = {"op": operator, "args": arguments}
            agrees(condition)
            agrees({"op": "not", "args": [condition]})


@pytest.mark.parametrize("operator", sorted(TEMPORAL))
def test_temporal_relation(agrees: Agrees, operator: str) -> None:
    for second in cases(embedded.test_temporal_relation, "second"):
        condition = {"op": operator, "args": [{"property": "datetime"}, second]}
        agrees(condition)
        agrees({"op": "not", "args": [{"op": operator, "args": condition["args"][::-1]}]})


@settings(deadline=None, max_examples=100)
@given(condition=embedded.conditions)
def test_any_filter(agrees: Agrees, condition: dict[str, Any]) -> None:
    try:
        parsed(condition, "cql2-json")
    except ValueError:
        return  # text compared with numbers, and the like
    agrees(condition)


@pytest.mark.parametrize("name", ["id", "inner.depth", "updated", "deprecated"])
def test_lists_may_be_long(agrees: Agrees, name: str) -> None:
    lists: dict[str, list[Any]] = {
        "id": [f"thing-{number}" for number in range(9_000)],
        "inner.depth": list(range(9_000)),
        "updated": [{"timestamp": "2023-08-21T01:00:00Z"}] * 9_000,
        "deprecated": [True] * 9_000,
    }
    for values in (lists[name], lists[name][:1]):
        listed = {"op": "in", "args": [{"property": name}, values]}
        agrees(listed)
        agrees({"op": "not", "args": [listed]})


def test_case_and_accents_are_folded_as_the_embedded_catalogue_does_it(backend: PgstacBackend) -> None:
    numbers = (number for number in range(1, 0x10000) if not 0xD800 <= number < 0xF900)
    letters = [letter for letter in map(chr, numbers) if unicodedata.category(letter) != "Cn"]
    statement = "SELECT abut.folded(x), abut.unaccented(x) FROM unnest(%s::text[]) AS x"
    with psycopg.connect(backend.url) as connection:
        folded, unaccented = zip(*connection.execute(statement, (letters,)), strict=True)
    assert list(unaccented) == [accenti(letter) for letter in letters]
    pairs = set(zip(folded, (letter.casefold() for letter in letters), strict=True))
    assert len({one for one, _ in pairs}) == len({other for _, other in pairs}) == len(pairs)


# --- order, pages, tokens -------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=120)
@example(search=Search(bbox=(171.0, 0.0, 0.0, 0.0), limit=70))  # a line that meets a point of a collection
@given(search=embedded_pages.searches)
def test_pages_have_what_a_plain_filter_finds_forth_and_back(walked: Callable[[Search], None], search: Search) -> None:
    walked(search)


@pytest.fixture(scope="module")
def walked(find: Find, everything: list[dict[str, Any]]) -> Callable[[Search], None]:
    """Assert that the pages of a search are those of the reference, there and back."""

    def walk(search: Search) -> None:
        expected = names(found(everything, search))
        pages = [find(search)]
        assert pages[0].matched == len(expected)
        assert pages[0].prev is None
        while (token := pages[-1].next) is not None:
            pages.append(find(replace(search, token=token)))
        assert [name for page in pages for name in names_of(page)] == expected
        assert all(page.matched is None for page in pages[1:])
        assert all(len(page.features) == search.limit for page in pages[:-1])
        back = pages[-1]
        for before in reversed(pages[:-1]):
            assert back.prev is not None
            back = find(replace(search, token=back.prev))
            assert names_of(back) == names_of(before)
            assert back.next is not None
        assert back.prev is None

    return walk


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("name", ["size", "label", "tags", "inner.depth", "deprecated", "surveyed", "nothing", "gsd"])
def test_pages_have_all_items_whatever_they_are_sorted_by(
    find: Find, everything: list[dict[str, Any]], name: str, *, descending: bool
) -> None:
    search = Search(sortby=(SortKey(name, descending),), limit=7)
    pages = [find(search)]
    while (token := pages[-1].next) is not None:
        pages.append(find(replace(search, token=token)))
    listed = [name for page in pages for name in names_of(page)]
    assert sorted(listed) == sorted(names(found(everything, Search())))
    lacking = {
        (one["collection"], one["id"]) for one in everything if "." not in name and one["properties"].get(name) is None
    }
    assert {key in lacking for key in listed[: len(listed) - len(lacking & set(listed))]} <= {False}


@pytest.mark.parametrize(
    "token",
    ["", "next", "next:", "prev:%%%", "next:e30", "next:WyJhIl0", "next:" + "A" * 20_000, "next:\ud800", "later:WzFd"],
)
def test_what_is_no_token_is_refused(find: Find, token: str) -> None:
    with pytest.raises(ValueError, match="token"):
        find(Search(token=token))


def test_token_of_another_order_is_refused(find: Find) -> None:
    token = find(Search(limit=3)).next
    with pytest.raises(ValueError, match="token"):
        find(Search(limit=3, token=token, sortby=(SortKey("id"),)))


def test_token_with_values_of_other_types_is_refused(find: Find) -> None:
    order = (SortKey("eo:cloud_cover"),)
    token = find(Search(limit=3, sortby=order)).next
    assert token is not None
    for other in ('"rain"', "true", "[1]"):
        with pytest.raises(ValueError, match="token"):
            find(Search(limit=3, sortby=order, token=forged(token, other)))


def forged(token: str, value: str) -> str:
    """The token with another value of its first key."""
    text = token.removeprefix("next:")
    values = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    values[1] = json.loads(value)
    return "next:" + base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")


def test_geometry_is_no_order(find: Find) -> None:
    with pytest.raises(ValueError, match="geometry"):
        find(Search(sortby=(SortKey("geometry"),)))


def test_more_matches_than_are_counted_have_no_number(find: Find, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(SCENE) < MATCHED_CAP
    monkeypatch.setattr("services.stac.pgstac.MATCHED_CAP", 5)
    assert find(Search(limit=2)).matched is None
    assert find(Search(limit=2, collections=(PLOTS,), ids=("thing-01", "thing-02", "thing-03"))).matched == 3


# --- what is found --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields",
    [Fields(), Fields(frozenset({"properties.label", "assets.photo"})), Fields(frozenset(), frozenset({"assets"}))],
    ids=["all", "some", "without some"],
)
def test_items_are_as_the_plain_reference_serves_them(
    find: Find, everything: list[dict[str, Any]], fields: Fields
) -> None:
    features = [json.loads(one) for one in find(Search(limit=1000, fields=fields)).features]
    assert features == [chosen(served(one, PLACES), fields) for one in found(everything, Search())]


def test_item_that_was_withdrawn_is_stored_but_not_found(
    backend: PgstacBackend, portal: BlockingPortal, everything: list[dict[str, Any]]
) -> None:
    gone = next(one for one in everything if one["properties"].get("abut:withdrawn"))
    there = next(one for one in everything if one["collection"] == PLOTS)
    assert json.loads(portal.call(backend.item, *names([gone])[0], PLACES) or b"") == served(gone, PLACES)
    assert portal.call(backend.stored, *names([gone])[0]) == gone
    assert json.loads(portal.call(backend.item, *names([there])[0], PLACES) or b"") == served(there, PLACES)
    assert portal.call(backend.item, PLOTS, "nothing", PLACES) is None
    assert portal.call(backend.stored, "nothing", there["id"]) is None


def test_listing_goes_through_all_items_by_code_point(
    backend: PgstacBackend, portal: BlockingPortal, everything: list[dict[str, Any]]
) -> None:
    listed: list[dict[str, Any]] = []
    while some := portal.call(backend.listing, COLLECTION_ID, listed[-1]["id"] if listed else "", 7):
        listed += some
    expected = [one for one in everything if one["collection"] == COLLECTION_ID]
    assert listed == sorted(expected, key=lambda one: one["id"])
