"""A zone as one Zarr hierarchy: view and materialised copy, against pasting the tiles' legacy arrays."""

from __future__ import annotations

import asyncio
import json
import pickle
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import xarray as xr
import zarr
from zarr.abc.store import OffsetByteRequest, RangeByteRequest, SuffixByteRequest
from zarr.core.buffer import default_buffer_prototype

import abut
from abut.archive import create_archive
from abut.codec import decode_block, encode_values
from abut.cube import Wish, make_cube
from abut.errors import (
    BadRequestError,
    ConflictError,
    InvalidArchiveError,
    InvalidPeriodError,
    InvalidTileError,
    InvalidWindowError,
    MissingObjectError,
    NoDataError,
)
from abut.finding import ArchiveFinder
from abut.lattice import BLOCK_SIZE, Block, BlockRange, Zone
from abut.layout import BAND, BANDS
from abut.materialise import materialise
from abut.period import parse_period
from abut.store import open_store
from abut.tiling import TILE_SIZE, all_tiles
from abut.view import select
from abut.zone_chunks import Counts
from abut.zone_layout import ZoneLayout, zone_blocks
from abut.zone_snapshot import digest_of
from abut.zone_zarr import ZoneStore, zone_store
from abut.zoned import open_zoned
from ingest.ingest import ingest
from ingest.purge import purge
from ingest.settle import settle
from ingest.withdraw import withdraw
from tests.pasted import pasted
from tests.servers import web_server
from tests.toy import CORNER
from tests.zone_scene import B01, B09, BETWEEN, PERIOD, SHOTS, STATES, WINDOW, copied, make_archive, rim_shots, truth

if TYPE_CHECKING:
    from abut.archive import Archive
    from abut.view import View
    from abut.zone_chunks import ZoneSource

ZONE = Zone(32632)
PROTOTYPE = default_buffer_prototype()


@pytest.fixture(name="archives", scope="module")
def _archives(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Archive]:
    """The same products, in three states of their archive."""
    made = {"unsettled": make_archive(tmp_path_factory.mktemp("unsettled"), "unsettled")}
    return made | {state: copied(made["unsettled"], tmp_path_factory.mktemp(state), state) for state in STATES[1:]}


@pytest.fixture(name="changing")
def _changing(archives: dict[str, Archive], tmp_path: Path) -> Archive:
    """An unsettled archive that may be changed."""
    return copied(archives["unsettled"], tmp_path)


def view_of(archive: Archive, period: str = PERIOD) -> View:
    return select(archive, ArchiveFinder(), zone_blocks(ZONE).bounds, parse_period(period))


@pytest.fixture(name="sources", scope="module")
def _sources(archives: dict[str, Archive], tmp_path_factory: pytest.TempPathFactory) -> dict[str, ZoneSource]:
    """Both implementations: views of the three states, and a materialised zone of the unsettled and the purged one."""
    found: dict[str, ZoneSource] = {state: view_of(archive) for state, archive in archives.items()}
    for state in ("unsettled", "purged"):
        folder = tmp_path_factory.mktemp("zoned") / "zone.zarr"
        materialise(view_of(archives[state]), open_store(folder, create=True), bands=(B01, B09), masks=True)
        found[f"materialised {state}"] = open_zoned(folder)
    return found


KINDS = (*STATES, "materialised unsettled", "materialised purged")


@pytest.fixture(name="source", params=KINDS)
def _source(request: pytest.FixtureRequest, sources: dict[str, ZoneSource]) -> ZoneSource:
    return sources[request.param]


def on_window(variable: xr.DataArray) -> xr.DataArray:
    return variable.sel(x=slice(WINDOW.left, WINDOW.right), y=slice(WINDOW.top, WINDOW.bottom))


def get(store: ZoneStore, key: str, part: Any = None) -> bytes | None:
    found = asyncio.run(store.get(key, PROTOTYPE, part))
    return None if found is None else found.to_bytes()


def assert_has_the_pixels_of_the_tiles(found: xr.Dataset) -> None:
    for band in (B01, B09):
        for step, shots in enumerate(SHOTS):
            expected = pasted(truth(shots), WINDOW, band)
            assert (expected == 0).any()
            assert (expected > 0).any()
            assert np.array_equal(on_window(found[band.key][step]), expected)
            expected[400, 300] += 1
            assert not np.array_equal(on_window(found[band.key][step]), expected)


