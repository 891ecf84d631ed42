"""`Granule.check`: files against the manifest, and JP2 files that lost their end."""

from __future__ import annotations

import hashlib
import io
import zipfile
from typing import TYPE_CHECKING

import pytest

from abut.errors import InvalidSafeError
from ingest import jp2
from ingest.safe import find_granules
from tests import safe_builder as build

if TYPE_CHECKING:
    from pathlib import Path

    from ingest.granule import Granule

B02 = build.image("B02")
PVI = f"{build.FOLDER}/QI_DATA/T34UCF_20230823T095559_PVI.jp2"


def granule_with(files: build.Files, folder: Path) -> Granule:
    (granule,) = find_granules(build.write(files, folder))
    return granule


@pytest.mark.parametrize("algorithm", ["MD5", "SHA3-256"])
def test_every_file_of_a_good_product_passes(tmp_path: Path, algorithm: str) -> None:
    files = build.with_manifest(build.compact(), algorithm)
    for granule in (
        granule_with(files, tmp_path),
        *find_granules(build.write_zip(files, tmp_path / "a.zip", method=zipfile.ZIP_STORED)),
        *find_granules(build.write_zip(files, tmp_path / "b.zip", method=zipfile.ZIP_DEFLATED)),
    ):
        for path in files:
            granule.check(path)


@pytest.mark.parametrize("path", [B02, "INSPIRE.xml"])
def test_file_of_another_length_fails(tmp_path: Path, path: str) -> None:
    files = build.compact()
    granule = granule_with(files | {path: files[path] + b"\xff\xd9"}, tmp_path)
    size = len(files[path])
    with pytest.raises(InvalidSafeError, match=rf"{path}: {size + 2} bytes, but the manifest says {size}"):
        granule.check(path)


@pytest.mark.parametrize("algorithm", ["MD5", "SHA3-256"])
def test_file_with_one_changed_byte_fails(tmp_path: Path, algorithm: str) -> None:
    files = build.with_manifest(build.compact(), algorithm)
    changed = files[B02].replace(b"B02", b"B03")
    assert hashlib.md5(changed).digest() != hashlib.md5(files[B02]).digest()  # noqa: S324 - what SAFE has
    granule = granule_with(files | {B02: changed}, tmp_path)
    with pytest.raises(InvalidSafeError, match=rf"{B02}: {algorithm} [0-9a-f]+, but the manifest says [0-9a-f]+"):
        granule.check(B02)


def test_file_that_is_gone_fails(tmp_path: Path) -> None:
    granule = granule_with(build.without(build.compact(), "INSPIRE.xml"), tmp_path)
    with pytest.raises(InvalidSafeError, match=r"INSPIRE.xml: missing"):
        granule.check("INSPIRE.xml")


def test_damage_in_a_zip_fails(tmp_path: Path) -> None:
    path = build.write_zip(build.compact(), tmp_path / "x.zip", method=zipfile.ZIP_STORED)
    path.write_bytes(path.read_bytes().replace(b"\xff\x4fB02", b"\xff\x4fB03", 1))
    (granule,) = find_granules(path)
    with pytest.raises(InvalidSafeError, match=rf"{B02}: Bad CRC-32"):
        granule.check(B02)


def test_unknown_kind_of_checksum_fails(tmp_path: Path) -> None:
    files = build.compact()
    text = files["manifest.safe"].decode().replace("SHA3-256", "CRC32")
    granule = granule_with(files | {"manifest.safe": text.encode()}, tmp_path)
    with pytest.raises(InvalidSafeError, match="unknown kind of checksum in the manifest, 'CRC32'"):
        granule.check("INSPIRE.xml")


def test_jp2_without_its_end_fails_though_the_manifest_agrees(tmp_path: Path) -> None:
    files = build.compact()
    for cut in range(1, len(files[PVI])):
        files[PVI] = build.jp2(b"PVI")[:-cut]
        granule = granule_with(build.with_manifest(files), tmp_path)
        with pytest.raises(InvalidSafeError, match=r"PVI.jp2: (not a JP2 file|.*its end is missing)"):
            granule.check(PVI)


def test_jp2_that_the_manifest_does_not_list_has_to_have_its_end(tmp_path: Path) -> None:
    files = build.with_manifest(build.compact(), without=("PVI.jp2",))
    granule_with(files, tmp_path).check(PVI)
    with pytest.raises(InvalidSafeError, match="its end is missing"):
        granule_with(files | {PVI: files[PVI][:-2]}, tmp_path).check(PVI)


def test_file_that_the_manifest_does_not_list_only_has_to_exist(tmp_path: Path) -> None:
    granule = granule_with(build.compact(), tmp_path)
    granule.check(f"{build.FOLDER}/AUX_DATA/AUX_ECMWFT")
    with pytest.raises(InvalidSafeError, match="AUX_CAMSFO: missing"):
        granule.check(f"{build.FOLDER}/AUX_DATA/AUX_CAMSFO")


@pytest.mark.parametrize(
    ("tail", "defect"),
    [
        (b"\x00\x00\x00\x00jp2c\xff\x4fdata\xff\xd9", None),
        (b"\x00\x00\x00\x01jp2c\x00\x00\x00\x00\x00\x00\x00\x18\xff\x4fdata\xff\xd9", None),
        (b"\x00\x00\x00\x10jp2c\xff\x4fdata\xff\xd9\x00\x00\x00\x0dxml tail.", None),
        (b"\x00\x00\x00\x00jp2c\xff\x4fdata\xff\xd8", "codestream without end marker: its end is missing"),
        (b"\x00\x00\x00\x11jp2c\xff\x4fdata\xff\xd9", "box b'jp2c' ends at byte 29 of 28: its end is missing"),
        (b"\x00\x00\x00\x04jp2c\xff\x4fdata\xff\xd9", "box b'jp2c' ends at byte 16 of 28: its end is missing"),
        (b"\x00\x00\x00\x08free" * 1001, "more than 1000 boxes before the codestream"),
    ],
)
def test_boxes_are_followed_to_the_end_of_the_codestream(tail: bytes, defect: str | None) -> None:
    data = jp2.SIGNATURE + tail
    assert jp2.defect(io.BytesIO(data), len(data)) == defect
