"""The STAC item of a product: made once at ingest, then kept in step with the ledger.

An item lies at ``products/<id>.json`` of an archive, beside the product's store; its links are relative to that.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pystac

from abut import __version__
from abut.lattice import BLOCK_SIZE
from catalog import assets, extensions
from catalog.bitmap import Position, pack
from catalog.geometry import footprint_of
from catalog.holding import Holding, holding_of, timestamp, valid_of, with_holding

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from abut.metadata import BandMetadata, ProductMetadata
    from abut.tiling import Tile

__all__ = ["COLLECTION_ID", "Holding", "StoreDescription", "holding_of", "make_item", "valid_of", "with_holding"]

COLLECTION_ID: Final = "sentinel-2-l1c"
"""Id of the collection of all items."""

_ACQUISITION: Final = {
    "INS-NOBS": "nominal",
    "INS-DASC": "calibration",
    "INS-ABSR": "calibration",
    "INS-VIC": "calibration",
}
"""Kind of acquisition by type of datatake, where the words of the Product Specification Document say it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreDescription:
    """What the writer of a product's store knows."""

    prefix: str
    """Name of the store folder beside the item: ``<id>.<attempt>.zarr``."""
    layer: str
    """Name of the layer."""
    band_digests: Mapping[str, str]
    """Hex SHA-256 of the decoded legacy array by name of band."""
    mask_digests: Mapping[str, str]
    """Hex SHA-256 of the decoded legacy array by name of mask, such as ``quality/B02``."""
    record_digest: str
    """Hex SHA-256 of ``record.json``."""
    valid: frozenset[Position]
    """Row and column of the blocks of the hull that are not empty."""
    legacy_files: Mapping[str, int]
    """Size in bytes by path in the SAFE of the files under ``legacy/``."""
    data_bytes: int
    """Bytes of the objects of all bands."""
    created: datetime
    """When the store was written, UTC."""
    bands: tuple[str, ...]
    """Names of the bands stored, normally all thirteen."""


def make_item(metadata: ProductMetadata, store: StoreDescription) -> pystac.Item:
    """Return the item of a product that was just written: all its blocks held, revision 0.

    Parameters
    ----------
    metadata : ProductMetadata
        What the SAFE says.
    store : StoreDescription
        What the writer of the store says.

    Raises
    ------
    ValueError
        If no band is stored, a stored band has no metadata or no digest, a block is outside of the hull, or a time
        has no time zone.
    """
    bands = _stored_bands(metadata, store)
    item = {
        "type": "Feature",
        "stac_version": "1.1.0",
        "stac_extensions": list(extensions.ITEM),
        "id": metadata.id,
        "collection": COLLECTION_ID,
        "geometry": None,
        "properties": _properties(metadata, store, bands),
        "links": _links(metadata),
        "assets": _assets(metadata, store, bands),
    }
    holding = Holding(revision=0, held=store.valid, holders={}, withdrawn=False, updated=store.created)
    return pystac.Item.from_dict(with_holding(item, holding), migrate=False)


def _stored_bands(metadata: ProductMetadata, store: StoreDescription) -> list[BandMetadata]:
    known = {band.band.name: band for band in metadata.bands}
    if not store.bands:
        raise ValueError(f"{metadata.id}: no band is stored")
    for missing in (name for name in store.bands if name not in known or name not in store.band_digests):
        raise ValueError(f"{metadata.id}: band {missing} is stored but has no metadata or no digest")
    return [band for band in metadata.bands if band.band.name in store.bands]


def _assets(metadata: ProductMetadata, store: StoreDescription, bands: Iterable[BandMetadata]) -> dict[str, Any]:
    prefix = store.prefix
    return {
        **{band.band.name: assets.band_asset(metadata, band, prefix) for band in bands},
        "product": assets.product_asset(prefix),
        **assets.mask_assets(store.mask_digests, prefix),
        "angles": assets.angles_asset(prefix),
        **assets.legacy_assets(store.legacy_files, metadata.tile.id, prefix),
    }


def _links(metadata: ProductMetadata) -> list[dict[str, Any]]:
    links = [{"rel": "collection", "href": "../collection.json", "type": "application/json", "title": COLLECTION_ID}]
    if metadata.product_doi:
        doi = metadata.product_doi.removeprefix("https://doi.org/")
        links.append({"rel": "cite-as", "href": f"https://doi.org/{doi}", "title": "DOI of the product"})
    return links


