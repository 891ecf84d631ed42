"""The outside of a JPEG 2000 file, read without decoding it (ISO/IEC 15444-1).

Enough to see that its end is not lost, and which of its tiles are coded by the same bytes.
"""

from __future__ import annotations

import hashlib
import io
import struct
from typing import IO, TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

SIGNATURE: Final = b"\x00\x00\x00\x0cjP  \r\n\x87\n"
"""First bytes of a JP2 file: its signature box."""

END_OF_CODESTREAM: Final = b"\xff\xd9"
"""Marker at the end of a codestream."""

_MAX_BOXES: Final = 1000
_START: Final = b"\xff\x4f\xff\x51"
_SIZ, _PPM, _SOT, _EOC = 0xFF51, 0xFF60, 0xFF90, 0xFFD9
_NOT_FOR_DECODING: Final = (0xFF55, 0xFF57, 0xFF64)
"""Markers of the main header that only list lengths (TLM, PLM) or comment (COM)."""


def defect(stream: IO[bytes], size: int) -> str | None:
    """Return what is wrong with the outside of a JP2 file, or None.

    The codestream has to end inside the file, with its marker. A file that lost its end fails this; one that was
    damaged inside may pass.

    Parameters
    ----------
    stream : file
        The file, at its start; it is read and moved forwards only.
    size : int
        Its length in bytes.
    """
    found = _codestream(stream, size)
    if isinstance(found, str):
        return found
    stream.seek(found[1] - len(END_OF_CODESTREAM))
    complete = stream.read(len(END_OF_CODESTREAM)) == END_OF_CODESTREAM
    return None if complete else "codestream without end marker: its end is missing"


def tile_keys(data: bytes) -> dict[int, bytes]:
    """Return, for each tile of a JP2 file, a key that only tiles coded by the same bytes share, of whichever file.

    Such tiles, if they have equal sides, decode to equal pixels: what else decoding depends on is the main header,
    which is part of the key, and the tile's place relative to the partitions into precincts and code blocks. Those
    have powers of two as sides (annex B of the standard), so the place makes no difference if the tile's sides are
    powers of two as well and the image starts at the origin.

    Parameters
    ----------
    data : bytes
        The file.

    Returns
    -------
    dict
        Digest by tile number, in rows from the upper left. Empty where the argument above does not hold: tiles of
        other sides, packet headers moved to the main header, or a structure that is not understood.
    """
    found = _codestream(io.BytesIO(data), len(data))
    if isinstance(found, str) or not data.startswith(_START, found[0]):
        return {}
    parts: dict[int, bytes] = {}
    header = hashlib.sha256()
    try:
        for marker, segment in _segments(data, found[0] + 2, found[1]):
            if marker not in (_SOT, *_NOT_FOR_DECODING):
                header.update(segment)
            if marker == _PPM or (marker == _SIZ and not _plain(segment)):
                return {}
            if marker == _SOT:
                number = int.from_bytes(segment[4:6], "big")
                content = segment[6:]  # all but the tile's number: length, part numbers, headers, data
                parts[number] = hashlib.sha256(parts.get(number, b"") + content).digest()
    except (struct.error, ValueError):
        return {}
    return {number: header.digest() + key for number, key in parts.items()}


def _codestream(stream: IO[bytes], size: int) -> tuple[int, int] | str:
    """Return where the codestream starts and ends (annex I of the standard: boxes), or what is wrong."""
    if stream.read(len(SIGNATURE)) != SIGNATURE:
        return "not a JP2 file"
    start = len(SIGNATURE)
    for _ in range(_MAX_BOXES):
        header = stream.read(16)
        if len(header) < 8:
            return "no codestream: its end is missing"
        length, kind, head = int.from_bytes(header[:4], "big"), header[4:8], 8
        if length == 0:
            length = size - start
        elif length == 1:
            length, head = int.from_bytes(header[8:16], "big"), 16
        if length < head or start + length > size:
            return f"box {kind!r} ends at byte {start + length} of {size}: its end is missing"
        if kind == b"jp2c":
            return start + head, start + length
        start += length
        stream.seek(start)
    return f"more than {_MAX_BOXES} boxes before the codestream"


def _segments(data: bytes, position: int, end: int) -> Iterator[tuple[int, bytes]]:
    """Yield marker segments from a place on, of tile-parts with all their data, up to the end of the codestream."""
    while True:
        (marker,) = struct.unpack_from(">H", data, position)
        if marker == _EOC:
            return
        size = 2 + struct.unpack_from(">H", data, position + 2)[0]
        if marker == _SOT:
            (size,) = struct.unpack_from(">I", data, position + 6)
        if size < 4 or position + size > end:
            raise ValueError(marker)
        yield marker, data[position : position + size]
        position += size


def _plain(segment: bytes) -> bool:
    """Whether image and tiles start at the origin, tile sides are powers of two, and components are not subsampled."""
    *_, left, top, width, height, tile_left, tile_top, count = struct.unpack_from(">HHHIIIIIIIIH", segment)
    sampling = [segment[40 + 3 * index + 1 : 40 + 3 * index + 3] for index in range(count)]
    return (
        not (left or top or tile_left or tile_top)
        and width.bit_count() == height.bit_count() == 1
        and all(step == b"\x01\x01" for step in sampling)
    )
