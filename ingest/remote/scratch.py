"""Folders for what is fetched: gone when their process is, however it ended.

A folder's lock file is held locked by the process that uses it, and the system lets go of it whenever the process ends.
What is found unlocked is removed by the next one that makes a folder there.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from abut.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME: Final = "abut-source-"
"""What the names of such folders begin with."""

_LOCK: Final = ".lock"


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Make a folder in ``ABUT_SCRATCH`` (default: the system's place for such), and remove it with all in it.

    Raises
    ------
    SourceError
        If none can be made.
    """
    place = Path(os.environ.get("ABUT_SCRATCH") or tempfile.gettempdir())
    try:
        sweep(place)
        lock, folder = _made(place)
    except OSError as error:
        raise SourceError(f"{place}: no folder for files that are fetched ({error.strerror or error})") from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        Path(f"{folder}{_LOCK}").unlink(missing_ok=True)
        os.close(lock)


def sweep(place: Path) -> None:
    """Remove the folders of processes that are gone."""
    for lock in place.glob(f"{NAME}*{_LOCK}"):
        with suppress(OSError):
            held = os.open(lock, os.O_RDWR)
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(str(lock).removesuffix(_LOCK), ignore_errors=True)
                lock.unlink(missing_ok=True)
            finally:
                os.close(held)


def _made(place: Path) -> tuple[int, Path]:
    while True:
        held, name = tempfile.mkstemp(prefix=NAME, suffix=_LOCK, dir=place)
        fcntl.flock(held, fcntl.LOCK_EX)
        try:
            if Path(name).stat().st_ino == os.fstat(held).st_ino:  # else another one swept it before it was locked
                folder = Path(name.removesuffix(_LOCK))
                folder.mkdir(mode=0o700)
                return held, folder
        except FileNotFoundError:
            pass
        os.close(held)