def _properties(metadata: ProductMetadata, store: StoreDescription, bands: list[BandMetadata]) -> dict[str, Any]:
    created = timestamp(store.created)
    return assets.present(
        {
            "datetime": timestamp(metadata.datatake_start),
            "created": created,
            "updated": created,
            "published": created,
            "platform": metadata.spacecraft.lower(),
            "constellation": "sentinel-2",
            "instruments": ["msi"],
            "gsd": min(band.band.resolution for band in bands),
            "eo:cloud_cover": assets.number(metadata.cloud_percentage),
            **_tile_properties(metadata.tile),
            **_orbit_properties(metadata),
            **_view_properties(metadata, bands),
            "processing:level": "L1C",
            "processing:version": metadata.processing_baseline,
            "processing:datetime": timestamp(metadata.generation_time),
            "processing:software": {"abut": __version__},
            "product:type": metadata.product_type,
            "product:acquisition_type": _ACQUISITION.get(metadata.datatake_type),
            **_sentinel_properties(metadata),
            **_abut_properties(metadata, store),
        }
    )


def _tile_properties(tile: Tile) -> dict[str, Any]:
    hull = tile.hull.bounds
    return {
        "proj:code": str(tile.zone),
        "proj:bbox": [hull.left, hull.bottom, hull.right, hull.top],
        "grid:code": f"MGRS-{tile.id}",
        "mgrs:utm_zone": tile.zone.number,
        "mgrs:latitude_band": tile.id[2],
        "mgrs:grid_square": tile.id[3:],
    }


def _orbit_properties(metadata: ProductMetadata) -> dict[str, Any]:
    return {
        "sat:orbit_state": metadata.orbit_direction,
        "sat:relative_orbit": metadata.relative_orbit,
        "sat:absolute_orbit": metadata.absolute_orbit,
    }


def _view_properties(metadata: ProductMetadata, bands: Iterable[BandMetadata]) -> dict[str, Any]:
    """Directions from the ground to the sun and, as the mean over the bands that have one, to the sensor.

    ``view:azimuth`` is SAFE's, towards the sensor, as in other catalogues of Sentinel-2; the definition of the
    extension can be read the other way round.
    """
    angles = [(assets.number(band.mean_view_zenith), assets.number(band.mean_view_azimuth)) for band in bands]
    views = [(math.radians(z), math.radians(a)) for z, a in angles if z is not None and a is not None]
    fields: dict[str, Any] = {
        "view:sun_azimuth": assets.number(metadata.mean_sun_azimuth),
        "view:sun_elevation": round(90 - metadata.mean_sun_zenith, 9),
    }
    if views:
        east = sum(math.sin(zenith) * math.sin(azimuth) for zenith, azimuth in views)
        north = sum(math.sin(zenith) * math.cos(azimuth) for zenith, azimuth in views)
        up = sum(math.cos(zenith) for zenith, _ in views)
        fields["view:incidence_angle"] = round(math.degrees(math.atan2(math.hypot(east, north), up)), 6)
        fields["view:azimuth"] = round(math.degrees(math.atan2(east, north)) % 360, 6)
    return fields


def _sentinel_properties(metadata: ProductMetadata) -> dict[str, Any]:
    return {
        "s2:product_uri": metadata.safe_name,
        "s2:tile_id": metadata.granule_id,
        "s2:datatake_id": metadata.datatake_id,
        "s2:datastrip_id": metadata.datastrip_id,
        "s2:datatake_type": metadata.datatake_type,
        "s2:reflectance_conversion_factor": assets.number(metadata.reflectance_conversion_u),
        "s2:nodata_pixel_percentage": assets.number(metadata.nodata_percentage),
        "s2:degraded_msi_data_percentage": assets.number(metadata.degraded_percentage),
    }


def _abut_properties(metadata: ProductMetadata, store: StoreDescription) -> dict[str, Any]:
    hull = metadata.tile.hull
    valid = pack(store.valid, hull.shape)
    northwest = hull.block(0, 0)
    return {
        "abut:footprint": footprint_of(metadata.tile),
        "abut:sensing_time": timestamp(metadata.sensing_time),
        "abut:datastrip_start": timestamp(metadata.datastrip_start),
        "abut:quantification_value": metadata.quantification_value,
        "abut:layer": store.layer,
        "abut:store": store.prefix,
        "abut:revision": 0,
        "abut:withdrawn": False,
        "abut:blocks": {
            "size": BLOCK_SIZE,
            "shape": list(hull.shape),
            "northwest": [northwest.p, northwest.q],
            "valid": valid,
            "held": valid,
        },
        "abut:digests": {
            "algorithm": "sha256",
            "bands": dict(store.band_digests),
            "masks": dict(store.mask_digests),
        },
        "abut:record_digest": store.record_digest,
        "abut:data_bytes": store.data_bytes,
    }
