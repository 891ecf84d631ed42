"""Moments of toy archives around the corner of four tiles, against pasting the legacy tiles; and parts of moments."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import xarray as xr

import abut
from abut.archive import create_archive
from abut.counted import counted
from abut.errors import (
    BadRequestError,
    MixedBaselinesError,
    NoDataError,
    ProductNotFoundError,
)
from abut.ground import ground_in
from abut.lattice import BLOCK_SIZE, BlockRange, Bounds, Zone
from abut.layout import BAND
from abut.request import Request
from abut.tiling import ranked, tile
from ingest.ingest import ingest
from ingest.purge import purge
from ingest.settle import settle
from tests.pasted import Delivered, pasted
from tests.shots import Shot, shot_days_later
from tests.toy import CORNER, START, TILES
from workflows.errors import GeometryError, WorkflowError
from workflows.runs.building import ANGLES, Ground, Owner, When, build, owned_angles, owner_of
from workflows.runs.moments import lone_moment, plan_moments, product_moment, view_moments
from workflows.runs.results import ground
from workflows.runs.running import Task, run
from workflows.runs.scenes import cut_moment, scene_of
from workflows.runs.users import user_workflow

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from abut.archive import Archive
    from abut.connection import Connection
    from abut.layout import Band
    from abut.request import Plan

BANDS = ("B01", "B09")
NORTH = replace(CORNER, bottom=CORNER.bottom + 8_040)
SOUTH = replace(CORNER, top=NORTH.bottom + 1_200)
"""Two strips overlap by 1,200 m."""
SECOND = START + timedelta(seconds=30)
FIRST_STRIP = [Shot(name, NORTH, added={"B09": 3} if name == "32TPP" else {}) for name in TILES]
SECOND_STRIP = [Shot(name, SOUTH, {"B01": 5}, "S", SECOND) for name in ("32TNP", "32TPP")]
LATER = [shot_days_later(10, name, offset=0, baseline="03.01") for name in ("32TNP", "32TPQ")]
OWN, OWN_SECOND = FIRST_STRIP[0], SECOND_STRIP[0]
EDGE = OWN.tile.footprint
CORE = Bounds(CORNER.zone, EDGE.right - 12_000, CORNER.bottom + 6_000, EDGE.right, EDGE.top)
"""Ground of 32TNP in its north-eastern corner, in both strips."""


def delivered(shots: Sequence[Shot], *, first: Shot | None = None) -> list[Delivered]:
    """Products for pasting; strips are overlaid by their start, but that of one product goes first."""
    own = first and first.datastrip_start

    def pixels_of(shot: Shot) -> Callable[[Band], NDArray[np.uint16]]:
        return lambda band: shot.arrays[band.name]

    return [
        Delivered(one.id, one.tile, pixels_of(one), f"{one.datastrip_start != own}{one.datastrip}") for one in shots
    ]


def is_pasted(moment: xr.DataTree, shots: Sequence[Shot], *, first: Shot | None = None) -> bool:
    """Whether a moment's bands are what pasting products gives."""
    window, group = ground(moment, "window"), moment["r60m"]
    truth = {name: pasted(delivered(shots, first=first), window, BAND[name]) for name in BANDS}
    assert all((pixels > 0).any() for pixels in truth.values())
    return all(np.array_equal(group[BAND[name].key].to_numpy(), truth[name]) for name in BANDS)


