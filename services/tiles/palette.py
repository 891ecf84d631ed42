"""Colours of values as a table of 256: one look-up a pixel, where rio-tiler passes over the picture for each colour."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from rio_tiler.types import ColorMapType

    type Colour = tuple[int, int, int, int]
    type Table = dict[int, Colour]

ENTRIES: Final = 256
"""Entries of a table."""
_NONE: Final = (0, 0, 0, 0)


def indexed(values: NDArray[Any], colours: ColorMapType) -> tuple[NDArray[np.uint8], Table]:
    """Return the place of each value in a table of colours, and the table.

    Parameters
    ----------
    values : array
        Numbers.
    colours : mapping of int to RGBA, or sequence of ((low, high), RGBA)
        Colours of single values, or of low <= value < high, of which the last one counts. Of values other than uint8
        at most 255 single values, and 127 intervals.

    Returns
    -------
    places : array of uint8 of the same shape
        Places in the table.
    table : dict of int to RGBA
        All 256 of them; transparent is what values without a colour have.
    """
    if not isinstance(colours, Mapping):
        return _of_intervals(values, colours)
    if values.dtype == np.uint8:
        return values, {place: _rgba(colours.get(place, _NONE)) for place in range(ENTRIES)}
    known = np.array(sorted(colours))
    at = np.minimum(np.searchsorted(known, values), len(known) - 1)
    places = np.where(known[at] == values, at + 1, 0).astype(np.uint8)
    return places, _table([_rgba(colours[value]) for value in known.tolist()])


def _of_intervals(values: NDArray[Any], colours: Any) -> tuple[NDArray[np.uint8], Table]:
    kind = values.dtype if values.dtype.kind == "f" else np.dtype(np.float64)
    bounds = np.array([interval for interval, _ in colours], kind)
    edges = np.unique(bounds)
    found = [_NONE] * (len(edges) - 1)  # of what lies between neighbouring edges
    for (low, high), (_, colour) in zip(bounds, colours, strict=True):
        first, last = np.searchsorted(edges, (low, high))
        found[first:last] = [_rgba(colour)] * (last - first)
    places = np.searchsorted(edges, values, side="right").astype(np.uint8)
    return places, _table(found)


def _table(colours: list[Colour]) -> Table:
    """Return a table of colours from place 1 on."""
    return dict(enumerate([_NONE, *colours, *[_NONE] * (ENTRIES - 1 - len(colours))]))


def _rgba(colour: Any) -> Colour:
    red, green, blue, alpha = map(int, colour)
    return red, green, blue, alpha
