"""Filters are read in either encoding, brought into one form, and refused with the value that is wrong."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.cql2 import both, from_query, parsed
from catalog.cql2_operators import ARRAY, COMPARISONS, SPATIAL, TEMPORAL
from catalog.cql2_values import ARITHMETIC

CLOUDS = {"property": "eo:cloud_cover"}
GROUND = {"property": "geometry"}
SQUARE = {"type": "Polygon", "coordinates": [[[1, 1], [2, 1], [2, 2], [1, 2], [1, 1]]]}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("eo:cloud_cover < 10", {"op": "<", "args": [CLOUDS, 10]}),
        ('"properties.eo:cloud_cover" < 10.5', {"op": "<", "args": [CLOUDS, 10.5]}),
        ("eo:cloud_cover NOT IN (1, 2)", {"op": "not", "args": [{"op": "in", "args": [CLOUDS, [1, 2]]}]}),
        ("deprecated", {"op": "=", "args": [{"property": "deprecated"}, True]}),
        ("true", {"op": "not", "args": [{"op": "isNull", "args": [{"property": "id"}]}]}),
        ("false", {"op": "isNull", "args": [{"property": "id"}]}),
        ("A_CONTAINEDBY(x, ('a'))", {"op": "a_containedBy", "args": [{"property": "x"}, ["a"]]}),
        (
            "updated > '2025-08-01T02:00:00+02:00'",
            {"op": ">", "args": [{"property": "updated"}, {"timestamp": "2025-08-01T00:00:00Z"}]},
        ),
        (
            "T_DURING(datetime, INTERVAL('2025-08-01', '2025-08-31'))",
            {
                "op": "t_during",
                "args": [
                    {"property": "datetime"},
                    {"interval": ["2025-08-01T00:00:00Z", "2025-08-31T23:59:59.999999Z"]},
                ],
            },
        ),
    ],
)
def test_text_in_its_one_form(text: str, expected: dict[str, Any]) -> None:
    assert parsed(text, "cql2-text") == expected


@pytest.mark.parametrize(
    ("given_json", "expected"),
    [
        ({"op": "between", "args": [CLOUDS, [1, 2]]}, {"op": "between", "args": [CLOUDS, 1, 2]}),
        ({"op": "ISNULL", "args": CLOUDS}, {"op": "isNull", "args": [CLOUDS]}),
        ({"op": "and", "args": [{"op": "=", "args": [CLOUDS, 1.0]}]}, {"op": "=", "args": [CLOUDS, 1]}),
        ('{"op": "=", "args": [{"property": "eo:cloud_cover"}, 1]}', {"op": "=", "args": [CLOUDS, 1]}),
        (
            {"op": "t_after", "args": [{"property": "datetime"}, "2025-08-01T00:00:00Z"]},
            {"op": "t_after", "args": [{"property": "datetime"}, {"timestamp": "2025-08-01T00:00:00Z"}]},
        ),
        (
            {"op": "s_intersects", "args": [GROUND, {"type": "Point", "coordinates": [1, 2, 300], "crs": {}}]},
            {"op": "s_intersects", "args": [GROUND, {"type": "Point", "coordinates": [1, 2]}]},
        ),
        (
            {"op": "s_within", "args": [GROUND, {"bbox": [1, 2, 1, 2]}]},
            {"op": "s_within", "args": [GROUND, {"type": "Point", "coordinates": [1, 2]}]},
        ),
    ],
)
def test_json_in_its_one_form(given_json: Any, expected: dict[str, Any]) -> None:
    assert parsed(given_json, "cql2-json") == expected


def test_box_across_180_degrees_is_two_polygons() -> None:
    made = parsed("s_intersects(geometry, BBOX(170, -1, -170, 1))", "cql2-text")
    assert made["args"][1]["type"] == "MultiPolygon"
    assert len(made["args"][1]["coordinates"]) == 2


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("eo:cloud_cover <", "'eo:cloud_cover <' is not CQL2"),
        ("", "is not CQL2"),
        ("eo:cloud_cover", "is not a condition"),
        ("5", "5.0 is not a condition"),
        ("eo:cloud_cover + 1", "is unknown or gives no condition"),
        ("foo(a) = 1", "'foo' is not a value or a known function"),
        ("foo(a)", "operator 'foo' is unknown"),
        ("eo:cloud_cover < 'ten'", "'ten' is not a number"),
        ("grid:code = 5", "5 is not text"),
        ("eo:cloud_cover = grid:code", '"grid:code"} is not a number'),
        ("eo:cloud_cover IN (1, 'x')", "'x' is not a number"),
        ("eo:cloud_cover IN (1 + 1)", "is not a list of values"),
        ("deprecated < TRUE", "has no order"),
        ("deprecated = 1", "1 is not true or false"),
        ("datetime > 'yesterday'", "'yesterday' is not an RFC 3339 time"),
        ("datetime > TIMESTAMP('0001-01-01T00:00:00+10:00')", "'0000-12-31T14:00:00Z' is not an RFC 3339 time"),
        ("datetime > DATE('2025-02-30')", "'2025-02-30' is not a date"),
        ("datetime = 5", "5 is not an instant"),
        ("geometry = 5", "is a geometry"),
        ("instruments = 'msi'", "is an array"),
        ("x = NULL", "null is not a value; isNull finds what is missing"),
        ("x = 1e999", "Infinity is not a number"),
        ("x LIKE y", "is not a pattern"),
        ("eo:cloud_cover LIKE '1%'", "is not text"),
        ("CASEI(eo:cloud_cover) = 'x'", "is not text"),
        ("grid:code + 1 = 2", "is not a number"),
        ("s_intersects(geometry, 5)", "5.0 is not a GeoJSON geometry"),
        ("s_intersects(footprint, POINT(1 1))", "'footprint' is not a geometry"),
        ("s_intersects(geometry, POINT(200 1))", "[200.0, 1.0] is not a longitude and a latitude"),
        ("s_intersects(geometry, POLYGON((0 0, 2 2, 2 0, 0 2, 0 0)))", "not a valid geometry: Self-intersection"),
        ("s_intersects(geometry, POLYGON((0 0, 2 2, 2 0)))", "ring that is not closed"),
        ("s_intersects(geometry, BBOX(0, 5, 1, 4))", "is not west, south, east, north"),
        ("s_intersects(geometry)", "operator s_intersects has 1 arguments, not 2"),
        ("t_after(datetime, 5)", "5.0 is not an instant or interval"),
        ("t_after(eo:cloud_cover, datetime)", "is not an instant or interval"),
        ("t_during(datetime, INTERVAL('2025-01-02', '2025-01-01'))", "ends before it starts"),
        ("t_during(datetime, INTERVAL('x', '..'))", "'x' is not an RFC 3339 time"),
        ("a_contains(eo:cloud_cover, ('a'))", "'eo:cloud_cover' is not an array"),
        ("abut:blocks IS NULL", "'abut:blocks' can't be searched by"),
        ("abut:digests.bands = 'x'", "'abut:digests.bands' can't be searched by"),
        ('"a""b" = 1', "is not the name of a property"),
    ],
)
def test_text_that_can_not_be_answered_is_refused(text: str, named: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        parsed(text, "cql2-text")
    assert named in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("given_json", "named"),
    [
        (None, "null is not a condition"),
        ({"op": ">", "args": [{"property": "datetime"}, "2025-08-01T00:00:00"]}, "is not an RFC 3339 time"),
        ({"op": ">", "args": [{"property": "updated"}, "0001-01-01T00:00:00+10:00"]}, "is not an RFC 3339 time"),
        ({"op": "a_contains", "args": [{"property": "tags"}, "a"]}, "'a' is not an array"),
        ([], "[] is not a condition"),
        ({}, "{} is not a condition"),
        ("{", "'{' is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ({"op": 5, "args": []}, "is not a condition"),
        ({"op": "=", "args": []}, "operator = has 0 arguments, not 2"),
        ({"op": "="}, "operator = has 0 arguments, not 2"),
        ({"op": "and", "args": []}, "operator and has 0 arguments"),
        ({"op": "not", "args": [True, True]}, "operator not has 2 arguments"),
        ({"op": "in", "args": [CLOUDS, []]}, "[] is not a list of values"),
        ({"op": "in", "args": [CLOUDS, CLOUDS]}, "is not a list of values"),
        ({"op": "in", "args": [CLOUDS, [CLOUDS]]}, "is not a list of values"),
        ({"op": "between", "args": [CLOUDS, 1]}, "operator between has 2 arguments, not 3"),
        ({"op": "like", "args": [{"property": "id"}, "%" * 2000]}, "is not a pattern"),
        ({"op": "like", "args": [{"property": "id"}, 5]}, "5 is not a pattern"),
        ({"op": "like", "args": [{"property": "id"}, {"op": "casei", "args": [CLOUDS]}]}, "is not text"),
        ({"op": "=", "args": [CLOUDS, {"a": 1}]}, "is not a value"),
        ({"op": "=", "args": [CLOUDS, [1]]}, "[1] is not a value"),
        ({"op": "=", "args": [CLOUDS, 10**400]}, "is not a number that can be compared with"),
        ({"op": "=", "args": [{"property": 5}, 1]}, "5 is not the name of a property"),
        ({"op": "=", "args": [{"property": ""}, 1]}, "'' is not the name of a property"),
        ({"op": "=", "args": [{"property": "x"}, "a\x00b"]}, "is too long, or not text"),
        ({"op": "=", "args": [{"property": "x"}, "\ud800"]}, "is too long, or not text"),
        ({"op": "=", "args": [{"property": "x"}, "x" * 20_000]}, "is too long, or not text"),
        ({"op": "t_after", "args": [{"property": "datetime"}, {"interval": ["..", "..", ".."]}]}, "has no two ends"),
        ({"op": "t_after", "args": [{"property": "datetime"}, {"interval": 5}]}, "5 has no two ends"),
        ({"op": "s_touches", "args": [GROUND, {"type": "Circle"}]}, "is not a GeoJSON geometry"),
        ({"op": "s_touches", "args": [GROUND, {"type": "Point", "coordinates": []}]}, "has no coordinates"),
        ({"op": "s_touches", "args": [GROUND, {"type": "Point", "coordinates": ["1", 2]}]}, "is not a position"),
        ({"op": "s_touches", "args": [GROUND, {"type": "Point", "coordinates": [True, 2]}]}, "is not a position"),
        ({"op": "s_touches", "args": [GROUND, {"type": "LineString", "coordinates": [[1, 2]]}]}, "is not a geometry"),
        ({"op": "s_touches", "args": [GROUND, {"type": "GeometryCollection", "geometries": []}]}, "is an empty"),
        ({"op": "s_touches", "args": [GROUND, {"bbox": "1,2,3,4"}]}, "is not four or six numbers"),
        (
            {"op": "s_touches", "args": [GROUND, {"type": "MultiPoint", "coordinates": [[1, 1]] * 20_001}]},
            "more than 20000 vertices",
        ),
    ],
)
def test_json_that_can_not_be_answered_is_refused(given_json: Any, named: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        parsed(given_json, "cql2-json")
    assert named in str(caught.value)
    assert len(str(caught.value)) < 1_000


def nested(levels: int) -> dict[str, Any]:
    node: dict[str, Any] = {"op": "=", "args": [CLOUDS, 1]}
    for _ in range(levels):
        node = {"op": "not", "args": [node]}
    return node


def test_depth_has_a_limit() -> None:
    assert parsed(nested(40), "cql2-json")["op"] == "not"
    for levels in (60, 100, 10_000):
        with pytest.raises(ValueError, match="nested more than 50 levels deep"):
            parsed(nested(levels), "cql2-json")


def test_size_has_a_limit() -> None:
    with pytest.raises(ValueError, match="more than 100000 values"):
        parsed({"op": "in", "args": [CLOUDS, list(range(200_000))]}, "cql2-json")
    with pytest.raises(ValueError, match="compares with 50001 values, more than 10000"):
        parsed({"op": "in", "args": [CLOUDS, list(range(50_000))]}, "cql2-json")
    assert parsed({"op": "in", "args": [CLOUDS, list(range(9_000))]}, "cql2-json")


def test_language_has_to_be_known() -> None:
    with pytest.raises(ValueError, match="'cql-text' is neither cql2-text nor cql2-json"):
        parsed("true", "cql-text")  # type: ignore[arg-type]  # on purpose
    with pytest.raises(ValueError, match="is not text"):
        parsed({"op": "="}, "cql2-text")


@pytest.mark.parametrize(
    "text",
    [
        '"(" * 100_000 + "a = 1" + ")" * 100_000',
        '"NOT " * 100_000 + "a = 1"',
        '"a = " + "-" * 100_000 + "1"',
        '"a" + " ^ a" * 100_000 + " = 1"',
        '"a" + " = a" * 100_000',
        '"casei(" * 100_000 + "a" + ")" * 100_000 + " = 1"',
        '"a = 1" + " AND a = 1" * 100_000',
        '"a IN (" + "(" * 100_000 + "1" + ")" * 100_000 + ")"',
        '"s_intersects(geometry, POINT" + "(" * 100_000 + "1 1" + ")" * 100_000 + ")"',
        '"s_intersects(geometry, POLYGON((" + "-" * 100_000 + "1 1)))"',
        '"(" * 240 + "a = 1" + ")" * 240',
        '"NOT " * 240 + "a = 1"',
        '"a" + " + a" * 240 + " = 1"',
    ],
)
def test_text_that_nests_deeply_does_not_end_the_process(text: str) -> None:
    """The parser of texts is native code that recurses; it runs in threads, whose stacks are small."""
    program = f"""
