"""Resampling of a zone's mosaic onto the pixels of a frame, all bands at once.

Each pixel depends on its own place alone. It has data where the mosaic's pixel that holds its centre has; kernels then
weigh the pixels with data under them. Kernels are not widened: levels are never much finer than the frame.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from services.tiles.mosaic import PAD

if TYPE_CHECKING:
    from numpy.typing import NDArray

    type Field = NDArray[np.float64]

type Resampling = Literal["nearest", "bilinear", "cubic"]
"""How values between pixels are found."""

METHODS: Final[tuple[Resampling, ...]] = ("nearest", "bilinear", "cubic")
"""All of them."""
MARGIN: Final = {"nearest": 0, "bilinear": 1, "cubic": 2}
"""Pixels that kernels reach beyond the pixel that holds a place."""


def nearest(padded: NDArray[Any], columns: Field, rows: Field) -> NDArray[Any]:
    """Return the pixels that hold places.

    Parameters
    ----------
    padded : ndarray, shape (band, y, x)
        Pixels with `PAD` of nodata around.
    columns, rows : ndarray of float64, shape (y, x)
        Places, counted from the corner of what is inside the padding.

    Returns
    -------
    ndarray, shape (band, y, x)
        Of the same type; 0 beyond the pixels.
    """
    return _taken(padded, _flat(padded, np.floor(columns), np.floor(rows)))


def interpolated(padded: NDArray[Any], columns: Field, rows: Field, method: Resampling) -> NDArray[np.float32]:
    """Return values at places, weighed from the pixels around them that have data.

    Returns
    -------
    ndarray of float32, shape (band, y, x)
        0 where none under the kernel has data.
    """
    first_column, first_row = np.floor(columns - 0.5), np.floor(rows - 0.5)
    across, down = (columns - 0.5 - first_column).astype(np.float32), (rows - 0.5 - first_row).astype(np.float32)
    corner = _flat(padded, first_column, first_row)
    values = padded.astype(np.float32)
    inside = padded[:, PAD:-PAD, PAD:-PAD]
    whole = bool(inside.all()) and _is_inside(inside.shape, first_column, first_row, MARGIN[method])
    stride = padded.shape[2]
    if whole and method == "bilinear":
        return _plain(values, corner, stride, across, down)
    kernel = {"bilinear": _linear, "cubic": _keys}[method]
    weights = kernel(across), kernel(down)
    start = 0 if method == "bilinear" else -1
    total = np.zeros((len(values), *corner.shape), np.float32)
    sums = np.zeros_like(total)
    for y, vertical in enumerate(weights[1], start):
        for x, horizontal in enumerate(weights[0], start):
            pixels = _taken(values, corner + (y * stride + x))
            weight = (vertical * horizontal) * (pixels > 0)
            total += weight * pixels
            sums += weight
    return np.divide(total, sums, out=np.zeros_like(total), where=sums > 1e-6)


def _plain(
    values: NDArray[np.float32], corner: NDArray[np.intp], stride: int, across: NDArray[Any], down: NDArray[Any]
) -> NDArray[np.float32]:
    """Bilinear values where all pixels have data."""
    lines = []
    for start in (0, stride):
        west, east = _taken(values, corner + start), _taken(values, corner + (start + 1))
        east -= west
        east *= across
        east += west
        lines.append(east)
    upper, lower = lines
    lower -= upper
    lower *= down
    lower += upper
    return lower


def _linear(place: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    return [1 - place, place]


def _keys(place: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """Cubic convolution with a = -1/2 (Keys, 1981) at distances of 1 + t, t, 1 - t and 2 - t."""
    t, u = place, 1 - place
    return [
        -0.5 * u * u * t,
        (1.5 * t - 2.5) * t * t + 1,
        (1.5 * u - 2.5) * u * u + 1,
        -0.5 * t * t * u,
    ]


def _flat(padded: NDArray[Any], columns: Field, rows: Field) -> NDArray[np.intp]:
    """Return where pixels lie in a band that is written out; those far beyond are in the padding."""
    _, height, width = padded.shape
    inner = PAD // 2
    column = np.clip(columns, -inner - 1, width - 2 * PAD + inner - 1)
    row = np.clip(rows, -inner - 1, height - 2 * PAD + inner - 1)
    found: NDArray[np.intp] = ((row + PAD) * width + (column + PAD)).astype(np.intp)
    return found


def _is_inside(shape: tuple[int, ...], columns: Field, rows: Field, margin: int) -> bool:
    _, height, width = shape
    return bool(
        columns.min() >= margin - 1
        and rows.min() >= margin - 1
        and columns.max() <= width - 1 - margin
        and rows.max() <= height - 1 - margin
    )


def _taken(bands: NDArray[Any], where: NDArray[np.intp]) -> NDArray[Any]:
    return np.stack([band.reshape(-1).take(where) for band in bands])
