"""``manifest.safe`` with the sizes and checksums of files that were encoded anew; all other bytes stay.

The text is changed in place instead of being parsed and written: writers of XML would reorder attributes and spaces.
"""

from __future__ import annotations

import hashlib
import html
import re
from typing import TYPE_CHECKING, Final

from abut.errors import InvalidArchiveError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from pathlib import Path

ALGORITHMS: Final[Mapping[str, str]] = {"MD5": "md5", "SHA3-256": "sha3_256", "SHA-256": "sha256"}
"""Checksums by their name in manifests: MD5 before baseline 04.00, SHA3-256 since."""

_START: Final = re.compile(rb"<(?:[\w.-]+:)?byteStream\b")
_END: Final = re.compile(rb"</(?:[\w.-]+:)?byteStream\s*>")
_SIZE: Final = re.compile(rb"""\bsize\s*=\s*["']\s*(\d+)\s*["']""")
_HREF: Final = re.compile(rb"""\bhref\s*=\s*(?:"([^"]*)"|'([^']*)')""")
_CHECKSUM: Final = re.compile(
    rb"""<(?:[\w.-]+:)?checksum\b[^>]*?\bchecksumName\s*=\s*["']([^"']*)["'][^>]*>\s*([0-9A-Fa-f]+)"""
)
_CHUNK: Final = 1 << 20


def rewrite(manifest: bytes, root: Path, changed: Collection[str]) -> bytes:
    """Return a manifest that is true of files that were written anew.

    Parameters
    ----------
    manifest : bytes
        The manifest as it was.
    root : Path
        Folder of the SAFE with the new files.
    changed : collection of str
        Their paths relative to it. What the manifest does not list stays unlisted.

    Raises
    ------
    InvalidArchiveError
        If it gives a changed file a checksum of an unknown kind.
    """
    parts: list[bytes] = []
    kept = 0
    for start, stop in _streams(manifest):
        text = manifest[start:stop]
        path = _path(text)
        if path not in changed:
            continue
        for first, last, value in _edits(text, root / path, path):
            parts += [manifest[kept : start + first], value]
            kept = start + last
    return b"".join([*parts, manifest[kept:]])


def listed(manifest: bytes) -> tuple[str, ...]:
    """Return the paths that a manifest lists, in its order."""
    return tuple(path for start, stop in _streams(manifest) if (path := _path(manifest[start:stop])))


def _streams(manifest: bytes) -> Iterator[tuple[int, int]]:
    """Return where each ``byteStream`` starts and ends."""
    position = 0
    while (start := _START.search(manifest, position)) and (stop := _END.search(manifest, start.end())):
        yield start.start(), stop.end()
        position = stop.end()


def _path(text: bytes) -> str:
    match = _HREF.search(text)
    href = html.unescape((match[1] or match[2] or b"").decode("utf-8", "replace")) if match else ""
    return "/".join(part for part in href.split("/") if part not in ("", "."))


def _edits(text: bytes, file: Path, path: str) -> Iterator[tuple[int, int, bytes]]:
    """Return what changes in one ``byteStream``: start, stop and new text, in the order of the text."""
    edits = []
    size = _SIZE.search(text)
    if size:
        edits.append((*size.span(1), str(file.stat().st_size).encode()))
    checksum = _CHECKSUM.search(text)
    if checksum:
        name = checksum[1].decode("ascii", "replace").upper()
        if name not in ALGORITHMS:
            raise InvalidArchiveError(f"manifest.safe: unknown kind of checksum {name[:80]!r} of {path}")
        value = _digest(file, ALGORITHMS[name])
        same_case = value.upper() if checksum[2].isupper() else value
        edits.append((*checksum.span(2), same_case.encode()))
    return iter(sorted(edits))


def _digest(file: Path, algorithm: str) -> str:
    digest = hashlib.new(algorithm, usedforsecurity=False)
    with file.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