import threading
from catalog.cql2 import parsed
threading.stack_size(2 * 1024 * 1024)  # a quarter of what is usual
def run():
    try:
        parsed({text}, "cql2-text")
    except ValueError:
        pass
    print("alive")
thread = threading.Thread(target=run)
thread.start()
thread.join()
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=Path(__file__).parents[1], check=False, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "alive\n"), done.stderr


def test_long_geometry_in_text_is_no_trouble() -> None:
    ring = [(-10 + number / 1000, -5.0) for number in range(2_000)]
    ring += [(x, 5.0) for x, _ in reversed(ring)]
    words = ", ".join(f"{x} {y}" for x, y in [*ring, ring[0]])
    made = parsed(f"s_intersects(geometry, POLYGON(({words})))", "cql2-text")
    assert len(made["args"][1]["coordinates"][0]) == 4_001


scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.sampled_from(["2025-08-01T00:00:00Z"])
)
names = st.sampled_from(
    ["eo:cloud_cover", "id", "datetime", "geometry", "deprecated", "instruments", "x", "a.b", "properties.x", ""]
)
operators = st.sampled_from(
    [*COMPARISONS, *SPATIAL, *TEMPORAL, *ARRAY, *ARITHMETIC, "and", "or", "not", "between", "in", "like", "isNull", "?"]
)
trees = st.recursive(
    st.one_of(
        scalars,
        names.map(lambda name: {"property": name}),
        st.sampled_from([SQUARE, {"bbox": [1, 2, 3, 4]}, {"date": "2025-08-01"}, {"interval": ["..", "2025-08-01"]}]),
        scalars.map(lambda value: {"timestamp": value}),
    ),
    lambda inner: st.one_of(
        st.builds(lambda name, args: {"op": name, "args": args}, operators, st.lists(inner, max_size=3)),
        st.builds(lambda name, args: {"op": name, "args": args}, operators, inner),
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["op", "args", "property", "interval", "type", "coordinates"]), inner),
    ),
    max_leaves=12,
)


