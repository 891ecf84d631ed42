"""What a Level-1C granule's metadata says, as plain values without a trace of XML.

The reader in `ingest` fills these from SAFE; the catalogue and the store describe products with them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    import numpy as np
    from numpy.typing import NDArray

    from abut.layout import Band
    from abut.tiling import Tile

ANGLE_STEP = 5_000
"""Distance of the nodes of the angle grids in metres, from the tile's own upper left corner."""

ANGLE_NODES = 23
"""Nodes of the angle grids in each direction."""

DETECTORS = 12
"""Detectors of the instrument; detector ids are 1 ... 12."""


def version(text: str) -> tuple[int, ...]:
    """Return a processing baseline such as ``05.11`` as numbers, so that versions compare rightly.

    Raises
    ------
    ValueError
        If it is not made of numbers and dots.
    """
    return tuple(int(part) for part in text.split("."))


@dataclass(frozen=True, slots=True, kw_only=True)
class BandMetadata:
    """Metadata of one band of one product."""

    band: Band
    """Which band."""
    image: str
    """Path of its image in the SAFE, with ``/`` and suffix, relative to the SAFE folder."""
    radio_add_offset: int
    """``RADIO_ADD_OFFSET`` in DN; 0 where the metadata has none (before baseline 04.00)."""
    solar_irradiance: float | None
    """Equivalent solar irradiance at 1 au in W m-2 um-1."""
    physical_gain: float | None
    """``PHYSICAL_GAINS`` of the band."""
    wavelength_min: float | None
    """Lower end of the spectral range in nm."""
    wavelength_central: float | None
    """Central wavelength in nm."""
    wavelength_max: float | None
    """Upper end of the spectral range in nm."""
    response_step: float | None
    """Step of the spectral response in nm, from `wavelength_min` on."""
    response: tuple[float, ...]
    """Spectral response, largest value 1; empty where the metadata has none."""
    mean_view_zenith: float | None
    """Mean viewing zenith angle in degrees."""
    mean_view_azimuth: float | None
    """Mean viewing azimuth angle in degrees."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ProductMetadata:
    """Metadata of one product: one granule of one SAFE."""

    id: str
    """SAFE name without ``.SAFE``; of a multi-granule SAFE the id of the granule."""
    safe_name: str
    """Name of the SAFE folder that it came in, with ``.SAFE``."""
    safe_format: Literal["compact", "multi-granule"]
    """Layout of that SAFE."""
    tile: Tile
    """Tile of the granule."""
    granule_id: str
    """``TILE_ID`` of the granule, such as ``S2B_OPER_MSI_L1C_TL_2BPS_..._T34UCF_N05.09``."""
    datastrip_id: str
    """Full ``DATASTRIP_ID``, creation time and baseline included."""
    datatake_id: str
    """``datatakeIdentifier``, such as ``GS2B_20230823T095559_033753_N05.09``."""
    datatake_type: str
    """Type of the datatake, such as ``INS-NOBS``."""
    datatake_start: datetime
    """``DATATAKE_SENSING_START``, UTC; the same for all tiles of the datatake."""
    datastrip_start: datetime
    """Sensing start of the datastrip (the ``S<time>`` of its id), UTC, whole seconds."""
    sensing_time: datetime
    """``SENSING_TIME`` of the tile, UTC."""
    product_start: datetime
    """``PRODUCT_START_TIME``, UTC."""
    product_stop: datetime
    """``PRODUCT_STOP_TIME``, UTC."""
    generation_time: datetime
    """``GENERATION_TIME`` of the product, UTC."""
    spacecraft: str
    """``SPACECRAFT_NAME``, such as ``Sentinel-2B``."""
    processing_baseline: str
    """``PROCESSING_BASELINE``, such as ``05.09``."""
    product_type: str
    """``PRODUCT_TYPE``: ``S2MSI1C``."""
    product_doi: str | None
    """``PRODUCT_DOI`` where there is one."""
    relative_orbit: int
    """``SENSING_ORBIT_NUMBER``, 1 ... 143."""
    absolute_orbit: int
    """Number of the orbit since launch."""
    orbit_direction: Literal["ascending", "descending"]
    """Direction of the satellite's flight."""
    quantification_value: int
    """``QUANTIFICATION_VALUE``: DN per unit of reflectance."""
    special_values: Mapping[str, int]
    """``Special_Values``: NODATA, SATURATED."""
    reflectance_conversion_u: float | None
    """``U``: correction for the distance of the sun."""
    cloud_percentage: float | None
    """Cloudy part in percent: of the tile, else of the product (``Cloud_Coverage_Assessment``)."""
    nodata_percentage: float | None
    """``NODATA_PIXEL_PERCENTAGE`` where there is one."""
    degraded_percentage: float | None
    """``DEGRADED_MSI_DATA_PERCENTAGE`` where there is one."""
    mean_sun_zenith: float
    """Mean sun zenith angle in degrees."""
    mean_sun_azimuth: float
    """Mean sun azimuth angle in degrees."""
    sun_angles: NDArray[np.float64]
    """Sun zenith and azimuth in degrees, shape (2, 23, 23): angle, y (north to south), x."""
    view_angles: NDArray[np.float64]
    """Viewing zenith and azimuth in degrees, shape (13, 12, 2, 23, 23): band, detector - 1, angle, y, x.

    NaN where a detector does not see; all NaN for a detector that has no grid.
    """
    bands: tuple[BandMetadata, ...]
    """The thirteen bands in the order of their ``bandId``."""

    @property
    def layer(self) -> str:
        """Name of the layer: zone and full datastrip id. Products of one layer may share blocks."""
        return f"{self.tile.zone.epsg}.{self.datastrip_id}"
