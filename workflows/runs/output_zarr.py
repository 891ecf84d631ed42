"""Results as Zarr: one step is written after the other, labels at the end."""

from __future__ import annotations

import warnings
from datetime import UTC
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import xarray as xr

from abut.labels import TIME_ENCODING
from abut.lattice import BLOCK_SIZE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from workflows.runs.output import Step

_SIDE: Final = 960
"""Pixels along a side of a chunk, where blocks are no whole number of pixels."""


def nodata_of(variable: xr.DataArray) -> Any:
    """Return the value that means that there are no data; None if there is none."""
    for name in ("_FillValue", "nodata"):
        if name in variable.attrs:
            return np.asarray(variable.attrs[name], variable.dtype)[()]
    return variable.dtype.type(np.nan) if variable.dtype.kind == "f" else None


def write_zarr(steps: Iterator[Step], folder: Path) -> None:
    """Write steps into a folder in which nothing is yet: (time, ..., y, x), chunks of one step and 9,600 m.

    Parameters
    ----------
    steps : iterator of Step
        At least one; all of the same variables. A step is written before the next one is asked for.
    folder : Path
        Where to.
    """
    import zarr  # noqa: PLC0415 - slow to import
    from zarr.storage import LocalStore  # noqa: PLC0415 - as above

    with warnings.catch_warnings():
        # Texts and consolidated metadata are not written down in the specification yet; xarray and zarr-python agree.
        warnings.filterwarnings("ignore", category=UserWarning, module=r"(zarr|xarray)\b")
        warnings.filterwarnings("ignore", category=FutureWarning, module=r"zarr\b")
        store = LocalStore(folder)
        root = zarr.open_group(store, mode="w", zarr_format=3)
        arrays: dict[str, Any] = {}
        places: dict[str, dict[str, xr.Variable]] = {}
        labels: list[tuple[Any, str, str]] = []
        attributes: Mapping[str, Any] = {}
        for step in steps:
            number = len(labels)  # `enumerate` would keep a step until it has the next one
            for name, variable in step.variables.items():
                if name not in arrays:
                    arrays[name] = _array(root, name, variable)
                    places.setdefault(name.rpartition("/")[0], {}).update(_place(variable))
                arrays[name].resize((number + 1, *variable.shape))
                arrays[name][number] = variable.to_numpy()
            when = step.time.astimezone(UTC).replace(tzinfo=None)
            labels.append((np.datetime64(when, "ns"), step.datatake, " ".join(step.products)))
            attributes = attributes or step.attributes
            del step, variable  # before the next one is computed
        label(store, places, labels, attributes)
        zarr.consolidate_metadata(store, zarr_format=3)


def _array(root: Any, name: str, variable: xr.DataArray) -> Any:
    from zarr.codecs import BloscCodec  # noqa: PLC0415 - slow to import

    sizes = [abs(float(one)) for one in _transform(variable)[1::4]]
    sides = [round(BLOCK_SIZE / size) if BLOCK_SIZE % size == 0 else _SIDE for size in sizes]
    high, wide = (min(side, length) for side, length in zip(sides[::-1], variable.shape[-2:], strict=True))
    nodata = nodata_of(variable)
    return root.create_array(
        name,
        shape=(1, *variable.shape),
        chunks=(1, *(1 for _ in variable.shape[:-2]), high, wide),
        dtype=variable.dtype,
        fill_value=variable.dtype.type(0) if nodata is None else nodata,
        compressors=BloscCodec(cname="zstd", clevel=3, shuffle="shuffle"),
        dimension_names=["time", *map(str, variable.dims)],
        attributes=attributes_of(variable),
    )


def _transform(variable: xr.DataArray) -> Sequence[str]:
    found: str = variable["spatial_ref"].attrs["GeoTransform"]
    return found.split()


def attributes_of(variable: xr.DataArray) -> dict[str, Any]:
    """Return the attributes of a variable as Zarr holds them: as JSON, with the fill value as xarray reads it."""
    from xarray.backends.zarr import FillValueCoder  # noqa: PLC0415 - how xarray itself writes and reads it

    made = {str(name): plain(value) for name, value in variable.attrs.items()}
    if "_FillValue" in made:
        made["_FillValue"] = FillValueCoder.encode(nodata_of(variable), variable.dtype)
    return made | {"grid_mapping": "spatial_ref", "_CRS": {"wkt": variable["spatial_ref"].attrs["crs_wkt"]}}


def plain(value: Any) -> Any:
    """Return an attribute as JSON can hold it."""
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, dict):
        return {str(name): plain(one) for name, one in value.items()}
    return value if value is None or isinstance(value, str | int | float) else str(value)


def _place(variable: xr.DataArray) -> dict[str, xr.Variable]:
    return {str(name): one.variable for name, one in variable.coords.items()}


def label(
    store: Any,
    places: Mapping[str, Mapping[str, xr.Variable]],
    labels: Sequence[tuple[Any, str, str]],
    attributes: Mapping[str, Any],
    *,
    steps_are: str = "Start of the datatake, UTC",
) -> None:
    """Write coordinates and attributes beside the arrays.

    Parameters
    ----------
    store : zarr.abc.store.Store
        Where the arrays are.
    places : mapping
        The coordinates that say where pixels are, by group; ``""`` is the root.
    labels : sequence of tuple
        Time (`numpy.datetime64`), datatakes, and products of each step.
    attributes : mapping
        What is said of the whole.
    steps_are : str
        What the times mean.
    """
    times, datatakes, products = zip(*labels, strict=True)
    when = {
        "time": xr.Variable(
            "time",
            np.array(times, "datetime64[ns]"),
            {"standard_name": "time", "long_name": steps_are, "axis": "T"},
            encoding=TIME_ENCODING,
        ),
        "datatake": xr.Variable("time", np.array(datatakes, np.str_)),
        "products": xr.Variable("time", np.array(products, np.str_)),
    }
    about = {str(name): plain(value) for name, value in attributes.items()}
    for group in dict.fromkeys(("", *places)):
        coords = {**when, **places[group]} if group in places else {}
        made = xr.Dataset(coords=coords, attrs={} if group else about)
        made.to_zarr(store, group=group or None, mode="a", zarr_format=3, consolidated=False)