@settings(deadline=None, max_examples=500)
@given(tree=trees)
def test_anything_is_a_filter_or_is_refused_and_its_form_is_stable(tree: Any) -> None:
    try:
        made = parsed(tree, "cql2-json")
    except ValueError as error:
        assert "\n" not in str(error)  # noqa: PT017 - a filter is as good
    else:
        assert parsed(made, "cql2-json") == made


CLAUSES = "a|eo:cloud_cover|geometry|datetime|=|<|AND|OR|NOT|(|)|,|'x'|1|-|IN|LIKE|BETWEEN|IS NULL|+|\"|é"
GROUNDS = "s_intersects(|POINT(1 1)|TIMESTAMP('2025-08-01T00:00:00Z')"
words = st.sampled_from(f"{CLAUSES}|{GROUNDS}".split("|"))


@settings(deadline=None, max_examples=300)
@given(text=st.one_of(st.text(max_size=30), st.lists(words, max_size=12).map(" ".join)))
def test_any_text_is_a_filter_or_is_refused(text: str) -> None:
    try:
        made = parsed(text, "cql2-text")
    except ValueError as error:
        assert "\n" not in str(error)  # noqa: PT017 - a filter is as good
    else:
        assert parsed(made, "cql2-json") == made


# --- query ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("operators", "expected"),
    [
        ({"eq": 5}, {"op": "=", "args": [CLOUDS, 5]}),
        ({"neq": 5}, {"op": "<>", "args": [CLOUDS, 5]}),
        ({"lt": 5}, {"op": "<", "args": [CLOUDS, 5]}),
        ({"lte": 5}, {"op": "<=", "args": [CLOUDS, 5]}),
        ({"gt": 5}, {"op": ">", "args": [CLOUDS, 5]}),
        ({"gte": 5}, {"op": ">=", "args": [CLOUDS, 5]}),
        ({"in": [5, 6]}, {"op": "in", "args": [CLOUDS, [5, 6]]}),
        ({"eq": None}, {"op": "isNull", "args": [CLOUDS]}),
        ({"neq": None}, {"op": "not", "args": [{"op": "isNull", "args": [CLOUDS]}]}),
        (
            {"gt": 5, "lt": 6},
            {"op": "and", "args": [{"op": ">", "args": [CLOUDS, 5]}, {"op": "<", "args": [CLOUDS, 6]}]},
        ),
    ],
)
def test_query_of_a_number(operators: dict[str, Any], expected: dict[str, Any]) -> None:
    assert from_query({"eo:cloud_cover": operators}) == expected
    assert from_query({"properties.eo:cloud_cover": operators}) == expected


