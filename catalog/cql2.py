"""Filters in CQL2, checked and in one form of its JSON encoding, which is what the databases get."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

from abut.messages import quoted
from catalog import cql2_values as values
from catalog.cql2_operators import ARRAY, COMPARISONS, SPATIAL, TEMPORAL
from catalog.cql2_text import NUMBER, tree_of_json, tree_of_text
from catalog.literals import geometry_or_box
from catalog.queryables import KINDS

type Node = dict[str, Any]
"""A condition or an expression of CQL2-JSON."""

MAX_DEPTH: Final = 50
"""Levels of a filter."""

MAX_NODES: Final = 100_000
"""Values of a filter, coordinates included."""

MAX_CONDITIONS: Final = 1_000
"""Operators and functions of a filter: databases limit the parameters of a statement."""

MAX_VALUES: Final = 10_000
"""Values that a filter compares with, geometries counted as one each; databases take no more than some 32,000."""

_LOGICAL: Final = frozenset({"and", "or", "not"})
_NAMES: Final = {
    name.lower(): name
    for name in (*COMPARISONS, *SPATIAL, *TEMPORAL, *ARRAY, *_LOGICAL, "between", "in", "like", "isNull")
}
_QUERY_OPERATORS: Final = {"eq": "=", "neq": "<>", "lt": "<", "lte": "<=", "gt": ">", "gte": ">="}
_QUERY_PATTERNS: Final = {"startsWith": "{}%", "endsWith": "%{}", "contains": "%{}%"}


def parsed(expression: str | Mapping[str, Any], language: Literal["cql2-text", "cql2-json"]) -> Node:
    """Return a filter as CQL2-JSON in one form.

    Names of properties lose ``properties.``, names of operators are written as in the standard, arguments are lists,
    whole numbers are integers, instants are ``{"timestamp": <RFC 3339 in UTC>}`` (plain text too, where a property
    known to be an instant is compared with it), dates in intervals are instants, boxes are polygons.

    Parameters
    ----------
    expression : str or mapping
        The filter; CQL2-JSON may come as text too.
    language : str
        ``cql2-text`` or ``cql2-json``.

    Raises
    ------
    ValueError
        If it is no condition, or one that can't be answered: unknown operators or functions, wrong arguments,
        geometries and times that are none, text compared with numbers, or absurd size; the message quotes the value.
    """
    if language == "cql2-text":
        if not isinstance(expression, str):
            raise ValueError(f"filter {quoted(expression)} is not text")
        return condition(tree_of_text(expression))
    if language != "cql2-json":
        raise ValueError(f"filter language {quoted(language)} is neither cql2-text nor cql2-json")
    node = tree_of_json(expression) if isinstance(expression, str) else expression
    _measure(node)
    return _of_bearable_size(condition(node))


def from_query(query: Mapping[str, Any]) -> Node:
    """Return a search of the ``query`` extension as CQL2-JSON, as `parsed` returns it.

    Parameters
    ----------
    query : mapping
        Operators (eq, neq, lt, lte, gt, gte, startsWith, endsWith, contains, in) and values by property, such as
        ``{"eo:cloud_cover": {"lt": 10}}``.

    Raises
    ------
    ValueError
        If it has operators or values that have no meaning, or nothing at all.
    """
    if not isinstance(query, Mapping) or not query:
        raise ValueError(f"query {quoted(query)} is not an object of properties")
    conditions = []
    for name, operators in query.items():
        if not isinstance(operators, Mapping) or not operators:
            raise ValueError(f"query of {name!r}: {quoted(operators)} is not an object of operators")
        conditions += [_from_operator(name, operator, value) for operator, value in operators.items()]
    return parsed(conditions[0] if len(conditions) == 1 else {"op": "and", "args": conditions}, "cql2-json")


def both(*filters: Node | None) -> Node | None:
    """Return the filter of what matches all given ones; None without any."""
    given = [one for one in filters if one is not None]
    if len(given) < 2:
        return given[0] if given else None
    return {"op": "and", "args": given}


def _measure(node: Any) -> None:
    """Refuse what is absurdly large before anything recurses into it."""
    level, count, operators = [node], 0, 0
    for _ in range(4 * MAX_DEPTH):
        count += len(level)
        operators += sum(isinstance(part, Mapping) and "op" in part for part in level)
        if count > MAX_NODES:
            raise ValueError(f"filter of more than {MAX_NODES} values")
        if operators > MAX_CONDITIONS:
            raise ValueError(f"filter of more than {MAX_CONDITIONS} conditions")
        inner = (part.values() if isinstance(part, Mapping) else part for part in level if _nests(part))
        level = [value for values_of in inner for value in values_of]
        if not level:
            return
    raise ValueError(f"filter nested more than {MAX_DEPTH} levels deep")


def _of_bearable_size(made: Node) -> Node:
    """Return a filter, unless it compares with more values than databases can be handed at once."""
    compared, todo = 0, [made]
    while todo:
        part = todo.pop()
        if isinstance(part, dict) and "op" in part:
            todo += part["args"]
        elif isinstance(part, list):
            todo += part
        else:
            compared += 1
    if compared > MAX_VALUES:
        raise ValueError(f"filter compares with {compared} values, more than {MAX_VALUES}")
    return made


def _nests(part: Any) -> bool:
    return isinstance(part, Mapping | list | tuple)


def condition(node: Any, depth: int = 0) -> Node:
    """Return a condition in its one form."""
    if depth > MAX_DEPTH:
        raise ValueError(f"filter nested more than {MAX_DEPTH} levels deep")
    if isinstance(node, bool):
        # Databases have no constants in common, but every item has an id.
        null = {"op": "isNull", "args": [{"property": "id"}]}
        return {"op": "not", "args": [null]} if node else null
    if isinstance(node, Mapping) and "property" in node and values.kind_of(values.expression(node, depth)) == "boolean":
        return {"op": "=", "args": [values.expression(node, depth), True]}
    if not isinstance(node, Mapping) or not isinstance(node.get("op"), str):
        raise ValueError(f"{quoted(node)} is not a condition")  # noqa: TRY004 - of the client's data
    name = _NAMES.get(node["op"].lower())
    if name is None:
        raise ValueError(f"operator {quoted(node['op'])} is unknown or gives no condition")
    given = node.get("args", [])
    arguments = list(given) if isinstance(given, list | tuple) else [given]
    if name in _LOGICAL:
        return _logical(name, arguments, depth)
    check = _PREDICATES.get(name[:2]) or _PREDICATES.get(name) or _comparison
    return {"op": name, "args": check(name, arguments, depth)}


def _logical(name: str, arguments: list[Any], depth: int) -> Node:
    least, most = (1, 1) if name == "not" else (1, MAX_NODES)
    if not least <= len(arguments) <= most:
        raise ValueError(f"operator {name} has {len(arguments)} arguments")
    made = [condition(argument, depth + 1) for argument in arguments]
    return made[0] if name != "not" and len(made) == 1 else {"op": name, "args": made}


def _counted(name: str, arguments: list[Any], number: int) -> None:
    if len(arguments) != number:
        raise ValueError(f"operator {name} has {len(arguments)} arguments, not {number}: {quoted(arguments)}")


def _comparison(name: str, arguments: list[Any], depth: int) -> list[Any]:
    _counted(name, arguments, 2)
    return values.comparable(name, [values.expression(argument, depth + 1) for argument in arguments])


def _between(name: str, arguments: list[Any], depth: int) -> list[Any]:
    if len(arguments) == 2 and isinstance(arguments[1], list | tuple):  # as drafts of the standard had it
        arguments = [arguments[0], *arguments[1]]
    _counted(name, arguments, 3)
    return values.comparable(name, [values.expression(argument, depth + 1) for argument in arguments])


def _in(name: str, arguments: list[Any], depth: int) -> list[Any]:
    _counted(name, arguments, 2)
    if not isinstance(arguments[1], list | tuple) or not arguments[1]:
        raise ValueError(f"operator in: {quoted(arguments[1])} is not a list of values")
    first, *rest = (values.expression(argument, depth + 1) for argument in (arguments[0], *arguments[1]))
    if any(not values.is_literal(value) or values.is_computed(value) for value in rest):
        raise ValueError(f"operator in: {quoted(arguments[1])} is not a list of values")
    made, *listed = values.comparable(name, [first, *rest])
    return [made, listed]


def _like(name: str, arguments: list[Any], depth: int) -> list[Any]:
    _counted(name, arguments, 2)
    made = [values.expression(argument, depth + 1) for argument in arguments]
    pattern = made[1]
    while isinstance(pattern, Mapping) and pattern.get("op") in values.TEXTUAL:
        pattern = pattern["args"][0]
    if not isinstance(pattern, str) or len(pattern) > values.MAX_PATTERN:
        raise ValueError(f"operator like: {quoted(arguments[1])} is not a pattern")
    for value in made:
        if values.kind_of(value) not in {"text", None}:
            raise ValueError(f"operator like: {quoted(value)} is not text")
    return made


def _is_null(name: str, arguments: list[Any], depth: int) -> list[Any]:
    _counted(name, arguments, 1)
    return [values.expression(arguments[0], depth + 1)]


def _spatial(name: str, arguments: list[Any], _depth: int) -> list[Any]:
    _counted(name, arguments, 2)
    return [_ground(argument) for argument in arguments]


def _ground(argument: Any) -> Node:
    if isinstance(argument, Mapping) and "property" in argument:
        if (name := values.name_of(argument)) != "geometry":
            raise ValueError(f"property {name!r} is not a geometry; only 'geometry' is")
        return {"property": name}
    return geometry_or_box(argument)


def _temporal(name: str, arguments: list[Any], _depth: int) -> list[Any]:
    _counted(name, arguments, 2)
    return [values.temporal(argument) for argument in arguments]


def _array(name: str, arguments: list[Any], _depth: int) -> list[Any]:
    _counted(name, arguments, 2)
    return [values.array(argument) for argument in arguments]


_PREDICATES: Final[dict[str, Callable[[str, list[Any], int], list[Any]]]] = {
    "s_": _spatial,
    "t_": _temporal,
    "a_": _array,
    "between": _between,
    "in": _in,
    "like": _like,
    "isNull": _is_null,
}


def _of_kind(kind: str | None, value: Any) -> Any:
    """Return text that stands for a number or truth as that: pystac-client's ``query=["gsd<20"]`` sends text."""
    if isinstance(value, list):
        return [_of_kind(kind, one) for one in value]
    if isinstance(value, str) and kind == "number" and re.fullmatch(NUMBER, value):
        return float(value)
    return {"true": True, "false": False}.get(value, value) if isinstance(value, str) and kind == "boolean" else value


def _from_operator(name: str, operator: str, value: Any) -> Node:
    subject = {"property": name}
    if operator in _QUERY_OPERATORS or operator == "in":
        value = _of_kind(KINDS.get(name.removeprefix("properties.")), value)
    if operator in {"eq", "neq"} and value is None:
        null = {"op": "isNull", "args": [subject]}
        return null if operator == "eq" else {"op": "not", "args": [null]}
    if operator in _QUERY_OPERATORS:
        return {"op": _QUERY_OPERATORS[operator], "args": [subject, value]}
    if operator == "in":
        return {"op": "in", "args": [subject, value]}
    if operator not in _QUERY_PATTERNS:
        raise ValueError(f"query of {name!r}: operator {operator!r} is unknown")
    if not isinstance(value, str):
        raise ValueError(f"query of {name!r}: {quoted(value)} is not text")  # noqa: TRY004 - of the client's data
    escaped = re.sub(r"([\\%_])", r"\\\1", value)
    return {"op": "like", "args": [subject, _QUERY_PATTERNS[operator].format(escaped)]}
