"""Composites over time whose bytes depend neither on the order of what is given nor on how it is cut."""

from __future__ import annotations

from dataclasses import dataclass
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
_ROWS: Final = 128


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
        bytes a pixel, and 40 bytes and 6 a layer for each pixel of 128 rows.

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
    for start in range(0, shape[0], _ROWS):
        rows = slice(start, start + _ROWS)
        stack = np.stack([layers[number][rows] for number in order])
        made.values[rows], made.count[rows], made.source[rows] = _combined(stack, method)
    return made


def _combined(
    stack: NDArray[np.int16], method: Method
) -> tuple[NDArray[np.int16], NDArray[np.uint16], NDArray[np.int16]]:
    """Return value, count and source of each pixel; the stack is (moment, y, x)."""
    count = (stack != NODATA).sum(axis=0)
    ranked = np.sort(stack, axis=0)  # nodata is the least value: it comes first
    least = len(stack) - count
    wanted = least + (count - 1) // 2 if method == "median" else np.full(count.shape, len(stack) - 1)
    wanted = np.where(count > 0, wanted, len(stack) - 1)
    values = np.take_along_axis(ranked, wanted[None], axis=0)[0]
    source = np.where(count > 0, (stack == values).argmax(axis=0), -1).astype(np.int16)
    return values, count.astype(np.uint16), source


def _twice(moments: Sequence[Moment]) -> Moment:
    seen: set[Moment] = set()
    for moment in moments:
        if moment in seen:
            return moment
        seen.add(moment)
    raise AssertionError(moments)
