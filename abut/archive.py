"""An archive: a store of products, ledgers and claims, and the settings that all of them share."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from abut import product as products
from abut.codec import PROFILES
from abut.errors import InvalidArchiveError
from abut.store import Store, open_store, require_conditional_writes
from abut.unusable import explained

if TYPE_CHECKING:
    import os

    from abut.product import Product

FORMAT: Final = 1
"""Version of the archive's layout."""

KEY: Final = "archive.json"
"""Object that makes a store an archive."""


@dataclass(frozen=True, slots=True)
class Archive:
    """An archive; get one with `open_archive` or `create_archive`."""

    store: Store
    """Its objects."""
    profile: str
    """How all its blocks are encoded: one profile, so that a zone can be read as one array."""
    catalogue: str
    """Path of its SQLite catalogue, absolute or relative to a local archive; empty if it has none."""

    @property
    def catalogue_path(self) -> Path | None:
        """Where the SQLite catalogue lies."""
        if not self.catalogue:
            return None
        return self.store.root / self.catalogue if self.store.root else Path(self.catalogue)

    def product(self, product_id: str) -> Product:
        """Return a committed product.

        Raises
        ------
        ProductNotFoundError
            If there is none of this id.
        """
        return products.load(self.store, product_id.removesuffix(".SAFE"))

    def item_ids(self) -> list[str]:
        """Ids that have an item or a tombstone, sorted; nothing but a listing is read."""
        _, objects = self.store.children("products")
        names = [entry.key.removeprefix("products/") for entry in objects]
        return [name.removesuffix(".json") for name in names if name.endswith(".json")]

    def product_ids(self) -> list[str]:
        """Ids of all committed products, sorted; withdrawn ones included, removed ones not."""
        return [name for name in self.item_ids() if not self._removed(name)]

    def layers(self) -> list[str]:
        """Names of the layers that have a ledger, sorted."""
        _, objects = self.store.children("layers")
        return [entry.key.removeprefix("layers/").removesuffix(".json") for entry in objects]

    def _removed(self, product_id: str) -> bool:
        found = self.store.read(products.item_key(product_id))
        return found is None or products.is_tombstone(json.loads(found.data))


def create_archive(url: str | os.PathLike[str], *, profile: str = "default", catalogue: str | None = None) -> Archive:
    """Open an archive for writing, or make it if there is none.

    Parameters
    ----------
    url : str or path
        A folder, made if missing, or ``s3://bucket/prefix``.
    profile : str
        Encoding of the blocks of a new archive, see `abut.codec.PROFILES`.
    catalogue : str, optional
        SQLite file of a new archive. Default: ``catalog.sqlite`` in a local archive, none on S3.

    Raises
    ------
    UnsupportedStoreError
        If the store lacks locks or conditional writes, or can't be written.
    InvalidArchiveError
        If something else lies there.
    """
    if profile not in PROFILES:
        raise InvalidArchiveError(f"profile {profile!r} is not one of {', '.join(PROFILES)}")
    store = open_store(url, create=True)
    require_conditional_writes(store)
    if catalogue is None:
        catalogue = "catalog.sqlite" if store.root else ""
    settings = {"abut:archive": FORMAT, "profile": profile, "catalogue": catalogue}
    store.swap(KEY, json.dumps(settings, indent=1).encode(), None)
    return open_archive(store)


def open_archive(where: str | os.PathLike[str] | Store) -> Archive:
    """Open an archive for reading.

    Raises
    ------
    InvalidArchiveError
        If there is none, or one that this version does not understand.
    UnsupportedStoreError
        If access is denied, the bucket does not exist, or its server can't be reached.
    """
    store = where if isinstance(where, Store) else open_store(where)
    with explained(store.url):
        found = store.read(KEY)
        if found is None and store.root is None:
            next(store.entries(""), None)  # fails if there is no such bucket, which `read` can't tell
    if found is None:
        raise InvalidArchiveError(f"{store.url}: not an archive (it has no {KEY})")
    try:
        settings = json.loads(found.data)
        if settings["abut:archive"] != FORMAT or settings["profile"] not in PROFILES:
            raise InvalidArchiveError(f"{store.url}/{KEY}: format {settings['abut:archive']} is not {FORMAT}")
        return Archive(store, settings["profile"], settings["catalogue"])
    except (KeyError, ValueError, TypeError) as error:
        if isinstance(error, InvalidArchiveError):
            raise
        raise InvalidArchiveError(f"{store.url}/{KEY}: not the settings of an archive ({error})") from error
