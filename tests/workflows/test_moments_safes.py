"""Moments of archives without overlap, against those that rasterio gives of the SAFEs that they were made of."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import abut
from abut.errors import InvalidSafeError, MixedBaselinesError, NoDataError, ProductNotFoundError
from abut.lattice import Bounds
from abut.layout import BAND
from abut.tiling import tile
from tests.neighbours import SEAM, WEST
from tests.workflows.products import with_wrong_pixel
from workflows.errors import GeometryError, WorkflowError
from workflows.runs.moments import lone_moment, product_moment
from workflows.runs.results import ground
from workflows.runs.safes import safe_moment
from workflows.runs.scenes import cut_moment, scene_of

if TYPE_CHECKING:
    from pathlib import Path

    import xarray as xr

    from abut.archive import Archive
    from abut.connection import Connection
    from tests.workflows.products import Made

BANDS = ("B01", "B02", "B8A")
CASES = [
    ("north", "32VNR", 0),
    ("north", "32VPQ", 0),
    ("south", "53HNA", 0),
    ("south", "53HNA", 1),
    ("south", "53HPB", 0),
]
"""Products of four tiles that meet: offset -1000 beside a swath's edge, and no offset, in two datastrips."""


def connect(archive: Archive) -> Connection:
    return abut.connect(archive.store.url)


def is_same(found: xr.DataTree, expected: xr.DataTree) -> bool:
    """Whether two moments agree in all: bytes of arrays, coordinates, attributes but the note of what is left out."""
    one, other = found.copy(), expected.copy()
    one.attrs.pop("left_out", None)
    assert other.attrs.pop("left_out") is not None
    return bool(one.identical(other))


def near_corner(made: Made, name: str, metres: int = 3_000) -> Bounds:
    """A square in that corner of a tile that is nearest to where the four meet."""
    (x, y), found = made.corner.at, tile(name).footprint
    left = min((found.left, found.right - metres), key=lambda edge: abs(edge - x))
    bottom = min((found.bottom, found.top - metres), key=lambda edge: abs(edge - y))
    return Bounds(found.zone, left, bottom, left + metres, bottom + metres)


def asked_of(made: Made, name: str, strip: int = 0, **more: Any) -> dict[str, Any]:
    """What is asked for: a product's tile near the corner, and half a block around it."""
    core = near_corner(made, name)
    return {"product": made.safes[name, strip].stem, "core": core, "buffer": 4_800, "bands": BANDS, **more}


def changed(safe: Path, folder: Path, file: str, pattern: str, new: str) -> Path:
    """Copy a SAFE; one place in one of its XML files is another."""
    copy = shutil.copytree(safe, folder / safe.name)
    (path,) = copy.glob(file)
    text, count = re.subn(pattern, new, path.read_text(), flags=re.DOTALL)
    assert count == 1
    path.write_text(text)
    return copy


TILE_XML = "GRANULE/*/MTD_TL.xml"
VIEWED = '<Mean_Viewing_Incidence_Angle bandId="7">'


@pytest.mark.parametrize(("where", "name", "strip"), CASES, ids=[f"{name}-{strip}" for _, name, strip in CASES])
def test_a_neighbourhood_is_what_pasting_the_safes_gives(
    request: pytest.FixtureRequest, where: str, name: str, strip: int
) -> None:
    made: Made = request.getfixturevalue(where)
    asked = asked_of(made, name, strip)
    expected = safe_moment(list(made.safes.values()), **asked)
    found = product_moment(connect(made.archive), asked.pop("product"), **asked)
    assert is_same(found, expected)
    assert len(found.attrs["products"]) == len(made.safes)
    assert len(np.unique(found["geometry/view_azimuth"])) > 1
    footprint, window = tile(name).footprint, ground(found, "window")
    own = footprint.intersection(window)
    assert own is not None
    beyond = found["r10m/b02"].to_numpy().copy()
    beyond[window.slices(own, 10)] = 0
    assert beyond.any()


def test_all_bands_are(north: Made) -> None:
    asked = asked_of(north, "32VNR", bands=tuple(BAND), core=near_corner(north, "32VNR", 900), buffer=600)
    expected = safe_moment(list(north.safes.values()), **asked)
    assert is_same(product_moment(connect(north.archive), asked.pop("product"), **asked), expected)
    assert set(scene_of(expected).offsets.values()) == {-1000}


@pytest.mark.parametrize(("fixture", "safes"), [("old_archive", "neighbours"), ("modern_archive", "modern_neighbours")])
def test_a_seam_is_before_and_after_overlap_is_removed(
    request: pytest.FixtureRequest, fixture: str, safes: str
) -> None:
    archive, given = request.getfixturevalue(fixture), request.getfixturevalue(safes)
    core = Bounds(SEAM.zone, SEAM.left + 12_000, SEAM.bottom + 12_000, SEAM.left + 15_000, SEAM.top - 12_000)
    asked: dict[str, Any] = {"buffer": 6_000, "bands": ("B01", "B12"), "core": core}
    for safe in given:
        expected = safe_moment(given, product=safe.stem, **asked)
        assert expected["r20m/b12"].to_numpy().any()
        assert is_same(product_moment(connect(archive), safe.stem, **asked), expected)


