"""What is fitted on some runs has to say how others went: on runs that were made by arithmetic, nearly exactly."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.continental.fit import chosen, errors, fit, told, validate
from benchmarks.continental.results import load, parse
from tests.continental.made_runs import run_file

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.continental.results import Result


def runs(*some: dict[str, Any]) -> list[Result]:
    return [parse(one) for one in some]


def test_computing_alone_is_predicted_for_other_users_sizes_and_workers() -> None:
    found = validate(
        runs(
            run_file("a", group="workers", users=5, parts=2, workers=1),
            run_file("b", group="users", users=1, parts=2, workers=1),
            run_file("c", group="users", users=8, parts=2, workers=2),
            run_file("d", group="size", users=1, parts=20, workers=2),
            run_file("e", group="size", users=1, parts=20, workers=1),
        )
    )
    assert [one.fitted for one in found] == [True, True, False, False, False]
    assert [one.error for one in found] == pytest.approx([0] * 5, abs=0.06)  # half a poll
    worst = errors(found)
    assert worst is not None
    assert worst[0] <= worst[1] < 0.02


def test_waiting_for_the_network_grows_with_its_latency() -> None:
    # 10 requests a cube, 5 of which wait at once: 2 x 30 ms and 1 s of CPU; in the other network 2 x 300 ms.
    near = run_file("near", latency=0.03, requests=40, cpu=1.0, seconds=1.06)
    far = run_file("far", profile="wan", latency=0.3, requests=40, cpu=1.0, seconds=1.6)
    found = validate(runs(far, near))
    assert [(one.run.name, one.fitted) for one in found] == [("far", False), ("near", True)]
    assert found[0].predicted == pytest.approx(4 * 1.6, rel=0.02)


def test_a_narrow_line_is_predicted_from_a_wide_one() -> None:
    wide = run_file("wide", latency=0.01, requests=40, cpu=1.0, seconds=1.05, sent=4e8)
    narrow = run_file(
        "narrow", profile="office", latency=0.01, requests=40, cpu=1.0, sent=4e8, total=12.5, seconds=9.05
    )
    (found,) = [one for one in validate(runs(wide, narrow)) if not one.fitted]
    assert found.predicted == pytest.approx(4 * 9.05, rel=0.03)


def test_a_cube_that_keeps_several_cores_busy_is_no_slower_than_that() -> None:
    (need,) = fit(runs(run_file(seconds=1.0, cpu=1.6))).values()
    assert need.parallel == pytest.approx(1.6, rel=0.01)
    (lazy,) = fit(runs(run_file(seconds=1.0, cpu=0.5))).values()
    assert lazy.parallel == pytest.approx(0.5, rel=0.01)


def test_work_grows_with_the_products_of_a_cube() -> None:
    found = validate(runs(run_file("a", seconds=2.0), run_file("b", group="size", products=3, seconds=6.0)))
    assert found[1].predicted == pytest.approx(24, rel=0.01)


def test_a_slower_run_than_the_model_allows_is_an_error_that_shows() -> None:
    odd = run_file("odd", group="size", parts=8, wall=32.0)
    (found,) = [one for one in validate(runs(run_file("a"), odd)) if not one.fitted]
    assert found.error == pytest.approx(-0.5, abs=0.01)
    *_, line, last = told(validate(runs(run_file("a"), odd)))
    assert (line.split()[0], line.split()[-1], last.split()[-1]) == ("odd", f"{found.error:+.1%}", "15%")
    assert told([]) == ["errors of 0 predicted runs: none"]


def test_one_worker_is_fitted_and_runs_that_failed_are_not() -> None:
    failed = run_file("failed", workers=1)
    failed["users"][0]["status"] = "failed"
    some = [run_file("two", workers=2, group="main"), run_file("one", workers=1, users=5, group="workers"), failed]
    ((_, found),) = chosen(runs(*some)).items()
    assert [run.name for run in found] == ["one"]


def test_other_kinds_and_places_of_results_need_other_things() -> None:
    folder = run_file("folder", seconds=9.0) | {"results": "folder"}
    ndvi = run_file("ndvi", kind="ndvi", seconds=5.0)
    needs = fit(runs(run_file("a"), folder, ndvi))
    assert {key: need.worker for key, need in needs.items()} == pytest.approx(
        {("archive", "bands", "bucket"): 2, ("archive", "bands", "folder"): 9, ("archive", "ndvi", "bucket"): 5}
    )


def test_downloads_and_calculations_are_fitted_apart() -> None:
    near = run_file("near", side="safe", parts=4, seconds=3.0, connection=200, sent=4e8)
    wan = run_file(
        "wan", side="safe", profile="wan", parts=4, seconds=3.0, connection=20, total=80, connections=4, sent=4e8
    )
    found = {one.run.name: one for one in validate(runs(near, wan))}
    assert found["near"].predicted == pytest.approx(0.5 + 12, rel=0.02)
    assert found["wan"].predicted == pytest.approx(5 + 12, rel=0.02)  # four at once, 100 MB each, 20 MB/s


def test_results_are_read_from_files_and_pixels_follow_from_the_scene(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    file = run_file("a")
    del file["pixels"]
    (tmp_path / "runs" / "a.json").write_text(json.dumps(file))
    assert load(tmp_path)[0].pixels is None
    (tmp_path / "made.json").write_text(json.dumps([{"blocks": 3}, ["B04", "B08"], []]))
    assert load(tmp_path)[0].pixels == 4 * 2 * (3 * 960) ** 2
    (tmp_path / "made.json").write_text(json.dumps([{"blocks": 0}, ["B04", "B08"], []]))
    assert load(tmp_path)[0].pixels == 4 * 2 * 10_980**2


def test_a_product_told_in_one_line_is_a_download_and_a_calculation() -> None:
    file = run_file(side="safe")
    file["parts"] = [{"tile": "32TQQ", "start": 1.0, "downloaded": 3.0, "end": 7.0}]
    run = parse(file)
    assert [one.seconds for one in run.downloads + run.cubes] == [2.0, 4.0]
    assert run.at_once == 1
