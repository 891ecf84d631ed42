"""Aggregations and extents in PostgreSQL: of what ``abut.items`` has of each item in a few bytes."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from catalog.aggregation import AGGREGATIONS, CLOUD_BINS
from catalog.pgstac_query import where
from catalog.pgstac_values import Parameters
from catalog.totals import answer

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from catalog.aggregation import Aggregation
    from catalog.search import Search

EXTENT: Final = """
    SELECT min(first_moment), max(last_moment), min(west), max(east), min(south), max(north),
        min(west) FILTER (WHERE west >= 0), max(CASE WHEN west < 0 THEN east ELSE east - 360 END)
    FROM abut.items WHERE collection = $1 AND NOT withdrawn
"""
"""Statement of the least and largest sides and times of a collection, for `catalog.totals.extent_of_all`."""

_NAMES: Final = {aggregation.name: aggregation for aggregation in AGGREGATIONS}
_BINS: Final = " ".join(f"WHEN {{0}} < {upper} THEN {lower}" for lower, upper in pairwise(CLOUD_BINS))
_CLOUDS: Final = f"(CASE WHEN {{0}} < 0 THEN NULL {_BINS} WHEN {{0}} = 100 THEN 100 END)::text"
_MONTH: Final = "to_char(i.datetime AT TIME ZONE 'UTC', 'YYYY-MM-01\"T00:00:00Z\"')"
_SUMMARIES: Final = {"count": "count(*)", "minimum": "min({0})", "maximum": "max({0})"}


def wanted(names: Sequence[str]) -> list[Aggregation]:
    """Return the aggregations of some names.

    Raises
    ------
    ValueError
        If there is no such aggregation.
    """
    for unknown in (name for name in names if name not in _NAMES):
        raise ValueError(f"aggregation {unknown!r} is unknown; there are {', '.join(_NAMES)}")
    return [_NAMES[name] for name in names]


def counts(search: Search, aggregations: Sequence[Aggregation]) -> tuple[str, list[Any]]:
    """Return the statement that counts what a search finds, and its values.

    Its rows are the number of the aggregation, the key as text (null of items that have none) or the value, and how
    many items there are of that key.
    """
    parameters = Parameters()
    condition = where(search, parameters)
    expressions = dict.fromkeys(_expression(aggregation) for aggregation in aggregations)
    columns = {expression: f"c{number}" for number, expression in enumerate(expressions)}
    found = ", ".join(f"{expression} AS {column}" for expression, column in columns.items())
    parts = [_count(number, one, columns[_expression(one)]) for number, one in enumerate(aggregations)]
    # S608: what is put into this statement was made here; values are parameters.
    statement = f"""
        WITH found AS MATERIALIZED (
            SELECT {found} FROM pgstac.items i JOIN abut.items d ON (d.collection, d.id) = (i.collection, i.id)
            WHERE {condition}
        ) {" UNION ALL ".join(parts)}
    """  # noqa: S608
    return statement, parameters.values


def answers(aggregations: Sequence[Aggregation], rows: Iterable[Sequence[Any]]) -> list[dict[str, Any]]:
    """Return the answers to the rows of `counts`."""
    found: list[list[tuple[Any, int]]] = [[] for _ in aggregations]
    for number, key, count in rows:
        kind = aggregations[number].kind
        numeric = key is not None and kind not in {"terms", "months"}
        found[number].append((int(key) if numeric else key, count))
    return [answer(one, some) for one, some in zip(aggregations, found, strict=True)]


def _expression(aggregation: Aggregation) -> str:
    if aggregation.kind == "count":
        return "1"
    if aggregation.kind == "months":
        return _MONTH
    if aggregation.property == "datetime":
        return "d.first_moment"
    # S608: the name is one of ours.
    text = f"(d.facts ->> '{aggregation.property}')"
    return _CLOUDS.format(f"{text}::float8") if aggregation.kind == "histogram" else text


def _count(number: int, aggregation: Aggregation, column: str) -> str:
    if aggregation.kind in _SUMMARIES:
        return f"SELECT {number}, ({_SUMMARIES[aggregation.kind].format(column)})::text, 0 FROM found"  # noqa: S608
    return f"SELECT {number}, {column}, count(*) FROM found GROUP BY {column}"  # noqa: S608 - names of columns
