"""Segments: superpixels of a scene that have the same pixels and the same name in every window.

Bands B02, B03, B04 and B08 are smoothed by the guided filter (radius 4 pixels), and clustered by anchored SLIC
(`workflows.slic`). A segment is called by the row and column of its cell, counted from the equator and easting 0.

**Radius.** The choice of a pixel depends on smoothed pixels in cells up to 9 away: at most 9 * 16 + 15 = 159 pixels.
A smoothed pixel depends on 8 pixels around it. What has data is told by bands of 20 m as well, whose pixel reaches 1
further. Together 168 pixels: 1,680 m, which is `RADIUS`.

A segment may extend beyond the core: its pixels there are not in the result, but those that are, are what they are in
any other window.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from workflows.errors import WorkflowError
from workflows.guided import LARGEST, guided
from workflows.guided import reach as guided_reach
from workflows.scene import RESOLUTION, Box
from workflows.slic import CELL, CHOICE_REACH, NEIGHBOURS, NONE, slic

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from workflows.scene import Scene
    from workflows.slic import Clusters

PIXEL: Final = 10
"""Pixel size in metres."""
SMOOTHED: Final = ("B02", "B03", "B04", "B08")
"""Bands that are clustered."""
BANDS: Final = (*SMOOTHED, "B05", "B8A", "B11", "B12")
"""Bands of which a pixel must have data."""
SMOOTHING: Final = 4
"""Radius of the guided filter in pixels."""
RADIUS: Final = ((CHOICE_REACH + 1) * CELL - 1 + guided_reach(SMOOTHING) + 1) * PIXEL
"""Metres of ground around a pixel that its segment depends on: 1,680."""
ID_COLUMNS: Final = 1 << 16
"""Identifiers are row * 65,536 + column."""
NO_SEGMENT: Final = -(1 << 62)
"""Identifier of a pixel without data."""
_COARSER = 4
_ROWS: Final = 16


@dataclass(frozen=True, slots=True)
class Canvas:
    """Whole cells that hold some ground, and their pixels of 10 m."""

    left: int
    """Column of the first cell, from easting 0."""
    top: int
    """Row of the northernmost cell, from the equator."""
    rows: int
    """Rows of cells."""
    columns: int
    """Columns of cells."""

    @classmethod
    def around(cls, box: Box) -> Canvas:
        """Return the cells that touch a box; WorkflowError if it begins west of easting 0."""
        if box.left < 0 or box.right > ID_COLUMNS * CELL * PIXEL:
            raise WorkflowError(f"{box} is not between eastings 0 and {ID_COLUMNS * CELL * PIXEL}")
        p0, q0, p1, q1 = box.blocks(CELL * PIXEL)
        return cls(p0, q1 - 1, q1 - q0, p1 - p0)

    def slices(self, box: Box) -> tuple[slice, slice]:
        """Return rows and columns of the pixels of a box, which the canvas holds."""
        row = (self.top + 1) * CELL - box.top // PIXEL
        column = box.left // PIXEL - self.left * CELL
        rows, columns = box.shape(PIXEL)
        return slice(row, row + rows), slice(column, column + columns)

    def digital_numbers(self, scene: Scene, band: str, start: int, stop: int) -> NDArray[np.uint16]:
        """Return rows of pixels of 10 m of a band, 0 beyond the scene; coarser pixels are repeated.

        Parameters
        ----------
        scene : Scene
            What is given.
        band : str
            Band of 10 or 20 m.
        start, stop : int
            Rows of the canvas' pixels.
        """
        size = RESOLUTION[band]
        factor, array = size // PIXEL, scene.bands[band]
        first_row = scene.box.top // PIXEL - (self.top + 1) * CELL
        row = np.arange(start, stop) + first_row
        column = np.arange(self.columns * CELL) + self.left * CELL - scene.box.left // PIXEL
        row, column = row // factor, column // factor
        found = np.zeros((len(row), len(column)), np.uint16)
        rows, columns = (row >= 0) & (row < array.shape[0]), (column >= 0) & (column < array.shape[1])
        if rows.any() and columns.any():
            down, right = _span(rows), _span(columns)
            found[down, right] = array[row[down]][:, column[right]]
        return found


def _span(flags: NDArray[np.bool_]) -> slice:
    first = int(flags.argmax())
    return slice(first, first + int(flags.sum()))


@dataclass(frozen=True, slots=True)
class Segments:
    """Segments of the core of a scene."""

    box: Box
    """Its ground."""
    choice: NDArray[np.uint8] = field(repr=False)
    """Index into `workflows.slic.NEIGHBOURS` of the segment's cell relative to the pixel's own, (y, x) at 10 m; 255
    where there are no data."""
    whole: Box | None
    """Ground whose pixels are what they are in any larger window; None if there is none."""

    def ids(self) -> NDArray[np.int64]:
        """Return identifiers: cell row * 65,536 + cell column, counted from equator and easting 0, (y, x) at 10 m.

        -2**62 where there are no data. Takes 8 bytes a pixel, and no more meanwhile.
        """
        rows, columns = self.box.shape(PIXEL)
        row = (self.box.top // PIXEL - 1 - np.arange(rows)) // CELL
        column = (self.box.left // PIXEL + np.arange(columns)) // CELL
        steps = np.array([right - down * ID_COLUMNS for down, right in NEIGHBOURS], np.int64)
        found = np.empty((rows, columns), np.int64)
        for line, choice, cell in zip(found, self.choice, row, strict=True):
            near = steps[np.minimum(choice, len(NEIGHBOURS) - 1)]
            line[:] = np.where(choice == NONE, NO_SEGMENT, cell * ID_COLUMNS + column + near)
        return found

    @property
    def complete(self) -> NDArray[np.bool_]:
        """Whether a pixel's neighbourhood was all given, (y, x) at 10 m."""
        return complete(self.box, self.whole)


