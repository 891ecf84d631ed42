"""Filters in CQL2, in the one form of `catalog.cql2`, as SQL conditions on ``pgstac.items i``; values are parameters.

Logic has three values, as in SQL: what an item lacks is neither equal nor unequal to anything.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

import shapely
from shapely.geometry import shape

from abut.period import instant
from catalog import pgstac_values as values
from catalog.cql2_operators import ARRAY, COMPARISONS, SAME, SPATIAL, TEMPORAL
from catalog.cql2_values import kind_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from catalog.pgstac_values import Parameters
    from catalog.queryables import Kind

_FOLDING: Final = {"casei": "folded", "accenti": "unaccented"}
_ARRAYS: Final = {"text": "text[]", "number": "float8[]", "boolean": "boolean[]", "instant": "timestamptz[]"}
_UNKNOWN: Final[tuple[Kind, ...]] = ("number", "text", "boolean")
"""What two properties of unknown kind are compared as, if both are."""


def condition(node: Mapping[str, Any], parameters: Parameters, *, negated: bool = False) -> str:
    """Return the SQL of a condition.

    Parameters
    ----------
    node : mapping
        What `catalog.cql2.parsed` returns, or a part of it.
    parameters : Parameters
        Gets the values.
    negated : bool
        Whether it stands in a ``not``, where false and unknown are not the same.
    """
    name, arguments = node["op"], node["args"]
    if name in {"and", "or"}:
        return f"({f' {name.upper()} '.join(condition(part, parameters, negated=negated) for part in arguments)})"
    if name == "not":
        return f"(NOT {condition(arguments[0], parameters, negated=True)})"
    if name in COMPARISONS:
        return _comparison(name, arguments, parameters)
    if name == "between":
        return _comparison("BETWEEN", arguments, parameters)
    if name == "in":
        return _in(arguments, parameters)
    if name == "like":
        return f"({_value(arguments[0], 'text', parameters)} LIKE {_pattern(arguments[1], parameters)})"
    if name == "isNull":
        return _is_null(arguments[0], parameters)
    if name in SPATIAL:
        return _spatial(name, arguments, parameters, negated=negated)
    if name in TEMPORAL:
        return _temporal(name, arguments, parameters)
    if name in ARRAY:
        return _array(name, arguments, parameters)
    raise ValueError(f"operator {name!r} is unknown")


def _kind(arguments: list[Any]) -> Kind | None:
    """Return what arguments are compared as: the kind of any of which it is known."""
    return next(filter(None, map(kind_of, arguments)), None)


def _value(node: Any, kind: Kind, parameters: Parameters, *, ordered: bool = True) -> str:
    """Return the SQL of an expression of a kind; text in order of its code points, or without order."""
    if isinstance(node, bool):
        return parameters.add(node, "boolean")
    if isinstance(node, int | float):
        return values.number(node, parameters)
    if isinstance(node, str):
        return values.text(node, parameters, ordered=ordered)
    if "timestamp" in node:
        return values.instant(instant(node["timestamp"]), parameters)
    if "property" in node:
        return values.typed(node["property"], kind, parameters, ordered=ordered)
    name = node["op"]
    if name in _FOLDING:
        made = f"abut.{_FOLDING[name]}({_value(node['args'][0], 'text', parameters, ordered=False)})"
        return f'({made} COLLATE "C")' if ordered else made
    left, right = (_value(argument, "number", parameters) for argument in node["args"])
    return f"abut.calculated({parameters.add(name, 'text')}, {left}, {right})"


def _comparison(operator: str, arguments: list[Any], parameters: Parameters) -> str:
    ordered = operator not in {"=", "<>"}

    def compared(kind: Kind) -> str:
        first, *rest = (_value(argument, kind, parameters, ordered=ordered) for argument in arguments)
        return f"({first} {operator} {' AND '.join(rest)})"

    kind = _kind(arguments)
    return compared(kind) if kind else f"coalesce({', '.join(map(compared, _UNKNOWN))})"


def _in(arguments: list[Any], parameters: Parameters) -> str:
    first, listed = arguments
    kind = _kind([first, *listed]) or "text"
    subject = _value(first, kind, parameters, ordered=False)
    if kind == "text" and not all(isinstance(value, str) for value in listed):
        made = ", ".join(_value(value, kind, parameters, ordered=False) for value in listed)
        return f"({subject} IN ({made}))"
    # As one value: a statement can't have as many as a filter.
    plain = [
        instant(value["timestamp"]) if kind == "instant" else float(value) if kind == "number" else value
        for value in listed
    ]
    return f"({subject} = ANY({parameters.add(plain, _ARRAYS[kind])}))"


def _pattern(node: Any, parameters: Parameters) -> str:
    """Return the SQL of a pattern; a backslash that escapes nothing stands for itself."""
    if not isinstance(node, str):
        return f'(abut.{_FOLDING[node["op"]]}({_pattern(node["args"][0], parameters)}) COLLATE "C")'
    return values.text(re.sub(r"\\([%_\\])|\\", lambda found: found[0] if found[1] else r"\\", node), parameters)


def _is_null(node: Any, parameters: Parameters) -> str:
    if isinstance(node, dict) and "property" in node:
        name = node["property"]
        if name == "geometry":
            return "ST_IsEmpty(i.geometry)"
        return f"({values.COLUMNS.get(name) or values.plain(name, parameters)} IS NULL)"
    return f"({_value(node, kind_of(node) or 'text', parameters)} IS NULL)"


def _spatial(name: str, arguments: list[Any], parameters: Parameters, *, negated: bool) -> str:
    own = ["property" in argument for argument in arguments]
    if all(own):
        return f"(CASE WHEN NOT ST_IsEmpty(i.geometry) THEN {str(name in SAME).lower()} END)"
    made = [
        "i.geometry" if is_own else geometry(shape(argument), parameters)
        for is_own, argument in zip(own, arguments, strict=True)
    ]
    if name == "s_intersects":
        test = f"ST_Intersects({', '.join(made)})"
    else:
        test = f"abut.related({parameters.add(name, 'text')}, {', '.join(made)})"
        if name != "s_disjoint":
            test = f"({' && '.join(made)} AND {test})"  # what the index finds
    if not any(own) or not (negated or name == "s_disjoint"):
        return test
    # An item without a geometry is neither here nor elsewhere.
    return f"(CASE WHEN NOT ST_IsEmpty(i.geometry) THEN {test} END)"


def geometry(area: Any, parameters: Parameters) -> str:
    """Return a shapely geometry in longitude and latitude."""
    return f"ST_GeomFromWKB({parameters.add(shapely.to_wkb(area), 'bytea')}, 4326)"


def _temporal(name: str, arguments: list[Any], parameters: Parameters) -> str:
    # Only those that are named: values that no condition has are an error to PostgreSQL.
    names = re.findall(r"{(\w+)}", TEMPORAL[name])
    ends = {one: _end(arguments["lr".index(one[0])], parameters, last=one[1] == "1") for one in dict.fromkeys(names)}
    return f"({TEMPORAL[name].format(**ends)})"


def _end(node: Any, parameters: Parameters, *, last: bool) -> str:
    """Return the first or last instant of an argument, or of an end of an interval."""
    if node == "..":
        return f"'{'' if last else '-'}infinity'::timestamptz"
    if not isinstance(node, dict):
        return values.instant(instant(node), parameters)
    if "interval" in node:
        return _end(node["interval"][last], parameters, last=last)
    if node.get("property") == "datetime":
        return "i.end_datetime" if last else "i.datetime"
    return _value(node, "instant", parameters)


def _array(name: str, arguments: list[Any], parameters: Parameters) -> str:
    left, right = (
        values.typed(argument["property"], "array", parameters)
        if isinstance(argument, dict)
        else parameters.add(json.dumps(argument), "text") + "::jsonb"
        for argument in arguments
    )
    return {
        "a_equals": f"({left} = {right})",
        "a_contains": f"({left} @> {right})",
        "a_containedBy": f"({left} <@ {right})",
        "a_overlaps": f"abut.overlapping({left}, {right})",
    }[name]
