"""What the reader refuses: each in one line that names the file and the value."""

from __future__ import annotations

import os
import stat
import zipfile
from typing import TYPE_CHECKING

import pytest

from abut.errors import InvalidSafeError
from ingest import container, xmlfile
from ingest.safe import find_granules
from tests import safe_builder as build

if TYPE_CHECKING:
    from pathlib import Path

OLD = build.multi_granule("53HNA", "53HPA")


def refusal(path: Path) -> str:
    with pytest.raises(InvalidSafeError) as caught:
        find_granules(path)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(str(path))
    return message.removeprefix(str(path))


@pytest.mark.parametrize(
    ("path", "old", "new", "message"),
    [
        (build.PRODUCT, "n1:Level-1C_User_Product", "n1:Level-2A_User_Product", "'Level-2A_User_Product': not a"),
        (build.PRODUCT, ">S2MSI1C<", ">S2MSI2A<", "'S2MSI2A': not a Level-1C product"),
        (build.PRODUCT, ">05.09<", ">five<", "PROCESSING_BASELINE 'five' is none"),
        (build.PRODUCT, ">10000<", ">0<", "QUANTIFICATION_VALUE 0 is not 1 ... 1000000"),
        (build.PRODUCT, ">10000<", ">inf<", "QUANTIFICATION_VALUE 'inf' is not a finite number"),
        (build.PRODUCT, ">10000<", ">1_0<", "QUANTIFICATION_VALUE '1_0' is not a finite number"),
        (build.PRODUCT, ">10000<", ">10000.5<", "QUANTIFICATION_VALUE '10000.5' is not a whole number"),
        (build.PRODUCT, ">-1003<", ">1e999<", "RADIO_ADD_OFFSET '1e999' is not a finite number"),
        (build.PRODUCT, 'band_id="3"', 'band_id="2"', "two elements RADIO_ADD_OFFSET of band B03"),
        (build.PRODUCT, 'band_id="3"', 'band_id="13"', "bandId '13' of RADIO_ADD_OFFSET is not 0 ... 12"),
        (build.PRODUCT, ">122<", ">144<", "SENSING_ORBIT_NUMBER 144 is not 1 ... 143"),
        (build.PRODUCT, ">DESCENDING<", ">DOWN<", "SENSING_ORBIT_DIRECTION 'DOWN' is none"),
        (build.PRODUCT, "GS2B_20230823T095559_033753_N05.09", "GS2B", "datatakeIdentifier 'GS2B' is none"),
        (build.PRODUCT, "2023-08-23T12:02:34.000000Z", "yesterday", "GENERATION_TIME 'yesterday' is not a time"),
        (build.PRODUCT, "2023-08-23T12:02:34.000000Z", "2023-13-23T12:02:34Z", "is not a time"),
        (build.PRODUCT, "<SPACECRAFT_NAME>Sentinel-2B<", "<SPACECRAFT_NAME> <", "SPACECRAFT_NAME is empty"),
        (build.PRODUCT, "<Granule ", "<Grain ", "malformed XML: mismatched tag"),
        (build.PRODUCT, "_B05</IMAGE_FILE>", "_B04</IMAGE_FILE>", "lists band B04 twice"),
        (build.PRODUCT, "_TCI</IMAGE_FILE>", "_PVI</IMAGE_FILE>", "an image of no band"),
        (
            build.PRODUCT,
            f">{build.FOLDER}/IMG_DATA/T34UCF_20230823T095559_B05<",
            ">../../x_B05<",
            "'../../x_B05' is not",
        ),
        (build.PRODUCT, f">{build.FOLDER}/IMG_DATA/T34UCF_20230823T095559_B05<", ">/etc/x_B05<", "'/etc/x_B05' is not"),
        (build.PRODUCT, f"{build.FOLDER}/IMG_DATA/T34UCF_20230823T095559_B05", "G\\x_B05", r"'G\\x_B05' is not"),
        (build.PRODUCT, build.TILE_ID, build.TILE_ID.replace("2BPS", "VGS1"), "TILE_ID"),
        (build.PRODUCT, f"{build.NAME}.SAFE", "../evil.SAFE", "can't be the name of a product"),
        (build.TILE, "Level-1C_Tile_ID", "Level-2A_Tile_ID", "'Level-2A_Tile_ID': not a Level-1C granule"),
        (build.TILE, "EPSG:32634", "EPSG:32633", "'EPSG:32633', but tile 34UCF is in EPSG:32634"),
        (build.TILE, "<ULX>300000<", "<ULX>300010<", "ULX 300010 at 10 m, but tile 34UCF has 300000"),
        (build.TILE, "<NROWS>5490<", "<NROWS>5491<", "NROWS 5491 at 20 m, but tile 34UCF has 5490"),
        (build.TILE, "<YDIM>-60<", "<YDIM>60<", "YDIM 60 at 60 m, but tile 34UCF has -60"),
        (build.TILE, "_T34UCF_", "_T34UZZ_", "'34UZZ' is not a tile of the Sentinel-2 grid"),
        (build.TILE, "_T34UCF_", "_", "names no tile"),
        (build.TILE, "_S20230823T095553_", "_S20230823T995553_", "names no sensing start"),
        (build.TILE, ">43.75<", ">NaN<", "ZENITH_ANGLE 'NaN' is not a finite number"),
        (build.TILE, "<Mean_Sun_Angle>", "<Sun_Angle>", "malformed XML"),
        (build.TILE, "43.07", "1e400", "Zenith '1e400' is not a finite number"),
        (build.TILE, "43.07", "443.07", "angle 443.07 degrees in a grid Zenith"),
        (build.TILE, "43.07 ", "", "angle grid Zenith is not 23 x 23 at 5000 m"),
        (build.TILE, ">5000<", ">2500<", "angle grid Zenith is not 23 x 23 at 5000 m"),
        (build.TILE, 'detectorId="6"', 'detectorId="13"', "detectorId '13' is not 1 ... 12"),
        (build.TILE, 'detectorId="6"', 'detectorId="5"', "two angle grids of B01, detector 5"),
        (build.TILE, "QI_DATA/MSK_CLASSI_B00.jp2", "QI_DATA/gone.jp2", "gone.jp2: missing, but listed in"),
        (build.TILE, f"{build.FOLDER}/QI_DATA/MSK", "../../MSK", "is not one inside the SAFE folder"),
    ],
)
def test_product_with_one_wrong_value(tmp_path: Path, path: str, old: str, new: str, message: str) -> None:
    files = build.compact()
    if path == build.TILE and "_T34UCF_" in old:
        files = build.edited(files, build.PRODUCT, build.TILE_ID, build.TILE_ID.replace(old, new))
    said = refusal(build.write(build.edited(files, path, old, new), tmp_path, "x"))
    assert message in said


