"""The modelled part of the report: rows, sweeps and break-even for Europe, as tables and plots."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from benchmarks.continental import plots
from benchmarks.continental.extrapolate import (
    Fleet,
    Prices,
    break_even,
    full,
    full_safe,
    provider_seconds,
    run,
    safe_megabytes,
    tile_months,
)
from benchmarks.continental.fit import chosen, fit, key_of
from benchmarks.continental.results import BANDS_OF_TEN

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from benchmarks.continental.extrapolate import BreakEven, Modelled
    from benchmarks.continental.model import Demand
    from benchmarks.continental.results import Result

NODES: Final = (1, 10, 25, 50, 100, 200, 400)
NICS: Final = (625.0, 1_250.0, 3_125.0)
PREFIXES: Final = (1, 10, 100)
USERS: Final = (1, 2, 4, 8, 16)
STATED: Final = 100
"""Machines of the rows, and up to which throughput has to grow with them."""
_LABELS: Final = {
    ("archive", "bands"): "archive, needed bands",
    ("archive", "ndvi"): "archive, monthly NDVI",
    ("archive", "nbr"): "archive, monthly NBR (20 m)",
    ("archive", "all"): "archive, all bands",
    ("safe", "bands"): "SAFE in the region, needed bands",
    ("safe", "ndvi"): "SAFE in the region, monthly NDVI",
    ("safe", "nbr"): "SAFE in the region, monthly NBR (20 m)",
}


@dataclass(frozen=True, slots=True)
class Continent:
    """All that is modelled."""

    needs: Mapping[str, Demand]
    """What a product of a tile of Europe needs, by row."""
    sweeps: Mapping[str, Sequence[Modelled]]
    """By row, over `NODES`."""
    lines: Mapping[str, Sequence[Modelled]]
    """The needed bands with other interfaces and prefixes, over `NODES`."""
    users: Sequence[Modelled]
    """The needed bands on `STATED` machines, over `USERS`."""
    wan: Mapping[str, float]
    """Seconds of downloading SAFEs from a provider, without and with a month's share."""
    months: Sequence[float]
    """Products of each tile in a month."""
    paid: tuple[BreakEven, BreakEven] | None
    """CPU and dollars."""

    @property
    def efficiency(self) -> Sequence[tuple[int, float]]:
        """Return throughput beside that of the fewest machines, times theirs / these, of the needed bands."""
        found = self.sweeps.get(_LABELS["archive", "bands"], ())
        return [(one.fleet.nodes, found[0].wall / one.wall * found[0].fleet.nodes / one.fleet.nodes) for one in found]


def continent(runs: Sequence[Result], months: Sequence[float] | None = None) -> Continent:
    """Return what the model says of five months of Europe, as far as runs allow it.

    Parameters
    ----------
    runs : sequence of Result
        What was measured.
    months : sequence of float, optional
        Products of each tile in a month. Default: those of two satellites over Europe.
    """
    needs = _needs(runs)
    months = tile_months(2) if months is None else months
    sweeps = {name: [run(need, Fleet(nodes=count), months) for count in NODES] for name, need in needs.items()}
    main = needs.get(_LABELS["archive", "bands"])
    lines: dict[str, Sequence[Modelled]] = {}
    users: list[Modelled] = []
    if main is not None:
        for nic in NICS:
            lines[f"{nic / 125:g} Gbit/s, 10 prefixes"] = [
                run(main, Fleet(nodes=count, nic=nic), months) for count in NODES
            ]
        for prefixes in PREFIXES:
            if prefixes != Fleet(nodes=1).prefixes:
                lines[f"10 Gbit/s, {prefixes} prefixes"] = [
                    run(main, Fleet(nodes=count, prefixes=prefixes), months) for count in NODES
                ]
        users = [run(main, Fleet(nodes=STATED), months, users=count) for count in USERS]
    megabytes = safe_megabytes(months)
    safe = needs.get(_LABELS["safe", "bands"])
    return Continent(
        needs,
        sweeps,
        lines,
        users,
        {"without": provider_seconds(megabytes, month=1e12), "with": provider_seconds(megabytes)},
        months,
        break_even(main, safe) if main is not None and safe is not None else None,
    )


def _needs(runs: Sequence[Result]) -> dict[str, Demand]:
    """Return what a product of a tile of Europe needs, by row; of runs that write beside the workers, if any."""
    fitted, used = fit(runs), chosen(runs)
    found = {}
    for (side, kind), label in _LABELS.items():
        for results in ("folder", "bucket"):
            key = (side, kind, results)
            some = [one for one in used.get(key, ()) if key_of(one) == key and one.pixels]
            if not some:
                continue
            pixels = sum(one.pixels or 0 for one in some) / sum(one.products for one in some)
            grown = (full if side == "archive" else full_safe)(fitted[key], pixels, BANDS_OF_TEN[kind])
            found[label] = replace(grown, poll=0.0)
            break
    return found


def table(found: Continent) -> list[str]:
    """Return the rows of the report: SAFEs over a WAN with its quota and in the region, archive all, archive needed."""
    moved = safe_megabytes(found.months)
    what = f"five months of {len(found.months):,} tiles, {5 * sum(found.months):,.0f} products"
    header = (what, "machines", "hours", "TB moved", "million requests", "CPU hours of workers", "dollars", "")
    lines = [f"| {' | '.join(header)} |", "|---" * len(header) + "|"]
    quota = {"without": "no monthly share", "with": "6 TB a month, then 1 MB/s"}
    lines += [
        f"| SAFE over a WAN, 4 x 20 MB/s, {quota[name]} (informative) | 1 | {seconds / 3600:,.0f} "
        f"({seconds / 86400:,.1f} days) | {moved / 1e6:,.0f} | | | {seconds / 3600 * Prices().node:,.0f} | modelled |"
        for name, seconds in found.wan.items()
    ]
    for name, sweep in found.sweeps.items():
        one = next(some for some in sweep if some.fleet.nodes == STATED)
        lines.append(
            f"| {name} | {STATED} | {one.wall / 3600:,.2f} | {one.moved / 1e6:,.1f} | {one.requests / 1e6:,.1f} | "
            f"{one.worker / 3600:,.0f} | {one.dollars:,.0f} | modelled |"
        )
    return lines


def draw(found: Continent, folder: Path) -> list[str]:
    """Write the plots; return their names."""
    names = []
    if found.lines:
        plots.lines(
            folder / "nodes.svg",
            {name: [(one.fleet.nodes, one.wall / 3600) for one in some] for name, some in found.sweeps.items()},
            "machines of 16 cores (modelled)",
            "hours",
            log=True,
        )
        plots.lines(
            folder / "saturation.svg",
            {
                name: [(one.fleet.nodes, 5 * len(found.months) / one.wall * 3600) for one in some]
                for name, some in found.lines.items()
            },
            "machines of 16 cores (modelled)",
            "cubes an hour, needed bands",
            log=True,
        )
        names += ["nodes.svg", "saturation.svg"]
    if found.paid:
        reads = [1, 2, 5, 10, 20, 50, 100, 200, 500]
        shown = {}
        for one, unit in zip(found.paid, ("CPU", "dollars"), strict=True):
            shown[f"SAFE, {unit}"] = [(count, count * one.safe / one.ingest) for count in reads]
            shown[f"archive, {unit}"] = [(count, 1 + count * one.archive / one.ingest) for count in reads]
        plots.lines(
            folder / "break-even.svg",
            shown,
            "reads of the same products (modelled)",
            "cost / that of ingest",
            log=True,
            dashed=["SAFE, dollars", "archive, dollars"],
        )
        names.append("break-even.svg")
    return names
