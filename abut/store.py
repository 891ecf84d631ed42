"""The objects of an archive: a local folder or an S3 prefix behind the same eight verbs.

Everything goes through obstore. What obstore's local store lacks, compare-and-swap, is done here with a lock file, a
temporary file, fsync and rename, so that a crash at any moment leaves either the old object or the new one.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import hashlib
import os
import re
import secrets
import tempfile
from dataclasses import dataclass
from itertools import batched
from pathlib import Path
from typing import TYPE_CHECKING, Final

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError
from obstore.store import LocalStore, MemoryStore, S3Store

from abut.errors import InvalidArchiveError, MissingObjectError, UnsupportedStoreError
from abut.unusable import explained

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

LOCKS: Final = ".locks"
"""Folder of a local archive's lock files."""
_TEMPORARY: Final = ".abut-"
"""Start of the names of a local archive's temporary files."""
_FOLDER_TRIES: Final = 100
"""How often the folder of a new object is made again after a delete took it away."""
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
    """Where it is: an absolute path, or a URL such as ``s3://bucket/prefix``."""
    backend: LocalStore | S3Store | MemoryStore
    """The obstore store."""
    root: Path | None
    """The folder, of a local store."""

    def get(self, key: str) -> bytes:
        """Return an object's bytes.

        Raises
        ------
        MissingObjectError
            If there is none.
        """
        try:
            return bytes(obstore.get(self.backend, key).bytes())
        except FileNotFoundError as error:
            raise MissingObjectError(f"{self.url}/{key}: no such object") from error

    def read(self, key: str) -> Versioned | None:
        """Return an object with its version, or None if there is none."""
        try:
            result = obstore.get(self.backend, key)
        except FileNotFoundError:
            return None
        e_tag = result.meta["e_tag"]
        data = bytes(result.bytes())
        return Versioned(data, _digest(data) if self.root else str(e_tag))

    def put_new(self, key: str, data: bytes) -> bool:
        """Create an object; return False, and change nothing, if there is one already."""
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
            The new version, or None, and nothing changed, if the object had another version.
        """
        if self.root is not None:
            return _swap_local(self.root, key, data, version)
        try:
            result = obstore.put(
                self.backend, key, data, mode="create" if version is None else {"e_tag": version}, use_multipart=False
            )
        except (AlreadyExistsError, PreconditionError):
            return None
        except FileNotFoundError:
            if version is None:
                raise  # to a create-only write it means that there is no such bucket
            return None
        return str(result["e_tag"])

    def entries(self, prefix: str) -> Iterator[Entry]:
        """List the objects below a folder (without the temporary files of writers that died)."""
        folder = prefix.rstrip("/") + "/" if prefix else None
        for batch in obstore.list(self.backend, folder):
            for meta in batch:
                if not meta["path"].rpartition("/")[2].startswith(_TEMPORARY):
                    yield Entry(meta["path"], meta["size"], meta["last_modified"])

    def children(self, prefix: str) -> tuple[list[str], list[Entry]]:
        """List the folders and the objects directly below a folder."""
        found = obstore.list_with_delimiter(self.backend, prefix.rstrip("/") + "/")
        objects = [
            Entry(meta["path"], meta["size"], meta["last_modified"])
            for meta in found["objects"]
            if not meta["path"].rpartition("/")[2].startswith(_TEMPORARY)
        ]
        return sorted(found["common_prefixes"]), sorted(objects, key=lambda entry: entry.key)

    def delete(self, keys: Iterable[str]) -> None:
        """Delete objects; one that is not there is no error."""
        if isinstance(self.backend, S3Store):
            for batch in batched(keys, 1000):
                obstore.delete(self.backend, list(batch))
            return
        for key in keys:
            with contextlib.suppress(FileNotFoundError):
                obstore.delete(self.backend, key)

    def now(self) -> datetime:
        """Return the time on the store's clock, so that ages are compared on one clock."""
        key = f".clock/{secrets.token_hex(8)}"
        obstore.put(self.backend, key, b"?")
        try:
            return obstore.head(self.backend, key)["last_modified"]
        finally:
            self.delete([key])

    def flush(self) -> None:
        """Make all that was written durable (local stores; S3 is durable when a put returns)."""
        if self.root is not None:
            _sync_filesystem(self.root)

    def leftovers(self) -> list[Path]:
        """List the temporary files that dead writers left in a local store."""
        if self.root is None:
            return []
        return sorted(
            path
            for path in self.root.rglob("*")
            if path.is_file() and (path.name.startswith(_TEMPORARY) or _STAGED.search(path.name))
        )