@pytest.mark.parametrize(("where", "name", "strip"), [CASES[0], CASES[3]], ids=["north", "south"])
def test_a_lone_tile_is_what_its_safe_holds(request: pytest.FixtureRequest, where: str, name: str, strip: int) -> None:
    made: Made = request.getfixturevalue(where)
    safe, core = made.safes[name, strip], near_corner(made, name)
    expected = safe_moment([safe], bands=("B01", "B8A"), core=core)
    assert expected["r20m/b8a"].to_numpy().any()
    assert is_same(lone_moment(connect(made.archive), safe.stem, bands=("B01", "B8A"), core=core), expected)
    assert ground(expected, "window") == tile(name).footprint


def test_without_buffer_too_the_other_strip_is_there_unless_the_product_is_alone(south: Made) -> None:
    asked = asked_of(south, "53HNA", bands=["B01"], buffer=0, core=south.corner.core())
    safes = list(south.safes.values())
    alone, pasted = safe_moment(safes, **asked), safe_moment(safes, **asked, alone=False)
    core = ground(pasted)
    assert is_same(product_moment(connect(south.archive), asked.pop("product"), **asked), pasted)
    part = alone["r60m/b01"].to_numpy()[ground(alone, "window").slices(core, 60)]
    assert 0 < (part > 0).sum() < (pasted["r60m/b01"].to_numpy() > 0).sum()


@pytest.mark.parametrize(("where", "name"), [("north", "32VNR"), ("south", "53HNA")], ids=["north", "south"])
def test_a_part_is_what_is_read_for_it_with_the_same_angles(
    request: pytest.FixtureRequest, where: str, name: str
) -> None:
    made: Made = request.getfixturevalue(where)
    asked = asked_of(made, name, buffer=9_600)
    product, core = asked.pop("product"), asked["core"]
    whole = product_moment(connect(made.archive), product, **asked)
    inner = Bounds(core.zone, core.left + 600, core.bottom + 600, core.right, core.top - 1_200)
    part = cut_moment(whole, inner.buffered(1_200), inner)
    assert part.identical(product_moment(connect(made.archive), product, **asked | {"core": inner, "buffer": 1_200}))
    assert np.isfinite(part["geometry/view_azimuth"]).all()


def test_a_wrong_pixel_of_a_safe_is_found(north: Made, tmp_path: Path) -> None:
    asked = asked_of(north, "32VNR", bands=["B09"])
    corner = north.corner.part(1_200, -1_260, 1_260, -1_200)  # ground that 32VPQ, to the south-east, owns
    wrong = with_wrong_pixel(north.safes["32VPQ", 0], corner, BAND["B09"], tmp_path)
    safes = [*(safe for (name, _), safe in north.safes.items() if name != "32VPQ"), wrong]
    expected = safe_moment(safes, **asked)
    found = product_moment(connect(north.archive), asked.pop("product"), **asked)
    assert not is_same(found, expected)
    differing = np.argwhere(found["r60m/b09"].to_numpy() != expected["r60m/b09"].to_numpy())
    rows, columns = ground(found, "window").slices(corner, 60)
    assert differing.tolist() == [[rows.start, columns.start]]


def test_a_wrong_angle_or_scale_of_a_safe_is_found(north: Made, tmp_path: Path) -> None:
    lone = north.safes["32VNR", 0]
    found = lone_moment(connect(north.archive), lone.stem, bands=["B01"])
    assert is_same(found, safe_moment([lone], bands=["B01"]))
    angle = changed(lone, tmp_path / "angle", TILE_XML, rf"({VIEWED}.*?<ZENITH_ANGLE[^>]*>)[0-9.]+", r"\g<1>1.25")
    expected = safe_moment([angle], bands=["B01"])
    assert not is_same(found, expected)
    assert (expected["geometry/view_zenith"] == 1.25).all()
    scale = changed(lone, tmp_path / "scale", "MTD_MSIL1C.xml", r'(<RADIO_ADD_OFFSET band_id="0">)-1000', r"\g<1>-999")
    assert not is_same(found, safe_moment([scale], bands=["B01"]))


def test_what_takes_no_part_is_named(
    north: Made, south: Made, modern_neighbours: tuple[Path, Path], neighbours: tuple[Path, Path]
) -> None:
    asked = asked_of(north, "32VNR", bands=["B01"])
    own, others = list(north.safes.values()), [south.safes["53HPA", 1], modern_neighbours[0]]
    found = safe_moment([*others, *own], **asked)
    assert is_same(safe_moment(own, **asked), found)
    assert found.attrs["left_out"] == [
        f"{others[0].stem}: of zone EPSG:32753, not EPSG:32632",
        f"{others[1].stem}: of datatake GS2B_20250801T101559_043885, not GS2B_20250726T101059_043885",
    ]
    west = WEST.footprint
    core = Bounds(west.zone, west.left, SEAM.bottom, west.left + 6_000, SEAM.bottom + 6_000)
    with pytest.raises(NoDataError, match=rf"{neighbours[0].stem} .* no data on {core.left - 60}"):
        safe_moment(neighbours, product=neighbours[0].stem, core=core, buffer=60, bands=["B01"])
    core = replace(core, left=SEAM.left + 15_000, right=SEAM.left + 18_000)
    for one, version in ((neighbours, modern_neighbours), (modern_neighbours, neighbours)):
        asked = {"product": one[0].stem, "core": core, "buffer": 600, "bands": ["B01"]}
        both = safe_moment([*version, *one], **asked)
        assert is_same(safe_moment(one, **asked), both)
        assert both.attrs["left_out"] == [f"{x.stem}: another version of the strip of {one[0].stem}" for x in version]


