"""Where the files of one remote SAFE come from: objects of a bucket, or members of a zip that is read in place."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol, cast

from abut.errors import AbutError, InvalidSafeError
from ingest.container import MANIFEST, MAX_FILES, ZIP_ERRORS, checked_size, relative_path, safe_prefix, zip_members
from ingest.remote.ranges import pieces

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import IO

    from ingest.remote.bucket import Bucket
    from ingest.remote.ranges import Zipped

_HEADER: Final = 30 + 4096
"""Bytes of the header before a file, but for its name; that of its other fields is seldom more than a hundred."""


class Origin(Protocol):
    """One remote SAFE."""

    @property
    def source(self) -> str:
        """Its URL."""

    @property
    def name(self) -> str:
        """Name of the SAFE folder."""

    @property
    def sizes(self) -> Mapping[str, int]:
        """Path and bytes of every file."""

    def read(self, path: str) -> Iterator[bytes]:
        """Yield the bytes of a file; from several threads at once."""


@dataclass(frozen=True, slots=True)
class BucketFolder:
    """A SAFE folder in a bucket."""

    source: str
    """Its URL."""
    name: str
    """Name of the folder."""
    bucket: Bucket
    """The bucket."""
    folder: str
    """Its key, no slash at its end."""
    sizes: Mapping[str, int] = field(repr=False)
    """Path and bytes of every file."""

    def read(self, path: str) -> Iterator[bytes]:
        """Yield the bytes of a file."""
        return pieces(self.bucket.object(f"{self.folder}/{path}", self.sizes[path]))


@dataclass(frozen=True, slots=True)
class ZipMembers:
    """A SAFE in a zip of which ranges can be read."""

    source: str
    """URL of the zip."""
    name: str
    """Name of the SAFE folder in it."""
    zipped: Zipped
    """The zip."""
    prefix: str
    """Path of the SAFE folder in it, with ``/`` at its end, or nothing."""
    sizes: Mapping[str, int] = field(repr=False)
    """Path and bytes, unpacked, of every file."""
    ends: Mapping[str, int] = field(repr=False)
    """Where each file's part of the zip ends, at the latest."""

    def read(self, path: str) -> Iterator[bytes]:
        """Yield the unpacked bytes of a file."""
        try:
            with (
                zipfile.ZipFile(cast("IO[bytes]", self.zipped.open(self.ends[path]))) as archive,
                archive.open(self.prefix + path) as stream,
            ):
                while piece := stream.read(1 << 20):
                    yield piece
        except AbutError:
            raise
        except (OSError, *ZIP_ERRORS, KeyError) as error:
            raise InvalidSafeError(f"{self.source}/{path}: {' '.join(str(error).split())}") from error


def bucket_folder(source: str, bucket: Bucket, folder: str) -> BucketFolder:
    """Return the SAFE folder at a key of a bucket; one listing.

    Raises
    ------
    InvalidSafeError
        If it has no manifest, or what a SAFE has not: too many files, odd names, absurd sizes.
    """
    found = bucket.sizes(folder, MAX_FILES)
    if len(found) > MAX_FILES:
        raise InvalidSafeError(f"{source}: more than {MAX_FILES} files")
    if MANIFEST not in found:
        raise InvalidSafeError(f"{source}: not a SAFE folder, it has no {MANIFEST}")
    sizes = {}
    for key, size in found.items():
        path = relative_path(key, source)
        if path != key:
            raise InvalidSafeError(f"{source}: file {key!r} is named oddly")
        sizes[path] = checked_size(size, f"{source}/{path}")
    return BucketFolder(source, folder.rpartition("/")[2], bucket, folder, sizes)


def zip_in_place(source: str, name: str, zipped: Zipped) -> ZipMembers:
    """Return the SAFE in a zip; its directory is read.

    Raises
    ------
    InvalidSafeError
        If it is no zip, or one that no SAFE comes in.
    """
    if b"PK\5\6" not in zipped.tail:
        raise InvalidSafeError(f"{source}: not a zip archive")
    members = zip_members(source, cast("IO[bytes]", zipped.open()))
    prefix = safe_prefix(source, members)
    sizes = {path.removeprefix(prefix): info.file_size for path, info in members.items() if path.startswith(prefix)}
    ends = {path: _end(members[prefix + path]) for path in sizes}
    return ZipMembers(source, prefix.rstrip("/").rpartition("/")[2] or name, zipped, prefix, sizes, ends)


def _end(info: zipfile.ZipInfo) -> int:
    """Return where a file's part of a zip ends: the header before it may be longer than the directory knows."""
    return info.header_offset + _HEADER + len(info.orig_filename) + info.compress_size
