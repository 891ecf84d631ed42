"""Cubes of toy products around the corner of four tiles, against pasting their legacy arrays."""

from __future__ import annotations

import pickle
import subprocess
import sys
import warnings
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import xarray as xr
from distributed import Client, LocalCluster

import abut
from abut.archive import Archive, create_archive
from abut.errors import (
    BadRequestError,
    MixedBaselinesError,
    MixedBaselinesWarning,
    NoDataError,
    OlderVersionWarning,
    TooLargeError,
)
from abut.export.cube import write_cube
from abut.lattice import BlockRange, Bounds
from abut.layout import BAND
from ingest.ingest import ingest
from ingest.purge import purge
from ingest.settle import settle
from tests.pasted import Delivered, pasted, pasted_from
from tests.shots import Shot, shot_days_later
from tests.toy import CORNER, START, TILES

if TYPE_CHECKING:
    from pathlib import Path

    from abut.connection import Connection

B01, B09 = BAND["B01"], BAND["B09"]
NORTH = replace(CORNER, bottom=CORNER.bottom + 8_040)
SOUTH = replace(CORNER, top=NORTH.bottom + 1_200)
"""Two strips overlap by 1,200 m."""
SECOND = START + timedelta(seconds=30)
WINDOW = Bounds(CORNER.zone, CORNER.left - 1_200, CORNER.bottom + 3_000, CORNER.right - 4_260, CORNER.top + 9_600)
"""Cuts blocks, and reaches beyond what is held."""
SHOTS: tuple[tuple[Shot, ...], ...] = (
    (
        *(Shot(name, NORTH, added={"B09": 3} if name == "32TPP" else {}) for name in TILES),
        *(Shot(name, SOUTH, {"B01": 5}, "S", SECOND) for name in ("32TNP", "32TPP")),
    ),
    tuple(shot_days_later(10, name, offset=0, baseline="03.01") for name in ("32TNP", "32TPQ")),
)
"""Products by step."""


def delivered(shot: Shot) -> Delivered:
    return Delivered(shot.id, shot.tile, lambda band: shot.arrays[band.name], str(shot.datastrip_start))


def truth(step: int) -> list[Delivered]:
    return [delivered(shot) for shot in SHOTS[step]]


@pytest.fixture(name="folder", scope="module")
def _folder(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Archive]:
    """The same products, in three states of their archive."""
    archives = {}
    for state in ("unsettled", "settled", "purged"):
        archive = archives[state] = create_archive(tmp_path_factory.mktemp(state) / "archive")
        for shots in SHOTS:
            for shot in shots:
                ingest(archive, shot)
        if state != "unsettled":
            assert sum(one.released for one in settle(archive)) > 0
        if state == "purged":
            assert sum(one.objects for one in purge(archive, grace=timedelta(0))) > 0
    return archives


@pytest.fixture(name="connection", scope="module")
def _connection(folder: dict[str, Archive]) -> Connection:
    return abut.connect(folder["purged"].store.url)


def cube(connection: Connection, **options: Any) -> xr.Dataset:
    found = connection.cube(**{"window": WINDOW, "bands": "B01,B09", "resolution": 60, **options})
    assert isinstance(found, xr.Dataset)
    return found


@pytest.mark.parametrize("state", ["unsettled", "settled", "purged"])
def test_a_window_over_a_corner_of_four_tiles_is_what_pasting_the_tiles_gives(
    folder: dict[str, Archive], state: str
) -> None:
    found = cube(abut.connect(folder[state].store.url))
    assert list(found.time.values) == [np.datetime64(s[0].datatake.replace(tzinfo=None), "ns") for s in SHOTS]
    for band in (B01, B09):
        for step in range(2):
            expected = pasted(truth(step), WINDOW, band)
            assert (expected == 0).any()
            assert (expected > 0).any()
            assert np.array_equal(found[band.key][step], expected)
            expected[400, 300] += 1
            assert not np.array_equal(found[band.key][step], expected)


def test_the_source_of_each_block_is_its_first_holder(connection: Connection) -> None:
    found = cube(connection)
    blocks = BlockRange.around(WINDOW)
    assert found.source.shape == (2, *blocks.shape)
    seen = 0
    for step in range(2):
        sources = truth(step)
        for block in blocks:
            part = block.bounds.intersection(WINDOW)
            assert part is not None
            centre = {
                "block_x": (block.bounds.left + block.bounds.right) / 2,
                "block_y": (block.bounds.bottom + block.bounds.top) / 2,
            }
            index = int(found.source.isel(time=step).sel(centre))
            _, supplier = pasted_from(sources, block.bounds, B01)
            if index < 0:
                assert (supplier < 0).all()
                continue
            seen += 1
            name = str(found["product"][index].values)
            assert sources.index(next(one for one in sources if one.id == name)) in supplier
    assert seen > 20


