"""Weather as it lies in AUX_DATA: GRIB 1 messages on 9 x 9 points around the tile.

The encoding is that of WMO Manual on Codes No. 306, FM 92 GRIB edition 1: simple packing, latitude/longitude grid.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np
from pyproj import Transformer

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from numpy.typing import NDArray

    from abut.testing.scene import Scene
    from abut.tiling import Tile

POINTS: Final = 9
"""Points of a field in each direction."""

_BITS = 16
_ECMWF = 98

ECMWF_FIELDS: Final = ((128, 137, 1, 20.0), (128, 206, 1, 0.007), (128, 151, 1, 101_325.0))
"""Total water vapour, total ozone, mean sea level pressure: parameter table, parameter, level type, middle value."""

LATER_ECMWF_FIELDS: Final = (*ECMWF_FIELDS, (128, 165, 1, 3.0), (128, 166, 1, -2.0), (128, 157, 100, 60.0))
"""Those, wind at 10 m and relative humidity: since baseline 04.00."""

CAMS_FIELDS: Final = (
    *((210, parameter, 1, 0.2) for parameter in (213, 207, 214, 215, 216, 211, 209, 210, 208, 212)),
    (128, 129, 1, 1_500.0),
)
"""Aerosol optical depths and geopotential."""


def weather(scene: Scene, tile: Tile, fields: tuple[tuple[int, int, int, float], ...]) -> bytes:
    """Return the messages of some fields over a tile, for 3 hours after a base time of 12 hours' steps."""
    footprint = tile.footprint
    to_degrees = Transformer.from_crs(tile.zone.epsg, 4326, always_xy=True)
    west, south, east, north = to_degrees.transform_bounds(
        footprint.left, footprint.bottom, footprint.right, footprint.top
    )
    east += 360 * (east < west)
    longitudes, latitudes = np.linspace(west, east, POINTS), np.linspace(north, south, POINTS)
    swell = np.sin(np.radians(7 * longitudes))[np.newaxis] + np.cos(np.radians(5 * latitudes))[:, np.newaxis]
    base = scene.datatake_start.replace(hour=scene.datatake_start.hour // 12 * 12, minute=0)
    return b"".join(
        message(base, kind, middle * (1 + 0.01 * swell), (north, west, south, east)) for *kind, middle in fields
    )


def message(
    base: datetime,
    kind: Sequence[int],
    field: NDArray[np.float64],
    corners: tuple[float, float, float, float],
) -> bytes:
    """Return one GRIB 1 message.

    Parameters
    ----------
    base : datetime
        Base time of the forecast, to the minute.
    kind : sequence of int
        Parameter table version, parameter, and type of level.
    field : array of float64, shape (rows, columns), row 0 northmost
        Values.
    corners : tuple of float
        North, west, south, east of the outer points in degrees.
    """
    product = _product(base, *kind)
    grid = _grid(field.shape, corners)
    data = _data(field.ravel())
    length = 8 + len(product) + len(grid) + len(data) + 4
    return b"GRIB" + length.to_bytes(3, "big") + b"\x01" + product + grid + data + b"7777"


def _product(base: datetime, table: int, parameter: int, level: int) -> bytes:
    year = base.year - 1
    # Centre, process, grid 255 (described below), sections present: the grid.
    head = bytes([table, _ECMWF, 1, 255, 0x80, parameter, level, 0, 0])
    time = bytes([year % 100 + 1, base.month, base.day, base.hour, base.minute])
    # Hours, forecast of 3 hours; then century and no decimal scale.
    rest = bytes([1, 3, 0, 0, 0, 0, 0, year // 100 + 1, 0, 0, 0])
    section = head + time + rest
    return (3 + len(section)).to_bytes(3, "big") + section


def _signed(value: int, size: int) -> bytes:
    # GRIB 1 keeps the sign in the first bit.
    sign = 1 << 8 * size - 1 if value < 0 else 0
    return (abs(value) | sign).to_bytes(size, "big")


def _grid(shape: tuple[int, ...], corners: tuple[float, float, float, float]) -> bytes:
    rows, columns = shape
    north, west, south, east = (round(1000 * degrees) for degrees in corners)
    section = (
        bytes([0, 255, 0])
        + columns.to_bytes(2, "big")
        + rows.to_bytes(2, "big")
        + _signed(north, 3)
        + _signed(west, 3)
        + b"\x80"
        + _signed(south, 3)
        + _signed(east, 3)
        + round((east - west) / (columns - 1)).to_bytes(2, "big")
        + round((north - south) / (rows - 1)).to_bytes(2, "big")
        + bytes(5)
    )
    return (3 + len(section)).to_bytes(3, "big") + section


def _data(values: NDArray[np.float64]) -> bytes:
    lowest = _ibm(float(values.min()))
    reference = _from_ibm(lowest)
    spread = max(float(values.max()) - reference, 1e-9)
    scale = math.ceil(math.log2(spread / ((1 << _BITS) - 1)))
    packed = np.rint((values - reference) / 2.0**scale).clip(0, (1 << _BITS) - 1).astype(">u2").tobytes()
    unused = len(packed) % 2 * 8 + 8 * ((11 + len(packed)) % 2)
    content = bytes([unused]) + _signed(scale, 2) + lowest + bytes([_BITS]) + packed + bytes(unused // 8)
    return (3 + len(content)).to_bytes(3, "big") + content


def _ibm(value: float) -> bytes:
    """Return the IBM System/360 number not above a value (hexadecimal exponent, 24 bits)."""
    if not value:
        return bytes(4)
    exponent = math.floor(math.log(abs(value), 16)) + 1
    mantissa = math.floor(value / 16.0**exponent * (1 << 24))
    if abs(mantissa) >> 24:
        exponent, mantissa = exponent + 1, math.floor(value / 16.0 ** (exponent + 1) * (1 << 24))
    return bytes([(0x80 if value < 0 else 0) | exponent + 64]) + abs(mantissa).to_bytes(3, "big")


def _from_ibm(number: bytes) -> float:
    sign = -1 if number[0] & 0x80 else 1
    return sign * int.from_bytes(number[1:], "big") / (1 << 24) * 16.0 ** ((number[0] & 0x7F) - 64)
