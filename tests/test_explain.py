"""Explain: its figures are those of the run, counted at the store; the cost from SAFE."""

from __future__ import annotations

import pickle
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import xarray as xr

from abut.archive import create_archive
from abut.connection import Connection, connect
from abut.counted import counted
from abut.errors import BadRequestError, NoDataError
from abut.explain import Read, Rectangle, _known, explain
from abut.ground import ground_in
from abut.lattice import BlockRange, Bounds, Zone
from abut.layout import BAND, BANDS
from abut.safe_cost import DECODED_PER_SECOND, Opened, covering, safe_cost
from abut.tiling import tile, tiles_touching
from abut.window import bbox_geobox, bbox_window, geobox_of, tile_window
from ingest.ingest import ingest
from tests.toy import ToySource

if TYPE_CHECKING:
    from abut.archive import Archive
    from abut.counted import Count

ZONE = Zone(32632)
SWATH = Bounds(ZONE, 500_040, 5_230_020, 512_040, 5_248_020)
"""Around a part of the swath that `old_archive` has, in the overlap of both tiles."""


def watched(archive: Archive) -> tuple[Connection, Count]:
    """A connection whose requests to the store are counted."""
    store, count = counted(archive.store)
    connection = connect(archive.store.url)
    return replace(connection, archive=replace(connection.archive, store=store)), count


def blocks_read(count: Count) -> dict[str, int]:
    return {key: number for key, number in count.keys.items() if "/c/" in key}


REQUESTS: list[tuple[Bounds, dict[str, Any]]] = [
    (tile_window("32TMT", 10_000), {"bands": "B01,B09"}),
    (tile_window("32TNT"), {"bands": "B05", "across": False}),
    (SWATH, {"bands": "B02,B8A,B10"}),
    (SWATH, {"bands": "B02,B05,B01", "resolution": 60}),
    (SWATH, {"bands": "B01", "tiles": "32TMT"}),
    (bbox_window((9.02, 47.2, 9.1, 47.3)), {"bands": "B01,B11", "group": "solar_day"}),
]


@pytest.mark.parametrize(("window", "options"), REQUESTS, ids=lambda value: str(value)[:40])
def test_the_run_makes_the_requests_that_explain_says(
    old_archive: Archive, window: Bounds, options: dict[str, Any]
) -> None:
    found = connect(old_archive.store.url).explain(window, **options)
    connection, count = watched(old_archive)
    connection.cube(window=window, **options)
    read = blocks_read(count)
    assert set(read.values()) == {1}, "no object is read twice"
    sizes = sum(len(old_archive.store.get(key)) for key in read)
    (zone,) = found.zones
    assert zone.least_objects <= len(read) <= zone.most_objects
    assert zone.least_bytes <= sizes <= zone.most_bytes
    assert count.requests - len(read) == found.planning_requests
    assert found.least_requests <= count.requests <= found.most_requests


def test_blocks_of_one_holder_are_known_exactly(old_archive: Archive) -> None:
    """Half of the swath is read through a filter on one tile: none of its blocks has a second holder then."""
    found = connect(old_archive.store.url).explain(SWATH, bands="B02,B01", tiles="32TNT")
    connection, count = watched(old_archive)
    connection.cube(window=SWATH, bands="B02,B01", tiles="32TNT")
    read = blocks_read(count)
    (zone,) = found.zones
    assert zone.least_objects == zone.most_objects == len(read) > 0
    assert zone.least_bytes == zone.most_bytes == sum(len(old_archive.store.get(key)) for key in read)
    assert found.least_requests == found.most_requests == count.requests


def test_explaining_reads_no_block(old_archive: Archive) -> None:
    connection, count = watched(old_archive)
    connection.explain(SWATH, bands="B02")
    assert count.requests > 0
    assert not blocks_read(count)


def test_nothing_found_is_an_error_as_of_the_run(old_archive: Archive) -> None:
    with pytest.raises(NoDataError, match="no product"):
        connect(old_archive.store.url).explain(SWATH, datetime="2001")


