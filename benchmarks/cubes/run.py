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
from benchmarks.table import as_json, show, show_table

if TYPE_CHECKING:
    from benchmarks.table import Row


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
        "rows": as_json(rows),
        "layouts": table,
        "growth": curve,
        "taken": {name: {job: asdict(taken) for job, taken in (whole[name] | beside[name]).items()} for name in whole},
    }
    (out / "results.json").write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
