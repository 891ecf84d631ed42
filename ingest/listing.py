"""What the catalogue lists, compared with the items in the store, which it can always be rebuilt from."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from abut import product as products
from catalog.collection import EDITION, edition, make_collection
from catalog.comparing import digest, told_part
from catalog.item import COLLECTION_ID
from catalog.versions import family, told
from ingest.commit import read_item

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from abut.archive import Archive
    from catalog.interface import Catalogue

COLLECTION: Final = "collection.json"
"""Object with the STAC collection, which the items link to."""

_AGE: Final = ("processing:version", "processing:datetime", "abut:withdrawn")
"""Properties that order the versions of a product."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One item that store and catalogue do not agree on."""

    product: str
    """Product id."""
    what: Literal["unknown", "differs", "untold"]
    """Listed, but not in the store; not listed as it is in the store; or not told of its other versions."""


class _Listed:
    """What was seen in the catalogue; of each item only its id and what its other versions depend on."""

    def __init__(self) -> None:
        self.ids: set[str] = set()
        self._families: dict[str, list[tuple[dict[str, Any], str]]] = {}

    def note(self, item: Mapping[str, Any]) -> None:
        """Take note of an item."""
        self.ids.add(item["id"])
        key = family(item)
        if key is not None:
            known = {name: item["properties"][name] for name in _AGE if name in item["properties"]}
            stub = {"id": item["id"], "properties": known, "links": []}
            self._families.setdefault(key, []).append((stub, told_part(item)))

    def untold(self) -> set[str]:
        """Return the ids of the items that are not told of each other as all that are listed demand."""
        wrong = set()
        for members in self._families.values():
            should = {item["id"]: told_part(item) for item in told(stub for stub, _ in members)}
            wrong |= {stub["id"] for stub, says in members if should[stub["id"]] != says}
        return wrong


def stored_item(archive: Archive, name: str) -> dict[str, Any] | None:
    """Return a product's item, or None if there is none or the product was removed."""
    item, _ = read_item(archive.store, name)
    return None if item is None or products.is_tombstone(item) else item


def stored_items(archive: Archive) -> Iterator[dict[str, Any]]:
    """Return the items of all products of an archive, by id, withdrawn ones included."""
    for name in archive.item_ids():
        item = stored_item(archive, name)
        if item is not None:
            yield item


def list_items(archive: Archive, catalogue: Catalogue, items: Iterable[Mapping[str, Any]]) -> int:
    """Add or replace items, and their collection if it is missing or old; return how many were written.

    Raises
    ------
    ValueError
        If one is no item that can be listed.
    """
    list_collection(archive, catalogue)
    return catalogue.upsert_many(items)


def list_collection(archive: Archive, catalogue: Catalogue) -> None:
    """Add the collection of the store to a catalogue that has none, or replace an older one."""
    listed = next((one for one in catalogue.collections() if one["id"] == COLLECTION_ID), None)
    if listed is not None and edition(listed) >= EDITION:
        return
    found = archive.store.read(COLLECTION)
    made = make_collection().to_dict(include_self_link=False) if found is None else json.loads(found.data)
    if listed is None or edition(listed) < edition(made):
        catalogue.put_collection(made)


def put_collection(archive: Archive) -> None:
    """Write the collection where there is none, or one of an older version of Abut; a newer one's is left alone.

    It has to be there before the first product that links to it joins.
    """
    made = json.dumps(make_collection().to_dict(include_self_link=False), indent=1, ensure_ascii=False).encode()
    found = archive.store.read(COLLECTION)
    if found is None:
        archive.store.put_new(COLLECTION, made)
    while found is not None and edition(json.loads(found.data)) < EDITION:
        archive.store.swap(COLLECTION, made, found.version)
        found = archive.store.read(COLLECTION)


def is_outdated(archive: Archive) -> bool:
    """Whether the collection in the store is one of an older version of Abut."""
    found = archive.store.read(COLLECTION)
    return found is not None and edition(json.loads(found.data)) < EDITION


def differences(archive: Archive, catalogue: Catalogue, known: Collection[str]) -> Iterator[Difference]:
    """Compare all that a catalogue lists with the store.

    Parameters
    ----------
    archive : Archive
        The archive.
    catalogue : Catalogue
        Its catalogue. One behind a STAC API that is not Abut's has no withdrawn items, and tells of no versions.
    known : collection of str
        Ids of all products of the archive. What was ingested or removed since is no difference.
    """
    listed = _Listed()
    for item in catalogue.items(COLLECTION_ID, withdrawn=True):
        name = item["id"]
        listed.note(item)
        stored = stored_item(archive, name)
        if stored is None:
            # What names no store was never registered by an archive: it is someone else's.
            if "abut:store" in item["properties"] and catalogue.get(name) is not None:  # else it was purged meanwhile
                yield Difference(name, "unknown")
        elif name in known and digest(item) != digest(stored) and _still_differs(archive, catalogue, name):
            yield Difference(name, "differs")
    for name in sorted(set(known) - listed.ids):
        if _still_differs(archive, catalogue, name):
            yield Difference(name, "differs")
    if _is_plain(catalogue):
        return
    if untold := listed.untold():
        again = _Listed()  # a version that was registered meanwhile has not been seen
        for item in catalogue.items(COLLECTION_ID, withdrawn=True):
            again.note(item)
        for name in sorted(untold & again.untold()):
            yield Difference(name, "untold")


def repair(archive: Archive, catalogue: Catalogue, difference: Difference) -> None:
    """List what the store has; a catalogue that has a newer copy, which the store does not know, is set back.

    The store is looked at again at the end, and all is done anew if it says something else by then: an item that was
    withdrawn, settled or ingested meanwhile is not replaced by an older copy of itself.
    """
    name = difference.product
    while True:
        stored = stored_item(archive, name)
        if stored is None:
            catalogue.remove(name)
        else:
            list_items(archive, catalogue, [stored])
            listed = catalogue.get(name)
            if (listed is None or digest(listed) != digest(stored)) and stored_item(archive, name) == stored:
                catalogue.remove(name)
                list_items(archive, catalogue, [stored])
        if stored_item(archive, name) == stored:
            return


def rebuild(archive: Archive, catalogue: Catalogue, on_item: Callable[[], object] = lambda: None) -> int:
    """List all items of the store, and nothing else; return how many there are.

    Searches go on meanwhile: items are replaced, not first taken out.
    """
    count = 0

    def counted() -> Iterator[dict[str, Any]]:
        nonlocal count
        for item in stored_items(archive):
            yield item
            count += 1
            on_item()

    list_items(archive, catalogue, counted())
    for difference in list(differences(archive, catalogue, set(archive.product_ids()))):
        repair(archive, catalogue, difference)
    return count


def _is_plain(catalogue: Catalogue) -> bool:
    """Whether it is behind a STAC API that knows nothing of archives."""
    return not getattr(catalogue, "is_abut", True)


def _still_differs(archive: Archive, catalogue: Catalogue, name: str) -> bool:
    """Whether the copies differ at this moment: others register products while this runs."""
    listed, stored = catalogue.get(name), stored_item(archive, name)
    if stored is not None and listed is None and _is_plain(catalogue) and stored["properties"]["abut:withdrawn"]:
        return False
    return stored is not None and (listed is None or digest(listed) != digest(stored))