def test_an_explanation_as_json_names_what_it_counts(old_archive: Archive) -> None:
    found = connect(old_archive.store.url).explain(SWATH, bands="B02,B01")
    said = found.to_dict()
    assert said["window"] == {
        "crs": "EPSG:32632",
        "bounds": [SWATH.left, SWATH.bottom, SWATH.right, SWATH.top],
        "width": SWATH.width,
        "height": SWATH.height,
    }
    assert (said["bands"], said["steps"]) == (["B01", "B02"], 1)
    assert said["products"] == sorted(old_archive.product_ids())
    assert said["requests"]["least"] == said["requests"]["planning"] + said["zones"][0]["objects"]["least"]
    assert said["bytes"] == said["zones"][0]["bytes"]
    assert said["reprojected"] == {"most": 0.0}
    assert said["zones"][0]["blocks"] <= len(BlockRange.around(SWATH))


def test_nothing_to_read_can_not_be_explained(old_archive: Archive) -> None:
    with pytest.raises(ValueError, match="nothing to explain"):
        explain(old_archive.store, [], SWATH)


def test_a_block_that_two_rectangles_touch_is_counted_twice(old_archive: Archive) -> None:
    plan = connect(old_archive.store.url).plan(SWATH, bands="B01")
    once = explain(old_archive.store, [Read(plan.source, (Rectangle(SWATH, (BAND["B01"],)),))], SWATH)
    twice = explain(old_archive.store, [Read(plan.source, (Rectangle(SWATH, (BAND["B01"],)),) * 2)], SWATH)
    maybe = explain(old_archive.store, [Read(plan.source, (Rectangle(SWATH, (BAND["B01"],)),), certain=False)], SWATH)
    assert twice.most_bytes == 2 * once.most_bytes
    assert twice.zones[0].blocks == once.zones[0].blocks
    assert (maybe.least_requests, maybe.most_requests) == (0, once.most_requests)


BORDER = Bounds(ZONE, 799_980, 4_650_000, 819_780, 4_665_000)
"""Half of it in the tile 32TQM, all of it in the zone 33 too."""


