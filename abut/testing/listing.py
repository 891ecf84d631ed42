"""Which files a manifest lists, in which order and under which ids."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from abut.testing.manifest import Entry
from abut.testing.names import unit
from abut.testing.paths import FILE_ORDER, MASKS, OLD_MASKS
from abut.testing.side_files import DATASTRIP_REPORTS, GRANULE_REPORTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from abut.testing.paths import Paths

_MASK_NAMES: Final = {
    "DEFECT": "DefectivePixelsMask",
    "DETFOO": "DetectorFootprintMask",
    "NODATA": "NodataPixelsMask",
    "QUALIT": "QualitPixelsMask",
    "SATURA": "SaturatedPixelsMask",
    "TECQUA": "TechQualityMask",
}


def entries_of(granules: Sequence[Paths]) -> Iterator[Entry]:
    """Yield the files of a SAFE after its own metadata: those of all granules and of their datastrip."""
    yield Entry("INSPIRE_Metadata", "INSPIRE.xml")
    yield Entry("HTML_Presentation", "HTML/UserProduct_index.html")
    yield Entry("HTML_Presentation_Stylesheet", "HTML/UserProduct_index.xsl")
    first = granules[0]
    yield Entry("S2_Level-1C_Datastrip1_Metadata", first.datastrip_metadata, "Datastrip1")
    if first.names.modern:
        for kind in DATASTRIP_REPORTS:
            yield Entry(_report(kind, "Datastrip1"), first.datastrip_report(kind), "Datastrip1")
    for number, paths in enumerate(granules, 1):
        yield from _granule(paths, f"Tile{number}")


def _report(kind: str, group: str) -> str:
    return f"{kind.split('_', maxsplit=1)[0].capitalize()}_OLQC_Report_{group}_InformationData"


def _granule(paths: Paths, group: str) -> Iterator[Entry]:
    modern, compact = paths.names.modern, paths.compact
    # Before 04.00 manifests don't list the weather files.
    for kind in paths.weather_kinds if modern else ():
        yield Entry(f"{'CAMS' if kind == 'CAMSFO' else 'ECMWF'}_{group}_Data", paths.weather(kind), group)
    for band in FILE_ORDER:
        yield Entry(f"IMG_DATA_{unit(band)}_{group}_Data", paths.image(band), group)
    if compact:
        yield Entry(f"IMG_DATA_Band_TCI_{group}_Data", paths.image(None), group)
    yield Entry(f"S2_Level-1C_{group}_Metadata", paths.metadata, group)
    if modern or not compact:
        for kind in GRANULE_REPORTS:
            yield Entry(_report(kind, group), paths.report(kind), group)
    if modern:
        yield Entry(f"ClassiPixelsMask_Band_00m_0_{group}_Data", paths.mask("CLASSI", None), group)
    else:
        yield Entry(f"FineCloudMask_{group}_Data", paths.mask("CLOUDS", None), group)
    for kind in MASKS if modern else OLD_MASKS:
        for number, band in enumerate(FILE_ORDER):
            running = f"_{number}" if number and compact else ""
            yield Entry(f"{_MASK_NAMES[kind]}_{unit(band)}{running}_{group}_Data", paths.mask(kind, band), group)
    yield Entry(f"Preview_{'0_' if compact else ''}{group}_Data", paths.preview, group)
