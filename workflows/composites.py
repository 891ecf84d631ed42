"""Composites over time whose bytes depend neither on the order of what is given nor on how it is cut."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from workflows.errors import WorkflowError
from workflows.indices import NODATA

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from numpy.typing import NDArray

    type Method = Literal["median", "max"]

RADIUS: Final = 0
"""Metres of ground around a pixel that its value depends on."""
_PIXELS: Final = 1 << 16
"""Pixels that are computed at a time: so few that a processor's cache holds some layers of them."""


@dataclass(frozen=True, slots=True, order=True)
class Moment:
    """When, and of which product a layer is: what layers are put in order by."""

    time: datetime
    """Start of the datatake."""
    datatake: str
    """Datatake."""
    datastrip: str = ""
    """Datastrip, where one layer is of one."""
    tile: str = ""
    """Tile, where one layer is of one."""


@dataclass(frozen=True, slots=True)
class Composite:
    """One image of many."""

    values: NDArray[np.int16]
    """Value, (y, x); -32768 where no layer has data."""
    count: NDArray[np.uint16]
    """How many layers have data."""
    source: NDArray[np.int16]
    """Index into `moments` of the first layer that has this value; -1 where none has data."""
    moments: tuple[Moment, ...]
    """The layers in their order."""


def composite(layers: Sequence[NDArray[np.int16]], moments: Sequence[Moment], method: Method = "median") -> Composite:
    """Return the median or the largest value of each pixel.

    The median of an even number of values is the lower of the two in the middle: a value that was seen, nothing is
    averaged.

    Parameters
    ----------
    layers : sequence of ndarray of int16, shape (y, x)
        One for each moment; -32768 is nodata. To mask clouds, set them to it.
    moments : sequence of Moment
        When the layers were taken; all different.
    method : {"median", "max"}
        What is taken of the values of a pixel.

    Returns
    -------
    Composite
        The same bytes for any order of the layers and, pixel by pixel, any cut of them. Memory beside the layers: 6
        bytes a pixel.

    Raises
    ------
    WorkflowError
        If there are no layers, they differ in shape, or moments are not one for each or not different.
    """
    if not layers or len(layers) != len(moments):
        raise WorkflowError(f"{len(layers)} layers and {len(moments)} moments: there must be one of each, at least one")
    if len(set(moments)) != len(moments):
        raise WorkflowError(f"two layers are of the same moment: {_twice(moments)}")
    shapes = {layer.shape for layer in layers}
    if len(shapes) > 1:
        raise WorkflowError(f"layers differ in shape: {', '.join(map(str, sorted(shapes)))}")
    if method not in ("median", "max"):
        raise WorkflowError(f"{method!r} is no way to make a composite: 'median' or 'max'")
    order = sorted(range(len(layers)), key=lambda number: moments[number])
    shape = layers[0].shape
    made = Composite(
        np.empty(shape, np.int16),
        np.empty(shape, np.uint16),
        np.empty(shape, np.int16),
        tuple(moments[number] for number in order),
    )
    step = max(1, _PIXELS // max(1, shape[1]))
    for start in range(0, shape[0], step):
        rows = slice(start, start + step)
        parts = [layers[number][rows] for number in order]
        _combine(parts, method, made.values[rows], made.count[rows], made.source[rows])
    return made


def _combine(
    layers: Sequence[NDArray[np.int16]],
    method: Method,
    values: NDArray[np.int16],
    count: NDArray[np.uint16],
    source: NDArray[np.int16],
) -> None:
    """Fill in value, count and source of each pixel of layers in their order."""
    count[:] = 0
    for layer in layers:
        count += layer != NODATA
    if not count.any():
        values[:], source[:] = NODATA, -1
        return
    ranked = _ranked(layers)  # nodata is the least value: it comes first
    if method == "max":
        values[:] = ranked[-1]
    else:
        # Of n layers of which c have data, the lower median is number n - c + (c - 1) // 2 from below.
        least, most = int(count.min()), int(count.max())
        values[:] = NODATA
        for seen in range(max(least, 1), most + 1):
            wanted = ranked[len(layers) - seen + (seen - 1) // 2]
            if least == most:
                values[:] = wanted
            else:
                np.copyto(values, wanted, where=count == seen)
    source[:] = -1
    for number in range(len(layers) - 1, -1, -1):
        np.copyto(source, np.int16(number), where=layers[number] == values)
    source[count == 0] = -1


def _ranked(layers: Sequence[NDArray[np.int16]]) -> list[NDArray[np.int16]]:
    """Return the layers with the values of each pixel sorted.

    Batcher's odd-even merge sort (K. E. Batcher, Sorting networks and their applications, 1968): minima and maxima of
    whole layers, which processors compute of many pixels at once; a sort of each pixel takes ten times as long.
    """
    ranked = list(layers)
    for low, high in _comparisons(len(layers)):
        first, second = ranked[low], ranked[high]
        ranked[low], ranked[high] = np.minimum(first, second), np.maximum(first, second)
    return ranked


@cache
def _comparisons(count: int) -> tuple[tuple[int, int], ...]:
    """Return the pairs that the network compares, one after the other."""
    pairs: list[tuple[int, int]] = []
    sorted_ = 1
    while sorted_ < count:
        apart = sorted_
        while apart:
            for start in range(apart % sorted_, count - apart, 2 * apart):
                pairs += [
                    (low, low + apart)
                    for low in range(start, min(start + apart, count - apart))
                    if low // (2 * sorted_) == (low + apart) // (2 * sorted_)
                ]
            apart //= 2
        sorted_ *= 2
    return tuple(pairs)


def _twice(moments: Sequence[Moment]) -> Moment:
    seen: set[Moment] = set()
    for moment in moments:
        if moment in seen:
            return moment
        seen.add(moment)
    raise AssertionError(moments)
