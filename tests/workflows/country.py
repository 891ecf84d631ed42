"""A scene of fields, lakes, woods and clouds at all scales, of the bands that segments are made from."""

from __future__ import annotations

from typing import Final

import numpy as np

from workflows.scene import RESOLUTION, Box, Scene
from workflows.segments import BANDS

COLOURS: Final = {
    "water": (760, 520, 300, 220, 260, 200, 70, 50),
    "vegetation": (820, 820, 520, 3_400, 950, 3_700, 1_700, 850),
    "bare": (1_150, 1_150, 1_250, 1_750, 1_450, 1_950, 2_450, 1_750),
    "cloud": (4_800, 4_600, 4_700, 5_400, 4_800, 5_600, 3_300, 2_600),
    "shadow": (720, 480, 300, 900, 380, 950, 220, 110),
}
"""Reflectance at the top of the atmosphere in ten-thousandths, in the order of `BANDS`."""
_FIELD: Final = 780


def country(box: Box, *, edge: int = 1_500, offset: int = -1_000, seed: int = 3) -> Scene:
    """Return patches, brighter towards the north-east, half of them a mixture; a swath's edge crosses the west.

    Parameters
    ----------
    box : Box
        Its ground.
    edge : int
        Metres from the western edge to the swath, in the north.
    offset, seed : int
        Offset of the digital numbers; another seed, another country.
    """
    random = np.random.default_rng(seed)
    rows, columns = box.shape(20)
    side = _FIELD // 20
    kinds, others = random.integers(0, len(COLOURS), (2, rows // side + 1, columns // side + 1))
    share = np.maximum(random.integers(-4, 5, kinds.shape), 0) / 8
    rise = np.add.outer(np.arange(rows)[::-1], np.arange(columns)) / (rows + columns)
    north, east = np.mgrid[0:rows, 0:columns] * 20
    empty = east < edge + north // 8
    bands = {}
    for place, name in enumerate(BANDS):
        colours = np.array([colours[place] for colours in COLOURS.values()])
        mixed = colours[kinds] * (1 - share) + colours[others] * share
        colour = mixed.repeat(side, axis=0).repeat(side, axis=1)[:rows, :columns]
        shade = np.rint(colour * (0.9 + 0.3 * rise)).astype(np.int64) - offset
        factor = 20 // RESOLUTION[name]
        fine = shade.repeat(factor, axis=0).repeat(factor, axis=1)
        fine = fine + random.integers(-25, 26, fine.shape)
        bands[name] = np.where(empty.repeat(factor, axis=0).repeat(factor, axis=1), 0, fine).astype(np.uint16)
    return Scene(box=box, core=box, bands=bands, offsets=dict.fromkeys(BANDS, offset))
