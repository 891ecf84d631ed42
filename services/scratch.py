"""Folders for files that exist only while they are used, and that the next service removes if one is killed.

Each process has a folder of its own, with a file that it keeps locked. The system frees the lock however a process
ends, so that a folder whose lock can be had belongs to nobody.
"""

from __future__ import annotations

import contextlib
import fcntl
import secrets
import shutil
import tempfile
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from abut.errors import AbutError

if TYPE_CHECKING:
    from collections.abc import Iterator

LOCK: Final = ".lock"
"""File of a folder that its process keeps locked."""


class ScratchError(AbutError, OSError):
    """Temporary files can't be written where they are to be."""


@contextlib.contextmanager
def private(parent: str | None, kind: str) -> Iterator[Path]:
    """Have a folder of this process until the end of the block; those of processes that died are removed first.

    Parameters
    ----------
    parent : str, optional
        Where it is made; made if it is missing. Default: the system's folder for temporary files.
    kind : str
        What the names of all such folders begin with.

    Raises
    ------
    ScratchError
        If nothing can be written there.
    """
    place = Path(parent or tempfile.gettempdir()).absolute()
    try:
        place.mkdir(parents=True, exist_ok=True)
        sweep(place, kind)
        folder, lock = _made(place, kind)
    except OSError as error:
        raise ScratchError(f"{place}: temporary files can't be written there ({error.strerror})") from error
    with lock:
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def sweep(place: Path, kind: str) -> int:
    """Remove what processes left that died; return how many of them."""
    count = 0
    for folder in place.glob(f"{kind}-*"):
        with contextlib.suppress(OSError), (folder / LOCK).open("rb") as lock:  # another one's, or removed meanwhile
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
            count += 1
    return count


def _made(place: Path, kind: str) -> tuple[Path, IO[bytes]]:
    while True:
        folder = place / f"{kind}-{secrets.token_hex(8)}"
        folder.mkdir(mode=0o700)
        lock = (folder / LOCK).open("wb")
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if (folder / LOCK).exists():
                return folder, lock
        lock.close()  # another process took it for one that was left, between its making and its lock
