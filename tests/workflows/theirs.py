"""Functions as users write them: a few lines around somebody else's code."""

from __future__ import annotations

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
