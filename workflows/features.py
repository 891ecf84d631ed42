"""Features of superpixels for classification, as whole numbers that are the same in every window.

A feature is the mean over the pixels of a segment (`workflows.segments`) of

- reflectance of eight bands, in ten-thousandths; NDVI, NDWI and NBR in ten-thousandths;
- for B04 and B08: the gradient |right - left| + |below - above|, and how far the guided filter of radius 4 and of
  radius 16 moves the pixel;

or the difference between the segment's mean and the mean of a square of ground around the centre of its cell: the
context, of `CONTEXT_BANDS` over 11, 33, 101 and 305 pixels of 60 m along a side (0.3, 1, 3 and 9.1 km to each side).
Squares and segments are means of the ground that has data.

Sums are of whole numbers and exact; what is divided is divided number by number in float64 or in whole numbers, and
rounded.

**Reach.** The segment of a cell has pixels up to 1 cell away, whose choices depend on 9 cells around them
(`workflows.slic.CHOICE_REACH`). For cells up to `AWAY` = 2 cells from a pixel's own, that is 12 cells, at most
12 * 16 + 15 = 207 pixels, and 9 more for smoothing and for what has data at 20 m: `SEGMENTS_REACH`, 2,160 m. The filter
of radius 16 reaches 32 pixels from pixels that are at most 3 cells away, which is less. The context reaches from the
far edge of a pixel to the centre of a cell 2 cells away, 2 * 160 + 80 m, then at most 152 + 1 pixels of 60 m; 10 m of
it are the pixel itself: 9,570 m, `REACH`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from workflows.guided import guided
from workflows.guided import reach as guided_reach
from workflows.indices import NODATA, quantized
from workflows.reflectance import block_sums
from workflows.scene import COARSEST, RESOLUTION
from workflows.segments import BANDS, PIXEL, SMOOTHING, clusters, known, whole_reflectance
from workflows.slic import CELL, CHOICE_REACH, add_row

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from workflows.scene import Scene
    from workflows.segments import Canvas

    type Whole = NDArray[np.int64]

AWAY: Final = 2
"""Cells from a pixel's own of which features are needed: its segment's is 1 away, and that one's neighbours."""
INDICES: Final = {"ndvi": ("B08", "B04"), "ndwi": ("B03", "B08"), "nbr": ("B8A", "B12")}
"""Normalized differences."""
TEXTURE: Final = ("B04", "B08")
"""Bands of which gradient and residuals are taken."""
SMOOTHINGS: Final = (SMOOTHING, 16)
"""Radii of the guided filters whose residuals are features, in pixels of 10 m."""
CONTEXT_BANDS: Final = ("B02", "B04", "B08", "B11")
"""Bands whose surroundings are looked at."""
CONTEXT: Final = (5, 16, 50, 152)
"""Pixels of 60 m to each side of the centre, of the squares that are the context."""
OWN: Final = (
    *BANDS,
    *INDICES,
    *(f"gradient_{band}" for band in TEXTURE),
    *(f"residual{radius}_{band}" for band in TEXTURE for radius in SMOOTHINGS),
)
"""Features of a segment's own pixels."""
NAMES: Final = (*OWN, *(f"contrast{radius * COARSEST}_{band}" for band in CONTEXT_BANDS for radius in CONTEXT))
"""All features, in their order."""
SEGMENTS_REACH: Final = ((CHOICE_REACH + AWAY + 2) * CELL - 1 + guided_reach(SMOOTHING) + 1) * PIXEL
"""Metres of ground around a pixel that features of segments' own pixels depend on: 2,160."""
REACH: Final = AWAY * CELL * PIXEL + CELL * PIXEL // 2 + (max(CONTEXT) + 1) * COARSEST - PIXEL
"""Metres of ground around a pixel that features depend on: 9,570."""
_RIM: Final = guided_reach(max(SMOOTHINGS))
_ROWS: Final = 16


