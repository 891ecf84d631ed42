"""An archive: a store of products, ledgers and claims, and the settings that all of them share."""

from __future__ import annotations

import json
import re
import secrets
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from abut import product as products
from abut.catalogue import path_of, require_no_secret
from abut.codec import PROFILES
from abut.errors import ConflictError, InvalidArchiveError
from abut.store import Store, open_store
from abut.unusable import explained
from abut.writable import require_conditional_writes

if TYPE_CHECKING:
    import os
    from pathlib import Path

    from abut.product import Product

FORMAT: Final = 1
"""Version of the archive's layout."""

KEY: Final = "archive.json"
"""Object that makes a store an archive."""

_ID: Final = re.compile(r"[0-9a-f]{32}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Archive:
    """An archive; get one with `open_archive` or `create_archive`."""

    store: Store
    """Its objects."""
    profile: str
    """How all its blocks are encoded: one profile, so that a zone can be read as one array."""
    catalogue: str
    """Its catalogue as its settings name it, empty if it has none: a SQLite file, absolute or relative to a local
    archive; ``postgresql://host/database``; or the URL of a STAC API."""
    id: str = ""
    """Which archive it is, wherever it lies: 32 hexadecimal digits, random, made with it. A copy has the same. Empty
    in one that an older version of Abut made, until it is opened for writing, see `identified`."""

    @property
    def catalogue_url(self) -> str:
        """What `catalog.opening.open_catalogue` opens: the absolute path of a file, or a URL; empty if it has none."""
        path = self.catalogue_path
        return self.catalogue if path is None else str(path)

    @property
    def catalogue_path(self) -> Path | None:
        """Where the catalogue lies if it is a SQLite file."""
        return path_of(self.catalogue, self.store.root) if self.catalogue else None

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
        Catalogue of a new archive, see `Archive.catalogue`; empty for none. Passwords and tokens are no part of it:
        they come from PGPASSWORD and ABUT_CATALOGUE_TOKEN. Default: ``catalog.sqlite`` in a local archive, none on S3.

    Raises
    ------
    UnsupportedStoreError
        If the store lacks locks or conditional writes, or can't be written.
    InvalidArchiveError
        If something else lies there, or the catalogue is none, or has a secret in its URL.
    """
    if profile not in PROFILES:
        raise InvalidArchiveError(f"profile {profile!r} is not one of {', '.join(PROFILES)}")
    store = open_store(url, create=True)
    require_conditional_writes(store)
    if catalogue is None:
        catalogue = "catalog.sqlite" if store.root else ""
    setting = _setting(catalogue, store)
    new = {"abut:archive": FORMAT, "id": secrets.token_hex(16), "profile": profile, "catalogue": setting}
    store.swap(KEY, _encoded(new), None)
    return identified(open_archive(store))


def identified(archive: Archive) -> Archive:
    """Return an archive with its id; one that an older version of Abut made gets it now.

    Raises
    ------
    InvalidArchiveError
        If it is an archive no more.
    """
    while not archive.id:
        found = archive.store.read(KEY)
        if found is None:
            raise InvalidArchiveError(f"{archive.store.url}: not an archive (it has no {KEY})")
        settings = json.loads(found.data)
        if "id" not in settings:
            settings["id"] = secrets.token_hex(16)
            if archive.store.swap(KEY, _encoded(settings), found.version) is None:
                continue  # another process was faster
        archive = replace(archive, id=settings["id"])
    return archive


def switch_catalogue(archive: Archive, catalogue: str) -> Archive:
    """Give an archive another catalogue; what the old one lists is not copied.

    Raises
    ------
    ConflictError
        If its settings were changed since it was opened.
    InvalidArchiveError
        If the catalogue is none, or has a secret in its URL.
    """
    setting = _setting(catalogue, archive.store)
    found = archive.store.read(KEY)
    if found is None or open_archive(archive.store) != archive:
        raise ConflictError(f"{archive.store.url}/{KEY}: was changed meanwhile; look at it and try again")
    if archive.store.swap(KEY, _encoded({**json.loads(found.data), "catalogue": setting}), found.version) is None:
        raise ConflictError(f"{archive.store.url}/{KEY}: was changed meanwhile; look at it and try again")
    return replace(archive, catalogue=setting)


def _setting(catalogue: str, store: Store) -> str:
    """Return a catalogue as the settings name it: files of an archive that is no folder by their absolute path."""
    if not catalogue:
        return ""
    path = path_of(require_no_secret(catalogue))
    if path is None:
        return require_no_secret(catalogue)
    return str(path if store.root else path.resolve())


def _encoded(settings: dict[str, object]) -> bytes:
    return json.dumps(settings, indent=1).encode()


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
        if found is None and store.root is None and not store.read_only:
            next(store.entries(""), None)  # fails if there is no such bucket, which `read` can't tell
    if found is None:
        raise InvalidArchiveError(f"{store.url}: not an archive (it has no {KEY})")
    try:
        settings = json.loads(found.data)
        if settings["abut:archive"] != FORMAT or settings["profile"] not in PROFILES:
            raise InvalidArchiveError(f"{store.url}/{KEY}: format {settings['abut:archive']} is not {FORMAT}")
        if not isinstance(settings["catalogue"], str):
            raise InvalidArchiveError(f"{store.url}/{KEY}: catalogue {settings['catalogue']!r} is no text")
        if "id" in settings and not _ID.fullmatch(settings["id"]):
            raise InvalidArchiveError(f"{store.url}/{KEY}: id {settings['id']!r} is not 32 hexadecimal digits")
        return Archive(store, settings["profile"], settings["catalogue"], settings.get("id", ""))
    except (KeyError, ValueError, TypeError) as error:
        if isinstance(error, InvalidArchiveError):
            raise
        raise InvalidArchiveError(f"{store.url}/{KEY}: not the settings of an archive ({error})") from error
