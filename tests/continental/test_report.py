"""The report says what result files say, and marks what misses its target."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest

from benchmarks.continental.continent import NODES, continent
from benchmarks.continental.fit import validate
from benchmarks.continental.judged import busiest, decoding, fairness, pairs, rows
from benchmarks.continental.report import write_report
from benchmarks.continental.results import parse
from tests.continental.made_runs import run_file

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.table import Row

MONTHS = [8.0] * 6
SAME = {"32TQQ": "a", "33TUK": "b"}


def files(*, quick: bool = True) -> list[dict[str, Any]]:
    """Runs as a whole benchmark leaves them; the archive is quick, or as slow as SAFEs."""
    seconds = 0.5 if quick else 20.0
    near: dict[str, Any] = {"latency": 0.03, "connection": 90, "total": 800}
    wan: dict[str, Any] = {"profile": "wan", "latency": 0.04, "connection": 20, "total": 80, "connections": 4}
    read: dict[str, Any] = {
        "requests": 400,
        "sent": 1e8 if quick else 9e8,
        "cpu": seconds / 2,
        "seconds": seconds,
        "digests": SAME,
    }
    safe: dict[str, Any] = {
        "side": "safe",
        "group": "network",
        "sent": 2e9,
        "seconds": 20.0,
        "wall": 41.0,
        "workers": 2,
        "digests": SAME,
    }
    folder: dict[str, Any] = {"results": "folder"}
    return [
        run_file("users-1", group="users", workers=2, seconds=2.0, **near),
        run_file("users-8", group="users", users=8, workers=2, seconds=2.0, **near),
        run_file("workers-1", group="workers", users=5, workers=1, seconds=2.0, **near),
        run_file("workers-2", group="workers", users=5, workers=2, seconds=2.0, wall=20.0 if quick else 35.0, **near),
        run_file("network-bands", group="network", workers=2, **near, **read) | folder,
        run_file("network-bands-wan", group="network", workers=2, **wan, **read) | folder,
        run_file("network-all", group="network", kind="all", workers=2, **near, **read) | folder,
        run_file("network-safe", **near, **safe) | folder,
        run_file("network-safe-wan", **wan, **safe) | folder,
    ]


def written(folder: Path, told: list[dict[str, Any]]) -> str:
    (folder / "runs").mkdir(parents=True)
    for one in told:
        (folder / "runs" / f"{one['name']}.json").write_text(json.dumps(one))
    write_report(folder, folder / "docs", months=MONTHS)
    return (folder / "docs/continental.md").read_text()


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with results and report of an archive that is quick."""
    folder = tmp_path_factory.mktemp("quick") / "out"
    written(folder, files())
    return folder


def text_of(folder: Path) -> str:
    return (folder / "docs/continental.md").read_text()


def judged(told: list[dict[str, Any]], decode: float | None = None) -> dict[str, Row]:
    runs = [parse(one) for one in told]
    return {row.what: row for row in rows(runs, validate(runs), decode)}


def test_what_is_met_is_told_and_what_misses_stands_by_itself(quick: Path, tmp_path: Path) -> None:
    met, slow = text_of(quick), written(tmp_path / "slow", files(quick=False))
    assert "| wall clock / SAFE (bands, region) | 0.0244 | <= 0.1 | met |" in met
    assert "| wall clock / SAFE (bands, region) | 0.976 | <= 0.1 | **missed** |" in slow
    assert "- wall clock / SAFE (bands, region): 0.976, target <= 0.1" in slow
    assert "- throughput of 2 workers / 2 x that of 1: 0.571, target >= 0.85" in slow
    assert "wall clock / SAFE" not in met.partition("What speaks against it")[2].partition("## Measured")[0]


def test_every_plot_is_shown_small_and_valid_and_the_same_again(quick: Path, tmp_path: Path) -> None:
    text = text_of(quick)
    written(tmp_path / "two", files())
    shown = re.findall(r"\(continental/([a-z-]+\.svg)\)", text)
    folder = quick / "docs/continental"
    assert sorted(shown) == sorted(path.name for path in folder.iterdir())
    assert {"wall.svg", "bytes.svg", "cpu.svg", "scaling.svg", "saturation.svg", "break-even.svg"} <= set(shown)
    for path in folder.iterdir():
        assert path.stat().st_size < 100_000
        ET.parse(path)  # noqa: S314 - made by us
        assert path.read_bytes() == (tmp_path / "two/docs/continental" / path.name).read_bytes()
    assert text == (tmp_path / "two/docs/continental.md").read_text()


