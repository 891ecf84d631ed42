"""What a result holds, in numbers and in a line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from workflows.runs.output_zarr import nodata_of
from workflows.runs.results import digest

if TYPE_CHECKING:
    import xarray as xr

    from workflows.runs.output import Step


def described(step: Step, *, digests: bool) -> dict[str, Any]:
    """Return what a step holds, as JSON can hold it.

    Parameters
    ----------
    step : Step
        The result of a moment.
    digests : bool
        Whether to compute the digest of each variable (`workflows.runs.results.digest`).
    """
    return {
        "datetime": step.time.isoformat(),
        "datatake": step.datatake,
        "products": list(step.products),
        "variables": {name: _variable(one, digests=digests) for name, one in step.variables.items()},
    }


def _variable(one: xr.DataArray, *, digests: bool) -> dict[str, Any]:
    found: dict[str, Any] = {"dtype": one.dtype.name, "shape": list(one.shape)}
    if digests:
        found["sha256"] = digest(one)
    shares = shares_of(one)
    return {**found, "shares": shares} if shares else found


def shares_of(one: xr.DataArray) -> dict[str, float]:
    """Return the share of the pixels of each class; nothing if it has no ``flag_values``."""
    if "flag_values" not in one.attrs or one.dtype.kind not in "iu":
        return {}
    values = [int(value) for value in np.atleast_1d(one.attrs["flag_values"])]
    names = str(one.attrs.get("flag_meanings", "")).split()
    if len(names) != len(values):
        names = [str(value) for value in values]
    pixels = one.to_numpy()
    return {name: round(float((pixels == value).mean()), 6) for name, value in zip(names, values, strict=True)}


def in_words(step: Step) -> str:
    """Return a line about a step: the shares of classes of its first variable that has some, else how much is known."""
    for one in step.variables.values():
        shares = shares_of(one)
        if shares:
            return ", ".join(f"{name} {share:.1%}" for name, share in shares.items())
    first = next(iter(step.variables.values()), None)
    if first is None:
        return ""
    nodata, pixels = nodata_of(first), first.to_numpy()
    if nodata is None:
        return ""
    known = ~np.isnan(pixels) if pixels.dtype.kind == "f" and np.isnan(nodata) else pixels != nodata
    return f"{first.name} known of {float(known.mean()):.1%}"
