"""The figures: each is a ratio of one run, beside its target and what bounds it."""

from __future__ import annotations

import statistics
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from abut.errors import AbutError
from benchmarks.table import SHOWN, Row
from benchmarks.tiles.jobs import KINDS, run
from benchmarks.tiles.serve import FORMAT, LOADS, loads, over_http

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from benchmarks.tiles.scene import Size

    type Table = list[dict[str, float]]
    """Rows that have the same columns."""

COMPARED: Final = 3
"""Finest zooms whose tiles have to cost a quarter of the counterpart's."""
MIB: Final = 1 << 20
CACHE: Final = 256 * MIB
"""Bytes of decoded blocks that a worker may keep while its memory is watched."""
BESIDE: Final = 400
"""MB of a worker beside what it has after its start and its cache: plans (256 MB at most), pictures in the making."""


class UnlikeError(AbutError):
    """Pictures that are compared don't show the same ground."""


def alike(size: Size, out: Path, *, quick: bool) -> tuple[list[Row], dict[str, Any]]:
    """Compare the pixels of both ways before anything is timed.

    Raises
    ------
    UnlikeError
        If a pixel shows ground that isn't next to its centre; if pictures of overviews differ in their mean, or in
        where they have data.
    """
    found = run("pixels", out, quick=quick)
    rows = []
    for zoom in size.native:
        some = [one for one in found["native"] if one["zoom"] == zoom]
        mean = {name: statistics.mean(one[name] for one in some) for name in some[0]}
        if mean["abut_far"] or mean["peer_far"]:
            raise UnlikeError(f"zoom {zoom}: pixels show ground that is not theirs, {mean}")
        beside = f"rio-tiler: {mean['peer_other']:.4f}; between both {mean['differ']:.4f}; never beyond the next pixel"
        what = f"z{zoom}, nearest: share of pixels that show the next source pixel (transforms are approximate)"
        rows.append(Row(what, mean["abut_other"], "<= 0.05", beside))
    for one in found["overviews"]:
        apart = abs(one["abut_mean"] - one["peer_mean"]) / one["peer_mean"] if one["both"] else 0
        if apart > 0.01 or one["only_one"] > 0.02:
            raise UnlikeError(f"zoom {one['zoom']}: {one}")
    return rows, found


def cpu(size: Size, out: Path, *, quick: bool) -> tuple[list[Row], Table]:
    """Compare CPU of tiles in a warm process with rio-tiler's, zoom by zoom."""
    jobs: dict[str, tuple[str, dict[str, Any]]] = {
        "Abut": ("abut", {}),
        "rio-tiler": ("rio_tiler", {"kept": False}),
        "files kept": ("rio_tiler", {"kept": True}),
    }
    taken: dict[str, list[Table]] = {name: [] for name in jobs}
    for _ in range(size.rounds):
        for name, (job, more) in jobs.items():
            taken[name].append(run(job, out, quick=quick, **more))
            print(f"  {name}: {statistics.mean(one['warm cpu'] for one in taken[name][-1]):.1f} ms CPU", flush=True)
    medians = {name: [_median(rounds) for rounds in zip(*tables, strict=True)] for name, tables in taken.items()}
    served = over_http(size, out)
    table: Table = []
    for number, zoom in enumerate(size.zooms):
        one, theirs, kept = (medians[name][number] for name in jobs)
        table.append(
            {
                "zoom": zoom,
                "tiles": int(one["tiles"]),
                "Abut": one["warm cpu"],
                "rio-tiler": theirs["warm cpu"],
                "files kept": kept["warm cpu"],
                "first sight": one["first cpu"],
                "rio-t. first": theirs["first cpu"],
                "abut serve": served[zoom],
            }
        )
    return cpu_rows(table), table


