"""Names and ids of a product's files, old and new."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from abut.layout import bands_of
from abut.metadata import version

if TYPE_CHECKING:
    from datetime import datetime

    from abut.layout import Band
    from abut.testing.scene import Scene, Strip
    from abut.tiling import Tile


def stamp(moment: datetime) -> str:
    """Return a time as names write it: ``20250801T101559``."""
    return f"{moment:%Y%m%dT%H%M%S}"


def instant(moment: datetime) -> str:
    """Return a time as metadata write it, to the millisecond: ``2025-08-01T10:15:59.024Z``."""
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}Z"


def unit(band: Band) -> str:
    """Return a band's name in manifests: ``Band_10m_1`` is B02."""
    return f"Band_{band.resolution}m_{bands_of(band.resolution).index(band) + 1}"


@dataclass(frozen=True, slots=True)
class Names:
    """Names of one granule; compact layout unless said otherwise."""

    scene: Scene
    """What it shows."""
    strip: Strip
    """Datastrip that it belongs to."""
    tile: Tile
    """Its tile."""

    @property
    def mission(self) -> str:
        """``S2A``, ``S2B`` or ``S2C``."""
        return f"S2{self.scene.spacecraft[-1]}"

    @property
    def modern(self) -> bool:
        """Whether masks are rasters and manifests carry SHA3-256: since baseline 04.00."""
        return version(self.scene.baseline) >= (4, 0)

    @property
    def generated(self) -> datetime:
        """Generation time and discriminator: the sensing start before baseline 02.06."""
        return self.strip.created if version(self.scene.baseline) >= (2, 6) else self.strip.start

    @property
    def orbit(self) -> str:
        """Absolute orbit as names write it: ``A043885``."""
        return f"A{self.scene.absolute_orbit:06}"

    @property
    def station(self) -> str:
        """Processing centre in four characters: ``SGS_``."""
        return f"{self.scene.station:_<4}"

    @property
    def product(self) -> str:
        """The compact SAFE's name without suffix."""
        scene = self.scene
        return (
            f"{self.mission}_MSIL1C_{stamp(scene.datatake_start)}_N{scene.baseline.replace('.', '')}"
            f"_R{scene.relative_orbit:03}_T{self.tile}_{stamp(self.generated)}"
        )

    @property
    def datatake(self) -> str:
        """``datatakeIdentifier``."""
        start = stamp(self.scene.datatake_start)
        return f"G{self.mission}_{start}_{self.scene.absolute_orbit:06}_N{self.scene.baseline}"

    @property
    def datastrip_stem(self) -> str:
        """What the datastrip's id and its old file names share."""
        return f"L1C_DS_{self.station}_{stamp(self.strip.created)}_S{stamp(self.strip.start)}"

    @property
    def datastrip(self) -> str:
        """``DATASTRIP_ID``."""
        return f"{self.mission}_OPER_MSI_{self.datastrip_stem}_N{self.scene.baseline}"

    @property
    def datastrip_folder(self) -> str:
        """Path of the datastrip in a compact SAFE."""
        return f"DATASTRIP/DS_{self.station}_{stamp(self.strip.created)}_S{stamp(self.strip.start)}"

    @property
    def granule_stem(self) -> str:
        """What the granule's id and its old file names share: ``SGS__20160905T073438_A006291_T53HPV``."""
        return f"{self.station}_{stamp(self.strip.created)}_{self.orbit}_T{self.tile}"

    @property
    def granule(self) -> str:
        """``TILE_ID``."""
        return f"{self.mission}_OPER_MSI_L1C_TL_{self.granule_stem}_N{self.scene.baseline}"

    @property
    def granule_folder(self) -> str:
        """Path of the granule in a compact SAFE."""
        return f"GRANULE/L1C_T{self.tile}_{self.orbit}_{stamp(self.strip.start)}"

    @property
    def image_stem(self) -> str:
        """Start of the names of a compact SAFE's images."""
        return f"T{self.tile}_{stamp(self.scene.datatake_start)}"
