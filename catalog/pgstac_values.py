"""Values in searches as SQL on ``pgstac.items i``, of known type; null where an item has none of that type."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from catalog.pgstac_tables import QUERYABLES
from catalog.queryables import KINDS, Kind

if TYPE_CHECKING:
    from datetime import datetime

COLUMNS: Final = {"id": "i.id", "collection": "i.collection", "datetime": "i.datetime"}
"""Properties that pgstac has columns for."""

_TYPES: Final[dict[Kind, str]] = {"text": "string", "number": "number", "boolean": "boolean", "array": "array"}


@dataclass(slots=True)
class Parameters:
    """Values of a statement, by the numbers of their placeholders."""

    values: list[Any] = field(default_factory=list)
    """In order."""

    def add(self, value: Any, kind: str) -> str:
        """Add a value of a type of PostgreSQL; return its placeholder."""
        self.values.append(value)
        return f"${len(self.values)}::{kind}"


def text(value: str, parameters: Parameters, *, ordered: bool = True) -> str:
    """Return a text, in order of its code points; without order, for comparisons that indexes can answer."""
    placeholder = parameters.add(value, "text")
    return f'({placeholder} COLLATE "C")' if ordered else placeholder


def number(value: float, parameters: Parameters) -> str:
    """Return a number."""
    return parameters.add(float(value), "float8")


def instant(value: datetime, parameters: Parameters) -> str:
    """Return an instant."""
    return parameters.add(value, "timestamptz")


def plain(name: str, parameters: Parameters) -> str:
    """Return a property as it is in the item: JSON, null where it is absent or null; dots lead into objects."""
    whole = parameters.add(name, "text")
    if "." not in name:
        return f"nullif(i.content -> 'properties' -> {whole}, 'null'::jsonb)"
    parts = parameters.add(["properties", *name.split(".")], "text[]")
    return f"nullif(coalesce(i.content -> 'properties' -> {whole}, i.content #> {parts}), 'null'::jsonb)"


def kind(name: str) -> Kind | None:
    """Return what values a property has; None where it isn't known."""
    return KINDS.get(name)


def typed(name: str, wanted: Kind, parameters: Parameters, *, ordered: bool = True) -> str:
    """Return a property as a value of a kind; text in order of its code points, or without order."""
    read = _read(name, wanted, parameters)
    return f'({read} COLLATE "C")' if wanted == "text" and ordered else read


def _read(name: str, wanted: Kind, parameters: Parameters) -> str:
    if name in COLUMNS:
        return COLUMNS[name]
    if name in QUERYABLES and _TYPES.get(wanted) == QUERYABLES[name][0] != "boolean":
        # Exactly the expressions of pgstac's indexes. Items are refused whose values have another type.
        return f"pgstac.{QUERYABLES[name][1]}(i.content -> 'properties' -> '{name}')"
    value = plain(name, parameters)
    if wanted == "instant":
        return f"abut.instant({value})"
    read = {
        "text": f"({value} #>> '{{}}')",
        "number": f"({value})::float8",
        "boolean": f"({value})::boolean",
        "array": value,
    }[wanted]
    return f"(CASE jsonb_typeof({value}) WHEN '{_TYPES[wanted]}' THEN {read} END)"
