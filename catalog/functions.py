"""Functions of Python that the statements of the embedded catalogue call, and the connections that have them."""

from __future__ import annotations

import math
import re
import unicodedata
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import shapely

from abut.period import instant
from catalog.literals import microseconds
from catalog.packing import Dictionaries, unpack_document, unpack_properties
from catalog.text import decode, encode

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence

_RELATIONS: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "s_intersects": shapely.intersects,
    "s_disjoint": shapely.disjoint,
    "s_touches": shapely.touches,
    "s_crosses": shapely.crosses,
    "s_overlaps": shapely.overlaps,
    "s_within": shapely.within,
    "s_contains": shapely.contains,
    "s_equals": shapely.equals,
}

_INVERSE: Final = {"s_within": "s_contains", "s_contains": "s_within"}


@dataclass(slots=True)
class Reader:
    """A connection with the functions, for one thread."""

    connection: sqlite3.Connection
    """The connection."""
    shapes: Sequence[Any] = ()
    """Prepared geometries of the statement that runs."""
    _geometry: tuple[int | None, Any] = (None, None)
    _properties: tuple[int | None, Any] = (None, None)
    _dictionaries: dict[int, Dictionaries] = field(default_factory=dict)

    def dictionaries(self, number: int) -> Dictionaries:
        """Return the dictionaries of a number; they never change."""
        if number not in self._dictionaries:
            statement = "SELECT number, document, properties FROM dictionaries WHERE number = ?"
            self._dictionaries[number] = Dictionaries(*self.connection.execute(statement, (number,)).fetchone())
        return self._dictionaries[number]

    def begin(self, shapes: Sequence[Any]) -> None:
        """Be ready for a statement that names these geometries by number."""
        for one in shapes:
            shapely.prepare(one)
        self.shapes = shapes
        self._geometry = self._properties = (None, None)

    def geometry(self, row: int) -> Any:
        """Return the geometry of an item; that of the last row is at hand, as it is often asked for again."""
        if row != self._geometry[0]:
            (wkb,) = self.connection.execute("SELECT geometry FROM details WHERE rid = ?", (row,)).fetchone()
            self._geometry = row, None if wkb is None else shapely.from_wkb(wkb)
        return self._geometry[1]

    def properties(self, row: int) -> Any:
        """Return the properties of an item that have no column; those of the last row are at hand too."""
        if row != self._properties[0]:
            (data,) = self.connection.execute("SELECT properties FROM details WHERE rid = ?", (row,)).fetchone()
            self._properties = row, decode(unpack_properties(data, self.dictionaries))
        return self._properties[1]

    def document(self, data: bytes) -> bytes:
        """Return the template of an item."""
        return unpack_document(data, self.dictionaries)


def reader(connection: sqlite3.Connection) -> Reader:
    """Give a connection the functions that statements call.

    ``relation(name, number, where)`` of an item's geometry, given as WKB or by its row, to one of `Reader.shapes`;
    ``property(name, kind, row)``, null where an item has none of that kind; ``likes(text, pattern)``,
    ``casei(text)``, ``accenti(text)``, ``arithmetic(operator, a, b)``; ``arrays(operator, a, b)`` of JSON arrays.

    Rows are looked up here, not by subqueries: SQLite needs ever more time for each of many.
    """
    made = Reader(connection)

    def relation(name: str, number: int, where: bytes | int | None) -> bool | None:
        if isinstance(where, int):
            geometry = made.geometry(where)
        else:
            geometry = None if where is None else shapely.from_wkb(where)
        if geometry is None:
            return None
        # Seen from the geometry that is given, which is prepared.
        return relate(_INVERSE.get(name, name), made.shapes[number], geometry)

    def property_of(name: str, kind: str, row: int) -> Any:
        return as_kind(_found(made.properties(row), name), kind)

    for name, count, function in (
        ("relation", 3, relation),
        ("property", 3, property_of),
        ("likes", 2, likes),
        ("casei", 1, casei),
        ("accenti", 1, accenti),
        ("arithmetic", 3, arithmetic),
        ("arrays", 3, arrays),
    ):
        connection.create_function(name, count, function, deterministic=name not in {"relation", "property"})
    return made


