"""Sets of blocks of a hull as short text.

One bit a block, row by row from the north-west block, first block in the highest bit of the first byte, zeros to the
end of the last byte; the bytes in base64.
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

type Position = tuple[int, int]
"""Row (0 = northmost) and column (0 = westmost) of a block in a hull: its Zarr chunk key."""


def pack(positions: Iterable[Position], shape: tuple[int, int]) -> str:
    """Return a set of blocks as base64 text.

    Parameters
    ----------
    positions : iterable of (int, int)
        Row and column of each block.
    shape : (int, int)
        Rows and columns of the hull.

    Raises
    ------
    ValueError
        If a block is outside of the hull.
    """
    rows, columns = shape
    flags = np.zeros(shape, dtype=np.bool_)
    for row, column in positions:
        if not (0 <= row < rows and 0 <= column < columns):
            raise ValueError(f"block row {row}, column {column} is outside of the hull of {rows} x {columns} blocks")
        flags[row, column] = True
    return base64.b64encode(np.packbits(flags, axis=None).tobytes()).decode("ascii")


def unpack(text: str, shape: tuple[int, int]) -> frozenset[Position]:
    """Return the set of blocks that `pack` turned into `text`.

    Raises
    ------
    ValueError
        If the text is no base64, has another number of bits than the hull has blocks, or sets bits past the last.
    """
    rows, columns = shape
    try:
        packed = np.frombuffer(base64.b64decode(text, validate=True), dtype=np.uint8)
    except binascii.Error as error:
        raise ValueError(f"bitmap {text!r} is not base64") from error
    if len(packed) != -(-rows * columns // 8):
        raise ValueError(f"bitmap {text!r} of {len(packed)} bytes does not fit {rows} x {columns} blocks")
    bits = np.unpackbits(packed)
    if bits[rows * columns :].any():
        raise ValueError(f"bitmap {text!r} sets bits past the last of {rows} x {columns} blocks")
    flags = bits[: rows * columns].reshape(shape)
    return frozenset((int(row), int(column)) for row, column in np.argwhere(flags))
