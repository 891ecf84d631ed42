"""What of a zone is near a frame: which pixels of a level it needs, and whether there is anything at all."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from services.tiles.window import Window, blocks_under, overlays_under

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from abut.lattice import Zone
    from services.tiles.frame import Frame
    from services.tiles.levels import Level
    from services.tiles.plan import ZonePlan


def window_of(
    plan: ZonePlan,
    level: Level,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    *,
    margin: int,
    wanted: NDArray[np.bool_] | None = None,
) -> Window | None:
    """Return the pixels that places need, as far as a zone's products reach; None if that is nothing."""
    if wanted is not None and not wanted.all():
        x, y = x[wanted], y[wanted]
    size, side, hull = level.metres, level.block, plan.blocks
    equator = plan.zone.equator
    left, right = max(_first(x.min() / size) - margin, hull.p0 * side), _first(x.max() / size) + 1 + margin
    top, bottom = _first((equator - y.max()) / size) - margin, _first((equator - y.min()) / size) + 1 + margin
    right, top, bottom = min(right, hull.p1 * side), max(top, -hull.q1 * side), min(bottom, -hull.q0 * side)
    return Window(level, top, bottom, left, right) if left < right and top < bottom else None


def _first(place: Any) -> int:
    return math.floor(float(place))


def named_under(plan: ZonePlan, window: Window) -> Iterator[str]:
    """Yield what names the objects of a window, in their order."""
    if window.level.stored == 1:
        for block, parts in blocks_under(plan, window):
            yield f"{block};"
            for part in parts:
                yield f"{part.folder} {part.row} {part.column} {part.whose} {part.crop};"
        return
    for one, chunks in overlays_under(plan, window):
        yield f"{one.folder} {chunks};"


def is_native(frame: Frame, zone: Zone, level: Level) -> bool:
    """Whether a frame's pixels are those of a level."""
    left, _, _, top = frame.bounds
    size = level.metres
    return (
        frame.zone == zone
        and frame.pixel == (size, size)
        and (left / size).is_integer()
        and ((top - zone.equator) / size).is_integer()
    )


def gap_to(apart: NDArray[np.float64]) -> float:
    """Return how far a meridian is from a frame in degrees, as far as its nodes tell."""
    if np.nanmin(apart) <= 0 <= np.nanmax(apart):
        return 0.0
    return float(np.nanmin(np.abs(apart)))


def stray_at(lat: NDArray[np.float64]) -> float:
    """Return degrees from a meridian to the farthest tiles of a zone, near some latitudes."""
    return 6.0 + 2.4 / math.cos(math.radians(min(float(np.nanmax(np.abs(lat))) + 1.2, 85.0)))


def touches(plan: ZonePlan, apart: NDArray[np.float64], lat: NDArray[np.float64]) -> bool:
    """Whether a zone has products near a frame."""
    west, south, east, north = plan.degrees
    middle = plan.zone.number * 6 - 183
    first, last = ((edge - middle + 180) % 360 - 180 for edge in (west, east))
    return bool(
        cast("float", np.nanmin(apart)) <= last
        and first <= cast("float", np.nanmax(apart))
        and np.nanmin(lat) <= north
        and south <= np.nanmax(lat)
    )
