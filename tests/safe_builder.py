"""Small SAFE products as dictionaries of files, for the tests of the reader: every value in sight, no pixels.

Made without the reader's code and without `abut.testing`: what is expected is written here or in the tests.
"""

from __future__ import annotations

import hashlib
import zipfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

BANDS = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12")
NAME = "S2B_MSIL1C_20230823T095559_N0509_R122_T34UCF_20230823T120234"
FOLDER = "GRANULE/L1C_T34UCF_A033753_20230823T095553"
PRODUCT = "MTD_MSIL1C.xml"
TILE = f"{FOLDER}/MTD_TL.xml"
TILE_ID = "S2B_OPER_MSI_L1C_TL_2BPS_20230823T120234_A033753_T34UCF_N05.09"
STRIP_ID = "S2B_OPER_MSI_L1C_DS_2BPS_20230823T120234_S20230823T095553_N05.09"
OLD_NAME = "S2A_OPER_PRD_MSIL1C_PDMC_20160905T104813_R002_V20160905T005712_20160905T010424"
OLD_PRODUCT = "S2A_OPER_MTD_SAFL1C_PDMC_20160905T104813_R002_V20160905T005712_20160905T010424.xml"
OLD_STRIP = "S2A_OPER_MSI_L1C_DS_SGS__20160905T073438_S20160905T010424_N02.04"
CORNERS = {"34UCF": (32634, 300000, 6100020), "53HNA": (32753, 499980, 6100000), "53HPA": (32753, 600000, 6100000)}

type Files = dict[str, bytes]
type Masks = dict[tuple[str, str | None], str]


def image(name: str) -> str:
    """Path of an image of the compact product."""
    return f"{FOLDER}/IMG_DATA/T34UCF_20230823T095559_{name}.jp2"


def mask(kind: str, band: str = "B00", suffix: str = "jp2") -> str:
    """Path of a mask of the compact product."""
    return f"{FOLDER}/QI_DATA/{kind}_{band}.{suffix}"


def compact(masks: Masks | None = None) -> Files:
    """A compact product of baseline 05.09; `masks` are listed as given, by type and band."""
    listed: Masks = {("MSK_CLASSI", None): mask("MSK_CLASSI")} if masks is None else masks
    names = [image(name).removesuffix(".jp2") for name in (*BANDS, "TCI")]
    entry = _entry("Granule", "IMAGE_FILE", TILE_ID, STRIP_ID, names)
    files = {
        PRODUCT: product_xml(f"{NAME}.SAFE", "05.09", "GS2B_20230823T095559_033753_N05.09", entry, offset=True),
        TILE: tile_xml("34UCF", TILE_ID, STRIP_ID, listed),
        "INSPIRE.xml": b"<MD_Metadata/>",
        "rep_info/S2_User_Product_Level-1C_Metadata.xsd": b"<schema/>",
        "DATASTRIP/DS_2BPS_20230823T120234_S20230823T095553/MTD_DS.xml": b"<Level-1C_DataStrip_ID/>",
        f"{FOLDER}/AUX_DATA/AUX_ECMWFT": b"GRIB",
        f"{FOLDER}/QI_DATA/T34UCF_20230823T095559_PVI.jp2": jp2(b"PVI"),
    }
    files |= {image(name): jp2(name.encode()) for name in (*BANDS, "TCI")}
    files |= {path: jp2(path.encode()) if path.endswith("jp2") else b"<Mask/>" for path in listed.values()}
    return with_manifest(files)


def multi_granule(*tiles: str) -> Files:
    """A product of 2016 with a granule for each tile."""
    files: Files = {"INSPIRE.xml": b"<MD_Metadata/>", "HTML/star_bg.jpg": b"JPG"}
    files[f"DATASTRIP/{OLD_STRIP}/MTD_DS.xml"] = b"<Level-1C_DataStrip_ID/>"
    files["DATASTRIP/S2A_OPER_MSI_L1C_DS_SGS__20160905T073438_S20160905T009999_N02.04/MTD_DS.xml"] = b"<other/>"
    entries = []
    for tile in tiles:
        stem = f"S2A_OPER_MSI_L1C_TL_SGS__20160905T073438_A006291_T{tile}"
        folder = f"GRANULE/{stem}_N02.04"
        entries.append(_entry("Granules", "IMAGE_ID", f"{stem}_N02.04", OLD_STRIP, [f"{stem}_{b}" for b in BANDS]))
        masks: Masks = {("MSK_CLOUDS", None): f"S2A_OPER_MSK_CLOUDS_T{tile}_B00.gml"}
        files |= {f"{folder}/IMG_DATA/{stem}_{band}.jp2": jp2(band.encode()) for band in BANDS}
        files[f"{folder}/QI_DATA/{masks['MSK_CLOUDS', None]}"] = b"<Mask/>"
        files[f"{folder}/S2A_OPER_MTD_L1C_TL_SGS__T{tile}.xml"] = tile_xml(
            tile, f"{stem}_N02.04", OLD_STRIP, masks, digits="02.04"
        )
    take = "GS2A_20160905T005712_006291_N02.04"
    files[OLD_PRODUCT] = product_xml("791_2016-09-05T10_37", "02.04", take, "".join(entries), offset=False)
    return with_manifest(files, "MD5")


