"""Where hulls of products lie on the globe."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from abut.ground import outline_in, project
from services.tiles.frame import system_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from abut.lattice import BlockRange, Bounds


def degrees_of(hulls: Sequence[BlockRange]) -> tuple[float, float, float, float]:
    """Return west, south, east and north of hulls of one zone; west is more than east across 180 degrees."""
    edges = [_degrees_of(bounds) for bounds in {one.bounds for one in hulls}]
    lon, lat = np.concatenate([one[0] for one in edges]), np.concatenate([one[1] for one in edges])
    centre = float(hulls[0].zone.number * 6 - 183)
    apart = (lon - centre + 180) % 360 - 180
    west, east = (_wrapped(centre + float(edge)) for edge in (apart.min(), apart.max()))
    return west, float(lat.min()), east, float(lat.max())


def _wrapped(degrees: float) -> float:
    return degrees if abs(degrees) <= 180 else math.fmod(degrees + 540, 360) - 180


def _degrees_of(bounds: Bounds) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    x, y = outline_in(bounds.zone, bounds)
    return project(system_of(str(bounds.zone)), system_of("EPSG:4326"), x, y)
