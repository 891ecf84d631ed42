"""The small files beside images and metadata: quality reports, INSPIRE, the page for browsers, the schema."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Final

from abut.testing.names import instant

if TYPE_CHECKING:
    from abut.testing.names import Names

GRANULE_REPORTS: Final = ("FORMAT_CORRECTNESS", "GENERAL_QUALITY", "GEOMETRIC_QUALITY", "SENSOR_QUALITY")
"""Reports of a granule, in file order."""

DATASTRIP_REPORTS: Final = (*GRANULE_REPORTS[:3], "RADIOMETRIC_QUALITY", "SENSOR_QUALITY")
"""Reports of a datastrip, in file order."""


def report_xml(names: Names, path: str, kind: str, item: str) -> str:
    """Return a quality report.

    Parameters
    ----------
    names : Names
        Names of the granule.
    path : str
        Path of the report in the SAFE.
    kind : str
        Such as ``GEOMETRIC_QUALITY``.
    item : str
        Id of what was checked: granule or datastrip.
    """
    done = instant(names.strip.created)
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<Earth_Explorer_File xmlns="http://gs2.esa.int/DATA_STRUCTURE/olqcReport">
    <Earth_Explorer_Header>
        <Fixed_Header>
            <File_Name>{path}</File_Name>
            <File_Description>Report produced by OLQC-SC</File_Description>
            <Notes/>
            <Mission>{names.mission}</Mission>
            <File_Class>OPER</File_Class>
            <File_Type>REP_OLQCPA</File_Type>
            <Validity_Period>
                <Validity_Start>UTC=2022-08-30T00:25:00</Validity_Start>
                <Validity_Stop>UTC=2100-01-01T00:00:00</Validity_Stop>
            </Validity_Period>
            <File_Version>2</File_Version>
            <Source>
                <System>OLQC-SC</System>
                <Creator>OLQC-SC</Creator>
                <Creator_Version>06.01.00</Creator_Version>
                <Creation_Date>UTC={done[:19]}</Creation_Date>
            </Source>
        </Fixed_Header>
    </Earth_Explorer_Header>
    <Data_Block type="xml">
        <report date="{done}" gippVersion="1.0" globalStatus="PASSED">
            <checkList>
                <parentID>{names.mission}_OPER_GIP_OLQCPA_MPC__20220715T000042_V20220830T002500</parentID>
                <name>{kind}</name>
                <version>1.0</version>
                <item class="http://www.esa.int/s2#pdi_level_1c" className="PDI Level 1C" name="{item}" url="{item}/"/>
                <check>
                    <inspection creation="{done}" duration="1" execution="{done}" id="{kind}" item="{item}" \
itemURL="{item}/" name="Made for tests." priority="5" processingStatus="done" status="PASSED"/>
                    <message contentType="text/plain">Nothing to check: this product was made for tests.</message>
                </check>
            </checkList>
        </report>
    </Data_Block>
</Earth_Explorer_File>
"""


def inspire_xml(names: Names, title: str, outline: str) -> str:
    """Return ``INSPIRE.xml``: a short ISO 19139 record.

    Parameters
    ----------
    names : Names
        Names of the first granule.
    title : str
        Name of the SAFE.
    outline : str
        Footprint as ``lat lon lat lon ...``.
    """
    numbers = [float(number) for number in outline.split()]
    box = {
        "westBoundLongitude": min(numbers[1::2]),
        "eastBoundLongitude": max(numbers[1::2]),
        "southBoundLatitude": min(numbers[::2]),
        "northBoundLatitude": max(numbers[::2]),
    }
    indent = " " * 28
    limits = "\n".join(
        f"{indent}<gmd:{name}>\n{indent}    <gco:Decimal>{value!r}</gco:Decimal>\n{indent}</gmd:{name}>"
        for name, value in box.items()
    )
    return f"""<?xml version="1.0" encoding="UTF-8" standalone="no"?>
<gmd:MD_Metadata xmlns:gco="http://www.isotc211.org/2005/gco" xmlns:gmd="http://www.isotc211.org/2005/gmd" \
xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation="http://www.isotc211.org/2005/gmd \
http://schemas.opengis.net/iso/19139/20060504/gmd/gmd.xsd">
    <gmd:fileIdentifier>
        <gco:CharacterString>{title}</gco:CharacterString>
    </gmd:fileIdentifier>
    <gmd:dateStamp>
        <gco:Date>{names.generated:%Y-%m-%d}</gco:Date>
    </gmd:dateStamp>
    <gmd:identificationInfo>
        <gmd:MD_DataIdentification>
            <gmd:citation>
                <gmd:CI_Citation>
                    <gmd:title>
                        <gco:CharacterString>{title}</gco:CharacterString>
                    </gmd:title>
                </gmd:CI_Citation>
            </gmd:citation>
            <gmd:extent>
                <gmd:EX_Extent>
                    <gmd:geographicElement>
                        <gmd:EX_GeographicBoundingBox>
{limits}
                        </gmd:EX_GeographicBoundingBox>
                    </gmd:geographicElement>
                </gmd:EX_Extent>
            </gmd:extent>
        </gmd:MD_DataIdentification>
    </gmd:identificationInfo>
</gmd:MD_Metadata>
"""


def html_page(title: str) -> str:
    """Return ``UserProduct_index.html``."""
    return f"""<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>{title}</title></head>
<body><h1>{title}</h1><p>A Sentinel-2 Level-1C product made for tests.</p></body>
</html>
"""


def black_png(size: int) -> bytes:
    """Return a black square, 8-bit grey, as PNG."""
    header = size.to_bytes(4, "big") * 2 + bytes([8, 0, 0, 0, 0])
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(size * (size + 1)))), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        len(content).to_bytes(4, "big") + kind + content + zlib.crc32(kind + content).to_bytes(4, "big")
        for kind, content in chunks
    )


STYLESHEET: Final = """<?xml version="1.0" encoding="UTF-8"?>
<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform">
  <xsl:template match="/"><html><body><xsl:value-of select="//PRODUCT_URI"/></body></html></xsl:template>
</xsl:stylesheet>
"""
"""``UserProduct_index.xsl``."""

SCHEMA: Final = """<?xml version="1.0" encoding="UTF-8"?>
<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" \
xmlns="https://psd-14.sentinel2.eo.esa.int/PSD/User_Product_Level-1C.xsd" \
targetNamespace="https://psd-14.sentinel2.eo.esa.int/PSD/User_Product_Level-1C.xsd" \
elementFormDefault="qualified" version="14">
  <xs:element name="Level-1C_User_Product"/>
</xs:schema>
"""
"""``S2_User_Product_Level-1C_Metadata.xsd``, without the types that it would import."""
