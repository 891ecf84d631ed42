"""Filters as SQL conditions with parameters, for the embedded catalogue.

A condition is NULL where CQL2 says *unknown*: where a property that it needs is missing, or of another type.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from abut.period import instant
from catalog.cql2_operators import SAME, TEMPORAL
from catalog.cql2_values import ARITHMETIC, is_literal, kind_of
from catalog.functions import accenti, casei, relate
from catalog.ground import Area, geometry_area
from catalog.literals import microseconds
from catalog.queryables import KINDS, Kind
from catalog.rows import PROMOTED

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

type Sql = tuple[str, list[Any]]
"""SQL and the parameters of its placeholders."""

COLUMNS: Final[dict[str, tuple[str, Kind]]] = {
    "id": ("id", "text"),
    "collection": ("collection", "text"),
    "datetime": ("datetime", "instant"),
    **PROMOTED,
}
"""Column and kind by name of property."""

_GEOMETRY: Final = "(SELECT geometry FROM details WHERE rid = i.rid)"
_ALWAYS: Final = 2**62


@dataclass(slots=True)
class Compiler:
    """Turns filters into SQL; the geometries that they name come together in `shapes`."""

    shapes: list[Any] = field(default_factory=list)
    """Geometries, by the numbers that the SQL has."""

    def condition(self, node: Mapping[str, Any]) -> Sql:
        """Return the SQL of a condition, as `catalog.cql2.parsed` returns it."""
        operator, arguments = node["op"], node["args"]
        if operator in {"and", "or"}:
            return joined(f" {operator.upper()} ", [self.condition(argument) for argument in arguments])
        if operator == "not":
            sql, parameters = self.condition(arguments[0])
            return f"NOT ({sql})", parameters
        if operator == "isNull":
            return self._is_null(arguments[0])
        if operator.startswith("s_"):
            return self._spatial(operator, *arguments)
        if operator.startswith("t_"):
            return self._temporal(operator, *arguments)
        if operator.startswith("a_"):
            return formatted(f"arrays('{operator}', {{}}, {{}})", [self._array(one) for one in arguments])
        if operator == "like":
            return formatted("likes({}, ?)", [self.value(arguments[0], "text")], [_folded(arguments[1])])
        return self._comparison(operator, arguments)

    def area(self, area: Area, operator: str = "s_intersects") -> Sql:
        """Return the condition on the relation of an item's geometry to an area: its box first, then exactly."""
        self.shapes.append(area.geometry)
        where = _GEOMETRY if len(self.shapes) == 1 else "i.rid"
        exact = f"relation('{operator}', ?, {where})", [len(self.shapes) - 1]
        if operator == "s_disjoint":
            return exact
        if operator == "s_intersects":
            exact = formatted("CASE WHEN {} THEN 1 ELSE {} END", [area.inside("i"), exact])
        return formatted("({} AND {})", [area.touched("i"), exact])

    def value(self, node: Any, kind: Kind | None) -> Sql:
        """Return the SQL of a value that is compared as one of a kind."""
        if isinstance(node, Mapping) and "property" in node:
            return self._property(node["property"], kind)
        if isinstance(node, Mapping) and "timestamp" in node:
            return "?", [microseconds(instant(node["timestamp"]))]
        if not isinstance(node, Mapping):
            return "?", [int(node) if isinstance(node, bool) else node]
        if node["op"] in ARITHMETIC:
            computed = [self.value(argument, "number") for argument in node["args"]]
            return formatted(f"arithmetic('{node['op']}', {{}}, {{}})", computed)
        if is_literal(node):
            return "?", [_folded(node)]
        return formatted(f"{node['op']}({{}})", [self.value(node["args"][0], "text")])

    def _property(self, name: str, kind: Kind | None) -> Sql:
        if name in COLUMNS:
            return f"i.{COLUMNS[name][0]}", []
        return "property(?, ?, i.rid)", [name, kind or KINDS.get(name) or "any"]

    def _is_null(self, node: Any) -> Sql:
        if isinstance(node, Mapping) and node.get("property") == "geometry":
            return "i.west IS NULL", []
        kind = kind_of(node)
        if isinstance(node, Mapping) and "property" in node and node["property"] not in COLUMNS:
            return "property(?, 'any', i.rid) IS NULL", [node["property"]]
        return formatted("({}) IS NULL", [self.value(node, kind)])

    def _comparison(self, operator: str, arguments: Sequence[Any]) -> Sql:
        compared = [arguments[0], *arguments[1]] if operator == "in" else arguments
        kind = next((known for one in compared if (known := kind_of(one))), None)
        if operator == "in":
            values = [self.value(one, kind)[1][0] for one in compared[1:]]
            first = self.value(arguments[0], kind)
            return formatted("{} IN (SELECT value FROM json_each(?))", [first], [json.dumps(values)])
        template = "{} BETWEEN {} AND {}" if operator == "between" else f"{{}} {operator} {{}}"
        if kind is not None:
            return formatted(template, [self.value(one, kind) for one in arguments])
        # No type is known: numbers are compared with numbers, text with text, and so on.
        kinds: tuple[Kind, ...] = ("number", "text", "boolean")
        each = [formatted(template, [self.value(one, known) for one in arguments]) for known in kinds]
        return formatted("coalesce({}, {}, {})", each)

    def _spatial(self, operator: str, first: Mapping[str, Any], second: Mapping[str, Any]) -> Sql:
        if "property" in first and "property" in second:
            return f"CASE WHEN i.west IS NOT NULL THEN {int(operator in SAME)} END", []
        if "property" not in first and "property" not in second:
            return self._constant(operator, first, second)
        if "property" in second:
            swapped = {"s_within": "s_contains", "s_contains": "s_within"}
            operator, second = swapped.get(operator, operator), first
        return self.area(geometry_area(second), operator)

    @staticmethod
    def _constant(operator: str, first: Mapping[str, Any], second: Mapping[str, Any]) -> Sql:
        left, right = geometry_area(first).geometry, geometry_area(second).geometry
        return "?", [relate(operator, left, right)]

    def _temporal(self, operator: str, first: Mapping[str, Any], second: Mapping[str, Any]) -> Sql:
        ends = dict(zip(("l0", "l1", "r0", "r1"), (*self._ends(first), *self._ends(second)), strict=True))
        template = TEMPORAL[operator]
        names = [part.partition("}")[0] for part in template.split("{")[1:]]
        return formatted(f"({template.format(l0='{}', l1='{}', r0='{}', r1='{}')})", [ends[name] for name in names])

    def _ends(self, node: Mapping[str, Any]) -> tuple[Sql, Sql]:
        if "interval" in node:
            start, stop = node["interval"]
            return self._end(start, -_ALWAYS, 0), self._end(stop, _ALWAYS, 1)
        if node.get("property") == "datetime":
            return ("i.datetime", []), ("i.until", [])
        end = self.value(node, "instant")
        return end, end

    def _end(self, end: Any, always: int, side: int) -> Sql:
        if end == "..":
            return "?", [always]
        return self._ends(end if isinstance(end, Mapping) else {"timestamp": end})[side]

    def _array(self, node: Any) -> Sql:
        if isinstance(node, Mapping):
            return self._property(node["property"], "array")
        return "?", [json.dumps(node)]


def joined(word: str, conditions: Sequence[Sql]) -> Sql:
    """Join conditions in pairs of pairs: SQLite limits how deep an expression is."""
    if len(conditions) == 1:
        return conditions[0]
    middle = len(conditions) // 2
    halves = [joined(word, conditions[:middle]), joined(word, conditions[middle:])]
    return formatted(f"({{}}{word}{{}})", halves)


def formatted(template: str, parts: Iterable[Sql], more: Iterable[Any] = ()) -> Sql:
    """Put SQL into a template; parameters in order, `more` after them."""
    given = list(parts)
    return template.format(*(sql for sql, _ in given)), [*(value for _, values in given for value in values), *more]


def _folded(node: Any) -> str:
    """Return a text literal, functions applied."""
    if not isinstance(node, Mapping):
        return str(node)
    function = casei if node["op"] == "casei" else accenti
    return function(_folded(node["args"][0])) or ""
