"""Where north is on the grid: metadata count azimuths from true north, pixels lie along the grid of the UTM zone."""

from __future__ import annotations

import math
from typing import Final

_SCALE: Final = 0.9996
_CENTRE: Final = 500_000
_AXIS: Final = 6_378_137.0
_FLATTENING: Final = 1 / 298.257223563
_E2: Final = _FLATTENING * (2 - _FLATTENING)


def convergence(easting: float, northing: float) -> float:
    """Return the degrees by which grid north lies clockwise of true north: what to take from an azimuth.

    It is 0 on the central meridian and at the equator, and 2.6 degrees at a zone's edge at 60 degrees north.

    Parameters
    ----------
    easting : float
        Metres in a UTM zone.
    northing : float
        Metres from the equator, negative in the south.

    Returns
    -------
    float
        Degrees in whole hundredths. By the series of Snyder, Map Projections (USGS PP 1395), p. 63, for the latitude
        at the central meridian, and of Redfearn for the convergence; within 0.01 of PROJ between 80 degrees south and
        84 north.
    """
    root = math.sqrt(1 - _E2)
    e1 = (1 - root) / (1 + root)
    mu = northing / _SCALE / (_AXIS * (1 - _E2 / 4 - 3 * _E2**2 / 64 - 5 * _E2**3 / 256))
    latitude = (
        mu
        + (3 * e1 / 2 - 27 * e1**3 / 32) * math.sin(2 * mu)
        + (21 * e1**2 / 16 - 55 * e1**4 / 32) * math.sin(4 * mu)
        + 151 * e1**3 / 96 * math.sin(6 * mu)
    )
    tangent, eta = math.tan(latitude), _E2 / (1 - _E2) * math.cos(latitude) ** 2
    x = (easting - _CENTRE) / _SCALE * math.sqrt(1 - _E2 * math.sin(latitude) ** 2) / _AXIS
    angle = tangent * (x - x**3 / 3 * (1 + tangent**2 - eta - 2 * eta**2))
    angle += tangent * x**5 / 15 * (2 + 5 * tangent**2 + 3 * tangent**4)
    return round(math.degrees(angle), 2)