@pytest.mark.parametrize("band", ["B02", "B8A"])
def test_missing_band(tmp_path: Path, band: str) -> None:
    files = build.without(build.compact(), build.image(band))
    assert refusal(build.write(files, tmp_path)) == f"/{build.image(band)}: missing"
    name = build.image(band).removesuffix(".jp2")
    unlisted = build.edited(build.compact(), build.PRODUCT, f"<IMAGE_FILE>{name}</IMAGE_FILE>", "")
    assert refusal(build.write(unlisted, tmp_path / "b")) == f": granule {build.TILE_ID!r} lists no image of {band}"


@pytest.mark.parametrize("path", ["manifest.safe", build.PRODUCT, build.TILE])
def test_missing_metadata(tmp_path: Path, path: str) -> None:
    said = refusal(build.write(build.without(build.compact(), path), tmp_path))
    assert path.rsplit("/", 1)[-1] in said


@pytest.mark.parametrize("path", ["manifest.safe", build.PRODUCT, build.TILE])
@pytest.mark.parametrize(
    ("declaration", "message"),
    [
        ('<!DOCTYPE a [<!ENTITY b "c">]>', "XML with a DTD or entities is refused"),
        ('<!DOCTYPE a SYSTEM "file:///etc/passwd">', "XML with a DTD or entities is refused"),
        ("<", "malformed XML"),
        ('<?xml version="1.0" encoding="no-such"?>', "malformed XML"),
    ],
)
def test_hostile_or_malformed_xml(tmp_path: Path, path: str, declaration: str, message: str) -> None:
    files = build.compact()
    body = files[path].partition(b"?>")[2] if files[path].startswith(b"<?xml") else files[path]
    said = refusal(build.write(files | {path: declaration.encode() + body}, tmp_path))
    assert said.startswith(f"/{path}: {message}")


