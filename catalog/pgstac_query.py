"""Searches as SQL on pgstac's tables, values as parameters.

pgstac's own ``search()`` sorts items that lack a property first where the sort is descending, breaks ties in the
direction of the first key, compares text in the order of the database's language, and reads numbers and text into
each other; so the statements here read ``pgstac.items`` themselves, through pgstac's partitions and indexes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from shapely.geometry import shape

from abut.errors import BadRequestError
from abut.messages import quoted
from abut.period import instant
from catalog import pages, tokens
from catalog import pgstac_values as values
from catalog.literals import box_geometry, timestamp
from catalog.pgstac_cql2 import condition, geometry
from catalog.pgstac_values import Parameters
from catalog.rows import PROMOTED
from catalog.tokens import Place

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from catalog.queryables import Kind
    from catalog.search import Search, SortKey


_SORTED: Final[dict[str, Kind]] = {
    "id": "text",
    "collection": "text",
    "datetime": "instant",
    **{name: kind for name, (_, kind) in PROMOTED.items()},
}
_TYPES: Final[dict[Kind, str]] = {"text": "text", "number": "float8", "instant": "timestamptz"}
_VALUES: Final[dict[str, tuple[type, ...]]] = {
    "text": (str,),
    "timestamptz": (str,),
    "float8": (int, float),
    "int": (int,),
}


@dataclass(frozen=True, slots=True)
class Key:
    """One expression to sort by; items without a value come last either way."""

    expression: str
    """SQL on ``i``."""
    kind: str
    """Type of PostgreSQL of its values as tokens have them."""
    descending: bool
    """Largest first."""
    nullable: bool = True
    """Whether items may lack it."""

    def order(self, expression: str, *, backwards: bool) -> str:
        """Return the part of ORDER BY, for pages forwards or backwards."""
        direction = "DESC" if self.descending is not backwards else "ASC"
        nulls = f" NULLS {'FIRST' if backwards else 'LAST'}" if self.nullable else ""  # else as indexes have it
        return f"{expression} {direction}{nulls}"


def where(search: Search, parameters: Parameters) -> str:
    """Return the condition of a search, without its page."""
    parts = []
    if search.collections is not None:
        parts.append(f"i.collection = ANY({parameters.add(list(search.collections), 'text[]')})")
    if search.ids is not None:
        parts.append(f"i.id = ANY({parameters.add(list(search.ids), 'text[]')})")
    if search.start is not None:
        parts.append(f"i.end_datetime >= {values.instant(search.start, parameters)}")
    if search.stop is not None:
        parts.append(f"i.datetime <= {values.instant(search.stop, parameters)}")
    if search.bbox is not None:
        parts.append(_touching(box_geometry(search.bbox), parameters))
    if search.intersects is not None:
        parts.append(_touching(shape(search.intersects), parameters))
    if search.filter is not None:
        parts.append(condition(search.filter, parameters))
    return " AND ".join(parts) or "true"


def _touching(area: Any, parameters: Parameters) -> str:
    """Return the condition that the geometry of an item touches an area.

    GEOS 3.11 says of some collections of points and lines that they touch no line although one of their parts does:
    the parts are asked where the area is not one of polygons.
    """
    wanted = geometry(area, parameters)
    touching = f"ST_Intersects(i.geometry, {wanted})"
    if area.geom_type in {"Polygon", "MultiPolygon"}:
        return touching
    part = f"EXISTS (SELECT FROM ST_Dump(i.geometry) AS part WHERE ST_Intersects(part.geom, {wanted}))"
    mixed = "GeometryType(i.geometry) = 'GEOMETRYCOLLECTION'"
    return f"(i.geometry && {wanted} AND CASE WHEN {mixed} THEN {part} ELSE {touching} END)"


def order_of(sortby: Sequence[SortKey], parameters: Parameters) -> list[Key]:
    """Return what a search is sorted by.

    Raises
    ------
    ValueError
        If a property can't be sorted by.
    """
    return [key for name in pages.order_of(sortby) for key in _keys(name.name, parameters, descending=name.descending)]


def _keys(name: str, parameters: Parameters, *, descending: bool) -> Iterable[Key]:
    kind = _SORTED.get(name)
    if kind is not None and kind in _TYPES:
        yield Key(values.typed(name, kind, parameters), _TYPES[kind], descending, name not in values.COLUMNS)
        return
    if kind == "boolean":
        yield Key(f"({values.typed(name, 'boolean', parameters)})::int", "int", descending)
        return
    # Of any kind: numbers, then text, then the rest, as the embedded catalogue has it.
    value = values.plain(name, parameters)
    found = f"jsonb_typeof({value})"
    rank = f"CASE {found} WHEN 'string' THEN 1 WHEN 'array' THEN 2 WHEN 'object' THEN 2"
    yield Key(f"({rank} WHEN 'number' THEN 0 WHEN 'boolean' THEN 0 END)", "int", descending)
    logical = f"({values.typed(name, 'boolean', parameters)})::int::float8"
    yield Key(f"coalesce({values.typed(name, 'number', parameters)}, {logical})", "float8", descending)
    text = f"CASE WHEN {found} NOT IN ('number', 'boolean') THEN {value} #>> '{{}}' END"
    yield Key(f'(({text}) COLLATE "C")', "text", descending)


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
    if key.kind == "timestamptz":
        return values.instant(instant(value), parameters)
    return parameters.add(value, key.kind)


def _further(key: Key, placeholder: str | None, *, backwards: bool, equal: str = "") -> str | None:
    """Return what lies beyond one value of a key; None if nothing (or, with `equal`, if all) can."""
    if placeholder is None:
        return f"{key.expression} IS NOT NULL" if backwards and not equal else None
    comparison = f"{key.expression} {'<' if key.descending is not backwards else '>'}{equal} {placeholder}"
    return comparison if backwards or not key.nullable else f"({comparison} OR {key.expression} IS NULL)"


DOCUMENTS: Final = """
    SELECT k.collection, k.id, d.store, d.document
    FROM unnest($1::text[], $2::text[]) AS k (collection, id) JOIN abut.items d USING (collection, id)