@pytest.mark.parametrize(
    ("operator", "pattern"),
    [("startsWith", r"a\%\_\\b%"), ("endsWith", r"%a\%\_\\b"), ("contains", r"%a\%\_\\b%")],
)
def test_query_of_text_takes_no_patterns(operator: str, pattern: str) -> None:
    assert from_query({"platform": {operator: "a%_\\b"}}) == {"op": "like", "args": [{"property": "platform"}, pattern]}


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ({}, "query {} is not an object of properties"),
        ([], "query [] is not an object of properties"),
        ({"x": 5}, "query of 'x': 5 is not an object of operators"),
        ({"x": {}}, "query of 'x': {} is not an object of operators"),
        ({"x": {"like": "a"}}, "query of 'x': operator 'like' is unknown"),
        ({"x": {"startsWith": 5}}, "query of 'x': 5 is not text"),
        ({"x": {"in": 5}}, "5 is not a list of values"),
        ({"eo:cloud_cover": {"lt": "ten"}}, "'ten' is not a number"),
        ({"x": {"lt": {}}}, "{} is not a value"),
    ],
)
def test_query_without_a_meaning_is_refused(query: Any, named: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        from_query(query)
    assert named in str(caught.value)


def test_both_filters_must_hold() -> None:
    first, second = parsed("true", "cql2-text"), parsed("false", "cql2-text")
    assert both(first, None, second) == {"op": "and", "args": [first, second]}
    assert both(None, second) == second
    assert both(None, None) is None