@pytest.fixture(scope="module")
def border(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    """An archive with a tile on each side of the border of two zones; each has data on the border alone."""
    archive = create_archive(tmp_path_factory.mktemp("border") / "archive")
    beyond = ground_in(Zone(32633), BORDER, 2_400)
    assert beyond is not None
    for name, place in (("32TQM", BORDER), ("33TUG", beyond)):
        ingest(archive, ToySource(name, place=place))
    return archive


def test_across_zones_the_run_stays_within_what_explain_says(border: Archive) -> None:
    found = connect(border.store.url).explain(BORDER, bands="B01,B09")
    connection, count = watched(border)
    cube = connection.cube(window=BORDER, bands="B01,B09")
    read = blocks_read(count)
    own, other = found.zones
    assert (own.zone, other.zone) == ("EPSG:32632", "EPSG:32633")
    mine = {key for key in read if "T32TQM" in key}
    assert own.least_objects == own.most_objects == len(mine)
    assert other.least_objects == 0
    assert 0 < sum(read.values()) - len(mine) <= other.most_objects
    assert found.least_requests <= count.requests <= found.most_requests
    assert count.requests - sum(read.values()) == found.planning_requests
    provenance = cube["r60m"]["provenance"].to_numpy()
    assert (provenance == 2).mean() == pytest.approx(found.reprojected, abs=0.01)
    assert (provenance == 1).mean() == pytest.approx(1 - found.reprojected, abs=0.01)
    assert found.from_safe.products == 2


def test_of_pixels_in_any_coordinate_system_all_is_reprojected(border: Archive) -> None:
    geobox = bbox_geobox((BORDER.left, BORDER.bottom, BORDER.right, BORDER.top), 32632, "EPSG:3035", 60)
    found = connect(border.store.url).explain(geobox, bands="B01,B09")
    connection, count = watched(border)
    connection.cube(geobox=geobox, bands="B01,B09")
    read = blocks_read(count)
    assert len(found.zones) == 2
    assert found.reprojected == 1.0
    assert count.requests - sum(read.values()) == found.planning_requests
    assert found.least_requests <= count.requests <= found.most_requests
    nearest = "T32TQM" if found.zones[0].zone == "EPSG:32632" else "T33TUG"
    objects = sum(number for key, number in read.items() if nearest in key)
    assert objects == found.zones[0].least_objects == found.zones[0].most_objects


@pytest.mark.parametrize("kind", ["window", "geobox"])
def test_lazy_cubes_across_zones_read_what_those_that_are_read_at_once_do(border: Archive, kind: str) -> None:
    """Provenance used to read and warp all bands again, a window of one chunk twice as many objects."""
    ground: Any = BORDER
    if kind == "geobox":
        ground = bbox_geobox((BORDER.left, BORDER.bottom, BORDER.right, BORDER.top), 32632, "EPSG:3035", 60)
    options: dict[str, Any] = {kind: ground, "bands": "B01,B09", "resolution": 60 if kind == "window" else None}
    reads = []
    chunks: dict[str, int] | None
    for chunks in (None, {}):
        connection, count = watched(border)
        cube = connection.cube(**options, chunks=chunks)
        assert isinstance(cube, xr.Dataset)
        cube.load()
        reads.append(blocks_read(count))
        assert (cube.provenance == 2).any()
    assert reads[0] == reads[1]
    connection, count = watched(border)
    cube = connection.cube(**options, chunks={})
    assert isinstance(cube, xr.Dataset)
    cube.b01.load()
    assert not any("/b09/" in key.lower() for key in blocks_read(count)), "one band alone is read alone"


def test_a_cube_above_the_limit_is_made_lazily_by_the_same_plan(border: Archive) -> None:
    europe = bbox_geobox((BORDER.left, BORDER.bottom, BORDER.right, BORDER.top), 32632, "EPSG:3035", 60)
    place: dict[str, Any]
    for place in ({"window": BORDER, "resolution": 60}, {"geobox": europe}):
        planned = []
        for limit, lazy in ((10_000_000, False), (1_000, True)):
            told: list[int] = []
            connection, count = watched(border)
            cube = connection.cube(**place, bands="B01", limit=limit, chunks="beyond", on_block=told.append)
            assert isinstance(cube, xr.Dataset)
            assert (cube.b01.chunks is not None) == lazy == (not told)
            planned.append(count.requests - sum(blocks_read(count).values()))
        assert planned[0] == planned[1]


def test_a_geobox_on_the_grid_of_a_zone_is_explained_as_the_window_that_is_read(border: Archive) -> None:
    """All of it used to be called reprojected, and the zones' order another one."""
    geobox = geobox_of(BORDER, 60)
    found = connect(border.store.url).explain(geobox, bands="B01,B09")
    connection, count = watched(border)
    connection.cube(geobox=geobox, bands="B01,B09")
    read = blocks_read(count)
    assert found == connect(border.store.url).explain(BORDER, bands="B01,B09", resolution=60)
    assert found.window == BORDER
    assert found.reprojected < 1
    assert found.zones[0].least_objects == sum("T32TQM" in key for key in read)
    assert found.least_requests <= count.requests <= found.most_requests
    with pytest.raises(BadRequestError, match="resolution 20 is not the GeoBox's, which is 60"):
        connection.explain(geobox, resolution=20)


def test_no_product_at_all_is_explained_where_an_empty_cube_will_do(border: Archive) -> None:
    connection = connect(border.store.url)
    europe = bbox_geobox((BORDER.left, BORDER.bottom, BORDER.right, BORDER.top), 32632, "EPSG:3035", 60)
    for ground in (BORDER, geobox_of(BORDER, 60), europe):
        found = connection.explain(ground, bands="B01", datetime="2001", empty=True)
        assert (found.steps, found.most_bytes, found.reprojected, found.bands) == (0, 0, 0.0, ("B01",))
        assert found.most_requests == found.planning_requests > 0
        assert found.to_dict()["products"] == []
        with pytest.raises(NoDataError):
            connection.explain(ground, bands="B01", datetime="2001")


def test_a_tile_without_buffer_is_read_and_explained_without_other_zones(border: Archive) -> None:
    """Whoever asks: by its name, by its window, or for its cost."""
    found = connect(border.store.url).explain(tile_window("32TQM"), bands="B01")
    assert [zone.zone for zone in found.zones] == ["EPSG:32632"]
    for ask in ("tile", "window"):
        connection, count = watched(border)
        cube = (
            connection.tile("32TQM", bands="B01")
            if ask == "tile"
            else connection.cube(window=tile_window("32TQM"), bands="B01")
        )
        assert "provenance" not in cube["r60m"]
        assert found.least_requests == found.most_requests == count.requests
    wider = connect(border.store.url).explain(tile_window("32TQM", 60), bands="B01")
    told = connect(border.store.url).explain(tile_window("32TQM"), bands="B01", across=True)
    assert len(wider.zones) == len(told.zones) == 2


def test_what_is_known_of_a_product_takes_a_few_bytes_for_each_block(old_archive: Archive) -> None:
    """Sizes block by block and band by band took 224 kB of each product, of which there may be thousands."""
    names = old_archive.product_ids()
    known = _known(old_archive.store, names, BANDS, [BANDS])
    assert len(pickle.dumps([{**one.sizes} for one in known.values()])) < 1_000 + 1_000 * len(names)
    for name in names:
        record = old_archive.product(name).record
        blocks = record.bands["B02"].blocks
        assert known[name].sizes[BANDS].nbytes <= 4 * 169
        assert known[name].total == sum(one.size for band in record.bands.values() for one in band.blocks.values())
        for block in blocks:
            every = sum(record.bands[band.name].blocks[block].size for band in BANDS)
            assert known[name].size(BANDS, block) == every


def test_within_the_own_zone_nothing_is_reprojected(border: Archive) -> None:
    inside = Bounds(ZONE, 799_980, 4_650_000, 809_760, 4_665_000)
    found = connect(border.store.url).explain(inside, bands="B01")
    assert (found.reprojected, found.from_safe.products) == (0.0, 1)
    assert len(connect(border.store.url).explain(inside, bands="B01", across=False).zones) == 1


@pytest.mark.parametrize("name", ["32TNM", "32TQM", "32MNE"])
def test_as_few_safes_as_cover_the_window(name: str) -> None:
    around = [tile(name)]
    around += [one for one in tiles_touching(tile_window(name, 10_000)) if one not in around]
    whole = tile_window(name)
    assert covering(whole, around) == {tile(name)}
    grown = tile_window(name, 10_000)
    chosen = covering(grown, around)
    covered = np.zeros(grown.shape(60), bool)
    for one in chosen:
        part = one.footprint.intersection(grown)
        assert part is not None
        covered[grown.slices(part, 60)] = True
    everything = np.zeros(grown.shape(60), bool)
    for one in around:
        part = one.footprint.intersection(grown)
        if part is not None:
            everything[grown.slices(part, 60)] = True
    assert (covered == everything).all()
    assert len(chosen) <= 9
    assert covering(whole, []) == frozenset()


def test_the_cost_from_safe_counts_whole_files_and_the_parts_that_are_decoded() -> None:
    whole = safe_cost([Opened(tile("32TNM"), tile_window("32TNM"), BANDS, 1_230_000, "default")])
    pixels = sum((109_800 // band.resolution) ** 2 for band in BANDS)
    assert (whole.products, whole.images, whole.file_bytes) == (1, 13, 1_000_000)
    assert whole.decoded_bytes == 2 * pixels
    assert whole.decode_seconds == pytest.approx(2 * pixels / DECODED_PER_SECOND)
    footprint = tile("32TNM").footprint
    corner = Bounds(ZONE, footprint.left, footprint.top - 60, footprint.left + 60, footprint.top)
    small = safe_cost([Opened(tile("32TNM"), corner, (BAND["B02"], BAND["B01"]), 0, "dense")])
    assert small.decoded_bytes == 2 * (1024**2 + 192**2), "one part of each JP2"
    last = Bounds(ZONE, footprint.right - 60, footprint.bottom, footprint.right, footprint.bottom + 60)
    rest = 10_980 % 1024
    assert safe_cost([Opened(tile("32TNM"), last, (BAND["B02"],), 0, "dense")]).decoded_bytes == 2 * rest**2
    assert safe_cost([]).decode_seconds == 0
