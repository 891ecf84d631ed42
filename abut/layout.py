"""Names and shapes inside a product's store: bands, groups, arrays, chunk keys.

The tree uses the names of EOPF. An object of a band array is one block of the lattice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from abut.lattice import BLOCK_SIZE


@dataclass(frozen=True, slots=True)
class Band:
    """A band of the Multi-Spectral Instrument."""

    name: str
    """Name in SAFE, such as ``B02`` or ``B8A``."""
    index: int
    """``bandId`` of the metadata, 0 ... 12; B8A is 8."""
    resolution: int
    """Pixel size in metres."""
    common_name: str
    """Common name of STAC's eo extension."""
    description: str
    """What it is for."""

    @property
    def key(self) -> str:
        """Name of its arrays in the store: the SAFE name in lower case."""
        return self.name.lower()

    @property
    def group(self) -> str:
        """Name of its resolution group: ``r10m``, ``r20m`` or ``r60m``."""
        return f"r{self.resolution}m"

    @property
    def block_pixels(self) -> int:
        """Side of a block in pixels: 960, 480 or 160."""
        return BLOCK_SIZE // self.resolution

    @property
    def path(self) -> str:
        """Path of its reflectance array in a product's store."""
        return f"{REFLECTANCE}/{self.group}/{self.key}"


REFLECTANCE: Final = "measurements/reflectance"
"""Group of the band arrays, by resolution."""
OVERVIEWS: Final = "measurements/reflectance/overviews"
"""Group of the overviews, by the pixel size of the band and the reduction: ``r10m/4/b02``."""
DETECTOR_FOOTPRINT: Final = "conditions/mask/detector_footprint"
"""Group of the detector masks: one array (band, y, x) per resolution."""
CLASSIFICATION: Final = "conditions/mask/l1c_classification/r60m"
"""Array of the classification: bit 0 opaque cloud, bit 1 cirrus, bit 2 snow or ice."""
QUALITY: Final = "quality/mask"
"""Group of the quality masks: one array (band, y, x) per resolution, eight planes packed as bits."""
GEOMETRY: Final = "conditions/geometry"
"""Group of the sun and viewing angles."""
METEOROLOGY: Final = "conditions/meteorology"
"""Group of the ECMWF and CAMS fields."""
LEGACY: Final = "legacy"
"""Folder of every other file of the SAFE, byte for byte."""
RECORD: Final = "record.json"
"""Object with the digests and sizes of everything in the store."""

BANDS: Final = (
    Band("B01", 0, 60, "coastal", "Coastal aerosol"),
    Band("B02", 1, 10, "blue", "Blue"),
    Band("B03", 2, 10, "green", "Green"),
    Band("B04", 3, 10, "red", "Red"),
    Band("B05", 4, 20, "rededge071", "Red edge 1"),
    Band("B06", 5, 20, "rededge075", "Red edge 2"),
    Band("B07", 6, 20, "rededge078", "Red edge 3"),
    Band("B08", 7, 10, "nir", "Near infrared"),
    Band("B8A", 8, 20, "nir08", "Near infrared, narrow"),
    Band("B09", 9, 60, "nir09", "Water vapour"),
    Band("B10", 10, 60, "cirrus", "Cirrus"),
    Band("B11", 11, 20, "swir16", "Short-wave infrared 1"),
    Band("B12", 12, 20, "swir22", "Short-wave infrared 2"),
)
"""The thirteen bands in the order of their ``bandId``."""

BAND: Final = {band.name: band for band in BANDS}
"""Bands by name."""

QUALITY_BITS: Final = (
    "ANC_LOST",
    "ANC_DEG",
    "MSI_LOST",
    "MSI_DEG",
    "QT_DEFECTIVE",
    "QT_NODATA",
    "QT_PARTIALLY_CORRECTED",
    "SATURATED_L1A",
)
"""Planes of MSK_QUALIT in file order; plane i is bit i of the packed mask."""

CLASSIFICATION_BITS: Final = ("OPAQUE", "CIRRUS", "SNOW_ICE")
"""Planes of MSK_CLASSI in file order; plane i is bit i of the packed mask."""

MASK_BLOCKS: Final = 4
"""Side of the chunks of the mask arrays in blocks, counted from the north-west corner of the hull."""


def bands_of(resolution: int) -> tuple[Band, ...]:
    """Return the bands of a pixel size in the order of the band axis of the mask arrays."""
    return tuple(band for band in BANDS if band.resolution == resolution)


def block_key(array_path: str, row: int, column: int) -> str:
    """Return the key, in a product's store, of the object of one block of a (y, x) array."""
    return f"{array_path}/c/{row}/{column}"
