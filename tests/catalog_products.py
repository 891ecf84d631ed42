"""Products as plain metadata, for the tests of items and catalogues."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from abut.layout import BAND, BANDS
from abut.metadata import ANGLE_NODES, DETECTORS, BandMetadata, ProductMetadata
from abut.tiling import Tile, tile
from catalog.item import StoreDescription, make_item

if TYPE_CHECKING:
    from collections.abc import Iterable

    from abut.layout import Band
    from catalog.bitmap import Position

START = datetime(2023, 8, 23, 9, 55, 59, 24_000, tzinfo=UTC)
"""Start of the datatake of a product that is not asked for another."""

SAFE_FILES = {
    "manifest.safe": 70_000,
    "MTD_MSIL1C.xml": 54_321,
    "INSPIRE.xml": 1_000,
    "DATASTRIP/DS_2BPS_20230823T120234_S20230823T095553/MTD_DS.xml": 9_000_000,
    "GRANULE/L1C_T32TNM_A033753_20230823T095553/MTD_TL.xml": 600_000,
    "GRANULE/L1C_T32TNM_A033753_20230823T095553/QI_DATA/T32TNM_20230823T095559_PVI.jp2": 80_000,
    "GRANULE/L1C_T32TNM_A033753_20230823T095553/QI_DATA/GENERAL_QUALITY.xml": 5_000,
}
"""Legacy files of a compact product and their sizes."""


def digest(text: str) -> str:
    """Hex SHA-256 of a word: stands for the digest of an array."""
    return hashlib.sha256(text.encode()).hexdigest()


def band_metadata(band: Band, *, full: bool = True) -> BandMetadata:
    """Metadata of a band; without `full` only what every SAFE has."""
    centre = 443.0 + 60 * band.index
    return BandMetadata(
        band=band,
        image=f"GRANULE/L1C/IMG_DATA/T32TNM_20230823T095559_{band.name}.jp2",
        radio_add_offset=-1000 if full else 0,
        solar_irradiance=1874.3 - band.index if full else None,
        physical_gain=3.9 if full else None,
        wavelength_min=centre - 10 if full else None,
        wavelength_central=centre if full else None,
        wavelength_max=centre + 10 if full else None,
        response_step=1.0 if full else None,
        response=tuple(1 - abs(i - 10) / 10 for i in range(21)) if full else (),
        mean_view_zenith=3.0 + band.index / 10 if full else None,
        mean_view_azimuth=(350.0 + 2 * band.index) % 360 if full else None,
    )


def product(tile_id: str = "32TNM", *, start: datetime = START, full: bool = True, **changes: Any) -> ProductMetadata:
    """Metadata of a product; without `full` every value that a SAFE may lack is missing."""
    place = tile(tile_id)
    stamp = start.strftime("%Y%m%dT%H%M%S")
    fields: dict[str, Any] = {
        "id": f"S2B_MSIL1C_{stamp}_N0509_R122_T{tile_id}_20230823T120234",
        "safe_name": f"S2B_MSIL1C_{stamp}_N0509_R122_T{tile_id}_20230823T120234.SAFE",
        "safe_format": "compact",
        "tile": place,
        "granule_id": f"S2B_OPER_MSI_L1C_TL_2BPS_20230823T120234_A033753_T{tile_id}_N05.09",
        "datastrip_id": f"S2B_OPER_MSI_L1C_DS_2BPS_20230823T120234_S{stamp}_N05.09",
        "datatake_id": f"GS2B_{stamp}_033753_N05.09",
        "datatake_type": "INS-NOBS",
        "datatake_start": start,
        "datastrip_start": start.replace(microsecond=0),
        "sensing_time": start + timedelta(seconds=317.25),
        "product_start": start,
        "product_stop": start,
        "generation_time": start + timedelta(hours=2),
        "spacecraft": "Sentinel-2B",
        "processing_baseline": "05.09",
        "product_type": "S2MSI1C",
        "product_doi": "https://doi.org/10.5270/S2_-742ikth" if full else None,
        "relative_orbit": 122,
        "absolute_orbit": 33753,
        "orbit_direction": "descending",
        "quantification_value": 10000,
        "special_values": {"NODATA": 0, "SATURATED": 65535},
        "reflectance_conversion_u": 0.976 if full else None,
        "cloud_percentage": 12.5 if full else None,
        "nodata_percentage": 0.25 if full else None,
        "degraded_percentage": 0.01 if full else None,
        "mean_sun_zenith": 41.25,
        "mean_sun_azimuth": 164.5,
        "sun_angles": np.full((2, ANGLE_NODES, ANGLE_NODES), 41.25),
        "view_angles": np.full((len(BANDS), DETECTORS, 2, ANGLE_NODES, ANGLE_NODES), np.nan),
        "bands": tuple(band_metadata(band, full=full) for band in BANDS),
    }
    return ProductMetadata(**{**fields, **changes})


def whole(place: Tile) -> frozenset[Position]:
    """All blocks of a tile's hull."""
    rows, columns = place.hull.shape
    return frozenset((row, column) for row in range(rows) for column in range(columns))


def store(
    metadata: ProductMetadata,
    *,
    bands: Iterable[str] = tuple(BAND),
    valid: frozenset[Position] | None = None,
    full: bool = True,
    **changes: Any,
) -> StoreDescription:
    """What a writer would know of a product; without `full` no masks and no legacy files."""
    names = tuple(bands)
    fields: dict[str, Any] = {
        "prefix": f"{metadata.id}.0a1b2c.zarr",
        "layer": metadata.layer,
        "band_digests": {name: digest(name) for name in names},
        "mask_digests": {name: digest(name) for name in ("detector_footprint/B02", "quality/B02", "classification")}
        if full
        else {},
        "record_digest": digest("record"),
        "valid": whole(metadata.tile) if valid is None else valid,
        "legacy_files": SAFE_FILES if full else {},
        "data_bytes": 612_345_678,
        "created": metadata.generation_time + timedelta(days=1),
        "bands": names,
    }
    return StoreDescription(**{**fields, **changes})


def item(tile_id: str = "32TNM", *, valid: frozenset[Position] | None = None, **changes: Any) -> dict[str, Any]:
    """Return the item of a product as JSON values."""
    metadata = product(tile_id, **changes)
    made: dict[str, Any] = make_item(metadata, store(metadata, valid=valid)).to_dict(transform_hrefs=False)
    return made
