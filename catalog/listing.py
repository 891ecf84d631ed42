"""Items of the embedded catalogue as they are stored, one by one or in the order of their ids."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from catalog.documents import stored
from catalog.text import decode

if TYPE_CHECKING:
    from catalog.functions import Reader

_DOCUMENT: Final = "SELECT d.document FROM items i JOIN documents d ON d.rid = i.rid WHERE "


def stored_item(reader: Reader, collection: str, name: str) -> dict[str, Any] | None:
    """Return an item, withdrawn or not, or None if it is not listed."""
    statement = f"{_DOCUMENT} i.id = ? AND i.collection = ?"
    found = reader.connection.execute(statement, (name, collection)).fetchone()
    return None if found is None else _item(reader, found[0])


def row_item(reader: Reader, rid: int) -> dict[str, Any]:
    """Return the item of a row."""
    return _item(reader, reader.connection.execute(f"{_DOCUMENT} i.rid = ?", (rid,)).fetchone()[0])


def listing(reader: Reader, collection: str, after: str, limit: int, *, withdrawn: bool = True) -> list[dict[str, Any]]:
    """Return items of a collection, withdrawn ones too if asked for: the first whose ids come after `after`.

    By code point. All are read at once: nothing is left open that would keep the file's log from starting anew.
    """
    statement = f"{_DOCUMENT} i.collection = ? AND i.id > ? AND i.withdrawn <= ? ORDER BY i.id LIMIT ?"
    found = reader.connection.execute(statement, (collection, after, withdrawn, limit)).fetchall()
    return [_item(reader, data) for (data,) in found]


def collections(reader: Reader) -> list[dict[str, Any]]:
    """Return the collections, by id."""
    found = reader.connection.execute("SELECT document FROM collections ORDER BY id")
    return [json.loads(text) for (text,) in found]


def _item(reader: Reader, data: bytes) -> dict[str, Any]:
    item: dict[str, Any] = decode(stored(reader.document(data)))
    return item