@pytest.fixture(name="archive", scope="module")
def _archive(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    archive = create_archive(tmp_path_factory.mktemp("moments") / "archive")
    for shot in (*FIRST_STRIP, *SECOND_STRIP, *LATER):
        ingest(archive, shot)
    assert sum(one.released for one in settle(archive)) > 0
    assert sum(one.objects for one in purge(archive, grace=timedelta(0))) > 0
    return archive


@pytest.fixture(name="connection", scope="module")
def _connection(archive: Archive) -> Connection:
    return abut.connect(archive.store.url)


def test_moments_of_a_period_are_the_steps_of_the_view_one_after_the_other(connection: Connection) -> None:
    planned = plan_moments(connection, tile="32TNP", core=CORE, buffer=2_400, bands=BANDS)
    found = list(view_moments(connection, tile="32TNP", core=CORE, buffer=2_400, bands=BANDS))
    assert len(planned) == len(found) == 2
    steps = ((*FIRST_STRIP, *SECOND_STRIP), LATER)
    for moment, plan, shots in zip(found, planned, steps, strict=True):
        assert is_pasted(moment, shots)
        assert ground(moment) == CORE
        assert ground(moment, "window") == CORE.buffered(2_400)
        assert moment.attrs["datetime"] == plan.time.isoformat() == shots[0].datatake.isoformat()
        assert moment.attrs["datatake"] == plan.datatake == shots[0].slot
        assert sorted(moment.attrs["products"]) == list(plan.products)
        assert moment.attrs["tile"] == "32TNP"
        assert moment["r60m/radio_add_offset"].to_numpy().tolist() == [shots[0].offset] * 2
        assert int(moment["r60m/quantification_value"]) == 10_000


def test_a_wrong_pixel_is_not_what_pasting_gives(connection: Connection) -> None:
    moment = next(view_moments(connection, core=CORE, bands=BANDS, datetime=START.date().isoformat()))
    moment["r60m/b09"].to_numpy()[30, 40] += 1
    assert not is_pasted(moment, (*FIRST_STRIP, *SECOND_STRIP))


def test_products_are_in_the_order_of_the_overlay_strip_by_strip(connection: Connection) -> None:
    asked: dict[str, Any] = {"buffer": 9_600, "bands": BANDS, "core": CORE}
    first, second = ([one.id for one in some] for some in (FIRST_STRIP, SECOND_STRIP))
    assert product_moment(connection, OWN.id, **asked).attrs["products"] == sorted(first) + sorted(second)
    assert product_moment(connection, OWN_SECOND.id, **asked).attrs["products"] == sorted(second) + sorted(first)


def test_the_strip_of_the_product_goes_first_where_strips_overlap_and_differ(connection: Connection) -> None:
    shots = (*FIRST_STRIP, *SECOND_STRIP)
    for own, other in ((OWN, OWN_SECOND), (OWN_SECOND, OWN)):
        found = product_moment(connection, f"{own.id}.SAFE", buffer=5_000, bands=BANDS, core=CORE)
        assert ground(found, "window") == CORE.buffered(5_040)
        assert is_pasted(found, shots, first=own)
        assert not is_pasted(found, shots, first=other)


def test_a_lone_moment_is_the_legacy_tile_although_neighbours_hold_parts_of_it(connection: Connection) -> None:
    for shot in (OWN, SECOND_STRIP[1], LATER[1]):
        found = lone_moment(connection, shot.id, bands=BANDS)
        assert found.attrs["products"] == [shot.id]
        assert ground(found) == ground(found, "window") == shot.tile.footprint
        for name in BANDS:
            assert np.array_equal(found[f"r60m/{BAND[name].key}"], shot.arrays[name])
    part = lone_moment(connection, OWN.id, bands=BANDS, core=CORE)
    assert ground(part) == CORE
    assert ground(part, "window") == OWN.tile.footprint


def test_one_step_is_read_at_a_time(archive: Archive) -> None:
    store, count = counted(archive.store)
    connection = replace(abut.connect(archive.store.url), archive=replace(archive, store=store))
    moments = view_moments(connection, core=CORE, bands=BANDS)

    def read_from(shots: Sequence[Shot]) -> int:
        folders = tuple(f"products/{one.id}." for one in shots)
        return sum(number for key, number in count.keys.items() if key.startswith(folders) and "/c/" in key)

    next(moments)
    assert read_from(FIRST_STRIP) > 0
    assert read_from(LATER) == 0
    next(moments)
    assert read_from(LATER) > 0
    assert next(moments, None) is None


def test_a_window_beyond_all_data_has_zeros_and_one_without_any_is_refused(connection: Connection) -> None:
    edge = Bounds(CORNER.zone, CORNER.left - 6_000, CORNER.bottom + 12_000, CORNER.left + 600, CORNER.bottom + 18_000)
    (found,) = view_moments(connection, core=edge, bands=BANDS, datetime=START.date().isoformat())
    assert is_pasted(found, (*FIRST_STRIP, *SECOND_STRIP))
    assert not found["r60m/b01"].to_numpy()[:, :99].any()
    far = Bounds(CORNER.zone, CORNER.left - 60_000, CORNER.bottom, CORNER.left - 54_000, CORNER.bottom + 6_000)
    with pytest.raises(NoDataError, match="no product at any time on 525600"):
        next(view_moments(connection, core=far, bands=BANDS))
    with pytest.raises(NoDataError, match="525600"):
        product_moment(connection, OWN.id, buffer=0, bands=BANDS, core=far)


@pytest.mark.filterwarnings("ignore::abut.errors.MixedBaselinesWarning")
def test_products_of_a_datatake_with_other_offsets_are_moments_of_their_own(tmp_path: Path) -> None:
    archive = create_archive(tmp_path)
    new = Shot("32TNP", NORTH)
    old = Shot("32TPP", NORTH, datastrip_start=SECOND, offset=0, baseline="03.01")
    for shot in (new, old):
        ingest(archive, shot)
    connection = abut.connect(tmp_path)
    found = list(view_moments(connection, core=CORE, buffer=6_000, bands=BANDS))
    assert [scene_of(one).offsets for one in found] == [{"B01": -1000, "B09": -1000}, {"B01": 0, "B09": 0}]
    for moment, shot in zip(found, (new, old), strict=True):
        assert is_pasted(moment, [shot])
    with pytest.raises(MixedBaselinesError, match=f"{new.id} and {old.id} .* differ in radio_add_offset"):
        product_moment(connection, new.id, buffer=6_000, bands=BANDS, core=CORE)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"core": replace(CORE, right=CORE.right + 60)}, "is not inside of 32TNP"),
        ({"core": replace(CORE, left=CORE.left + 10)}, "are not on the 60 m grid"),
        ({"buffer": -60}, "the buffer -60 m is not between 0 and"),
        ({"buffer": float("nan")}, "the buffer nan m is not"),
        ({"buffer": float("inf")}, "the buffer inf m is not"),
    ],
    ids=["core-beyond-tile", "core-off-grid", "negative", "nan", "endless"],
)
def test_ground_that_can_not_be_is_refused_by_its_value(
    connection: Connection, given: dict[str, object], said: str
) -> None:
    asked: dict[str, Any] = {"buffer": 0, "bands": BANDS, "core": CORE, **given}
    with pytest.raises(WorkflowError, match=said):
        product_moment(connection, OWN.id, **asked)
    with pytest.raises(WorkflowError, match=said):
        next(view_moments(connection, tile="32TNP", **asked))


