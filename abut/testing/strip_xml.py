"""A datastrip's metadata: ``MTD_DS.xml`` and its old form, without the satellite's telemetry."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from abut.layout import BANDS
from abut.testing.names import instant
from abut.testing.product_xml import auxiliary_files, image_characteristics
from abut.testing.spectral import spectral_information, spectrum

if TYPE_CHECKING:
    from collections.abc import Sequence

    from abut.testing.names import Names


def strip_xml(granules: Sequence[Names]) -> str:
    """Return the metadata of the datastrip of some granules."""
    names = granules[0]
    scene, strip = names.scene, names.strip
    schema = f"https://psd-{14 if names.modern else 12}.sentinel2.eo.esa.int/PSD/S2_PDI_Level-1C_Datastrip_Metadata.xsd"
    tiles = "\n".join(f'        <Tile tileId="{granule.granule}"/>' for granule in granules)
    detectors = "\n".join(f"          <ACTIVE_DETECTOR>{detector:02}</ACTIVE_DETECTOR>" for detector in scene.detectors)
    gains = "\n".join(
        f"""          <Spectral_Band_Information bandId="{band.index}">
            <PHYSICAL_GAINS geometry="FULL_RESOLUTION" metadataLevel="Standard">\
{spectrum(scene.spacecraft, band).gain}</PHYSICAL_GAINS>
          </Spectral_Band_Information>"""
        for band in BANDS
    )
    return f"""<?xml version="1.0" encoding="UTF-8" standalone="no"?>
<n1:Level-1C_DataStrip_ID xmlns:n1="{schema}" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" \
xsi:schemaLocation="{schema}">
  <n1:General_Info>
    <Datatake_Info datatakeIdentifier="{names.datatake}" metadataLevel="Brief">
      <SPACECRAFT_NAME>{scene.spacecraft}</SPACECRAFT_NAME>
      <DATATAKE_TYPE>INS-NOBS</DATATAKE_TYPE>
      <DATATAKE_SENSING_START>{instant(scene.datatake_start)}</DATATAKE_SENSING_START>
      <SENSING_ORBIT_NUMBER>{scene.relative_orbit}</SENSING_ORBIT_NUMBER>
      <SENSING_ORBIT_DIRECTION>{scene.orbit_direction.upper()}</SENSING_ORBIT_DIRECTION>
    </Datatake_Info>
    <Datastrip_Time_Info metadataLevel="Brief">
      <DATASTRIP_SENSING_START>{instant(strip.start)}</DATASTRIP_SENSING_START>
      <DATASTRIP_SENSING_STOP>{instant(strip.start + timedelta(seconds=54))}</DATASTRIP_SENSING_STOP>
    </Datastrip_Time_Info>
    <Processing_Info metadataLevel="Expertise">
      <PROCESSING_BASELINE>{scene.baseline}</PROCESSING_BASELINE>
      <PROCESSING_CENTER>{names.station}</PROCESSING_CENTER>
      <UTC_DATE_TIME>{strip.created:%Y-%m-%dT%H:%M:%S}Z</UTC_DATE_TIME>
    </Processing_Info>
    <Downlink_Info metadataLevel="Standard">
      <RECEPTION_STATION>SGS_</RECEPTION_STATION>
      <DOWNLINK_ORBIT_NUMBER>{scene.absolute_orbit}</DOWNLINK_ORBIT_NUMBER>
    </Downlink_Info>
    <Archiving_Info metadataLevel="Expertise">
      <ARCHIVING_CENTRE>{names.station}</ARCHIVING_CENTRE>
      <ARCHIVING_TIME>{strip.created:%Y-%m-%dT%H:%M:%S}.000000Z</ARCHIVING_TIME>
    </Archiving_Info>
  </n1:General_Info>
  <n1:Image_Data_Info>
    <Tiles_Information metadataLevel="Standard">
      <Tile_List>
{tiles}
      </Tile_List>
    </Tiles_Information>
    <Sensor_Configuration>
      <Acquisition_Configuration>
        <COMPRESS_MODE metadataLevel="Expertise">true</COMPRESS_MODE>
        <EQUALIZATION_MODE metadataLevel="Expertise">true</EQUALIZATION_MODE>
        <NUC_TABLE_ID metadataLevel="Expertise">2</NUC_TABLE_ID>
        <Active_Detectors_List metadataLevel="Expertise">
{detectors}
        </Active_Detectors_List>
        <Spectral_Band_Info>
{gains}
        </Spectral_Band_Info>
      </Acquisition_Configuration>
    </Sensor_Configuration>
    <Radiometric_Info metadataLevel="Standard">
      <SWIR_REARRANGEMENT_PROC>false</SWIR_REARRANGEMENT_PROC>
      <SATURATED_PIXELS_PROC>true</SATURATED_PIXELS_PROC>
      <Spectral_Information_List>
{"\n".join(spectral_information(scene.spacecraft, band) for band in BANDS)}
      </Spectral_Information_List>
      <QUANTIFICATION_VALUE unit="none">10000</QUANTIFICATION_VALUE>
{image_characteristics(scene, " " * 6)}
    </Radiometric_Info>
    <Geometric_Info metadataLevel="Standard">
      <RGM>COMPUTED</RGM>
      <Image_Refining flag="NOT_REFINED"/>
    </Geometric_Info>
  </n1:Image_Data_Info>
  <n1:Quality_Indicators_Info metadataLevel="Brief">
    <DEGRADED_ANC_DATA_PERCENTAGE>0</DEGRADED_ANC_DATA_PERCENTAGE>
    <DEGRADED_MSI_DATA_PERCENTAGE>0</DEGRADED_MSI_DATA_PERCENTAGE>
  </n1:Quality_Indicators_Info>
  <n1:Auxiliary_Data_Info metadataLevel="Standard">
{auxiliary_files(names)}
  </n1:Auxiliary_Data_Info>
</n1:Level-1C_DataStrip_ID>
"""
