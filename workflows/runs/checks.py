"""What a variable of a result has to be, so that every format can hold it and its bytes can be compared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from workflows.errors import WorkflowError
from workflows.runs.output_zarr import nodata_of

if TYPE_CHECKING:
    import xarray as xr

_TAKEN: Final = ("time", "datatake", "products", "spatial_ref", "x", "y")
"""Names of what is written beside the variables."""
_NUMBERS: Final = ("scale_factor", "add_offset")


def require_sound(name: str, one: xr.DataArray) -> None:
    """Require that a variable can be written and compared.

    Parameters
    ----------
    name : str
        What it is called, without its group.
    one : xarray.DataArray
        The variable.

    Raises
    ------
    WorkflowError
        If its values are no numbers of at most 8 bytes; its name is taken, or can't be that of a file; one of its
        dimensions is called time; or attributes that say what its values mean don't fit them.
    """
    if one.dtype.kind not in "biuf" or one.dtype.itemsize > np.dtype(np.float64).itemsize:
        raise WorkflowError(f"{name} of the result holds {one.dtype}, not numbers of at most 8 bytes")
    if name in _TAKEN or "/" in name or not name.strip(".") or not name.isprintable():
        raise WorkflowError(f"{name!r} can't be the name of a variable of the result: rename it")
    if "time" in one.dims:
        raise WorkflowError(f"{name} of the result has the dimension time, which is that of moments: drop or rename it")
    _require(name, "_FillValue or nodata", one, lambda: nodata_of(one))
    _require(name, "flag_values", one, lambda: np.asarray(one.attrs.get("flag_values", 0), one.dtype))
    for attribute in _NUMBERS:
        _require(name, attribute, one, lambda attribute=attribute: float(one.attrs.get(attribute, 0)))


def _require(name: str, attribute: str, one: xr.DataArray, meant: Any) -> None:
    try:
        meant()
    except (TypeError, ValueError, OverflowError) as error:
        raise WorkflowError(
            f"{name} of the result is {one.dtype}, and its {attribute} no such number: {error}"
        ) from None
