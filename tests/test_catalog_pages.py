"""Pages of the embedded catalogue: what a plain filter finds, in order, page by page, whatever is written meanwhile."""

from __future__ import annotations

import base64
import json
import random
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog import plan as plans
from catalog.cql2 import parsed
from catalog.fields import chosen
from catalog.pages import item as page_item
from catalog.pages import page
from catalog.places import ItemLink, Places, served
from catalog.schema import snapshot
from catalog.search import Fields, Search, SortKey
from catalog.sqlite import Catalogue, open_catalogue
from catalog.text import decode
from catalog.versions import told
from tests.catalog_scene import COLLECTION, GEOMETRIES, L1C, PLOTS, SCENE, found, times_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from catalog.search import Page

PLACES = Places(
    "https://h/stac",
    "https://h/zarr/products",
    (
        ItemLink("tilejson", "https://h/tiles/{collection}/{id}/tiles.json", "application/json", "Tiles"),
        ItemLink("store", "https://h/zarr/products/{store}", "application/vnd.zarr", "Store"),
    ),
)
TOLD = [told([one])[0] if "abut:store" in one["properties"] else one for one in SCENE]
SORTED_BY = ["id", "collection", "datetime", "eo:cloud_cover", "grid:code", "updated", "platform", "inner", "label"]
MOMENTS = [moment for one in SCENE for moment in times_of(one)]


def filled_with(path: Path, items: list[dict[str, Any]]) -> Catalogue:
    opened = open_catalogue(path)
    opened.put_collection(COLLECTION)
    opened.upsert_many(items)
    return opened


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalogue]:
    shuffled = random.Random(1).sample(SCENE, len(SCENE))  # noqa: S311 - a fixed order
    with filled_with(tmp_path_factory.mktemp("pages") / "catalog.sqlite", shuffled) as opened:
        yield opened


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Catalogue]:
    with filled_with(tmp_path / "catalog.sqlite", SCENE) as opened:
        yield opened


def one_page(catalogue: Catalogue, search: Search, places: Places = PLACES) -> Page:
    with snapshot(catalogue.connection):
        return page(catalogue.reader, search, places)


def with_token(search: Search, token: str | None) -> Search:
    return Search(**{name: getattr(search, name) for name in Search.__slots__ if name != "token"}, token=token)


def key(one: dict[str, Any]) -> tuple[str, str]:
    return one["collection"], one["id"]


def keys(some: Page) -> list[tuple[str, str]]:
    return [key(decode(feature)) for feature in some.features]


longitudes = st.one_of(st.floats(-180, 180), st.sampled_from([-180.0, -179.0, 8.0, 9.0, 11.0, 179.0, 180.0]))
latitudes = st.one_of(st.floats(-90, 90), st.sampled_from([-90.0, 0.0, 41.0, 42.0, 43.0, 90.0]))
boxes = st.tuples(longitudes, st.tuples(latitudes, latitudes).map(sorted), longitudes).map(
    lambda drawn: (drawn[0], drawn[1][0], drawn[2], drawn[1][1])
)
moments = st.one_of(
    st.sampled_from(MOMENTS),
    st.datetimes(datetime(2023, 8, 19), datetime(2023, 9, 20), timezones=st.just(UTC)),  # noqa: DTZ001 - see timezones
)
filters = st.sampled_from(
    [
        "eo:cloud_cover < 50",
        "grid:code = 'MGRS-32TNM'",
        "grid:code IN ('MGRS-32TNM', 'MGRS-01CCV') AND eo:cloud_cover > 10",
        "label LIKE '%c%' OR size > 1",
        "deprecated = false",
        "s_intersects(geometry, BBOX(8, 41, 10, 43))",
        "s_intersects(geometry, BBOX(175, -90, -175, 90)) AND t_after(datetime, TIMESTAMP('2023-08-24T00:00:00Z'))",
        "t_intersects(datetime, INTERVAL('2023-08-23', '2023-08-25')) AND inner.depth > 2",
        "datetime >= TIMESTAMP('2023-08-24T00:00:00Z') AND id LIKE 'S2%'",
        "id = 'thing-04'",
        "s_intersects(geometry, POINT(9 42)) AND s_disjoint(geometry, POINT(8.5 41.2))",
    ]
).map(lambda text: parsed(text, "cql2-text"))
searches = st.builds(
    Search,
    collections=st.sampled_from([None, None, (L1C,), (PLOTS,), (L1C, PLOTS), ("none",), ()]),
    ids=st.one_of(
        st.none(), st.none(), st.lists(st.sampled_from([*(one["id"] for one in SCENE), "' OR 1 --"])).map(tuple)
    ),
    bbox=st.one_of(st.none(), boxes),
    intersects=st.one_of(st.none(), st.sampled_from([one for one in GEOMETRIES if one])),
    start=st.one_of(st.none(), moments),
    stop=st.one_of(st.none(), moments),
    filter=st.one_of(st.none(), filters),
    sortby=st.lists(
        st.builds(SortKey, st.sampled_from(SORTED_BY[:-2]), st.booleans()),
        max_size=3,
        unique_by=lambda one: one.property,
    ).map(tuple),
    limit=st.one_of(st.integers(4, 20), st.just(70)),
)


