"""Writing to the catalogue in PostgreSQL: what is kept beside pgstac, and in pgstac what can be found.

All of it runs inside `catalog.pgstac_schema.writing`: one writer at a time, wholly or not at all.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from abut.errors import BadRequestError
from catalog import pgstac_rows as rows
from catalog.comparing import equal
from catalog.documents import stored, template
from catalog.item import COLLECTION_ID
from catalog.pgstac_rows import Collection, Entry, Key, Known, entry, key
from catalog.text import decode, encode
from catalog.versions import told

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from catalog.interface import Outcome
    from catalog.pgstac_schema import Connection

type Item = Mapping[str, Any]

_PLACED: Final = "first_moment, last_moment, west, east, south, north"
_KEYS: Final = "unnest(%s::text[], %s::text[]) AS k (collection, id)"


def upsert(connection: Connection, items: Sequence[Item]) -> int:
    """Add or replace items, by the rule of revisions; return how many were written.

    Raises
    ------
    ValueError
        If one is no item that can be listed, or its collection is unknown.
    """
    entries = [entry(item) for item in items]
    known = _collections(connection, entries)
    before = listed(connection, [new.key for new in entries])
    now, accepted = dict(before), dict[Key, Entry]()
    written = 0
    for new in entries:
        if new.key not in now or not new.outdated_by(now[new.key]):
            accepted[new.key], now[new.key] = new, new.known
            written += 1
    families = {new.known.family for new in accepted.values()} | {old.family for old in before.values()}
    _put(connection, _told(connection, families, accepted), known)
    return written


def insert(connection: Connection, items: Sequence[Item]) -> list[str]:
    """Add items, all or none; return the ids that are listed already (then nothing was written).

    Raises
    ------
    ValueError
        If one is no item that can be listed, or its collection is unknown.
    """
    names = Counter(entry(item).key for item in items)
    taken = listed(connection, names).keys() | {name for name, times in names.items() if times > 1}
    if not taken:
        upsert(connection, items)
    return sorted(name for _, name in taken)


def remove(connection: Connection, collection: str, item: str) -> bool:
    """Take an item out and tell its other versions; return whether it was listed."""
    old = listed(connection, [(collection, item)]).get((collection, item))
    if old is None:
        return False
    connection.execute("DELETE FROM abut.items WHERE collection = %s AND id = %s", (collection, item))
    connection.execute("DELETE FROM pgstac.items WHERE collection = %s AND id = %s", (collection, item))
    others = _told(connection, {old.family}, {})
    _put(connection, others, _collections(connection, others))
    return True


def replace_if(connection: Connection, item: Item, expected: Item) -> Outcome:
    """Replace an item, by the rule of revisions, if it is still what is expected.

    Raises
    ------
    ValueError
        If it is no item that can be listed.
    """
    if not _is(connection, expected):
        return "changed"
    return "written" if upsert(connection, [item]) else "outdated"


def remove_if(connection: Connection, expected: Item) -> bool:
    """Take an item out if it is still what is expected; return whether it was."""
    return _is(connection, expected) and remove(connection, *key(expected))


def listed(connection: Connection, keys: Iterable[Key]) -> dict[Key, Known]:
    """Return what is known of those of these items that are listed."""
    # S608: the name of a relation; values are parameters.
    statement = f"""
        SELECT collection, id, store, revision, created, family FROM abut.items JOIN {_KEYS} USING (collection, id)
    """  # noqa: S608
    found = connection.execute(statement.encode(), _columns(keys))
    return {(collection, name): Known(*known) for collection, name, *known in found}


def put_collection(connection: Connection, collection: Mapping[str, Any]) -> None:
    """Add a collection, or replace the one of its id."""
    text = encode(collection).decode()
    known = connection.execute("SELECT FROM pgstac.collections WHERE id = %s", (collection["id"],)).fetchone()
    connection.execute("SELECT pgstac.upsert_collection(%s::jsonb)", (text,))
    if known is None and collection["id"] == COLLECTION_ID:
        statement = "UPDATE pgstac.collections SET partition_trunc = 'month' WHERE id = %s"
        connection.execute(statement, (collection["id"],))


def put_collection_if(connection: Connection, collection: Item, expected: Item | None) -> bool:
    """Put a collection if the one of its id is what is expected (None: there is none); return whether it was."""
    statement = "SELECT content FROM pgstac.collections WHERE id = %s FOR UPDATE"
    found = connection.execute(statement, (collection["id"],)).fetchone()
    if not equal(None if found is None else found[0], expected):
        return False
    put_collection(connection, collection)
    return True


def has_items(connection: Connection, collection: str) -> bool:
    """Return whether a collection has items, withdrawn or not."""
    statement = "SELECT FROM abut.items WHERE collection = %s LIMIT 1"
    return connection.execute(statement, (collection,)).fetchone() is not None


def remove_collection(connection: Connection, collection: str) -> bool:
    """Take a collection and its items out; return whether it was listed."""
    connection.execute("DELETE FROM abut.items WHERE collection = %s", (collection,))
    return connection.execute("DELETE FROM pgstac.collections WHERE id = %s", (collection,)).rowcount > 0


def _is(connection: Connection, expected: Item) -> bool:
    """Whether an item is listed and what is expected; its row is locked."""
    statement = "SELECT document FROM abut.items WHERE collection = %s AND id = %s FOR UPDATE"
    found = connection.execute(statement, key(expected)).fetchone()
    return found is not None and equal(decode(stored(found[0])), expected)


def _collections(connection: Connection, entries: Iterable[Entry]) -> dict[str, Collection]:
    """Return the collections of items; refuses those that are not listed."""
    names = {new.key[0]: new.key[1] for new in entries}
    found = connection.execute(
        "SELECT c.id, b.base_item, b.base_item_id, c.partition_trunc "
        "FROM pgstac.collections c, pgstac.current_base_item(c.id) b WHERE c.id = ANY(%s)",
        (sorted(names),),
    )
    known = {name: Collection(base, base_id, parts) for name, base, base_id, parts in found}
    for collection, item in names.items():
        if collection not in known:
            raise BadRequestError(f"item {item}: unknown collection {collection!r}")
    return known


def _told(connection: Connection, families: Iterable[str | None], new: Mapping[Key, Entry]) -> list[Entry]:
    """Return what has to be written so that all versions know of each other: new items, and others that change."""
    wanted = sorted(filter(None, set(families)))
    # S608: names of columns; values are parameters.
    statement = f"SELECT family, document, store, revision, created, {_PLACED} FROM abut.items WHERE family = ANY(%s)"  # noqa: S608
    found = connection.execute(statement.encode(), (wanted,))
    old = [
        Entry(decode(stored(document)), document, Known(store, revision, created, name), tuple(columns))
        for name, document, store, revision, created, *columns in found
    ]
    members: dict[str, dict[Key, Entry]] = defaultdict(dict)
    for one in (*(one for one in old if one.key not in new), *new.values()):
        if one.known.family is not None:
            members[one.known.family][one.key] = one
    made = [one for one in new.values() if one.known.family is None]
    for family in members.values():
        for item in told(one.item for one in family.values()):
            one = family[key(item)]
            if one.key in new or item != one.item:
                made.append(replace(one, item=item, document=template(item)))
    return made


def _put(connection: Connection, entries: Sequence[Entry], known: Mapping[str, Collection]) -> None:
    """Write rows, whatever was there."""
    if not entries:
        return
    names = _columns(new.key for new in entries)
    # S608: names of columns; values are parameters.
    statement = f"""
        INSERT INTO abut.items (collection, id, store, revision, created, withdrawn, family, {_PLACED}, facts, document)
        SELECT * FROM unnest(
            %s::text[], %s::text[], %s::text[], %s::bigint[], %s::bigint[], %s::boolean[], %s::text[],
            %s::bigint[], %s::bigint[], %s::float8[], %s::float8[], %s::float8[], %s::float8[],
            %b::text[]::jsonb[], %b::bytea[]
        )
        ON CONFLICT (collection, id) DO UPDATE SET
            store = excluded.store, revision = excluded.revision, created = excluded.created,
            withdrawn = excluded.withdrawn, family = excluded.family,
            first_moment = excluded.first_moment, last_moment = excluded.last_moment,
            west = excluded.west, east = excluded.east, south = excluded.south, north = excluded.north,
            facts = excluded.facts, document = excluded.document
    """  # noqa: S608
    connection.execute(
        statement.encode(),
        (
            *names,
            [new.known.store for new in entries],
            [new.known.revision for new in entries],
            [new.known.created for new in entries],
            [new.withdrawn for new in entries],
            [new.known.family for new in entries],
            *(list(column) for column in zip(*(new.columns for new in entries), strict=True)),
            [encode(rows.facts(new.item)).decode() for new in entries],
            [new.document for new in entries],
        ),
    )
    # S608: the name of a relation; values are parameters.
    statement = f"DELETE FROM pgstac.items i USING {_KEYS} WHERE i.collection = k.collection AND i.id = k.id"  # noqa: S608
    connection.execute(statement.encode(), names)
    _show(connection, [new.item for new in entries if not new.withdrawn], known)


def _show(connection: Connection, items: Sequence[Item], known: Mapping[str, Collection]) -> None:
    """Hand items to pgstac, which has none of them, so that searches find them."""
    if not items:
        return
    times = [rows.times(item) for item in items]
    _make_partitions(connection, items, times, known)
    collections, names = _columns(map(key, items))
    connection.execute(
        """
        INSERT INTO pgstac.items (collection, id, datetime, end_datetime, geometry, content)
        SELECT collection, id, first, last, ST_GeomFromGeoJSON(geometry), content
        FROM unnest(%s::text[], %s::text[], %s::timestamptz[], %s::timestamptz[], %b::text[], %b::text[]::jsonb[])
            AS new (collection, id, first, last, geometry, content)
        """,
        (
            collections,
            names,
            [first for first, _ in times],
            [last for _, last in times],
            [rows.geometry(item) for item in items],
            [rows.content(item, known[item["collection"]]) for item in items],
        ),
    )


def _make_partitions(
    connection: Connection,
    items: Sequence[Item],
    times: Sequence[tuple[datetime, datetime]],
    known: Mapping[str, Collection],
) -> None:
    """See that pgstac has partitions for items, in a fixed order."""
    wanted: dict[tuple[str, datetime | None], tuple[datetime, datetime, datetime]] = {}
    for item, (first, last) in zip(items, times, strict=True):
        parts = known[item["collection"]].parts
        begin, end = rows.span(first, parts)
        place = item["collection"], begin if parts else None
        seen = wanted.get(place, (begin, end, last))
        wanted[place] = min(begin, seen[0]), max(end, seen[1]), max(end, last, seen[2])
    for (name, _), (begin, end, last) in sorted(wanted.items(), key=lambda entry: (entry[0][0], entry[1])):
        connection.execute(
            "SELECT pgstac.check_partition(%s, tstzrange(%s, %s, '[]'), tstzrange(%s, %s, '[]'))",
            (name, begin, end, begin, last),
        )


def _columns(keys: Iterable[Key]) -> tuple[list[str], list[str]]:
    pairs = list(keys)
    return [collection for collection, _ in pairs], [name for _, name in pairs]
