"""The objects of an archive: a local folder, an S3 prefix, or (to read only) a web server, behind the same verbs.

Everything goes through obstore, but for what its local store lacks: compare-and-swap, see `abut.files`.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import time
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from itertools import batched
from pathlib import Path
from typing import TYPE_CHECKING, Final

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, GenericError, PreconditionError
from obstore.store import HTTPStore, LocalStore, MemoryStore, S3Store

from abut import meter
from abut.errors import InvalidArchiveError, MissingObjectError, UnsupportedStoreError
from abut.files import TEMPORARY, sync_filesystem, version_of
from abut.files import swap as swap_file
from abut.tries import PAUSES, RETRIES, is_broken, put_if, tried
from abut.unusable import explained

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

    from obstore import ObjectMeta
    from obstore.store import ClientConfig, ObjectStore, RetryConfig

_CONNECT_TIMEOUT: Final = timedelta(seconds=10)
_REQUEST_TIMEOUT: Final = timedelta(seconds=60)
"""For all of one object; blocks have at most some two megabytes."""
_READ_TIMEOUT: Final = timedelta(seconds=30)
"""Without a byte."""
_TIMEOUTS: Final[ClientConfig] = {
    "connect_timeout": _CONNECT_TIMEOUT,
    "timeout": _REQUEST_TIMEOUT,
    "read_timeout": _READ_TIMEOUT,
}
_RETRIES: Final[RetryConfig] = {
    "max_retries": RETRIES,
    "retry_timeout": timedelta(seconds=120),
    "backoff": {"init_backoff": timedelta(seconds=0.2), "max_backoff": timedelta(seconds=5), "base": 2},
}
"""Tries of one object after an error of the server or of the connection."""
_PAGE: Final = 1000
"""Objects of a page of a listing, as S3 gives them."""
_STAGED: Final = re.compile(r"#\d+$")
"""End of the names of files that obstore's local store had not finished."""


@dataclass(frozen=True, slots=True)
class Versioned:
    """An object's bytes and what names this version of it."""

    data: bytes
    """The bytes."""
    version: str
    """ETag, or for local stores the SHA-256 of the bytes: what `Store.swap` compares."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One object of a listing."""

    key: str
    """Key relative to the archive."""
    size: int
    """Bytes."""
    modified: datetime
    """When it was last written, on the store's clock."""