def with_manifest(
    files: Files, algorithm: str = "SHA3-256", without: tuple[str, ...] = ("AUX_ECMWFT", ".xsd")
) -> Files:
    """The files with a manifest of them; like real ones it leaves out some."""
    hasher = {"MD5": hashlib.md5, "SHA3-256": hashlib.sha3_256}[algorithm]
    ids = {PRODUCT: "S2_Level-1C_Product_Metadata", OLD_PRODUCT: "S2_Level-1C_Product_Metadata"}
    parts = []
    for number, (path, data) in enumerate(files.items()):
        if path != "manifest.safe" and not path.endswith(without):
            # Real manifests mix upper and lower case.
            checksum = hasher(data).hexdigest().upper() if number % 2 else hasher(data).hexdigest()
            parts.append(
                f'<dataObject ID="{ids.get(path, f"Data{number}")}"><byteStream mimeType="x" size="{len(data)}">'
                f'<fileLocation locatorType="URL" href="./{path}"/>'
                f'<checksum checksumName="{algorithm}">{checksum}</checksum></byteStream></dataObject>'
            )
    xml = f'<xfdu:XFDU xmlns:xfdu="urn:ccsds:schema:xfdu:1"><dataObjectSection>{"".join(parts)}'
    return files | {"manifest.safe": f"{xml}</dataObjectSection></xfdu:XFDU>".encode()}


def edited(files: Files, path: str, old: str, new: str, count: int = -1) -> Files:
    """The files with a text replaced in one of them, and a manifest that knows."""
    text = files[path].decode()
    assert old in text, old
    return with_manifest(files | {path: text.replace(old, new, count).encode()})


def without(files: Files, *paths: str) -> Files:
    """The files without some, of which the manifest still tells."""
    assert set(paths) <= set(files)
    return {path: data for path, data in files.items() if path not in paths}


def write(files: Files, folder: Path, name: str = f"{NAME}.SAFE") -> Path:
    """Write a SAFE folder and return its path."""
    root = folder / name
    for path, data in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)
    return root


def write_zip(files: Files, path: Path, prefix: str = f"{NAME}.SAFE/", method: int = zipfile.ZIP_DEFLATED) -> Path:
    """Write a zip and return its path."""
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(prefix + name, data)
    return path


def jp2(content: bytes) -> bytes:
    """What looks like a JP2 from outside: signature box, a box, and a codestream that ends."""
    signature, stream = b"\x00\x00\x00\x0cjP  \r\n\x87\n", b"\xff\x4f" + content + b"\xff\xd9"
    return signature + _box(b"ftyp", b"jp2 \x00\x00\x00\x00jp2 ") + _box(b"jp2c", stream)


