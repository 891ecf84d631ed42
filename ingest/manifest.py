"""The manifest of a SAFE: which files it has, how long they are, and their checksums."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from abut.errors import InvalidSafeError
from ingest.container import relative_path
from ingest.xmlfile import parse_integer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ingest.xmlfile import XmlNode

PRODUCT_METADATA: Final = "S2_Level-1C_Product_Metadata"
"""ID of the product's metadata file in the manifest."""

_TILE_METADATA = re.compile(r"S2_Level-1C_Tile\d*_Metadata", re.ASCII)
_HEX = re.compile(r"([0-9a-f]{2}){8,64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class ManifestEntry:
    """What the manifest says of one file."""

    size: int
    """Length in bytes."""
    algorithm: str | None
    """Name of the checksum's algorithm in upper case (``MD5``, ``SHA3-256``); None where it has no checksum."""
    checksum: str
    """Checksum in lower-case hexadecimal digits, empty where it has none."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """The file list of a SAFE."""

    entries: Mapping[str, ManifestEntry]
    """What it says of each file, by path relative to the SAFE folder."""
    product_metadata: str | None
    """Path of the product's metadata file, if it is listed as such."""
    tile_metadata: tuple[str, ...]
    """Paths of the granules' metadata files."""


def read_manifest(root: XmlNode) -> Manifest:
    """Return what a manifest lists.

    Parameters
    ----------
    root : XmlNode
        Root of ``manifest.safe``.

    Raises
    ------
    InvalidSafeError
        If it is no manifest, names paths outside the SAFE, or lists a file twice with different facts.
    """
    if root.tag != "XFDU":
        raise InvalidSafeError(f"{root.where}: root element {root.tag!r} is not that of a SAFE manifest")
    entries: dict[str, ManifestEntry] = {}
    by_id: dict[str, str] = {}
    for data_object in root.descendants("dataObject"):
        for stream in data_object.all("byteStream"):
            path = relative_path(stream.child("fileLocation").attribute("href"), root.where)
            entry = _entry(stream, path)
            if entries.setdefault(path, entry) != entry:
                raise InvalidSafeError(f"{root.where}: {path} is listed twice with different sizes or checksums")
            by_id.setdefault(data_object.attribute("ID"), path)
    return Manifest(
        entries,
        by_id.get(PRODUCT_METADATA),
        tuple(path for name, path in by_id.items() if _TILE_METADATA.fullmatch(name)),
    )


def _entry(stream: XmlNode, path: str) -> ManifestEntry:
    size = parse_integer(stream.attribute("size"), stream.where, f"size of {path}")
    node = stream.find("checksum")
    if node is None:
        return ManifestEntry(size, None, "")
    checksum = node.text().lower()
    if size < 0 or not _HEX.fullmatch(checksum):
        raise InvalidSafeError(f"{stream.where}: size {size} or checksum {checksum[:80]!r} of {path} is none")
    return ManifestEntry(size, node.attribute("checksumName").upper(), checksum)