def test_a_product_that_is_missing_or_not_named_is_told(north: Made) -> None:
    safes = list(north.safes.values())
    with pytest.raises(WorkflowError, match=f"which of 4 products is wanted is not said: {safes[0].stem}"):
        safe_moment(safes, bands=["B01"])
    with pytest.raises(ProductNotFoundError, match=f"S2X: none of the SAFEs; they are {safes[0].stem}$"):
        safe_moment(safes[:1], product="S2X", bands=["B01"])
    with pytest.raises(InvalidSafeError, match="nowhere: no such file"):
        safe_moment([safes[0].parent / "nowhere"], bands=["B01"])
    with pytest.raises(WorkflowError, match=f"{safes[0].stem} alone has no 60 m around it"):
        safe_moment(safes[:1], bands=["B01"], buffer=60, alone=True)
    core = near_corner(north, "32VNR")
    with pytest.raises(WorkflowError, match="is not inside of 32VNR"):
        safe_moment(safes[:1], bands=["B01"], core=replace(core, right=core.right + 60), buffer=60)


def test_products_that_differ_in_scale_are_no_moment(south: Made, tmp_path: Path) -> None:
    pattern = r"(<QUANTIFICATION_VALUE[^>]*>)10000"
    other = changed(south.safes["53HNA", 1], tmp_path, "MTD_MSIL1C.xml", pattern, r"\g<1>1000")
    first = south.safes["53HNA", 0]
    asked = asked_of(south, "53HNA", bands=["B01"])
    with pytest.raises(MixedBaselinesError, match=f"{first.stem} and {other.stem} .* differ in offset or quant"):
        safe_moment([first, other], **asked)


def test_a_product_without_a_valid_pixel_is_zeros_alone_and_nothing_in_a_neighbourhood(dark: Path) -> None:
    alone = safe_moment([dark], bands=["B01"])
    assert alone["r60m/b01"].shape == (1830, 1830)
    assert not alone["r60m/b01"].to_numpy().any()
    assert scene_of(alone).angles().sun_zenith.shape == WEST.hull.shape
    core = Bounds(WEST.zone, SEAM.left, SEAM.bottom, SEAM.left + 600, SEAM.bottom + 600)
    with pytest.raises(NoDataError, match=dark.stem):
        safe_moment([dark], bands=["B01"], core=core, buffer=60)


def test_mean_viewing_angles_that_are_missing_are_nan_and_refused_where_they_are_needed(
    north: Made, tmp_path: Path
) -> None:
    safe = changed(north.safes["32VNR", 0], tmp_path, TILE_XML, f"{VIEWED}.*?</Mean_Viewing_Incidence_Angle>", "")
    moment = safe_moment([safe], bands=["B01"])
    assert np.isnan(moment["geometry/view_zenith"]).all()
    assert np.isfinite(moment["geometry/sun_zenith"]).all()
    with pytest.raises(GeometryError, match="view_zenith is nan in 144 of 144 blocks"):
        scene_of(moment).angles()


def test_damage_beyond_the_window_is_not_met_and_within_it_is_an_error(north: Made, tmp_path: Path) -> None:
    whole = north.safes["32VPQ", 0]
    footprint = tile("32VPQ").footprint
    core = Bounds(footprint.zone, footprint.left, footprint.top - 3_000, footprint.left + 3_000, footprint.top)
    asked: dict[str, Any] = {"bands": ["B02"], "core": core, "alone": False}
    expected = safe_moment([whole], **asked)
    copy = shutil.copytree(whole, tmp_path / whole.name)
    (image,) = copy.glob("GRANULE/*/IMG_DATA/*_B02.jp2")
    image.write_bytes(image.read_bytes()[: image.stat().st_size * 6 // 10])  # tiles in the south are gone
    assert safe_moment([copy], **asked).identical(expected)
    assert expected["r10m/b02"].to_numpy().any()
    with pytest.raises(InvalidSafeError, match=r"_B02\.jp2: can't be decoded"):
        safe_moment([copy], **asked | {"core": replace(core, bottom=core.bottom - 12_000)})


def test_safes_may_be_zips_and_folders_of_safes(south: Made, tmp_path: Path) -> None:
    safe = south.safes["53HPA", 1]
    zipped = shutil.make_archive(str(tmp_path / safe.stem), "zip", safe.parent, safe.name)
    expected = safe_moment([safe], bands=["B09"])
    for given in (zipped, tmp_path, safe.parent):
        assert safe_moment([given], bands=["B09"]).identical(expected)