@pytest.mark.parametrize(
    "chunks", [{}, "auto", 160, {"x": 320, "y": 160, "time": 2}, {"x": -1, "y": -1, "time": -1}, {"y": 1}]
)
def test_lazy_cubes_have_the_bytes_of_eager_ones(connection: Connection, chunks: Any) -> None:
    eager, lazy = cube(connection, reflectance=True), cube(connection, reflectance=True, chunks=chunks)
    assert lazy.b01.chunks is not None
    edges = np.cumsum(lazy.b01.chunksizes["x"])[:-1] * 60 + WINDOW.left
    assert not (edges % 9_600).any()
    xr.testing.assert_identical(lazy.compute(), eager)
    spoilt = eager.copy(deep=True)
    spoilt.b01[0, 400, 300] += 1
    assert spoilt.b01[0, 400, 300] > 0
    assert not spoilt.identical(lazy.compute())


@pytest.mark.parametrize(
    ("rows", "columns"),
    [(slice(3, 250), slice(100, 101)), (17, slice(None, None, 7)), (slice(None, None, -1), slice(300, 20, -9)), (5, 9)],
)
def test_parts_of_lazy_cubes_are_those_of_eager_ones(connection: Connection, rows: Any, columns: Any) -> None:
    eager, lazy = cube(connection, resolution=20), cube(connection, resolution=20, chunks={})
    xr.testing.assert_identical(lazy.isel(y=rows, x=columns).compute(), eager.isel(y=rows, x=columns))