def open_store(url: str | os.PathLike[str], *, create: bool = False) -> Store:
    """Open the objects at a folder or an S3 prefix.

    Parameters
    ----------
    url : str or path
        A local path, ``file://``, ``s3://bucket/prefix`` or ``memory://`` (for tests). Credentials, region and
        endpoint of S3 come from the usual ``AWS_...`` environment variables.
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
        try:
            return Store(text.rstrip("/"), S3Store.from_url(text, client_options={"allow_http": plain}), None)
        except BaseError as error:
            raise InvalidArchiveError(f"{text}: an archive is a folder or s3://bucket/prefix") from error
    if text == "memory://":
        return Store(text, MemoryStore(), None)
    if "://" in text and not text.startswith("file://"):
        raise InvalidArchiveError(f"{text}: an archive is a folder or s3://bucket/prefix")
    root = Path(text.removeprefix("file://")).resolve()
    if create:
        root.mkdir(parents=True, exist_ok=True)
    elif not root.is_dir():
        raise InvalidArchiveError(f"{root}: no such folder")
    return Store(str(root), LocalStore(root, automatic_cleanup=True), root)


def require_conditional_writes(store: Store) -> None:
    """Probe that a store can do what writers rely on.

    Raises
    ------
    UnsupportedStoreError
        If create-only or conditional writes do not hold there, if its file system has no working locks, or if
        writing is not permitted; if its bucket does not exist, or its server can't be reached.
    """
    if store.root is not None:
        _require_locks(store.root)
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


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _swap_local(root: Path, key: str, data: bytes, version: str | None) -> str | None:
    target = root / key
    with _locked(root, key):
        try:
            current: str | None = _digest(target.read_bytes())
        except FileNotFoundError:
            current = None
        if current != version:
            return None
        descriptor, temporary = _temporary_beside(target)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).chmod(0o644)
            Path(temporary).replace(target)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        with contextlib.suppress(FileNotFoundError):  # deleted again already, and the folder with it
            _sync_folder(target.parent)
    return _digest(data)


def _temporary_beside(target: Path) -> tuple[int, str]:
    """Make a temporary file; obstore takes a folder away when its last object is deleted, at any moment."""
    for _ in range(_FOLDER_TRIES):
        with contextlib.suppress(FileNotFoundError, FileExistsError):
            target.parent.mkdir(parents=True, exist_ok=True)
            return tempfile.mkstemp(prefix=_TEMPORARY, dir=target.parent)
    raise UnsupportedStoreError(f"{target.parent}: the folder can't be made, or does not stay")


@contextlib.contextmanager
def _locked(root: Path, key: str) -> Iterator[None]:
    """Hold the lock of a key; it goes with the process, however that ends."""
    folder = root / LOCKS
    folder.mkdir(exist_ok=True)
    with (folder / hashlib.sha256(key.encode()).hexdigest()[:32]).open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _require_locks(root: Path) -> None:
    folder = root / LOCKS
    try:
        folder.mkdir(exist_ok=True)
        probe = folder / "probe"
        with probe.open("wb") as first, probe.open("wb") as second:
            fcntl.flock(first, fcntl.LOCK_EX)
            try:
                fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise UnsupportedStoreError(f"{root}: writing is not permitted ({error.strerror})") from error
        raise UnsupportedStoreError(f"{root}: the file system has no locks ({error.strerror})") from error
    raise UnsupportedStoreError(f"{root}: the locks of this file system do not exclude each other")


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_filesystem(root: Path) -> None:
    """Flush one file system; thousands of fsyncs would cost more than the decoding."""
    syncfs = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    if syncfs is None:
        os.sync()
        return
    descriptor = os.open(root, os.O_RDONLY)
    try:
        if syncfs(descriptor) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(root))
    finally:
        os.close(descriptor)
