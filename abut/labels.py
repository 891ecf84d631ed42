"""Coordinates and attributes of cubes, by the CF conventions: what a pixel is, where, when, and of which product."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from pyproj import CRS

from abut.layout import CLASSIFICATION_BITS, QUALITY_BITS
from abut.reading import block_centres, suppliers_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from abut.blocks import BlockSource, Slot
    from abut.lattice import Bounds
    from abut.layout import Band

CONVENTIONS: Final = "CF-1.11"
"""Conventions that the attributes follow."""
TIME_ENCODING: Final = {"units": "microseconds since 1970-01-01", "calendar": "standard", "dtype": "int64"}
"""How times are written: exactly, whichever there are."""
PROVENANCE: Final = {
    "long_name": "Where values come from: not there, this zone (native), or resampled from another (reprojected)",
    "flag_values": np.array([0, 1, 2], np.uint8),
    "flag_meanings": "nodata native reprojected",
}
"""Attributes of the variable that says which zone pixels come from."""


def coordinates(
    source: BlockSource, window: Bounds, resolution: int, bands: Sequence[Band], products: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the coordinates of a dataset of some ground, at a pixel size, of some bands.

    What `products_of` says is given, since it is the same at all pixel sizes.
    """
    return {**place(window, resolution), **times(source.slots, bands), **products}


def place(window: Bounds, resolution: int) -> dict[str, Any]:
    """Return the coordinates that say where pixels are."""
    rows, columns = window.shape(resolution)
    north = window.top - resolution * (np.arange(rows, dtype=np.float64) + 0.5)
    east = window.left + resolution * (np.arange(columns, dtype=np.float64) + 0.5)
    spatial = CRS.from_epsg(window.zone.epsg).to_cf()
    spatial["GeoTransform"] = f"{window.left} {resolution} 0 {window.top} 0 -{resolution}"
    return {
        "y": ("y", north, _axis("y")),
        "x": ("x", east, _axis("x")),
        "spatial_ref": ((), np.int32(0), spatial),
    }


def flags_of(kind: str) -> dict[str, Any]:
    """Return the attributes of a mask."""
    if kind == "detector_footprint":
        return {"long_name": "Detector that saw the pixel, 1 ... 12; 0 none"}
    names = QUALITY_BITS if kind == "quality" else CLASSIFICATION_BITS
    title = "Quality: the eight planes of MSK_QUALIT" if kind == "quality" else "Clouds, snow and ice"
    masks = np.array([1 << bit for bit in range(len(names))], np.uint8)
    return {"long_name": title, "flag_masks": masks, "flag_meanings": " ".join(names).lower()}


def band_attributes(band: Band, *, reflectance: bool) -> dict[str, Any]:
    """Return the attributes of a band's pixels."""
    if reflectance:
        return {
            "standard_name": "toa_bidirectional_reflectance",
            "long_name": f"Reflectance at the top of the atmosphere, {band.name} ({band.description})",
            "units": "1",
            "common_name": band.common_name,
        }
    return {
        "long_name": f"Digital number, {band.name} ({band.description})",
        "description": "reflectance = (DN + radio_add_offset) / quantification_value where DN > 0; 0 is nodata",
        "units": "1",
        "nodata": 0,
        "common_name": band.common_name,
    }


def angle_attributes(body: str, kind: str) -> dict[str, Any]:
    """Return the attributes of an angle: of ``solar`` or ``sensor``, ``zenith`` or ``azimuth``."""
    whose = "Sun" if body == "solar" else "Viewing"
    return {"standard_name": f"{body}_{kind}_angle", "long_name": f"{whose} {kind} angle", "units": "degree"}


def times(slots: Sequence[Slot], bands: Sequence[Band]) -> dict[str, Any]:
    """Return the coordinates that say when steps are, and how DN become reflectance."""
    moments = [slot.time.astimezone(UTC).replace(tzinfo=None) for slot in slots]
    offsets = [[slot.radio_add_offset.get(band.name, 0) for band in bands] for slot in slots]
    about = {"standard_name": "time", "long_name": "Start of the datatake, UTC", "axis": "T"}
    return {
        "time": ("time", np.array(moments, "datetime64[ns]"), about, TIME_ENCODING),
        "datatake": ("time", np.array([" ".join(slot.datatakes) for slot in slots], np.str_)),
        "band": ("band", np.array([band.name for band in bands], np.str_)),
        "radio_add_offset": (
            ("time", "band"),
            np.array(offsets, np.int32).reshape(len(slots), len(bands)),
            {"long_name": "Offset to be added to DN", "units": "1"},
        ),
        "quantification_value": (
            "time",
            np.array([slot.quantification_value for slot in slots], np.int32),
            {"long_name": "DN (with the offset added) per unit of reflectance", "units": "1"},
        ),
    }


def products_of(source: BlockSource, window: Bounds) -> dict[str, Any]:
    """Return the coordinates that name the product that each block comes from."""
    names = sorted({name for slot in source.slots for name in slot.products})
    table = suppliers_of(source, window, {name: index for index, name in enumerate(names)}, range(len(source.slots)))
    north, east = block_centres(window)
    about = {
        "long_name": "Product of each block, as index into `product`; -1 where there is none",
        "comment": "Of blocks with several holders the first, whose DN > 0 win; the others fill its zeros",
    }
    return {
        "product": ("product", np.array(names, np.str_)),
        "block_y": ("block_y", north, {"long_name": "Northing of the block's centre", "units": "m"}),
        "block_x": ("block_x", east, {"long_name": "Easting of the block's centre", "units": "m"}),
        "source": (("time", "block_y", "block_x"), table, about),
    }


def _axis(name: str) -> dict[str, str]:
    return {
        "standard_name": f"projection_{name}_coordinate",
        "long_name": "Northing of pixel centres" if name == "y" else "Easting of pixel centres",
        "units": "m",
        "axis": name.upper(),
    }
