"""A store that counts its requests: what planning a request costs, and in tests what a run costs."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Final

from abut.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from abut.store import Entry, Versioned

_PAGE: Final = 1_000
"""Entries of a page of a listing of S3."""


@dataclass(slots=True)
class Count:
    """How often objects were asked for."""

    keys: Counter[str] = field(default_factory=Counter)
    """By key; listings by folder with a slash at the end."""
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def requests(self) -> int:
        """All of them."""
        with self._lock:
            return self.keys.total()

    def add(self, key: str) -> None:
        """Count a request; from any thread."""
        with self._lock:
            self.keys[key] += 1


@dataclass(frozen=True, slots=True)
class CountedStore(Store):
    """A store whose reading requests are counted."""

    count: Count = field(default_factory=Count, compare=False)
    """The count."""

    def get(self, key: str) -> bytes:
        """Return an object's bytes, see `Store.get`."""
        self.count.add(key)
        return Store.get(self, key)

    def read(self, key: str) -> Versioned | None:
        """Return an object with its version, see `Store.read`."""
        self.count.add(key)
        return Store.read(self, key)

    def entries(self, prefix: str) -> Iterator[Entry]:
        """List the objects below a folder, see `Store.entries`; counts as one request."""
        self.count.add(f"{prefix}/")
        return Store.entries(self, prefix)

    def children(self, prefix: str) -> tuple[list[str], list[Entry]]:
        """List what is directly below a folder, see `Store.children`; counts the pages of object stores."""
        folders, objects = Store.children(self, prefix)
        for _ in range(1 if self.root else max(1, -(-(len(folders) + len(objects)) // _PAGE))):
            self.count.add(f"{prefix}/")
        return folders, objects


def counted(store: Store) -> tuple[CountedStore, Count]:
    """Return a store that counts its reading requests, and its count."""
    made = CountedStore(**{one.name: getattr(store, one.name) for one in fields(Store)})
    return made, made.count
