"""What is true of many items together: aggregations of a search, and the extent of a collection."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from catalog.aggregation import CLOUD_BINS, MAX_BUCKETS, counted, distributed, wanted
from catalog.aggregation_sql import HISTOGRAM, SUMMARIES, counting
from catalog.literals import EPOCH, timestamp
from catalog.plan import conditions, plan
from catalog.rows import PROMOTED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from catalog.aggregation import Aggregation
    from catalog.functions import Reader
    from catalog.search import Search

_EXPRESSIONS: Final = {
    "months": "strftime('%Y-%m-01T00:00:00Z', {0} / 1000000 - ({0} % 1000000 < 0), 'unixepoch')",
    "histogram": HISTOGRAM,
}
_HALVES: Final = 180.0


def aggregate(reader: Reader, search: Search, names: Sequence[str]) -> list[dict[str, Any]]:
    """Return aggregations of all that a search finds.

    Raises
    ------
    ValueError
        If there is no such aggregation.
    """
    aggregations = wanted(names)
    if not aggregations:
        return []
    planned = plan(conditions(search), reader)
    statement = counting(aggregations, _expression, f"{planned.source} WHERE {planned.where}")
    rows: list[list[tuple[Any, int]]] = [[] for _ in aggregations]
    for number, value, count in reader.connection.execute(statement, planned.parameters):
        rows[number].append((value, count))
    return [answer(one, some) for one, some in zip(aggregations, rows, strict=True)]


def extent(reader: Reader, collection: str) -> tuple[list[float], list[str]] | None:
    """Return bounding box and first and last datetime of the items of a collection that can be found, or None.

    West is greater than east if the items lie about 180 degrees.
    """
    statement = """
        SELECT min(datetime), max(until), min(west), max(east), min(south), max(north),
            min(west) FILTER (WHERE west >= 0), max(CASE WHEN west < 0 THEN east ELSE east - 360 END)
        FROM items INDEXED BY items_by_time WHERE collection = ? AND NOT withdrawn
        """
    least = reader.connection.execute(statement, (collection,)).fetchone()
    return extent_of_all(least[:2], least[2:6], least[6:])


def extent_of_all(
    times: Sequence[int | None], box: Sequence[float | None], halves: Sequence[float | None]
) -> tuple[list[float], list[str]] | None:
    """Return bounding box and first and last datetime of items from the least and largest of theirs.

    Parameters
    ----------
    times : sequence
        First and last, in microseconds since 1970; None without items.
    box : sequence
        West, east, south and north of the boxes of the items; None if none has a geometry.
    halves : sequence
        The least west of boxes that start in the eastern hemisphere, and the largest east of all where those are
        taken a turn back: what lies about 180 degrees.
    """
    first, last = times
    west, east, south, north = box
    east_side, west_side = halves
    if first is None or last is None:
        return None
    ends = [timestamp(EPOCH + timedelta(microseconds=moment)) for moment in (first, last)]
    if west is None or east is None or south is None or north is None:
        return [-180.0, -90.0, 180.0, 90.0], ends
    if east > _HALVES or east - west > _HALVES:
        # Seen from 180 degrees: those of the western hemisphere a turn further.
        if east_side is not None and west_side is not None and west_side + 360 - east_side < min(east - west, 360):
            west, east = east_side, west_side
        elif east > _HALVES:
            west, east = -180.0, 180.0
    return [west, south, east, north], ends


def _expression(aggregation: Aggregation) -> str:
    if aggregation.kind == "count":
        return "1"
    column = "datetime" if aggregation.property == "datetime" else PROMOTED[aggregation.property][0]
    return _EXPRESSIONS.get(aggregation.kind, "{0}").format(f"i.{column}")


def answer(aggregation: Aggregation, rows: list[tuple[Any, int]]) -> dict[str, Any]:
    """Return the answer of an aggregation.

    Parameters
    ----------
    aggregation : Aggregation
        Which.
    rows : list of (value, count)
        One row with the value of a count, minimum or maximum (instants in microseconds since 1970); else keys, null
        where items have none, and how many items have them.
    """
    if aggregation.kind in SUMMARIES:
        (value, _) = rows[0]
        instant = aggregation.kind != "count" and value is not None
        return counted(aggregation, timestamp(EPOCH + timedelta(microseconds=value)) if instant else value)
    if aggregation.kind == "histogram":
        numbers = dict(rows)
        return distributed(aggregation, [(lower, numbers.get(lower, 0)) for lower in CLOUD_BINS])
    buckets = [(key, count) for key, count in rows if key is not None]
    if aggregation.kind == "months":
        return distributed(aggregation, sorted(buckets))
    buckets.sort(key=lambda bucket: (-bucket[1], str(bucket[0])))
    overflow = sum(count for _, count in buckets[MAX_BUCKETS:])
    return distributed(aggregation, buckets[:MAX_BUCKETS], overflow)