# Both implementations


def test_xarray_reads_from_the_zone_what_pasting_the_tiles_gives(source: ZoneSource) -> None:
    store = ZoneStore.of(source, bands=(B01, B09))
    with xr.open_datatree(store, engine="zarr", chunks=None) as tree:  # type: ignore[arg-type] # xarray's types
        assert_has_the_pixels_of_the_tiles(tree["r60m"].to_dataset())


def test_cubes_of_both_implementations_are_what_pasting_the_tiles_gives(source: ZoneSource) -> None:
    cube = make_cube(source, WINDOW, Wish(bands=(B01, B09), resolution=60))
    assert isinstance(cube, xr.Dataset)
    for band in (B01, B09):
        for step, shots in enumerate(SHOTS):
            assert np.array_equal(cube[band.key][step], pasted(truth(shots), WINDOW, band))


def test_both_implementations_tell_the_same_of_their_steps(source: ZoneSource, sources: dict[str, ZoneSource]) -> None:
    for slot, other in zip(source.slots, sources["unsettled"].slots, strict=True):
        assert slot.time == other.time
        assert slot.datatakes == other.datatakes
        assert slot.quantification_value == other.quantification_value
        for band in (B01, B09):
            assert slot.radio_add_offset[band.name] == other.radio_add_offset[band.name]
    assert [slot.radio_add_offset["B01"] for slot in source.slots] == [-1000, 0]


def test_both_implementations_have_the_same_metadata(
    source: ZoneSource, sources: dict[str, ZoneSource], archives: dict[str, Archive]
) -> None:
    reference = ZoneStore.of(sources["unsettled"], bands=(B01, B09)).static
    found = ZoneStore.of(source, bands=(B01, B09)).static
    assert found.keys() == reference.keys()
    ids = {archive.store.url for archive in archives.values()}
    assert len(ids) == 3
    differing = {key for key in found if found[key] != reference[key]}
    assert all("product" in key or "consolidated" in found[key].decode() for key in differing)


def test_blocks_that_nobody_holds_are_absent(source: ZoneSource) -> None:
    store = ZoneStore.of(source, bands=(B01, B09))
    blocks = zone_blocks(ZONE)
    held = {block for block in BlockRange.around(CORNER) if source.parts(0, block)}
    assert 4 < len(held) < 17
    nobodys = Block(ZONE, blocks.p0, blocks.q0)
    assert get(store, store.chunks.layout.key("r60m/b01", 0, nobodys)) is None
    assert get(store, store.chunks.layout.key("r60m/b01_quality", 0, nobodys)) is None
    assert store.counts.absent == 2
    for block in held:
        assert get(store, store.chunks.layout.key("r60m/b01", 0, block)) is not None


def test_the_source_of_each_block_is_its_first_holder(source: ZoneSource) -> None:
    with xr.open_zarr(ZoneStore.of(source, bands=(B01, B09)), chunks=None) as root:
        names = root["product"].values
        for step in range(2):
            for block in BlockRange.around(CORNER):
                row, column = zone_blocks(ZONE).position(block)
                parts = source.parts(step, block)
                index = int(root.source[step, row, column])
                assert (names[index] if index >= 0 else None) == (parts[0].product if parts else None)


def test_a_materialised_zone_is_read_from_a_web_server(sources: dict[str, ZoneSource]) -> None:
    with web_server(Path(sources["materialised purged"].store.url), listings=False) as url:
        zoned = open_zoned(url)
        cube = make_cube(zoned, WINDOW, Wish(bands=(B01,), resolution=60))
        assert isinstance(cube, xr.Dataset)
        assert np.array_equal(cube.b01[1], pasted(truth(SHOTS[1]), WINDOW, B01))
        with pytest.raises(InvalidArchiveError, match="no zone-wide Zarr"):
            open_zoned(f"{url}/r60m/c")


# What is passed through, and what is merged


