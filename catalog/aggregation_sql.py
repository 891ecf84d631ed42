"""Aggregations as SQL that SQLite and PostgreSQL have in common."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final

from catalog.aggregation import CLOUD_BINS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from catalog.aggregation import Aggregation

_BINS: Final = " ".join(f"WHEN {{0}} < {upper} THEN {lower}" for lower, upper in pairwise(CLOUD_BINS))

HISTOGRAM: Final = f"CASE WHEN {{0}} < 0 THEN NULL {_BINS} WHEN {{0}} = 100 THEN 100 END"
"""Lower end of the bin of a cloud cover, which goes where the braces are; null outside of all."""

SUMMARIES: Final = {"count": "count(*)", "minimum": "min({0})", "maximum": "max({0})"}
"""What one value is made of all items by, by kind of aggregation."""


def counting(
    aggregations: Sequence[Aggregation], expression: Callable[[Aggregation], str], items: str, value: str = "{0}"
) -> str:
    """Return the statement that counts what a search finds: found once, as that may be dear, counted once for each.

    Parameters
    ----------
    aggregations : sequence of Aggregation
        Which; one at least.
    expression : callable
        Returns SQL for what an aggregation looks at of an item.
    items : str
        What follows FROM, its condition too.
    value : str
        How the value of a count, minimum or maximum is returned, such as ``({0})::text``.

    Returns
    -------
    str
        Its rows are the number of the aggregation, the value or key, and how many items have that key.
    """
    columns = {made: f"c{number}" for number, made in enumerate(dict.fromkeys(map(expression, aggregations)))}
    found = ", ".join(f"{made} AS {column}" for made, column in columns.items())
    counts = (_count(number, one, columns[expression(one)], value) for number, one in enumerate(aggregations))
    # S608: what is put into this statement was made here; values are parameters.
    return f"WITH found AS MATERIALIZED (SELECT {found} FROM {items}) {' UNION ALL '.join(counts)}"  # noqa: S608


def _count(number: int, aggregation: Aggregation, column: str, value: str) -> str:
    if aggregation.kind in SUMMARIES:
        return f"SELECT {number}, {value.format(SUMMARIES[aggregation.kind].format(column))}, 0 FROM found"  # noqa: S608
    return f"SELECT {number}, {column}, count(*) FROM found GROUP BY {column}"  # noqa: S608 - names of columns
