"""Writing items into the embedded catalogue, and telling versions of a product of each other, in one transaction."""

from __future__ import annotations

from itertools import batched
from typing import TYPE_CHECKING, Any, Final

from abut.errors import BadRequestError
from catalog.comparing import equal
from catalog.documents import stored
from catalog.packing import SMALL_WINDOW, WINDOW, Dictionaries, shortened, unpack_document
from catalog.rows import COLUMNS, Row, row
from catalog.text import decode, encode
from catalog.versions import family, told, untold

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping

    from catalog.interface import Outcome

_GROUP: Final = 500

# S608: what is put into these statements are names of columns; values are parameters.
_INSERT: Final = f"INSERT INTO items ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"  # noqa: S608
_UPDATE: Final = f"UPDATE items SET {', '.join(f'{column} = ?' for column in COLUMNS)} WHERE rid = ?"  # noqa: S608
_DOCUMENTS: Final = "SELECT i.rid, d.document FROM items i JOIN documents d ON d.rid = i.rid WHERE "


def write_many(connection: sqlite3.Connection, items: Iterable[Mapping[str, Any]]) -> int:
    """Add or replace items within the transaction that is open.

    An item of the same store is replaced only by one of the same or a newer ledger revision; one of another store
    unless that was written earlier, going by ``created``; items without a store always.

    Returns
    -------
    int
        How many were written.

    Raises
    ------
    ValueError
        If one is not an item that can be listed, or its collection is unknown.
    """
    return write_rows(connection, map(prepared, items))


def prepared(item: Mapping[str, Any]) -> Row:
    """Return what `write_rows` writes of an item; no database is needed.

    Raises
    ------
    ValueError
        If it is not an item that can be listed.
    """
    if not isinstance(item.get("collection"), str):
        raise BadRequestError(f"item {item.get('id')}: unknown collection {item.get('collection')!r}")
    return row(_alone(item))


def write_rows(connection: sqlite3.Connection, rows: Iterable[Row]) -> int:
    """Add or replace items that were prepared, as `write_many` does."""
    known = {name for (name,) in connection.execute("SELECT id FROM collections")}
    dictionaries = _Known(connection)
    written = 0
    for group in batched(rows, _GROUP):
        families: set[int] = set()
        for new in group:
            if new.collection not in known:
                raise BadRequestError(f"item {new.id}: unknown collection {new.collection!r}")
            written += _write(connection, new, dictionaries, families)
        _tell(connection, families, dictionaries)
    return written


