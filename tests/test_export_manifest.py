"""The manifest of a re-created SAFE: only sizes and checksums of new files change."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from abut.errors import InvalidArchiveError
from abut.export.manifest import listed, rewrite
from tests.conftest import shared_data

if TYPE_CHECKING:
    from pathlib import Path

MANIFEST = b"""<?xml version="1.0"?>
<xfdu:XFDU xmlns:xfdu="urn:ccsds:schema:xfdu:1">
  <dataObject ID="a"><byteStream mimeType="x"  size = "12"><fileLocation href="./I/a.jp2" locatorType="URL"/>
    <checksum checksumName="MD5">ABCDEF0123456789ABCDEF0123456789</checksum></byteStream></dataObject>\r
  <dataObject ID="b"><byteStream size='7'><fileLocation locatorType='URL' href='I/b.jp2'/>
    <checksum  checksumName='SHA3-256' >00aa</checksum></byteStream></dataObject>
  <dataObject ID="c"><byteStream size="1"><fileLocation href="./keep.xml"/>
    <checksum checksumName="CRC99">00aa</checksum></byteStream></dataObject>
</xfdu:XFDU><!-- tail -->"""


@pytest.fixture(name="root")
def _root(tmp_path: Path) -> Path:
    (tmp_path / "I").mkdir()
    (tmp_path / "I/a.jp2").write_bytes(b"first image")
    (tmp_path / "I/b.jp2").write_bytes(b"second")
    return tmp_path


def test_sizes_and_checksums_of_new_files_are_replaced_and_nothing_else(root: Path) -> None:
    md5 = hashlib.md5(b"first image", usedforsecurity=False).hexdigest().upper().encode()
    sha3 = hashlib.sha3_256(b"second").hexdigest().encode()
    expected = (
        MANIFEST.replace(b'"12"', b'"11"')
        .replace(b"ABCDEF0123456789ABCDEF0123456789", md5)
        .replace(b"'7'", b"'6'")
        .replace(b"00aa", sha3, 1)
    )
    assert rewrite(MANIFEST, root, ["I/a.jp2", "I/b.jp2"]) == expected


def test_a_manifest_of_files_that_are_as_they_were_does_not_change(root: Path) -> None:
    assert rewrite(MANIFEST, root, []) == MANIFEST
    assert rewrite(MANIFEST, root, ["I/not-listed.jp2"]) == MANIFEST


def test_an_unknown_kind_of_checksum_is_refused(root: Path) -> None:
    (root / "keep.xml").write_bytes(b"x")
    with pytest.raises(InvalidArchiveError, match="CRC99"):
        rewrite(MANIFEST, root, ["keep.xml"])


def test_a_manifest_that_breaks_off_is_kept_as_it_is(root: Path) -> None:
    cut = MANIFEST[: MANIFEST.index(b"</byteStream>")]
    assert rewrite(cut, root, ["I/a.jp2"]) == cut


def test_listed_paths_are_relative_to_the_safe() -> None:
    assert listed(MANIFEST) == ("I/a.jp2", "I/b.jp2", "keep.xml")


def test_real_manifests_list_their_images_and_survive() -> None:
    safes = [*(shared_data() / "safe").glob("*.SAFE"), *(shared_data() / "eopf").glob("*.SAFE")]
    assert len(safes) == 4
    for safe in safes:
        manifest = (safe / "manifest.safe").read_bytes()
        paths = listed(manifest)
        images = [path for path in paths if "/IMG_DATA/" in path]
        assert len(images) >= 13
        there = [path for path in images if (safe / path).is_file()]
        rewritten = rewrite(manifest, safe, there)
        assert listed(rewritten) == paths
        if "eopf" in str(safe):  # the one whose images are those that its manifest means
            assert rewritten == manifest