@pytest.mark.parametrize("state", STATES)
def test_bytes_of_one_holder_are_its_objects_and_blocks_of_several_are_merged(
    archives: dict[str, Archive], state: str
) -> None:
    view = view_of(archives[state])
    store = ZoneStore.of(view)
    passed = merged = 0
    for step in range(2):
        for block in BlockRange.around(CORNER):
            parts = view.parts(step, block)
            data = get(store, store.chunks.layout.key("r60m/b09", step, block))
            if not parts:
                assert data is None
            elif len(parts) == 1:
                passed += 1
                assert data == archives[state].store.get(parts[0].key(B09))
            else:
                merged += 1
                assert data is not None
                pixels = decode_block(data, 160)
                assert np.array_equal(pixels, pasted(truth(SHOTS[step]), block.bounds, B09))
                assert data == get(store, store.chunks.layout.key("r60m/b09", step, block))
    assert (store.counts.passed, store.counts.merged) == (passed, 2 * merged)
    assert min(passed, merged) > 0
    assert merged == sum(int((view.counts(step) > 1).sum()) for step in range(2))


def test_parts_of_objects_are_passed_through_too(archives: dict[str, Archive]) -> None:
    view = view_of(archives["unsettled"])
    store = ZoneStore.of(view)
    held = [block for block in BlockRange.around(CORNER) if view.parts(0, block)]
    one = next(block for block in held if len(view.parts(0, block)) == 1)
    several = next(block for block in held if len(view.parts(0, block)) > 1)
    for key in (
        store.chunks.layout.key("r60m/b01", 0, one),
        store.chunks.layout.key("r60m/b01", 0, several),
        "r60m/y/c/1",
        "zarr.json",
    ):
        whole = get(store, key)
        assert whole is not None
        parts = (RangeByteRequest(3, 17), OffsetByteRequest(5), SuffixByteRequest(7))
        expected = [whole[3:17], whole[5:], whole[-7:]]
        assert [get(store, key, part) for part in parts] == expected
        asked = asyncio.run(store.get_partial_values(PROTOTYPE, [(key, part) for part in parts]))
        assert [None if found is None else found.to_bytes() for found in asked] == expected


def test_an_object_that_is_gone_is_found_where_a_newer_plan_says_or_is_an_error(changing: Archive) -> None:
    archive = changing
    store = zone_store(archive.store.url, 32632, PERIOD)
    copy = pickle.loads(pickle.dumps(store))  # noqa: S301 - our own
    settle(archive)
    assert sum(one.objects for one in purge(archive, grace=timedelta(0))) > 0
    with xr.open_zarr(store, group="r60m", chunks=None) as found:
        assert_has_the_pixels_of_the_tiles(found)
    later = pickle.loads(pickle.dumps(store))  # noqa: S301 - as above
    assert [get(later, f"source/c/{step}/0/0") for step in (0, 1)] == [
        get(store, f"source/c/{step}/0/0") for step in (0, 1)
    ]
    assert get(later, "product/c/0") == get(store, "product/c/0")
    [key, *_] = [part.key(B01) for block in BlockRange.around(CORNER) for part in view_of(archive).parts(1, block)]
    archive.store.delete([key])
    for one in (store, copy):
        with pytest.raises(MissingObjectError, match=key), xr.open_zarr(one, group="r60m", chunks=None) as found:
            found.b01[1].sel(x=slice(CORNER.left, CORNER.right), y=slice(CORNER.top, CORNER.bottom)).load()


def test_a_product_that_was_ingested_anew_is_read_where_it_is_now(changing: Archive) -> None:
    store, before = zone_store(changing.store.url, 32632, PERIOD), view_of(changing)
    lost = SHOTS[1][0]
    [block, *_] = [
        block for block in BlockRange.around(CORNER) if [part.product for part in before.parts(1, block)] == [lost.id]
    ]
    withdraw(changing, lost.id)
    assert sum(one.objects for one in purge(changing, grace=timedelta(0))) > 0
    ingest(changing, lost, threads=1)
    data = get(store, store.chunks.layout.key("r60m/b01", 1, block))
    assert data is not None
    assert np.array_equal(decode_block(data, 160), pasted(truth([lost]), block.bounds, B01))
    assert store.counts.passed == 1