def product_xml(uri: str, baseline: str, datatake: str, granules: str, *, offset: bool) -> bytes:
    """Metadata of a product."""
    offsets = "".join(f'<RADIO_ADD_OFFSET band_id="{i}">{-1000 - i}</RADIO_ADD_OFFSET>' for i in range(13))
    bands = "".join(
        f'<Spectral_Information bandId="{i}" physicalBand="B{i}"><RESOLUTION>10</RESOLUTION><Wavelength>'
        f'<MIN unit="nm">{400 + i}</MIN><MAX unit="nm">{450 + i}</MAX><CENTRAL unit="nm">{425.5 + i}</CENTRAL>'
        '</Wavelength><Spectral_Response><STEP unit="nm">1</STEP><VALUES>0.25 1 0.5</VALUES></Spectral_Response>'
        "</Spectral_Information>"
        for i in range(13)
    )
    suns = "".join(f'<SOLAR_IRRADIANCE bandId="{i}" unit="W/m²/µm">{1900 - i}.5</SOLAR_IRRADIANCE>' for i in range(13))
    gains = "".join(f'<PHYSICAL_GAINS bandId="{i}">{i}.25</PHYSICAL_GAINS>' for i in range(13))
    doi = "<PRODUCT_DOI>https://doi.org/10.5270/S2_-742ikth</PRODUCT_DOI>" if offset else ""
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<n1:Level-1C_User_Product xmlns:n1="https://psd-14.sentinel2.eo.esa.int/PSD/User_Product_Level-1C.xsd"><n1:General_Info>
<Product_Info><PRODUCT_START_TIME>2023-08-23T09:55:59.024Z</PRODUCT_START_TIME>
<PRODUCT_STOP_TIME>2023-08-23T09:56:00.000Z</PRODUCT_STOP_TIME><PRODUCT_URI>{uri}</PRODUCT_URI>
<PROCESSING_LEVEL>Level-1C</PROCESSING_LEVEL><PRODUCT_TYPE>S2MSI1C</PRODUCT_TYPE>
<PROCESSING_BASELINE>{baseline}</PROCESSING_BASELINE>{doi}<GENERATION_TIME>2023-08-23T12:02:34.000000Z</GENERATION_TIME>
<Datatake datatakeIdentifier="{datatake}"><SPACECRAFT_NAME>Sentinel-2B</SPACECRAFT_NAME>
<DATATAKE_TYPE>INS-NOBS</DATATAKE_TYPE><DATATAKE_SENSING_START>2023-08-23T09:55:59.024Z</DATATAKE_SENSING_START>
<SENSING_ORBIT_NUMBER>122</SENSING_ORBIT_NUMBER><SENSING_ORBIT_DIRECTION>DESCENDING</SENSING_ORBIT_DIRECTION></Datatake>
<Product_Organisation>{granules}</Product_Organisation></Product_Info><Product_Image_Characteristics>
<Special_Values><SPECIAL_VALUE_TEXT>NODATA</SPECIAL_VALUE_TEXT><SPECIAL_VALUE_INDEX>0</SPECIAL_VALUE_INDEX>
</Special_Values><Special_Values><SPECIAL_VALUE_TEXT>SATURATED</SPECIAL_VALUE_TEXT>
<SPECIAL_VALUE_INDEX>65535</SPECIAL_VALUE_INDEX></Special_Values>
<QUANTIFICATION_VALUE unit="none">10000</QUANTIFICATION_VALUE>
{f"<Radiometric_Offset_List>{offsets}</Radiometric_Offset_List>" if offset else ""}
<Reflectance_Conversion><U>0.97659423426857</U><Solar_Irradiance_List>{suns}</Solar_Irradiance_List>
</Reflectance_Conversion><Spectral_Information_List>{bands}</Spectral_Information_List>{gains}
</Product_Image_Characteristics></n1:General_Info><n1:Quality_Indicators_Info>
<Cloud_Coverage_Assessment>7.5</Cloud_Coverage_Assessment></n1:Quality_Indicators_Info></n1:Level-1C_User_Product>
""".encode()


def tile_xml(tile: str, tile_id: str, strip_id: str, masks: Masks, digits: str = "05.09") -> bytes:
    """Metadata of a granule; the angles of row r, column c are base + r + c / 100."""
    epsg, ulx, uly = CORNERS[tile]
    sizes = "".join(
        f'<Size resolution="{r}"><NROWS>{109800 // r}</NROWS><NCOLS>{109800 // r}</NCOLS></Size>' for r in (10, 20, 60)
    )
    places = "".join(
        f'<Geoposition resolution="{r}"><ULX>{ulx}</ULX><ULY>{uly}</ULY><XDIM>{r}</XDIM><YDIM>-{r}</YDIM></Geoposition>'
        for r in (10, 20, 60)
    )
    views = "".join(
        f'<Viewing_Incidence_Angles_Grids bandId="{band}" detectorId="{detector}">{_angles(5, 100, hole=True)}'
        "</Viewing_Incidence_Angles_Grids>"
        for band, detector in ((0, 5), (0, 6), (12, 12))
    )
    means = "".join(
        f'<Mean_Viewing_Incidence_Angle bandId="{i}"><ZENITH_ANGLE unit="deg">{i}.5</ZENITH_ANGLE>'
        f'<AZIMUTH_ANGLE unit="deg">{200 + i}</AZIMUTH_ANGLE></Mean_Viewing_Incidence_Angle>'
        for i in range(12)
    )
    listed = "".join(
        f'<MASK_FILENAME{f""" bandId="{BANDS.index(band)}" """ if band else " "}type="{kind}">{name}</MASK_FILENAME>'
        for (kind, band), name in masks.items()
    )
    return f"""<n1:Level-1C_Tile_ID xmlns:n1="https://psd-14.sentinel2.eo.esa.int/PSD/{digits}/Tile.xsd">
