"""Where a SAFE lies: a folder, or a zip that is read in place. Nothing named by it is followed out of it."""

from __future__ import annotations

import os
import re
import stat
import zipfile
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, Protocol, cast

from abut.errors import AbutError, InvalidSafeError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import BinaryIO

MAX_FILES: Final = 100_000
"""Most files of a SAFE; a multi-granule product of a whole datatake has some 10,000."""

MAX_FILE_BYTES: Final = 1 << 30
"""Largest file of a SAFE; the largest real ones, uncompressed 10 m colour images, would be a third of it."""

MANIFEST: Final = "manifest.safe"
"""File that makes a folder a SAFE."""

ZIP_ERRORS: Final = (zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError, RuntimeError, ValueError)
"""What `zipfile` raises on archives that are broken or use features that SAFE zips don't."""

_PATH = re.compile(r"[\x20-\x5b\x5d-\x7e]+", re.ASCII)


def relative_path(text: str, where: str) -> str:
    """Return a path named by XML or zip in its plain form: relative to the SAFE folder, with ``/``.

    Parameters
    ----------
    text : str
        The path as it was written.
    where : str
        File that names it, for the message.

    Raises
    ------
    InvalidSafeError
        If it is empty, absolute, leads upwards, or holds backslashes or characters that are not printable ASCII.
    """
    parts = [part for part in text.split("/") if part not in ("", ".")]
    if not parts or text.startswith("/") or ".." in parts or not _PATH.fullmatch(text):
        raise InvalidSafeError(f"{where}: path {text!r} is not one inside the SAFE folder")
    return "/".join(parts)


def checked_size(size: int, where: str) -> int:
    """Return the size of a file in bytes; `InvalidSafeError` if a SAFE can't have such a file."""
    if not 0 <= size <= MAX_FILE_BYTES:
        raise InvalidSafeError(f"{where}: {size} bytes are more than a file of a SAFE can have ({MAX_FILE_BYTES})")
    return size


@dataclass(frozen=True, slots=True)
class Folder:
    """A SAFE that lies unpacked in a folder."""

    source: str
    """What the user gave, for messages."""
    name: str
    """Name of the SAFE folder."""
    root: str
    """Its absolute path, symbolic links resolved."""

    def label(self, path: str) -> str:
        """Name of a file in messages."""
        return f"{self.source.rstrip('/')}/{path}"

    def sizes(self) -> dict[str, int]:
        """Return the path and size in bytes of every file.

        Raises
        ------
        InvalidSafeError
            If there are symbolic links that lead out, things that are no files, odd names or absurd sizes.
        """
        found: dict[str, int] = {}
        for folder, folders, files in os.walk(self.root, onerror=self._refuse):
            linked = [name for name in folders if Path(folder, name).is_symlink()]
            for name in (*files, *linked):
                full = Path(folder, name)
                path = relative_path(full.relative_to(self.root).as_posix(), self.source)
                status = self._resolve(path).stat()
                if not stat.S_ISREG(status.st_mode):
                    raise InvalidSafeError(f"{self.label(path)}: not a regular file")
                found[path] = checked_size(status.st_size, self.label(path))
            if len(found) > MAX_FILES:
                raise InvalidSafeError(f"{self.source}: more than {MAX_FILES} files")
        return found

    def open(self, path: str) -> BinaryIO:
        """Open a file for reading.

        Raises
        ------
        InvalidSafeError
            If there is no such file, or it can't be opened.
        """
        try:
            return self._resolve(path).open("rb")
        except OSError as error:
            raise InvalidSafeError(f"{self.label(path)}: {error.strerror or error}") from error

    def gdal_path(self, path: str) -> str:
        """Name of a file for GDAL."""
        return str(self._resolve(path))

    def _resolve(self, path: str) -> Path:
        full = Path(self.root, path)
        try:
            real = full.resolve(strict=True)
        except (OSError, RuntimeError) as error:
            raise InvalidSafeError(f"{self.label(path)}: missing") from error
        if not real.is_relative_to(self.root):
            raise InvalidSafeError(f"{self.label(path)}: symbolic link that leads out of the SAFE folder")
        return real

    def _refuse(self, error: OSError) -> None:
        raise InvalidSafeError(f"{self.source}: {error.filename}: {error.strerror}")


@dataclass(frozen=True, slots=True)
class Zip:
    """A SAFE in a zip archive; its files are read where they are."""

    source: str
    """What the user gave, for messages."""
    name: str
    """Name of the SAFE folder in the archive, or of the archive without suffix where it has none."""
    archive: str
    """Absolute path of the archive."""
    prefix: str
    """Path of the SAFE folder in the archive, with ``/`` at its end, or nothing."""

    def label(self, path: str) -> str:
        """Name of a file in messages."""
        return f"{self.source}/{path}"

    def sizes(self) -> dict[str, int]:
        """Return the path and unpacked size in bytes of every file.

        Raises
        ------
        InvalidSafeError
            If the archive is broken, or holds paths, links or sizes that a SAFE has not.
        """
        return {
            path.removeprefix(self.prefix): info.file_size
            for path, info in zip_members(self.source, self.archive).items()
            if path.startswith(self.prefix)
        }

    def open(self, path: str) -> BinaryIO:
        """Open a file for reading; damage may show as a `ZIP_ERRORS` exception while it is read.

        Raises
        ------
        InvalidSafeError
            If there is no such file, or it can't be opened.
        """
        try:
            with zipfile.ZipFile(self.archive) as archive:
                return cast("BinaryIO", archive.open(self.prefix + path))
        except KeyError as error:
            raise InvalidSafeError(f"{self.label(path)}: missing") from error
        except (OSError, *ZIP_ERRORS) as error:
            raise InvalidSafeError(f"{self.label(path)}: {_line(error)}") from error

    def gdal_path(self, path: str) -> str:
        """Name of a file for GDAL."""
        # Braces let GDAL take any file name for an archive, whatever its suffix.
        archive = self.archive if set("{}") & set(self.archive) else f"{{{self.archive}}}"
        return f"/vsizip/{archive}/{self.prefix}{path}"