def complete(box: Box, whole: Box | None) -> NDArray[np.bool_]:
    """Return which pixels of 10 m of a box are within another one."""
    flags = np.zeros(box.shape(PIXEL), bool)
    if whole is not None:
        flags[box.slices(whole, PIXEL)] = True
    return flags


def segment(scene: Scene, *, partial: bool = False) -> Segments:
    """Return the segments of the core of a scene.

    Parameters
    ----------
    scene : Scene
        Bands of `BANDS`, and 1,680 m around the core.
    partial : bool
        Do with what is given around the core; `Segments.complete` says which pixels are final.

    Returns
    -------
    Segments
        The same in any window. Memory beside the scene: 10 bytes a pixel of 10 m of the core and its neighbourhood,
        and 30 kB a pixel of the width.

    Raises
    ------
    MissingBandError, NeighbourhoodError
        If the scene lacks something.
    """
    scene.require(BANDS)
    if not partial:
        scene.require_radius(RADIUS, "segmentation")
    canvas = Canvas.around(scene.core.grown(-(-RADIUS // 60) * 60).intersection(scene.box))
    found = clusters(scene, canvas)
    return Segments(scene.core, found.choice[canvas.slices(scene.core)], final(scene, RADIUS))


def final(scene: Scene, radius: int) -> Box | None:
    """Return the part of the core whose neighbourhood is inside of the scene; None if there is none."""
    inner, core = scene.within(radius), scene.core
    if inner is None or min(inner.right, core.right) <= max(inner.left, core.left):
        return None
    return None if min(inner.top, core.top) <= max(inner.bottom, core.bottom) else inner.intersection(core)


def clusters(scene: Scene, canvas: Canvas) -> Clusters:
    """Return the clusters of all pixels of a canvas."""
    rows, columns = canvas.rows * CELL, canvas.columns * CELL
    values, valid = np.empty((len(SMOOTHED), rows, columns), np.int16), np.empty((rows, columns), bool)
    rim = guided_reach(SMOOTHING)
    for start in range(0, rows, _ROWS * CELL):
        stop = min(start + _ROWS * CELL, rows)
        first, last = max(start - rim, 0), min(stop + rim, rows)
        seen = known(scene, canvas, first, last)
        inner = slice(start - first, stop - first)
        valid[start:stop] = seen[inner]
        for number, band in enumerate(SMOOTHED):
            smooth = guided(whole_reflectance(scene, canvas, band, first, last), seen, SMOOTHING)[inner]
            values[number, start:stop] = smooth // _COARSER
    return slic(values, valid)


def known(scene: Scene, canvas: Canvas, start: int, stop: int) -> NDArray[np.bool_]:
    """Return where all of `BANDS` have data, by rows of a canvas."""
    found: NDArray[np.bool_] = np.logical_and.reduce(
        [canvas.digital_numbers(scene, band, start, stop) > 0 for band in BANDS]
    )
    return found


def whole_reflectance(scene: Scene, canvas: Canvas, band: str, start: int, stop: int) -> NDArray[np.int64]:
    """Return reflectance as whole ten-thousandths within +-32,767, by rows of a canvas; without regard to nodata."""
    dn = canvas.digital_numbers(scene, band, start, stop).astype(np.float64)
    scaled = np.rint((dn + scene.offsets.get(band, 0)) * (10_000 / scene.quantification))
    return np.clip(scaled, -LARGEST, LARGEST).astype(np.int64)
