"""Where the files of a granule lie in a SAFE, compact or multi-granule."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from abut.layout import BAND, BANDS, Band
from abut.testing.names import stamp

if TYPE_CHECKING:
    from collections.abc import Iterator

    from abut.testing.names import Names

OLD_MASKS: Final = ("DEFECT", "DETFOO", "NODATA", "SATURA", "TECQUA")
"""Masks of each band before baseline 04.00, GML."""

MASKS: Final = ("DETFOO", "QUALIT")
"""Masks of each band since baseline 04.00, JP2."""

FILE_ORDER: Final = tuple(sorted(BANDS, key=lambda band: band.name))
"""Bands as a folder lists them: B8A last."""


@dataclass(frozen=True, slots=True)
class Paths:
    """Paths of one granule's files, relative to the SAFE."""

    names: Names
    """Its names."""
    compact: bool = True
    """Layout."""

    @property
    def folder(self) -> str:
        """The granule's folder."""
        return self.names.granule_folder if self.compact else f"GRANULE/{self.names.granule}"

    def _old(self, kind: str) -> str:
        return f"{self.names.mission}_OPER_{kind}_{self.names.granule_stem}"

    @property
    def metadata(self) -> str:
        """The granule's metadata."""
        return f"{self.folder}/MTD_TL.xml" if self.compact else f"{self.folder}/{self._old('MTD_L1C_TL')}.xml"

    def image(self, band: Band | None) -> str:
        """Return the path of a band's image; of the true colours for None."""
        name = "TCI" if band is None else band.name
        stem = self.names.image_stem if self.compact else self._old("MSI_L1C_TL")
        return f"{self.folder}/IMG_DATA/{stem}_{name}.jp2"

    def mask(self, kind: str, band: Band | None) -> str:
        """Return the path of a band's mask; of one for the whole granule for None."""
        name = "B00" if band is None else band.name
        suffix = "jp2" if self.names.modern else "gml"
        if self.compact:
            return f"{self.folder}/QI_DATA/MSK_{kind}_{name}.{suffix}"
        return f"{self.folder}/QI_DATA/{self.mask_id(kind, band)}.{suffix}"

    def mask_id(self, kind: str, band: Band | None) -> str:
        """Return the id of an old mask, which its GML carries."""
        return f"{self._old(f'MSK_{kind}')}_{'B00' if band is None else band.name}_MSIL1C"

    @property
    def preview(self) -> str:
        """The preview image."""
        stem = f"{self.names.image_stem}_PVI" if self.compact else self._old("PVI_L1C_TL")
        return f"{self.folder}/QI_DATA/{stem}.jp2"

    def report(self, kind: str) -> str:
        """Return the path of a quality report of the granule."""
        stem = kind if self.compact else f"{self._old('MSI_L1C_TL')}_{kind}_report"
        return f"{self.folder}/QI_DATA/{stem}.xml"

    def weather(self, kind: str) -> str:
        """Return the path of a weather file: ECMWFT or CAMSFO."""
        start = self.names.scene.datatake_start
        base = start.replace(hour=start.hour // 12 * 12, minute=0, second=0)
        created = stamp(self.names.strip.created)
        validity = f"V{stamp(base)}_{stamp(base + timedelta(hours=12))}"
        old = f"{self.names.mission}_OPER_AUX_{kind}_{self.names.station}_{created}_{validity}"
        return f"{self.folder}/AUX_DATA/{f'AUX_{kind}' if self.compact else old}"

    @property
    def datastrip(self) -> str:
        """The datastrip's folder."""
        return self.names.datastrip_folder if self.compact else f"DATASTRIP/{self.names.datastrip}"

    @property
    def datastrip_metadata(self) -> str:
        """The datastrip's metadata."""
        name = "MTD_DS" if self.compact else f"{self.names.mission}_OPER_MTD_{self.names.datastrip_stem}"
        return f"{self.datastrip}/{name}.xml"

    def datastrip_report(self, kind: str) -> str:
        """Return the path of a quality report of the datastrip."""
        return f"{self.datastrip}/QI_DATA/{kind}.xml"

    @property
    def weather_kinds(self) -> tuple[str, ...]:
        """Weather files that there are."""
        return ("CAMSFO", "ECMWFT") if self.names.modern else ("ECMWFT",)

    def masks(self) -> Iterator[tuple[str, Band | None]]:
        """Yield kind and band of every mask in the order of the metadata."""
        for band in BANDS:
            for kind in MASKS if self.names.modern else OLD_MASKS:
                yield kind, band
        yield ("CLASSI" if self.names.modern else "CLOUDS"), None

    def images(self) -> Iterator[str]:
        """Yield the paths of the images in the order of the metadata, without suffix."""
        for band in BANDS:
            yield self.image(band).removesuffix(".jp2")
        if self.compact:
            yield self.image(None).removesuffix(".jp2")


REFERENCE: Final = BAND["B01"]
"""Band whose pixels stand for the ground that was seen, in percentages."""
