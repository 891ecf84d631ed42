"""`make bench-cubes`: cubes beside the tile alone, hand-written reading, odc-stac, JP2s and other layouts."""

from __future__ import annotations

import argparse
import json
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.cubes import figures
from benchmarks.cubes.figures import Place
from benchmarks.cubes.make import make
from benchmarks.cubes.scene import FULL, QUICK
from benchmarks.cubes.serve import far_archive, far_files

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.cubes.figures import Row


def main() -> None:
    """Run the benchmark and print its tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("bench-output/cubes"), help="data and results, 15 GB")
    parser.add_argument("--quick", action="store_true", help="bands of 60 m, few rounds: to see that it works")
    options = parser.parse_args()
    size, out = (QUICK, options.out / "quick") if options.quick else (FULL, options.out / "full")
    out.mkdir(parents=True, exist_ok=True)
    made = make(size, out)
    archive, keys = out / "archive", out / "keys.json"
    figures.plan_by_hand(str(archive), size.bands, keys)
    rows: list[Row] = []
    near = Place("local", str(archive), str(out))
    with ExitStack() as stack:
        servers = stack.enter_context(far_archive(archive)), stack.enter_context(far_files(out))
        far = Place("HTTP + 30 ms", *servers, far=True)
        beside = {}
        whole = {}
        for place in (near, far):
            more, whole[place.name] = figures.windows(size, place, keys)
            other, beside[place.name] = figures.counterparts(size, place)
            rows += [*more, *other, *figures.across(size, place)]
        rows += figures.time_series(size, near, far)
    rows += figures.planning(size, out / "month")
    grown, curve = figures.growth(size, near, out)
    rows += grown
    table = figures.layouts(beside[near.name], beside[far.name])
    show(rows)
    show_table(f"tile + 10 km, {', '.join(size.few)}, on three layouts (HTTP + 30 ms: requests, MB)", table)
    show_table("cubes written lazily to Zarr", curve)
    results = {
        "quick": options.quick,
        "made_seconds": made,
        "rows": [{**asdict(row), "verdict": row.verdict} for row in rows],
        "layouts": table,
        "growth": curve,
        "taken": {name: {job: asdict(taken) for job, taken in (whole[name] | beside[name]).items()} for name in whole},
    }
    (out / "results.json").write_text(json.dumps(results, indent=1))


def show(rows: Sequence[Row]) -> None:
    """Print the figures, their targets and what bounds them."""
    width = max(len(row.what) for row in rows)
    print(f"\n{'what':{width}}  {'figure':>8}  {'target':>8}  {'':6}  what bounds it")
    for row in rows:
        print(f"{row.what:{width}}  {row.figure:8.3f}  {row.target:>8}  {row.verdict:6}  {row.bound}")


def show_table(title: str, table: Sequence[Mapping[str, str | float]]) -> None:
    """Print a table whose rows have the same columns."""
    print(f"\n{title}")
    print("  ".join(f"{name:>14}" for name in table[0]))
    for row in table:
        print("  ".join(f"{value:>14}" if isinstance(value, str | int) else f"{value:14.2f}" for value in row.values()))


if __name__ == "__main__":
    main()
