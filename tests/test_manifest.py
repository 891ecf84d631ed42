"""The manifest: sizes and checksums by path."""

from __future__ import annotations

import pytest

from abut.errors import InvalidSafeError
from ingest.manifest import Manifest, ManifestEntry, read_manifest
from ingest.xmlfile import parse_xml

SUM = "0123456789abcdef" * 2


def manifest(*objects: str) -> Manifest:
    xml = f'<xfdu:XFDU xmlns:xfdu="urn:x"><dataObjectSection>{"".join(objects)}</dataObjectSection></xfdu:XFDU>'
    return read_manifest(parse_xml(xml.encode(), "manifest.safe"))


def listed(href: str, size: str = "5", checksum: str = SUM, identifier: str = "x") -> str:
    stream = f'<fileLocation href="{href}"/><checksum checksumName="md5">{checksum}</checksum>'
    return f'<dataObject ID="{identifier}"><byteStream size="{size}">{stream}</byteStream></dataObject>'


def test_paths_lose_their_dots_and_checksums_their_case() -> None:
    found = manifest(listed("./a//b.xml", checksum=SUM.upper()), listed("c d.gml"))
    assert dict(found.entries) == {"a/b.xml": ManifestEntry(5, "MD5", SUM), "c d.gml": ManifestEntry(5, "MD5", SUM)}


def test_metadata_files_are_known_by_their_ids() -> None:
    found = manifest(
        listed("p.xml", identifier="S2_Level-1C_Product_Metadata"),
        listed("GRANULE/a/a.xml", identifier="S2_Level-1C_Tile1_Metadata"),
        listed("GRANULE/b/b.xml", identifier="S2_Level-1C_Tile12_Metadata"),
        listed("DATASTRIP/a.xml", identifier="S2_Level-1C_Datastrip1_Metadata"),
    )
    assert found.product_metadata == "p.xml"
    assert found.tile_metadata == ("GRANULE/a/a.xml", "GRANULE/b/b.xml")


def test_file_without_checksum_has_its_size() -> None:
    plain = '<dataObject ID="x"><byteStream size="7"><fileLocation href="a"/></byteStream></dataObject>'
    assert dict(manifest(plain).entries) == {"a": ManifestEntry(7, None, "")}


@pytest.mark.parametrize("href", ["../a", "/a", "a/../../b", "", ".", "a\\b", "a&#10;b", "ä"])
def test_path_that_leads_out_or_is_odd_is_refused(href: str) -> None:
    with pytest.raises(InvalidSafeError, match=r"^manifest.safe: path .* is not one inside the SAFE folder$"):
        manifest(listed(href))


@pytest.mark.parametrize(
    ("objects", "message"),
    [
        ((listed("a"), listed("./a", size="6")), "a is listed twice with different sizes or checksums"),
        ((listed("a", size="-1"),), "size -1 or checksum"),
        ((listed("a", size="many"),), "size of a 'many' is not a finite number"),
        ((listed("a", checksum="xyz"),), "checksum 'xyz' of a is none"),
        ((listed("a").replace("size=", "length="),), "byteStream without attribute size"),
        ((listed("a").replace("fileLocation", "place"),), "no fileLocation in byteStream"),
    ],
)
def test_manifest_that_makes_no_sense_is_refused(objects: tuple[str, ...], message: str) -> None:
    with pytest.raises(InvalidSafeError, match=message):
        manifest(*objects)


def test_file_listed_twice_with_the_same_facts_is_fine() -> None:
    assert set(manifest(listed("a"), listed("a")).entries) == {"a"}
