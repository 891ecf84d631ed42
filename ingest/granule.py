"""A granule of a SAFE: its metadata, and its files."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from abut.errors import InvalidSafeError
from ingest import jp2
from ingest.container import read_whole, reading

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import BinaryIO

    from abut.metadata import ProductMetadata
    from ingest.container import Container
    from ingest.manifest import ManifestEntry

MAX_LEGACY_BYTES: Final = 256 << 20
"""Largest legacy file that is read whole; the largest real ones (``MTD_DS.xml``, masks) have some 10 MB."""

_CHUNK: Final = 1 << 20
_ALGORITHMS: Final[Mapping[str, str]] = {"MD5": "md5", "SHA3-256": "sha3_256", "SHA-256": "sha256"}


@dataclass(frozen=True, slots=True)
class LegacyFile:
    """A file of the SAFE that is kept byte for byte."""

    path: str
    """Path relative to the SAFE folder, with ``/``."""
    size: int
    """Length in bytes."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Granule:
    """One granule of one SAFE, as `ingest.safe.find_granules` finds it. It can be pickled; it holds no open files."""

    source: str
    """What the user gave, for messages."""
    metadata: ProductMetadata
    """What its metadata says."""
    files: tuple[LegacyFile, ...]
    """Every file of the SAFE that belongs to it except the 13 band images and the TCI, sorted by path."""
    tci: str | None
    """Path of the true colour image, if the product lists one."""
    missing: tuple[str, ...]
    """Paths that the manifest lists for it but that are not there, sorted; none is a band, the TCI or a mask."""
    source_digest: str
    """Hexadecimal SHA-256 that identifies the source, see `ingest.safe.find_granules`."""
    masks: Mapping[tuple[str, str | None], str]
    """Paths of its masks by type (``MSK_DETFOO``) and band (``B02``; None for the whole tile)."""
    manifest: Mapping[str, ManifestEntry]
    """What the manifest says of its files."""
    container: Container
    """Where the SAFE lies."""

    def label(self, path: str) -> str:
        """Name of a file of the SAFE in messages."""
        return self.container.label(path)

    def read(self, path: str) -> bytes:
        """Return the bytes of a legacy file.

        Raises
        ------
        InvalidSafeError
            If it is missing, damaged, or larger than `MAX_LEGACY_BYTES`.
        """
        return read_whole(self.container, path, MAX_LEGACY_BYTES)

    def open(self, path: str) -> BinaryIO:
        """Open a file for reading. Damage to a zip may show as a `ingest.container.ZIP_ERRORS` exception later.

        Raises
        ------
        InvalidSafeError
            If it is missing.
        """
        return self.container.open(path)

    def gdal_path(self, path: str) -> str:
        """Name of a file for rasterio and GDAL."""
        return self.container.gdal_path(path)

    def check(self, path: str) -> None:
        """Check a file against the manifest, and that a JP2 has its end; nothing is decoded or loaded whole.

        A file that the manifest does not list only has to exist.

        Raises
        ------
        InvalidSafeError
            If it is missing, has another size or checksum than the manifest says, a checksum of an unknown kind, or
            is a JP2 that lost its end.
        """
        entry = self.manifest.get(path)
        if entry is None:
            with reading(self.container, path) as stream:
                size = stream.seek(0, os.SEEK_END)
        else:
            size = self._compare(path, entry)
        if path.lower().endswith(".jp2"):
            with reading(self.container, path) as stream:
                defect = jp2.defect(stream, size)
            if defect:
                raise InvalidSafeError(f"{self.label(path)}: {defect}")

    def _compare(self, path: str, entry: ManifestEntry) -> int:
        if entry.algorithm is not None and entry.algorithm not in _ALGORITHMS:
            raise InvalidSafeError(f"{self.label(path)}: unknown kind of checksum in the manifest, {entry.algorithm!r}")
        digest = hashlib.new(_ALGORITHMS[entry.algorithm or "MD5"], usedforsecurity=False)
        size = 0
        with reading(self.container, path) as stream:
            while chunk := stream.read(_CHUNK):
                size += len(chunk)
                digest.update(chunk)
        if size != entry.size:
            raise InvalidSafeError(f"{self.label(path)}: {size} bytes, but the manifest says {entry.size}")
        if entry.algorithm is not None and digest.hexdigest() != entry.checksum:
            raise InvalidSafeError(
                f"{self.label(path)}: {entry.algorithm} {digest.hexdigest()}, but the manifest says {entry.checksum}"
            )
        return size
