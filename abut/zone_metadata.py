"""The documents of a zone's Zarr hierarchy: metadata of groups and arrays, and the small arrays, as objects."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from pyproj import CRS

from abut.codec import zarr_codecs, zarr_codecs_for
from abut.georeference import georeference
from abut.labels import CONVENTIONS, TIME_ENCODING, band_attributes, flags_of, times
from abut.layout import Band
from abut.reading import block_centres
from abut.zone_layout import AXIS_BLOCKS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import zarr

    from abut.blocks import Slot
    from abut.view_masks import Mask
    from abut.zone_layout import ZoneLayout

FORMAT: Final = 1
"""Version of the hierarchy, in the root's attribute `ATTRIBUTE`."""
ATTRIBUTE: Final = "abut:zone"
"""Attribute of the root that says what the hierarchy is."""

_COORDINATES: Final = "spatial_ref radio_add_offset quantification_value datatake"
_SUMMARY: Final = (
    "All products of a UTM zone over some time as one array of blocks of 9,600 m. Raw DN without scale and offset, as "
    "products differ: reflectance = (DN + radio_add_offset) / quantification_value where DN > 0; 0 is nodata. Where "
    "several products hold a block the first DN > 0 wins; masks come from the product that supplied the pixel."
)


def documents(
    layout: ZoneLayout,
    slots: Sequence[Slot],
    profile: str,
    about: Mapping[str, Any],
    named: Sequence[Sequence[str]],
) -> dict[str, bytes]:
    """Return all objects of the hierarchy but the chunks that are made on demand, by key.

    Parameters
    ----------
    layout : ZoneLayout
        Which arrays there are.
    slots : sequence of Slot
        Steps in time.
    profile : str
        How bands are encoded.
    about : mapping
        What the root says of itself, JSON values.
    named : sequence of sequence of str
        Ids of the products of each step, for the coordinate ``product``.

    Returns
    -------
    dict of str to bytes
        ``zarr.json`` of each group and array, consolidated in all groups, and the chunks of the small coordinates.
    """
    import zarr  # noqa: PLC0415 - slow to import
    from zarr.storage import MemoryStore  # noqa: PLC0415 - as above

    objects: dict[str, Any] = {}
    store = MemoryStore(objects)
    told = {"format": FORMAT, "zone": layout.zone.epsg, "profile": profile, **about}
    attributes = {"Conventions": CONVENTIONS, "title": f"Sentinel-2 Level-1C, {layout.zone}", "summary": _SUMMARY}
    root = zarr.create_group(store=store, zarr_format=3, attributes={**attributes, ATTRIBUTE: told})
    for resolution, path in layout.groups.items():
        group = root.create_group(path) if path else root
        _resolution(group, layout, resolution, slots, profile)
    if layout.resolution is None:
        _small(root, "time", *_as_stored(times(slots, ())["time"]))
    _holders(root, layout, named)
    with warnings.catch_warnings():
        # Consolidated metadata is an extension of Zarr v3, as the warning says; every reader named here knows it.
        warnings.simplefilter("ignore", zarr.errors.ZarrUserWarning)
        for path in (*filter(None, layout.groups.values()), ""):
            zarr.consolidate_metadata(store, path=path or None)
    return {key: value.to_bytes() for key, value in objects.items()}