@pytest.mark.parametrize("path", ["manifest.safe", build.PRODUCT, build.TILE])
def test_empty_xml(tmp_path: Path, path: str) -> None:
    assert refusal(build.write(build.compact() | {path: b""}, tmp_path)).startswith(f"/{path}: malformed XML")


def test_xml_without_measure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xmlfile, "MAX_XML_BYTES", 5000)
    said = refusal(build.write(build.compact(), tmp_path))
    assert said == "/manifest.safe: more than 5000 bytes"


def test_places_where_no_safe_is(tmp_path: Path) -> None:
    assert refusal(tmp_path / "nothing") == ": no such file or folder"
    assert refusal(tmp_path) == ": not a SAFE folder, it has no manifest.safe"
    (tmp_path / "text.zip").write_text("text")
    assert refusal(tmp_path / "text.zip") == ": neither a SAFE folder nor a zip archive"
    assert "holds 0 files" in refusal(build.write_zip({"a": b""}, tmp_path / "a.zip"))


def test_level_2a_product(tmp_path: Path) -> None:
    files = build.compact()
    level2 = files.pop(build.PRODUCT).replace(b"Level-1C_User_Product", b"Level-2A_User_Product")
    said = refusal(build.write(build.with_manifest(files | {"MTD_MSIL2A.xml": level2}), tmp_path))
    assert said == "/MTD_MSIL2A.xml: root element 'Level-2A_User_Product': not a Level-1C product"


def test_manifest_of_something_else(tmp_path: Path) -> None:
    said = refusal(build.write(build.compact() | {"manifest.safe": b"<project/>"}, tmp_path))
    assert said == "/manifest.safe: root element 'project' is not that of a SAFE manifest"


def test_granules_that_are_listed_twice(tmp_path: Path) -> None:
    files = build.edited(OLD, build.OLD_PRODUCT, "T53HPA", "T53HNA")
    assert "lists granules twice" in refusal(build.write(files, tmp_path))


def test_message_stays_one_line_whatever_an_attribute_holds(tmp_path: Path) -> None:
    files = build.edited(build.compact(), build.PRODUCT, build.TILE_ID, "a&#10;b")
    assert r"'a\nb'" in refusal(build.write(files, tmp_path))


def test_granule_of_an_old_product_that_is_not_there(tmp_path: Path) -> None:
    files = {path: data for path, data in OLD.items() if "T53HPA_N02.04/" not in path}
    assert refusal(build.write(files, tmp_path)).endswith("_T53HPA_B01.jp2: missing")


@pytest.mark.parametrize("name", ["../x", f"{build.NAME}.SAFE/../../x", "/etc/x", "a\\b", "C:\\x", "a/\x01", "ä"])
def test_zip_with_a_path_that_leads_out_or_is_odd(tmp_path: Path, name: str) -> None:
    path = build.write_zip(build.compact(), tmp_path / "x.zip")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(name, b"x")
    assert "is not one inside the SAFE folder" in refusal(path)


