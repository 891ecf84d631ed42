"""What values items have at which places, so that a table gets a column for each of them.

A table's columns follow from the first rows that are written, and what these lack is lost without a word: so the rows
that show all there is go first.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from abut.errors import ExportError

if TYPE_CHECKING:
    from collections.abc import Mapping

_NUMBERS: Final = frozenset({"integer", "number"})
_KINDS: Final = {bool: "boolean", int: "integer", float: "number", str: "text", dict: "object", list: "list"}

_GROUND: Final = ("geometry", "bbox")
"""What tables have columns of their own for, whatever it looks like."""

# Values in the JSON of `json.dumps`; names are followed by a colon.
_TEXT: Final = re.compile(r'"[^"]*"(?=[,}\]])')
_ESCAPED: Final = re.compile(r'"(?:[^"\\]|\\.)*"(?=[,}\]])')
_FRACTION: Final = re.compile(r"-?\d+(?:\.\d+)?e[+-]\d+|-?\d+\.\d+")
_WHOLE: Final = re.compile(r"-?\d+(?=[,}\]])")


@dataclass(slots=True)
class Shape:
    """Kinds of values seen at one place of the items, and inside of them."""

    kinds: dict[str, str] = field(default_factory=dict)
    """Kinds, with the id of the first item that has each."""
    inner: dict[str, Shape] = field(default_factory=dict)
    """Shapes of an object's fields, or of a list's values under ``[]``."""

    def learn(self, value: Any, item: str, place: str = "") -> bool:
        """Take in a value; return whether it shows something that no value before it showed.

        Raises
        ------
        ExportError
            If a column can't hold both what was seen here before and this value.
        """
        if value is None:
            return False
        kind = _KINDS[type(value)]
        new = kind not in self.kinds
        if new:
            self.kinds[kind] = item
            if len(self.kinds) > 1 and not self.kinds.keys() <= _NUMBERS:
                first, second = list(self.kinds.items())[-2:]
                raise ExportError(f"{place} is {first[0]} in {first[1]} and {second[0]} in {second[1]}: not one column")
        if isinstance(value, dict):
            for name, found in value.items():
                new |= self._inside(name).learn(found, item, f"{place}.{name}" if place else name)
        elif isinstance(value, list):
            for found in value:
                new |= self._inside("[]").learn(found, item, f"{place}[]")
        return new

    def _inside(self, name: str) -> Shape:
        found = self.inner.get(name)
        if found is None:
            found = self.inner[name] = Shape()
        return found


class Shapes:
    """Shapes of the rows seen so far; most rows are quickly seen to be like one before."""

    def __init__(self) -> None:
        self._all = Shape()
        self._known: set[bytes] = set()

    def learn(self, row: Mapping[str, Any], item: str) -> bool:
        """Take in a row; return whether it shows something that none before it showed, as `Shape.learn` does."""
        fields = {name: value for name, value in row.items() if name not in _GROUND}
        alike = hashlib.blake2b(_outline(fields).encode(), digest_size=16).digest()
        if alike in self._known:
            return False
        self._known.add(alike)
        return self._all.learn(fields, item)


def _outline(fields: Mapping[str, Any]) -> str:
    """Return fields as JSON in which all texts are alike, and all numbers of one kind."""
    text = json.dumps(fields)
    return _WHOLE.sub("0", _FRACTION.sub("_", (_ESCAPED if "\\" in text else _TEXT).sub('""', text)))


def flat(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return an item as a row of a table shows it.

    Nulls and empty objects are left out, as tables can't tell them from absent ones. Outlines (``abut:footprint``) are
    ``MultiPolygon``, as few of them need to be. An item that holds nothing, so has no geometry, gets an empty one, as
    a table must have some.
    """
    made: dict[str, Any] = {name: _without_nothing(value) for name, value in item.items() if name not in _GROUND}
    made |= {name: item[name] for name in _GROUND if item.get(name) is not None}
    properties = made["properties"]
    outline = properties.get("abut:footprint")
    if outline and outline["type"] == "Polygon":
        properties["abut:footprint"] = {"type": "MultiPolygon", "coordinates": [outline["coordinates"]]}
    made.setdefault("geometry", {"type": "MultiPolygon", "coordinates": []})
    return {**made, "links": made["links"] or [], "assets": made["assets"] or {}}


def _without_nothing(value: Any) -> Any:
    if isinstance(value, dict):
        made = ((name, _without_nothing(found)) for name, found in value.items())
        return {name: found for name, found in made if found is not None} or None
    if isinstance(value, list):
        return [_without_nothing(found) for found in value]
    return value
