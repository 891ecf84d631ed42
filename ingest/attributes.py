"""Attributes of the groups and arrays of a product's store, for all readers at once.

They follow CF (`x`, `y` pixel centres, `spatial_ref`, `grid_mapping`, `scale_factor`, `add_offset`, `_FillValue`), the
Zarr conventions `proj:`, `spatial:` and `multiscales`, and GDAL (`_CRS` on the arrays).
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from abut.georeference import convention
from ingest.overviews import reductions

if TYPE_CHECKING:
    from abut.metadata import BandMetadata, ProductMetadata

HELD_ONLY: Final = (
    "What this product holds, on the rectangle of blocks around its tile: zero outside the tile, and absent where a "
    "neighbouring product holds the block with equal pixels. Not the legacy tile: abut recreates that."
)


def band_attributes(metadata: ProductMetadata, band: BandMetadata) -> dict[str, Any]:
    """Return the CF attributes of a band: reflectance = DN * scale_factor + add_offset where DN > 0."""
    quantification = metadata.quantification_value
    known = {
        "solar_irradiance": band.solar_irradiance,
        "physical_gain": band.physical_gain,
        "central_wavelength": band.wavelength_central,
    }
    return {
        "long_name": f"{band.band.description}, top-of-atmosphere reflectance, band {band.band.name}",
        "standard_name": "toa_bidirectional_reflectance",
        "units": "1",
        "scale_factor": 1 / quantification,
        "add_offset": band.radio_add_offset / quantification,
        "_FillValue": 0,
        "radio_add_offset": band.radio_add_offset,
        "quantification_value": quantification,
        "description": HELD_ONLY,
        **{name: value for name, value in known.items() if value is not None},
    }


def root_attributes(metadata: ProductMetadata) -> dict[str, Any]:
    """Return what the root group says of its product."""
    return {
        "Conventions": "CF-1.11",
        "title": metadata.id,
        "summary": HELD_ONLY,
        "product": metadata.id,
        "tile": metadata.tile.id,
        "platform": metadata.spacecraft,
        "processing_baseline": metadata.processing_baseline,
        "datatake": metadata.datatake_id,
        "datastrip": metadata.datastrip_id,
        "sensing_time": metadata.sensing_time.isoformat(),
        "relative_orbit": metadata.relative_orbit,
        "special_values": dict(metadata.special_values),
    }


def multiscales(resolution: int) -> dict[str, Any]:
    """Return how the overviews of a pixel size hang together."""
    levels = reductions(resolution)
    layout_entries: list[dict[str, Any]] = [{"asset": str(levels[0])}]
    for finer, coarser in pairwise(levels):
        factor = coarser / finer
        layout_entries.append(
            {
                "asset": str(coarser),
                "derived_from": str(finer),
                "transform": {"scale": [factor, factor], "translation": [0.0, 0.0]},
                "resampling_method": "average",
            }
        )
    return {
        "zarr_conventions": [convention("multiscales")],
        "multiscales": {"layout": layout_entries, "resampling_method": "average"},
    }
