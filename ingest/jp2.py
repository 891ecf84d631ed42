"""The outside of a JPEG 2000 file: enough to see, without decoding, that its end is not lost (ISO/IEC 15444-1)."""

from __future__ import annotations

from typing import IO, Final

SIGNATURE: Final = b"\x00\x00\x00\x0cjP  \r\n\x87\n"
"""First bytes of a JP2 file: its signature box."""

END_OF_CODESTREAM: Final = b"\xff\xd9"
"""Marker at the end of a codestream."""

_MAX_BOXES = 1000


def defect(stream: IO[bytes], size: int) -> str | None:
    """Return what is wrong with the outside of a JP2 file, or None.

    The boxes are walked (annex I of the standard); the codestream has to end inside the file, with its marker.
    A file that lost its end fails this; one that was damaged inside may pass.

    Parameters
    ----------
    stream : file
        The file, at its start; it is read and moved forwards only.
    size : int
        Its length in bytes.
    """
    if stream.read(len(SIGNATURE)) != SIGNATURE:
        return "not a JP2 file"
    start = len(SIGNATURE)
    for _ in range(_MAX_BOXES):
        header = stream.read(16)
        if len(header) < 8:
            return "no codestream: its end is missing"
        length, kind = int.from_bytes(header[:4], "big"), header[4:8]
        if length == 0:
            length = size - start
        elif length == 1:
            length = int.from_bytes(header[8:16], "big")
        if length < 8 or start + length > size:
            return f"box {kind!r} ends at byte {start + length} of {size}: its end is missing"
        if kind == b"jp2c":
            stream.seek(start + length - len(END_OF_CODESTREAM))
            complete = stream.read(len(END_OF_CODESTREAM)) == END_OF_CODESTREAM
            return None if complete else "codestream without end marker: its end is missing"
        start += length
        stream.seek(start)
    return f"more than {_MAX_BOXES} boxes before the codestream"