class Container(Protocol):
    """A SAFE, wherever it lies: here (`Folder`, `Zip`), or elsewhere (`ingest.remote.fetched.Fetched`)."""

    @property
    def source(self) -> str:
        """What the user gave, for messages."""

    @property
    def name(self) -> str:
        """Name of the SAFE folder."""

    def label(self, path: str) -> str:
        """Name of a file in messages."""

    def sizes(self) -> Mapping[str, int]:
        """Return the path and size in bytes of every file."""

    def open(self, path: str) -> BinaryIO:
        """Open a file for reading."""

    def gdal_path(self, path: str) -> str:
        """Name of a file for GDAL."""


def open_container(path: str | os.PathLike[str]) -> Folder | Zip:
    """Return the SAFE at a place.

    Parameters
    ----------
    path : path
        A SAFE folder, or a zip archive that holds one.

    Raises
    ------
    InvalidSafeError
        If nothing is there, or no SAFE, or an archive with several.
    """
    place = Path(path)
    source = os.fspath(path)
    if place.is_dir():
        if not (place / MANIFEST).is_file():
            raise InvalidSafeError(f"{source}: not a SAFE folder, it has no {MANIFEST}")
        return Folder(source, place.absolute().name, os.path.realpath(place))
    if not place.is_file():
        raise InvalidSafeError(f"{source}: no such file or folder")
    return open_zip(place, source)


def open_zip(place: Path, source: str) -> Zip:
    """Return the SAFE in a zip archive; see `open_container`."""
    if not zipfile.is_zipfile(place):
        raise InvalidSafeError(f"{source}: neither a SAFE folder nor a zip archive")
    archive = str(place.absolute())
    prefix = safe_prefix(source, zip_members(source, archive))
    return Zip(source, prefix.rstrip("/").rsplit("/", 1)[-1] or place.stem, archive, prefix)


def safe_prefix(source: str, members: Iterable[str]) -> str:
    """Return the path of the SAFE folder in an archive, with ``/`` at its end, or nothing.

    Raises
    ------
    InvalidSafeError
        If it holds no SAFE, or several.
    """
    prefixes = [name.removesuffix(MANIFEST) for name in members if f"/{name}".endswith(f"/{MANIFEST}")]
    if len(prefixes) != 1:
        raise InvalidSafeError(f"{source}: holds {len(prefixes)} files {MANIFEST}; one SAFE per archive is read")
    return prefixes[0]


@contextmanager
def reading(container: Container, path: str) -> Iterator[IO[bytes]]:
    """Open a file so that damage to it, met while reading, shows as `InvalidSafeError`."""
    try:
        with container.open(path) as stream:
            yield stream
    except AbutError:
        raise
    except (OSError, *ZIP_ERRORS) as error:
        raise InvalidSafeError(f"{container.label(path)}: {_line(error)}") from error


def read_whole(container: Container, path: str, limit: int) -> bytes:
    """Return the bytes of a file.

    Raises
    ------
    InvalidSafeError
        If it is missing, damaged, or has more than `limit` bytes.
    """
    with reading(container, path) as stream:
        data = stream.read(limit + 1)
    if len(data) > limit:
        raise InvalidSafeError(f"{container.label(path)}: more than {limit} bytes")
    return data


def zip_members(source: str, archive: str | IO[bytes]) -> dict[str, zipfile.ZipInfo]:
    """Return the files of a zip archive by path, each looked at: no link, no odd name, no absurd size.

    Raises
    ------
    InvalidSafeError
        If one is not what a SAFE has, or the archive is broken; the message begins with `source`.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            infos = opened.infolist()
    except AbutError:
        raise
    except (OSError, *ZIP_ERRORS) as error:
        raise InvalidSafeError(f"{source}: {_line(error)}") from error
    if len(infos) > MAX_FILES:
        raise InvalidSafeError(f"{source}: more than {MAX_FILES} files")
    found: dict[str, zipfile.ZipInfo] = {}
    for info in infos:
        path = relative_path(info.orig_filename, source)
        if info.is_dir():
            continue
        where = f"{source}/{path}"
        if stat.S_ISLNK(info.external_attr >> 16):
            raise InvalidSafeError(f"{where}: symbolic link in an archive")
        if info.flag_bits & 1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise InvalidSafeError(f"{where}: encrypted, or packed with method {info.compress_type}")
        if path != info.filename or path in found:
            raise InvalidSafeError(f"{source}: file {info.filename!r} is named twice or oddly")
        checked_size(info.file_size, where)
        found[path] = info
    return found


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