@dataclass(frozen=True, slots=True)
class Store:
    """The objects of an archive.

    Make one with `open_store`. Keys are relative to the archive and use ``/``.
    """

    url: str
    """Where it is: an absolute path, or a URL such as ``s3://bucket/prefix`` or ``https://host/zarr``."""
    backend: LocalStore | S3Store | HTTPStore | MemoryStore
    """The obstore store."""
    root: Path | None
    """The folder, of a local store."""

    @property
    def read_only(self) -> bool:
        """Whether objects can only be read, one by one: a web server neither lists nor takes any."""
        return isinstance(self.backend, HTTPStore)

    def get(self, key: str) -> bytes:
        """Return an object's bytes.

        Raises
        ------
        MissingObjectError
            If there is none.
        UnsupportedStoreError
            If access is denied, or the store can't be reached.
        """
        where = f"{self.url}/{key}"
        with explained(where):
            try:
                with meter.request("get") as asked:
                    data = tried(lambda: bytes(obstore.get(self.backend, key).bytes()))
                    asked.read = len(data)
                    return data
            except FileNotFoundError as error:
                raise MissingObjectError(f"{where}: no such object") from error

    def read(self, key: str) -> Versioned | None:
        """Return an object with its version, or None if there is none.

        Raises
        ------
        UnsupportedStoreError
            If access is denied, or the store can't be reached.
        """
        with explained(self.url):
            try:
                with meter.request("get") as asked:
                    data, e_tag = tried(partial(_fetch, self.backend, key))
                    asked.read = len(data)
            except FileNotFoundError:
                return None
        return Versioned(data, version_of(data) if self.root else str(e_tag))

    def put_new(self, key: str, data: bytes) -> bool:
        """Create an object; return False, and change nothing, if there is one already.

        Raises
        ------
        UnsupportedStoreError
            If access is denied, or the store can't be reached: the object may be there or not.
        """
        self._require_more_than_reading()
        with explained(self.url), meter.request("put", len(data)) as asked:
            made = self._created(key, data)
            if not made:
                asked.outcome = "refused"
        return made

    def _created(self, key: str, data: bytes) -> bool:
        if isinstance(self.backend, S3Store):
            return put_if(self.backend, key, data, None) is not None
        try:
            obstore.put(self.backend, key, data, mode="create", use_multipart=False)
        except (AlreadyExistsError, PreconditionError):
            return False
        return True

    def swap(self, key: str, data: bytes, version: str | None) -> str | None:
        """Replace an object if it is still of a version (None: if there is none), durably.

        Returns
        -------
        str or None
            The new version; None if the object had another version, and then nothing changed. (Or, on S3, the answer
            was lost, and another writer, who had read what this call wrote, replaced it before it was asked about: so
            read again, and see what is still to be done.)

        Raises
        ------
        UnsupportedStoreError
            If access is denied, or the store can't be reached: it may have been replaced or not.
        """
        self._require_more_than_reading()
        with explained(self.url), meter.request("put", len(data)) as asked:
            made = self._swap(key, data, version)
            if made is None:
                asked.outcome = "refused"
        return made

    def _swap(self, key: str, data: bytes, version: str | None) -> str | None:
        if self.root is not None:
            return swap_file(self.root, key, data, version)
        if isinstance(self.backend, S3Store):
            return put_if(self.backend, key, data, version)
        try:
            result = obstore.put(
                self.backend, key, data, mode="create" if version is None else {"e_tag": version}, use_multipart=False
            )
        except (AlreadyExistsError, PreconditionError):
            return None
        except FileNotFoundError:
            return None
        return str(result["e_tag"])

    def entries(self, prefix: str) -> Iterator[Entry]:
        """List the objects below a folder (without the temporary files of writers that died).

        Raises
        ------
        UnsupportedStoreError
            If access is denied, or the store can't be reached or lists nothing.
        """
        self._require_more_than_reading()
        folder = prefix.rstrip("/") + "/" if prefix else None
        with explained(self.url):
            for batch in self._pages(folder):
                for meta in batch:
                    if not meta["path"].rpartition("/")[2].startswith(TEMPORARY):
                        yield Entry(meta["path"], meta["size"], meta["last_modified"])

    def _pages(self, folder: str | None) -> Iterator[Sequence[ObjectMeta]]:
        """Yield what lies in a folder, each page as a request that is told of; goes on after a page that broke off."""
        last: str | None = None
        for pause in (*PAUSES, None):
            pages = obstore.list(self.backend, folder, offset=last, chunk_size=_PAGE)
            try:
                while True:
                    with meter.request("list"):
                        page = next(pages, None)
                    if page is None:
                        return
                    yield page
                    last = page[-1]["path"]
            except GenericError as error:
                if pause is None or not isinstance(self.backend, S3Store) or not is_broken(error):
                    raise
                time.sleep(pause)

    def children(self, prefix: str) -> tuple[list[str], list[Entry]]:
        """List the folders and the objects directly below a folder; errors as `entries`."""
        self._require_more_than_reading()
        with explained(self.url), meter.request("list"):
            found = tried(lambda: obstore.list_with_delimiter(self.backend, prefix.rstrip("/") + "/"))
        objects = [
            Entry(meta["path"], meta["size"], meta["last_modified"])
            for meta in found["objects"]
            if not meta["path"].rpartition("/")[2].startswith(TEMPORARY)
        ]
        return sorted(found["common_prefixes"]), sorted(objects, key=lambda entry: entry.key)

    def delete(self, keys: Iterable[str]) -> None:
        """Delete objects; one that is not there is no error.

        Raises
        ------
        UnsupportedStoreError
            If access is denied, or the store can't be reached.
        """
        self._require_more_than_reading()
        if isinstance(self.backend, S3Store):
            for batch in batched(keys, 1000):
                with explained(self.url), meter.request("delete"):
                    tried(partial(obstore.delete, self.backend, list(batch)))
            return
        for key in keys:
            with contextlib.suppress(FileNotFoundError), meter.request("delete"):
                obstore.delete(self.backend, key)

    def now(self) -> datetime:
        """Return the time on the store's clock, so that ages are compared on one clock."""
        self._require_more_than_reading()
        key = f".clock/{secrets.token_hex(8)}"
        with explained(self.url):
            obstore.put(self.backend, key, b"", use_multipart=False)
            try:
                return obstore.head(self.backend, key)["last_modified"]
            finally:
                self.delete([key])

    def flush(self) -> None:
        """Make all that was written durable (local stores; S3 is durable when a put returns)."""
        if self.root is not None:
            sync_filesystem(self.root)

    def _require_more_than_reading(self) -> None:
        """Raise `UnsupportedStoreError` if objects can only be read."""
        if self.read_only:
            raise UnsupportedStoreError(f"{self.url}: objects of a web server can be read, not listed or written")

    def leftovers(self) -> list[Path]:
        """List the temporary files that dead writers left in a local store."""
        if self.root is None:
            return []
        return sorted(
            path
            for path in self.root.rglob("*")
            if path.is_file() and (path.name.startswith(TEMPORARY) or _STAGED.search(path.name))
        )