def relate(name: str, first: Any, second: Any) -> bool | None:
    """Whether two geometries have a relation; None if that can't be said, as of an invalid one."""
    try:
        return bool(_RELATIONS[name](first, second))
    except shapely.errors.GEOSException:
        return None


def as_kind(value: Any, kind: str) -> Any:
    """Return a JSON value as SQLite compares values of a kind; None if it is of another kind."""
    if kind == "text":
        return value if isinstance(value, str) else None
    if kind == "number":
        return _float(value) if not isinstance(value, bool) else None
    if kind == "boolean":
        return int(value) if isinstance(value, bool) else None
    if kind == "array":
        return encode(value).decode() if isinstance(value, list) else None
    if kind == "instant":
        try:
            return microseconds(instant(value))
        except ValueError:
            return None
    if isinstance(value, str | None):
        return value
    return _float(value) if isinstance(value, int | float) else encode(value).decode()


def likes(text: Any, pattern: str) -> bool | None:
    """Whether a text matches a pattern of ``like``: ``%`` for any characters, ``_`` for one, after a backslash not."""
    return bool(_expression(pattern).fullmatch(text)) if isinstance(text, str) else None


@lru_cache(maxsize=256)
def _expression(pattern: str) -> re.Pattern[str]:
    parts, part = [], ""
    letters = iter(pattern)
    for letter in letters:
        if letter == "%":
            parts.append(part)
            part = ""
        elif letter == "_":
            part += "."
        else:
            part += re.escape(next(letters, letter) if letter == "\\" else letter)
    if not parts:
        return re.compile(part, re.DOTALL)
    # The first place where each part fits is always good enough: never go back, so that time grows with the length.
    middle = "".join(f"(?>.*?{one})" for one in parts[1:] if one)
    return re.compile(f"{parts[0]}{middle}.*{part}", re.DOTALL)


def casei(text: Any) -> str | None:
    """Return a text such that those that differ by case are equal."""
    return text.casefold() if isinstance(text, str) else None


def accenti(text: Any) -> str | None:
    """Return a text without accents."""
    if not isinstance(text, str):
        return None
    return "".join(letter for letter in unicodedata.normalize("NFKD", text) if not unicodedata.combining(letter))


def arithmetic(operator: str, a: Any, b: Any) -> float | None:
    """Compute with two numbers; None where there is no result."""
    if not isinstance(a, int | float) or not isinstance(b, int | float):
        return None
    try:
        result = _OPERATIONS[operator](float(a), float(b))
    except (ZeroDivisionError, OverflowError, ValueError):
        return None
    return result if isinstance(result, float) and abs(result) < float("inf") else None


_OPERATIONS: Final[dict[str, Callable[[float, float], Any]]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "%": math.fmod,
    "div": lambda a, b: float(math.trunc(a / b)),
    "^": lambda a, b: a**b,
}


def arrays(operator: str, a: str | None, b: str | None) -> bool | None:
    """Compare two arrays as sets of values; ``a_equals`` in order too."""
    if a is None or b is None:
        return None
    first, second = _values(a), _values(b)
    if operator == "a_equals":
        return first == second
    if operator == "a_contains":
        return set(second) <= set(first)
    if operator == "a_containedBy":
        return set(first) <= set(second)
    return bool(set(first) & set(second))


@lru_cache(maxsize=256)
def _values(text: str) -> tuple[tuple[str, Any], ...]:
    """Values that can be compared: with their type, as True is 1 to Python."""
    return tuple(
        ("number", value)
        if isinstance(value, int | float) and not isinstance(value, bool)
        else (type(value).__name__, encode(value) if isinstance(value, list | dict) else value)
        for value in decode(text.encode())
    )


def _float(value: Any) -> float | None:
    try:
        return float(value) if isinstance(value, int | float) else None
    except OverflowError:
        return None


def _found(properties: Any, name: str) -> Any:
    """Return a property; dots lead into objects."""
    if name in properties:
        return properties[name]
    value = properties
    for part in name.split("."):
        if not isinstance(value, dict):
            return None
        value = value.get(part)
    return value
