"""The product's metadata file (``MTD_MSIL1C.xml``, or ``*_MTD_SAFL1C_*.xml`` of old) as plain values."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from abut.errors import InvalidSafeError
from abut.layout import BANDS
from abut.metadata import version
from ingest.xmlfile import parse_integer, parse_number

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from ingest.xmlfile import XmlNode

OFFSET_SINCE: Final = (4, 0)
"""First processing baseline whose products always carry ``RADIO_ADD_OFFSET``."""

_BASELINE = re.compile(r"\d\d\.\d\d", re.ASCII)
_DATATAKE = re.compile(r"GS2[A-Z]_\d{8}T\d{6}_(\d{6})_N\d\d\.\d\d", re.ASCII)
_DIRECTIONS: Final[Mapping[str, Literal["ascending", "descending"]]] = {
    "ASCENDING": "ascending",
    "DESCENDING": "descending",
}


@dataclass(frozen=True, slots=True)
class ListedGranule:
    """A granule in the product's list."""

    id: str
    """``granuleIdentifier``."""
    datastrip_id: str
    """``datastripIdentifier``."""
    images: tuple[str, ...]
    """Its images as they are written: without suffix; paths in compact products, else names."""
    compact: bool
    """Whether `images` are paths (``IMAGE_FILE``) and not names (``IMAGE_ID``)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BandCalibration:
    """What the product says of one band; the fields are those of `abut.metadata.BandMetadata`."""

    radio_add_offset: int
    """``RADIO_ADD_OFFSET`` in DN, 0 where the product has none."""
    solar_irradiance: float | None
    """In W m-2 um-1."""
    physical_gain: float | None
    """``PHYSICAL_GAINS``."""
    wavelength_min: float | None
    """In nm."""
    wavelength_central: float | None
    """In nm."""
    wavelength_max: float | None
    """In nm."""
    response_step: float | None
    """In nm."""
    response: tuple[float, ...]
    """Spectral response, largest value 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductXml:
    """What the product's metadata file says; the fields are those of `abut.metadata.ProductMetadata`."""

    uri: str
    """``PRODUCT_URI``."""
    granules: tuple[ListedGranule, ...]
    """Its granules in the order of the file."""
    datatake_id: str
    """``datatakeIdentifier``."""
    datatake_type: str
    """``DATATAKE_TYPE``."""
    datatake_start: datetime
    """``DATATAKE_SENSING_START``."""
    product_start: datetime
    """``PRODUCT_START_TIME``."""
    product_stop: datetime
    """``PRODUCT_STOP_TIME``."""
    generation_time: datetime
    """``GENERATION_TIME``."""
    spacecraft: str
    """``SPACECRAFT_NAME``."""
    processing_baseline: str
    """``PROCESSING_BASELINE``."""
    product_type: str
    """``PRODUCT_TYPE``."""
    product_doi: str | None
    """``PRODUCT_DOI``."""
    relative_orbit: int
    """``SENSING_ORBIT_NUMBER``."""
    absolute_orbit: int
    """Number of the orbit in `datatake_id`."""
    orbit_direction: Literal["ascending", "descending"]
    """``SENSING_ORBIT_DIRECTION``."""
    quantification_value: int
    """``QUANTIFICATION_VALUE``."""
    special_values: Mapping[str, int]
    """``Special_Values``."""
    reflectance_conversion_u: float | None
    """``U``."""
    cloud_percentage: float | None
    """``Cloud_Coverage_Assessment``."""
    bands: tuple[BandCalibration, ...]
    """The thirteen bands in the order of their ``bandId``."""


def read_product(root: XmlNode) -> ProductXml:
    """Return what a product's metadata file says.

    Parameters
    ----------
    root : XmlNode
        Its root.

    Raises
    ------
    InvalidSafeError
        If it is not that of a Level-1C product, or a value is missing or makes no sense.
    """
    _refuse_other_levels(root)
    info, image = root.child("General_Info/Product_Info"), root.child("General_Info/Product_Image_Characteristics")
    takes = list(info.all("Datatake"))
    if len(takes) != 1:
        raise InvalidSafeError(f"{root.where}: {len(takes)} elements Datatake in one product")
    take, baseline = takes[0], _matched(info, "PROCESSING_BASELINE", _BASELINE).string
    datatake_id = take.attribute("datatakeIdentifier")
    orbit = _DATATAKE.fullmatch(datatake_id)
    if orbit is None:
        raise InvalidSafeError(f"{root.where}: datatakeIdentifier {datatake_id[:80]!r} is none")
    return ProductXml(
        uri=info.text("PRODUCT_URI"),
        granules=_granules(info),
        datatake_id=datatake_id,
        datatake_type=take.text("DATATAKE_TYPE"),
        datatake_start=take.time("DATATAKE_SENSING_START"),
        product_start=info.time("PRODUCT_START_TIME"),
        product_stop=info.time("PRODUCT_STOP_TIME"),
        generation_time=info.time("GENERATION_TIME"),
        spacecraft=take.text("SPACECRAFT_NAME"),
        processing_baseline=baseline,
        product_type=info.text("PRODUCT_TYPE"),
        product_doi=info.text("PRODUCT_DOI") if info.find("PRODUCT_DOI") else None,
        relative_orbit=_within(take, "SENSING_ORBIT_NUMBER", 1, 143),
        absolute_orbit=int(orbit[1]),
        orbit_direction=_direction(take),
        quantification_value=_within(image, "QUANTIFICATION_VALUE", 1, 1_000_000),
        special_values={
            node.text("SPECIAL_VALUE_TEXT"): node.integer("SPECIAL_VALUE_INDEX") for node in image.all("Special_Values")
        },
        reflectance_conversion_u=image.optional_number("Reflectance_Conversion/U"),
        cloud_percentage=root.optional_number("Quality_Indicators_Info/Cloud_Coverage_Assessment"),
        bands=_bands(image, baseline),
    )