@settings(deadline=None, max_examples=250)
@given(search=searches, few=st.sampled_from([0, plans.FEW]))
def test_pages_have_what_a_plain_filter_finds_forth_and_back(filled: Catalogue, search: Search, few: int) -> None:
    expected = [key(one) for one in found(TOLD, search)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plans, "FEW", few)  # by time, or by place
        pages = [one_page(filled, search)]
        assert pages[0].matched == len(expected)
        assert pages[0].prev is None
        while (token := pages[-1].next) is not None:
            pages.append(one_page(filled, with_token(search, token)))
        assert [name for one in pages for name in keys(one)] == expected
        assert all(one.matched is None for one in pages[1:])
        assert all(len(one.features) == search.limit for one in pages[:-1])
        back = pages[-1]
        for before in reversed(pages[:-1]):
            assert back.prev is not None
            back = one_page(filled, with_token(search, back.prev))
            assert keys(back) == keys(before)
            assert back.next is not None
        assert back.prev is None


@settings(deadline=None, max_examples=40)
@given(
    names=st.lists(st.sampled_from(SORTED_BY), min_size=1, max_size=3, unique=True),
    descending=st.booleans(),
    limit=st.integers(5, 15),
)
def test_any_property_may_be_sorted_by_without_loss(
    filled: Catalogue, names: list[str], descending: bool, limit: int
) -> None:
    search = Search(sortby=tuple(SortKey(name, descending) for name in names), limit=limit)
    seen: list[tuple[str, str]] = []
    token = None
    while token is not None or not seen:
        some = one_page(filled, with_token(search, token))
        seen += keys(some)
        token = some.next
    assert sorted(seen) == sorted(key(one) for one in found(TOLD, Search()))
    whole = one_page(filled, with_token(Search(sortby=search.sortby, limit=500), None))
    assert seen == keys(whole)


def test_items_are_those_that_the_plain_reference_serves(filled: Catalogue) -> None:
    stored = {key(one): one for one in TOLD}
    some = one_page(filled, Search(limit=500))
    assert len(some.features) == len(found(TOLD, Search()))
    for feature in map(decode, some.features):
        assert feature == served(stored[key(feature)], PLACES)


def test_only_the_fields_that_are_asked_for_are_there(filled: Catalogue) -> None:
    fields = Fields(include=frozenset({"properties.eo:cloud_cover", "assets.B02"}), exclude=frozenset({"type"}))
    stored = {key(one): one for one in TOLD}
    for feature in map(decode, one_page(filled, Search(limit=500, fields=fields)).features):
        assert feature == chosen(served(stored[key(feature)], PLACES), fields)


def test_one_item(filled: Catalogue) -> None:
    for one in TOLD:
        text = page_item(filled.reader, one["collection"], one["id"], PLACES)
        assert text is not None
        assert decode(text) == served(one, PLACES)
    assert page_item(filled.reader, L1C, "thing-01", PLACES) is None


def test_more_than_can_be_counted_has_no_number(filled: Catalogue, monkeypatch: pytest.MonkeyPatch) -> None:
    total = one_page(filled, Search(limit=1)).matched
    assert total is not None
    for search in (Search(limit=1), Search(limit=1, bbox=(-180, -90, 180, 90)), Search(limit=100)):
        matched = one_page(filled, search).matched
        assert matched is not None
        monkeypatch.setattr("catalog.pages.MATCHED_CAP", matched - 1)
        assert one_page(filled, search).matched is None
        monkeypatch.setattr("catalog.pages.MATCHED_CAP", matched)
        assert one_page(filled, search).matched == matched
        monkeypatch.undo()


# --- writing meanwhile ----------------------------------------------------------------------------------------------


def test_what_is_written_moves_no_page(small: Catalogue) -> None:
    search = Search(limit=7)
    expected = [key(one) for one in found(TOLD, Search())]
    first = one_page(small, search)
    newest, listed = {**SCENE[0], "id": "S2Z"}, SCENE[20]
    newest["properties"] = {**newest["properties"], "datetime": "2030-01-01T00:00:00Z", "abut:store": "z.zarr"}
    assert small.upsert(newest)
    assert small.remove(expected[6][1], expected[6][0])
    assert small.upsert(listed)
    second = one_page(small, with_token(search, first.next))
    assert keys(second) == expected[7:14]
    back = one_page(small, with_token(search, second.prev))
    assert keys(back) == [(L1C, "S2Z"), *expected[:6]]


def test_page_after_the_last_item_is_empty_and_leads_back(small: Catalogue) -> None:
    search = Search(collections=(PLOTS,), limit=20, sortby=(SortKey("id"),))
    first = one_page(small, search)
    for collection, name in keys(one_page(small, with_token(search, first.next))):
        assert small.remove(name, collection)
    after = one_page(small, with_token(search, first.next))
    assert not after.features
    assert after.next is not None or after.prev is not None
    assert keys(one_page(small, with_token(search, after.prev)))[-1] == keys(first)[-2]


