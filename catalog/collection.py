"""The STAC collection of all products of an archive."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import pystac

from abut.layout import BANDS, Band
from catalog import extensions
from catalog.assets import PARTIAL, angles_asset, eo_bands, mask_assets, product_asset
from catalog.item import COLLECTION_ID
from catalog.renders import renders

if TYPE_CHECKING:
    from collections.abc import Mapping

LICENCE: Final = "https://sentinel.esa.int/documents/247904/690755/Sentinel_Data_Legal_Notice"
"""Legal notice on the use of Copernicus Sentinel data."""

DOI: Final = "https://doi.org/10.5270/S2_-742ikth"
"""DOI of Sentinel-2 Level-1C, as the products themselves name it (``PRODUCT_DOI``)."""

MISSION: Final = "https://sentinels.copernicus.eu/web/sentinel/missions/sentinel-2"
"""What there is to know about the mission."""

EDITION: Final = 2
"""Number of what `make_collection` says; to be increased with each change of it, so that archives get the new one."""

_EDITION: Final = "abut:edition"

_FIRST_IMAGE: Final = datetime(2015, 6, 27, 10, 25, 31, tzinfo=UTC)

_GRID_LATITUDES: Final = (-83.84, 84.65)
"""Latitudes that the Sentinel-2 tiling grid reaches."""

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
        keywords=[
            *("sentinel-2", "copernicus", "esa", "msi", "l1c", "level-1c"),
            *("top-of-atmosphere", "reflectance", "multispectral", "satellite", "zarr"),
        ],
        providers=[
            pystac.Provider(
                name="European Union/ESA/Copernicus",
                roles=[pystac.ProviderRole.PRODUCER, pystac.ProviderRole.PROCESSOR, pystac.ProviderRole.LICENSOR],
                url=MISSION,
            )
        ],
        summaries=pystac.Summaries(_summaries()),
    )
    collection.extra_fields[_EDITION] = EDITION
    collection.extra_fields["item_assets"] = _item_assets()
    collection.extra_fields["renders"] = renders()
    collection.extra_fields["cube:dimensions"] = _dimensions()
    collection.add_link(pystac.Link("license", LICENCE, title="Copernicus Sentinel data legal notice"))
    collection.add_link(pystac.Link("cite-as", DOI, title="Sentinel-2 MSI Level-1C TOA reflectance"))
    collection.add_link(pystac.Link("about", MISSION, "text/html", title="The Sentinel-2 mission"))
    return collection


def edition(collection: Mapping[str, Any]) -> int:
    """Return the `EDITION` that made a collection; 0 of those made before there were editions."""
    found = collection.get(_EDITION, 0)
    return found if isinstance(found, int) else 0


def _dimensions() -> dict[str, Any]:
    """Return the dimensions of all products as one cube.

    Pixels lie on the grid of their zone, so there is no x or y in metres that all of them share. What is true of all
    is where on the globe they can lie, in degrees, which is the extension's default reference system; an item's own
    grid is in ``proj:code``, ``proj:shape`` and ``proj:transform``.
    """
    south, north = _GRID_LATITUDES
    grids = (
        "pixels lie on the grid of their UTM zone, which the items and their assets name (proj:code, proj:transform)"
    )
    return {
        "x": {
            "type": "spatial",
            "axis": "x",
            "extent": [-180, 180],
            "description": f"Longitude that products can have; {grids}.",
        },
        "y": {
            "type": "spatial",
            "axis": "y",
            "extent": [south, north],
            "description": f"Latitude that products can have; {grids}.",
        },
        "time": {
            "type": "temporal",
            "extent": ["2015-06-27T10:25:31Z", None],
            "step": None,
            "description": "Start of the datatake, the same for all its products.",
        },
        "band": {"type": "bands", "values": [band.name for band in BANDS], "description": "Band, one array each."},
    }


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
        "processing:version": {"type": "string", "pattern": "^[0-9]{2}\\.[0-9]{2}$"},
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
        "eo:bands": eo_bands(band),
        "gsd": band.resolution,
        "nodata": 0,
        "data_type": "uint16",
        "unit": "1",
        "raster:spatial_resolution": band.resolution,
    }
