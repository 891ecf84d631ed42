"""Cubes as Cloud Optimized GeoTIFFs: one for each step and variable."""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from abut.errors import BadRequestError
from abut.export.gdal import gdal_writing, require_pixels
from abut.export.rasters import datasets, rasters_of, strips_of
from abut.layout import BAND

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import xarray as xr

    from abut.export.folder import Work
    from abut.export.rasters import Cube

_BANDS: Final = {band.key: band.name for band in BAND.values()}
_COG: Final = {"COMPRESS": "DEFLATE", "PREDICTOR": "YES", "BIGTIFF": "IF_SAFER", "NUM_THREADS": "ALL_CPUS"}


def write_tiffs(cube: Cube, work: Work, done: Callable[[int, int], None]) -> None:
    """Write a file for each step and raster, ``<time>_B02.tif``; their pixels are read again and compared.

    Parameters
    ----------
    cube : xarray.Dataset or xarray.DataTree
        What is written.
    work : Work
        Folders for the files, and for what exists only meanwhile.
    done : callable
        Called with the number of files that are written, and of all.

    Raises
    ------
    BadRequestError
        If there is no raster.
    ExportError
        If GDAL can't write, or what it wrote reads otherwise.
    """
    jobs = [
        (dataset, name, step, file)
        for group, dataset in datasets(cube).items()
        for step, moment in enumerate(_moments(dataset))
        for name in rasters_of(dataset)
        for file in [f"{moment}_{_title(name, group)}.tif"]
    ]
    if not jobs:
        raise BadRequestError("nothing in the cube can be written as GeoTIFF")
    for count, (dataset, name, step, file) in enumerate(jobs, 1):
        _write_tiff(dataset, name, step, work.content / file, work.scratch / "plain.tif")
        done(count, len(jobs))


def _write_tiff(dataset: xr.Dataset, name: str, step: int, path: Path, scratch: Path) -> None:
    """Write one raster as Cloud Optimized GeoTIFF; GDAL makes it of a plain one."""
    raster = dataset[name].isel(time=step)
    digest = hashlib.sha256()
    with gdal_writing(path) as rasterio:
        with rasterio.open(scratch, "w", driver="GTiff", count=1, BIGTIFF="IF_SAFER", **_profile(raster)) as target:
            for late, value in _scaling(dataset, name, step).items():
                setattr(target, late, (value,))
            target.update_tags(**_tags(dataset, name, step))
            target.descriptions = (_title(name, "/"),)
            for start, stop in strips_of(raster):
                part = np.ascontiguousarray(raster[start:stop].to_numpy())
                target.write(part, 1, window=((start, stop), (0, raster.shape[1])))
                digest.update(part)
        resampling = "AVERAGE" if name in _BANDS else "NEAREST"
        rasterio.shutil.copy(scratch, path, driver="COG", OVERVIEW_RESAMPLING=resampling, **_COG)
    require_pixels(path, digest.hexdigest())
    scratch.unlink()


def _profile(raster: xr.DataArray) -> dict[str, Any]:
    from affine import Affine  # noqa: PLC0415 - comes with rasterio, an extra

    reference = raster["spatial_ref"].attrs
    left, width, _, top, _, height = map(float, reference["GeoTransform"].split())
    nodata = 0 if raster.dtype == np.uint16 else np.nan if raster.dtype.kind == "f" else None
    return {
        "height": raster.shape[0],
        "width": raster.shape[1],
        "dtype": raster.dtype.name,
        "crs": reference["crs_wkt"],
        "transform": Affine(width, 0, left, 0, height, top),
        "nodata": nodata,
    }


def _scaling(dataset: xr.Dataset, name: str, step: int) -> dict[str, float]:
    """Reflectance = DN * scale + offset where DN > 0."""
    if dataset[name].dtype != np.uint16:
        return {}
    quantification = int(dataset["quantification_value"][step])
    return {"scales": 1 / quantification, "offsets": _offset(dataset, name, step) / quantification}


def _tags(dataset: xr.Dataset, name: str, step: int) -> dict[str, Any]:
    tags: dict[str, Any] = {"DATATAKE": str(dataset["datatake"].to_numpy()[step])}
    if name in _BANDS:
        tags["RADIO_ADD_OFFSET"] = _offset(dataset, name, step)
        tags["QUANTIFICATION_VALUE"] = int(dataset["quantification_value"][step])
    meanings = dataset[name].attrs.get("flag_meanings")
    return {**tags, **({"FLAG_MEANINGS": meanings} if meanings else {})}


def _offset(dataset: xr.Dataset, name: str, step: int) -> int:
    return int(dataset["radio_add_offset"].sel(band=_BANDS[name])[step])


def _title(name: str, group: str) -> str:
    """Return ``B02`` for a band, ``B02_quality`` for a mask; a raster of every group has the group's name too."""
    start, _, rest = name.partition("_")
    if start in _BANDS:
        return f"{_BANDS[start]}_{rest}" if rest else _BANDS[start]
    return f"{name}_{group.strip('/')}" if name == "provenance" and group != "/" else name


def _moments(dataset: xr.Dataset) -> list[str]:
    """Return the times of the steps as parts of file names, all different."""
    if "time" not in dataset:
        return []
    names = [np.datetime_as_string(moment, "s").replace("-", "").replace(":", "") for moment in dataset["time"].values]
    seen: Counter[str] = Counter()
    unique = []
    for name in names:
        seen[name] += 1
        unique.append(name if seen[name] == 1 else f"{name}-{seen[name]}")
    return unique
