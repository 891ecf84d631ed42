"""The product's own metadata: ``MTD_MSIL1C.xml`` and its old form, with what says which files there are."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pyproj import Transformer

from abut.layout import BAND, BANDS
from abut.metadata import version
from abut.testing.names import instant, stamp
from abut.testing.spectral import spectral_information, spectrum, xml_name
from abut.testing.swath import polygon

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from abut.testing.names import Names
    from abut.testing.scene import Scene

_CHECKS = ("FORMAT_CORRECTNESS", "GENERAL_QUALITY", "GEOMETRIC_QUALITY", "RADIOMETRIC_QUALITY", "SENSOR_QUALITY")


def compact_product_xml(names: Names, images: Iterable[str], cloudy: float, snowy: float) -> str:
    """Return ``MTD_MSIL1C.xml`` of a compact SAFE.

    Parameters
    ----------
    names : Names
        Its names.
    images : iterable of str
        Paths of the images in the SAFE, without suffix.
    cloudy, snowy : float
        Percentages.
    """
    listed = "\n".join(f"            <IMAGE_FILE>{image}</IMAGE_FILE>" for image in images)
    options = (
        '<Query_Options completeSingleTile="true">\n<PRODUCT_FORMAT>SAFE_COMPACT</PRODUCT_FORMAT>\n</Query_Options>'
    )
    granule = f"""    <Granule_List>
        <Granule datastripIdentifier="{names.datastrip}" granuleIdentifier="{names.granule}" imageFormat="JPEG2000">
{listed}
        </Granule>
    </Granule_List>"""
    start = names.scene.datatake_start
    info = _product_info(names, f"{names.product}.SAFE", start, options, granule)
    return _document(names, info, footprint([names]), (cloudy, snowy), psd=14)


def old_product_xml(
    granules: Sequence[Names], images: Mapping[str, Iterable[str]], stop: datetime, cloudy: float
) -> str:
    """Return ``S2A_OPER_MTD_SAFL1C_...xml`` of a multi-granule SAFE.

    Parameters
    ----------
    granules : sequence of Names
        Its granules.
    images : mapping of str to iterable of str
        Names of the images without suffix, by granule id.
    stop : datetime
        Sensing stop.
    cloudy : float
        Percentage.
    """
    listed = "\n".join(
        f"""<Granule_List>
        <Granules datastripIdentifier="{names.datastrip}" granuleIdentifier="{names.granule}" imageFormat="JPEG2000">
"""
        + "\n".join(f"            <IMAGE_ID>{image}</IMAGE_ID>" for image in images[names.granule])
        + "\n        </Granules>\n</Granule_List>"
        for names in granules
    )
    bands = "\n".join(f"<BAND_NAME>{xml_name(band)}</BAND_NAME>" for band in BANDS)
    options = f"""<Query_Options>