"""
"""Statement of the documents of some items."""

_OWN: Final = "EXISTS (SELECT FROM abut.items d WHERE (d.collection, d.id) = (i.collection, i.id))"
"""Condition of items that were written by this catalogue: what other programs put into pgstac is none of its own."""


def place_of(search: Search) -> Place | None:
    """Return the place that the token of a search names; None without one.

    Raises
    ------
    BadRequestError
        If it is none of this search.
    """
    order = order_of(search.sortby, Parameters())
    if search.token is None:
        return None
    found = tokens.place_of(search.token, signature(order))
    if not all(_fits(key, value) for key, value in zip(order, found.values, strict=True)):
        raise BadRequestError(f"token {quoted(search.token)} is not one of this search")
    return found


def _fits(key: Key, value: Any) -> bool:
    """Whether a value of a token, which anybody may have made, is one of a key."""
    if value is None or not isinstance(value, _VALUES[key.kind]):
        return value is None
    if key.kind == "timestamptz":
        try:
            instant(value)
        except ValueError:
            return False
    return True


def token(values_of_keys: Sequence[Any], search: Search, *, backward: bool) -> str:
    """Return the token of the page after a place in a search, or before it."""
    order = order_of(search.sortby, Parameters())
    place = tuple(timestamp(value) if isinstance(value, datetime) else value for value in values_of_keys)
    return tokens.token(Place(place, backward), signature(order))


def signature(order: Sequence[Key]) -> list[tuple[str, str, bool]]:
    """Return what tells an order from others."""
    return [("pgstac", key.kind, key.descending) for key in order]


def page(search: Search, place: Place | None, *, documents: bool) -> tuple[str, list[Any]]:
    """Return the statement of one page and one item more, and its values.

    Its rows are the values of the sort keys, then collection, id, store and document of the item; the latter two are
    null if documents are not wanted.
    """
    parameters = Parameters()
    condition = where(search, parameters)
    order = order_of(search.sortby, parameters)
    backwards = place is not None and place.backward
    if place is not None:
        condition = f"{condition} AND {beyond(order, place.values, parameters, backwards=backwards)}"
    made = ", ".join(f"{key.expression} AS k{number}" for number, key in enumerate(order))
    sorting = ", ".join(key.order(key.expression, backwards=backwards) for key in order)
    again = ", ".join(key.order(f"p.k{number}", backwards=backwards) for number, key in enumerate(order))
    shown = ", ".join(f"p.k{number}" for number in range(len(order)))
    limit = parameters.add(search.limit + 1, "int")
    # The page first, and only then its documents: sorting them all would take long.
    # S608: what is put into this statement was made here; values are parameters.
    found = f"""
        SELECT {made}, i.collection AS c, i.id AS n FROM pgstac.items i
        WHERE {condition} AND {_OWN} ORDER BY {sorting} LIMIT {limit}
    """  # noqa: S608
    statement = (
        f"SELECT {shown}, p.c, p.n, d.store, d.document FROM ({found}) p "  # noqa: S608
        f"JOIN abut.items d ON (d.collection, d.id) = (p.c, p.n) ORDER BY {again}"
        if documents
        else f"SELECT {shown}, p.c, p.n, NULL, NULL FROM ({found}) p ORDER BY {again}"  # noqa: S608
    )
    return statement, parameters.values


def count(search: Search, most: int) -> tuple[str, list[Any]]:
    """Return the statement that counts the matches of a search, one more than `most` at most, and its values."""
    parameters = Parameters()
    # S608: as above.
    statement = f"""
        SELECT count(*) FROM (
            SELECT FROM pgstac.items i
            WHERE {where(search, parameters)} AND {_OWN} LIMIT {parameters.add(most + 1, "int")}
        ) m
    """  # noqa: S608
    return statement, parameters.values
