"""`docs/continental.md` and its plots, written from the result files alone, with what misses its target."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from benchmarks.continental import continent as modelled
from benchmarks.continental import plots
from benchmarks.continental.extrapolate import FULL_PIXELS
from benchmarks.continental.fit import RULE, TARGET, errors, validate
from benchmarks.continental.judged import (
    busiest,
    by_workers,
    cpu_of_gigabyte,
    decoding,
    failed,
    fairness,
    pairs,
    rows,
    throughput,
    waits,
)
from benchmarks.continental.results import BANDS_OF_TEN, load

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from benchmarks.continental.continent import Continent
    from benchmarks.continental.fit import Prediction
    from benchmarks.continental.results import Result
    from benchmarks.table import Row

_COMPONENTS: Final = ("store", "network", "scheduler", "service", "worker", "client")
_INTRODUCTION: Final = """\
# Five months of Europe at once

Written by `make bench-continental` from its result files; do not edit. Everything under **Measured** ran on the machine
named there, at the scale named there; everything under **Modelled** is arithmetic on it, of a simulation whose errors
are shown. Seconds are those of that machine; ratios are of one run each. CPU is user and system time of all processes
of a component, the network's relay (which delays requests and limits bytes as a profile says) apart. *SAFE* is the
counterpart: zips of whole products from a web server, up to four at once, and the same cubes computed of them with
rasterio as soon as they are there.
"""

_ASSUMED: Final = """\
Machines have 16 cores with a worker each and, where nothing else is said, 10 Gbit/s. A request waits 30 ms, a
connection carries 90 MB/s, the store answers 5,500 requests a second of each of ten prefixes. Products are those of two
satellites by the latitude of their tile; each covers 0.68 of it, and a real SAFE of a full tile has 0.6 GB. Prices are
list prices of 2024 and assumptions (`Prices` in `benchmarks/continental/extrapolate.py`): 0.68 dollars for a machine
and hour, 0.0004 for 1,000 requests. Cubes are written beside the workers where runs did so. A worker reads, then
computes, as was fitted.
"""


def write_report(out: Path, docs: Path, *, months: Sequence[float] | None = None) -> None:
    """Write the report and its plots.

    Parameters
    ----------
    out : Path
        Where the runs left their results (``runs/*.json``), and ``decode.json`` if decoding was measured.
    docs : Path
        Folder in which ``continental.md`` and the folder ``continental`` are written.
    months : sequence of float, optional
        Products of each tile in a month, for the modelled part. Default: those of two satellites over Europe.

    Raises
    ------
    FileNotFoundError
        If there are no results.
    """
    runs = load(out)
    if not runs:
        raise FileNotFoundError(f"{out / 'runs'} has no results")
    predictions, decode = validate(runs), decoding(out)
    europe = modelled.continent(runs, months)
    folder = docs / "continental"
    folder.mkdir(parents=True, exist_ok=True)
    drawn = [*_draw(runs, predictions, folder), *modelled.draw(europe, folder)]
    found = [*rows(runs, predictions, decode), *_modelled_rows(europe)]
    text = [
        _INTRODUCTION,
        *_verdicts(found),
        *_machine(runs),
        *_compared(runs),
        *_users(runs),
        *_components(runs, decode),
        *_model(predictions),
        *_continent(europe, _seen(runs)),
        *_pictures(drawn),
        *_claims(runs, europe),
    ]
    (docs / "continental.md").write_text("\n".join(text).rstrip() + "\n")


def _verdicts(found: Sequence[Row]) -> list[str]:
    missed = [row for row in found if row.verdict == "missed"]
    lines = ["## Targets", "", "| what | figure | target | | most used |", "|---|---|---|---|---|"]
    for row in found:
        verdict = f"**{row.verdict}**" if row.verdict == "missed" else row.verdict
        lines.append(f"| {row.what} | {row.figure:.3g} | {row.target} | {verdict} | {row.bound} |")
    lines += ["", "### What speaks against it", ""]
    lines += [f"- {row.what}: {row.figure:.3g}, target {row.target}; {row.bound}." for row in missed]
    return [*lines, *([] if missed else ["No figure misses its target."]), ""]


def _modelled_rows(europe: Continent) -> list[Row]:
    from benchmarks.table import SHOWN, Row  # noqa: PLC0415 - only here

    found = [
        Row(
            f"modelled: throughput of {nodes} machines / {nodes} x that of one",
            share,
            ">= 0.85" if nodes <= modelled.STATED else SHOWN,
            "needed bands",
        )
        for nodes, share in europe.efficiency[1:]
    ]
    for unit, one in zip(("CPU", "dollars, PUTs and GETs"), europe.paid or (), strict=False):
        found.append(
            Row(f"modelled: reads after which ingest has paid ({unit})", one.reads, SHOWN, "keeping not counted")
        )
    return found


def _machine(runs: Sequence[Result]) -> list[str]:
    about = next((run.machine for run in runs if run.machine), {})
    told = ", ".join(f"{name}: {value}" for name, value in about.items()) or f"{runs[0].cores} cores"
    return ["## Measured", "", f"Machine: {told}. {len(runs)} runs.", ""]


def _table(header: Sequence[str], lines: Iterable[Sequence[Any]]) -> list[str]:
    body = ["| " + " | ".join(map(_cell, line)) + " |" for line in lines]
    return ["| " + " | ".join(header) + " |", "|" + "---|" * len(header), *body, ""] if body else []


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return str(value)


def _compared(runs: Sequence[Result]) -> list[str]:
    lines = []
    for run in runs:
        if run.group in ("network", "safe"):
            figures = [run.wall, run.sent / 1e6, run.received / 1e6, run.requests, run.server_cpu, run.cpu("network")]
            lines.append([run.kind, run.profile, run.side, run.products, *figures])
    lines.sort(key=lambda line: (line[1], line[0], line[2]))
    header = ["what", "network", "from", "products", "s", "MB to clients", "MB from clients", "requests"]
    made = _table([*header, "CPU s of servers and workers", "CPU s of the relay"], lines)
    for pair in pairs(runs):
        equal = (
            f"{pair.equal} cubes are equal byte for byte"
            if pair.equal > 0
            else "**cubes differ, or none was compared**"
        )
        made.append(f"- {pair.archive.kind}, {pair.archive.profile}: {equal}.")
    return ["### The same cubes from the archive and from SAFEs", "", *made, ""]


def _users(runs: Sequence[Result]) -> list[str]:
    lines = []
    for run in runs:
        if run.side == "archive" and run.group != "network":
            name, share = busiest(run)
            line = [run.group, run.kind, len(run.users), run.parts, run.workers, run.wall, throughput(run), *waits(run)]
            lines.append([*line, fairness(run), failed(run), f"{name} {100 * share:.0f} %"])
    header = ["runs", "what", "users", "cubes", "workers", "s", "cubes a minute", "p50 s", "p95 s", "Jain", "failed"]
    told = "Users ask at the same moment; p50 and p95 are of the seconds until each had all of its cubes."
    return ["### Users, workers, sizes", "", told, "", *_table([*header, "most used"], lines)]


def _components(runs: Sequence[Result], decode: float | None) -> list[str]:
    lines = []
    for run in runs:
        spent = [run.cpu(name) for name in _COMPONENTS]
        peak = max((one.peak for one in run.use.values()), default=0.0)
        lines.append([run.name, *spent, peak, cpu_of_gigabyte(run) or "not known"])
    header = ["run", *(f"{name} CPU s" for name in _COMPONENTS), "most memory of one, MB", "CPU s a GB delivered"]
    told = f"Plainly decoding a GB of the archive takes {decode:.3g} s of CPU." if decode else ""
    return ["### Each component", "", told or "Plain decoding was not measured.", "", *_table(header, lines)]


def _model(predictions: Sequence[Prediction]) -> list[str]:
    lines = []
    for one in predictions:
        missed = " **missed**" if not one.fitted and abs(one.error) > TARGET else ""
        use = "fitted" if one.fitted else "predicted"
        lines.append([one.run.name, one.measured, one.predicted, f"{100 * one.error:+.1f} %{missed}", use])
    found = errors(predictions)
    told = "There is no run that the model was not fitted on, so nothing is validated."
    if found:
        count = sum(not one.fitted for one in predictions)
        told = f"Of {count} predicted runs the median error is **{found[0]:.1%}**, the largest **{found[1]:.1%}**"
        told += f" (target {TARGET:.0%})."
    return [
        "### How well the model predicts runs it has not seen",
        "",
        RULE + " Seconds of wall clock.",
        "",
        *_table(["run", "measured", "model", "error", ""], lines),
        told,
        "",
    ]


def _seen(runs: Sequence[Result]) -> float | None:
    """Return which share of its tile a product of the runs saw; None if it is not known."""
    found = next((run.pixels / run.products for run in runs if run.kind == "bands" and run.pixels), None)
    return found / BANDS_OF_TEN["bands"] / FULL_PIXELS if found else None


def _continent(europe: Continent, seen: float | None) -> list[str]:
    hours = [[name, *(one.wall / 3600 for one in some)] for name, some in {**europe.sweeps, **europe.lines}.items()]
    users = [[one.users, one.wall / 3600, one.moved / 1e6, one.dollars] for one in europe.users]
    planning = [[name, some[0].planning / 60] for name, some in europe.sweeps.items() if some[0].planning]
    warning = (
        f"**Products of these runs saw {seen or 0:.1%} of a tile: rows of this section are far too high, not figures.**"
    )
    return [
        "## Modelled",
        "",
        _ASSUMED,
        *([warning, ""] if europe.sweeps and (seen or 0) < 0.25 else []),
        *modelled.table(europe),
        "",
        *([] if europe.sweeps else ["Nothing more is modelled: the files do not tell how many pixels were read.", ""]),
        *_table(["hours, by machines", *map(str, modelled.NODES)], hours),
        *_table(["planning, before the first cube of a user", "minutes"], planning),
        *_table([f"users, each a month, on {modelled.STATED} machines", "hours", "TB moved", "dollars"], users),
    ]


def _pictures(names: Sequence[str]) -> list[str]:
    return ["## Plots", "", *(f"![{name.removesuffix('.svg')}](continental/{name})\n" for name in names)]


def _claims(runs: Sequence[Result], europe: Continent) -> list[str]:
    seen = _seen(runs)
    share = f"{seen:.1%} of a tile" if seen else "an unknown part of a tile"
    lines = [
        "## Not claimed",
        "",
        f"- Products of these runs saw {share}; what does not grow with pixels (metadata of a cube) is therefore",
        "  counted too often in the modelled rows where that is little, for the archive and for SAFEs.",
        "- All components shared the cores of one machine, so measured throughput is that of all together.",
        "- A store in a region has latencies that scatter; the relay's does not. Ground and its compression are made.",
        "- Modelled machines never fail, and a virtual core of a cloud is taken to be as fast as one of this machine.",
    ]
    if europe.paid and not europe.paid[1].reads < 1000:
        lines.append(
            "- In dollars ingest does not pay by cheaper reads alone: PUTs cost more than a thousand reads save."
        )
    return lines


def _draw(runs: Sequence[Result], predictions: Sequence[Prediction], folder: Path) -> list[str]:
    both = [run for run in runs if run.group in ("network", "safe")]
    drawn = {}
    if both:
        names = [f"{run.side}, {run.kind}, {run.profile}" for run in both]
        for file, label, values in (
            ("wall.svg", "seconds", [run.wall for run in both]),
            ("bytes.svg", "MB to clients", [run.sent / 1e6 for run in both]),
        ):
            plots.bars(folder / file, names, {label: values}, label)
            drawn[file] = True
        parts: Mapping[str, Sequence[float]] = {name: [run.cpu(name) for run in both] for name in _COMPONENTS}
        plots.bars(folder / "cpu.svg", names, parts, "CPU seconds")
        drawn["cpu.svg"] = True
    scaled = {
        "users": sorted((len(run.users), throughput(run)) for run in runs if run.group == "users"),
        "workers": [(run.workers, throughput(run)) for run in by_workers(runs)],
    }
    shown = {f"by {group}": points for group, points in scaled.items() if len(points) > 1}
    if shown:
        first = next(iter(scaled["workers"]), None)
        ideal = {"linear in workers": [(x, first[1] / first[0] * x) for x, _ in scaled["workers"]]} if first else {}
        lines = {**shown, **{name: points for name, points in ideal.items() if len(points) > 1}}
        plots.lines(folder / "scaling.svg", lines, "users, workers", "cubes a minute", dashed=["linear in workers"])
        drawn["scaling.svg"] = True
    found = [one for one in predictions if not one.fitted]
    if found:
        plots.bars(
            folder / "model.svg",
            [one.run.name.removesuffix("-region") for one in found],
            {"error": [100 * abs(one.error) for one in found]},
            "error of the model, % of the wall clock",
        )
        drawn["model.svg"] = True
    return list(drawn)