def taken(connection: sqlite3.Connection, items: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the ids of those items that are listed, withdrawn or not, or come twice."""
    statement = "SELECT 1 FROM items WHERE id = ? AND collection = ?"
    found: list[str] = []
    seen: set[tuple[str, str]] = set()
    for item in items:
        name, collection = item.get("id"), item.get("collection")
        if not isinstance(name, str) or not isinstance(collection, str):
            continue  # refused when it is written
        key = name, collection
        if key in seen or connection.execute(statement, key).fetchone() is not None:
            found.append(name)
        seen.add(key)
    return found


def remove(connection: sqlite3.Connection, collection: str, name: str) -> bool:
    """Take an item out, within the transaction that is open; return whether it was listed."""
    statement = "SELECT rid, family FROM items WHERE id = ? AND collection = ?"
    found = connection.execute(statement, (name, collection)).fetchone()
    if found is None:
        return False
    rid, number = found
    for table in ("extents", "details", "documents", "items"):
        connection.execute(f"DELETE FROM {table} WHERE rid = ?", (rid,))  # noqa: S608 - names of tables
    _tell(connection, {number} - {None}, _Known(connection))
    return True


def replace_if(connection: sqlite3.Connection, item: Mapping[str, Any], expected: Mapping[str, Any]) -> Outcome:
    """Replace an item, by the rule of `write_many`, if it is still what is expected, in the transaction that is open.

    Raises
    ------
    ValueError
        If it is not an item that can be listed.
    """
    if not _is(connection, expected):
        return "changed"
    return "written" if write_many(connection, [item]) else "outdated"


def remove_if(connection: sqlite3.Connection, expected: Mapping[str, Any]) -> bool:
    """Take an item out if it is still what is expected, within the transaction that is open; return whether it was."""
    return _is(connection, expected) and remove(connection, expected["collection"], expected["id"])


def put_collection_if(
    connection: sqlite3.Connection, collection: Mapping[str, Any], expected: Mapping[str, Any] | None
) -> bool:
    """Put a collection if the one of its id is what is expected (None: there is none); return whether it was."""
    statement = "SELECT document FROM collections WHERE id = ?"
    found = connection.execute(statement, (collection["id"],)).fetchone()
    if not equal(None if found is None else decode(found[0].encode()), expected):
        return False
    put_collection(connection, collection)
    return True


def has_items(connection: sqlite3.Connection, collection: str) -> bool:
    """Return whether a collection has items, withdrawn or not."""
    statement = "SELECT 1 FROM items WHERE collection = ? LIMIT 1"
    return connection.execute(statement, (collection,)).fetchone() is not None


def remove_collection(connection: sqlite3.Connection, collection: str) -> bool:
    """Take a collection and its items out, within the transaction that is open; return whether it was listed."""
    rows = "SELECT rid FROM items WHERE collection = ?"
    for table in ("extents", "details", "documents"):
        connection.execute(f"DELETE FROM {table} WHERE rid IN ({rows})", (collection,))  # noqa: S608 - names of tables
    connection.execute("DELETE FROM items WHERE collection = ?", (collection,))
    connection.execute("DELETE FROM dictionaries WHERE collection = ?", (collection,))
    return connection.execute("DELETE FROM collections WHERE id = ?", (collection,)).rowcount > 0


def put_collection(connection: sqlite3.Connection, collection: Mapping[str, Any]) -> None:
    """Add a collection, or replace the one of its id, within the transaction that is open.

    Raises
    ------
    ValueError
        If it has no id, or values that JSON has not.
    """
    name = collection.get("id")
    if not isinstance(name, str) or not name:
        raise ValueError(f"collection id {name!r} is not a name")
    statement = "INSERT INTO collections VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET document = excluded.document"
    connection.execute(statement, (name, encode(collection).decode()))


def _is(connection: sqlite3.Connection, expected: Mapping[str, Any]) -> bool:
    """Whether an item is listed and what is expected."""
    key = expected["id"], expected["collection"]
    found = connection.execute(f"{_DOCUMENTS} i.id = ? AND i.collection = ?", key).fetchone()
    return found is not None and equal(
        decode(stored(unpack_document(found[1], _Known(connection).by_number))), expected
    )


class _Known:
    """Dictionaries of the collections, while items are written; made from the first item of each."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._by_collection: dict[str, Dictionaries] = {}
        self._by_number: dict[int, Dictionaries] = {}
        for collection, *values in connection.execute(
            "SELECT collection, number, document, properties FROM dictionaries"
        ):
            self._add(collection, Dictionaries(*values))

    def by_number(self, number: int) -> Dictionaries:
        """Return the dictionaries of a number."""
        return self._by_number[number]

    def of(self, new: Row) -> Dictionaries:
        """Return the dictionaries of the collection of an item."""
        if new.collection not in self._by_collection:
            document, properties = shortened(new.template, WINDOW), shortened(new.properties, SMALL_WINDOW)
            statement = "INSERT INTO dictionaries (collection, document, properties) VALUES (?, ?, ?)"
            number = self._connection.execute(statement, (new.collection, document, properties)).lastrowid
            assert number is not None  # noqa: S101 - of an insert; for the type checker
            self._add(new.collection, Dictionaries(number, document, properties))
        return self._by_collection[new.collection]

    def _add(self, collection: str, dictionaries: Dictionaries) -> None:
        self._by_collection[collection] = self._by_number[dictionaries.number] = dictionaries


def _write(connection: sqlite3.Connection, new: Row, dictionaries: _Known, families: set[int]) -> bool:
    """Write an item as the only one of its family; note the families that have to be told."""
    statement = "SELECT rid, revision, store, created, family FROM items WHERE id = ? AND collection = ?"
    found = connection.execute(statement, (new.id, new.collection)).fetchone()
    if found is not None and _outdated(new, *found[1:4]):
        return False
    if found is not None and found[4] is not None:
        families.add(found[4])
    if new.family is not None and new.family not in families:
        others = connection.execute("SELECT 1 FROM items WHERE family = ? LIMIT 1", (new.family,)).fetchone()
        if others is not None:
            families.add(new.family)
    _put(connection, new, None if found is None else found[0], dictionaries)
    return True


def _alone(item: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return an item as `told` returns the only one of a family."""
    try:
        if family(item) is None:
            return item
        made = untold(item)
    except (TypeError, AttributeError, KeyError) as error:
        raise ValueError(f"item {item.get('id')} is not a STAC item: {error}") from error
    made["properties"]["deprecated"] = bool(made["properties"].get("abut:withdrawn"))
    return made


def _outdated(new: Row, revision: int, store: str | None, created: int | None) -> bool:
    if new.store is None or store is None:
        return False
    if new.store == store:
        return new.revision < revision
    return new.created is not None and created is not None and new.created < created


def _put(connection: sqlite3.Connection, new: Row, rid: int | None, dictionaries: _Known) -> None:
    packing = dictionaries.of(new)
    if rid is None:
        rid = connection.execute(_INSERT, new.values).lastrowid
    else:
        connection.execute(_UPDATE, (*new.values, rid))
        connection.execute("DELETE FROM extents WHERE rid = ?", (rid,))
    connection.execute(
        "REPLACE INTO details VALUES (?, ?, ?)", (rid, new.geometry, packing.pack_properties(new.properties))
    )
    connection.execute("REPLACE INTO documents VALUES (?, ?)", (rid, packing.pack_document(new.template)))
    if new.extent is not None:
        connection.execute("INSERT INTO extents VALUES (?, ?, ?, ?, ?, ?, ?)", (rid, *new.extent))


def _tell(connection: sqlite3.Connection, families: Iterable[int], dictionaries: _Known) -> None:
    """Bring the items of families in step with each other."""
    for number in families:
        groups: dict[str | None, list[tuple[int, dict[str, Any]]]] = {}
        for rid, data in connection.execute(f"{_DOCUMENTS} i.family = ?", (number,)).fetchall():
            item = decode(stored(unpack_document(data, dictionaries.by_number)))
            groups.setdefault(family(item), []).append((rid, item))  # a number may stand for two families
        for members in groups.values():
            rids = {item["id"]: (rid, item) for rid, item in members}
            for item in told(item for _, item in members):
                rid, before = rids[item["id"]]
                if item != before:
                    _put(connection, row(item), rid, dictionaries)