def test_blocks_of_a_product_that_was_withdrawn_are_errors_until_it_is_back(changing: Archive) -> None:
    store, before = zone_store(changing.store.url, 32632, PERIOD), view_of(changing)
    lost, other = SHOTS[1]
    held = {block: [part.product for part in before.parts(1, block)] for block in BlockRange.around(CORNER)}
    of_lost = [block for block, names in held.items() if lost.id in names]
    keys = [store.chunks.layout.key("r60m/b01", 1, block) for block in of_lost]
    mask = store.chunks.layout.key("r60m/b01_quality", 1, of_lost[0])
    assert {len(held[block]) for block in of_lost} == {1, 2}
    for one in (lost, other):
        withdraw(changing, one.id)
    assert sum(one.objects for one in purge(changing, grace=timedelta(0))) > 0
    later = pickle.loads(pickle.dumps(store))  # noqa: S301 - our own
    for key in (*keys, *keys, mask):
        with pytest.raises(MissingObjectError, match="withdrawn since"):
            get(store, key)
        assert asyncio.run(store.exists(key))
    ingest(changing, other, threads=1)
    for key in (*keys, mask):
        with pytest.raises(MissingObjectError, match=f"{lost.id}, of which block .* was withdrawn since"):
            get(store, key)
    ingest(changing, lost, threads=1)
    sent = pickle.loads(pickle.dumps(store))  # noqa: S301 - our own
    for reader in (store, sent, later):
        for block, key in zip(of_lost, keys, strict=True):
            data = get(reader, key)
            assert data is not None
            assert np.array_equal(decode_block(data, 160), pasted(truth(SHOTS[1]), block.bounds, B01))


# The hierarchy


def test_arrays_of_all_bands_span_the_zone_with_a_block_for_a_chunk(archives: dict[str, Archive]) -> None:
    store = abut.zone_store(archives["purged"].store.url, "EPSG:32632", PERIOD)
    blocks = zone_blocks(ZONE)
    with xr.open_datatree(store, engine="zarr") as tree:  # type: ignore[arg-type] # xarray's types
        for band in BANDS:
            group = tree[band.group]
            found = group[band.key]
            assert found.dims == ("time", "y", "x")
            assert found.shape == (2, *blocks.bounds.shape(band.resolution))
            assert found.encoding["chunks"] == (1, band.block_pixels, band.block_pixels)
            assert found.dtype == np.uint16
            assert not {"scale_factor", "add_offset", "_FillValue"} & (found.attrs.keys() | found.encoding.keys())
            assert found.attrs["proj:code"] == "EPSG:32632"
            assert found.attrs["_CRS"]["url"].endswith("/32632")
            assert found.attrs["spatial:transform"][2::3] == [blocks.bounds.left, blocks.bounds.top]
            assert group.spatial_ref.attrs["GeoTransform"].split()[0] == str(blocks.bounds.left)
            offsets = [-1000 if band in {B01, B09} else 0, 0]  # toys have two bands
            assert group.radio_add_offset.sel(band=band.name).values.tolist() == offsets
            assert group.quantification_value.values.tolist() == [10_000, 10_000]
            half = band.resolution / 2
            assert (float(group.x[0]), float(group.y[0])) == (blocks.bounds.left + half, blocks.bounds.top - half)
            assert (float(group.x[-1]), float(group.y[-1])) == (
                blocks.bounds.right - half,
                blocks.bounds.bottom + half,
            )
        assert np.unique(np.diff(tree["r10m"].y)).tolist() == [-10]
        times = [np.datetime64(shots[0].datatake.replace(tzinfo=None), "ns") for shots in SHOTS]
        assert tree["r60m"].time.values.tolist() == np.array(times).tolist()


def test_one_pixel_size_is_one_dataset(archives: dict[str, Archive]) -> None:
    store = zone_store(archives["settled"].store.url, 32632, PERIOD, resolution=60, masks=False)
    with xr.open_zarr(store, chunks=None) as found:
        assert_has_the_pixels_of_the_tiles(found)
        assert set(found.data_vars) == {"b01", "b09", "b10", "source", "product_step"}


