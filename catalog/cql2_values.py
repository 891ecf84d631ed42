"""Values in filters: properties, literals and what is computed of them, checked and in one form."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from abut.messages import quoted
from abut.period import instant
from catalog.literals import day, timestamp
from catalog.queryables import KINDS, UNSEARCHABLE, Kind

ARITHMETIC: Final = frozenset({"+", "-", "*", "/", "%", "^", "div"})
"""Operators on numbers."""

TEXTUAL: Final = frozenset({"casei", "accenti"})
"""Functions on text: without regard to case; without regard to accents."""

MAX_PATTERN: Final = 1_000
"""Characters of a pattern of ``like``."""

_MAX_DEPTH: Final = 50
_MAX_TEXT: Final = 10_000
_MAX_NAME: Final = 200
_EXACT: Final = 2.0**53
_MEANINGS: Final[dict[Kind, str]] = {
    "text": "text",
    "number": "a number",
    "boolean": "true or false",
    "instant": "an instant",
    "geometry": "a geometry",
    "array": "an array",
}


def expression(node: Any, depth: int = 0) -> Any:
    """Return a value in its one form.

    Raises
    ------
    ValueError
        If it is no property, literal, arithmetic or function that is known.
    """
    if depth > _MAX_DEPTH:
        raise ValueError(f"filter nested more than {_MAX_DEPTH} levels deep")
    if not isinstance(node, Mapping):
        return _scalar(node)
    if "property" in node:
        return {"property": name_of(node)}
    if "timestamp" in node:
        return {"timestamp": timestamp(instant(node["timestamp"]))}
    if "date" in node:
        return {"timestamp": timestamp(day(node["date"])[0])}
    operator = node.get("op")
    name = operator.lower() if isinstance(operator, str) else ""
    if name not in ARITHMETIC | TEXTUAL:
        raise ValueError(f"{quoted(operator or node)} is not a value or a known function")
    given = node.get("args", [])
    arguments = [expression(one, depth + 1) for one in (given if isinstance(given, list | tuple) else [given])]
    wanted: Kind = "number" if name in ARITHMETIC else "text"
    if len(arguments) != (2 if name in ARITHMETIC else 1):
        raise ValueError(f"{name} has {len(arguments)} arguments: {quoted(given)}")
    for argument in arguments:
        if kind_of(argument) not in {wanted, None}:
            raise ValueError(f"{name}: {quoted(argument)} is not {_MEANINGS[wanted]}")
    return {"op": name, "args": arguments}


def name_of(node: Mapping[str, Any]) -> str:
    """Return the name of a property, without ``properties.``."""
    name = node["property"]
    if not isinstance(name, str) or len(name) > _MAX_NAME:
        raise ValueError(f"{quoted(name)} is not the name of a property")
    name = name.removeprefix("properties.")
    if name in UNSEARCHABLE or name.partition(".")[0] in UNSEARCHABLE:
        raise ValueError(f"property {name!r} can't be searched by")
    parts = name.split(".")
    if not all(parts) or '"' in name or "\\" in name or not name.isprintable():
        raise ValueError(f"{quoted(name)} is not the name of a property")
    return name


def kind_of(value: Any) -> Kind | None:
    """Return the kind of a value in its one form, or None of a property of which it isn't known."""
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "text"
    if "property" in value:
        return KINDS.get(value["property"])
    if "timestamp" in value:
        return "instant"
    return "number" if value["op"] in ARITHMETIC else "text"


def is_literal(value: Any) -> bool:
    """Whether a value in its one form depends on no property."""
    if not isinstance(value, Mapping) or "timestamp" in value:
        return True
    return "property" not in value and all(is_literal(argument) for argument in value["args"])


def is_computed(value: Any) -> bool:
    """Whether a value in its one form is computed of numbers."""
    return isinstance(value, Mapping) and value.get("op") in ARITHMETIC


