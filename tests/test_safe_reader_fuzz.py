"""Whatever XML says, the reader answers with values or with `InvalidSafeError`, in one line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from abut.errors import InvalidSafeError
from ingest.gml import read_mask
from ingest.granule_xml import read_granule
from ingest.manifest import read_manifest
from ingest.product_xml import read_product
from ingest.xmlfile import parse_xml
from tests import safe_builder as build

if TYPE_CHECKING:
    from collections.abc import Callable

    from ingest.xmlfile import XmlNode

FILES = build.compact()
GML = build.gml(
    ("detector_footprint-B01-09-0", "DETECTOR_FOOTPRINT", build.box(300000, 6000000, 309000, 6009000, height=1.5))
)


def read_gml(root: XmlNode) -> object:
    return read_mask(root, 32634)


def assert_read_or_refused(read: Callable[[], object]) -> None:
    message = "x.xml: "
    try:
        assert read() is not None
    except InvalidSafeError as error:
        message = str(error)
    assert message.startswith("x.xml: ")
    assert "\n" not in message


READERS: list[tuple[Callable[[XmlNode], object], bytes]] = [
    (read_product, FILES[build.PRODUCT]),
    (read_granule, FILES[build.TILE]),
    (read_manifest, FILES["manifest.safe"]),
    (read_gml, GML),
]
TOKENS = [
    b"", b"0", b"-1", b"NaN", b"inf", b"1e400", b"9" * 400, b"../", b"/", b"\\", b"\x00", b"\xff", b"&lt;", b"&a;",
    b"<a/>", b"</a>", b"<!DOCTYPE a>", b"B13", b"bandId", b" ", b"\n",
]  # fmt: skip


@pytest.mark.parametrize(("reader", "document"), READERS, ids=["product", "granule", "manifest", "mask"])
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_changed_xml_is_read_or_refused(
    reader: Callable[[XmlNode], object], document: bytes, data: st.DataObject
) -> None:
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(document) - 1))
        length = data.draw(st.integers(0, 40))
        document = document[:start] + data.draw(st.sampled_from(TOKENS)) + document[start + length :]
    changed = document
    assert_read_or_refused(lambda: reader(parse_xml(changed, "x.xml")))


@pytest.mark.parametrize(("reader", "document"), READERS, ids=["product", "granule", "manifest", "mask"])
@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_changed_values_are_read_or_refused(
    reader: Callable[[XmlNode], object], document: bytes, data: st.DataObject
) -> None:
    root = parse_xml(document, "x.xml")
    elements = list(root.element.iter())
    for _ in range(data.draw(st.integers(1, 3))):
        element = data.draw(st.sampled_from(elements))
        text = data.draw(st.text(max_size=12) | st.sampled_from([str(token)[2:-1] for token in TOKENS]))
        change = data.draw(st.sampled_from(("attribute", "text", "tag")))
        if change == "attribute" and element.attrib:
            element.set(data.draw(st.sampled_from(sorted(element.attrib))), text)
        elif change == "tag":
            element.tag = data.draw(st.sampled_from(elements)).tag
        else:
            element.text = text
    assert_read_or_refused(lambda: reader(root))
