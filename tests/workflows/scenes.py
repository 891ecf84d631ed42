"""Scenes for tests: random digital numbers that are a function of the ground, with holes."""

from __future__ import annotations

import numpy as np

from workflows.scene import RESOLUTION, Box, Scene

SIDE = 4_800


def noise(bands: tuple[str, ...], box: Box, *, holes: bool = True, offset: int = -1000, seed: int = 1) -> Scene:
    """Return a scene of random digital numbers; a third of its 60 m cells have nodata somewhere."""
    random = np.random.default_rng(seed)
    arrays = {}
    for band in bands:
        size = RESOLUTION[band]
        array = random.integers(1, 15_000, box.shape(size), np.uint16, endpoint=True)
        if holes:
            array[random.random(array.shape) < 0.05] = 0
        arrays[band] = array
    return Scene(box=box, core=box, bands=arrays, offsets=dict.fromkeys(bands, offset))