def test_a_store_can_be_sent_to_other_processes(archives: dict[str, Archive]) -> None:
    store = zone_store(archives["purged"].store.url, 32632, PERIOD, bands=["B01", "B09"])
    sent = pickle.loads(pickle.dumps(store))  # noqa: S301 - our own
    assert sent == store
    assert store != zone_store(archives["purged"].store.url, 32632, PERIOD, bands=["B01"])
    with xr.open_zarr(sent, group="r60m", chunks=None) as found:
        lazy = on_window(found.b01[1]).chunk(x=320, y=320)
        assert np.array_equal(lazy.values, pasted(truth(SHOTS[1]), WINDOW, B01))
    assert (store.counts.passed, sent.counts.passed > 0) == (0, True)


def test_a_dense_archive_has_dense_chunks(tmp_path: Path) -> None:
    archive = create_archive(tmp_path / "archive", profile="dense")
    for shot in SHOTS[1]:
        ingest(archive, shot, threads=1)
    store = zone_store(archive.store.url, 32632, PERIOD, resolution=60)
    assert "pcodec" in store.static["b01/zarr.json"].decode()
    assert "pcodec" not in store.static["b01_quality/zarr.json"].decode()
    with xr.open_zarr(store, chunks=None) as found:
        assert np.array_equal(on_window(found.b01[0]), pasted(truth(SHOTS[1]), WINDOW, B01))
    assert store.counts.merged > 0


def test_a_store_is_listed_and_read_only(archives: dict[str, Archive]) -> None:
    store = zone_store(archives["purged"].store.url, 32632, PERIOD, bands=["B01"])
    group = zarr.open_group(store, mode="r", use_consolidated=False)
    r60m = group["r60m"]
    assert isinstance(r60m, zarr.Group)
    assert sorted(r60m.array_keys())[:3] == ["b01", "b01_detector_footprint", "b01_quality"]

    async def listed(prefix: str) -> list[str]:
        return [key async for key in store.list_prefix(prefix)]

    async def everything() -> list[str]:
        return [key async for key in store.list()]

    view = view_of(archives["purged"])
    keys = asyncio.run(listed("r60m/b01/c/"))
    assert len(keys) == sum(int((view.counts(step) > 0).sum()) for step in range(2))
    assert all(asyncio.run(store.exists(key)) for key in keys)
    assert set(keys) < set(asyncio.run(everything()))
    for wrong in ("r60m/b01/c/0/0/0", "r60m/b02/zarr.json", "r60m/x/c/9"):
        assert not asyncio.run(store.exists(wrong))
    with pytest.raises(ValueError, match="read-only"):
        asyncio.run(store.set("x", PROTOTYPE.buffer.from_bytes(b"")))
    with pytest.raises(ValueError, match="read-only"):
        asyncio.run(store.delete("x"))


def test_all_tiles_of_a_zone_lie_in_its_arrays_which_could_not_be_smaller() -> None:
    grounds: dict[Zone, list[tuple[int, int]]] = {}
    for where in all_tiles():
        grounds.setdefault(where.zone, []).append((where.ulx, where.uly))
    assert len(grounds) == 120
    for zone in sorted(grounds)[::4]:
        bounds, (x, y) = zone_blocks(zone).bounds, np.array(grounds[zone]).T
        slack = (
            x.min() - bounds.left,
            bounds.right - (x.max() + TILE_SIZE),
            bounds.top - y.max(),
            y.min() - TILE_SIZE - bounds.bottom,
        )
        assert all(0 <= metres < BLOCK_SIZE for metres in slack)


@pytest.mark.parametrize(
    "key",
    [
        "r60m/b01/c/2/0/0", "r60m/b01/c/0/0/75", "r60m/b01/c/0/836/0", "r60m/b01/c/0/-1/0", "r60m/b01/c/00/0/0",
        "r60m/b01/c/0/0", "r60m/b01/c/0/0/0/0", "r60m/b01/c/", "r60m/b01/c/0/0/0/", "r60m/b99/c/0/0/0",
        "b01/c/0/0/0", "r60m/x/c/1", "r60m/y/c/9", "source/c/0/0/1", "source/c/2/0/0", "../zarr.json", "",
        "r60m/b01/c/0/٣/0", "r60m/b01/c/0/" + "9" * 400 + "/0",
    ],
)  # fmt: skip
def test_keys_of_nothing_name_nothing(key: str) -> None:
    assert ZoneLayout(ZONE, 2).chunk(key) is None