<FULL_SWATH_DATATAKE>false</FULL_SWATH_DATATAKE>
<PREVIEW_IMAGE>true</PREVIEW_IMAGE>
<Band_List>
{bands}
</Band_List>
<METADATA_LEVEL>Expertise</METADATA_LEVEL>
<PRODUCT_FORMAT>SAFE</PRODUCT_FORMAT>
<AGGREGATION_FLAG>false</AGGREGATION_FLAG>
</Query_Options>"""
    first = granules[0]
    scene, strip = first.scene, first.strip
    uri = f"{scene.absolute_orbit % 1000:03}_{strip.created:%Y-%m-%dT%H_%M}"
    info = _product_info(first, uri, stop, options, listed)
    return _document(first, info, footprint(granules), (cloudy, 0.0), psd=13)


def footprint(granules: Sequence[Names]) -> str:
    """Return the ground with data as ``lat lon lat lon ...``, closed: of one granule its outline, else a rectangle."""
    outlines = [_outline(names) for names in granules]
    if len(outlines) > 1:
        points = [point for outline in outlines for point in outline]
        south, west = (min(point[i] for point in points) for i in (0, 1))
        north, east = (max(point[i] for point in points) for i in (0, 1))
        outlines = [[(north, west), (north, east), (south, east), (south, west)]]
    (outline,) = outlines
    return "".join(f"{lat!r} {lon!r} " for lat, lon in [*outline, *outline[:1]])


def _outline(names: Names) -> list[tuple[float, float]]:
    zone, scene = names.tile.zone, names.scene
    index = (scene.strips or (names.strip,)).index(names.strip)
    corners = polygon(scene.area(zone, BAND["B02"], index), names.tile.footprint)
    # A tile that the swath misses is described by its whole square, so that its metadata can still be read.
    corners = corners or polygon((), names.tile.footprint)
    to_degrees = Transformer.from_crs(zone.epsg, 4326)
    return [to_degrees.transform(x, y) for x, y in corners]


def image_characteristics(scene: Scene, indent: str) -> str:
    """Return reflectance conversion with offsets (since 04.00) and irradiances: ``Radiometric_Offset_List`` on."""
    offsets = ""
    if scene.offset:
        items = "\n".join(
            f'{indent}  <RADIO_ADD_OFFSET band_id="{band.index}">{scene.offset}</RADIO_ADD_OFFSET>' for band in BANDS
        )
        offsets = f"{indent}<Radiometric_Offset_List>\n{items}\n{indent}</Radiometric_Offset_List>\n"
    irradiances = "\n".join(
        f'{indent}    <SOLAR_IRRADIANCE bandId="{band.index}" unit="W/m²/µm">'
        f"{spectrum(scene.spacecraft, band).irradiance}</SOLAR_IRRADIANCE>"
        for band in BANDS
    )
    return f"""{offsets}{indent}<Reflectance_Conversion>
{indent}  <U>{distance_correction(scene):.15g}</U>
{indent}  <Solar_Irradiance_List>
{irradiances}
{indent}  </Solar_Irradiance_List>
{indent}</Reflectance_Conversion>"""


def distance_correction(scene: Scene) -> float:
    """Return ``U``: 1 / d^2 with d in au, 1.034 in early January and 0.967 in early July (to three digits)."""
    day = scene.datatake_start.timetuple().tm_yday
    return 1 / (1 - 0.01672 * math.cos(math.tau * (day - 4) / 365.25)) ** 2


def _product_info(names: Names, uri: str, stop: datetime, options: str, granules: str) -> str:
    scene = names.scene
    doi = "            <PRODUCT_DOI>https://doi.org/10.5270/S2_-742ikth</PRODUCT_DOI>\n"
    return f"""        <Product_Info>
            <PRODUCT_START_TIME>{instant(scene.datatake_start)}</PRODUCT_START_TIME>
            <PRODUCT_STOP_TIME>{instant(stop)}</PRODUCT_STOP_TIME>
            <PRODUCT_URI>{uri}</PRODUCT_URI>
            <PROCESSING_LEVEL>Level-1C</PROCESSING_LEVEL>
            <PRODUCT_TYPE>S2MSI1C</PRODUCT_TYPE>
            <PROCESSING_BASELINE>{scene.baseline}</PROCESSING_BASELINE>
{doi if version(scene.baseline) >= (5, 0) else ""}\
            <GENERATION_TIME>{names.generated:%Y-%m-%dT%H:%M:%S}.000000Z</GENERATION_TIME>
            <PREVIEW_IMAGE_URL>Not applicable</PREVIEW_IMAGE_URL>
            <PREVIEW_GEO_INFO>Not applicable</PREVIEW_GEO_INFO>
            <Datatake datatakeIdentifier="{names.datatake}">
      <SPACECRAFT_NAME>{scene.spacecraft}</SPACECRAFT_NAME>
      <DATATAKE_TYPE>INS-NOBS</DATATAKE_TYPE>
      <DATATAKE_SENSING_START>{instant(scene.datatake_start)}</DATATAKE_SENSING_START>
      <SENSING_ORBIT_NUMBER>{scene.relative_orbit}</SENSING_ORBIT_NUMBER>
      <SENSING_ORBIT_DIRECTION>{scene.orbit_direction.upper()}</SENSING_ORBIT_DIRECTION>
    </Datatake>
{options}
<Product_Organisation>
{granules}
</Product_Organisation>
        </Product_Info>"""


def _document(names: Names, info: str, outline: str, shares: tuple[float, float], *, psd: int) -> str:
    scene, (cloudy, snowy) = names.scene, shares
    schema = f"https://psd-{psd}.sentinel2.eo.esa.int/PSD/User_Product_Level-1C.xsd"
    gains = "\n".join(
        f'            <PHYSICAL_GAINS bandId="{band.index}">{spectrum(scene.spacecraft, band).gain}</PHYSICAL_GAINS>'
        for band in BANDS
    )
    declaration = '<?xml version="1.0" encoding="UTF-8" standalone="no"?>\n' if names.modern else ""
    reference = "" if names.modern else "            <REFERENCE_BAND>0</REFERENCE_BAND>\n"
    snow = f"        <Snow_Coverage_Assessment>{snowy!r}</Snow_Coverage_Assessment>\n" if names.modern else ""
    return f"""{declaration}<n1:Level-1C_User_Product xmlns:n1="{schema}" \
xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation="{schema}">
    <n1:General_Info>
{info}
        <Product_Image_Characteristics>
            <Special_Values>
                <SPECIAL_VALUE_TEXT>NODATA</SPECIAL_VALUE_TEXT>
                <SPECIAL_VALUE_INDEX>0</SPECIAL_VALUE_INDEX>
            </Special_Values>
            <Special_Values>
                <SPECIAL_VALUE_TEXT>SATURATED</SPECIAL_VALUE_TEXT>
                <SPECIAL_VALUE_INDEX>65535</SPECIAL_VALUE_INDEX>
            </Special_Values>
            <Image_Display_Order>
                <RED_CHANNEL>3</RED_CHANNEL>
                <GREEN_CHANNEL>2</GREEN_CHANNEL>
                <BLUE_CHANNEL>1</BLUE_CHANNEL>
            </Image_Display_Order>
            <QUANTIFICATION_VALUE unit="none">10000</QUANTIFICATION_VALUE>
{image_characteristics(scene, " " * 12)}
            <Spectral_Information_List>
{"\n".join(spectral_information(scene.spacecraft, band) for band in BANDS)}
            </Spectral_Information_List>
{gains}
{reference}        </Product_Image_Characteristics>
    </n1:General_Info>
    <n1:Geometric_Info>
        <Product_Footprint>
            <Product_Footprint>
                <Global_Footprint>
                    <EXT_POS_LIST>{outline}</EXT_POS_LIST>
                </Global_Footprint>
            </Product_Footprint>
            <RASTER_CS_TYPE>POINT</RASTER_CS_TYPE>
            <PIXEL_ORIGIN>1</PIXEL_ORIGIN>
        </Product_Footprint>
        <Coordinate_Reference_System>
            <GEO_TABLES version="1">EPSG</GEO_TABLES>
            <HORIZONTAL_CS_TYPE>GEOGRAPHIC</HORIZONTAL_CS_TYPE>
        </Coordinate_Reference_System>
    </n1:Geometric_Info>
    <n1:Auxiliary_Data_Info>
{auxiliary_files(names)}
    </n1:Auxiliary_Data_Info>
    <n1:Quality_Indicators_Info>
        <Cloud_Coverage_Assessment>{cloudy!r}</Cloud_Coverage_Assessment>
{snow}        <Technical_Quality_Assessment>
            <DEGRADED_ANC_DATA_PERCENTAGE>0.0</DEGRADED_ANC_DATA_PERCENTAGE>
            <DEGRADED_MSI_DATA_PERCENTAGE>0</DEGRADED_MSI_DATA_PERCENTAGE>
        </Technical_Quality_Assessment>
        <Quality_Control_Checks>
            <Quality_Inspections>
{_inspections(names)}
            </Quality_Inspections>
            <Failed_Inspections/>
        </Quality_Control_Checks>
    </n1:Quality_Indicators_Info>
</n1:Level-1C_User_Product>
"""


def _inspections(names: Names) -> str:
    form = (
        '                <quality_check checkType="{0}">PASSED</quality_check>'
        if names.modern
        else "                <{0}_FLAG>PASSED</{0}_FLAG>"
    )
    return "\n".join(form.format(check) for check in _CHECKS)


def auxiliary_files(names: Names) -> str:
    """Return the files that the processor used: processing parameters, elevation, earth rotation, weather."""
    mission, day = names.mission, f"{names.scene.datatake_start:%Y%m%d}T000000"
    validity = "V20150622T000000_21000101T000000_B00"
    parameters = "\n".join(
        f'      <GIPP_FILENAME type="GIP_{kind}" version="0001">'
        f"{mission}_OPER_GIP_{kind}_MPC__20170206T103032_{validity}</GIPP_FILENAME>"
        for kind in ("PROBAS", "JP2KPA", "MASPAR", "R2EQOG", "TILPAR")
    )
    weather = f"S2__OPER_AUX_ECMWFD_PDMC_{day}_V{stamp(names.scene.datatake_start)}_21000101T000000"
    refined = (
        "<GRI_List/>"
        if names.modern
        else f"<GRI_FILENAME>S2A_OPER_AUX_GRI{names.scene.relative_orbit:03}_PDMC_20130621T120000</GRI_FILENAME>"
    )
    return f"""        <GIPP_List>
{parameters}
        </GIPP_List>
        <PRODUCTION_DEM_TYPE>S2__OPER_DEM_GLOBEF_PDMC_19800101T000000_S19800101T000000</PRODUCTION_DEM_TYPE>
        <IERS_BULLETIN_FILENAME>S2__OPER_AUX_UT1UTC_PDMC_{day}_V{day}_21000101T000000</IERS_BULLETIN_FILENAME>
        {refined}
        <ECMWF_DATA_REF>{weather}</ECMWF_DATA_REF>"""
