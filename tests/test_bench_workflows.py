"""Parts that the benchmark of workflows relies on: what it runs, that its ways are compared, how figures are made."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from abut.lattice import Bounds
from abut.layout import BAND
from abut.tiling import tile
from benchmarks.cubes.measure import UnequalError
from benchmarks.cubes.scene import MIDDLE
from benchmarks.workflows import figures, measure, scene
from benchmarks.workflows.cases import ARCHIVE, LONE, LONE_ARCHIVE, SAFES, Case, Given, cases, stated
from benchmarks.workflows.scene import FULL, QUICK, RIM, Ground, nested, seen

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from abut.archive import Archive


@pytest.fixture
def given(modern_archive: Archive, modern_neighbours: tuple[Path, Path]) -> Given:
    """A few blocks of a tile with a narrow swath, on two SAFEs and the archive of them."""
    west, _ = modern_neighbours
    shared = tile("32TMT").footprint.intersection(tile("32TNT").footprint)
    assert shared is not None
    x, y = shared.left + 5_040, shared.bottom + 49_980
    core = Bounds(shared.zone, x - 2_400, y - 2_400, x + 2_400, y + 2_400)
    return Given(
        modern_archive.store.url,
        tuple(map(str, modern_neighbours)),
        (west.name.removesuffix(".SAFE"),),
        core,
        core,
    )


def test_both_ways_are_run_and_found_equal_and_figures_are_what_was_measured(given: Given, tmp_path: Path) -> None:
    wanted = [given.case("index", way) for way in (ARCHIVE, SAFES)]
    kept = tmp_path / "runs.json"
    runs = measure.run_all(wanted, 1, kept)
    taken = measure.medians(wanted, runs)
    one, other = (taken[case.name] for case in wanted)
    assert one.digest == other.digest
    rows, columns = given.core.shape(10)
    assert one.result == 2 * rows * columns
    assert one.moment > 2 * one.result
    assert min(one.read.cpu, one.read.wall, other.read.cpu, one.compute.cpu) > 0
    ratio = figures.ratios(given, taken, ["index"])[0]
    assert ratio.figure == one.wall / other.wall
    before = kept.read_text()
    measure.run_all(wanted, 1, kept)
    assert kept.read_text() == before


def test_what_was_run_is_kept_and_the_rest_is_run_in_turn(
    given: Given, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def broken(case: Case) -> dict[str, Any]:
        if len(asked) == 3:
            raise KeyboardInterrupt
        asked.append(case.way)
        return _cost("a")

    monkeypatch.setattr(measure, "run", broken)
    wanted = [given.case("index", way) for way in (ARCHIVE, SAFES)]
    with pytest.raises(KeyboardInterrupt):
        measure.run_all(wanted, 3, tmp_path / "runs.json")
    asked.clear()
    runs = measure.run_all(wanted, 3, tmp_path / "runs.json")
    assert asked == [SAFES, ARCHIVE, SAFES]
    assert [len(some) for some in runs.values()] == [3, 3]


def test_ways_that_gave_other_results_are_not_compared(given: Given) -> None:
    wanted = [given.case("index", way) for way in (ARCHIVE, SAFES, LONE_ARCHIVE, LONE)]
    equal = {case.name: [_cost("a" if case.way in (ARCHIVE, SAFES) else "b")] for case in wanted}
    assert len(measure.medians(wanted, equal)) == 4
    with pytest.raises(UnequalError, match=r"index, archive, .* and index, SAFEs, .* gave different results"):
        measure.medians(wanted, {**equal, wanted[1].name: [_cost("c")]})
    with pytest.raises(UnequalError, match="from run to run"):
        measure.medians(wanted, {**equal, wanted[1].name: [_cost("a"), _cost("c")]})


def test_costs_are_medians_and_parts_are_told_apart(given: Given) -> None:
    case = given.case("clouds", ARCHIVE)
    runs = {case.name: [_cost("a", cpu=cpu) for cpu in (9.0, 2.0, 4.0)]}
    taken = measure.medians([case], runs)
    assert taken[case.name].compute.cpu == 4.0
    mpx = given.core.buffered(9_540).area / 3600 / 1e6
    pairing, detector = figures.speeds(given, taken)
    assert pairing.figure == pytest.approx((4.0 - 1.0) / mpx)
    assert detector.figure == pytest.approx(1.0 / mpx)


def test_each_workflow_is_run_by_each_way_and_on_less_ground() -> None:
    foot = FULL.core
    given = Given("archive", ("safe",), ("one", "two"), foot, scene.part(FULL))
    wanted = list(cases(given))
    assert len({case.name for case in wanted}) == len(wanted) == 5 * (4 + 2) + 2
    assert {case.products for case in wanted if case.workflow == "composite"} == {("one", "two")}
    quarter, half, whole = nested(foot)
    assert whole == foot
    assert foot.contains(half)
    assert half.contains(quarter)
    small, large = (stated(given.case("segments", ARCHIVE, core)) for core in (quarter, whole))
    assert 10 * whole.area / 100 < large < 20 * small


def test_neighbours_see_all_blocks_that_a_window_of_the_tile_touches() -> None:
    frame = RIM.frame
    assert frame is not None
    farthest = 640 * 20
    assert frame.contains(RIM.core.buffered(scene.BUFFER + farthest))
    assert tile(MIDDLE).footprint.contains(QUICK.core)
    assert len(scene.products(FULL)) == 9 + scene.DATES - 1


def test_the_ground_is_a_function_of_place_and_has_clouds(monkeypatch: pytest.MonkeyPatch) -> None:
    pattern = np.random.default_rng(1).integers(-90, 90, (347, 347), np.int32)
    monkeypatch.setattr(scene, "_patterns", lambda: dict.fromkeys(BAND, pattern))
    land = seen(QUICK).texture
    assert isinstance(land, Ground)
    whole = scene.part(QUICK)
    part = whole.buffered(-2_400)
    found = land(BAND["B09"], whole)
    np.testing.assert_array_equal(found[whole.slices(part, 60)], land(BAND["B09"], part))
    assert found.min() > 0
    assert land.landscape.clouds(RIM.core.buffered(-40_200)).any()


def _cost(pixels: str, cpu: float = 2.0) -> dict[str, Any]:
    step = {"cpu": cpu, "wall": 3.0, "memory": 1.0}
    facts: dict[str, Any] = {"part_cpu": 1.0, "peak": 9.0, "moment_bytes": 1, "result_bytes": 1}
    return {"read": step, "compute": step, **facts, "digests": {"ndvi": pixels}}
