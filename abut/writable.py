"""Whether a store can be written as an archive's writers need it."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from abut.errors import UnsupportedStoreError
from abut.files import require_locks
from abut.unusable import explained

if TYPE_CHECKING:
    from abut.store import Store


def require_conditional_writes(store: Store) -> None:
    """Probe that a store can do what writers rely on.

    Raises
    ------
    UnsupportedStoreError
        If create-only or conditional writes do not hold there, if its file system has no working locks, or if
        writing is not permitted; if its bucket does not exist, or its server can't be reached.
    """
    if store.root is not None:
        require_locks(store.root)
        return
    key = f".probe/{secrets.token_hex(8)}"
    with explained(store.url):
        first = store.swap(key, b"1", None)
        holds = (
            first is not None
            and store.swap(key, b"2", None) is None
            and not store.put_new(key, b"2")
            and store.swap(key, b"2", first) is not None
            and store.swap(key, b"3", first) is None
        )
        store.delete([key])
    if not holds:
        raise UnsupportedStoreError(
            f"{store.url}: the store ignores If-Match or If-None-Match; it can't hold an archive"
        )
