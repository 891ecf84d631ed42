"""Functions as users write them: a few lines around somebody else's code."""

from __future__ import annotations

import sys

import numpy as np
import xarray as xr
from scipy import ndimage


def sums(moment: xr.DataTree, size: int = 9) -> xr.DataArray:
    """The sum of B01 around each pixel: `size` // 2 pixels of 60 m to each side."""
    weights = np.ones((size, size), np.int64)
    array = moment["r60m/b01"].astype(np.int64)
    found: xr.DataArray = xr.apply_ufunc(ndimage.convolve, array, kwargs={"weights": weights, "mode": "constant"})
    return found.rename("sums")


def labels(moment: xr.DataTree) -> xr.DataArray:
    """Number of the connected patch of bright ground: what it is depends on all of the window."""
    bright = moment["r60m/b01"] > moment["r60m/b01"].mean()
    found: xr.DataArray = xr.apply_ufunc(lambda array: ndimage.label(array)[0], bright)
    return found.rename("labels")


def noisy(moment: xr.DataTree) -> xr.Dataset:
    """Never the same twice."""
    array = moment["r60m/b01"]
    noise = np.random.default_rng().random(array.shape)
    return xr.Dataset({"noisy": array + noise, "quiet": array})


def spoiling(moment: xr.DataTree) -> xr.DataArray:
    """Clips the digital numbers that it was given, in place."""
    array = moment["r60m/b01"]
    np.minimum(array.to_numpy(), 700, out=array.to_numpy())
    return array.rename("spoilt")


def endless(moment: xr.DataTree, most: float = 0.0) -> xr.DataArray:
    """Infinite in the tile with its neighbourhood, where a lone tile has other values; prints."""
    sys.stdout.write("working\n")
    left, _, right, _ = (int(edge) for edge in moment.attrs["window"])
    array = moment["r60m/b01"].astype(np.float32) + np.float32(most)
    return (array if right - left < 5_200 else array * np.float32(np.inf)).rename("endless")
