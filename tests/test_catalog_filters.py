"""Filters of the embedded catalogue find what the slow, obvious reference finds, operator by operator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.cql2 import MAX_CONDITIONS, parsed
from catalog.cql2_operators import ARRAY, COMPARISONS, SPATIAL, TEMPORAL
from catalog.pages import page
from catalog.places import Places
from catalog.schema import snapshot
from catalog.search import Search
from catalog.sqlite import Catalogue, open_catalogue
from catalog.text import decode
from catalog.versions import told
from tests.catalog_scene import COLLECTION, GEOMETRIES, SCENE, found

if TYPE_CHECKING:
    from collections.abc import Iterator

PLACES = Places("https://h/stac", "https://h/zarr/products")
TOLD = [told([one])[0] if "abut:store" in one["properties"] else one for one in SCENE]
SMALL = {"type": "Polygon", "coordinates": [[[8.5, 41.2], [9.5, 41.2], [9.5, 42.2], [8.5, 42.2], [8.5, 41.2]]]}


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalogue]:
    with open_catalogue(tmp_path_factory.mktemp("filters") / "catalog.sqlite") as opened:
        opened.put_collection(COLLECTION)
        opened.upsert_many(SCENE)
        yield opened


def ids(catalogue: Catalogue, search: Search) -> list[tuple[str, str]]:
    with snapshot(catalogue.connection):
        features = page(catalogue.reader, search, PLACES).features
    return [(feature["collection"], feature["id"]) for feature in map(decode, features)]


def assert_equal_to_reference(catalogue: Catalogue, condition: Any, *, some: bool = False) -> None:
    search = Search(filter=parsed(condition, "cql2-text" if isinstance(condition, str) else "cql2-json"), limit=1000)
    expected = [(one["collection"], one["id"]) for one in found(TOLD, search)]
    assert ids(catalogue, search) == expected
    if some:
        assert 0 < len(expected) < len(SCENE), f"{condition} tells nothing apart"


@pytest.mark.parametrize("operator", sorted(COMPARISONS))
@pytest.mark.parametrize(
    "arguments",
    [
        [{"property": "eo:cloud_cover"}, 12.5],
        [{"property": "properties.eo:cloud_cover"}, 100],
        [12.5, {"property": "eo:cloud_cover"}],
        [{"property": "size"}, 1],
        [{"property": "label"}, "ecrins"],
        [{"property": "inner.depth"}, 7],
        [{"property": "grid:code"}, "MGRS-32TMM"],
        [{"property": "datetime"}, {"timestamp": "2023-08-24T03:00:00Z"}],
        [{"property": "datetime"}, "2023-08-24T03:00:00Z"],
        [{"property": "updated"}, {"timestamp": "2023-08-24T00:00:00+02:00"}],
        [{"property": "surveyed"}, {"timestamp": "2023-08-23T00:00:00Z"}],
        [{"property": "id"}, "thing-07"],
        [{"property": "collection"}, "plots"],
        [{"property": "inner.depth"}, {"property": "eo:cloud_cover"}],
        [{"property": "size"}, {"property": "inner.depth"}],
        [{"property": "label"}, {"property": "size"}],
    ],
)
def test_comparison(filled: Catalogue, operator: str, arguments: list[Any]) -> None:
    assert_equal_to_reference(filled, {"op": operator, "args": arguments})
    assert_equal_to_reference(filled, {"op": "not", "args": [{"op": operator, "args": arguments}]})


@pytest.mark.parametrize(
    "text",
    [
        "eo:cloud_cover < 50",
        "NOT eo:cloud_cover < 50",
        "eo:cloud_cover BETWEEN 10 AND 60",
        "eo:cloud_cover NOT BETWEEN 10 AND 60",
        "datetime BETWEEN TIMESTAMP('2023-08-23T00:00:00Z') AND TIMESTAMP('2023-08-24T12:00:00Z')",
        "grid:code IN ('MGRS-32TNM', 'MGRS-01CCV')",
        "grid:code NOT IN ('MGRS-32TNM', 'MGRS-01CCV')",
        "size IN (1, 2.5)",
        "updated IN (TIMESTAMP('2023-08-23T05:00:00Z'), TIMESTAMP('2023-08-21T01:00:00Z'))",
        "casei(label) IN (casei('ÉCRINS'), 'nothing')",
        "deprecated = TRUE",
        "deprecated = FALSE",
        "deprecated",
        "NOT deprecated",
        "deprecated <> TRUE",
        "eo:cloud_cover IS NULL",
        "eo:cloud_cover IS NOT NULL",
        "size IS NULL",
        "inner.name.long IS NULL",
        "geometry IS NULL",
        "tags IS NOT NULL",
        "grid:code IS NULL OR eo:cloud_cover > 90",
        "size > 1 AND label IS NULL OR eo:cloud_cover = 0",
        "label LIKE 'e%'",
        "label LIKE '%'",
        "label LIKE '_crins'",
        r"label LIKE '100\%'",
        r"label LIKE 'a\_b'",
        r"label LIKE 'a\\b'",
        "label LIKE 'x*y[z]?'",
        "label LIKE '%r%i%'",
        "label NOT LIKE '%s'",
        "CASEI(label) LIKE casei('É%')",
        "CASEI(label) = casei('STRASSE')",
        "ACCENTI(label) LIKE 'E%'",
        "CASEI(ACCENTI(label)) = 'ecrins'",
        "id LIKE 'thing-1%'",
        "eo:cloud_cover + 1 > 50",
        "eo:cloud_cover * 2 - 1 <= inner.depth",
        "100 / size > 40",
        "inner.depth % 3 = 1",
        "inner.depth div 4 = 2",
        "-inner.depth < -5",
        "size ^ 2 = 9",
        "size ^ 0.5 > 1",
        "2 * size = 5",
        "1 = 1 AND inner.depth > 3",
        "a_contains(tags, ('b'))",
        "a_contains(tags, ('a', 'b'))",
        "a_containedBy(tags, ('a', 'b', 'c'))",
        "a_overlaps(tags, ('c', 'x'))",
        "a_equals(tags, ('a', 'b'))",
        "NOT a_overlaps(tags, ('c', 'x'))",
        "a_overlaps(instruments, ('msi'))",
        "a_contains(tags, tags)",
    ],
)
def test_condition_as_text(filled: Catalogue, text: str) -> None:
    assert_equal_to_reference(filled, text, some=True)


@pytest.mark.parametrize("operator", sorted(SPATIAL))
@pytest.mark.parametrize("geometry", [SMALL, *filter(None, GEOMETRIES)], ids=lambda one: one["type"])
def test_spatial_relation(filled: Catalogue, operator: str, geometry: dict[str, Any]) -> None:
    ground = {"property": "geometry"}
    for arguments in ([ground, geometry], [geometry, ground]):
        condition = {"op": operator, "args": arguments}
        assert_equal_to_reference(filled, condition)
        assert_equal_to_reference(filled, {"op": "not", "args": [condition]})


def test_spatial_relations_without_an_item_or_without_a_literal(filled: Catalogue) -> None:
    ground = {"property": "geometry"}
    assert_equal_to_reference(filled, {"op": "s_intersects", "args": [SMALL, SMALL]})
    assert_equal_to_reference(filled, {"op": "s_disjoint", "args": [SMALL, SMALL]})
    assert_equal_to_reference(filled, {"op": "s_intersects", "args": [ground, ground]}, some=True)


@pytest.mark.parametrize("operator", sorted(TEMPORAL))
@pytest.mark.parametrize(
    "second",
    [
        {"timestamp": "2023-08-23T09:55:59.024000Z"},
        {"timestamp": "2023-08-20T00:00:00Z"},
        {"date": "2023-08-24"},
        {"interval": ["2023-08-22T08:00:00Z", "2023-08-24T00:00:00Z"]},
        {"interval": ["2023-08-24T04:00:00Z", "2023-08-28T04:00:00Z"]},
        {"interval": ["..", "2023-08-24T00:00:00Z"]},
        {"interval": ["2023-08-23", ".."]},
        {"interval": ["..", ".."]},
        {"interval": [{"property": "start_datetime"}, {"property": "end_datetime"}]},
        {"interval": [{"property": "surveyed"}, ".."]},
        {"property": "updated"},
        {"property": "surveyed"},
    ],
    ids=str,
)
def test_temporal_relation(filled: Catalogue, operator: str, second: dict[str, Any]) -> None:
    for arguments in ([{"property": "datetime"}, second], [second, {"property": "datetime"}]):
        condition = {"op": operator, "args": arguments}
        assert_equal_to_reference(filled, condition)
        assert_equal_to_reference(filled, {"op": "not", "args": [condition]})


# --- all of it together ---------------------------------------------------------------------------------------------

numbers = st.sampled_from([-3, 0, 1, 2.5, 7, 12.5, 100, 1e17])
texts = st.sampled_from(["ecrins", "É%", "a_b", "_crins", "", "%", r"100\%", "thing-07", "MGRS-32TNM"])
number_properties = st.sampled_from(["eo:cloud_cover", "size", "inner.depth", "sat:relative_orbit", "missing"])
text_properties = st.sampled_from(["label", "size", "id", "collection", "grid:code", "missing", "inner.name.long"])
timestamps = st.sampled_from(["2023-08-23T09:55:59.024000Z", "2023-08-24T00:00:00Z", "2023-08-26T01:00:00+01:00"])


def of(name: str) -> dict[str, str]:
    return {"property": name}


number_values = st.recursive(
    st.one_of(numbers, number_properties.map(of)),
    lambda inner: st.tuples(st.sampled_from(["+", "-", "*", "/", "%", "div"]), inner, inner).map(
        lambda drawn: {"op": drawn[0], "args": list(drawn[1:])}
    ),
    max_leaves=4,
)
text_values = st.one_of(
    texts,
    text_properties.map(of),
    st.tuples(st.sampled_from(["casei", "accenti"]), text_properties.map(of)).map(
        lambda drawn: {"op": drawn[0], "args": [drawn[1]]}
    ),
)
instant_values = st.one_of(
    timestamps.map(lambda text: {"timestamp": text}), st.sampled_from(["datetime", "updated", "surveyed"]).map(of)
)
signs = st.sampled_from(sorted(COMPARISONS))
predicates = st.one_of(
    st.one_of(
        st.tuples(signs, number_values, number_values),
        st.tuples(signs, text_values, text_values),
        st.tuples(signs, instant_values, instant_values),
        st.tuples(st.just("between"), number_values, numbers, numbers),
        st.tuples(st.just("like"), text_properties.map(of), texts),
        st.tuples(st.just("isNull"), st.one_of(number_properties, text_properties).map(of)),
        st.tuples(st.just("in"), text_properties.map(of), st.lists(texts, min_size=1, max_size=3)),
        st.tuples(
            st.sampled_from(sorted(SPATIAL - {"s_crosses"})),
            st.just({"property": "geometry"}),
            st.sampled_from([SMALL, GEOMETRIES[4], GEOMETRIES[8]]),
        ),
        st.tuples(st.sampled_from(sorted(TEMPORAL)), instant_values, instant_values),
        st.tuples(st.sampled_from(sorted(ARRAY)), st.just({"property": "tags"}), st.just(["a", "b"])),
    ).map(lambda drawn: {"op": drawn[0], "args": list(drawn[1:])})
)
conditions = st.recursive(
    predicates,
    lambda inner: st.one_of(
        st.tuples(st.sampled_from(["and", "or"]), st.lists(inner, min_size=1, max_size=4)).map(
            lambda drawn: {"op": drawn[0], "args": drawn[1]}
        ),
        inner.map(lambda one: {"op": "not", "args": [one]}),
    ),
    max_leaves=6,
)


@settings(deadline=None, max_examples=250)
@given(condition=conditions)
def test_any_filter(filled: Catalogue, condition: dict[str, Any]) -> None:
    try:
        parsed(condition, "cql2-json")
    except ValueError:
        return  # text compared with numbers, and the like
    assert_equal_to_reference(filled, condition)


@pytest.mark.parametrize(
    "one",
    [
        {"op": "=", "args": [{"property": "inner.depth"}, 3]},
        {"op": "between", "args": [{"property": "label"}, {"property": "size"}, {"property": "tags"}]},
        {"op": "s_touches", "args": [{"property": "geometry"}, {"bbox": [170, -1, -170, 1]}]},
    ],
    ids=lambda one: one["op"],
)
def test_as_many_conditions_as_may_be_are_no_trouble(filled: Catalogue, one: dict[str, Any]) -> None:
    parts = [{"op": "isNull", "args": [{"property": "id"}]}, *[one] * (MAX_CONDITIONS - 2)]
    many = {"op": "or", "args": parts}
    assert ids(filled, Search(filter=parsed(many, "cql2-json"), limit=1000)) == ids(
        filled, Search(filter=parsed(one, "cql2-json"), limit=1000)
    )
    with pytest.raises(ValueError, match="filter of more than 1000 conditions"):
        parsed({"op": "and", "args": [many, one]}, "cql2-json")


def test_pattern_that_takes_others_for_ever_is_quick(filled: Catalogue) -> None:
    pattern = "%a" * 400 + "%b"
    search = Search(filter=parsed({"op": "like", "args": ["a" * 9_000, pattern]}, "cql2-json"))
    assert not ids(filled, search)