def test_what_is_not_there_is_named(connection: Connection) -> None:
    with pytest.raises(ProductNotFoundError, match="no product 'S2X'"):
        product_moment(connection, "S2X", buffer=0, bands=BANDS)
    with pytest.raises(ProductNotFoundError, match="S2X"):
        lone_moment(connection, "S2X", bands=BANDS)
    with pytest.raises(BadRequestError, match="B77"):
        product_moment(connection, OWN.id, buffer=0, bands=["B77"])
    with pytest.raises(WorkflowError, match="neither a tile nor a core"):
        plan_moments(connection, bands=BANDS)


def test_a_part_of_a_moment_is_what_is_read_for_that_part(connection: Connection) -> None:
    whole = product_moment(connection, OWN.id, buffer=9_600, bands=BANDS, core=CORE)
    inner = Bounds(CORE.zone, CORE.left + 3_000, CORE.bottom + 600, CORE.right - 1_200, CORE.top)
    part = cut_moment(whole, inner.buffered(4_800), inner)
    read = product_moment(connection, OWN.id, buffer=4_800, bands=BANDS, core=inner)
    xr.testing.assert_equal(part["r60m"].to_dataset(), read["r60m"].to_dataset())
    xr.testing.assert_identical(part["geometry"].to_dataset(), read["geometry"].to_dataset())
    assert (ground(part), ground(part, "window")) == (inner, inner.buffered(4_800))
    assert ground(whole) == CORE
    assert scene_of(part).box == scene_of(whole).cut(scene_of(part).box).box
    with pytest.raises(WorkflowError, match="is not inside of the moment"):
        cut_moment(whole, CORE.buffered(9_660))
    with pytest.raises(WorkflowError, match=r"the core .* is not inside of"):
        cut_moment(whole, inner, CORE)


