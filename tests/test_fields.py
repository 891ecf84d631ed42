"""Answers have the fields that are asked for."""

from __future__ import annotations

from typing import Any

import pytest

from abut.messages import quoted
from catalog.fields import chosen
from catalog.queryables import QUERYABLES, queryables
from catalog.rows import PROMOTED
from catalog.search import Fields
from tests.catalog_products import item

ITEM: dict[str, Any] = {
    "type": "Feature",
    "id": "a",
    "collection": "c",
    "geometry": None,
    "bbox": [1, 2, 3, 4],
    "links": [{"rel": "self"}],
    "properties": {"datetime": "2025-08-01T00:00:00Z", "eo:cloud_cover": 5, "deep": {"a": {"b": 1, "c": 2}}},
    "assets": {"B02": {"href": "x", "roles": ["data"]}, "B03": {"href": "y"}},
}
LEAST = {"type": "Feature", "id": "a", "collection": "c"}


@pytest.mark.parametrize(
    ("include", "exclude", "expected"),
    [
        ([], [], ITEM),
        (["geometry"], [], {**LEAST, "geometry": None}),
        (["properties.eo:cloud_cover"], [], {**LEAST, "properties": {"eo:cloud_cover": 5}}),
        (["properties.deep.a.b"], [], {**LEAST, "properties": {"deep": {"a": {"b": 1}}}}),
        (["properties.deep", "properties.deep.a.b"], [], {**LEAST, "properties": {"deep": ITEM["properties"]["deep"]}}),
        (["assets.B02.href"], [], {**LEAST, "assets": {"B02": {"href": "x"}}}),
        (["nothing", "properties.nothing", "bbox.0"], [], {**LEAST, "bbox": [1, 2, 3, 4]}),
        ([], ["geometry", "assets", "links", "properties"], {**LEAST, "bbox": [1, 2, 3, 4]}),
        (
            [],
            ["id", "collection", "type", "bbox", "assets", "links", "properties", "geometry"],
            {"id": "a", "collection": "c"},
        ),
        (
            ["properties"],
            ["properties.deep", "properties.datetime"],
            {**LEAST, "properties": {"eo:cloud_cover": 5}},
        ),
        (["properties.eo:cloud_cover"], ["properties"], {**LEAST, "properties": {"eo:cloud_cover": 5}}),
        (["geometry"], ["geometry"], {**LEAST, "geometry": None}),
        (["assets"], ["assets.B02.href", "assets.B03.href"], {**LEAST, "assets": {"B02": {"roles": ["data"]}}}),
    ],
)
def test_fields(include: list[str], exclude: list[str], expected: dict[str, Any]) -> None:
    made = chosen(ITEM, Fields(frozenset(include), frozenset(exclude)))
    assert made == expected


def test_choosing_changes_nothing_in_what_is_given() -> None:
    before = repr(ITEM)
    chosen(ITEM, Fields(frozenset({"properties.deep.a"}), frozenset({"properties.deep.a.b"})))
    assert repr(ITEM) == before


def test_queryables_are_a_schema_of_what_products_have() -> None:
    made = queryables("https://h/queryables", "sentinel-2-l1c")
    assert made["$id"] == "https://h/queryables"
    assert made["title"] == "Queryables of sentinel-2-l1c"
    assert made["properties"]["eo:cloud_cover"] == {
        "title": "Clouds in percent",
        "type": "number",
        "minimum": 0,
        "maximum": 100,
    }
    assert made["properties"]["datetime"]["format"] == "date-time"
    properties = item()["properties"]
    missing = {one.name for one in QUERYABLES} - set(properties)
    assert missing == {"id", "collection", "geometry", "deprecated"}
    python: dict[str, Any] = {"text": str, "instant": str, "number": (int, float), "boolean": bool, "array": list}
    for one in QUERYABLES:
        if one.name in properties:
            assert isinstance(properties[one.name], python[one.kind]), one.name


def test_columns_are_of_the_kinds_that_clients_are_told() -> None:
    kinds = {one.name: one.kind for one in QUERYABLES}
    assert {name: kind for name, (_, kind) in PROMOTED.items()}.items() <= kinds.items()


def test_values_are_quoted_in_one_short_line() -> None:
    assert quoted("a\nb") == r"'a\nb'"
    assert quoted({"a": [1]}) == '{"a": [1]}'
    assert len(quoted("x" * 1_000)) == 203
    assert quoted({1, 2}) == '"{1, 2}"'
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    assert quoted(deep) == "list"