@pytest.mark.parametrize(
    ("wrong", "error", "reason"),
    [
        ({"zone": "32661"}, InvalidWindowError, "'32661' is not the EPSG code"),
        ({"zone": "32T"}, InvalidWindowError, "'32T' is not the EPSG code"),
        ({"zone": 4326}, InvalidWindowError, "4326 is not the EPSG code"),
        ({"datetime": "2023-13"}, InvalidPeriodError, "2023-13"),
        ({"datetime": "1999"}, NoDataError, "no product of EPSG:32632 in 1999-"),
        ({"zone": 32633}, NoDataError, "no product of EPSG:32633"),
        ({"bands": "B99"}, BadRequestError, "'B99' is not a band"),
        ({"resolution": 15}, BadRequestError, "resolution 15 is not 10, 20 or 60"),
        ({"resolution": 10, "bands": "B01"}, BadRequestError, "resolution 10: no band"),
        ({"tiles": ["32XXX"]}, InvalidTileError, "32XXX"),
        ({"cloud": 3}, BadRequestError, "'cloud' is no option of a zone"),
        ({"group": "month"}, ValueError, "'month' is neither"),
    ],
)
def test_what_has_no_meaning_is_refused(
    archives: dict[str, Archive], wrong: dict[str, Any], error: type[Exception], reason: str
) -> None:
    with pytest.raises(error, match=reason):
        zone_store(archives["purged"].store.url, **{"zone": 32632, "datetime": PERIOD, **wrong})


def test_a_view_of_less_than_the_zone_is_no_zone(archives: dict[str, Archive]) -> None:
    part = select(archives["settled"], ArchiveFinder(), CORNER, parse_period(PERIOD))
    with pytest.raises(ValueError, match="is not one of all of EPSG:32632"):
        ZoneStore.of(part)


# Snapshots


def test_a_digest_names_pixels_not_who_holds_them(changing: Archive) -> None:
    archive = changing
    first = view_of(archive)
    assert digest_of(view_of(archive)) == digest_of(first)
    settle(archive)
    settled = view_of(archive)
    assert settled != first
    assert digest_of(settled) == digest_of(first)
    purge(archive, grace=timedelta(0))
    assert digest_of(view_of(archive)) == digest_of(first)
    assert digest_of(view_of(archive, "2023-08")) != digest_of(first)
    ingest(archive, BETWEEN, threads=1)
    assert digest_of(view_of(archive)) != digest_of(first)
    assert digest_of(first.renewed()) == digest_of(first)
    assert first.gone() == ()
    lost = SHOTS[1][0].id
    withdraw(archive, lost)
    assert first.gone() == (lost,)
    assert digest_of(view_of(archive)) not in {digest_of(first), digest_of(settled)}


def test_what_a_digest_names_is_the_same_when_a_product_has_released_all_it_held(tmp_path: Path) -> None:
    archive = create_archive(tmp_path / "archive")
    for shot in rim_shots():
        ingest(archive, shot, threads=1)
    before = view_of(archive)
    settle(archive)
    after = view_of(archive)
    assert [len(some) for some in (before.holders(0), after.holders(0))] == [2, 1]
    assert digest_of(after) == digest_of(before)
    first, second = (ZoneStore.of(view, bands=(B01,)) for view in (before, after))
    assert first.static == second.static
    assert get(first, "source/c/0/0/0") == get(second, "source/c/0/0/0")
    with xr.open_zarr(second, chunks=None) as root:
        assert sorted(root["product"].values) == sorted(shot.id for shot in rim_shots())


def test_a_run_that_was_interrupted_goes_on_after_a_product_has_released_all_it_held(tmp_path: Path) -> None:
    archive = create_archive(tmp_path / "archive")
    for shot in rim_shots():
        ingest(archive, shot, threads=1)
    out, view = open_store(tmp_path / "zone.zarr", create=True), view_of(archive)

    def stop(_: int) -> None:
        if out.read("source/c/0/0/0") is not None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        materialise(view, out, bands=(B01,), threads=1, on_chunk=stop)
    settle(archive)
    materialise(view_of(archive), out, bands=(B01,))
    zoned = open_zoned(out.url)
    held = [block for block in BlockRange.around(rim_shots()[0].place) if view.parts(0, block)]
    assert held
    for block in held:
        assert [part.product for part in zoned.parts(0, block)] == [part.product for part in view.parts(0, block)[:1]]