def test_each_run_is_in_the_report_with_the_error_of_the_model(quick: Path) -> None:
    text = text_of(quick)
    for one in files():
        assert text.count(f"| {one['name']} |") >= 2
    assert re.search(r"Of \d+ predicted runs the median error is \*\*[\d.]+%\*\*, the largest \*\*[\d.]+%\*\*", text)
    assert "| predicted |" in text
    assert "| fitted |" in text
    assert "a processor" in text


def test_figures_of_europe_are_marked_as_modelled(quick: Path) -> None:
    text = text_of(quick)
    body = text.partition("five months of 6 tiles, 240 products |")[2].partition("\n\n")[0]
    lines = [line for line in body.splitlines() if line.startswith("| ")]
    assert len(lines) == 5  # WAN with and without a month's share, archive needed and all, SAFE in the region
    assert all(line.endswith("| modelled |") for line in lines)
    assert "no figure" not in text


def test_products_that_saw_little_ground_allow_no_figure_of_europe(tmp_path: Path) -> None:
    told = [one | {"pixels": one["pixels"] / 100} for one in files()]
    assert "**Products of these runs saw 1.0% of a tile" in written(tmp_path, told)


def test_without_results_there_is_no_report(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no results"):
        write_report(tmp_path, tmp_path / "docs")


def test_the_smallest_benchmark_is_reported_too(tmp_path: Path) -> None:
    one = run_file()
    del one["pixels"]
    text = written(tmp_path, [one])
    assert "so nothing is validated" in text
    assert "do not tell how many pixels" in text


def test_a_provider_with_a_quota_is_informative() -> None:
    found = judged(files())
    assert found["wall clock / SAFE (bands, wan)"].target == "shown"
    assert found["bytes to clients / SAFE (bands, wan)"].verdict == "met"


def test_cubes_that_differ_miss() -> None:
    told = files()
    told[4] = told[4] | {"digests": {"32TQQ": "a", "33TUK": "other"}}
    name = "cubes that are equal byte for byte (bands, region)"
    assert judged(files())[name].verdict == "met"
    assert judged(told)[name].verdict == "missed"
    nothing = [one | {"digests": {}} for one in files()]
    assert judged(nothing)[name].verdict == "missed"
    assert [pair.archive.profile for pair in pairs([parse(one) for one in told])] == ["region", "wan"]


def test_users_who_got_nothing_and_unfair_turns_miss() -> None:
    told = run_file("unequal", group="unequal", users=2)
    told["users"][0] |= {"done": 4.0, "status": "failed", "history": [[0, 0], [4, 4]]}
    told["users"][1] |= {"parts": 40, "history": [[0, 0], [20, 4]]}
    found = judged([told])
    assert found["users who did not get everything, all runs"].verdict == "missed"
    assert found["Jain's fairness, 2 users, of whom one asks for 40 cubes"].verdict == "missed"
    told["users"][1]["history"] = [[0, 0], [4.1, 4], [20, 40]]
    assert fairness(parse(told)) == 1


def test_cpu_of_servers_is_held_against_plain_decoding(tmp_path: Path) -> None:
    assert decoding(tmp_path) is None
    (tmp_path / "decode.json").write_text(json.dumps({"cpu": 3.0, "pixels": 5e8}))
    assert decoding(tmp_path) == pytest.approx(3)
    name = "the same / plainly decoding it (bands, into a folder)"
    cpu = 4 * 0.25 / (4 * 2 * 10_980**2 * 2 / 1e9)  # of four cubes, over GB of pixels
    assert judged(files(), 0.6 * cpu)[name].verdict == "met"
    assert judged(files(), 0.4 * cpu)[name].verdict == "missed"
    assert name not in judged(files())


def test_the_resource_that_is_used_most_is_named() -> None:
    assert busiest(parse(run_file(seconds=2.0)))[0] == "worker 0"
    assert busiest(parse(run_file(workers=2, more={"store": 3.0})))[0] == "cores"
    name, share = busiest(parse(run_file(cpu=0.1, total=100, sent=7e8)))
    assert (name, round(share, 3)) == ("line", 0.875)


def test_more_machines_are_never_slower() -> None:
    found = continent([parse(one) for one in files()], MONTHS)
    for sweep in found.sweeps.values():
        walls = [one.wall for one in sweep]
        assert walls == sorted(walls, reverse=True)
        assert [one.fleet.nodes for one in sweep] == list(NODES)
    assert found.efficiency[0] == (1, 1.0)
