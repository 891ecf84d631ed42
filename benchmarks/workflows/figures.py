"""The figures: each is a ratio of one run, beside its target and what bounds it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.table import SHOWN, Row
from benchmarks.workflows.cases import ARCHIVE, COMPOSITE, LONE, LONE_ARCHIVE, NAMES, PARAMETERS, SAFES, stated
from benchmarks.workflows.scene import nested

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.workflows.cases import Case, Given
    from benchmarks.workflows.measure import Taken

    type All = dict[str, Taken]
    """What was measured, by name of the case."""

_BESIDE = (
    (ARCHIVE, SAFES, "archive / SAFEs, with the neighbourhood"),
    (LONE_ARCHIVE, LONE, "lone tile: archive / SAFE"),
    (ARCHIVE, LONE, "archive with the neighbourhood / SAFE of the lone tile"),
)


def ratios(given: Given, taken: All, names: Sequence[str] = (*NAMES, COMPOSITE)) -> list[Row]:
    """Compare the archive with SAFEs: end to end, and reading alone."""
    rows = []
    for name in names:
        for one_way, other_way, what in _BESIDE:
            one, other = (taken.get(given.case(name, way).name) for way in (one_way, other_way))
            if one is None or other is None:
                continue
            parts = f"read {one.read.wall:.1f} / {other.read.wall:.1f} s, compute {one.compute.wall:.1f} s"
            cpu = f"CPU {one.cpu:.1f} / {other.cpu:.1f} s, of it reading {one.read.cpu:.1f} / {other.read.cpu:.1f} s"
            rows += [
                Row(f"{name}: {what}, time", one.wall / other.wall, SHOWN, parts),
                Row(f"{name}: {what}, CPU", one.cpu / other.cpu, SHOWN, cpu),
                Row(f"{name}: {what}, CPU of reading", one.read.cpu / other.read.cpu, SHOWN, ""),
            ]
    return rows


def speeds(given: Given, taken: All) -> list[Row]:
    """Hold the CPU of computing against what it is allowed to take."""
    rows = []
    if (clouds := taken.get(given.case("clouds", ARCHIVE).name)) is not None:
        pixels = given.core.buffered(9_540).area / 3600 / 1e6
        rows += [
            Row(
                "clouds: CPU besides the detector, s per Mpx of 60 m that is looked at",
                (clouds.compute.cpu - clouds.part) / pixels,
                "<= 0.5",
                f"{pixels:.2f} Mpx",
            ),
            Row("clouds: CPU of the detector (s2cloudless), s per Mpx", clouds.part / pixels, SHOWN, "LightGBM"),
        ]
    if (adjacency := taken.get(given.case("adjacency", ARCHIVE).name)) is not None:
        count = len(PARAMETERS["adjacency"]["bands"])  # type: ignore[arg-type] # a tuple
        rows += [
            Row("adjacency: CPU of kernel and sums at 60 m, s a band", adjacency.part / count, "<= 1.0", "FFT"),
            Row(
                "adjacency: all CPU, pixels of 10 and 20 m included, s a band",
                adjacency.compute.cpu / count,
                SHOWN,
                f"{count} bands, 4 of them of 10 m",
            ),
        ]
    for name, target in (("segments", "<= 3.0"), ("classify", SHOWN), ("index", SHOWN)):
        if (one := taken.get(given.case(name, ARCHIVE).name)) is not None:
            pixels = given.core.area / 100 / 1e6
            what = f"{name}: CPU of computing, s per Mpx of 10 m of the core"
            rows.append(Row(what, one.compute.cpu / pixels, target, f"{pixels:.1f} Mpx"))
    return rows


def memory(given: Given, taken: All) -> tuple[list[Row], list[dict[str, str | float]]]:
    """Hold memory against what docstrings state, and show how it grows with the ground."""
    rows: list[Row] = []
    table: list[dict[str, str | float]] = []
    for name in NAMES:
        for core in nested(given.core):
            case = given.case(name, ARCHIVE, core)
            if (one := taken.get(case.name)) is not None:
                table.append(_line(case, one))
        case = given.case(name, ARCHIVE)
        if (one := taken.get(case.name)) is None or not stated(case):
            continue
        allowed = (stated(case) + one.result) / 1e6
        told = f"{one.compute.memory:.0f} of {allowed:.0f} MB, of it the result {one.result / 1e6:.0f} MB"
        rows.append(
            Row(f"{name}: peak beside the moment / stated + result", one.compute.memory / allowed, "<= 1.1", told)
        )
    return rows, table


def _line(case: Case, one: Taken) -> dict[str, str | float]:
    return {
        "workflow": case.workflow,
        "core Mpx": case.bounds.area / 1e8,
        "moment MB": one.moment / 1e6,
        "reading MB": one.read.memory,
        "computing MB": one.compute.memory,
        "bytes a px": one.compute.memory * 1e6 / (case.bounds.area / 100),
    }