@pytest.mark.filterwarnings("ignore::abut.errors.OlderVersionWarning")
def test_what_only_an_older_version_has_is_said_by_the_view_its_store_and_its_copy(
    changing: Archive, tmp_path: Path
) -> None:
    ingest(changing, replace(SHOTS[1][0], baseline="05.11"), threads=1)
    view, out = view_of(changing), open_store(tmp_path / "zone.zarr", create=True)
    [note] = view.notes
    assert "32TPQ" in note
    materialise(view, out, bands=(B01,))
    for source in (view, open_zoned(out.url)):
        assert source.notes == (note,)
        with xr.open_zarr(ZoneStore.of(source, bands=(B01,)), chunks=None) as root:
            assert root.attrs["abut:zone"]["notes"] == [note]
    with xr.open_zarr(out.url, chunks=None) as root:
        assert root.attrs["abut:zone"]["notes"] == [note]


# Materialised zones


def test_blocks_of_one_holder_are_copied_and_others_merged(archives: dict[str, Archive], tmp_path: Path) -> None:
    view, seen = view_of(archives["settled"]), list[int]()
    out = open_store(tmp_path / "zone.zarr", create=True)
    done = materialise(view, out, bands=(B01,), on_chunk=seen.append)
    single = sum(int((view.counts(step) == 1).sum()) for step in range(2))
    merged = sum(int((view.counts(step) > 1).sum()) for step in range(2))
    assert (done.counts.passed, done.counts.merged) == (single, merged)
    assert merged > 0
    assert (len(seen), sum(seen)) == (done.written, done.size)
    zoned = open_zoned(out.url)
    for step in range(2):
        for block in BlockRange.around(CORNER):
            parts = view.parts(step, block)
            if len(parts) == 1:
                [copy] = zoned.parts(step, block)
                assert out.get(copy.key(B01)) == view.store.get(parts[0].key(B01))
                assert copy.product == parts[0].product


@pytest.mark.filterwarnings("ignore::abut.errors.MixedBaselinesWarning")
def test_strips_of_a_datatake_whose_offsets_differ_are_steps_of_a_zone_and_of_its_copy(
    changing: Archive, tmp_path: Path
) -> None:
    other = replace(SHOTS[1][0], datastrip_start=SHOTS[1][0].datatake + timedelta(seconds=9), offset=-7, label="X")
    ingest(changing, other, threads=1)
    view = view_of(changing)
    out = open_store(tmp_path / "zone.zarr", create=True)
    materialise(view, out, bands=(B01, B09))
    made = []
    for source in (view, open_zoned(out.url)):
        assert [slot.time for slot in source.slots[1:]] == [SHOTS[1][0].datatake] * 2
        assert "radio_add_offset (of B01: -7, 0), and are 2 steps" in source.notes[0]
        store = ZoneStore.of(source, bands=(B01, B09), masks=False)
        with xr.open_zarr(store, group="r60m", chunks=None) as found:
            assert found.radio_add_offset.values[:, 0].tolist() == [-1000, -7, 0]
            for step, shots in ((0, SHOTS[0]), (1, [other]), (2, SHOTS[1])):
                assert np.array_equal(on_window(found.b01[step]), pasted(truth(shots), WINDOW, B01))
            made.append(on_window(found).load())
        cube = make_cube(source, WINDOW, Wish(bands=(B01, B09), resolution=60))
        assert np.array_equal(cube["b01"], made[-1].b01)
    xr.testing.assert_equal(made[0], made[1])


