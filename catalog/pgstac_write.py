"""Writing to the catalogue in PostgreSQL: what is kept beside pgstac, and in pgstac what can be found.

All of it runs inside `catalog.pgstac_schema.writing`: one writer at a time, wholly or not at all.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

from catalog import pgstac_rows as rows
from catalog.item import COLLECTION_ID
from catalog.pgstac_rows import Collection, Found, Key
from catalog.rows import row
from catalog.text import encode
from catalog.versions import told

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from catalog.pgstac_schema import Connection

type Item = Mapping[str, Any]

_KEYS: Final = "unnest(%s::text[], %s::text[]) AS k (collection, id)"


def upsert(connection: Connection, items: Sequence[Item]) -> int:
    """Add or replace items, by the rule of revisions; return how many were written.

    Raises
    ------
    ValueError
        If one is no item that can be listed, or its collection is unknown.
    """
    for item in items:
        row(item)
    known = _collections(connection, {item["collection"] for item in items})
    for item in items:
        if item["collection"] not in known:
            raise ValueError(f"item {item['id']}: unknown collection {item['collection']!r}")
    listed = find(connection, map(rows.key, items))
    before = dict(listed)
    accepted: dict[Key, Item] = {}
    written = 0
    for item in items:
        new, old = rows.found(item), listed.get(rows.key(item))
        if old is not None and old.store is not None and old.store == new.store and new.revision < old.revision:
            continue
        accepted[rows.key(item)], listed[rows.key(item)] = item, new
        written += 1
    _put(connection, _told(connection, accepted, before), known)
    return written


def insert(connection: Connection, items: Sequence[Item]) -> list[str]:
    """Add items, all or none; return the ids that are listed already (then nothing was written).

    Raises
    ------
    ValueError
        If one is no item that can be listed, or its collection is unknown.
    """
    for item in items:
        row(item)
    names = [rows.key(item) for item in items]
    listed = find(connection, names)
    if taken := [name for name in names if name in listed or names.count(name) > 1]:
        return list(dict.fromkeys(name for _, name in taken))
    upsert(connection, items)
    return []


def remove(connection: Connection, collection: str, item: str) -> bool:
    """Take an item out and tell its other versions; return whether it was listed."""
    old = find(connection, [(collection, item)]).get((collection, item))
    if old is None:
        return False
    connection.execute("DELETE FROM abut.items WHERE collection = %s AND id = %s", (collection, item))
    connection.execute("DELETE FROM pgstac.items WHERE collection = %s AND id = %s", (collection, item))
    others = _told(connection, {}, {(collection, item): old})
    _put(connection, others, _collections(connection, {collection}))
    return True


def find(connection: Connection, keys: Iterable[Key]) -> dict[Key, Found]:
    """Return what is listed of these items."""
    # S608: the name of a relation; values are parameters.
    statement = f"SELECT collection, id, store, revision, family FROM abut.items JOIN {_KEYS} USING (collection, id)"  # noqa: S608
    return {
        (collection, name): Found(*rest) for collection, name, *rest in connection.execute(statement, _columns(keys))
    }


def put_collection(connection: Connection, collection: Mapping[str, Any]) -> None:
    """Add a collection, or replace the one of its id."""
    text = encode(collection).decode()
    known = connection.execute("SELECT FROM pgstac.collections WHERE id = %s", (collection["id"],)).fetchone()
    connection.execute("SELECT pgstac.upsert_collection(%s::jsonb)", (text,))
    if known is None and collection["id"] == COLLECTION_ID:
        statement = "UPDATE pgstac.collections SET partition_trunc = 'month' WHERE id = %s"
        connection.execute(statement, (collection["id"],))


def remove_collection(connection: Connection, collection: str) -> bool:
    """Take a collection and its items out; return whether it was listed."""
    connection.execute("DELETE FROM abut.items WHERE collection = %s", (collection,))
    return connection.execute("DELETE FROM pgstac.collections WHERE id = %s", (collection,)).rowcount > 0


def _collections(connection: Connection, names: set[str]) -> dict[str, Collection]:
    found = connection.execute(
        "SELECT c.id, b.base_item, b.base_item_id, c.partition_trunc "
        "FROM pgstac.collections c, pgstac.current_base_item(c.id) b WHERE c.id = ANY(%s)",
        (sorted(names),),
    )
    return {name: Collection(base, base_id, parts) for name, base, base_id, parts in found}


def _told(connection: Connection, accepted: Mapping[Key, Item], before: Mapping[Key, Found]) -> list[Item]:
    """Items to write so that all versions know of each other: those that are new, and others that change by them."""
    alone = [item for item in accepted.values() if rows.found(item).family is None]
    new = {rows.found(item).family for item in accepted.values()}
    touched = (new | {before[name].family for name in before if name in accepted or not accepted}) - {None}
    families: dict[str, dict[Key, Item]] = defaultdict(dict)
    stored: dict[Key, Item] = {}
    statement = "SELECT family, document FROM abut.items WHERE family = ANY(%s)"
    for name, item in connection.execute(statement, (sorted(filter(None, touched)),)):
        stored[rows.key(item)] = item
        if rows.key(item) not in accepted:
            families[name][rows.key(item)] = item
    for item in accepted.values():
        if (name := rows.found(item).family) is not None:
            families[name][rows.key(item)] = item
    versions = [item for members in families.values() for item in told(members.values())]
    return alone + [item for item in versions if rows.key(item) in accepted or item != stored[rows.key(item)]]


def _put(connection: Connection, items: Sequence[Item], known: Mapping[str, Collection]) -> None:
    """Write rows, whatever was there."""
    if not items:
        return
    names = _columns(map(rows.key, items))
    listed = [rows.found(item) for item in items]
    connection.execute(
        """
        INSERT INTO abut.items (collection, id, store, revision, withdrawn, family, document)
        SELECT * FROM unnest(%s::text[], %s::text[], %s::text[], %s::bigint[], %s::boolean[], %s::text[], %s::json[])
        ON CONFLICT (collection, id) DO UPDATE SET store = excluded.store, revision = excluded.revision,
            withdrawn = excluded.withdrawn, family = excluded.family, document = excluded.document
        """,
        (
            *names,
            [old.store for old in listed],
            [old.revision for old in listed],
            [rows.withdrawn(item) for item in items],
            [old.family for old in listed],
            [encode(item).decode() for item in items],
        ),
    )
    # S608: the name of a relation; values are parameters.
    statement = f"DELETE FROM pgstac.items i USING {_KEYS} WHERE i.collection = k.collection AND i.id = k.id"  # noqa: S608
    connection.execute(statement, names)
    _show(connection, [item for item in items if not rows.withdrawn(item)], known)


def _show(connection: Connection, items: Sequence[Item], known: Mapping[str, Collection]) -> None:
    """Hand items to pgstac, which has none of them, so that searches find them."""
    if not items:
        return
    times = [rows.times(item) for item in items]
    _make_partitions(connection, items, times, known)
    collections, names = _columns(map(rows.key, items))
    connection.execute(
        """
        INSERT INTO pgstac.items (collection, id, datetime, end_datetime, geometry, content)
        SELECT collection, id, first, last, ST_GeomFromGeoJSON(geometry), content
        FROM unnest(%s::text[], %s::text[], %s::timestamptz[], %s::timestamptz[], %s::text[], %s::jsonb[])
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
