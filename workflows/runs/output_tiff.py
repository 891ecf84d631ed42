"""Results as Cloud Optimized GeoTIFFs that a GIS shows as they are meant: scale, nodata, unit, colours of classes."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from datetime import UTC
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from abut.export.gdal import gdal_writing, require_pixels
from workflows.runs.output_zarr import nodata_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import xarray as xr
    from numpy.typing import NDArray

    from abut.export.folder import Work
    from workflows.runs.output import Step

_COG: Final = {"COMPRESS": "DEFLATE", "PREDICTOR": "YES", "BIGTIFF": "IF_SAFER", "NUM_THREADS": "ALL_CPUS"}
_STANDS_FOR: Final = {"b1": np.uint8, "f2": np.float32}
"""What is written for types that GeoTIFF does not have."""
_LONG: Final = ("i8", "u8")
_COLOUR: Final = re.compile("#?[0-9a-fA-F]{6}")
_COLOURS: Final = ("#000000", "#4daf4a", "#ffffff", "#984ea3", "#377eb8", "#ff7f00", "#a65628", "#e41a1c", "#999999")
"""Colours of classes that name none."""


def write_tiffs(steps: Iterator[Step], work: Work) -> None:
    """Write a file for each step and variable, ``<time>_<variable>.tif``.

    Raises
    ------
    ExportError
        If GDAL can't write, or what it wrote reads otherwise.
    """
    moments: Counter[str] = Counter()
    for step in steps:
        moment = f"{step.time.astimezone(UTC):%Y%m%dT%H%M%S}"
        moments[moment] += 1
        if moments[moment] > 1:
            moment = f"{moment}-{moments[moment]}"
        short = Counter(name.rpartition("/")[2] for name in step.variables)
        for name, variable in step.variables.items():
            last = name.rpartition("/")[2]
            stem = last if short[last] == 1 else name.replace("/", "_")
            write_tiff(step, name, variable, work.content / f"{moment}_{stem}.tif", work.scratch / "plain.tif")
            del variable
        del step  # before the next one is computed


def write_tiff(step: Step, name: str, variable: xr.DataArray, path: Path, scratch: Path) -> None:
    """Write one variable; what has more dimensions than y and x becomes bands.

    Parameters
    ----------
    step : Step
        Of which it is a part.
    name : str
        What it is called.
    variable : xarray.DataArray
        (..., y, x).
    path : Path
        Where to.
    scratch : Path
        For a plain GeoTIFF, of which GDAL makes the optimized one.

    Raises
    ------
    ExportError
        If GDAL can't write, or what it wrote reads otherwise.
    """
    bands = _bands(variable)
    labels = _labels(name, variable)
    with gdal_writing(path) as rasterio:
        with rasterio.open(scratch, "w", driver="GTiff", BIGTIFF="IF_SAFER", **_profile(variable, bands)) as target:
            target.write(bands)
            target.scales = (float(variable.attrs.get("scale_factor", 1)),) * len(bands)
            target.offsets = (float(variable.attrs.get("add_offset", 0)),) * len(bands)
            target.units = (str(variable.attrs.get("units", "")),) * len(bands)
            target.descriptions = labels
            target.update_tags(**_tags(step, variable))
            if bands.dtype == np.uint8 and len(bands) == 1 and "flag_values" in variable.attrs:
                target.write_colormap(1, _colours(variable))
        measured = "scale_factor" in variable.attrs or bands.dtype.kind == "f"
        resampling = "AVERAGE" if measured else "NEAREST"
        source = _with_long_nodata(rasterio, scratch, variable) if bands.dtype.str[1:] in _LONG else scratch
        rasterio.shutil.copy(source, path, driver="COG", OVERVIEW_RESAMPLING=resampling, **_COG)
    require_pixels(path, *(_digest(band) for band in bands))
    scratch.unlink()


def _with_long_nodata(rasterio: Any, scratch: Path, variable: xr.DataArray) -> Path:
    """Return a virtual image whose nodata has all its digits: rasterio writes it as a float, which GDAL misreads."""
    nodata = nodata_of(variable)
    if nodata is None:
        return scratch
    virtual = scratch.with_suffix(".vrt")
    rasterio.shutil.copy(scratch, virtual, driver="VRT")
    told = re.sub(r"<NoDataValue>[^<]*<", f"<NoDataValue>{int(nodata)}<", virtual.read_text())
    virtual.write_text(told)
    return virtual


def _bands(variable: xr.DataArray) -> NDArray[Any]:
    values = variable.to_numpy()
    kind = _STANDS_FOR.get(values.dtype.str[1:])
    values = values.astype(kind) if kind else values
    return values.reshape(-1, *values.shape[-2:])


def _labels(name: str, variable: xr.DataArray) -> tuple[str, ...]:
    """Return the names of bands: that of the variable, and the place along further dimensions."""
    short = name.rpartition("/")[2]
    further = variable.dims[:-2]
    if not further:
        return (short,)
    names = []
    for place in np.ndindex(variable.shape[:-2]):
        parts = [
            str(variable[dim].to_numpy()[index]) if dim in variable.coords else str(index)
            for dim, index in zip(further, place, strict=True)
        ]
        names.append(" ".join((short, *parts)))
    return tuple(names)


def _digest(band: NDArray[Any]) -> str:
    return hashlib.sha256(np.ascontiguousarray(band, band.dtype.newbyteorder("<"))).hexdigest()


def _profile(variable: xr.DataArray, bands: NDArray[Any]) -> dict[str, Any]:
    from affine import Affine  # noqa: PLC0415 - comes with rasterio, an extra

    reference = variable["spatial_ref"].attrs
    left, wide, _, top, _, high = map(float, reference["GeoTransform"].split())
    return {
        "count": len(bands),
        "height": bands.shape[1],
        "width": bands.shape[2],
        "dtype": bands.dtype.name,
        "crs": reference["crs_wkt"],
        "transform": Affine(wide, 0, left, 0, high, top),
        "nodata": nodata_of(variable),
    }


def _tags(step: Step, variable: xr.DataArray) -> dict[str, str]:
    tags = {"DATATAKE": step.datatake, "PRODUCTS": " ".join(step.products), "TIME": step.time.isoformat()}
    for name in ("workflow", "parameters", "software"):
        if name in step.attributes:
            tags[name.upper()] = str(step.attributes[name])
    for name in ("long_name", "flag_meanings"):
        if name in variable.attrs:
            tags[name.upper()] = str(variable.attrs[name])
    if "flag_values" in variable.attrs:
        tags["FLAG_VALUES"] = " ".join(str(value) for value in np.atleast_1d(variable.attrs["flag_values"]))
    return tags


def _colours(variable: xr.DataArray) -> dict[int, tuple[int, int, int, int]]:
    """Return the colour of each class: of ``flag_colors``, or some; nodata is transparent."""
    values = [int(value) for value in np.atleast_1d(variable.attrs["flag_values"])]
    named = str(variable.attrs.get("flag_colors", "")).split()
    sound = len(named) == len(values) and all(map(_COLOUR.fullmatch, named))
    colours = named if sound else [_COLOURS[index % len(_COLOURS)] for index in range(len(values))]
    nodata = nodata_of(variable)
    return {value: _rgba(colour, 0 if value == nodata else 255) for value, colour in zip(values, colours, strict=True)}


def _rgba(colour: str, opacity: int) -> tuple[int, int, int, int]:
    red, green, blue = bytes.fromhex(colour.removeprefix("#"))
    return red, green, blue, opacity
