"""Values in searches as SQL on ``pgstac.items i``, of known type; null where an item has none of that type."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from catalog.pgstac_tables import QUERYABLES
from catalog.queryables import KINDS, Kind

COLUMNS: Final = {"id": 'i.id COLLATE "C"', "collection": 'i.collection COLLATE "C"', "datetime": "i.datetime"}
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


def text(value: str, parameters: Parameters) -> str:
    """Return a text, in order of its code points."""
    return f'({parameters.add(value, "text")} COLLATE "C")'


def number(value: float, parameters: Parameters) -> str:
    """Return a number."""
    return parameters.add(float(value), "float8")


def instant(value: str, parameters: Parameters) -> str:
    """Return an instant, in RFC 3339."""
    return f"({parameters.add(value, 'text')}::timestamptz)"


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


def typed(name: str, wanted: Kind, parameters: Parameters) -> str:
    """Return a property as a value of a kind."""
    if name in COLUMNS:
        return COLUMNS[name]
    if name in QUERYABLES and _TYPES.get(wanted) == QUERYABLES[name][0] != "boolean":
        # Exactly the expressions of pgstac's indexes. Items are refused whose values have another type.
        wrapper = QUERYABLES[name][1]
        read = f"pgstac.{wrapper}(i.content -> 'properties' -> '{name}')"
        return f'({read} COLLATE "C")' if wanted == "text" else read
    value = plain(name, parameters)
    if wanted == "instant":
        return f"abut.instant({value})"
    if wanted == "array":
        return f"(CASE jsonb_typeof({value}) WHEN 'array' THEN {value} END)"
    read = {
        "text": f"({value} #>> '{{}}') COLLATE \"C\"",
        "number": f"({value})::float8",
        "boolean": f"({value})::boolean",
    }[wanted]
    return f"(CASE jsonb_typeof({value}) WHEN '{_TYPES[wanted]}' THEN {read} END)"
