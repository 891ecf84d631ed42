"""The outside of a JPEG 2000 file, read without decoding it (ISO/IEC 15444-1).

Enough to see that its end is not lost, and which of its tiles are coded by the same bytes.
"""

from __future__ import annotations

import hashlib
import struct
from typing import IO, TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

SIGNATURE: Final = b"\x00\x00\x00\x0cjP  \r\n\x87\n"
"""First bytes of a JP2 file: its signature box."""

END_OF_CODESTREAM: Final = b"\xff\xd9"
"""Marker at the end of a codestream."""

SMALL_TILE: Final = 1 << 16
"""Tiles coded by more bytes than this are not compared."""

_MAX_BOXES: Final = 1000
_SOT_LENGTH: Final = 12
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


def tile_keys(stream: IO[bytes], size: int) -> dict[int, bytes]:
    """Return, for small tiles of a JP2 file, a key that only tiles coded by the same bytes share, of whichever file.

    Such tiles, if they have equal sides, decode to equal pixels: what else decoding depends on is the main header,
    which is part of the key, and the tile's place relative to the partitions into precincts and code blocks. Those
    have powers of two as sides (annex B of the standard), so the place makes no difference if the tile's sides are
    powers of two as well and the image starts at the origin. Tiles coded by more than `SMALL_TILE` bytes, which have
    no equals in practice, are passed over without being read.

    Parameters
    ----------
    stream : file
        The file, at its start; it is read and moved forwards only.
    size : int
        Its length in bytes.

    Returns
    -------
    dict
        Digests by tile number, in rows from the upper left. Empty where the argument above does not hold: tiles of
        other sides, packet headers moved to the main header, or a structure that is not understood.
    """
    found = _codestream(stream, size)
    if isinstance(found, str):
        return {}
    start, end = found
    stream.seek(start)
    if stream.read(2) != _START[:2]:
        return {}
    parts: dict[int, bytes | None] = {}
    header = hashlib.sha256()
    try:
        for marker, segment in _segments(stream, start + 2, end):
            if marker == _SOT:
                number, content = int.from_bytes(segment[4:6], "big"), segment[6:]
                known = parts.get(number, b"")
                small = len(content) > _SOT_LENGTH - 6 and known is not None
                # All but the tile's number counts: length, part numbers, headers, data.
                parts[number] = hashlib.sha256((known or b"") + content).digest() if small else None
            else:
                if marker == _PPM or (marker == _SIZ and not _plain(segment)):
                    return {}
                if marker not in _NOT_FOR_DECODING:
                    header.update(segment)
    except (struct.error, ValueError):
        return {}
    return {number: header.digest() + key for number, key in parts.items() if key is not None}


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


def _segments(stream: IO[bytes], position: int, end: int) -> Iterator[tuple[int, bytes]]:
    """Yield marker segments up to the end of the codestream; tile-parts with all their data only if they are small."""
    while True:
        start = stream.read(2)
        (marker,) = struct.unpack(">H", start)
        if marker == _EOC:
            return
        start += stream.read(_SOT_LENGTH - 2 if marker == _SOT else 2)
        length = struct.unpack_from(">I", start, 6)[0] if marker == _SOT else 2 + struct.unpack_from(">H", start, 2)[0]
        if length < len(start) or position + length > end:
            raise ValueError(marker)
        position += length
        if marker != _SOT or length <= SMALL_TILE:
            yield marker, start + stream.read(length - len(start))
        else:
            yield marker, start
            stream.seek(position)


def _plain(segment: bytes) -> bool:
    """Whether image and tiles start at the origin, tile sides are powers of two, and components are not subsampled."""
    *_, left, top, width, height, tile_left, tile_top, count = struct.unpack_from(">HHHIIIIIIIIH", segment)
    sampling = [segment[40 + 3 * index + 1 : 40 + 3 * index + 3] for index in range(count)]
    return (
        not (left or top or tile_left or tile_top)
        and width.bit_count() == height.bit_count() == 1
        and all(step == b"\x01\x01" for step in sampling)
    )
