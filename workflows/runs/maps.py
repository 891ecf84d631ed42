"""Pictures of a comparison: the lone tile's result, the one with the neighbourhood, and where they differ."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from workflows.runs.distance import is_different, on_pixels
from workflows.scene import COARSEST

if TYPE_CHECKING:
    from pathlib import Path

    import xarray as xr
    from numpy.typing import NDArray

    from workflows.runs.certificate import VariableResult
    from workflows.runs.compare import Comparison

    type Colours = NDArray[np.uint8]

PANEL: Final = 640
"""Largest side of each of the three maps in pixels."""
SAME: Final = (222, 222, 222)
"""Colour of ground where the results are the same."""
LACKING: Final = (166, 197, 228)
"""Colour of ground that the lone tile lacks, where the results are the same all the same."""
DIFFERS: Final = (204, 40, 40)
"""Colour of pixels that differ."""
BEYOND: Final = (0, 0, 0)
"""Colour of pixels that differ farther away than the radius: there must be none."""
EMPTY: Final = (255, 255, 255)
"""Colour of ground without data."""
PALETTE: Final = (
    (255, 255, 255),
    (120, 160, 90),
    (240, 240, 250),
    (60, 60, 90),
    (0, 114, 178),
    (230, 159, 0),
    (86, 180, 233),
    (204, 121, 167),
    (213, 94, 0),
    (240, 228, 66),
)
"""Colours of classes, in the order of their values; the white of the first is that of nodata."""
_MARGIN: Final = 24
_HEADER: Final = 92
_FOOTER: Final = 64
_INK: Final = (30, 30, 30)
_MOST_CLASSES: Final = len(PALETTE)


@dataclass(frozen=True, slots=True)
class _Part:
    """The pixels of a variable that are shown."""

    rows: slice
    columns: slice
    step: int
    """Pixels of the variable a pixel of the picture."""


def draw_maps(comparison: Comparison, folder: Path) -> list[Path]:
    """Write a PNG for each variable: the lone tile (e), with its neighbourhood (c), and where they differ.

    A pixel of the last one has the colour of a differing pixel if a single one in it differs.

    Parameters
    ----------
    comparison : Comparison
        What was compared.
    folder : Path
        Where to; made if missing.

    Returns
    -------
    list of Path
        ``<variable>.png``; of several layers (..., y, x) the first is shown, and where any of them differs.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for result in comparison.certificate.variables:
        path = folder / f"{result.name.replace('/', '-')}.png"
        _draw(comparison, result).save(path, optimize=True)
        written.append(path)
    return written


def _draw(comparison: Comparison, result: VariableResult) -> Any:
    from PIL import Image, ImageDraw, ImageFont  # noqa: PLC0415 - an extra

    near, lone = comparison.near[result.name], comparison.lone[result.name]
    one, two = (array.to_numpy().reshape(-1, *array.shape[-2:]) for array in (lone, near))
    part = _shown(two[0], near)
    maps = [*_values([one[0], two[0]], near, part), _differing(comparison, result, one, two, part)]
    height, width = maps[0].shape[:2]
    wide = max(width, 420)
    image = Image.new("RGB", (3 * wide + 4 * _MARGIN, _HEADER + height + _FOOTER), EMPTY)
    pen = ImageDraw.Draw(image)
    certificate = comparison.certificate
    pen.text((_MARGIN, 12), f"{certificate.workflow}: {result.name}", _INK, ImageFont.load_default(22))
    pen.text((_MARGIN, 40), certificate.product, _INK, ImageFont.load_default(13))
    titles = ("the tile alone", "with its neighbourhood", f"{result.in_rim + result.beyond:,} pixels differ")
    for number, (title, colours) in enumerate(zip(titles, maps, strict=True)):
        left = _MARGIN + number * (wide + _MARGIN)
        pen.text((left, _HEADER - 26), title, _INK, ImageFont.load_default(16))
        image.paste(Image.fromarray(colours), (left, _HEADER))
        pen.rectangle((left - 1, _HEADER - 1, left + width, _HEADER + height), outline=_INK)
    _legend(pen, [*_classes(near), *_meanings(result)], _HEADER + height + 16, image.width)
    return image


def _shown(values: NDArray[Any], variable: xr.DataArray) -> _Part:
    """Return the part of a variable that has data, and how it is thinned."""
    seen = ~_is_nodata(values, variable)
    rows, columns = (np.flatnonzero(seen.any(axis=axis)) for axis in (1, 0))
    if not rows.size:
        rows, columns = (np.arange(length) for length in values.shape)
    height, width = int(rows[-1] - rows[0]) + 1, int(columns[-1] - columns[0]) + 1
    step = max(1, math.ceil(max(height, width) / PANEL))
    return _Part(slice(int(rows[0]), int(rows[0]) + height), slice(int(columns[0]), int(columns[0]) + width), step)


