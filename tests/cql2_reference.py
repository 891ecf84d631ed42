"""CQL2 the slow, obvious way: what a filter says of one item, True, False or None (unknown)."""

from __future__ import annotations

import math
import operator
import unicodedata
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from shapely.geometry import shape

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

INSTANTS = {"datetime", "created", "updated", "processing:datetime", "abut:sensing_time", "abut:datastrip_start"}
COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "<>": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
FIRST = datetime.min.replace(tzinfo=UTC)
LAST = datetime.max.replace(tzinfo=UTC)


def evaluate(node: Mapping[str, Any], item: dict[str, Any]) -> bool | None:
    """What a filter says of an item."""
    name, arguments = node["op"], node["args"]
    if name == "not":
        inner = evaluate(arguments[0], item)
        return None if inner is None else not inner
    if name in {"and", "or"}:
        results = [evaluate(argument, item) for argument in arguments]
        decisive = name == "or"
        return decisive if decisive in results else None if None in results else not decisive
    if name == "isNull":
        return value(arguments[0], item) is None
    if name.startswith("s_"):
        grounds = [ground(argument, item) for argument in arguments]
        return None if None in grounds else bool(getattr(grounds[0], name[2:])(grounds[1]))
    if name.startswith("t_"):
        return temporal(name, *(span(argument, item) for argument in arguments))
    if name.startswith("a_"):
        return arrays(name, *(value(argument, item) for argument in arguments))
    if name == "in":
        first = value(arguments[0], item)
        known = [compared("=", first, value(one, item)) for one in arguments[1]]
        return (None if first is None or None in known else False) if True not in known else True
    values = [value(argument, item) for argument in arguments]
    if name == "between":
        low, high = compared(">=", values[0], values[1]), compared("<=", values[0], values[2])
        return False if False in (low, high) else None if None in (low, high) else True
    if name == "like":
        return like(values[0], values[1]) if isinstance(values[0], str) else None
    return compared(name, *values)


def value(node: Any, item: dict[str, Any]) -> Any:
    """What a value is for an item; None if it has none."""
    if not isinstance(node, dict):
        return node
    if "timestamp" in node:
        return datetime.fromisoformat(node["timestamp"])
    if "property" in node:
        return property_of(node["property"], item)
    values = [value(argument, item) for argument in node["args"]]
    if node["op"] == "casei":
        return values[0].casefold() if isinstance(values[0], str) else None
    if node["op"] == "accenti":
        if not isinstance(values[0], str):
            return None
        return "".join(c for c in unicodedata.normalize("NFKD", values[0]) if not unicodedata.combining(c))
    return computed(node["op"], *values)


def property_of(name: str, item: dict[str, Any]) -> Any:
    """A property of an item; those that are instants as such."""
    properties = item["properties"]
    if name in {"id", "collection", "geometry"}:
        return item[name]
    if name == "datetime":
        return datetime.fromisoformat(properties.get("start_datetime") or properties["datetime"])
    found = properties
    for part in name.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    if name in INSTANTS and found is not None:
        return datetime.fromisoformat(found)
    return found


def kind(one: Any) -> type:
    """Type of a value as far as comparing goes."""
    return float if isinstance(one, int | float) and not isinstance(one, bool) else type(one)


def compared(name: str, first: Any, second: Any) -> bool | None:
    """Compare two values; unknown if one is missing or they are of different types."""
    if isinstance(first, str) and isinstance(second, datetime):
        first = moment(first)
    if isinstance(second, str) and isinstance(first, datetime):
        second = moment(second)
    if first is None or second is None or kind(first) is not kind(second) or isinstance(first, list):
        return None
    return COMPARE[name](first, second)


