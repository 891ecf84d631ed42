"""What a filter says that tells where to look for matches: what must hold in any case."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from abut.period import instant
from catalog.cql2_sql import COLUMNS
from catalog.ground import Area, geometry_area
from catalog.literals import microseconds

if TYPE_CHECKING:
    from collections.abc import Mapping

_TOUCHING: Final = frozenset(
    {"s_intersects", "s_equals", "s_touches", "s_within", "s_overlaps", "s_crosses", "s_contains"}
)
_SHARING: Final = frozenset({"t_intersects", "t_equals", "t_during", "t_contains", "t_starts", "t_finishes"})
_BACKWARDS: Final = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "=": "="}


@dataclass(slots=True)
class Hints:
    """Keys, areas and time of all matches of a filter."""

    keys: dict[str, int] = field(default_factory=dict)
    """Columns that must be equal to given values, and to how many at most."""
    areas: list[Area] = field(default_factory=list)
    """Areas that geometries must touch."""
    start: float = -math.inf
    """First microsecond of the time that items must share."""
    stop: float = math.inf
    """Last microsecond of it."""

    def share(self, start: float, stop: float) -> None:
        """Narrow the time."""
        self.start, self.stop = max(self.start, start), min(self.stop, stop)


def hints(condition: Mapping[str, Any]) -> Hints:
    """Return what is true of all matches of a filter, as `catalog.cql2.parsed` returns it."""
    made = Hints()
    _collect(condition, made)
    return made


def _collect(condition: Mapping[str, Any], made: Hints) -> None:
    operator, arguments = condition["op"], condition["args"]
    if operator == "and":
        for argument in arguments:
            _collect(argument, made)
    elif operator in {"=", "in"} and _column(arguments[0]) and not _names(arguments[1]):
        number = len(arguments[1]) if operator == "in" else 1
        made.keys[_column(arguments[0])] = min(number, made.keys.get(_column(arguments[0]), number))
    elif operator in _TOUCHING:
        made.areas += [geometry_area(argument) for argument in arguments if "property" not in argument][:1]
        # Of two literals none is an item's; the condition is a constant then.
        if not any("property" in argument for argument in arguments):
            made.areas.pop()
    elif operator in _SHARING and arguments[0] == {"property": "datetime"}:
        made.share(*_span(arguments[1]))
    if operator in _BACKWARDS:
        first, second = arguments
        if first == {"property": "datetime"} and _is_instant(second):
            made.share(*_side(operator, second))
        elif second == {"property": "datetime"} and _is_instant(first):
            made.share(*_side(_BACKWARDS[operator], first))
    elif operator == "between" and arguments[0] == {"property": "datetime"}:
        first, second = (_moment(end) if _is_instant(end) else None for end in arguments[1:])
        made.share(-math.inf if first is None else first, math.inf if second is None else second)


def _column(node: Any) -> str:
    return COLUMNS[node["property"]][0] if isinstance(node, dict) and node.get("property") in COLUMNS else ""


def _names(node: Any) -> bool:
    """Whether a value depends on the item; lists have literals only."""
    return isinstance(node, dict) and "timestamp" not in node


def _is_instant(node: Any) -> bool:
    return isinstance(node, dict) and "timestamp" in node


def _moment(node: Mapping[str, Any]) -> float:
    return microseconds(instant(node["timestamp"]))


def _side(operator: str, node: Mapping[str, Any]) -> tuple[float, float]:
    moment = _moment(node)
    return (-math.inf if operator in {"<", "<="} else moment), (math.inf if operator in {">", ">="} else moment)


def _span(node: Mapping[str, Any]) -> tuple[float, float]:
    """Return the ends of an instant or interval; open where they depend on the item."""
    if _is_instant(node):
        return _moment(node), _moment(node)
    start, stop = node.get("interval", ("..", ".."))
    first = microseconds(instant(start)) if isinstance(start, str) and start != ".." else -math.inf
    last = microseconds(instant(stop)) if isinstance(stop, str) and stop != ".." else math.inf
    return first, last
