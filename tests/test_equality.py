"""`abut equality`: certificates, histograms and page, on two neighbours that differ in a known patch."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import pytest

from abut.errors import ExportError
from abut.lattice import BLOCK_SIZE, Block, Bounds
from abut.layout import BANDS
from abut.testing import make_safe, nudged
from abut.tiling import tile
from cli.demonstration.folder import MARKER, fresh_folder
from cli.demonstration.page import page
from cli.demonstration.products import plan, scene_of
from cli.demonstration.report import BINS, as_json, binned, summed
from cli.equality import prove
from cli.main import run
from ingest.certificate import ArrayResult

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from abut.layout import Band
    from cli.demonstration.products import Plan
    from cli.demonstration.report import Report

WEST, EAST = tile("32UPC"), tile("32UQC")
STEPS = {"B02": 3, "B8A": 9, "B10": 250}
"""By how much the eastern product differs, band by band."""


def _patch(spot: Bounds, planned: Plan) -> Bounds:
    """Return 600 m of ground in a block, as near as possible to where the data are."""
    x = min(max(planned.easting // 60 * 60, spot.left), spot.right - 600)
    y = min(max(planned.northing // 60 * 60, spot.bottom), spot.top - 600)
    return Bounds(spot.zone, x, y, x + 600, y + 600)


PLAN = plan((WEST.id, EAST.id), width=3_000)
BLOCK = Block(
    WEST.zone, PLAN.easting // BLOCK_SIZE, (PLAN.northing - WEST.zone.equator) // BLOCK_SIZE
)  # the middle of the data
PATCH = _patch(BLOCK.bounds, PLAN)


def _differ(band: Band, pixels: NDArray[np.uint16], bounds: Bounds) -> NDArray[np.uint16]:
    if band.name not in STEPS:
        return pixels
    return nudged(PATCH, STEPS[band.name])(band, pixels, bounds)


@pytest.fixture(scope="module")
def proved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Report]:
    """Two neighbours of which one differs in a patch, and what `abut equality` made of them."""
    folder = tmp_path_factory.mktemp("equality")
    scene = scene_of(PLAN)
    make_safe(scene, WEST, folder / "safe")
    make_safe(scene, EAST, folder / "safe", alter=_differ)
    out = fresh_folder(folder / "out", "equality")
    return out, prove(out, [folder / "safe"], workers=0)


@pytest.fixture
def document(proved: tuple[Path, Report]) -> Any:
    return json.loads((proved[0] / "equality.json").read_text())


def test_every_product_has_a_certificate_that_says_equal(proved: tuple[Path, Report], document: Any) -> None:
    out, report = proved
    assert report.equal
    assert document["result"] == "equal"
    assert sorted(entry["tile"] for entry in document["products"]) == [WEST.id, EAST.id]
    for entry in document["products"]:
        certificate = json.loads((out / entry["certificate"]).read_text())
        assert certificate["result"] == "equal"
        assert {band.name for band in BANDS} <= {array["name"] for array in certificate["arrays"]}
        assert all(array["safe_digest"] == array["archive_digest"] for array in certificate["arrays"])


def test_differing_pixels_of_the_overlap_are_counted_exactly(document: Any) -> None:
    (layer,) = document["layers"]
    overlaps = {entry["band"]: entry for entry in layer["overlaps"]}
    assert len(layer["overlaps"]) == len(BANDS)
    for band in BANDS:
        count = (600 // band.resolution) ** 2
        expected = {str(STEPS[band.name]): count} if band.name in STEPS else {}
        assert overlaps[band.name]["histogram"] == expected, band.name
        assert overlaps[band.name]["differing"] == sum(expected.values())
        assert overlaps[band.name]["pixels_with_data_in_one"] == 0
        assert overlaps[band.name]["pixels_with_data_in_both"] > count


def test_differences_fall_into_the_right_bars(proved: tuple[Path, Report]) -> None:
    (layer,) = proved[1].layers
    (bands,) = layer.pairs.values()
    filled = {ends: count for ends, count in zip(BINS, binned(summed(bands)), strict=True) if count}
    assert filled == {(3, 3): 3_600, (6, 10): 900, (101, 65_535): 100}


def test_bars_cover_every_difference_once() -> None:
    assert binned(dict.fromkeys(range(1, 65_536), 1)) == [last - first + 1 for first, last in BINS]
    assert sum(binned(dict.fromkeys(range(1, 65_536), 1))) == 65_535


def test_only_the_block_that_differs_stays_stored_twice(document: Any) -> None:
    (layer,) = document["layers"]
    blocks = layer["blocks"]
    assert blocks["kept_because_pixels_differ"] == 1
    assert blocks["stored_after"] == blocks["distinct"] + 1
    assert blocks["released"] == blocks["stored_before"] - blocks["stored_after"]
    assert layer["bytes"]["after"] <= layer["bytes"]["before"]


class _Reader(HTMLParser):
    """Reads a page as a browser would: text, and what it wants to load."""

    def __init__(self) -> None:
        super().__init__()
        self.text = ""
        self.loads: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.loads += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "data")]

    def handle_data(self, data: str) -> None:
        self.text += data


def _read(html: str) -> _Reader:
    reader = _Reader()
    reader.feed(html)
    return reader


def test_page_needs_nothing_else(proved: tuple[Path, Report]) -> None:
    html = (proved[0] / "equality.html").read_text()
    reader = _read(html)
    assert "script" not in reader.tags
    assert "link" not in reader.tags
    assert reader.loads, "the picture is inside"
    assert all(target.startswith("data:image/png;base64,") for target in reader.loads)
    assert "url(" not in html
    assert "@import" not in html


def test_page_says_what_was_checked_and_how_overlaps_compare(proved: tuple[Path, Report]) -> None:
    out, report = proved
    text = " ".join(_read((out / "equality.html").read_text()).text.split())
    assert "Yes, all of them. 2 of 2 products equal" in text
    (layer,) = report.layers
    pixels = sum(band.pixels for band in layer.overlaps)
    assert f"4,600 of {pixels:,} pixels that have data in both differ" in text
    for certificate in report.certificates:
        assert certificate.product in text
        assert all(array.safe_digest in text for array in certificate.arrays)
        assert all(name in text for name in certificate.left_out)


def test_share_of_equal_pixels_is_never_rounded_up_to_all(proved: tuple[Path, Report]) -> None:
    (layer,) = proved[1].layers
    rare = replace(layer.overlaps[1], pixels=10**9, histogram={1: 1})
    html = page(replace(proved[1], layers=(replace(layer, overlaps=(rare,)),)))
    assert "99.9999 %" in html
    assert "100 %" not in html


def test_page_says_no_where_one_array_is_not_equal(proved: tuple[Path, Report]) -> None:
    first, second = proved[1].certificates
    broken = ArrayResult(name="B02", shape=(1, 1), safe_digest="a", archive_digest=None, problem="<b> is gone")
    report = replace(proved[1], certificates=(replace(first, arrays=(broken, *first.arrays[1:])), second))
    assert not report.equal
    assert as_json(report)["result"] == "not equal"
    html = page(report)
    assert "1 of 2 products equal" in _read(html).text
    assert "B02: &lt;b&gt; is gone" in html


def test_status_is_1_where_a_product_is_not_equal(
    proved: tuple[Path, Report], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = proved[1].certificates
    broken = replace(first.arrays[0], archive_digest="0" * 64)
    unequal = replace(proved[1], certificates=(replace(first, arrays=(broken,)), second))
    (tmp_path / "safe").mkdir()
    for report, status in ((proved[1], 0), (unequal, 1)):
        monkeypatch.setattr("cli.equality.prove", lambda *_, report=report, **__: report)
        assert run(["equality", "--out", str(tmp_path / "out"), str(tmp_path / "safe")]) == status
        text = capsys.readouterr().out
        assert ("NOT EQUAL" in text) == bool(status)
        assert re.search(r"4,600 of [\d,]+ pixels differ", text)


def test_product_that_cannot_be_stored_is_said_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    safe = tmp_path / "S2B_broken.SAFE"
    safe.mkdir()
    assert run(["equality", "--out", str(tmp_path / "out"), str(safe)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("abut: error: ")
    assert line.count("S2B_broken.SAFE") == 1


def test_products_are_never_in_the_folder_that_is_emptied(tmp_path: Path) -> None:
    out = fresh_folder(tmp_path / "out", "equality")
    safe = out / "mine.SAFE"
    safe.mkdir()
    with pytest.raises(ExportError, match=r"mine\.SAFE: lies inside"):
        fresh_folder(out, "equality", inputs=[safe])
    assert safe.is_dir()


def test_folder_of_another_command_or_user_is_refused(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "thesis.txt").write_text("words")
    demo = fresh_folder(tmp_path / "demo", "demo")
    (demo / "overlap.png").write_bytes(b"png")
    link = tmp_path / "link"
    link.symlink_to(demo)
    file = tmp_path / "file"
    file.write_text("words")
    for folder, command in ((theirs, "demo"), (demo, "equality"), (link, "demo"), (file, "demo")):
        with pytest.raises(ExportError, match="is there already, and was not made by"):
            fresh_folder(folder, command)
    assert (theirs / "thesis.txt").is_file()
    assert (demo / "overlap.png").is_file()


def test_own_folder_starts_clean_and_links_out_of_it_are_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("words")
    out = fresh_folder(tmp_path / "out", "demo")
    (out / "old" / "deep").mkdir(parents=True)
    (out / "away").symlink_to(outside)
    fresh_folder(out, "demo")
    assert [entry.name for entry in out.iterdir()] == [MARKER]
    assert (outside / "kept").is_file()


def test_empty_folder_of_anyone_is_taken(tmp_path: Path) -> None:
    assert _names(fresh_folder(tmp_path, "demo").iterdir()) == [MARKER]


def _names(entries: Iterator[Path]) -> list[str]:
    return [entry.name for entry in entries]
