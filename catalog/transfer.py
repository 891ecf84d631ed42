"""From one catalogue to another, whatever keeps them, and whether both say the same afterwards."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import batched
from typing import TYPE_CHECKING, Final

from catalog.comparing import digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from catalog.interface import Catalogue

BATCH: Final = 500
"""Items that are copied at once."""

type Name = tuple[str, str]
"""Collection and id of an item."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What two catalogues have, by collection and id."""

    items: int
    """Items of the first, withdrawn ones included."""
    missing: tuple[Name, ...] = ()
    """What the second lacks."""
    unequal: tuple[Name, ...] = ()
    """What the second has otherwise."""
    surplus: tuple[Name, ...] = ()
    """What only the second has, in collections of the first."""

    @property
    def equal(self) -> bool:
        """Whether both list the same."""
        return not (self.missing or self.unequal or self.surplus)


def copy(source: Catalogue, target: Catalogue, *, on_items: Callable[[int], object] = lambda _: None) -> int:
    """Copy all collections and items, withdrawn ones included; return how many items there were.

    What the target has already is replaced, unless it is newer: a copy that was interrupted can be done again.

    Parameters
    ----------
    source, target : Catalogue
        From where to where.
    on_items : callable
        Called with the number of items copied since the last time.
    """
    for collection in source.collections():
        target.put_collection(collection)
    count = 0
    for batch in batched(source.items(withdrawn=True), BATCH):
        target.upsert_many(batch)
        count += len(batch)
        on_items(len(batch))
    return count


def copy_again(source: Catalogue, target: Catalogue, names: Iterable[Name]) -> int:
    """Copy some items, such as those that were registered while all were copied; return how many."""
    count = 0
    for batch in batched(names, BATCH):
        items = [source.get(name, collection) for collection, name in batch]
        found = [item for item in items if item is not None]
        target.upsert_many(found)
        count += len(found)
    return count


def compare(source: Catalogue, target: Catalogue, *, on_items: Callable[[int], object] = lambda _: None) -> Comparison:
    """Compare all items of two catalogues, withdrawn ones included, by digests of what they say."""
    digests: dict[Name, bytes] = {}
    for item in source.items(withdrawn=True):
        digests[item["collection"], item["id"]] = bytes.fromhex(digest(item))
        on_items(1)
    left, unequal, surplus = dict(digests), [], []
    for collection in sorted({collection["id"] for collection in source.collections()}):
        for item in target.items(collection, withdrawn=True):
            name = (collection, item["id"])
            expected = left.pop(name, None)
            if expected is None:
                surplus.append(name)
            elif expected != bytes.fromhex(digest(item)):
                unequal.append(name)
            on_items(1)
    return Comparison(items=len(digests), missing=tuple(left), unequal=tuple(unequal), surplus=tuple(surplus))
