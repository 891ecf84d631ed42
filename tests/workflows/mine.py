"""Functions of a user: they look around, and say what they were called with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr
from scipy.ndimage import maximum_filter

REACH = 1_200
"""How far `highest` looks, in metres."""


def highest(moment: xr.DataTree, log: str = "", fails: str = "") -> xr.Dataset:
    """Return the highest DN of B01 around each pixel, and the sun's height at its block.

    `log` is a file that gets a line for each call; `fails` is one that, if it is there, names the western edge of cores
    that fail.
    """
    left, bottom = (int(edge) for edge in moment.attrs["core"][:2])
    if log:
        with Path(log).open("a", encoding="utf-8") as file:
            file.write(f"{moment.attrs['datetime'][:10]} {left} {bottom}\n")
    if fails and Path(fails).exists() and Path(fails).read_text(encoding="utf-8") == str(left):
        raise ValueError("no snow\nhere")
    group = moment["r60m"].to_dataset()
    around = maximum_filter(group["b01"].to_numpy(), 2 * (REACH // 60) + 1, mode="constant")
    sun = moment["geometry"]["sun_zenith"].reindex(y=group["y"], x=group["x"], method="nearest")
    values = np.where(around > 0, sun.to_numpy(), np.nan)
    data = {"highest": (("y", "x"), around, {"_FillValue": np.uint16(0)}), "sun": (("y", "x"), values)}
    return xr.Dataset(data, {"y": group["y"], "x": group["x"]})


def fickle(moment: xr.DataTree) -> xr.Dataset:
    """Return what has another type in the west than in the east."""
    kind = np.uint16 if int(moment.attrs["core"][0]) < 590_000 else np.int32
    found = moment["r60m"].to_dataset()["b01"].astype(kind)
    return found.to_dataset(name="dn")


def odd(moment: xr.DataTree) -> xr.Dataset:
    """Return pixels of 120 m, half of them beyond the edge."""
    found = moment["r60m"].to_dataset()["b01"]
    return found.isel(y=slice(None, None, 7), x=slice(None, None, 7)).to_dataset(name="dn")
