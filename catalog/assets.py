"""Assets of an item: band arrays, the product's group, masks, angles and legacy files."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from abut import layout
from catalog.extensions import ZARR_ARRAY_TYPE, ZARR_GROUP_TYPE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from abut.lattice import Bounds
    from abut.layout import Band
    from abut.metadata import BandMetadata, ProductMetadata

PARTIAL: Final = (
    "What this product holds, on the blocks around its tile; zeros where a block is empty or held by a neighbour "
    "(links abut:neighbour). Not the legacy tile."
)
"""Said of every array whose blocks may be held by another product."""

_NEW_COMMON_NAMES: Final = frozenset({"rededge071", "rededge075", "rededge078"})
"""Common names that version 1 of the eo extension did not have."""

_IMAGE_TYPES: Final = {".jp2": "image/jp2", ".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg"}


@dataclass(frozen=True, slots=True)
class _Mask:
    key: str
    path: str
    node: str
    title: str
    description: str
    roles: tuple[str, ...]


_MASKS: Final = (
    _Mask(
        "detector_footprint",
        layout.DETECTOR_FOOTPRINT,
        "group",
        "Detector footprints",
        "Number of the detector that saw a pixel, one array a resolution; kept whole by each product.",
        ("data-mask",),
    ),
    _Mask(
        "quality",
        layout.QUALITY,
        "group",
        "Quality masks",
        "Eight flags a pixel packed as bits, one array a resolution; kept whole by each product.",
        ("data-mask",),
    ),
    _Mask(
        "classification",
        layout.CLASSIFICATION,
        "array",
        "Cloud and snow classification",
        "Opaque clouds, cirrus, snow or ice as bits at 60 m; kept whole by each product.",
        ("data-mask", "cloud", "snow-ice"),
    ),
)


def number(value: float | None) -> float | None:
    """Return a finite number, or None: JSON has no NaN."""
    return None if value is None or not math.isfinite(value) else float(value)


def present(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that have a value."""
    return {key: value for key, value in fields.items() if value is not None}


def half_maximum_width(step: float, response: Iterable[float]) -> float | None:
    """Return the full width at half maximum of a spectral response.

    The outermost crossings of half the largest value, linear between the samples; the response is 0 outside of them.

    Parameters
    ----------
    step : float
        Distance of the samples in wavelength.
    response : iterable of float
        Samples, any scale.

    Returns
    -------
    float or None
        Width in the unit of `step`; None of a response without a positive value.
    """
    samples = [0.0, *response, 0.0]
    half = max(samples) / 2
    if not half > 0:
        return None
    above = [i for i, value in enumerate(samples) if value >= half]
    first, last = above[0], above[-1]
    left = first - (samples[first] - half) / (samples[first] - samples[first - 1])
    right = last + (samples[last] - half) / (samples[last] - samples[last + 1])
    return (right - left) * step


def band_object(metadata: BandMetadata) -> dict[str, Any]:
    """Return the STAC band object of a band; wavelengths in micrometres, irradiance in W m-2 um-1."""
    width = None
    if metadata.response_step:
        width = half_maximum_width(metadata.response_step, metadata.response)
    centre = number(metadata.wavelength_central)
    return present(
        {
            "name": metadata.band.name,
            "description": metadata.band.description,
            "eo:common_name": metadata.band.common_name,
            "eo:center_wavelength": None if centre is None else round(centre / 1000, 6),
            "eo:full_width_half_max": None if width is None else round(width / 1000, 6),
            "eo:solar_illumination": number(metadata.solar_irradiance),
        }
    )


def eo_bands(band: Band) -> list[dict[str, Any]]:
    """Return ``eo:bands``, by which pystac and odc-stac know a band: ``odc.stac.load(items, bands=["blue"])``.

    The bands are named by their common names, as Earth Search names them, so that odc-stac knows the three red edges
    too: version 1 of the eo extension has but one common name for them.
    """
    named = {"common_name": band.common_name} if band.common_name not in _NEW_COMMON_NAMES else {}
    return [{"name": band.common_name, **named}]


def transform_of(bounds: Bounds, resolution: int) -> list[int]:
    """Return ``proj:transform`` of an array over some ground: the six numbers of the affine transform."""
    return [resolution, 0, bounds.left, 0, -resolution, bounds.top]