def _is_nodata(values: NDArray[Any], variable: xr.DataArray) -> NDArray[np.bool_]:
    fill = variable.attrs.get("_FillValue", variable.attrs.get("nodata"))
    empty = np.isnan(values) if values.dtype.kind == "f" else np.zeros(values.shape, np.bool_)
    return empty if fill is None else empty | (values == fill)


def _values(arrays: list[NDArray[Any]], variable: xr.DataArray, part: _Part) -> list[Colours]:
    """Return results in colours: classes by their own, other values from dark to light, the same in all."""
    thinned = [_thinned(array, part) for array in arrays]
    empty = [_is_nodata(array, variable) for array in thinned]
    values = variable.attrs.get("flag_values")
    if values is not None and len(np.atleast_1d(values)) <= _MOST_CLASSES:
        made = [_by_class(array, np.atleast_1d(values)) for array in thinned]
    else:
        made = _stretched(thinned, empty)
    for colours, nothing in zip(made, empty, strict=True):
        colours[nothing] = EMPTY
    return [_enlarged(colours) for colours in made]


def _by_class(array: NDArray[Any], values: NDArray[Any]) -> Colours:
    colours = np.zeros((*array.shape, 3), np.uint8)
    for number, value in enumerate(values):
        colours[array == value] = PALETTE[number]
    return colours


def _stretched(arrays: list[NDArray[Any]], empty: list[NDArray[np.bool_]]) -> list[Colours]:
    seen = [array[~nothing].astype(np.float64) for array, nothing in zip(arrays, empty, strict=True)]
    known = np.concatenate(seen)
    known = known[np.isfinite(known)]
    low, high = np.percentile(known, (2, 98)) if known.size else (0.0, 1.0)
    share = [np.clip((np.nan_to_num(one.astype(np.float64)) - low) / max(high - low, 1e-9), 0, 1) for one in arrays]
    return [np.repeat((20 + 215 * one).astype(np.uint8)[..., None], 3, axis=2) for one in share]


def _differing(
    comparison: Comparison, result: VariableResult, one: NDArray[Any], two: NDArray[Any], part: _Part
) -> Colours:
    variable = comparison.near[result.name]
    metres = on_pixels(comparison.metres, comparison.window, variable)
    wrong = is_different(one, two).any(axis=0)
    reach = -(-comparison.certificate.radius // COARSEST) * COARSEST
    missing, empty = _thinned(metres, part) == 0, _is_nodata(_thinned(two[0], part), variable)
    colours = np.full((*missing.shape, 3), SAME, np.uint8)
    colours[empty] = EMPTY
    colours[missing & ~empty] = LACKING
    colours[_any(wrong, part)] = DIFFERS
    colours[_any(wrong & (metres > reach), part)] = BEYOND
    return _enlarged(colours)


def _thinned(array: NDArray[Any], part: _Part) -> NDArray[Any]:
    """Return the middle of each square of some pixels; the last ones may be narrower."""
    cut = array[part.rows, part.columns]
    rows, columns = (np.minimum(np.arange(0, length, part.step) + part.step // 2, length - 1) for length in cut.shape)
    return cut[np.ix_(rows, columns)]


def _any(found: NDArray[np.bool_], part: _Part) -> NDArray[np.bool_]:
    """Return whether any pixel of each square is true."""
    cut = found[part.rows, part.columns]
    down = np.logical_or.reduceat(cut, np.arange(0, cut.shape[0], part.step), axis=0)
    across: NDArray[np.bool_] = np.logical_or.reduceat(down, np.arange(0, cut.shape[1], part.step), axis=1)
    return across


def _enlarged(colours: Colours) -> Colours:
    """Return a small map larger: each pixel as a square."""
    times = max(1, PANEL // max(colours.shape[:2]))
    return np.repeat(np.repeat(colours, times, axis=0), times, axis=1)


def _classes(variable: xr.DataArray) -> list[tuple[tuple[int, int, int], str]]:
    meanings = str(variable.attrs.get("flag_meanings", "")).split()
    values = np.atleast_1d(variable.attrs.get("flag_values", []))
    if len(values) != len(meanings) or len(meanings) > _MOST_CLASSES:
        return []
    return list(zip(PALETTE, meanings, strict=False))


def _meanings(result: VariableResult) -> list[tuple[tuple[int, int, int], str]]:
    beyond = [(BEYOND, "differs beyond the radius")] if result.beyond else []
    return [
        (DIFFERS, "differs"),
        *beyond,
        (LACKING, "not in the lone tile, equal"),
        (SAME, "equal"),
        (EMPTY, "no data"),
    ]


def _legend(pen: Any, entries: list[tuple[tuple[int, int, int], str]], top: int, width: int) -> None:
    from PIL import ImageFont  # noqa: PLC0415 - an extra

    font = ImageFont.load_default(13)
    x, y = _MARGIN, top
    for colour, text in entries:
        length = int(pen.textlength(text, font)) + 40
        if x + length > width - _MARGIN:
            x, y = _MARGIN, y + 20
        pen.rectangle((x, y + 1, x + 13, y + 14), fill=colour, outline=_INK)
        pen.text((x + 20, y), text, _INK, font)
        x += length
