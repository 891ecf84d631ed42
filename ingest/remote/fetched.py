"""A remote SAFE as a container: each file is fetched to scratch when it is asked for, or before, several at once."""

from __future__ import annotations

import shutil
import threading
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import suppress
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final, Self

from abut.errors import InvalidSafeError, SourceError
from ingest.remote.access import max_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from concurrent.futures import Future
    from pathlib import Path
    from threading import Event
    from typing import BinaryIO

    from ingest.remote.origins import Origin

CONNECTIONS: Final = 8
"""Files that are fetched at once for one SAFE; each holds at most `ingest.remote.ranges.PIECE` in memory."""


class Fetched:
    """A SAFE that lies elsewhere, of which the files that are asked for are here until it is closed.

    Parameters
    ----------
    origin : Origin
        Where they come from.
    folder : Path
        Empty folder for them.
    stopped : Event
        Ends what is being fetched, when it is set.
    """

    def __init__(self, origin: Origin, folder: Path, stopped: Event) -> None:
        self.source, self.name = origin.source, origin.name
        self._origin, self._folder = origin, folder
        self._numbers = {path: number for number, path in enumerate(sorted(origin.sizes))}
        self._files: dict[str, Future[Path]] = {}
        self._lock, self._stopped, self._closed = threading.Lock(), stopped, threading.Event()
        self._pool = ThreadPoolExecutor(CONNECTIONS, "abut-fetch")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        self._pool.shutdown(cancel_futures=True)

    def label(self, path: str) -> str:
        """Name of a file in messages."""
        return f"{self.source}/{path}"

    def sizes(self) -> Mapping[str, int]:
        """Return the path and size in bytes of every file."""
        return self._origin.sizes

    def open(self, path: str) -> BinaryIO:
        """Open a file for reading, fetching it if it is not here.

        Raises
        ------
        InvalidSafeError
            If there is no such file.
        SourceError
            If it can't be fetched.
        """
        return self._asked(path).result().open("rb")

    def gdal_path(self, path: str) -> str:
        """Name of a file for GDAL; fetched and raising as `open`."""
        return str(self._asked(path).result())

    def begin(self, paths: Iterable[str]) -> None:
        """Begin to fetch files that will be asked for.

        Raises
        ------
        InvalidSafeError
            If they are more than one SAFE can have.
        SourceError
            If there is no room for them.
        """
        wanted = [path for path in dict.fromkeys(paths) if path in self._numbers]
        size, most = sum(self.sizes()[path] for path in wanted), max_bytes()
        if size > most:
            raise InvalidSafeError(
                f"{self.source}: {size} bytes are more than one product may have ({most}, ABUT_SOURCE_MAX_BYTES)"
            )
        require_room(self._folder, size)
        for path in wanted:
            self._asked(path)

    def finish(self) -> None:
        """Wait until all is here, or has failed, that was begun."""
        with self._lock:
            begun = list(self._files.values())
        for future in begun:
            with suppress(CancelledError):  # closed meanwhile; futures.wait would wait for ever for those
                future.exception()

    def _asked(self, path: str) -> Future[Path]:
        with self._lock:
            if path not in self._files:
                if path not in self._numbers:
                    raise InvalidSafeError(f"{self.label(path)}: missing")
                self._files[path] = self._pool.submit(self._fetch, path)
            return self._files[path]

    def _fetch(self, path: str) -> Path:
        # By number: names of the SAFE's could clash, be too long, or lead GDAL to files beside.
        target = self._folder / f"{self._numbers[path]:06}{_suffix(path)}"
        size, count = self.sizes()[path], 0
        try:
            with target.open("xb") as file:
                for piece in self._origin.read(path):
                    if self._closed.is_set() or self._stopped.is_set():
                        raise SourceError(f"{self.label(path)}: no longer wanted")
                    count += len(piece)
                    if count > size:
                        break
                    file.write(piece)
        except SourceError:
            raise
        except OSError as error:
            raise SourceError(f"{self._folder}: {error.strerror or error}") from error
        if count != size:
            raise InvalidSafeError(f"{self.label(path)}: {count} bytes, but {size} were announced")
        return target


def require_room(folder: Path, size: int) -> None:
    """See that a folder's disk has room.

    Raises
    ------
    SourceError
        If it has not.
    """
    free = shutil.disk_usage(folder).free
    if size > free:
        raise SourceError(f"{folder}: {size} bytes are to be fetched, but there is room for {free}")


def _suffix(path: str) -> str:
    suffix = PurePosixPath(path).suffix.lower()
    return suffix if suffix in (".jp2", ".xml", ".gml", ".safe") else ""
