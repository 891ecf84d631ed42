"""Cubes across the seam of two SAFE products, with masks and angles, against what the SAFEs hold."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import xarray as xr

import abut
from abut import angle_grid, view_angles
from abut.counted import counted
from abut.errors import DigestMismatchError, MissingObjectError
from abut.export.cube import write_cube
from abut.lattice import BlockRange
from abut.layout import BAND
from abut.masks import read_angles, read_mask
from abut.regrid import regrid_bits, regrid_dn, regrid_ids
from abut.store import Store
from tests.neighbours import SEAM
from tests.pasted import delivered, pasted, pasted_from

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from abut.angle_grid import AngleGrid
    from abut.archive import Archive
    from abut.connection import Connection
    from abut.layout import Band
    from abut.product import Product

CHOSEN = tuple(BAND[name] for name in ("B01", "B02", "B05"))


@pytest.fixture(name="connection", scope="module")
def _connection(modern_archive: Archive) -> Connection:
    return abut.connect(modern_archive.store.url)


@pytest.fixture(name="tree", scope="module")
def _tree(connection: Connection) -> xr.DataTree:
    found = connection.cube(window=SEAM, bands=CHOSEN, masks=True, angles=True, weather=True)
    assert isinstance(found, xr.DataTree)
    return found


def dataset(connection: Connection, **options: Any) -> xr.Dataset:
    found = connection.cube(**{"window": SEAM, "bands": CHOSEN, **options})
    assert isinstance(found, xr.Dataset)
    return found


@pytest.mark.parametrize("band", [BAND[name] for name in ("B08", "B09", "B8A", "B12")], ids=lambda band: band.name)
def test_bands_of_unsettled_products_are_what_pasting_their_jp2s_gives(
    old_archive: Archive, neighbours: tuple[Path, Path], band: Band
) -> None:
    expected = pasted([delivered(safe) for safe in neighbours], SEAM, band)
    found = dataset(abut.connect(old_archive.store.url), bands=[band], resolution=band.resolution)
    assert (expected > 0).any()
    assert np.array_equal(found[band.key][0], expected)
    assert found.radio_add_offset.values.tolist() == [[0]]
    row, column = np.argwhere(expected > 0)[0]
    expected[row, column] += 1
    assert not np.array_equal(found[band.key][0], expected)


@pytest.mark.parametrize("band", CHOSEN, ids=lambda band: band.name)
def test_bands_of_purged_products_are_what_pasting_their_jp2s_gives(
    tree: xr.DataTree, modern_neighbours: tuple[Path, Path], band: Band
) -> None:
    expected = pasted([delivered(safe) for safe in modern_neighbours], SEAM, band)
    assert np.array_equal(tree[band.group].to_dataset()[band.key][0], expected)


@pytest.mark.parametrize("resolution", [10, 20, 60])
def test_a_common_pixel_size_repeats_or_averages(
    connection: Connection, modern_neighbours: tuple[Path, Path], resolution: int
) -> None:
    found = dataset(connection, resolution=resolution)
    for band in CHOSEN:
        native = pasted([delivered(safe) for safe in modern_neighbours], SEAM, band)
        assert np.array_equal(found[band.key][0], regrid_dn(native, band.resolution, resolution))


def supplied(
    archive: Archive, safes: tuple[Path, Path], band: Band, read: Any
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """What each pixel's supplier has in a mask of its own, and which pixels somebody supplied."""
    _, supplier = pasted_from([delivered(safe) for safe in safes], SEAM, band)
    mask: NDArray[np.uint8] = np.zeros(supplier.shape, np.uint8)
    for number, safe in enumerate(safes):
        product = archive.product(safe.stem)
        part = SEAM.intersection(product.tile.footprint)
        assert part is not None
        whole = np.zeros(supplier.shape, np.uint8)
        own = read(archive, product)
        whole[SEAM.slices(part, band.resolution)] = own[product.tile.footprint.slices(part, band.resolution)]
        mask[supplier == number] = whole[supplier == number]
    return mask, supplier >= 0