def _resolution(group: zarr.Group, layout: ZoneLayout, resolution: int, slots: Sequence[Slot], profile: str) -> None:
    """Fill a group with the arrays of a pixel size."""
    bounds, bands = layout.blocks.bounds, layout.bands_of(resolution)
    where, side = georeference(bounds, resolution), AXIS_BLOCKS * 9_600 // resolution
    group.attrs.update({**where, "coordinates": _COORDINATES})
    rows, columns = bounds.shape(resolution)
    spatial = CRS.from_epsg(layout.zone.epsg).to_cf()
    spatial["GeoTransform"] = f"{bounds.left} {resolution} 0 {bounds.top} 0 -{resolution}"
    group.create_array("spatial_ref", shape=(), dtype="int32", fill_value=0, attributes=spatial)
    for axis, length in (("y", rows), ("x", columns)):
        group.create_array(
            axis,
            shape=(length,),
            chunks=(side,),
            dtype="float64",
            fill_value=0.0,
            dimension_names=(axis,),
            attributes={"standard_name": f"projection_{axis}_coordinate", "units": "m", "axis": axis.upper()},
            **zarr_codecs_for(np.dtype("f8")),
        )
    for name, variable in times(slots, bands).items():
        _small(group, name, *_as_stored(variable))
    pixels = bands[0].block_pixels if bands else 160
    made: tuple[Band | Mask, ...] = (*bands, *layout.masks_of(resolution))
    for what in made:
        is_band = isinstance(what, Band)
        about = band_attributes(what, reflectance=False) if isinstance(what, Band) else flags_of(what.kind)
        group.create_array(
            what.key if isinstance(what, Band) else what.variable,
            shape=(len(slots), rows, columns),
            chunks=(1, pixels, pixels),
            dtype="uint16" if is_band else "uint8",
            fill_value=0,
            dimension_names=("time", "y", "x"),
            attributes={**where, **_plain(about)},
            **(zarr_codecs(profile) if is_band else zarr_codecs_for(np.dtype("u1"))),
        )


def _holders(root: zarr.Group, layout: ZoneLayout, named: Sequence[Sequence[str]]) -> None:
    """Declare who holds which block."""
    names = [name for some in named for name in some]
    steps = np.array([step for step, some in enumerate(named) for _ in some], np.int32)
    north, east = block_centres(layout.blocks.bounds)
    _small(root, "product", ("product",), np.array(names, np.dtypes.StringDType()), {})
    _small(root, "product_step", ("product",), steps, {"long_name": "Step of each product, as index into time"})
    for name, centres, which in (("block_y", north, "Northing"), ("block_x", east, "Easting")):
        _small(root, name, (name,), centres, {"long_name": f"{which} of the block's centre", "units": "m"})
    rows, columns = layout.blocks.shape
    root.create_array(
        "source",
        shape=(layout.steps, rows, columns),
        chunks=(1, rows, columns),
        dtype="int32",
        fill_value=-1,
        dimension_names=("time", "block_y", "block_x"),
        attributes={
            "long_name": "Product of each block, as index into product; -1 where there is none",
            "comment": "Of blocks with several holders the first, whose DN > 0 win; the others fill its zeros",
        },
        **zarr_codecs_for(np.dtype("i4")),
    )


def _as_stored(variable: tuple[Any, ...]) -> tuple[tuple[str, ...], Any, dict[str, Any]]:
    """Return dimensions, values and attributes of a coordinate as they are stored."""
    dimension, values, about = (*variable, {})[:3]
    dimensions = (dimension,) if isinstance(dimension, str) else tuple(dimension)
    if values.dtype.kind == "M":
        how = {name: TIME_ENCODING[name] for name in ("units", "calendar")}
        return dimensions, values.astype("datetime64[us]").astype(np.int64), {**about, **how}
    if values.dtype.kind == "U":
        return dimensions, values.astype(np.dtypes.StringDType()), about
    return dimensions, values, about


def _small(group: zarr.Group, name: str, dimensions: tuple[str, ...], values: Any, about: Mapping[str, Any]) -> None:
    """Write an array in one chunk."""
    text = isinstance(values.dtype, np.dtypes.StringDType)
    group.create_array(
        name,
        data=values,
        chunks=values.shape,
        dimension_names=dimensions,
        attributes=_plain(about),
        **({} if text else zarr_codecs_for(values.dtype)),
    )


def _plain(about: Mapping[str, Any]) -> dict[str, Any]:
    """Return attributes as JSON values."""
    return {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in about.items()}