def moment(text: str) -> datetime | None:
    """An instant, or None of text that is none."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def computed(name: str, first: Any, second: Any) -> float | None:
    """Result of arithmetic, or None."""
    if kind(first) is not float or kind(second) is not float:
        return None
    a, b = float(first), float(second)
    operations: dict[str, Callable[[], Any]] = {
        "+": lambda: a + b,
        "-": lambda: a - b,
        "*": lambda: a * b,
        "/": lambda: a / b,
        "%": lambda: math.fmod(a, b),
        "div": lambda: float(math.trunc(a / b)),
        "^": lambda: a**b,
    }
    try:
        result = operations[name]()
    except (ZeroDivisionError, OverflowError, ValueError):
        return None
    return result if isinstance(result, float) and math.isfinite(result) else None


def like(text: str, pattern: str) -> bool:
    """Match by trying everything."""
    if not pattern:
        return not text
    head, rest = pattern[0], pattern[1:]
    if head == "%":
        return any(like(text[start:], rest) for start in range(len(text) + 1))
    if head == "\\" and rest:
        head, rest = rest[0], rest[1:]
        return bool(text) and text[0] == head and like(text[1:], rest)
    return bool(text) and head in {"_", text[0]} and like(text[1:], rest)


def ground(node: Any, item: dict[str, Any]) -> Any:
    """Geometry of an argument."""
    geometry = item["geometry"] if "property" in node else node
    return None if geometry is None else shape(geometry)


def span(node: dict[str, Any], item: dict[str, Any]) -> tuple[datetime | None, datetime | None]:
    """First and last instant of an argument."""
    if "interval" in node:
        first, last = node["interval"]
        return end(first, item, FIRST), end(last, item, LAST)
    if node.get("property") == "datetime":
        properties = item["properties"]
        start = properties.get("start_datetime") or properties["datetime"]
        stop = properties.get("end_datetime") or properties["datetime"]
        return datetime.fromisoformat(start), datetime.fromisoformat(stop)
    one = end(node, item, FIRST)
    return one, one


def end(node: Any, item: dict[str, Any], always: datetime) -> datetime | None:
    """One end of an interval."""
    if node == "..":
        return always
    found = value(node, item) if isinstance(node, dict) else node
    return moment(found) if isinstance(found, str) else found if isinstance(found, datetime) else None


def temporal(
    name: str, left: tuple[datetime | None, datetime | None], right: tuple[datetime | None, datetime | None]
) -> bool | None:
    """Relation of two intervals; unknown if an end that it looks at is."""
    (l0, l1), (r0, r1) = left, right
    pairs = {
        "t_after": [(l0, ">", r1)],
        "t_before": [(l1, "<", r0)],
        "t_contains": [(l0, "<", r0), (l1, ">", r1)],
        "t_during": [(l0, ">", r0), (l1, "<", r1)],
        "t_equals": [(l0, "=", r0), (l1, "=", r1)],
        "t_finishedBy": [(l0, "<", r0), (l1, "=", r1)],
        "t_finishes": [(l0, ">", r0), (l1, "=", r1)],
        "t_intersects": [(l0, "<=", r1), (l1, ">=", r0)],
        "t_disjoint": [(l0, "<=", r1), (l1, ">=", r0)],
        "t_meets": [(l1, "=", r0)],
        "t_metBy": [(l0, "=", r1)],
        "t_overlappedBy": [(l0, ">", r0), (l0, "<", r1), (l1, ">", r1)],
        "t_overlaps": [(l0, "<", r0), (l1, ">", r0), (l1, "<", r1)],
        "t_startedBy": [(l0, "=", r0), (l1, ">", r1)],
        "t_starts": [(l0, "=", r0), (l1, "<", r1)],
    }[name]
    results = [compared(sign, first, second) for first, sign, second in pairs]
    result = False if False in results else None if None in results else True
    return (None if result is None else not result) if name == "t_disjoint" else result


def arrays(name: str, first: Any, second: Any) -> bool | None:
    """Relation of two arrays."""
    if not isinstance(first, list) or not isinstance(second, list):
        return None
    one, other = ([(kind(part), part) for part in values] for values in (first, second))
    return {
        "a_equals": lambda: one == other,
        "a_contains": lambda: all(part in one for part in other),
        "a_containedBy": lambda: all(part in other for part in one),
        "a_overlaps": lambda: any(part in one for part in other),
    }[name]()