def band_index(node: XmlNode) -> int:
    """Return the ``bandId`` (or ``band_id``) of an element, 0 ... 12.

    Raises
    ------
    InvalidSafeError
        If it has none, or an impossible one.
    """
    text = node.attribute("bandId", "band_id")
    index = parse_integer(text, node.where, f"bandId of {node.tag}")
    if not 0 <= index < len(BANDS):
        raise InvalidSafeError(f"{node.where}: bandId {text!r} of {node.tag} is not 0 ... {len(BANDS) - 1}")
    return index


def by_band(nodes: list[XmlNode]) -> dict[int, XmlNode]:
    """Return elements by their ``bandId``.

    Raises
    ------
    InvalidSafeError
        If two have the same.
    """
    found: dict[int, XmlNode] = {}
    for node in nodes:
        if found.setdefault(band_index(node), node) is not node:
            raise InvalidSafeError(f"{node.where}: two elements {node.tag} of band {BANDS[band_index(node)].name}")
    return found


def _refuse_other_levels(root: XmlNode) -> None:
    if root.tag != "Level-1C_User_Product":
        raise InvalidSafeError(f"{root.where}: root element {root.tag!r}: not a Level-1C product")
    info = root.child("General_Info/Product_Info")
    level, product_type = info.text("PROCESSING_LEVEL"), info.text("PRODUCT_TYPE")
    if (level, product_type) != ("Level-1C", "S2MSI1C"):
        raise InvalidSafeError(f"{root.where}: {level[:80]!r} {product_type[:80]!r}: not a Level-1C product")


def _matched(node: XmlNode, path: str, pattern: re.Pattern[str]) -> re.Match[str]:
    text = node.text(path)
    match = pattern.fullmatch(text)
    if match is None:
        raise InvalidSafeError(f"{node.where}: {path} {text[:80]!r} is none")
    return match


def _within(node: XmlNode, path: str, least: int, most: int) -> int:
    value = node.integer(path)
    if not least <= value <= most:
        raise InvalidSafeError(f"{node.where}: {path} {value} is not {least} ... {most}")
    return value


def _direction(take: XmlNode) -> Literal["ascending", "descending"]:
    text = take.text("SENSING_ORBIT_DIRECTION")
    if text not in _DIRECTIONS:
        raise InvalidSafeError(f"{take.where}: SENSING_ORBIT_DIRECTION {text[:80]!r} is none")
    return _DIRECTIONS[text]


def _granules(info: XmlNode) -> tuple[ListedGranule, ...]:
    granules = []
    for node in info.descendants("Granule", "Granules"):
        images = list(node.descendants("IMAGE_FILE", "IMAGE_ID"))
        granules.append(
            ListedGranule(
                node.attribute("granuleIdentifier"),
                node.attribute("datastripIdentifier"),
                tuple(image.text() for image in images),
                all(image.tag == "IMAGE_FILE" for image in images),
            )
        )
    if not granules:
        raise InvalidSafeError(f"{info.where}: lists no granule")
    return tuple(granules)


def _bands(image: XmlNode, baseline: str) -> tuple[BandCalibration, ...]:
    offsets = by_band(list(image.descendants("RADIO_ADD_OFFSET")))
    if len(offsets) != len(BANDS) and (offsets or version(baseline) >= OFFSET_SINCE):
        raise InvalidSafeError(
            f"{image.where}: RADIO_ADD_OFFSET of {len(offsets)} of {len(BANDS)} bands in baseline {baseline}"
        )
    irradiances = by_band(list(image.descendants("SOLAR_IRRADIANCE")))
    gains = by_band(list(image.descendants("PHYSICAL_GAINS")))
    spectra = by_band(list(image.descendants("Spectral_Information")))
    return tuple(_band(*(found.get(band.index) for found in (offsets, irradiances, gains, spectra))) for band in BANDS)


def _band(
    offset: XmlNode | None, irradiance: XmlNode | None, gain: XmlNode | None, spectrum: XmlNode | None
) -> BandCalibration:
    def of_spectrum(path: str) -> float | None:
        return spectrum.optional_number(path) if spectrum else None

    values = spectrum.find("Spectral_Response/VALUES") if spectrum else None
    return BandCalibration(
        radio_add_offset=offset.integer() if offset else 0,
        solar_irradiance=irradiance.number() if irradiance else None,
        physical_gain=gain.number() if gain else None,
        wavelength_min=of_spectrum("Wavelength/MIN"),
        wavelength_central=of_spectrum("Wavelength/CENTRAL"),
        wavelength_max=of_spectrum("Wavelength/MAX"),
        response_step=of_spectrum("Spectral_Response/STEP"),
        response=tuple(parse_number(text, values.where, "VALUES") for text in values.text().split()) if values else (),
    )