@pytest.mark.parametrize("band", CHOSEN, ids=lambda band: band.name)
@pytest.mark.parametrize("kind", ["detector_footprint", "quality"])
@pytest.mark.parametrize("state", ["unsettled", "purged"])
def test_masks_are_those_of_the_supplier_of_each_pixel(
    request: pytest.FixtureRequest, state: str, kind: str, band: Band
) -> None:
    old = state == "unsettled"
    archive = request.getfixturevalue("old_archive" if old else "modern_archive")
    safes = request.getfixturevalue("neighbours" if old else "modern_neighbours")
    expected, seen = supplied(
        archive, safes, band, lambda archive, product: read_mask(archive, product, f"{kind}/{band.name}")
    )
    found = dataset(abut.connect(archive.store.url), bands=[band], resolution=band.resolution, masks=True)
    mask = found[f"{band.key}_{kind}"][0].values
    assert np.array_equal(mask[seen], expected[seen])
    assert kind == "quality" or len(np.unique(mask)) > 2
    if band.resolution == 60:
        expected, seen = supplied(
            archive, safes, band, lambda archive, product: read_mask(archive, product, "classification")
        )
        assert np.array_equal(found.l1c_classification[0].values[seen], expected[seen])
        assert expected.any()


def test_where_one_product_holds_a_block_its_masks_are_as_they_are(tree: xr.DataTree, modern_archive: Archive) -> None:
    group, blocks, whole = tree["r20m"].to_dataset(), BlockRange.around(SEAM), 0
    for row, column in zip(*np.nonzero(group.source[0].values >= 0), strict=True):
        product = modern_archive.product(str(group["product"].values[group.source[0].values[row, column]]))
        ground = blocks.block(int(row), int(column)).bounds.intersection(SEAM)
        part = ground.intersection(product.tile.footprint) if ground else None
        assert part is not None
        whole += part == ground
        own = read_mask(modern_archive, product, "detector_footprint/B05")[product.tile.footprint.slices(part, 20)]
        assert np.array_equal(group.b05_detector_footprint[0].values[SEAM.slices(part, 20)], own)
    assert whole > 3


@pytest.mark.parametrize("chunks", [None, {}], ids=["eager", "lazy"])
def test_the_classification_comes_with_masks_of_any_band(
    connection: Connection, tree: xr.DataTree, tmp_path: Path, chunks: dict[str, int] | None
) -> None:
    found = connection.cube(window=SEAM, bands="B05", masks=True, chunks=chunks)
    assert isinstance(found, xr.DataTree)
    assert set(found.children) == {"r20m", "r60m"}
    assert set(found["r60m"].data_vars) == {"l1c_classification"}
    expected = tree["r60m"].l1c_classification
    assert expected.values.any()
    assert np.array_equal(found["r60m"].l1c_classification.values, expected.values)
    for name in ("cube.zarr", "cube.nc", "images"):
        write_cube(found, tmp_path / name)
    with xr.open_datatree(tmp_path / "cube.nc", engine="h5netcdf") as opened:
        assert np.array_equal(opened["r60m"].l1c_classification.values, expected.values)
    assert len(list((tmp_path / "images").glob("*lassification*.tif"))) == 1


def test_masks_on_a_common_pixel_size_follow_their_rules(connection: Connection, tree: xr.DataTree) -> None:
    for resolution in (10, 60):
        found = dataset(connection, resolution=resolution, masks=True)
        for band in CHOSEN:
            own, size = tree[band.group].to_dataset(), band.resolution
            detectors = own[f"{band.key}_detector_footprint"][0].values
            (expected,) = regrid_ids(detectors, size, resolution)
            assert np.array_equal(found[f"{band.key}_detector_footprint"][0], expected)
            flags = own[f"{band.key}_quality"][0].values
            assert np.array_equal(found[f"{band.key}_quality"][0], regrid_bits(flags, size, resolution))


def angle(angles: NDArray[np.float64], product: Product, x: float, y: float) -> tuple[float, float] | None:
    """Zenith and azimuth at a place by the four nodes around it; None if one of them is missing."""
    down, across = (product.tile.uly - y) / 5000, (x - product.tile.ulx) / 5000
    i, j = math.floor(down), math.floor(across)
    weights = {
        (i, j): (1 - down + i) * (1 - across + j),
        (i, j + 1): (1 - down + i) * (across - j),
        (i + 1, j): (down - i) * (1 - across + j),
        (i + 1, j + 1): (down - i) * (across - j),
    }
    if any(np.isnan(angles[0][node]) for node in weights):
        return None
    zenith = sum(weight * angles[0][node] for node, weight in weights.items())
    turned = sum(weight * np.exp(1j * np.radians(angles[1][node])) for node, weight in weights.items())
    return float(zenith), float(np.degrees(np.angle(turned)) % 360)


