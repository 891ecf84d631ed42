"""A cache of values that never change, bounded by their size; each is made once, whoever asks for it at once."""

from __future__ import annotations

import os
import threading
import weakref
from collections import OrderedDict
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

_CACHES: Final[weakref.WeakSet[Cache[Any]]] = weakref.WeakSet()
"""All that are in use: what other threads were making when a process was forked will never be made in the child."""


class Cache[T]:
    """The values that were used last.

    Parameters
    ----------
    limit : int
        Sizes of all values together that it keeps; the one used last is always kept.
    size : callable
        Size of a value.
    """

    def __init__(self, limit: int, size: Callable[[T], int]) -> None:
        self.limit = limit
        self._size = size
        self._clear()
        _CACHES.add(self)

    def _clear(self) -> None:
        self._values: OrderedDict[Hashable, Future[T]] = OrderedDict()
        self._sizes: dict[Hashable, int] = {}
        self._total = 0
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return the value of a key; made if it is not there, and not kept if that fails."""
        with self._lock:
            found = self._values.get(key)
            mine = Future[T]() if found is None else None
            if mine is not None:
                self._values[key] = mine
            self._values.move_to_end(key)
        if found is not None:
            return found.result()
        assert mine is not None  # noqa: S101 - one of both
        try:
            value = make()
        except BaseException as error:
            self.forget(key)
            mine.set_exception(error)
            raise
        mine.set_result(value)
        self._keep(key, self._size(value))
        return value

    def peek(self, key: Hashable) -> T | None:
        """Return a value that was made and is kept, None otherwise; never waits."""
        with self._lock:
            if key not in self._sizes:
                return None
            self._values.move_to_end(key)
            return self._values[key].result()

    def forget(self, key: Hashable) -> None:
        """Take a value out."""
        with self._lock:
            self._values.pop(key, None)
            self._total -= self._sizes.pop(key, 0)

    @property
    def size(self) -> int:
        """Sizes of all values that are kept."""
        with self._lock:
            return self._total

    def _keep(self, key: Hashable, size: int) -> None:
        with self._lock:
            if key in self._values:
                self._total += size - self._sizes.get(key, 0)
                self._sizes[key] = size
            while self._total > self.limit:
                old = next((name for name in self._values if name in self._sizes and name != key), None)
                if old is None:
                    return
                self._total -= self._sizes.pop(old)
                del self._values[old]


def _clear_all() -> None:
    for cache in list(_CACHES):
        cache._clear()  # noqa: SLF001 - of this module


os.register_at_fork(after_in_child=_clear_all)  # once: a hook is never taken back, and keeps what it refers to
