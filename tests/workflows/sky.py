"""A cloudy scene of known heights: textured ground, clouds of several heights, and their shadows by geometry."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from workflows.probability import BANDS
from workflows.scene import RESOLUTION, Box, Geometry, Scene

SUN = (48.0, 155.0)
VIEW = (6.0, 100.0)
PIXEL = 60


@dataclass(frozen=True)
class Sky:
    """What is seen, and what there is."""

    scene: Scene
    probability: np.ndarray
    cloud: np.ndarray
    shadow: np.ndarray
    """Shadows on ground that no cloud hides."""


def moves(height: float) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return rows and columns from a cloud's own place to where it is seen, and to its shadow."""
    found = []
    for zenith, azimuth in (VIEW, SUN):
        length = height * np.tan(np.radians(zenith)) / PIXEL
        north, east = -length * np.cos(np.radians(azimuth)), -length * np.sin(np.radians(azimuth))
        found.append((round(-north), round(east)))
    return found[0], found[1]


def make(box: Box, core: Box, *, seed: int = 7, swath: bool = True) -> Sky:
    """Make a scene; 60 m of ground at a time, so that every band is the same field at its own pixels."""
    random = np.random.default_rng(seed)
    rows, columns = box.shape(PIXEL)
    field = np.kron(random.random((rows // 30 + 1, columns // 30 + 1)), np.ones((30, 30)))[:rows, :columns]
    ground = 0.25 + 0.1 * field + 0.02 * random.random((rows, columns))
    cloud, shadow = np.zeros((2, rows, columns), bool)
    down, right = np.ogrid[:rows, :columns]
    for _ in range(rows * columns // 6_000):
        row, column = random.integers(-20, rows + 20), random.integers(-20, columns + 20)
        size, height = random.integers(6, 16), float(random.choice([900, 1_800, 3_000, 4_500]))
        for (south, east), flags in zip(moves(height), (cloud, shadow), strict=True):
            flags[(down - row - south) ** 2 + (right - column - east) ** 2 <= size**2] = True
    shadow &= ~cloud
    seen = np.where(cloud, 0.6, np.where(shadow, 0.35 * ground, ground))
    dn = np.rint(seen * 10_000 + 1_000).astype(np.uint16)
    if swath:
        dn[np.add.outer(np.arange(rows) * 2, np.arange(columns)) < 1.15 * columns] = 0
    bands = {}
    for band in BANDS:
        factor = PIXEL // RESOLUTION[band]
        bands[band] = np.repeat(np.repeat(dn, factor, 0), factor, 1)
    scene = Scene(
        box=box,
        core=core,
        bands=bands,
        offsets=dict.fromkeys(BANDS, -1_000),
        geometry=Geometry.constant(box, SUN, VIEW),
    )
    probability = np.where(cloud, 9_000, 300) + random.integers(0, 500, cloud.shape)
    return Sky(scene, np.where(dn > 0, probability, 0), cloud & (dn > 0), shadow & (dn > 0))