def test_the_georeference_of_a_part_is_its_own(connection: Connection) -> None:
    whole = product_moment(connection, OWN.id, buffer=9_600, bands=BANDS, core=CORE)
    part = cut_moment(whole, CORE)["r60m"].to_dataset()
    x, size, _, y, _, _ = map(float, part["spatial_ref"].attrs["GeoTransform"].split())
    assert (x + size / 2, y - size / 2) == (float(part["x"][0]), float(part["y"][0]))


def owners(tiles: Sequence[str], strips: int = 1) -> list[Owner]:
    """Products whose angles tell which one they are of."""
    return [
        Owner(
            f"{name}.{strip}",
            tile(name),
            (strip != 1, strip),
            (number, strip, number + 10, strip + 10),
            frozenset(tile(name).hull),
        )
        for number, name in enumerate(tiles)
        for strip in range(strips)
    ]


def test_angles_are_those_of_the_best_ranked_tile_that_has_data_in_the_block() -> None:
    window = CORNER.buffered(60_000)
    table = owned_angles(window, owners(TILES, strips=2))
    assert np.isfinite(table["sun_zenith"]).all()
    assert set(np.unique(table["sun_zenith"])) == set(range(len(TILES)))
    assert (table["sun_azimuth"] == 1).all()  # the strip that is overlaid first
    for block in BlockRange.around(window):
        best = ranked(block, [one for one in map(tile, TILES) if one.footprint.intersection(block.bounds)])[0]
        here = table.sel(x=block.bounds.left + BLOCK_SIZE / 2, y=block.bounds.bottom + BLOCK_SIZE / 2)
        assert float(here["sun_zenith"]) == TILES.index(best.id)
        assert float(here["view_zenith"]) == TILES.index(best.id) + 10


def test_a_product_owns_no_block_in_which_it_has_no_data() -> None:
    window = CORNER.buffered(60_000)
    best, *others = owners(TILES)
    whole = owned_angles(window, [best, *others])
    lost = next(block for block in BlockRange.around(window) if owner_of(block, [best, *others]) is best)
    without = owned_angles(window, [replace(best, blocks=set(best.blocks) - {lost}), *others])
    row, column = BlockRange.around(window).position(lost)
    changed = (whole["sun_zenith"] != without["sun_zenith"]).to_numpy()
    assert np.argwhere(changed).tolist() == [[row, column]]


