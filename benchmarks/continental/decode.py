"""What decoding alone costs: pixels of the archive's texture, packed as the archive packs them."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Final

from abut.codec import decode_block, encode_block
from abut.lattice import BLOCK_SIZE, Bounds
from abut.layout import BAND
from abut.tiling import tile
from benchmarks.continental.scale import BANDS
from benchmarks.continental.scene import seen_on

_BLOCKS: Final = 4
_TIMES: Final = 25


def decoding(name: str) -> dict[str, float]:
    """Decode some blocks of the middle of a tile again and again.

    Returns
    -------
    dict
        ``cpu``: seconds of one thread. ``pixels``: uint16 pixels that were decoded. ``bytes``: what they were made of.
    """
    foot, when = tile(name).footprint, datetime(2025, 5, 3, tzinfo=UTC)
    left = (foot.left + foot.right) // 2 // BLOCK_SIZE * BLOCK_SIZE
    bottom = (foot.bottom + foot.top) // 2 // BLOCK_SIZE * BLOCK_SIZE
    packed = []
    for band in (BAND[one] for one in BANDS):
        for step in range(_BLOCKS):
            place = Bounds(
                foot.zone, left, bottom + step * BLOCK_SIZE, left + BLOCK_SIZE, bottom + (step + 1) * BLOCK_SIZE
            )
            packed.append((encode_block(seen_on(when, band, place)), BLOCK_SIZE // band.resolution))
    start = time.process_time()
    for _ in range(_TIMES):
        for data, side in packed:
            decode_block(data, side)
    cpu = time.process_time() - start
    return {
        "cpu": cpu,
        "pixels": float(_TIMES * sum(side**2 for _, side in packed)),
        "bytes": float(_TIMES * sum(len(data) for data, _ in packed)),
    }