def test_an_interrupted_run_is_gone_on_with_and_incomplete_until_its_end(
    archives: dict[str, Archive], tmp_path: Path
) -> None:
    view, left = view_of(archives["purged"]), [9]
    out = open_store(tmp_path / "zone.zarr", create=True)

    def stop(_: int) -> None:
        left[0] -= 1
        if not left[0]:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        materialise(view, out, bands=(B01, B09), threads=1, on_chunk=stop)
    with pytest.raises(InvalidArchiveError, match=r"zone.zarr: no zone-wide Zarr, or one that is not complete"):
        open_zoned(out.url)
    there = {entry.key: entry.modified for entry in out.entries("")}
    assert len(there) == 9 + 1
    done = materialise(view, out, bands=(B01, B09))
    assert done.present == 9
    again = {entry.key: entry.modified for entry in out.entries("")}
    assert {key: again[key] for key in there} == there
    assert len(again) == done.present + done.written + 1
    assert open_zoned(out.url).source.shape == (2, *zone_blocks(ZONE).shape)
    once_more = materialise(view, out, bands=(B01, B09))
    assert (once_more.written, once_more.present) == (0, len(again) - 1)
    assert once_more.counts == Counts()  # nothing was read


def test_other_pixels_or_bands_never_go_into_what_was_begun(changing: Archive, tmp_path: Path) -> None:
    archive = changing
    out = open_store(tmp_path / "zone.zarr", create=True)
    materialise(view_of(archive), out, bands=(B01,))
    with pytest.raises(ConflictError, match="was begun with other bands"):
        materialise(view_of(archive), out, bands=(B09,))
    with pytest.raises(ConflictError, match="was begun with other masks"):
        materialise(view_of(archive), out, bands=(B01,), masks=True)
    settle(archive)
    assert materialise(view_of(archive), out, bands=(B01,)).written == 0
    stale = view_of(archive)
    withdraw(archive, SHOTS[1][0].id)
    with pytest.raises(ConflictError, match="was begun with other pixels"):
        materialise(view_of(archive), out, bands=(B01,))
    with pytest.raises(ConflictError, match=f"{SHOTS[1][0].id} was withdrawn meanwhile"):
        materialise(stale, open_store(tmp_path / "other.zarr", create=True), bands=(B01,))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"format": 2}, "format 2 of abut:zone is not 1"),
        ({"zone": 4326}, "not a zone-wide Zarr"),
        ({"bands": ["B99"]}, "not a zone-wide Zarr"),
        ({"profile": "none"}, "format 1"),
        ({"zone": 32633}, "are not those of EPSG:32633"),
    ],
)
def test_a_zone_wide_zarr_that_is_none_is_refused(
    archives: dict[str, Archive], tmp_path: Path, change: dict[str, Any], reason: str
) -> None:
    out = open_store(tmp_path / "zone.zarr", create=True)
    materialise(view_of(archives["purged"], "2023-09"), out, bands=(B01,))
    document = json.loads(out.get("zarr.json"))
    document["attributes"]["abut:zone"] |= change
    (tmp_path / "zone.zarr" / "zarr.json").write_text(json.dumps(document))
    with pytest.raises(InvalidArchiveError, match=reason):
        open_zoned(out.url)
    (tmp_path / "zone.zarr" / "zarr.json").write_text(json.dumps({**document, "attributes": {}}))
    with pytest.raises(InvalidArchiveError, match="not a zone-wide Zarr"):
        open_zoned(out.url)


@pytest.mark.parametrize("index", [-2, 9])
def test_a_zone_wide_zarr_whose_source_names_no_product_is_refused(
    archives: dict[str, Archive], tmp_path: Path, index: int
) -> None:
    out = open_store(tmp_path / "zone.zarr", create=True)
    view = view_of(archives["purged"], "2023-09")
    materialise(view, out, bands=(B01,))
    table = open_zoned(out.url).source.copy()
    table[table == 0] = index
    (tmp_path / "zone.zarr" / "source" / "c" / "0" / "0" / "0").write_bytes(encode_values(table))
    with pytest.raises(InvalidArchiveError, match=f"source names product {index} at step 0"):
        open_zoned(out.url)


def test_other_blocks_and_bands_of_a_zone_wide_zarr_are_errors(sources: dict[str, ZoneSource]) -> None:
    zoned = sources["materialised purged"]
    with pytest.raises(KeyError):
        zoned.parts(0, Block(Zone(32633), 50, 500))
    [block] = [block for block in BlockRange.around(CORNER) if zoned.parts(0, block)][:1]
    cube = replace(WINDOW, left=block.bounds.left, right=block.bounds.right)
    with pytest.raises(MissingObjectError, match="b10"):
        make_cube(zoned, cube, Wish(bands=(BAND["B10"],), resolution=60))
    assert zoned.renewed() == zoned
