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
_SMALL: Final = 1e-6
"""Weights that sum up to less are rounding."""


def is_whole(padded: NDArray[Any], columns: Field, rows: Field, method: Resampling) -> bool:
    """Whether all pixels that places need are there and have data."""
    _, height, width = padded.shape
    reach = MARGIN[method]
    return bool(
        columns.min() >= reach
        and rows.min() >= reach
        and columns.max() < width - 2 * PAD - reach
        and rows.max() < height - 2 * PAD - reach
        and padded[:, PAD:-PAD, PAD:-PAD].all()
    )


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


def interpolated(
    padded: NDArray[Any], columns: Field, rows: Field, method: Resampling, *, whole: bool
) -> NDArray[np.float32]:
    """Return values at places, weighed from the pixels around them that have data.

    Parameters
    ----------
    padded, columns, rows
        As `nearest`.
    method : {"bilinear", "cubic"}
        The kernel.
    whole : bool
        Whether all pixels under it have data, as `is_whole` says.

    Returns
    -------
    ndarray of float32, shape (band, y, x)
        0 where none under the kernel has data.
    """
    columns, rows = columns - 0.5, rows - 0.5
    first_column, first_row = np.floor(columns), np.floor(rows)
    corner = _flat(padded, first_column, first_row)
    columns -= first_column
    rows -= first_row
    across, down = columns.astype(np.float32), rows.astype(np.float32)
    values, stride = padded.astype(np.float32), padded.shape[2]
    if whole and method == "bilinear":
        return _plain(values, corner, stride, across, down)
    kernel, start = (_linear, 0) if method == "bilinear" else (_keys, -1)
    total = np.zeros((len(values), *corner.shape), np.float32)
    sums = np.zeros_like(total)
    columns_of = list(enumerate(kernel(across), start))
    for y, vertical in enumerate(kernel(down), start):
        for x, horizontal in columns_of:
            pixels = _taken(values, corner + (y * stride + x))
            weight = vertical * horizontal
            total += weight * pixels
            sums += weight if whole else weight * (pixels > 0)
    return np.divide(total, sums, out=np.zeros_like(total), where=sums > _SMALL)


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


def _taken(bands: NDArray[Any], where: NDArray[np.intp]) -> NDArray[Any]:
    found = np.empty((len(bands), *where.shape), bands.dtype)
    for band, pixels in zip(bands, found, strict=True):
        band.reshape(-1).take(where, out=pixels, mode="wrap")  # all are inside; "raise" would copy
    return found
