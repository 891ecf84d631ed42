"""Results: what workflows and users' functions return, on the pixels of a core, with all that says what they mean.

A result is *encoded*, as `xarray.open_dataset(..., mask_and_scale=False)` gives it: whole numbers with ``scale_factor``
and ``_FillValue`` among the attributes, so that its bytes are what is written and compared. `xarray.decode_cf` decodes.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from abut.labels import CONVENTIONS, band_attributes, place
from abut.lattice import Bounds, Zone
from abut.layout import BANDS
from workflows.errors import WorkflowError
from workflows.runs.checks import require_sound

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    type Result = xr.Dataset | xr.DataTree
    type Layer = tuple[NDArray[Any], Mapping[str, Any]]


def ground(moment: xr.DataTree, which: str = "core") -> Bounds:
    """Return the ground of a moment: its ``core``, or its ``window``, which has the neighbourhood too."""
    left, bottom, right, top = (int(edge) for edge in moment.attrs[which])
    return Bounds(Zone(int(str(moment.attrs["zone"]).removeprefix("EPSG:"))), left, bottom, right, top)


def margin(moment: xr.DataTree) -> int:
    """Return the metres of ground around the core of a moment, on its narrowest side."""
    core, window = ground(moment), ground(moment, "window")
    return min(core.left - window.left, core.bottom - window.bottom, window.right - core.right, window.top - core.top)


def make_result(core: Bounds, layers: Mapping[int, Mapping[str, Layer]], about: Mapping[str, Any]) -> Result:
    """Return arrays of a core as a result.

    Parameters
    ----------
    core : Bounds
        Their ground.
    layers : mapping
        Array (y, x) and attributes by name, by pixel size in metres.
    about : mapping
        Attributes of the whole.

    Returns
    -------
    xarray.Dataset or xarray.DataTree
        A Dataset if there is one pixel size; else a DataTree with groups ``r10m``, ``r20m``, ``r60m``.
    """
    made = {size: _dataset(core, size, some) for size, some in sorted(layers.items()) if some}
    attributes = {"Conventions": CONVENTIONS, **about}
    if len(made) == 1:
        (only,) = made.values()
        return only.assign_attrs(attributes)
    return xr.DataTree.from_dict(
        {"/": xr.Dataset(attrs=attributes), **{f"/r{size}m": one for size, one in made.items()}}
    )


def _dataset(core: Bounds, size: int, layers: Mapping[str, Layer]) -> xr.Dataset:
    data = {name: (("y", "x"), values, dict(attributes)) for name, (values, attributes) in layers.items()}
    made = xr.Dataset(data, place(core, size))
    for variable in made.data_vars.values():
        variable.encoding["grid_mapping"] = "spatial_ref"
    return made


def variables(result: object, core: Bounds) -> dict[str, xr.DataArray]:
    """Return what a function returned, by name, cropped to a core.

    Parameters
    ----------
    result : xarray.DataArray, xarray.Dataset or xarray.DataTree
        What a workflow or a user's function returned; variables have the dimensions y and x with pixel centres as
        coordinates, evenly spaced, in the coordinate system of the core's zone. What has neither is left out, and so is
        the group ``geometry`` of a moment that was handed on.
    core : Bounds
        The ground that is wanted.

    Returns
    -------
    dict of str to xarray.DataArray
        Variables (..., y, x), north up, of the pixels whose centres are in the core; names of a DataTree are paths
        (``r10m/b02``), that of a DataArray without name is ``result``. With the coordinates x, y and ``spatial_ref``.

    Raises
    ------
    WorkflowError
        If it is none of these, has no variable with x and y, does not cover the core, or holds what can't be written
        (`workflows.runs.checks`).
    """
    found = {name: _cropped(name, one, core) for name, one in _rasters(result).items()}
    if not found:
        raise WorkflowError(f"{_described(result)} has no variable with the dimensions y and x")
    return found


def _rasters(result: object) -> dict[str, xr.DataArray]:
    if isinstance(result, xr.DataArray):
        one = str(result.name or "result")
        return {one: result} if {"x", "y"} <= set(result.dims) else {}
    if isinstance(result, xr.Dataset):
        return {str(name): one for name, one in result.data_vars.items() if {"x", "y"} <= set(one.dims)}
    if isinstance(result, xr.DataTree):
        groups = {node.path.strip("/"): node.to_dataset() for node in result.subtree if node.path != "/geometry"}
        return {
            f"{path}/{name}" if path else name: one
            for path, group in groups.items()
            for name, one in _rasters(group).items()
        }
    raise WorkflowError(f"{_described(result)} is no DataArray, Dataset or DataTree of xarray")


def _described(result: object) -> str:
    if isinstance(result, xr.DataArray):
        return f"the result, a DataArray with the dimensions {', '.join(map(str, result.dims)) or '(none)'},"
    return f"the result, a {type(result).__name__}," if result is not None else "the result, None,"


def _cropped(name: str, one: xr.DataArray, core: Bounds) -> xr.DataArray:
    one = one.transpose(..., "y", "x")
    require_sound(str(one.name or "result"), one)
    for axis in ("y", "x"):
        if axis not in one.coords or one.coords[axis].dims != (axis,) or one.coords[axis].dtype.kind not in "iuf":
            raise WorkflowError(f"{name} of the result has no coordinate {axis}: pixel centres in metres are needed")
    one = one.sortby("y", ascending=False) if one.sizes["y"] > 1 and float(one.y[0]) < float(one.y[-1]) else one
    one = one.sortby("x") if one.sizes["x"] > 1 and float(one.x[0]) > float(one.x[-1]) else one
    if one.sizes["y"] < 2 or one.sizes["x"] < 2:
        raise WorkflowError(f"{name} of the result has {one.sizes['y']} x {one.sizes['x']} pixels; 2 x 2 are needed")
    y, x = (one[axis].to_numpy().astype(np.float64) for axis in ("y", "x"))
    steps = _even(name, "y", -y), _even(name, "x", x)
    rows, columns = (y > core.bottom) & (y < core.top), (x > core.left) & (x < core.right)
    inner = one.isel(y=rows, x=columns)
    if not rows.any() or not columns.any() or not _covered(inner, core, *steps):
        raise WorkflowError(
            f"{name} of the result, easting {x[0]:.0f} to {x[-1]:.0f} and northing {y[-1]:.0f} to {y[0]:.0f}, does not "
            f"cover the core {core.left} {core.bottom} {core.right} {core.top} of {core.zone}"
        )
    return _placed(inner, core, *steps)


def _even(name: str, axis: str, centres: NDArray[np.float64]) -> float:
    """Return the distance of pixel centres."""
    steps = np.diff(centres)
    if not (steps > 0).all() or np.ptp(steps) > 1e-6 * abs(steps[0]):
        raise WorkflowError(f"{name} of the result: the coordinate {axis} is not evenly spaced")
    return float(steps[0])


def _covered(inner: xr.DataArray, core: Bounds, high: float, wide: float) -> bool:
    """Whether no pixel is lacking at any side."""
    y, x = inner["y"].to_numpy(), inner["x"].to_numpy()
    gaps = ((core.top - y[0], high), (y[-1] - core.bottom, high), (x[0] - core.left, wide), (core.right - x[-1], wide))
    return all(gap <= size for gap, size in gaps)


def _placed(inner: xr.DataArray, core: Bounds, high: float, wide: float) -> xr.DataArray:
    """Say where pixels are, as `abut.labels.place` does."""
    spatial = place(Bounds(core.zone, 0, 0, 60, 60), 60)
    reference = dict(spatial["spatial_ref"][2])
    left, top = float(inner.x[0]) - wide / 2, float(inner.y[0]) + high / 2
    reference["GeoTransform"] = f"{left:.10g} {wide:.10g} 0 {top:.10g} 0 {-high:.10g}"
    kept = {name: inner[name] for name in inner.dims if name in inner.coords}
    made = xr.DataArray(
        inner.data,
        dims=inner.dims,
        coords={**kept, "spatial_ref": xr.Variable((), np.int32(0), reference)},
        name=inner.name,
        attrs=_own_attributes(inner),
    )
    for axis in ("y", "x"):
        made[axis].attrs.update(spatial[axis][2])
    made.encoding["grid_mapping"] = "spatial_ref"
    return made


def _own_attributes(inner: xr.DataArray) -> dict[Any, Any]:
    """Return the attributes of a variable, without those of a band that xarray kept while something else was made."""
    inherited = str(inner.attrs.get("long_name", "")).startswith("Digital number") and inner.dtype != np.uint16
    left_out = {"grid_mapping", *(band_attributes(BANDS[0], reflectance=False) if inherited else ())}
    return {key: value for key, value in inner.attrs.items() if key not in left_out}


def digest(variable: xr.DataArray) -> str:
    """Return the SHA-256 of a variable: of its type, its shape, and its values as little-endian bytes in C order.

    Raises
    ------
    WorkflowError
        If its values are no numbers.
    """
    values = np.asarray(variable.to_numpy())
    if values.dtype.kind not in "biuf":
        raise WorkflowError(f"{variable.name} holds {values.dtype}, not numbers")
    little = np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
    found = hashlib.sha256(f"{little.dtype.str} {little.shape}".encode())
    found.update(little.data)
    return found.hexdigest()