# --- tokens ---------------------------------------------------------------------------------------------------------


def written(values: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")


@pytest.fixture(scope="module")
def genuine(filled: Catalogue) -> str:
    token = one_page(filled, Search(limit=3)).next
    assert token is not None
    return token


NO_VALUES: tuple[Any, ...] = (None, {}, [], [1], ["x", 1, "a", "b"], [["x"]], [float("nan")] * 4)


@pytest.mark.parametrize(
    "token",
    ["", "next:", "prev:", "next", "next:é", "next:AAAA", "next:====", "first:abc", "next:" + "A" * 100_000]
    + [f"next:{written(values)}" for values in NO_VALUES],
)
def test_token_of_no_page_is_refused(filled: Catalogue, token: str) -> None:
    with pytest.raises(ValueError, match="token"):
        one_page(filled, Search(token=token))


def test_token_of_another_order_is_refused(filled: Catalogue, genuine: str) -> None:
    with pytest.raises(ValueError, match="is not one of this search"):
        one_page(filled, Search(token=genuine, sortby=(SortKey("datetime"),)))


@settings(deadline=None, max_examples=200)
@given(
    values=st.lists(
        st.one_of(st.none(), st.integers(), st.floats(), st.text(), st.booleans(), st.lists(st.none())), max_size=4
    ),
    genuine_digest=st.booleans(),
)
def test_any_token_gives_a_page_or_is_refused(
    filled: Catalogue, genuine: str, values: list[Any], genuine_digest: bool
) -> None:
    if genuine_digest:
        text = genuine.partition(":")[2]
        values = [json.loads(base64.urlsafe_b64decode(text + "==="))[0], *values]
    for prefix in ("next:", "prev:"):
        try:
            one_page(filled, Search(token=prefix + written(values)))
        except ValueError as error:
            assert "token" in str(error)  # noqa: PT017 - a page is as good


@settings(deadline=None, max_examples=100)
@given(text=st.text())
def test_any_text_as_a_token_is_refused(filled: Catalogue, text: str) -> None:
    for token in (text, f"next:{text}", f"prev:{text}"):
        with pytest.raises(ValueError, match="token"):
            one_page(filled, Search(token=token))


@pytest.mark.parametrize("name", ["geometry", "abut:blocks", "", "a..b", 'a"b', "x" * 300])
def test_property_that_has_no_order_is_refused(filled: Catalogue, name: str) -> None:
    with pytest.raises(ValueError, match=r"sorted by|searched by|not the name of a property"):
        one_page(filled, Search(sortby=(SortKey(name),)))


# --- plans ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("search", "start"),
    [
        (Search(), "SCAN i USING COVERING INDEX items_by_time"),
        (Search(start=MOMENTS[0], stop=MOMENTS[0]), "SEARCH i USING COVERING INDEX items_by_time (datetime>? AND"),
        (Search(bbox=(8, 41, 10, 43)), "SCAN extents VIRTUAL TABLE INDEX 2"),
        (Search(ids=("a", "b")), "SEARCH i USING INDEX sqlite_autoindex_items_1 (id=?"),
        (Search(filter=parsed("grid:code = 'MGRS-32TNM'", "cql2-text")), "SEARCH i USING INDEX items_by_tile (grid"),
        (Search(filter=parsed("s2:datatake_id IN ('x')", "cql2-text")), "SEARCH i USING INDEX items_by_datatake"),
        (
            Search(filter=parsed({"op": "in", "args": [{"property": "grid:code"}, ["x"] * 50]}, "cql2-json")),
            "SCAN i USING COVERING INDEX items_by_time",
        ),
        (Search(filter=parsed("eo:cloud_cover < 5", "cql2-text")), "SCAN i USING COVERING INDEX items_by_time"),
    ],
)
def test_plan_starts_where_there_is_least_to_look_at(filled: Catalogue, search: Search, start: str) -> None:
    planned = plans.plan(plans.conditions(search), filled.reader)
    statement = (
        f"EXPLAIN QUERY PLAN SELECT i.rid, i.datetime, i.id, i.collection FROM {planned.source} "  # noqa: S608
        f"WHERE {planned.where} ORDER BY i.datetime DESC, i.id DESC, i.collection DESC"
    )
    steps = [row[3] for row in filled.connection.execute(statement, planned.parameters)]
    assert any(step.startswith(start) for step in steps), steps
    assert planned.ordered != any("TEMP B-TREE" in step for step in steps), steps


def test_large_areas_are_answered_in_the_order_of_time(filled: Catalogue, monkeypatch: pytest.MonkeyPatch) -> None:
    everywhere = plans.conditions(Search(bbox=(-180, -90, 180, 90)))
    assert not plans.plan(everywhere, filled.reader).ordered
    monkeypatch.setattr(plans, "FEW", 10)
    assert plans.plan(everywhere, filled.reader).ordered
