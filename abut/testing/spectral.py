"""Radiometric constants of the instruments, as published with every product."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from abut.layout import Band


@dataclass(frozen=True, slots=True)
class Spectrum:
    """Constants of one band of one instrument."""

    irradiance: str
    """Equivalent solar irradiance in W m-2 um-1."""
    gain: str
    """Physical gain."""
    shortest: int
    """Lower end of the spectral range in nm."""
    central: str
    """Central wavelength in nm."""
    longest: int
    """Upper end of the spectral range in nm."""

    @property
    def response(self) -> str:
        """A made-up response: a trapezoid, 1 nm apart, largest value 1."""
        last = self.longest - self.shortest
        slope = max(1, last // 6)
        values = (min(1.0, (1 + min(i, last - i)) / slope) for i in range(last + 1))
        return " ".join(f"{value:.8g}" for value in values)


_A: Final = (
    Spectrum("1913.57", "4.06607055", 430, "443.9", 457),
    Spectrum("1941.63", "3.80304471", 440, "496.6", 538),
    Spectrum("1822.61", "4.19377194", 537, "560", 582),
    Spectrum("1512.79", "4.52254023", 646, "664.5", 684),
    Spectrum("1425.56", "5.20883746", 694, "703.9", 713),
    Spectrum("1288.32", "4.87829819", 731, "740.2", 749),
    Spectrum("1163.19", "4.54357763", 769, "782.5", 797),
    Spectrum("1036.39", "6.20728204", 760, "835.1", 908),
    Spectrum("955.19", "5.14776482", 848, "864.8", 881),
    Spectrum("813.04", "8.54857819", 932, "945", 958),
    Spectrum("367.15", "55.24584545", 1337, "1373.5", 1412),
    Spectrum("245.59", "35.42730893", 1539, "1613.7", 1682),
    Spectrum("85.25", "106.1801895", 2078, "2202.4", 2320),
)
_B: Final = (
    Spectrum("1874.3", "3.96374669", 411, "442.3", 456),
    Spectrum("1959.75", "3.82020478", 456, "492.3", 532),
    Spectrum("1824.93", "4.23767272", 536, "559", 582),
    Spectrum("1512.79", "4.77546721", 646, "665", 685),
    Spectrum("1425.78", "5.18343615", 694, "703.8", 714),
    Spectrum("1291.13", "5.08988587", 730, "739.1", 748),
    Spectrum("1175.57", "4.76395679", 766, "779.7", 794),
    Spectrum("1041.28", "6.82067015", 774, "833", 907),
    Spectrum("953.93", "5.7604695", 848, "864", 880),
    Spectrum("817.58", "9.37540607", 930, "943.2", 957),
    Spectrum("365.41", "56.4054263", 1339, "1376.9", 1415),
    Spectrum("247.08", "37.17859102", 1538, "1610.4", 1679),
    Spectrum("87.75", "108.68988978", 2065, "2185.7", 2303),
)


def spectrum(spacecraft: str, band: Band) -> Spectrum:
    """Return a band's constants; S2C is described with those of S2B."""
    return (_A if spacecraft.endswith("A") else _B)[band.index]


def xml_name(band: Band) -> str:
    """Return a band's name in metadata: ``B1``, ``B8A``."""
    return f"B{band.name[1:].lstrip('0')}"


def spectral_information(spacecraft: str, band: Band) -> str:
    """Return a ``Spectral_Information`` element."""
    values = spectrum(spacecraft, band)
    return f"""        <Spectral_Information bandId="{band.index}" physicalBand="{xml_name(band)}">
          <RESOLUTION>{band.resolution}</RESOLUTION>
          <Wavelength>
            <MIN unit="nm">{values.shortest}</MIN>
            <MAX unit="nm">{values.longest}</MAX>
            <CENTRAL unit="nm">{values.central}</CENTRAL>
          </Wavelength>
          <Spectral_Response>
            <STEP unit="nm">1</STEP>
            <VALUES>{values.response}</VALUES>
          </Spectral_Response>
        </Spectral_Information>"""