def cpu_rows(table: Table) -> list[Row]:
    """Return the lines about the CPU of tiles: of the finest zooms, and of all beside each other."""
    rows = []
    for one in table[-COMPARED:]:
        mine, what = one["Abut"], f"z{one['zoom']:.0f}: CPU of a warm tile (RGB, PNG)"
        rows += [
            Row(
                f"{what} / rio-tiler on COGs",
                mine / one["rio-tiler"],
                "<= 0.25",
                "files opened for each tile, as titiler",
            ),
            Row(
                f"{what} / rio-tiler, files kept open", mine / one["files kept"], SHOWN, "GDAL keeps decoded blocks too"
            ),
            Row(
                f"{what}, first sight / rio-tiler",
                one["first sight"] / one["rio-t. first"],
                SHOWN,
                "blocks are decoded",
            ),
            Row(
                f"{what}, `abut serve` over HTTP / rio-tiler",
                one["abut serve"] / one["rio-tiler"],
                SHOWN,
                "no HTTP there",
            ),
        ]
    costs = {f"z{one['zoom']:.0f}": one["Abut"] for one in table}
    told = f"{min(costs.values()):.1f} to {max(costs.values()):.1f} ms"
    spread = max(costs.values()) / min(costs.values())
    rows.append(Row(f"dearest / cheapest zoom of {', '.join(costs)}", spread, "<= 3", told))
    return rows


def formats(out: Path, *, quick: bool) -> tuple[list[Row], dict[str, dict[str, float]]]:
    """Tell the share of encoding in the CPU of a tile."""
    found = run("formats", out, quick=quick)
    rows = []
    for kind in KINDS:
        one = found[kind]
        told = f"{one['encode']:.1f} of {one['whole']:.1f} ms; {one['bytes'] / 1000:.0f} kB"
        rows.append(Row(f"{kind}: encoding / CPU of a warm tile", one["encode"] / one["whole"], SHOWN, told))
    return rows, found


def cold(size: Size, out: Path, *, quick: bool) -> tuple[list[Row], list[dict[str, float]]]:
    """Time the first tile of a process."""
    taken = [run("cold", out, quick=quick) for _ in range(max(size.rounds, 2))]
    one = _median(taken)
    told = f"second {one['second']:.3f} s"
    return [
        Row("first tile of a cold process, seconds", one["first"], "< 1", f"plans and decodes; {told}"),
        Row(
            "its start before that: interpreter, imports, archive, seconds",
            one["start"],
            SHOWN,
            "all parts of `abut serve`",
        ),
    ], taken


def many(size: Size, out: Path) -> tuple[list[Row], list[dict[str, float]]]:
    """Let clients ask at once."""
    found = loads(size, out)
    rows = []
    for name in LOADS:
        last = found[name][-1]
        target = "< 4" if name == FORMAT else SHOWN
        told = f"p50 {last.p50:.0f}, p95 {last.p95:.0f} ms; wrk and the server share the cores"
        rows.append(Row(f"{name}: p95 / p50 of {last.clients} clients", last.p95 / last.p50, target, told))
        best = max(found[name], key=lambda one: one.rate)
        rows.append(Row(f"{name}: answers a second, ceiling", best.rate, SHOWN, f"{best.clients} clients"))
    return rows, [{"what": name, **asdict(one)} for name, some in found.items() for one in some]


def questions(out: Path, *, quick: bool) -> tuple[list[Row], list[dict[str, Any]]]:
    """Compare other questions with reading the same by the library."""
    found = run("questions", out, quick=quick)
    rows = []
    for one in found:
        told = f"{one['service']:.3f} and {one['library']:.3f} s; equal answers"
        rows.append(Row(f"{one['what']}: service / library, time", one["service"] / one["library"], SHOWN, told))
    return rows, found


def memory(size: Size, out: Path, *, quick: bool) -> tuple[list[Row], dict[str, Any]]:
    """Watch the memory of a worker over many tiles."""
    found = run("memory", out, quick=quick, cache=CACHE)
    curve = [one["MB"] for one in found["curve"]]
    quarter, last = curve[len(curve) // 4], max(curve[len(curve) // 2 :])
    bound = found["started"] + CACHE / MIB + BESIDE
    what = f"memory of a worker over {size.many:,} tiles"
    cache = f"{CACHE // MIB} MB of decoded blocks"
    return [
        Row(
            f"{what}: most of the second half / after a quarter",
            last / quarter,
            "<= 1.15",
            f"{quarter:.0f}, {last:.0f} MB",
        ),
        Row(
            f"{what}: peak / bound",
            found["peak"] / bound,
            "<= 1",
            f"{found['peak']:.0f} of {found['started']:.0f} at the start + {cache} + {BESIDE} MB",
        ),
    ], found


def _median(rounds: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: statistics.median(one[name] for one in rounds) for name in rounds[0]}