@pytest.mark.parametrize("band", CHOSEN, ids=lambda band: band.name)
def test_angles_are_those_of_the_suppliers_detector(
    connection: Connection, modern_archive: Archive, modern_neighbours: tuple[Path, Path], band: Band
) -> None:
    found = dataset(connection, bands=[band], resolution=band.resolution, masks=True, angles=True)
    products = [modern_archive.product(safe.stem) for safe in modern_neighbours]
    grids = [read_angles(modern_archive, product) for product in products]
    _, supplier = pasted_from([delivered(safe) for safe in modern_neighbours], SEAM, band)
    detectors = found[f"{band.key}_detector_footprint"][0].values
    views = [found[f"{band.key}_view_{kind}"][0].values for kind in ("zenith", "azimuth")]
    assert np.array_equal(np.isnan(views[0]), detectors == 0)
    suns = [found[f"sun_{kind}"][0].values for kind in ("zenith", "azimuth")]
    places = np.argwhere((supplier >= 0) & (detectors > 0))
    chance, compared = np.random.default_rng(3), set()
    for row, column in places[chance.integers(0, len(places), 150)]:
        number = supplier[row, column]
        x, y = float(found.x[column]), float(found.y[row])
        sun, viewing = grids[number]
        expected = angle(viewing[band.index, detectors[row, column] - 1], products[number], x, y)
        if expected is not None:
            compared.add((int(number), int(detectors[row, column])))
            assert views[0][row, column] == pytest.approx(expected[0], abs=1e-5)
            assert views[1][row, column] == pytest.approx(expected[1], abs=1e-4)
        if band.name == "B01":
            expected = angle(sun, products[number], x, y)
            assert expected is not None
            assert suns[0][row, column] == pytest.approx(expected[0], abs=1e-5)
            assert suns[1][row, column] == pytest.approx(expected[1], abs=1e-4)
    assert {number for number, _ in compared} == {0, 1}
    assert len(compared) > 2


def test_angles_of_groups_are_at_60_m_unless_asked_otherwise(connection: Connection, tree: xr.DataTree) -> None:
    coarse = tree["angles"].to_dataset()
    assert coarse.b02_view_zenith.shape[1:] == SEAM.shape(60)
    fine = connection.cube(window=SEAM, bands="B02", angles=True, angle_resolution=10)["angles"].to_dataset()
    middle = fine.b02_view_zenith[0].values.reshape(*(n for m in SEAM.shape(60) for n in (m, 6)))[:, 2:4, :, 2:4]
    both = np.isfinite(coarse.b02_view_zenith[0].values) & np.isfinite(middle).all(axis=(1, 3))
    off = np.abs(coarse.b02_view_zenith[0].values - middle.mean(axis=(1, 3)))[both]
    assert np.quantile(off, 0.9) < 1e-3  # but where two detectors meet in the cell
    same = dataset(connection, bands="B02", angles=True, resolution=60)
    xr.testing.assert_equal(same.b02_view_azimuth, coarse.b02_view_azimuth)


def test_the_jump_at_the_seam_is_told(tree: xr.DataTree, connection: Connection) -> None:
    jump = tree["angles"].attrs["seam_jump_zenith_degrees"], tree["angles"].attrs["seam_jump_azimuth_degrees"]
    assert all(0 < value < 0.02 for value in jump)  # both tiles sample one smooth function, at other nodes
    west = connection.tile("32TMT", bands="B01", angles=True, resolution=60, ids=[], empty=True)
    assert "seam_jump_zenith_degrees" not in west.attrs