@dataclass(frozen=True, slots=True)
class Features:
    """Segments of a canvas and what they are like."""

    canvas: Canvas
    """Its cells."""
    choice: NDArray[np.uint8] = field(repr=False)
    """Which segment a pixel belongs to, as in `workflows.segments.Segments`; (y, x) at 10 m of the canvas."""
    counts: Whole = field(repr=False)
    """Pixels of each segment, (cell rows, cell columns)."""
    values: NDArray[np.int32] = field(repr=False)
    """Features in the order of `NAMES`, (cell rows, cell columns, feature); 0 for a segment without pixels."""


def features(scene: Scene, canvas: Canvas, done: Callable[[int, int], None] = lambda *_: None) -> Features:
    """Return segments and their features.

    Parameters
    ----------
    scene : Scene
        Bands of `workflows.segments.BANDS`; what is beyond it has no data.
    canvas : Canvas
        The cells that are wanted.
    done : callable
        Called with the number of cell rows that are done, and of all.

    Returns
    -------
    Features
        Memory beside the scene: 10 bytes a pixel of the canvas, about 40 kB a pixel of its width, and 40 bytes a pixel
        of 60 m of the scene.
    """
    choice = clusters(scene, canvas).choice
    sums = np.zeros((canvas.rows + 2, canvas.columns + 2, 1 + len(OWN)))
    for first in range(0, canvas.rows, _ROWS):
        last = min(first + _ROWS, canvas.rows)
        layers = pixel_features(scene, canvas, first * CELL, last * CELL)
        for row in range(first, last):
            part = slice((row - first) * CELL, (row - first + 1) * CELL)
            add_row(sums, row, choice[row * CELL : (row + 1) * CELL], layers[:, part])
        done(last, canvas.rows)
    total = sums[1:-1, 1:-1].astype(np.int64)
    counts = total[..., 0]
    values = np.empty((*counts.shape, len(NAMES)), np.int32)
    values[..., : len(OWN)] = _mean(total[..., 1:], counts[..., None])
    around = context(scene, canvas)
    for number, band in enumerate(CONTEXT_BANDS):
        place = len(OWN) + number * len(CONTEXT)
        values[..., place : place + len(CONTEXT)] = values[..., OWN.index(band), None] - around[number]
    values[counts == 0] = 0
    return Features(canvas, choice, counts, values)


def _mean(sums: Whole, counts: Whole) -> Whole:
    """Return whole means, halves upward; 0 of nothing."""
    some = np.maximum(counts, 1)
    found: Whole = (2 * sums + some) // (2 * some)
    return found


def pixel_features(scene: Scene, canvas: Canvas, start: int, stop: int) -> NDArray[np.int32]:
    """Return ones and the features of pixels, (1 + len(OWN), y, x), by rows of a canvas.

    Parameters
    ----------
    scene : Scene
        What is given.
    canvas : Canvas
        Cells.
    start, stop : int
        Rows of the canvas' pixels.
    """
    first, last = max(start - _RIM, 0), min(stop + _RIM, canvas.rows * CELL)
    inner = slice(start - first, stop - first)
    seen = known(scene, canvas, first, last)
    layers = np.ones((1 + len(OWN), stop - start, canvas.columns * CELL), np.int32)
    for number, band in enumerate(BANDS, 1):
        if band in TEXTURE:
            values = np.where(seen, whole_reflectance(scene, canvas, band, first, last), 0)
            layers[number] = values[inner]
            place = 1 + OWN.index(f"residual{SMOOTHINGS[0]}_{band}")
            layers[1 + OWN.index(f"gradient_{band}")] = gradient(values, seen)[inner]
            for step, radius in enumerate(SMOOTHINGS):
                layers[place + step] = np.abs(values - guided(values, seen, radius))[inner]
        else:
            layers[number] = whole_reflectance(scene, canvas, band, start, stop)
    for name, (plus, minus) in INDICES.items():
        layers[1 + OWN.index(name)] = _difference(layers[1 + OWN.index(plus)], layers[1 + OWN.index(minus)])
    return layers


