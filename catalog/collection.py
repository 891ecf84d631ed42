"""The STAC collection of all products of an archive."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

import pystac

from abut.layout import BANDS, Band
from catalog import extensions
from catalog.assets import PARTIAL, angles_asset, mask_assets, product_asset
from catalog.item import COLLECTION_ID

LICENCE: Final = "https://sentinel.esa.int/documents/247904/690755/Sentinel_Data_Legal_Notice"
"""Legal notice on the use of Copernicus Sentinel data."""

_FIRST_IMAGE: Final = datetime(2015, 6, 27, 10, 25, 31, tzinfo=UTC)

_DESCRIPTION: Final = (
    "Sentinel-2 Level-1C, top-of-atmosphere reflectance of the Multi-Spectral Instrument, stored once: Zarr arrays "
    "cut into blocks of 9,600 m, where a block that neighbouring tiles share with equal pixels is held by one of "
    "them. An item's geometry is the ground that its product holds, `abut:footprint` is the legacy tile, and links "
    "`abut:neighbour` name the products that hold the rest of it. Reflectance is (DN + RADIO_ADD_OFFSET) / "
    "QUANTIFICATION_VALUE (`raster:scale` and `raster:offset` of the assets) where DN is not 0."
)


def make_collection() -> pystac.Collection:
    """Return the collection `sentinel-2-l1c`, from the first image of the mission on, for all the world."""
    collection = pystac.Collection(
        id=COLLECTION_ID,
        title="Sentinel-2 Level-1C",
        description=_DESCRIPTION,
        extent=pystac.Extent(
            pystac.SpatialExtent([[-180.0, -90.0, 180.0, 90.0]]),
            pystac.TemporalExtent([[_FIRST_IMAGE, None]]),
        ),
        stac_extensions=list(extensions.COLLECTION),
        license="other",
        keywords=["sentinel-2", "copernicus", "esa", "msi", "l1c", "reflectance", "satellite", "zarr"],
        providers=[
            pystac.Provider(
                name="European Union/ESA/Copernicus",
                roles=[pystac.ProviderRole.PRODUCER, pystac.ProviderRole.LICENSOR],
                url="https://sentinels.copernicus.eu/web/sentinel/missions/sentinel-2",
            )
        ],
        summaries=pystac.Summaries(_summaries()),
    )
    collection.extra_fields["item_assets"] = _item_assets()
    collection.add_link(pystac.Link("license", LICENCE, title="Copernicus Sentinel data legal notice"))
    return collection


def _band(band: Band) -> dict[str, Any]:
    return {"name": band.name, "description": band.description, "eo:common_name": band.common_name}


def _summaries() -> dict[str, Any]:
    return {
        "platform": ["sentinel-2a", "sentinel-2b", "sentinel-2c"],
        "constellation": ["sentinel-2"],
        "instruments": ["msi"],
        "gsd": [10, 20, 60],
        "bands": [{**_band(band), "gsd": band.resolution} for band in BANDS],
        "eo:cloud_cover": {"minimum": 0, "maximum": 100},
        "processing:level": ["L1C"],
        "product:type": ["S2MSI1C"],
        "sat:orbit_state": ["ascending", "descending"],
        "sat:relative_orbit": {"minimum": 1, "maximum": 143},
        "grid:code": {"type": "string", "pattern": "^MGRS-[0-9]{2}[C-HJ-NP-X][A-HJ-NP-Z]{2}$"},
        "proj:code": {"type": "string", "pattern": "^EPSG:32[67][0-9]{2}$"},
        "view:sun_elevation": {"minimum": -90, "maximum": 90},
    }


def _item_assets() -> dict[str, Any]:
    templates = {
        "product": product_asset(""),
        **mask_assets(["detector_footprint", "quality", "classification"], ""),
        "angles": angles_asset(""),
    }
    shared = {key: {name: value for name, value in asset.items() if name != "href"} for key, asset in templates.items()}
    xml = {"type": "application/xml", "roles": ["metadata"]}
    return {
        **{band.name: _band_template(band) for band in BANDS},
        **shared,
        "granule_metadata": {"title": "Metadata of the granule", **xml},
        "product_metadata": {"title": "Metadata of the product", **xml},
        "thumbnail": {"title": "Preview of the legacy tile", "type": "image/jp2", "roles": ["thumbnail"]},
    }


def _band_template(band: Band) -> dict[str, Any]:
    return {
        "type": extensions.ZARR_ARRAY_TYPE,
        "title": f"{band.name}: {band.description} ({band.resolution} m), as held by each product",
        "description": f"Digital numbers of top-of-atmosphere reflectance. {PARTIAL}",
        "roles": ["data", "reflectance"],
        "bands": [_band(band)],
        "gsd": band.resolution,
        "nodata": 0,
        "data_type": "uint16",
        "unit": "1",
        "raster:spatial_resolution": band.resolution,
    }
