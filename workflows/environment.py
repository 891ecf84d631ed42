"""The environment function of 6SV: how much of the light that reaches a pixel's view comes from how far away.

Light from the ground around a pixel is scattered into its view. Of all that comes so, the share from within a radius
is F(r): one function for molecules, one for aerosols, mixed by their diffuse upward transmittances (Vermote et al.,
6S User Guide, subroutine ENVIRO, sensor above 60 km).
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import fft

from workflows.errors import WorkflowError

if TYPE_CHECKING:
    from numpy.typing import NDArray

PIXEL: Final = 60
"""Pixel size in metres of the grid on which surroundings are summed."""
REACH: Final = 159
"""Radius of the kernel in pixels: 9,540 m; one pixel more is needed between pixels."""
WEIGHT: Final = 1 << 22
"""Sum of the kernel's weights, which are whole numbers."""
_PARTS: Final = 8
"""Points along a side of a pixel at which its weight is sampled."""
_LARGEST: Final = 1 << 40
"""Largest sum that is taken for exact: of 2,150 x 2,150 pixels, they came out within 5e-4 of whole ones."""


def share_within(kilometres: NDArray[np.float64], molecules: float, aerosols: float) -> NDArray[np.float64]:
    """Return the share of the environment's light that comes from within a radius.

    Parameters
    ----------
    kilometres : ndarray of float64
        Radius.
    molecules, aerosols : float
        Diffuse upward transmittance of molecules (tR) and of aerosols (tA).

    Returns
    -------
    ndarray of float64
        F = (tR F_R + tA F_A) / (tR + tA), 0 to 1.
    """
    rayleigh = 1 - 0.930 * np.exp(-0.08 * kilometres) - 0.070 * np.exp(-1.10 * kilometres)
    aerosol = 1 - 0.448 * np.exp(-0.27 * kilometres) - 0.552 * np.exp(-2.83 * kilometres)
    found: NDArray[np.float64] = (molecules * rayleigh + aerosols * aerosol) / (molecules + aerosols)
    return found


@lru_cache(maxsize=64)
def kernel(molecules: float, aerosols: float) -> NDArray[np.int64]:
    """Return the weights of the pixels around one, by the environment function.

    What lies beyond the kernel's reach, 4 to 18 % of the environment, counts as being like what lies within.

    Parameters
    ----------
    molecules, aerosols : float
        Diffuse upward transmittance of molecules and of aerosols; not both 0.

    Returns
    -------
    ndarray of int64, shape (319, 319)
        Whole weights on pixels of 60 m whose sum is `WEIGHT`; symmetric; 0 beyond a circle. Not to be written.
    """
    if not (molecules >= 0 and aerosols >= 0 and molecules + aerosols > 0):
        raise WorkflowError(f"diffuse transmittances can't be {molecules} and {aerosols}")
    corner = _quarter(molecules, aerosols)
    half = np.concatenate([corner[:0:-1], corner])
    whole = np.concatenate([half[:, :0:-1], half], axis=1)
    exact = whole * (WEIGHT / whole.sum())
    weights: NDArray[np.int64] = np.rint(exact).astype(np.int64)
    weights[REACH, REACH] += WEIGHT - weights.sum()  # what rounding left over, below a thousandth, is the centre's
    weights.setflags(write=False)
    return weights


def _quarter(molecules: float, aerosols: float) -> NDArray[np.float64]:
    """Return the weights of pixels at offsets 0 to REACH: the light per area, F'(r) / (2 pi r), over each of them."""
    side = PIXEL / 1000
    inner = (np.arange((REACH + 1) * _PARTS) + 0.5) / _PARTS - 0.5
    places = inner * side
    radius = np.hypot(places[:, None], places[None, :])
    per_length = (
        molecules * (0.930 * 0.08 * np.exp(-0.08 * radius) + 0.070 * 1.10 * np.exp(-1.10 * radius))
        + aerosols * (0.448 * 0.27 * np.exp(-0.27 * radius) + 0.552 * 2.83 * np.exp(-2.83 * radius))
    ) / (molecules + aerosols)
    light = per_length / (2 * np.pi * radius)
    cells = light.reshape(REACH + 1, _PARTS, REACH + 1, _PARTS).mean(axis=(1, 3)) * side**2
    distance = np.hypot(*np.ogrid[0 : REACH + 1, 0 : REACH + 1])
    cells[distance > REACH + 0.5] = 0
    # The light per area is without bound at the centre: that pixel gets what a circle of its area has.
    cells[0, 0] = float(share_within(np.array([side / np.sqrt(np.pi)]), molecules, aerosols)[0])
    return cells


def surroundings(values: NDArray[np.int64], weights: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return sums of whole numbers around each pixel, by whole weights: exact, so the same in any window.

    Parameters
    ----------
    values : ndarray of int64, shape (y, x)
        Whole numbers; the largest times the sum of the weights must not be above 2**40.
    weights : ndarray of int64, shape (2 r + 1, 2 r + 1)
        Whole weights, symmetric.

    Returns
    -------
    ndarray of int64, shape (y - 2 r, x - 2 r)
        For each pixel whose surroundings are all there, the sum.

    Raises
    ------
    WorkflowError
        If the array is smaller than the kernel, or the sums are too large to come out as whole numbers.
    """
    rows, columns = values.shape
    high, wide = weights.shape
    if rows < high or columns < wide:
        raise WorkflowError(f"{rows} x {columns} pixels are fewer than the kernel's {high} x {wide}")
    largest = int(np.abs(values).max()) * int(weights.sum())
    if largest > _LARGEST:
        raise WorkflowError(f"sums up to {largest:.3g} are too large to be exact")
    size = [fft.next_fast_len(length, real=True) for length in (rows, columns)]
    product = fft.rfft2(values.astype(np.float64), size) * fft.rfft2(weights.astype(np.float64), size)
    # Sums that wrap around the edges are those of pixels that lack surroundings: they are cut off.
    sums = fft.irfft2(product, size)[high - 1 : rows, wide - 1 : columns]
    whole: NDArray[np.int64] = np.rint(sums).astype(np.int64)
    return whole
