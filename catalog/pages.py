"""Pages of a search in the embedded catalogue.

A page starts where the one before it ended, at a place in the order and not at a number of items: deep pages cost no
more than the first, and what is written in between moves nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from catalog.cql2_sql import COLUMNS
from catalog.cql2_values import name_of
from catalog.documents import answer
from catalog.fields import chosen
from catalog.plan import conditions, plan
from catalog.search import MATCHED_CAP, Page
from catalog.text import decode, encode
from catalog.tokens import Place, place_of, token

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from catalog.cql2_sql import Sql
    from catalog.functions import Reader
    from catalog.places import Places
    from catalog.plan import Plan
    from catalog.search import Search, SortKey

_NEVER_NULL: Final = frozenset({"datetime", "id", "collection"})
_PROPERTY: Final = "property(?, 'any', i.rid)"


@dataclass(frozen=True, slots=True)
class Key:
    """One of the values that items are ordered by."""

    name: str
    """Name of the property."""
    descending: bool
    """Largest first; null comes last either way."""

    @property
    def sql(self) -> Sql:
        """What is compared."""
        return (f"i.{COLUMNS[self.name][0]}", []) if self.name in COLUMNS else (_PROPERTY, [self.name])

    @property
    def nullable(self) -> bool:
        """Whether items may lack it."""
        return self.name not in _NEVER_NULL

    def ordered(self, number: int, *, backward: bool) -> str:
        """Return the term of ORDER BY; the value is in column k<number>."""
        direction = "DESC" if self.descending != backward else "ASC"
        nulls = f" NULLS {'FIRST' if backward else 'LAST'}" if self.nullable else ""
        return f"k{number} {direction}{nulls}"

    def after(self, value: Any, *, backward: bool) -> Sql:
        """Return the condition that an item comes after (before) those with a value."""
        sql, parameters = self.sql
        comparison = "<" if self.descending != backward else ">"
        if value is None:
            return (f"{sql} IS NOT NULL", parameters) if backward else ("0", [])
        if backward or not self.nullable:
            return f"{sql} {comparison} ?", [*parameters, value]
        return f"({sql} {comparison} ? OR {sql} IS NULL)", [*parameters, value, *parameters]


def order_of(sortby: Sequence[SortKey]) -> tuple[Key, ...]:
    """Return all that items are ordered by: what is asked for, else latest first; then by id, last first.

    Raises
    ------
    ValueError
        If a property can't be sorted by.
    """
    keys = [Key(name_of({"property": key.property}), key.descending) for key in sortby]
    for key in keys:
        if key.name == "geometry":
            raise ValueError("items can't be sorted by 'geometry'")
    keys = keys or [Key("datetime", descending=True)]
    keys += [Key(name, descending=True) for name in ("id", "collection")]
    return tuple({key.name: key for key in reversed(keys)}[name] for name in dict.fromkeys(key.name for key in keys))


def page(reader: Reader, search: Search, places: Places) -> Page:
    """Return one page of a search, within the snapshot that is open.

    Raises
    ------
    ValueError
        If the token is none of this search, or a property can't be sorted by.
    """
    order = order_of(search.sortby)
    names = [(key.name, key.descending) for key in order]
    place = None if search.token is None else place_of(search.token, names)
    planned = plan(conditions(search), reader)
    rows, matched = _rows(reader, planned, order, place, search.limit)
    backward = place is not None and place.backward
    features = _features(reader, (rid for rid, *_ in rows[: search.limit]), search, places)
    more = len(rows) > len(features)
    rows = rows[: len(features)]
    if backward:
        rows.reverse()
        features.reverse()
    first, last = (Place(rows[0][2:], backward=True), Place(rows[-1][2:], backward=False)) if rows else (None, None)
    if not rows and place is not None:
        first, last = Place(place.values, backward=True), Place(place.values, backward=False)
    following = last if (backward or more) else None
    before = first if (more if backward else place is not None) else None
    return Page(
        features=features,
        next=None if following is None else token(following, names),
        prev=None if before is None else token(before, names),
        matched=matched,
    )


def item(reader: Reader, collection: str, name: str, places: Places) -> bytes | None:
    """Return an item as clients get it, withdrawn or not, or None if it is not listed."""
    statement = (
        "SELECT d.document, i.store FROM items i JOIN documents d ON d.rid = i.rid WHERE i.id = ? AND i.collection = ?"
    )
    found = reader.connection.execute(statement, (name, collection)).fetchone()
    if found is None:
        return None
    data, store = found
    return answer(reader.document(data), collection, name, store, places)


def _rows(
    reader: Reader, planned: Plan, order: Sequence[Key], place: Place | None, limit: int
) -> tuple[list[tuple[Any, ...]], int | None]:
    """Row ids, the number of all or None, and values of the keys, of one item more than the page has."""
    backward = place is not None and place.backward
    keys = ", ".join(f"{key.sql[0]} AS k{number}" for number, key in enumerate(order))
    values: list[Any] = [value for key in order for value in key.sql[1]]
    where, parameters = planned.where, planned.parameters
    if place is not None:
        sql, more = _beyond(order, place)
        where, parameters = f"({where}) AND {sql}", [*parameters, *more]
    counted = place is None and not planned.ordered
    total = "count(*) OVER ()" if counted else "NULL"
    terms = ", ".join(key.ordered(number, backward=backward) for number, key in enumerate(order))
    statement = f"SELECT i.rid, {total}, {keys} FROM {planned.source} WHERE {where} ORDER BY {terms} LIMIT ?"  # noqa: S608  # values are parameters
    rows = reader.connection.execute(statement, [*values, *parameters, limit + 1]).fetchall()
    if place is not None:
        return rows, None
    if counted or len(rows) <= limit:
        matched = rows[0][1] if counted and rows else len(rows)
        return rows, None if matched > MATCHED_CAP else matched
    return rows, _count(reader, planned)


def _count(reader: Reader, planned: Plan) -> int | None:
    statement = f"SELECT count(*) FROM (SELECT 1 FROM {planned.source} WHERE {planned.where} LIMIT ?)"  # noqa: S608
    (number,) = reader.connection.execute(statement, [*planned.parameters, MATCHED_CAP + 1]).fetchone()
    return None if number > MATCHED_CAP else int(number)


def _beyond(order: Sequence[Key], place: Place) -> Sql:
    """Condition of what comes after (before) a place."""
    sql, parameters = "0", list[Any]()
    for key, value in zip(reversed(order), reversed(place.values), strict=True):
        after, after_values = key.after(value, backward=place.backward)
        same, same_values = key.sql
        inner = f"({after} OR ({same} IS ? AND {sql}))" if sql != "0" else after
        parameters = [*after_values, *same_values, value, *parameters] if sql != "0" else after_values
        sql = inner
    if (first := order[0]).nullable:
        return sql, parameters
    # The same again, such that an index can start there.
    comparison = "<=" if first.descending != place.backward else ">="
    return f"({first.sql[0]} {comparison} ? AND {sql})", [place.values[0], *parameters]


def _features(reader: Reader, rids: Iterable[int], search: Search, places: Places) -> list[bytes]:
    """Items of rows in their order, until they are as large as a page may be."""
    made: list[bytes] = []
    size = 0
    for rid in rids:
        feature = _feature(reader, rid, search, places)
        size += len(feature)
        if made and size > search.most_bytes:
            break
        made.append(feature)
    return made


def _feature(reader: Reader, rid: int, search: Search, places: Places) -> bytes:
    statement = (
        "SELECT d.document, i.collection, i.id, i.store FROM items i JOIN documents d ON d.rid = i.rid WHERE i.rid = ?"
    )
    data, collection, name, store = reader.connection.execute(statement, (rid,)).fetchone()
    made = answer(reader.document(data), collection, name, store, places)
    return encode(chosen(decode(made), search.fields)) if search.fields else made
