"""Items that are answered without parsing are those of the plain reference, and come back as they were given."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from catalog import text
from catalog.documents import answer, stored, template
from catalog.extensions import WEB_MAP_LINKS
from catalog.packing import SMALL_WINDOW, WINDOW, Dictionaries, shortened, unpack_document, unpack_properties
from catalog.places import ItemLink, Places, served
from catalog.storage import scheme_of
from catalog.text import decode, encode
from tests.catalog_scene import SCENE

LINKS = (
    ItemLink("tilejson", "https://h/tiles/{collection}/{id}.json?a={store}", "application/json", "Tiles"),
    ItemLink("viewer", "https://h/#{collection}/{id}", "text/html", 'A "viewer" of {id}'),
)
MAPS = (
    *LINKS[1:],
    ItemLink(
        "xyz", "https://h/{id}/{{z}}/{{x}}/{{y}}?r=1", "image/png", "É", (("render", "é"), ("a:b", "{id}")), stored=True
    ),
)
STORAGE_SCHEME = scheme_of("s3://bucket/products", endpoint="https://s3.example.org", region=None)
PLACES = (
    Places("https://h/stac", "https://h/zarr/products"),
    Places("http://[::1]:8000/a%20b", "s3://bucket/archive/products", LINKS),
    Places('https://h/"quoted"/é\\', "file:///é", LINKS[:1]),
    Places("https://h/stac", "https://h/zarr/products", MAPS),
    Places("https://h/stac", "s3://bucket/products", storage=STORAGE_SCHEME),
    Places("https://h/stac", "s3://bucket/products", MAPS, storage=STORAGE_SCHEME),
)

MARKS = ["\x00", "\x01", "\x02", "\x1e", "\x1eP", "\x1eI", "\x1eL", r"\u001eP", r"\u001eL", '"\\u001eL"', "\\", '"']
texts = st.one_of(st.text(max_size=8), st.sampled_from(MARKS))
hrefs = st.one_of(
    st.sampled_from(
        ["./", "./a.json", "./a.b-c_d~e.json", "./é.json", "./a b.json", "./a/b.json", "././a.json", ".json"]
    ),
    st.sampled_from(["./x.zarr/B02", "../collection.json", "https://h/./a.json", "./.json", "", "./é", "s3://b/c"]),
    texts,
    texts.map(lambda drawn: f"./{drawn}"),
    texts.map(lambda drawn: f"./{drawn}.json"),
)
values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**63), 2**64 - 1),
        st.floats(allow_nan=False, allow_infinity=False),
        texts,
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=6,
)
relations = st.sampled_from(["self", "root", "parent", "collection", "items", "derived_from", "abut:neighbour", "é"])
links = st.lists(
    st.builds(
        lambda rel, href, more: {**more, "rel": rel, "href": href}, relations, hrefs, st.dictionaries(texts, values)
    ),
    max_size=4,
)
assets = st.dictionaries(
    texts, st.builds(lambda href, more: {**more, "href": href}, hrefs, st.dictionaries(texts, values)), max_size=3
)
declared: st.SearchStrategy[Any] = st.one_of(
    st.lists(st.one_of(texts, st.just(WEB_MAP_LINKS)), max_size=3),
    st.sampled_from([None, "none", {}, [[]], [["a"], "b"], [1], ["]", '"'], [WEB_MAP_LINKS]]),
)
starts = st.one_of(
    st.just({}),
    st.builds(
        lambda version, listed: {"type": "Feature", "stac_version": version, "stac_extensions": listed},
        st.one_of(st.just("1.1.0"), texts),
        declared,
    ),
    st.builds(lambda listed: {"x": {"stac_extensions": []}, "stac_extensions": listed}, declared),
)
items = st.builds(
    lambda start, parts, order, properties, store, more: {
        **start,
        **more,
        **{name: parts[name] for name in order if parts[name] is not None},
        "id": "S2A_X.y-1",
        "collection": "some collection",
        "properties": {**properties, **({} if store is None else {"abut:store": store})},
    },
    starts,
    st.fixed_dictionaries({"links": links, "assets": st.one_of(st.none(), assets)}),
    st.permutations(["links", "assets"]),
    st.dictionaries(texts, values, max_size=3),
    st.sampled_from([None, "", "a.0b.zarr", 'odd "store"é', "\x1eP"]),
    st.dictionaries(texts, values, max_size=2),
)


def assert_served_as_reference(item: dict[str, Any]) -> None:
    made = template(item)
    assert decode(stored(made)) == item
    store = item["properties"].get("abut:store")
    for places in PLACES:
        assert decode(answer(made, item["collection"], item["id"], store, places)) == served(item, places)


@pytest.mark.parametrize("item", SCENE, ids=lambda item: item["id"])
def test_items_of_all_kinds_are_served_as_the_reference_serves_them(item: dict[str, Any]) -> None:
    assert_served_as_reference(item)
    assert b"\0" in template(item), "no template, but the slow way"


@settings(deadline=None, max_examples=150)
@given(item=items)
@example(item={"id": "a", "collection": "c", "properties": {"x": r'"\u001eL"'}, "links": [], "assets": {}})
@example(item={"id": "a", "collection": "c", "properties": {}, "links": [{"rel": "x", "href": "\x1eP"}], "assets": {}})
@example(item={"id": "a", "collection": "c", "properties": {}, "links": [], "assets": {"a": {"href": "\x1eP"}}})
@example(item={"id": "a", "collection": "c", "properties": {"x": "\x1eL"}, "links": [], "assets": {}})
def test_any_item_is_served_as_the_reference_serves_it(item: dict[str, Any]) -> None:
    assert_served_as_reference(item)


@pytest.mark.parametrize("without_orjson", [False, True])
def test_json_with_and_without_its_quick_library(monkeypatch: pytest.MonkeyPatch, without_orjson: bool) -> None:
    if without_orjson:
        monkeypatch.setattr(text, "orjson", None)
    value = {"é": [1, -0.5, 1e300, 2**64 - 1, True, None, '\x00\x1e\\"/'], "inner": {"a": {}}}
    assert decode(encode(value)) == value
    assert float(decode(encode(2**70))) == 2**70
    assert encode({"a": [1, "é"]}) == '{"a":[1,"é"]}'.encode()
    for bad in (math.nan, [math.inf], {"a": {1, 2}}, "\ud800", {"a": b"x"}):
        with pytest.raises(ValueError, match=r"."):
            encode(bad)
    with pytest.raises(ValueError, match=r"."):
        decode(b"{")


@settings(deadline=None, max_examples=100)
@given(texts=st.lists(st.binary(max_size=200), min_size=1), first=st.binary(max_size=100_000))
def test_what_is_packed_comes_back(texts: list[bytes], first: bytes) -> None:
    packing = Dictionaries(7, shortened(first, WINDOW), shortened(first, SMALL_WINDOW))
    for one in [*texts, first, first * 3]:
        assert unpack_document(packing.pack_document(one), {7: packing}.__getitem__) == one
        assert unpack_properties(packing.pack_properties(one), {7: packing}.__getitem__) == one


def test_items_of_a_collection_take_little_space() -> None:
    first, second = (template(item) for item in SCENE[:2])
    packing = Dictionaries(1, shortened(first, WINDOW), b"")
    assert len(packing.pack_document(second)) < len(json.dumps(SCENE[1])) / 8
