"""`python -m abut.testing FOLDER`: two small neighbouring products, to try things with."""

from __future__ import annotations

import sys
from pathlib import Path

from abut.lattice import BLOCK_SIZE, Bounds
from abut.testing import Scene, Swath, make_safe
from abut.tiling import tile

TILES = ("32TMT", "32TNT")
"""Neighbours; what they see lies across their overlap."""


def products(folder: Path) -> list[Path]:
    """Make the products as zips; data on three by two blocks, half of them in both."""
    west, east = (tile(name) for name in TILES)
    shared = west.footprint.intersection(east.footprint)
    if shared is None:
        raise ValueError(f"{' and '.join(TILES)} share no ground")
    left = shared.left // BLOCK_SIZE * BLOCK_SIZE
    bottom = (shared.bottom + 50_000) // BLOCK_SIZE * BLOCK_SIZE
    frame = Bounds(west.zone, left - BLOCK_SIZE, bottom, left + 2 * BLOCK_SIZE, bottom + 2 * BLOCK_SIZE)
    swath = Swath(zone=west.zone, easting=shared.left, northing=bottom, width=300_000)
    scene = Scene(swath=swath, frame=frame, clouds=False)
    return [make_safe(scene, name, folder, zipped=True) for name in TILES]


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("python -m abut.testing FOLDER")
    Path(sys.argv[1]).mkdir(parents=True, exist_ok=True)
    for made in products(Path(sys.argv[1])):
        print(made)  # noqa: T201 - its output
