"""Windows: rectangles of pixels of a level, and what of a zone lies under them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from abut.lattice import Block
from services.cubes.execution import Stop
from services.tiles.errors import TooWideError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from abut.holders import HeldBlock
    from services.tiles.levels import Level
    from services.tiles.plan import Overlay, ZonePlan

    type Common = tuple[slice, slice, slice, slice]


@dataclass(frozen=True, slots=True)
class Window:
    """A rectangle of pixels of a level; columns are counted from easting 0, rows southwards from the equator."""

    level: Level
    """The level."""
    top: int
    """First row."""
    bottom: int
    """Row after the last."""
    left: int
    """First column."""
    right: int
    """Column after the last."""

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.bottom - self.top, self.right - self.left

    def common(self, top: int, left: int, height: int, width: int) -> Common | None:
        """Return where a rectangle of pixels lies in the window, and where the window lies in it: rows and columns."""
        first, last = max(self.top, top), min(self.bottom, top + height)
        west, east = max(self.left, left), min(self.right, left + width)
        if first >= last or west >= east:
            return None
        return (
            slice(first - self.top, last - self.top),
            slice(west - self.left, east - self.left),
            slice(first - top, last - top),
            slice(west - left, east - left),
        )


@dataclass(slots=True)
class Tally:
    """What a picture has needed so far."""

    most: int
    """Objects that it may need."""
    objects: int = 0
    """Objects that it needed."""
    stop: Stop = field(default_factory=Stop)
    """Tells the picture to end, when nobody waits for it any longer."""

    def add(self, objects: int) -> None:
        """Count objects; TooWideError if they are too many, StoppedError if nobody waits any longer."""
        self.stop.check()
        self.require(objects)
        self.objects += objects

    def require(self, objects: int) -> None:
        """Raise TooWideError if so many more were too many."""
        if self.objects + objects > self.most:
            raise TooWideError(
                f"the picture needs more than {self.most} objects of the archive; look at less ground, a shorter "
                "period or larger pixels"
            )


def blocks_under(plan: ZonePlan, window: Window) -> Iterator[tuple[Block, tuple[HeldBlock, ...]]]:
    """Yield the blocks of a window that somebody shows, and who does."""
    side, hull = window.level.block, plan.blocks
    for row in range(max(window.top // side, -hull.q1), min((window.bottom - 1) // side + 1, -hull.q0)):
        for column in range(max(window.left // side, hull.p0), min((window.right - 1) // side + 1, hull.p1)):
            block = Block(plan.zone, column, -row - 1)
            parts = plan.parts(block)
            if parts:
                yield block, parts


def overlays_under(plan: ZonePlan, window: Window) -> Iterator[tuple[Overlay, list[tuple[int, int]]]]:
    """Yield the products whose overviews are in a window, and the rows and columns of their chunks there."""
    side = window.level.block
    rows = -((window.bottom - 1) // side) - 1, -(window.top // side)
    for one in plan.overlays_on((window.left // side, rows[0], (window.right - 1) // side + 1, rows[1])):
        chunks = list(_chunks_under(one, window))
        if chunks:
            yield one, chunks


def _chunks_under(one: Overlay, window: Window) -> Iterator[tuple[int, int]]:
    side, chunk = window.level.block, window.level.chunk
    top, left = -one.hull.q1 * side, one.hull.p0 * side
    height, width = (size * side for size in one.hull.shape)
    first, last = max(window.top - top, 0), min(window.bottom - top, height)
    west, east = max(window.left - left, 0), min(window.right - left, width)
    if first >= last or west >= east:
        return
    for row in range(first // chunk, (last - 1) // chunk + 1):
        for column in range(west // chunk, (east - 1) // chunk + 1):
            blocks = tuple(slice(n * chunk // side, -(-(n + 1) * chunk // side)) for n in (row, column))
            if one.valid[blocks].any():
                yield row, column