def _difference(plus: NDArray[np.int32], minus: NDArray[np.int32]) -> NDArray[np.int16]:
    """Return the normalized difference in ten-thousandths; 0 where it is not known."""
    with np.errstate(divide="ignore", invalid="ignore"):
        found = quantized((plus - minus) / (plus + minus))
    return np.where(found == NODATA, 0, found).astype(np.int16)


def gradient(values: Whole, seen: NDArray[np.bool_]) -> Whole:
    """Return |right - left| + |below - above| of each pixel, (y, x); without data beside it, a side counts as 0."""
    found = np.zeros_like(values)
    across = np.abs(values[:, 2:] - values[:, :-2]) * (seen[:, 2:] & seen[:, :-2])
    found[:, 1:-1] += across
    found[1:-1] += np.abs(values[2:] - values[:-2]) * (seen[2:] & seen[:-2])
    return found


def context(scene: Scene, canvas: Canvas) -> Whole:
    """Return mean reflectance around the centres of a canvas' cells.

    Parameters
    ----------
    scene : Scene
        Bands of `CONTEXT_BANDS`; all of its ground is looked at.
    canvas : Canvas
        Cells.

    Returns
    -------
    ndarray of int64, shape (band, cell rows, cell columns, square)
        In ten-thousandths, within +-32,767, by `CONTEXT_BANDS` and `CONTEXT`; each the mean of the pixels that have
        data; 0 where none has.
    """
    box, side = scene.box, CELL * PIXEL
    across = ((np.arange(canvas.columns) + canvas.left) * side + side // 2) // COARSEST - box.left // COARSEST
    north = ((canvas.top - np.arange(canvas.rows)) * side + side // 2) // COARSEST
    down = box.top // COARSEST - 1 - north
    found = np.zeros((len(CONTEXT_BANDS), canvas.rows, canvas.columns, len(CONTEXT)), np.int64)
    for number, band in enumerate(CONTEXT_BANDS):
        sums, counts = (_integral(part) for part in _coarse(scene, band))
        for step, radius in enumerate(CONTEXT):
            total, count = (_squares(part, down, across, radius) for part in (sums, counts))
            mean = total / np.maximum(count, 1) + scene.offsets.get(band, 0)
            scaled = np.clip(np.rint(mean * (10_000 / scene.quantification)), -32_767, 32_767)
            found[number, ..., step] = np.where(count > 0, scaled, 0)
    return found


def _coarse(scene: Scene, band: str) -> tuple[Whole, Whole]:
    """Return sums and counts of a band's pixels with data at 60 m, strip by strip."""
    factor = COARSEST // RESOLUTION[band]
    strip = factor * 64
    array = scene.bands[band]
    parts = [block_sums(array[row : row + strip], factor) for row in range(0, len(array), strip)]
    return np.concatenate([sums for sums, _ in parts]), np.concatenate([counts for _, counts in parts])


def _integral(values: Whole) -> Whole:
    """Return sums over all that is above and left of the corners of pixels, (y + 1, x + 1)."""
    total = np.zeros((values.shape[0] + 1, values.shape[1] + 1), np.int64)
    np.cumsum(values, axis=0, out=total[1:, 1:])
    np.cumsum(total[1:, 1:], axis=1, out=total[1:, 1:])
    return total


def _squares(integral: Whole, rows: Whole, columns: Whole, radius: int) -> Whole:
    """Return sums over squares around some pixels, (row, column); beyond the edge there is nothing."""
    high, wide = integral.shape[0] - 1, integral.shape[1] - 1
    top, bottom = np.clip(rows - radius, 0, high), np.clip(rows + radius + 1, 0, high)
    left, right = np.clip(columns - radius, 0, wide), np.clip(columns + radius + 1, 0, wide)
    above, below = integral[top], integral[bottom]
    found: Whole = below[:, right] - below[:, left] - above[:, right] + above[:, left]
    return found
