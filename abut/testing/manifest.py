"""``manifest.safe``: every file with its size and checksum."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from abut.testing.names import instant

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from abut.testing.names import Names


@dataclass(frozen=True, slots=True)
class Entry:
    """A file that the manifest lists."""

    id: str
    """``dataObject`` id, such as ``IMG_DATA_Band_10m_1_Tile1_Data``."""
    path: str
    """Path in the SAFE."""
    group: str = ""
    """Content unit that it belongs to, such as ``Tile1``."""

    @property
    def unit(self) -> str:
        """Id of its content unit."""
        return f"{self.id.removesuffix('Data')}Unit" if self.id.endswith("Data") else f"{self.id}_Unit"

    @property
    def mime(self) -> str:
        """MIME type as manifests say it."""
        if self.path.startswith("HTML/"):
            return "octet"
        if not self.path.endswith((".xml", ".gml")):
            return "image/png" if self.path.endswith(".png") else "application/octet-stream"
        return "application/xml" if self.group else "text/xml"


def manifest_xml(root: Path, names: Names, outline: str, entries: Sequence[Entry]) -> str:
    """Return the manifest of a SAFE whose other files are all written.

    Parameters
    ----------
    root : Path
        The SAFE.
    names : Names
        Names of its first granule.
    outline : str
        Footprint as ``lat lon lat lon ...``.
    entries : sequence of Entry
        The files to list; those of a group together.
    """
    scene = names.scene
    units = "\n".join(_units(group, list(members)) for group, members in groupby(entries, key=lambda e: e.group))
    objects = "\n".join(_data_object(root, entry, modern=names.modern) for entry in entries)
    described = "\n".join(
        f"""        <metadataObject ID="{entry.id}_Information" category="DMD" classification="DESCRIPTION">
            <dataObjectPointer dataObjectID="{entry.id}"/>
        </metadataObject>"""
        for entry in entries
        if entry.id.endswith("Metadata")
    )
    return f"""<?xml version="1.0" encoding="UTF-8" standalone="no"?>
<xfdu:XFDU xmlns:gml="http://www.opengis.net/gml" xmlns:safe="http://www.esa.int/safe/sentinel/1.1" \
xmlns:xfdu="urn:ccsds:schema:xfdu:1" version="esa/safe/sentinel/1.1/sentinel-2/msi/archive_l1c_user_product">
    <informationPackageMap>
        <xfdu:contentUnit dmdID="acquisitionPeriod platform" pdiID="processing" \
textInfo="SENTINEL-2 MSI Level-1C User Product" unitType="Product_Level-1C">
{units}
        </xfdu:contentUnit>
    </informationPackageMap>
    <metadataSection>
        <metadataObject ID="acquisitionPeriod" category="DMD" classification="DESCRIPTION">
            <metadataWrap mimeType="text/xml" textInfo="Acquisition Period" vocabularyName="Sentinel-SAFE">
                <xmlData>
                    <safe:acquisitionPeriod>
                        <safe:startTime>{instant(scene.datatake_start)}</safe:startTime>
                    </safe:acquisitionPeriod>
                </xmlData>
            </metadataWrap>
        </metadataObject>
        <metadataObject ID="measurementOrbitReference" category="DMD" classification="DESCRIPTION">
            <metadataWrap mimeType="text/xml" textInfo="Orbit Reference" vocabularyName="Sentinel-SAFE">
                <xmlData>
                    <safe:orbitReference>
                        <safe:orbitNumber groundTrackDirection="{scene.orbit_direction}" type="start">\
{scene.absolute_orbit:06}</safe:orbitNumber>
                        <safe:relativeOrbitNumber type="start">{scene.relative_orbit:03}</safe:relativeOrbitNumber>
                    </safe:orbitReference>
                </xmlData>
            </metadataWrap>
        </metadataObject>
        <metadataObject ID="platform" category="DMD" classification="DESCRIPTION">
            <metadataWrap mimeType="text/xml" textInfo="Platform Description" vocabularyName="Sentinel-SAFE">
                <xmlData>
                    <safe:platform>
                        <safe:nssdcIdentifier>2015-000A</safe:nssdcIdentifier>
                        <safe:familyName>SENTINEL</safe:familyName>
                        <safe:number>{names.mission[1:]}</safe:number>
                        <safe:instrument>
                            <safe:familyName abbreviation="MSI">Multi-Spectral Instrument</safe:familyName>
                        </safe:instrument>
                    </safe:platform>
                </xmlData>
            </metadataWrap>
        </metadataObject>
        <metadataObject ID="processing" category="PDI" classification="PROVENANCE">
            <metadataWrap mimeType="text/xml" textInfo="Processing" vocabularyName="Sentinel-SAFE">
                <xmlData>
                    <safe:processing name="Generation of Level-1C User Product" \
start="{names.generated:%Y-%m-%dT%H:%M:%S}.000000Z"/>
                </xmlData>
            </metadataWrap>
        </metadataObject>
        <metadataObject ID="measurementFrameSet" category="DMD" classification="DESCRIPTION">
            <metadataWrap mimeType="text/xml" textInfo="Frame Set" vocabularyName="Sentinel-SAFE">
                <xmlData>
                    <safe:frameSet>
                        <safe:footPrint srsName="http://www.opengis.net/gml/srs/epsg.xml#4326">
                            <gml:coordinates>{outline}</gml:coordinates>
                        </safe:footPrint>
                    </safe:frameSet>
                </xmlData>
            </metadataWrap>
        </metadataObject>
{described}
    </metadataSection>
    <dataObjectSection>
{objects}
    </dataObjectSection>
</xfdu:XFDU>
"""


def _units(group: str, members: list[Entry]) -> str:
    indent = " " * (16 if group else 12)
    units = "\n".join(
        f"""{indent}<xfdu:contentUnit ID="{entry.unit}" unitType="{_unit_type(entry)}">
{indent}    <dataObjectPointer dataObjectID="{entry.id}"/>
{indent}</xfdu:contentUnit>"""
        for entry in members
    )
    if not group:
        return units
    return f"""            <xfdu:contentUnit ID="{group}" textInfo="{group.rstrip("0123456789")} Container">
{units}
            </xfdu:contentUnit>"""


def _unit_type(entry: Entry) -> str:
    if entry.id.endswith("Metadata"):
        return "Metadata Unit"
    return "Measurement Data Unit" if entry.group else "Data Unit"


def _data_object(root: Path, entry: Entry, *, modern: bool) -> str:
    content = (root / entry.path).read_bytes()
    name = "SHA3-256" if modern else "MD5"
    digest = hashlib.sha3_256(content) if modern else hashlib.md5(content, usedforsecurity=False)
    return f"""        <dataObject ID="{entry.id}">
            <byteStream mimeType="{entry.mime}" size="{len(content)}">
                <fileLocation href="./{entry.path}" locatorType="URL"/>
                <checksum checksumName="{name}">{digest.hexdigest()}</checksum>
            </byteStream>
        </dataObject>"""
