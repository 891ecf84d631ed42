"""A granule's metadata: ``MTD_TL.xml`` and its old form."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from abut.testing.angles import tile_angles

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from abut.layout import Band
    from abut.testing.names import Names

_GROUND_SPEED = 6_700
"""Metres a second."""


def sensing_time(names: Names) -> datetime:
    """Return when the middle of the tile was seen, if the datastrip started at the swath's reference point."""
    swath = names.scene.swath_in(names.tile.zone)
    footprint = names.tile.footprint
    away = abs((footprint.bottom + footprint.top) // 2 - swath.northing)
    return names.strip.start + timedelta(seconds=1 + away / _GROUND_SPEED)


def tile_xml(
    names: Names, masks: Iterable[tuple[str, Band | None, str]], preview: str, cloudy: float, snowy: float
) -> str:
    """Return a granule's metadata.

    Parameters
    ----------
    names : Names
        Its names.
    masks : iterable of (type, band or None, file name)
        Masks in file order, such as ``("MSK_DETFOO", BAND["B01"], "GRANULE/.../MSK_DETFOO_B01.jp2")``.
    preview : str
        ``PVI_FILENAME``.
    cloudy, snowy : float
        Percentages.
    """
    scene, tile = names.scene, names.tile
    psd = 14 if names.modern else 12
    schema = f"https://psd-{psd}.sentinel2.eo.esa.int/PSD/S2_PDI_Level-1C_Tile_Metadata.xsd"
    schemas = (
        "06.01.00/scripts/../../../schemas/14.08.02" if names.modern else "02.10.02/scripts/../../../schemas/02.12.05"
    )
    sensed = sensing_time(names)
    fraction = f"{sensed.microsecond:06}" if names.modern else f"{sensed.microsecond // 1000:03}"
    number, side = tile.zone.number, "N" if tile.zone.epsg < 32700 else "S"
    sizes = "\n".join(
        f"""      <Size resolution="{resolution}">
        <NROWS>{tile.footprint.height // resolution}</NROWS>
        <NCOLS>{tile.footprint.width // resolution}</NCOLS>
      </Size>"""
        for resolution in (10, 20, 60)
    )
    positions = "\n".join(
        f"""      <Geoposition resolution="{resolution}">
        <ULX>{tile.ulx}</ULX>
        <ULY>{tile.uly}</ULY>
        <XDIM>{resolution}</XDIM>
        <YDIM>-{resolution}</YDIM>
      </Geoposition>"""
        for resolution in (10, 20, 60)
    )
    listed = "\n".join(
        f'      <MASK_FILENAME {"" if band is None else f"bandId={chr(34)}{band.index}{chr(34)} "}type="{kind}">'
        f"{path}</MASK_FILENAME>"
        for kind, band, path in masks
    )
    snow = f"      <SNOW_PIXEL_PERCENTAGE>{snowy!r}</SNOW_PIXEL_PERCENTAGE>\n" if names.modern else ""
    strip = scene.strips.index(names.strip) if scene.strips else None
    return f"""<?xml version="1.0" encoding="UTF-8" standalone="no"?>
<n1:Level-1C_Tile_ID xmlns:n1="{schema}" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" \
xsi:schemaLocation="{schema} /dpc/app/s2ipf/FORMAT_METADATA_TILE_L1C/{schemas}/PSD/S2_PDI_Level-1C_Tile_Metadata.xsd">

  <n1:General_Info>
    <TILE_ID metadataLevel="Brief">{names.granule}</TILE_ID>
    <DATASTRIP_ID metadataLevel="Standard">{names.datastrip}</DATASTRIP_ID>
    <DOWNLINK_PRIORITY metadataLevel="Standard">NOMINAL</DOWNLINK_PRIORITY>
    <SENSING_TIME metadataLevel="Standard">{sensed:%Y-%m-%dT%H:%M:%S}.{fraction}Z</SENSING_TIME>
    <Archiving_Info metadataLevel="Expertise">
      <ARCHIVING_CENTRE>{names.station}</ARCHIVING_CENTRE>
      <ARCHIVING_TIME>{names.strip.created:%Y-%m-%dT%H:%M:%S}.000000Z</ARCHIVING_TIME>
    </Archiving_Info>
  </n1:General_Info>

  <n1:Geometric_Info>
    <Tile_Geocoding metadataLevel="Brief">
      <HORIZONTAL_CS_NAME>WGS84 / UTM zone {number}{side}</HORIZONTAL_CS_NAME>
      <HORIZONTAL_CS_CODE>{tile.zone}</HORIZONTAL_CS_CODE>
{sizes}
{positions}
    </Tile_Geocoding>
{tile_angles(scene, tile, strip)}
  </n1:Geometric_Info>

  <n1:Quality_Indicators_Info metadataLevel="Standard">
    <Image_Content_QI>
      <CLOUDY_PIXEL_PERCENTAGE>{cloudy!r}</CLOUDY_PIXEL_PERCENTAGE>
      <DEGRADED_MSI_DATA_PERCENTAGE>0</DEGRADED_MSI_DATA_PERCENTAGE>
{snow}    </Image_Content_QI>
    <Pixel_Level_QI geometry="FULL_RESOLUTION">
{listed}
    </Pixel_Level_QI>
    <PVI_FILENAME>{preview}</PVI_FILENAME>
  </n1:Quality_Indicators_Info>

</n1:Level-1C_Tile_ID>
"""
