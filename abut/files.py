"""What obstore's local store lacks: compare-and-swap of files, so that a crash leaves the old object or the new one.

A lock file, a temporary file, fsync and rename.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import hashlib
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from abut.errors import UnsupportedStoreError

if TYPE_CHECKING:
    from collections.abc import Iterator

LOCKS: Final = ".locks"
"""Folder of a local archive's lock files."""
TEMPORARY: Final = ".abut-"
"""Start of the names of a local archive's temporary files."""
_FOLDER_TRIES: Final = 100
"""How often the folder of a new object is made again after a delete took it away."""


def version_of(data: bytes) -> str:
    """Return what names a version of a file: the SHA-256 of its bytes, hex."""
    return hashlib.sha256(data).hexdigest()


def swap(root: Path, key: str, data: bytes, version: str | None) -> str | None:
    """Replace a file if it is still of a version (None: if there is none), durably; return the new version, or None."""
    target = root / key
    with _locked(root, key):
        try:
            current: str | None = version_of(target.read_bytes())
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
    return version_of(data)


def _temporary_beside(target: Path) -> tuple[int, str]:
    """Make a temporary file; obstore takes a folder away when its last object is deleted, at any moment."""
    for _ in range(_FOLDER_TRIES):
        with contextlib.suppress(FileNotFoundError, FileExistsError):
            target.parent.mkdir(parents=True, exist_ok=True)
            return tempfile.mkstemp(prefix=TEMPORARY, dir=target.parent)
    raise UnsupportedStoreError(f"{target.parent}: the folder can't be made, or does not stay")


@contextlib.contextmanager
def _locked(root: Path, key: str) -> Iterator[None]:
    """Hold the lock of a key; it goes with the process, however that ends."""
    folder = root / LOCKS
    folder.mkdir(exist_ok=True)
    with (folder / hashlib.sha256(key.encode()).hexdigest()[:32]).open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def require_locks(root: Path) -> None:
    """Raise `UnsupportedStoreError` if a folder can't be written, or its file system has no locks that work."""
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


def sync_filesystem(root: Path) -> None:
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
