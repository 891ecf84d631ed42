"""Aggregations and extents in PostgreSQL: of what ``abut.items`` has of each item in a few bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from catalog.aggregation_sql import HISTOGRAM, counting
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

_CLOUDS: Final = f"({HISTOGRAM})::text"
_MONTH: Final = "to_char(i.datetime AT TIME ZONE 'UTC', 'YYYY-MM-01\"T00:00:00Z\"')"


def counts(search: Search, aggregations: Sequence[Aggregation]) -> tuple[str, list[Any]]:
    """Return the statement that counts what a search finds, and its values.

    Its rows are the number of the aggregation, the key as text (null of items that have none) or the value, and how
    many items there are of that key.
    """
    parameters = Parameters()
    condition = where(search, parameters)
    items = f"pgstac.items i JOIN abut.items d ON (d.collection, d.id) = (i.collection, i.id) WHERE {condition}"
    return counting(aggregations, _expression, items, "({0})::text"), parameters.values


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
