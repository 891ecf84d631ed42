"""Searches as SQL on pgstac's tables, values as parameters.

pgstac's own ``search()`` sorts items that lack a property first where the sort is descending, breaks ties in the
direction of the first key, compares text in the order of the database's language, and reads numbers and text into
each other; so the statements here read ``pgstac.items`` themselves, through pgstac's partitions and indexes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from shapely.geometry import shape

from catalog import pgstac_values as values
from catalog.literals import box_geometry, timestamp
from catalog.pgstac_cql2 import condition, geometry
from catalog.pgstac_values import Parameters

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from catalog.search import Search, SortKey


@dataclass(frozen=True, slots=True)
class Key:
    """One expression to sort by; nulls come last either way."""

    expression: str
    """SQL on ``i``."""
    kind: str
    """Type of PostgreSQL of its values as tokens have them."""
    descending: bool
    """Largest first."""

    def order(self, expression: str, *, backwards: bool) -> str:
        """Return the part of ORDER BY, for pages forwards or backwards."""
        direction = "DESC" if self.descending is not backwards else "ASC"
        return f"{expression} {direction} NULLS {'FIRST' if backwards else 'LAST'}"


LAST_KEYS: Final = (
    Key('i.id COLLATE "C"', "text", descending=True),
    Key('i.collection COLLATE "C"', "text", descending=True),
)
"""What ties are broken by."""


def where(search: Search, parameters: Parameters) -> str:
    """Return the condition of a search, without its page."""
    parts = []
    if search.collections is not None:
        parts.append(f"i.collection = ANY({parameters.add(list(search.collections), 'text[]')})")
    if search.ids is not None:
        parts.append(f"i.id = ANY({parameters.add(list(search.ids), 'text[]')})")
    if search.start is not None:
        parts.append(f"i.end_datetime >= {values.instant(timestamp(search.start), parameters)}")
    if search.stop is not None:
        parts.append(f"i.datetime <= {values.instant(timestamp(search.stop), parameters)}")
    if search.bbox is not None:
        parts.append(f"ST_Intersects(i.geometry, {geometry(box_geometry(search.bbox), parameters)})")
    if search.intersects is not None:
        parts.append(f"ST_Intersects(i.geometry, {geometry(shape(search.intersects), parameters)})")
    if search.filter is not None:
        parts.append(condition(search.filter, parameters))
    return " AND ".join(parts) or "true"


def keys(sortby: Sequence[SortKey], parameters: Parameters) -> list[Key]:
    """Return what a search is sorted by; latest first where nothing is asked for."""
    made = [key for asked in sortby for key in _keys(asked, parameters)]
    return [*(made or [Key("i.datetime", "timestamptz", descending=True)]), *LAST_KEYS]


def _keys(asked: SortKey, parameters: Parameters) -> Iterable[Key]:
    kind = values.kind(asked.property)
    if asked.property in {"id", "collection"} or kind == "text":
        yield Key(values.typed(asked.property, "text", parameters), "text", asked.descending)
    elif kind == "number":
        yield Key(values.typed(asked.property, "number", parameters), "float8", asked.descending)
    elif kind == "instant":
        yield Key(values.typed(asked.property, "instant", parameters), "timestamptz", asked.descending)
    else:
        # Of unknown kind: numbers, then text, then the rest, as the embedded catalogue has it.
        value = values.plain(asked.property, parameters)
        kind_of_value = f"jsonb_typeof({value})"
        rank = f"(CASE {kind_of_value} WHEN 'string' THEN 1 WHEN 'array' THEN 2 WHEN 'object' THEN 2 "
        yield Key(f"{rank}WHEN 'number' THEN 0 WHEN 'boolean' THEN 0 END)", "int", asked.descending)
        logical = f"({values.typed(asked.property, 'boolean', parameters)})::int::float8"
        number = values.typed(asked.property, "number", parameters)
        yield Key(f"coalesce({number}, {logical})", "float8", asked.descending)
        yield Key(f"(({value} #>> '{{}}') COLLATE \"C\")", "text", asked.descending)


def beyond(order: Sequence[Key], place: Sequence[Any], parameters: Parameters, *, backwards: bool) -> str:
    """Return the condition of items that come after a place in an order, or before it.

    Parameters
    ----------
    order : sequence of Key
        What is sorted by.
    place : sequence
        Values of the keys there; None where it has none.
    parameters : Parameters
        Gets the values.
    backwards : bool
        Whether those before are wanted.
    """
    made = []
    equal: list[str] = []
    for key, value in zip(order, place, strict=True):
        placeholder = _placeholder(key, value, parameters)
        if (further := _further(key, placeholder, backwards=backwards)) is not None:
            made.append(" AND ".join([*equal, further]))
        equal.append(f"{key.expression} IS NULL" if placeholder is None else f"{key.expression} = {placeholder}")
    condition = " OR ".join(f"({part})" for part in made)
    first = _further(order[0], _placeholder(order[0], place[0], parameters), backwards=backwards, equal="=")
    # What the first key alone says is said again, so that indexes and partitions are used.
    return f"({condition})" if first is None else f"{first} AND ({condition})"


def _placeholder(key: Key, value: Any, parameters: Parameters) -> str | None:
    if value is None:
        return None
    if key.kind == "text":
        return values.text(value, parameters)
    return values.instant(value, parameters) if key.kind == "timestamptz" else parameters.add(value, key.kind)


def _further(key: Key, placeholder: str | None, *, backwards: bool, equal: str = "") -> str | None:
    """Return what lies beyond one value of a key; None if nothing (or, with `equal`, if all) can."""
    if placeholder is None:
        return f"{key.expression} IS NOT NULL" if backwards and not equal else None
    comparison = f"{key.expression} {'<' if key.descending is not backwards else '>'}{equal} {placeholder}"
    return comparison if backwards or key.expression == "i.datetime" else f"({comparison} OR {key.expression} IS NULL)"


def page(search: Search, place: Sequence[Any] | None, *, backwards: bool) -> tuple[str, list[Any]]:
    """Return the statement of one page and one item more, and its values.

    Its rows are the values of the sort keys as text or numbers, then the item as it is stored.
    """
    parameters = Parameters()
    condition = where(search, parameters)
    order = keys(search.sortby, parameters)
    if place is not None:
        condition = f"{condition} AND {beyond(order, place, parameters, backwards=backwards)}"
    made = ", ".join(f"{key.expression} AS k{number}" for number, key in enumerate(order))
    sorting = ", ".join(key.order(key.expression, backwards=backwards) for key in order)
    again = ", ".join(key.order(f"p.k{number}", backwards=backwards) for number, key in enumerate(order))
    shown = ", ".join(f"p.k{number}{'::text' * (key.kind == 'timestamptz')}" for number, key in enumerate(order))
    limit = parameters.add(search.limit + 1, "int")
    # The page first, and only then its documents: sorting them all would take long.
    # S608: what is put into this statement was made here; values are parameters.
    statement = f"""
        SELECT {shown}, coalesce(d.document::text, (
            SELECT pgstac.content_hydrate(i)::text FROM pgstac.items i WHERE (i.collection, i.id) = (p.c, p.n)
        ))
        FROM (
            SELECT {made}, i.collection AS c, i.id AS n FROM pgstac.items i
            WHERE {condition} ORDER BY {sorting} LIMIT {limit}
        ) p LEFT JOIN abut.items d ON (d.collection, d.id) = (p.c, p.n) ORDER BY {again}
    """  # noqa: S608
    return statement, parameters.values


def count(search: Search, most: int) -> tuple[str, list[Any]]:
    """Return the statement that counts the matches of a search, one more than `most` at most, and its values."""
    parameters = Parameters()
    # S608: as above.
    statement = f"""
        SELECT count(*) FROM (
            SELECT FROM pgstac.items i WHERE {where(search, parameters)} LIMIT {parameters.add(most + 1, "int")}
        ) m
    """  # noqa: S608
    return statement, parameters.values