def test_a_scene_has_angles_of_the_nearest_block_where_no_product_is() -> None:
    window = replace(CORE, right=CORE.right + 120_000, top=CORE.top + 120_000)
    when = When(START, "a datatake", 10_000, {})
    moment = build({}, Ground(window, CORE), when, owners(["32TNP", "32TQQ"]))
    table = np.stack([moment["geometry"][name].to_numpy() for name in ANGLES])
    known = np.isfinite(table).all(axis=0)
    assert 0 < known.sum() < known.size
    angles = scene_of(moment).angles()
    for row, column in np.ndindex(known.shape):
        away = ((np.argwhere(known) - (row, column)) ** 2).sum(axis=1)
        nearest = np.argwhere(known)[away == away.min()]
        found = [getattr(angles, name)[row, column] for name in ANGLES]
        assert found in [table[:, *place].tolist() for place in nearest]


def test_without_any_angle_a_scene_has_none_and_says_so(connection: Connection) -> None:
    moment = product_moment(connection, OWN.id, buffer=0, bands=BANDS, core=CORE)  # toys tell no angles
    assert np.isnan(moment["geometry/view_zenith"]).all()
    with pytest.raises(GeometryError, match="there are none"):
        scene_of(moment).angles()


def test_a_scene_is_counted_from_the_equator(connection: Connection) -> None:
    moment = product_moment(connection, OWN.id, buffer=600, bands=BANDS, core=CORE)
    scene = scene_of(moment)
    assert (scene.core.left, scene.core.bottom) == (CORE.left, CORE.bottom)
    assert scene.margin == 600
    assert np.shares_memory(scene.bands["B01"], moment["r60m/b01"].to_numpy())


BORDER = Bounds(Zone(32632), 290_040, 5_083_020, 309_960, 5_103_000)
"""Around the north-west corner of 32TLR; 31TGM has data on all of it."""


@pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning")  # odc-geo 0.5 with affine 3
@pytest.mark.filterwarnings("ignore:The 'shapely.ops.transform:DeprecationWarning")  # and with shapely 2.2
def test_across_zones_each_moment_is_its_step_of_the_cube_and_marked(tmp_path: Path) -> None:
    archive = create_archive(tmp_path)
    west = ground_in(Zone(32631), BORDER, 6_000)
    assert west is not None
    east, other = Shot("32TLR", place=BORDER), Shot("31TGM", place=west)
    alone = shot_days_later(3, "31TGM", place=west)
    for shot in (east, other, alone, shot_days_later(5, "32TLR", place=BORDER)):
        ingest(archive, shot)
    connection = abut.connect(tmp_path)
    cube = connection.cube(window=BORDER, bands=list(BANDS), across=True, resolution=60)
    assert isinstance(cube, xr.Dataset)
    found = list(view_moments(connection, core=BORDER, bands=BANDS, across=True))
    assert len(found) == 3
    for step, moment in enumerate(found):
        for name in ("b01", "b09", "provenance"):
            assert np.array_equal(moment[f"r60m/{name}"], cube[name][step])
    marks = [np.unique(moment["r60m/provenance"]).tolist() for moment in found]
    assert marks == [[0, 1, 2], [0, 2], [0, 1]]
    assert [moment.attrs["products"] for moment in found[:2]] == [[east.id, other.id], [alone.id]]
    assert np.isnan(found[1]["geometry/sun_zenith"]).all()
    own = next(view_moments(connection, core=BORDER, bands=BANDS))
    native = found[0]["r60m/provenance"].to_numpy() == 1
    assert np.array_equal(own["r60m/b01"].to_numpy()[native], found[0]["r60m/b01"].to_numpy()[native])
    assert "provenance" not in own["r60m"]


def test_a_run_plans_its_ground_once(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    planned: list[Bounds] = []
    plan = Request.plan

    def planning(request: Request, window: Bounds) -> Plan:
        planned.append(window)
        return plan(request, window)

    monkeypatch.setattr(Request, "plan", planning)
    sums = user_workflow("tests.workflows.theirs:sums", 240, ["B01"])
    task = Task(workflow=sums, tile="32TNP", core=(CORE.left, CORE.bottom, CORE.right, CORE.top))
    assert len(list(run(task, connection))) == 2
    assert planned == [CORE.buffered(240)]
