"""How many pixels a picture has: of the ground that is asked for, as far as it may."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from pyproj import Geod, Transformer

from abut.errors import BadRequestError, TooLargeError
from services.tiles.frame import system_of

if TYPE_CHECKING:
    from collections.abc import Sequence

_EARTH: Final = Geod(ellps="WGS84")
_STEPS: Final = 8
_LONGEST: Final = 1_000_000
"""Pixels along a side that are more than any picture has."""


def require_pixels(width: int, height: int, limit: int) -> None:
    """Raise `TooLargeError` if a picture has more pixels than it may."""
    if width * height > limit:
        raise TooLargeError(f"a picture of {width} x {height} pixels has more than the limit of {limit:,}")


def part_size(crs: str, bounds: Sequence[float], metres: float) -> tuple[float, float]:
    """Return columns and rows of a box whose pixels have a size on the ground.

    They are lengths of the lines through the middle of the box along the ellipsoid, in pixels.

    Raises
    ------
    BadRequestError
        If the box is not on the ground.
    """
    left, bottom, right, top = bounds
    middle_x, middle_y = (left + right) / 2, (bottom + top) / 2
    xs = [left + (right - left) * step / _STEPS for step in range(_STEPS + 1)]
    ys = [bottom + (top - bottom) * step / _STEPS for step in range(_STEPS + 1)]
    to_degrees = _to_degrees(crs)
    size = []
    for line_x, line_y in ((xs, [middle_y] * len(xs)), ([middle_x] * len(ys), ys)):
        lon, lat = to_degrees.transform(line_x, line_y)
        length = _EARTH.line_length(lon, lat) if all(map(math.isfinite, (*lon, *lat))) else math.nan
        if not 0 < length < math.inf:
            raise BadRequestError(f"bbox {left},{bottom},{right},{top} of {crs} is not on the ground")
        size.append(length / metres)
    return size[0], size[1]


def scaled_size(
    size: tuple[float, float], max_size: int | None, width: int | None, height: int | None
) -> tuple[int, int]:
    """Return the columns and rows of a picture, as a request wants them.

    Parameters
    ----------
    size : tuple of float
        Columns and rows at the pixel size of the products.
    max_size : int, optional
        Largest of the two, if neither width nor height is given.
    width, height : int, optional
        What is wanted; with one of them the other follows.
    """
    columns, rows = size
    if width and height:
        return width, height
    if width:
        columns, rows = width, rows * width / columns
    elif height:
        columns, rows = columns * height / rows, height
    elif max_size and max(size) > max_size:
        columns, rows = columns * max_size / max(size), rows * max_size / max(size)
    return max(1, round(min(columns, _LONGEST))), max(1, round(min(rows, _LONGEST)))


@lru_cache(maxsize=64)
def _to_degrees(crs: str) -> Transformer:
    return Transformer.from_crs(system_of(crs), 4326, always_xy=True)