def test_the_jump_is_looked_for_among_detectors_that_both_products_know_once_for_each_pair(
    modern_archive: Archive, modern_neighbours: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seam by seam and detector by detector it took as long as the pixels."""
    plan = abut.connect(modern_archive.store.url).plan(SEAM, bands="B02")
    compared: list[int] = []

    def at_points(grid: AngleGrid, *rest: Any) -> Any:
        compared.append(int(grid.valid.sum()))
        return angle_grid.at_points(grid, *rest)

    monkeypatch.setattr(view_angles, "at_points", at_points)
    band = BAND["B02"]
    jump = view_angles.seam_jump(plan.source, modern_archive.store, SEAM, [band], [0, 0])
    views = [read_angles(modern_archive, modern_archive.product(one.stem))[1] for one in modern_neighbours]
    nodes = [np.isfinite(view[band.index]).all(axis=1).any(axis=(1, 2)) for view in views]
    common = int((nodes[0] & nodes[1]).sum())
    assert jump is not None
    assert 0 < common < 12
    assert all(compared)
    assert len(compared) in (2 * common, 4 * common), "either order of the two, for both steps together"


def test_a_lazy_cube_opens_no_angles_until_they_are_asked_for(modern_archive: Archive) -> None:
    store, count = counted(modern_archive.store)
    connection = abut.connect(modern_archive.store.url)
    connection = replace(connection, archive=replace(connection.archive, store=store))
    for size in (None, 60):
        made: Any = connection.cube(window=SEAM, bands="B02", angles=True, chunks={}, resolution=size)
        about = (made if size else made["angles"]).attrs
        assert about["seam_jump"] == "not known: the cube is lazy"
        assert "seam_jump_zenith_degrees" not in about
    assert not [key for key in count.keys if "angles" in key]


def test_legacy_tiles_use_their_own_grids(
    connection: Connection, modern_archive: Archive, modern_neighbours: tuple[Path, Path], tree: xr.DataTree
) -> None:
    product = modern_archive.product(modern_neighbours[1].stem)
    legacy = connection.legacy_tile(product.id, bands="B01", angles=True)
    own = legacy["angles"].to_dataset()
    footprint = product.tile.footprint
    assert own.b01_view_zenith.shape == footprint.shape(60)
    part = footprint.intersection(SEAM)
    assert part is not None
    _, supplier = pasted_from([delivered(safe) for safe in modern_neighbours], SEAM, BAND["B01"])
    mine = (supplier == 1)[SEAM.slices(part, 60)]
    assert mine.any()
    view = tree["angles"].to_dataset().b01_view_azimuth[0].values[SEAM.slices(part, 60)]
    assert np.array_equal(own.b01_view_azimuth.values[footprint.slices(part, 60)][mine], view[mine], equal_nan=True)
    detectors = legacy["r60m"].to_dataset().b01_detector_footprint.values
    assert np.array_equal(np.isfinite(own.b01_view_zenith.values), detectors > 0)
    assert np.isfinite(own.sun_zenith.values).sum() >= (detectors > 0).sum()


def test_weather_comes_per_product_as_it_is(tree: xr.DataTree, modern_neighbours: tuple[Path, Path]) -> None:
    assert set(tree["weather"].children) == {safe.stem for safe in modern_neighbours}
    fields = tree[f"weather/{modern_neighbours[0].stem}"].to_dataset()
    assert fields.ecmwf_tco3.dims == ("ecmwf_latitude", "ecmwf_longitude")
    assert {"cams_aod550", "ecmwf_msl"} <= set(fields.data_vars)


def test_lazy_masks_and_angles_have_the_bytes_of_eager_ones(connection: Connection, tree: xr.DataTree) -> None:
    for chunks in ({}, {"x": 960, "y": 480}):
        lazy = connection.cube(window=SEAM, bands=CHOSEN, masks=True, angles=True, weather=True, chunks=chunks)
        assert isinstance(lazy, xr.DataTree)
        for name in ("r10m", "r20m", "r60m", "angles"):
            made, expected = lazy[name].to_dataset().compute(), tree[name].to_dataset()
            if name == "angles":
                about = {key: value for key, value in expected.attrs.items() if not key.startswith("seam_jump")}
                assert made.attrs.keys() == {*about, "seam_jump"}
                made, expected = (one.drop_attrs(deep=False) for one in (made, expected))
            xr.testing.assert_identical(made, expected)


@pytest.mark.parametrize(("harm", "error"), [("spoil", DigestMismatchError), ("lose", MissingObjectError)])
def test_harmed_masks_are_errors_that_name_the_object(
    connection: Connection, monkeypatch: pytest.MonkeyPatch, harm: str, error: type[Exception]
) -> None:
    plain = Store.get

    def get(store: Store, key: str) -> bytes:
        if "/conditions/mask/detector_footprint/r60m/c/2/" not in key:  # of B10, which no other test reads
            return plain(store, key)
        if harm == "lose":
            raise MissingObjectError(f"{store.url}/{key}: no such object")
        return b"spoilt"

    monkeypatch.setattr(Store, "get", get)
    with pytest.raises(error, match=r"archive/products/.*/conditions/mask/detector_footprint/r60m/c/2/"):
        dataset(connection, bands="B10", resolution=60, masks=True)