def test_zip_with_a_link(tmp_path: Path) -> None:
    path = build.write_zip(build.compact(), tmp_path / "x.zip")
    link = zipfile.ZipInfo(f"{build.NAME}.SAFE/link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(link, "/etc/passwd")
    assert refusal(path) == f"/{build.NAME}.SAFE/link: symbolic link in an archive"


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
def test_zip_with_a_file_twice(tmp_path: Path) -> None:
    path = build.write_zip(build.compact(), tmp_path / "x.zip")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(f"{build.NAME}.SAFE/INSPIRE.xml", b"other")
    assert "is named twice or oddly" in refusal(path)


def test_zip_with_several_products(tmp_path: Path) -> None:
    files = build.compact()
    both = {f"a/{path}": data for path, data in files.items()} | {f"b/{path}": data for path, data in files.items()}
    assert "holds 2 files manifest.safe" in refusal(build.write_zip(both, tmp_path / "x.zip", ""))


def test_zip_packed_otherwise(tmp_path: Path) -> None:
    said = refusal(build.write_zip(build.compact(), tmp_path / "x.zip", method=zipfile.ZIP_LZMA))
    assert "packed with method 14" in said


def test_zip_cut_short(tmp_path: Path) -> None:
    path = build.write_zip(build.compact(), tmp_path / "x.zip")
    path.write_bytes(path.read_bytes()[:-400])
    assert refusal(path) == ": neither a SAFE folder nor a zip archive"


def test_zip_with_damaged_metadata(tmp_path: Path) -> None:
    path = build.write_zip(build.compact(), tmp_path / "x.zip", method=zipfile.ZIP_STORED)
    data = path.read_bytes()
    path.write_bytes(data.replace(b"Sentinel-2B", b"Sentinel-2C", 1))
    assert refusal(path).startswith(f"/{build.PRODUCT}: Bad CRC-32")


def test_files_without_measure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(container, "MAX_FILE_BYTES", 6000)
    folder, zipped = build.write(build.compact(), tmp_path), build.write_zip(build.compact(), tmp_path / "x.zip")
    assert "bytes are more than a file of a SAFE can have (6000)" in refusal(folder)
    assert "bytes are more than a file of a SAFE can have (6000)" in refusal(zipped)
    monkeypatch.setattr(container, "MAX_FILE_BYTES", 1 << 30)
    monkeypatch.setattr(container, "MAX_FILES", 5)
    assert refusal(folder) == refusal(zipped) == ": more than 5 files"


@pytest.mark.parametrize("target", ["/etc/passwd", "../outside", "/etc", "loop"])
def test_folder_with_a_link_that_leads_out(tmp_path: Path, target: str) -> None:
    root = build.write(build.compact(), tmp_path)
    (tmp_path / "outside").write_text("secret")
    (root / "loop").symlink_to(target)
    said = refusal(root)
    assert said in ("/loop: symbolic link that leads out of the SAFE folder", "/loop: missing")


def test_folder_with_a_link_inside_is_read(tmp_path: Path) -> None:
    root = build.write(build.compact(), tmp_path)
    (root / build.image("B03")).unlink()
    (root / build.image("B03")).symlink_to(root / build.image("B04"))
    (granule,) = find_granules(root)
    assert granule.metadata.bands[2].image == build.image("B03")


def test_folder_with_what_is_no_file(tmp_path: Path) -> None:
    root = build.write(build.compact(), tmp_path)
    os.mkfifo(root / "pipe")
    assert refusal(root) == "/pipe: not a regular file"


def test_link_put_in_later_is_not_followed(tmp_path: Path) -> None:
    root = build.write(build.compact(), tmp_path)
    (granule,) = find_granules(root)
    (tmp_path / "secret").write_text("secret")
    (root / "INSPIRE.xml").unlink()
    (root / "INSPIRE.xml").symlink_to(tmp_path / "secret")
    with pytest.raises(InvalidSafeError, match="leads out of the SAFE folder"):
        granule.read("INSPIRE.xml")
    with pytest.raises(InvalidSafeError, match="leads out of the SAFE folder"):
        granule.open("../secret")
    with pytest.raises(InvalidSafeError, match="leads out of the SAFE folder"):
        granule.gdal_path("INSPIRE.xml")
