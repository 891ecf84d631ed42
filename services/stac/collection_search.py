"""Search of collections. There are few of them: what the database holds is looked through in memory."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import cql2 as evaluator

from abut.period import instant
from catalog.fields import chosen
from catalog.literals import box_geometry
from services.stac import parameters, requests

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime

    from catalog.cql2 import Node
    from catalog.search import SortKey
    from services.stac.parameters import Box

    type Collection = dict[str, Any]
    type Test = Callable[[Collection], bool]


def searched(collections: Iterable[Collection], values: Mapping[str, Any]) -> list[Collection]:
    """Return the collections that match all that is given, in the order that is wanted.

    Parameters
    ----------
    collections : iterable of dict
        Collections as clients get them.
    values : mapping
        Parameters of the request: bbox, datetime, q, filter, sortby.

    Raises
    ------
    ValueError
        If a value has no meaning; the message names the parameter and quotes the value.
    """
    tests = _tests(values)
    found = [collection for collection in collections if all(test(collection) for test in tests)]
    for key in reversed(parameters.sortby(values.get("sortby"))):
        found = _sorted(found, key)
    return found


def presented(collections: Sequence[Collection], values: Mapping[str, Any]) -> list[Collection]:
    """Return collections with the fields that are wanted."""
    fields = parameters.fields(values.get("fields"))
    return [chosen(collection, fields) for collection in collections]


def _tests(values: Mapping[str, Any]) -> list[Test]:
    tests: list[Test] = []
    box, start, stop = requests.ground_and_time(values)
    if box is not None:
        tests.append(lambda collection: _touches(collection, box))
    if start is not None or stop is not None:
        tests.append(lambda collection: _overlaps(collection, start, stop))
    if terms := parameters.names("q", values.get("q")):
        pattern = re.compile("|".join(rf"(?<!\w){re.escape(term)}(?!\w)" for term in terms), re.IGNORECASE)
        tests.append(lambda collection: pattern.search(_text(collection)) is not None)
    if (condition := requests.condition(values)) is not None:
        tests.append(lambda collection: _fulfils(collection, condition))
    return tests


def _touches(collection: Collection, box: Box) -> bool:
    """Whether a box touches one of the boxes of a collection; the first is around the others, if there are others."""
    boxes = collection.get("extent", {}).get("spatial", {}).get("bbox", [])
    wanted = box_geometry(box)
    return any(
        wanted.intersects(box_geometry(made)) for made in map(parameters.bbox, boxes[1:] or boxes) if made is not None
    )


def _overlaps(collection: Collection, start: datetime | None, stop: datetime | None) -> bool:
    intervals = collection.get("extent", {}).get("temporal", {}).get("interval", [])
    for first, last in intervals[1:] or intervals:
        begins_late = stop is not None and first is not None and instant(first) > stop
        ends_early = start is not None and last is not None and instant(last) < start
        if not (begins_late or ends_early):
            return True
    return False


def _text(collection: Collection) -> str:
    parts = [collection["id"], collection.get("title"), collection.get("description"), *collection.get("keywords", [])]
    return "\n".join(part for part in parts if isinstance(part, str))


def _fulfils(collection: Collection, condition: Node) -> bool:
    # Its members are what filters name. A comparison with what it lacks is neither true nor false: no match.
    try:
        return bool(evaluator.Expr(condition).matches(collection))
    except Exception:  # noqa: BLE001 - cql2 raises no other
        return False


def _sorted(collections: list[Collection], key: SortKey) -> list[Collection]:
    """Return collections sorted by one key, those that lack it last."""
    kinds = (str, int, float)
    having = [collection for collection in collections if isinstance(collection.get(key.property), kinds)]
    lacking = [collection for collection in collections if not isinstance(collection.get(key.property), kinds)]
    by_value = sorted(having, key=lambda collection: _rank(collection[key.property]), reverse=key.descending)
    return by_value + lacking


def _rank(value: Any) -> tuple[bool, Any]:
    return isinstance(value, str), value
