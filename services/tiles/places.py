"""Where the pixels of a frame lie in a zone.

Coordinates are exact (PROJ) every 16 pixels, counted from the origin of the coordinate system so that neighbouring
frames share these nodes, and bilinear between them. The error is that of a chord: it grows with the pixel size, to
0.06 px at 10 km; larger pixels have nodes every 2 pixels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from abut.ground import project
from services.tiles.frame import system_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from abut.lattice import Zone
    from services.tiles.frame import Frame

    type Field = NDArray[np.float64]

_STEP: Final = 16
_LARGE: Final = 8_000.0
"""Pixels of so many metres have nodes every `_LARGE_STEP` pixels."""
_LARGE_STEP: Final = 2
_WHOLE: Final = 1e-3
"""Frames that are off a whole number of pixels by less than this, counted from the origin, are on it."""
_REACH: Final = 40.0
"""Degrees from the central meridian beyond which a zone is never shown."""
NOWHERE: Final = -1e9
"""Coordinate of pixels that have no place in a zone."""


@dataclass(frozen=True, slots=True)
class Places:
    """A frame's nodes."""

    frame: Frame
    """The frame."""
    step: int
    """Pixels between nodes."""
    offset: tuple[int, int]
    """Rows and columns from the first node to the frame's corner."""
    x: Field
    """Of the nodes, shape (row, column)."""
    y: Field
    """Of the nodes."""
    lon: Field
    """Degrees of the nodes; NaN where there is no such place."""
    lat: Field
    """Degrees of the nodes."""

    def apart(self, zone: Zone) -> Field:
        """Return degrees of longitude from a zone's central meridian to the nodes."""
        return np.asarray((self.lon - (zone.number * 6 - 183) + 180) % 360 - 180)

    def within(self, zone: Zone) -> tuple[Field, Field]:
        """Return easting and northing of the centres of all pixels in a zone, shape (y, x); `NOWHERE` beyond it."""
        if self.frame.zone == zone:
            x, y = self.x, self.y
        else:
            x, y = project(system_of(self.frame.crs), system_of(str(zone)), self.x, self.y)
            far = ~(np.isfinite(x) & np.isfinite(y)) | ~(np.abs(self.apart(zone)) <= _REACH)
            if far.any():
                x, y = np.where(far, np.nan, x), np.where(far, np.nan, y)
                return self._known(x), self._known(y)
        return self.spread(x), self.spread(y)

    def _known(self, nodes: Field) -> Field:
        found = self.spread(nodes)
        found[np.isnan(found)] = NOWHERE
        return found

    def spread(self, nodes: Field) -> Field:
        """Return values at the centres of all pixels, shape (y, x), from values at the nodes."""
        step, (down, across) = self.step, self.offset
        middle = (np.arange(step) + 0.5) / step
        rows = nodes[:-1, None, :] + (nodes[1:] - nodes[:-1])[:, None, :] * middle[None, :, None]
        rows = rows.reshape(-1, nodes.shape[1])[down : down + self.frame.height]
        found = rows[:, :-1, None] + (rows[:, 1:] - rows[:, :-1])[:, :, None] * middle
        return found.reshape(len(rows), -1)[:, across : across + self.frame.width]


def places_of(frame: Frame) -> Places:
    """Return the nodes of a frame."""
    left, _, _, top = frame.bounds
    width, height = frame.pixel
    step = _STEP if frame.metres < _LARGE else _LARGE_STEP
    across, down = _phase(left / width, step), _phase(-top / height, step)
    columns = np.arange(-across, frame.width + step, step)
    rows = np.arange(-down, frame.height + step, step)
    x, y = np.meshgrid(left + columns * width, top - rows * height)
    lon, lat = project(system_of(frame.crs), system_of("EPSG:4326"), x, y)
    finite = np.isfinite(lon) & np.isfinite(lat)
    if not finite.all():
        lon, lat = np.where(finite, lon, np.nan), np.where(finite, lat, np.nan)
    return Places(frame, step, (down, across), x, y, lon, lat)


def _phase(place: float, step: int) -> int:
    whole = round(place)
    return (whole if abs(place - whole) < _WHOLE else math.floor(place)) % step