def _fetch(backend: ObjectStore, key: str) -> tuple[bytes, str | None]:
    """Return an object's bytes and its ETag."""
    result = obstore.get(backend, key)
    return bytes(result.bytes()), result.meta["e_tag"]


def open_store(url: str | os.PathLike[str], *, create: bool = False) -> Store:
    """Open the objects at a folder or an S3 prefix.

    Parameters
    ----------
    url : str or path
        A local path, ``file://``, ``s3://bucket/prefix``, ``https://host/path`` (to read only: whatever lists or
        writes raises `UnsupportedStoreError`) or ``memory://`` (for tests). Credentials, region and endpoint of S3
        come from the usual ``AWS_...`` environment variables.
    create : bool
        Make the local folder if it is missing.

    Raises
    ------
    InvalidArchiveError
        If the folder does not exist, or the URL's scheme is not known.
    """
    text = os.fspath(url)
    if text.startswith("s3://"):
        plain = os.environ.get("AWS_ALLOW_HTTP", "").lower() in ("1", "true")
        options: ClientConfig = {"allow_http": plain, **_TIMEOUTS}
        try:
            return Store(text.rstrip("/"), S3Store.from_url(text, client_options=options, retry_config=_RETRIES), None)
        except BaseError as error:
            raise InvalidArchiveError(f"{text}: an archive is a folder or s3://bucket/prefix") from error
    if text.lower().startswith(("http://", "https://")):
        return _open_http(text.rstrip("/"))
    if text == "memory://":
        return Store(text, MemoryStore(), None)
    if "://" in text and not text.startswith("file://"):
        raise InvalidArchiveError(f"{text}: an archive is a folder, s3://bucket/prefix or https://host/path")
    root = Path(text.removeprefix("file://")).resolve()
    if create:
        root.mkdir(parents=True, exist_ok=True)
    elif not root.is_dir():
        raise InvalidArchiveError(f"{root}: no such folder")
    return Store(str(root), LocalStore(root, automatic_cleanup=True), root)


def _open_http(url: str) -> Store:
    options: ClientConfig = {"allow_http": url.lower().startswith("http://"), **_TIMEOUTS}
    try:
        return Store(url, HTTPStore(url, client_options=options, retry_config=_RETRIES), None)
    except (BaseError, ValueError) as error:
        raise InvalidArchiveError(f"{url}: not a URL of objects, such as https://host/zarr") from error