def test_a_lazy_cube_reads_only_the_blocks_of_what_is_asked_for(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    from abut.store import Store  # noqa: PLC0415 - what is watched

    lazy = cube(connection, chunks={"x": 160, "y": 160})
    keys: list[str] = []
    plain = Store.get

    def get(store: Store, key: str) -> bytes:
        keys.append(key)
        return plain(store, key)

    monkeypatch.setattr(Store, "get", get)
    lazy.b09.isel(time=1, y=slice(600, 610), x=slice(30, 40)).compute()
    assert len(keys) == 1
    assert "/b09/c/" in keys[0]


def test_a_cluster_reads_parts_in_other_processes(connection: Connection) -> None:
    lazy = cube(connection, chunks={})
    assert len(pickle.dumps(dict(lazy.b01.__dask_graph__()))) < 200_000
    cluster_of: Any = LocalCluster  # distributed has no types
    client_of: Any = Client
    with cluster_of(n_workers=1, threads_per_worker=2, dashboard_address=None) as cluster, client_of(cluster) as client:
        found = client.compute(lazy).result()
    xr.testing.assert_identical(found, cube(connection))


def test_reading_needs_no_extra(connection: Connection) -> None:
    script = """
import sys
for name in ("rasterio", "dask", "distributed", "odc", "affine", "httpx", "defusedxml"): sys.modules[name] = None
import abut
found = abut.connect(sys.argv[1]).tile("32TNP", bands="B01", resolution=60)
assert found.b01.any()
"""
    subprocess.run([sys.executable, "-c", script, connection.archive.store.url], check=True)


@pytest.mark.parametrize("resolution", [10, 20])
def test_one_dataset_may_have_finer_pixels(connection: Connection, resolution: int) -> None:
    found, native = cube(connection, resolution=resolution), cube(connection)
    factor = 60 // resolution
    assert np.array_equal(found.b01, np.kron(native.b01, np.ones((1, factor, factor), np.uint16)))
    assert float(found.x[0]) == WINDOW.left + resolution / 2
    assert float(found.y[-1]) == WINDOW.bottom + resolution / 2


def test_reflectance_uses_the_offset_of_each_step(connection: Connection) -> None:
    dn, reflectance = cube(connection), cube(connection, reflectance=True)
    assert reflectance.b01.dtype == np.float32
    assert dn.radio_add_offset.sel(band="B09").values.tolist() == [-1000, 0]
    assert dn.quantification_value.values.tolist() == [10_000, 10_000]
    for step, offset in enumerate((-1000, 0)):
        pixels = dn.b09[step].values
        exact = (pixels.astype(np.float64) + offset) / 10_000
        assert np.array_equal(
            reflectance.b09[step], np.where(pixels > 0, exact, np.nan).astype(np.float32), equal_nan=True
        )


def test_cubes_follow_the_conventions(connection: Connection) -> None:
    found = cube(connection, reflectance=True)
    assert found.b01.encoding["grid_mapping"] == "spatial_ref"
    assert found.spatial_ref.attrs["grid_mapping_name"] == "transverse_mercator"
    assert found.b01.attrs["standard_name"] == "toa_bidirectional_reflectance"
    assert found.time.dtype == "datetime64[ns]"
    assert (found.x.attrs["standard_name"], found.x.attrs["units"]) == ("projection_x_coordinate", "m")
    assert float(found.x[0]) == WINDOW.left + 30
    assert float(found.y[0]) == WINDOW.top - 30
    assert found.attrs["zone"] == "EPSG:32632"


def test_a_cube_comes_back_from_zarr(connection: Connection, tmp_path: Any) -> None:
    found = cube(connection)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zarr's, about texts in its version 3
        found.to_zarr(tmp_path / "cube.zarr")
        again = xr.open_zarr(tmp_path / "cube.zarr", decode_coords="all").compute()
    xr.testing.assert_equal(again, found)


@pytest.mark.parametrize("name", ["cube.zarr", "cube.nc"])
def test_files_of_cubes_say_where_their_pixels_lie(connection: Connection, tmp_path: Path, name: str) -> None:
    write_cube(cube(connection), tmp_path / name)
    with xr.open_dataset(tmp_path / name, decode_coords="all") as found:
        assert {found[band].encoding["grid_mapping"] for band in ("b01", "b09")} == {"spatial_ref"}
        assert found.spatial_ref.attrs["crs_wkt"] == cube(connection).spatial_ref.attrs["crs_wkt"]


@pytest.mark.parametrize(
    ("most", "pieces"),
    [
        pytest.param(1, 50, id="each-chunk"),
        pytest.param(2 * 2 * 160 * 320, 28, id="two-whole-chunks"),
        pytest.param(1_000_000, 10, id="whole-rows"),
    ],
)
def test_lazy_cubes_are_written_in_pieces_of_so_many_bytes_whatever_their_width(
    connection: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int, pieces: int
) -> None:
    monkeypatch.setattr("abut.export.cube_zarr._PIECE", most)
    lazy = cube(connection, chunks={"x": 160, "y": 160})
    assert lazy.b01.chunks == ((1, 1), (160, 160, 160, 160, 110), (20, 160, 160, 160, 89))
    told: list[tuple[int, int]] = []
    write_cube(lazy, tmp_path / "cube.zarr", done=lambda *count: told.append(count))
    assert told == [(count, pieces) for count in range(1, pieces + 1)]
    again = xr.open_zarr(tmp_path / "cube.zarr", decode_coords="all").compute()
    xr.testing.assert_equal(again, cube(connection))


def test_groups_have_bands_at_their_own_pixels(connection: Connection) -> None:
    tree = connection.cube(window=WINDOW, bands="B09")
    assert isinstance(tree, xr.DataTree)
    assert set(tree.children) == {"r60m"}
    xr.testing.assert_identical(tree["r60m"].to_dataset().b09, cube(connection, bands="B09").b09)


def test_a_solar_day_is_one_step(connection: Connection) -> None:
    found = cube(connection, group="solar_day")
    assert np.array_equal(found.b01[0], pasted(truth(0), WINDOW, B01))
    assert found.sizes["time"] == 2


def test_periods_and_filters_choose_steps(connection: Connection) -> None:
    assert cube(connection, datetime="2023-09").sizes["time"] == 1
    with pytest.warns(OlderVersionWarning, match="there is no baseline 03.01 here, but 05.11"):
        assert cube(connection, baseline="03.01").sizes["time"] == 1
    chosen = cube(connection, ids=SHOTS[1][0].id)
    [alone] = [one for one in truth(1) if one.id == SHOTS[1][0].id]
    own = WINDOW.intersection(alone.tile.footprint)  # blocks that it released are its holders', whole
    assert own is not None
    assert np.array_equal(chosen.b01[0][WINDOW.slices(own, 60)], pasted([alone], own, B01))


def test_nothing_found_is_an_error_that_names_what_was_asked(connection: Connection) -> None:
    with pytest.raises(NoDataError, match=r"no product in 2020-01-01T.* on 584400 .* of EPSG:32632, relative_orbit 7"):
        cube(connection, datetime="2020", relative_orbit=7)
    nothing = cube(connection, datetime="2020", empty=True)
    assert nothing.b01.shape == (0, *WINDOW.shape(60))
    assert cube(connection, datetime="2020", empty=True, chunks={}).compute().b01.shape == nothing.b01.shape


def test_missing_neighbours_are_nodata(connection: Connection) -> None:
    found = connection.tile("32TPP", 10_000, bands="B01", resolution=60, datetime="2023-09", across=False)
    assert isinstance(found, xr.Dataset)
    window = Bounds(CORNER.zone, *(int(value) for value in found.attrs["window"]))
    assert np.array_equal(found.b01[0], pasted(truth(1), window, B01))
    assert found.attrs["buffer"] == 10_020


def test_a_product_has_a_neighbourhood(connection: Connection) -> None:
    for own in (SHOTS[0][1], SHOTS[0][-1]):  # of either strip: its own comes first
        found = connection.neighbourhood(own.id, 3_000, bands="B01", resolution=60, across=False)
        assert isinstance(found, xr.Dataset)
        window = own.tile.footprint.buffered(3_000)
        order = [replace(one, strip="" if one.strip == str(own.datastrip_start) else one.strip) for one in truth(0)]
        assert np.array_equal(found.b01[0], pasted(order, window, B01))
        assert found.sizes["time"] == 1
    with pytest.raises(BadRequestError, match="a neighbourhood is of its product's datatake"):
        connection.neighbourhood(SHOTS[0][0].id, datetime="2023")
    with pytest.raises(KeyError, match="no product 'S2A'"):
        connection.neighbourhood("S2A")


def test_any_ground_of_the_grid_of_a_band_can_be_asked_for(connection: Connection) -> None:
    from abut.window import geobox_of  # noqa: PLC0415 - needs odc-geo

    inside = Bounds(WINDOW.zone, WINDOW.left + 4_010, WINDOW.bottom + 7_030, WINDOW.left + 9_000, WINDOW.bottom + 9_990)
    found = connection.cube(geobox=geobox_of(inside, 10), bands="B01", chunks={})
    assert isinstance(found, xr.Dataset)
    whole = cube(connection, bands="B01", resolution=10)
    rows, columns = WINDOW.slices(inside, 10)
    xr.testing.assert_equal(found.b01.compute(), whole.b01[:, rows, columns])
    with pytest.raises(BadRequestError, match="not on the 60 m grid"):
        connection.cube(window=inside)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bands": "B01,B9A"}, r"'B9A' is not a band; did you mean B8A or B0?9"),
        ({"bands": ["nir"]}, "'nir' is not a band; nir is B08"),
        ({"bands": []}, "names no band"),
        ({"resolution": 15}, "resolution 15 is not 10, 20 or 60"),
        ({"angle_resolution": 30}, "resolution 30 is not 10, 20 or 60"),
        ({"weather": True}, "not with resolution=60"),
        ({"chunks": {"z": 3}}, "chunks of 'z': the axes are time, y and x"),
        ({"chunks": {"x": 0}}, "chunks of x: 0 is neither"),
        ({"chunks": "many"}, "chunks of y: 'many' is neither|chunks of x: 'many' is neither"),
        ({"cloud_cover": 3}, "'cloud_cover' is no option; did you mean 'max_cloud_cover'"),
        ({"resampling": "lanczos"}, "resampling 'lanczos' is not one of nearest, bilinear, cubic, average"),
        ({"group": "week"}, "group 'week' is not one of datatake, solar_day"),
        ({"baseline": "new"}, "baseline 'new' is not a processing baseline"),
        ({"threads": 0}, "threads 0 is not a number from 1 on"),
        ({"max_cloud_cover": 101}, "max_cloud_cover 101 is not between 0 and 100"),
        ({"bbox": [9, 45, 10, 46]}, "one of bbox, geometry, geobox and window has to be given, not 2"),
        ({"window": None}, "one of bbox, geometry, geobox and window has to be given, not 0"),
    ],
)
def test_what_has_no_meaning_is_refused_with_its_value(
    connection: Connection, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(BadRequestError, match=message):
        cube(connection, **options)


def test_large_cubes_are_refused_before_anything_is_read(connection: Connection) -> None:
    rows, columns = WINDOW.shape(60)
    size = 2 * rows * columns * 2 * 2
    assert cube(connection, limit=size).b01.any()
    with pytest.raises(TooLargeError, match=rf"{size:,} bytes .* {size - 1:,}; .* chunks="):
        cube(connection, limit=size - 1)
    assert cube(connection, limit=1, chunks={}).sizes["x"] == columns


@pytest.mark.filterwarnings("ignore::abut.errors.MixedBaselinesWarning")
def test_different_offsets_in_one_datatake_are_two_steps_of_the_same_time(tmp_path: Any) -> None:
    archive = create_archive(tmp_path / "archive")
    new = Shot("32TNP", NORTH)
    old = Shot("32TPP", NORTH, datastrip_start=SECOND, offset=0, baseline="03.01")
    for shot in (new, old):
        ingest(archive, shot)
    connection = abut.connect(archive.store.url)
    found = cube(connection)
    assert found.radio_add_offset.values.tolist() == [[-1000, -1000], [0, 0]]
    assert found.datatake.values.tolist() == [new.slot] * 2
    assert found.indexes["time"].tolist() == [found.indexes["time"][0]] * 2
    for step, shot in enumerate((new, old)):
        assert np.array_equal(found.b01[step], pasted([delivered(shot)], WINDOW, B01))
    assert "its products differ in radio_add_offset (of B01: -1000, 0), and are 2 steps" in found.attrs["notes"]
    as_reflectance = cube(connection, reflectance=True, chunks={}).compute()
    for step, offset in enumerate((-1000, 0)):
        expected = (found.b01[step].astype(int) + offset).astype(np.float32) / np.float32(10_000)
        assert np.array_equal(as_reflectance.b01[step], expected.where(found.b01[step] > 0), equal_nan=True)
    write_cube(found, tmp_path / "cogs")
    assert len(list((tmp_path / "cogs").glob("*_B01.tif"))) == 2
    for name in ("cube.zarr", "cube.nc"):
        write_cube(found, tmp_path / name)
        with xr.open_dataset(tmp_path / name, engine="zarr" if name.endswith("zarr") else None) as read:
            assert np.array_equal(read.b01, found.b01)


def test_a_neighbourhood_is_one_step_so_different_offsets_are_refused_there(tmp_path: Any) -> None:
    archive = create_archive(tmp_path)
    new = Shot("32TNP", NORTH)
    old = Shot("32TPP", NORTH, datastrip_start=SECOND, offset=0, baseline="03.01")
    for shot in (new, old):
        ingest(archive, shot)
    connection = abut.connect(tmp_path)
    options: dict[str, Any] = {"bands": "B01", "resolution": 60, "across": False}
    with (
        pytest.warns(MixedBaselinesWarning),
        pytest.raises(MixedBaselinesError, match=rf"{new.id} and {old.id} of .* differ in .*B01: -1000, 0.*baseline"),
    ):
        connection.neighbourhood(new.id, 600, **options)
    with pytest.warns(OlderVersionWarning):
        alone = connection.neighbourhood(new.id, 600, **options, baseline="05.11")
    assert alone.sizes["time"] == 1
    with pytest.warns(OlderVersionWarning):
        only = cube(abut.connect(tmp_path), baseline="03.01")
    assert only.radio_add_offset.values.tolist() == [[0, 0]]


def test_cubes_say_what_other_versions_have(connection: Connection, tmp_path: Any) -> None:
    assert "notes" not in cube(connection).attrs
    with pytest.warns(OlderVersionWarning):
        found = cube(connection, baseline="03.01")
    assert "there is no baseline 03.01 here, but 05.11" in found.attrs["notes"]
    with pytest.warns(OlderVersionWarning):
        tree = connection.cube(window=WINDOW, bands="B09", baseline="03.01", chunks={})
    assert tree.attrs["notes"] == found.attrs["notes"]
    write_cube(found, tmp_path / "cube.nc")
    with xr.open_dataset(tmp_path / "cube.nc") as read:
        assert read.attrs["notes"] == found.attrs["notes"]


def test_progress_is_told_block_by_block(connection: Connection) -> None:
    sizes: list[int] = []
    found = cube(connection, on_block=sizes.append, bands="B01")
    assert len(sizes) == int((found.source >= 0).sum())
    assert min(sizes) > 0
    assert cube(connection, on_block=sizes.append, bands="B01", chunks={}).compute().equals(found)