def band_asset(product: ProductMetadata, metadata: BandMetadata, prefix: str) -> dict[str, Any]:
    """Return the asset of a band's array, which spans the hull of the product's tile."""
    band, hull = metadata.band, product.tile.hull.bounds
    return {
        "href": f"./{prefix}/{band.path}",
        "type": ZARR_ARRAY_TYPE,
        "title": f"{band.name}: {band.description} ({band.resolution} m), as held by this product",
        "description": f"Digital numbers of top-of-atmosphere reflectance. {PARTIAL}",
        "roles": ["data", "reflectance"],
        "bands": [band_object(metadata)],
        "eo:bands": eo_bands(band),
        "gsd": band.resolution,
        "nodata": 0,
        "data_type": "uint16",
        "unit": "1",
        "proj:shape": list(hull.shape(band.resolution)),
        "proj:transform": transform_of(hull, band.resolution),
        "raster:scale": 1 / product.quantification_value,
        "raster:offset": metadata.radio_add_offset / product.quantification_value,
        "raster:spatial_resolution": band.resolution,
        "zarr:node_type": "array",
        "zarr:zarr_format": 3,
        "abut:radio_add_offset": metadata.radio_add_offset,
    }


def product_asset(prefix: str) -> dict[str, Any]:
    """Return the asset of the product's Zarr group."""
    return {
        "href": f"./{prefix}",
        "type": ZARR_GROUP_TYPE,
        "title": "Product as a Zarr group",
        "description": f"All arrays of the product. Of the bands: {PARTIAL[0].lower()}{PARTIAL[1:]}",
        "roles": ["data", "metadata"],
        "zarr:node_type": "group",
        "zarr:zarr_format": 3,
        "zarr:consolidated": True,
    }


def mask_assets(masks: Iterable[str], prefix: str) -> dict[str, dict[str, Any]]:
    """Return the assets of the masks that a product has.

    Parameters
    ----------
    masks : iterable of str
        Names as in the product's record: ``detector_footprint/B02``, ``quality/B02``, ``classification``.
    prefix : str
        Name of the store.
    """
    kinds = {name.partition("/")[0] for name in masks}
    return {
        mask.key: {
            "href": f"./{prefix}/{mask.path}",
            "type": ZARR_GROUP_TYPE,
            "title": mask.title,
            "description": mask.description,
            "roles": list(mask.roles),
            "zarr:node_type": mask.node,
            "zarr:zarr_format": 3,
        }
        for mask in _MASKS
        if mask.key in kinds
    }


def angles_asset(prefix: str) -> dict[str, Any]:
    """Return the asset of the sun and viewing angles."""
    return {
        "href": f"./{prefix}/{layout.GEOMETRY}",
        "type": ZARR_GROUP_TYPE,
        "title": "Sun and viewing angles",
        "description": "Zenith and azimuth on 23 x 23 nodes, 5 km apart from the tile's own corner.",
        "roles": ["metadata", "sun-azimuth", "sun-zenith", "incidence-angle", "azimuth"],
        "zarr:node_type": "group",
        "zarr:zarr_format": 3,
    }


def legacy_assets(files: Mapping[str, int], tile: str, prefix: str) -> dict[str, dict[str, Any]]:
    """Return the assets of the SAFE's metadata and of its preview image, where there are any.

    Parameters
    ----------
    files : mapping of str to int
        Paths in the SAFE and sizes in bytes of all legacy files.
    tile : str
        Id of the tile, to tell granules of a multi-granule SAFE apart.
    prefix : str
        Name of the store.
    """
    granule = _first((path for path in files if _is_granule_metadata(path)), tile)
    product = _first((path for path in files if _is_product_metadata(path)), tile)
    preview = _first((path for path in files if _is_preview(path)), tile)
    found = {
        "granule_metadata": (granule, "application/xml", "Metadata of the granule", ["metadata"]),
        "product_metadata": (product, "application/xml", "Metadata of the product", ["metadata"]),
        "thumbnail": (preview, _IMAGE_TYPES.get(_suffix(preview)), "Preview of the legacy tile", ["thumbnail"]),
    }
    return {
        key: {
            "href": f"./{prefix}/{layout.LEGACY}/{path}",
            "type": media_type,
            "title": title,
            "roles": roles,
            "file:size": files[path],
        }
        for key, (path, media_type, title, roles) in found.items()
        if path is not None
    }


def _first(paths: Iterable[str], tile: str) -> str | None:
    return min(paths, key=lambda path: (f"_T{tile}" not in path, path), default=None)


def _suffix(path: str | None) -> str:
    return PurePosixPath(path or "").suffix.lower()


def _is_granule_metadata(path: str) -> bool:
    folder, name = PurePosixPath(path).parent.parts, PurePosixPath(path).name
    return len(folder) == 2 and folder[0] == "GRANULE" and name.endswith(".xml") and "MTD" in name


def _is_product_metadata(path: str) -> bool:
    return "/" not in path and path.endswith(".xml") and "MTD" in path


def _is_preview(path: str) -> bool:
    name = PurePosixPath(path).name
    return path.startswith("GRANULE/") and "PVI" in name and _suffix(path) in _IMAGE_TYPES