def comparable(operator: str, expressions: Sequence[Any]) -> list[Any]:
    """Return values that are compared with each other; text as instants where others are instants.

    Raises
    ------
    ValueError
        If their kinds differ, or have no order.
    """
    made = list(expressions)
    if any(kind_of(value) == "instant" for value in made):
        made = [{"timestamp": timestamp(instant(value))} if isinstance(value, str) else value for value in made]
    first: Kind | None = None
    for value in made:
        kind = kind_of(value)
        if kind in {"geometry", "array"}:
            raise ValueError(f"operator {operator}: {quoted(value)} is {_MEANINGS[kind]}")
        if kind == "boolean" and operator not in {"=", "<>", "in"}:
            raise ValueError(f"operator {operator}: {quoted(value)} has no order")
        if first is not None and kind not in {first, None}:
            raise ValueError(f"operator {operator}: {quoted(made)}: {quoted(value)} is not {_MEANINGS[first]}")
        first = first or kind
    return made


def temporal(node: Any) -> dict[str, Any]:
    """Return an argument of a temporal operator: a property, an instant, or an interval whose ends are either."""
    if isinstance(node, str):
        return {"timestamp": timestamp(instant(node))}
    if not isinstance(node, Mapping):
        raise ValueError(f"{quoted(node)} is not an instant or interval")  # noqa: TRY004 - of the client's data
    if "interval" in node:
        return _interval(node)
    if "date" in node:
        start, stop = day(node["date"])
        return {"interval": [timestamp(start), timestamp(stop)]}
    made = expression(node)
    if kind_of(made) not in {"instant", None} or not ("property" in made or "timestamp" in made):
        raise ValueError(f"{quoted(node)} is not an instant or interval")
    return dict(made)


def array(node: Any) -> Any:
    """Return an argument of an array operator: a property, or a list of literals."""
    if isinstance(node, Mapping) and "property" in node:
        name = name_of(node)
        if KINDS.get(name) not in {"array", None}:
            raise ValueError(f"property {name!r} is not an array")
        return {"property": name}
    if not isinstance(node, list | tuple):
        raise ValueError(f"{quoted(node)} is not an array")  # noqa: TRY004 - of the client's data
    return [_scalar(value) for value in node]


def _interval(node: Mapping[str, Any]) -> dict[str, Any]:
    ends = node["interval"]
    if not isinstance(ends, list | tuple) or len(ends) != 2:
        raise ValueError(f"interval {quoted(ends)} has no two ends")
    made = [_end(end, last=bool(number)) for number, end in enumerate(ends)]
    start, stop = made
    if isinstance(start, str) and isinstance(stop, str) and ".." not in made and instant(start) > instant(stop):
        raise ValueError(f"interval {quoted(ends)} ends before it starts")
    return {"interval": made}


def _end(end: Any, *, last: bool) -> Any:
    if end in {"", ".."} if isinstance(end, str) else end is None:
        return ".."
    if isinstance(end, Mapping) and "property" in end:
        return temporal(end)
    if isinstance(end, Mapping) and "timestamp" in end:
        end = end["timestamp"]
    elif isinstance(end, Mapping) and "date" in end:
        return timestamp(day(end["date"])[last])
    if isinstance(end, str) and len(end) == len("2025-08-01"):
        return timestamp(day(end)[last])
    return timestamp(instant(end))


def _scalar(value: Any) -> Any:
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        if len(value) > _MAX_TEXT or "\0" in value or any("\ud800" <= letter <= "\udfff" for letter in value):
            raise ValueError(f"{quoted(value)} is too long, or not text")
        return value
    if isinstance(value, int | float):
        return _number(value)
    reason = "; isNull finds what is missing" if value is None else ""
    raise ValueError(f"{quoted(value)} is not a value{reason}")


def _number(value: float) -> int | float:
    """Whole numbers as integers, as the parser of text has only floats."""
    number = float(value) if abs(value) < 1e300 else math.inf
    if not math.isfinite(number):
        raise ValueError(f"{quoted(value)} is not a number that can be compared with")
    return int(number) if number.is_integer() and abs(number) < _EXACT else number