<n1:General_Info><TILE_ID metadataLevel="Brief">{tile_id}</TILE_ID>
<DATASTRIP_ID metadataLevel="Standard">{strip_id}</DATASTRIP_ID>
<SENSING_TIME metadataLevel="Standard">2023-08-23T10:05:35.271949Z</SENSING_TIME></n1:General_Info>
<n1:Geometric_Info><Tile_Geocoding><HORIZONTAL_CS_CODE>EPSG:{epsg}</HORIZONTAL_CS_CODE>{sizes}{places}</Tile_Geocoding>
<Tile_Angles><Sun_Angles_Grid>{_angles(40, 160)}</Sun_Angles_Grid><Mean_Sun_Angle>
<ZENITH_ANGLE unit="deg">43.75</ZENITH_ANGLE><AZIMUTH_ANGLE unit="deg">165.5</AZIMUTH_ANGLE></Mean_Sun_Angle>{views}
<Mean_Viewing_Incidence_Angle_List>{means}</Mean_Viewing_Incidence_Angle_List></Tile_Angles></n1:Geometric_Info>
<n1:Quality_Indicators_Info><Image_Content_QI><CLOUDY_PIXEL_PERCENTAGE>3.25</CLOUDY_PIXEL_PERCENTAGE>
<DEGRADED_MSI_DATA_PERCENTAGE>0.0019</DEGRADED_MSI_DATA_PERCENTAGE></Image_Content_QI>
<Pixel_Level_QI>{listed}</Pixel_Level_QI></n1:Quality_Indicators_Info></n1:Level-1C_Tile_ID>
""".encode()


def gml(*features: tuple[str, str, str], epsg: int = 32634) -> bytes:
    """A GML mask; features are (id, maskType, inner XML of the polygon)."""
    members = "".join(
        f'<eop:MaskFeature gml:id="{name}"><eop:maskType codeSpace="x">{kind}</eop:maskType><eop:extentOf>'
        f"<gml:Polygon>{rings}</gml:Polygon></eop:extentOf></eop:MaskFeature>"
        for name, kind, rings in features
    )
    return (
        '<eop:Mask xmlns:eop="http://www.opengis.net/eop/2.0" xmlns:gml="http://www.opengis.net/gml/3.2">'
        f'<gml:boundedBy><gml:Envelope srsName="urn:ogc:def:crs:EPSG:8.7:{epsg}"/></gml:boundedBy>'
        f"<eop:maskMembers>{members}</eop:maskMembers></eop:Mask>"
    ).encode()


def ring(*corners: tuple[float, float], tag: str = "exterior", height: float | None = None) -> str:
    """A ring of a polygon, closed; three-dimensional if a height is given."""
    tail = () if height is None else (height,)
    numbers = " ".join(str(number) for corner in (*corners, corners[0]) for number in (*corner, *tail))
    positions = f'<gml:posList srsDimension="{2 + len(tail)}">{numbers}</gml:posList>'
    return f"<gml:{tag}><gml:LinearRing>{positions}</gml:LinearRing></gml:{tag}>"


def box(left: float, bottom: float, right: float, top: float, **options: object) -> str:
    """A rectangular ring."""
    return ring((left, bottom), (left, top), (right, top), (right, bottom), **options)  # type: ignore[arg-type]


def _entry(tag: str, image_tag: str, tile_id: str, strip_id: str, images: list[str]) -> str:
    listed = "".join(f"<{image_tag}>{name}</{image_tag}>" for name in images)
    attributes = f'datastripIdentifier="{strip_id}" granuleIdentifier="{tile_id}" imageFormat="JPEG2000"'
    return f"<Granule_List><{tag} {attributes}>{listed}</{tag}></Granule_List>"


def _angles(zenith: int, azimuth: int, *, hole: bool = False) -> str:
    return "".join(
        f'<{name}><COL_STEP unit="m">5000</COL_STEP><ROW_STEP unit="m">5000</ROW_STEP><Values_List>'
        + "".join(
            "<VALUES>"
            + " ".join("NaN" if hole and c > 10 else f"{base + r + c / 100:.2f}" for c in range(23))
            + "</VALUES>"
            for r in range(23)
        )
        + f"</Values_List></{name}>"
        for name, base in (("Zenith", zenith), ("Azimuth", azimuth))
    )


def _box(kind: bytes, content: bytes) -> bytes:
    return (8 + len(content)).to_bytes(4, "big") + kind + content
