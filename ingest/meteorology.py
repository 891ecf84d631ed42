"""The ECMWF and CAMS fields of a granule, where GDAL's GRIB driver can read them; the files are kept anyway."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import MemoryFile

if TYPE_CHECKING:
    import rasterio
    from numpy.typing import NDArray

    from ingest.granule import Granule

_AUX = re.compile(r"AUX_(ECMWF|CAMS)[A-Z]*(?![^/]*\.)[^/]*$")


@dataclass(frozen=True, slots=True)
class Field:
    """One array of the meteorology group."""

    values: NDArray[np.float64]
    """Values; rows from north to south."""
    dimensions: tuple[str, ...]
    """Names of the axes."""
    attributes: dict[str, Any]
    """Name, unit, valid time, source file."""


def read_fields(granule: Granule) -> dict[str, Field]:
    """Read all fields of a granule's AUX files.

    Returns
    -------
    dict
        Array name to field: ``ecmwf_tco3``, ``cams_aod550`` ... with ``<model>_latitude`` and ``<model>_longitude``.
        Empty where there is no such file, or none that GDAL can read.
    """
    fields: dict[str, Field] = {}
    for file in granule.files:
        match = _AUX.search(file.path)
        if match:
            fields |= _read(granule.read(file.path), match[1].lower(), file.path)
    return fields


def _read(data: bytes, model: str, path: str) -> dict[str, Field]:
    fields: dict[str, Field] = {}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with MemoryFile(data) as memory, memory.open(driver="GRIB") as image:
                dimensions = (f"{model}_latitude", f"{model}_longitude")
                fields |= _coordinates(image, model)
                for index in image.indexes:
                    tags = image.tags(index)
                    name = f"{model}_{_name(tags, index)}"
                    if name in fields:
                        name = f"{name}_{index}"
                    fields[name] = Field(image.read(index).astype(np.float64), dimensions, _attributes(tags, path))
    except RasterioError:
        return {}
    return fields


def _coordinates(image: rasterio.io.DatasetReader, model: str) -> dict[str, Field]:
    place = image.transform
    columns, rows = np.arange(image.width) + 0.5, np.arange(image.height) + 0.5
    return {
        f"{model}_latitude": Field(
            place.f + place.e * rows, (f"{model}_latitude",), {"standard_name": "latitude", "units": "degrees_north"}
        ),
        f"{model}_longitude": Field(
            place.c + place.a * columns,
            (f"{model}_longitude",),
            {"standard_name": "longitude", "units": "degrees_east"},
        ),
    }


def _name(tags: dict[str, str], index: int) -> str:
    element = re.sub(r"[^a-z0-9]+", "_", tags.get("GRIB_ELEMENT", "").lower()).strip("_")
    return element if element and element != "unknown" else f"field_{index}"


def _attributes(tags: dict[str, str], path: str) -> dict[str, Any]:
    wanted = {
        "long_name": tags.get("GRIB_COMMENT"),
        "units": (tags.get("GRIB_UNIT") or "").strip("[]") or None,
        "valid_time": tags.get("GRIB_VALID_TIME"),
        "source": path,
    }
    return {name: value for name, value in wanted.items() if value}
