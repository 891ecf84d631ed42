"""`make bench-workflows`: workflows from the archive beside the same from SAFEs, and beside what they may take."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from benchmarks.cubes.scene import MIDDLE
from benchmarks.table import as_json, show, show_table
from benchmarks.workflows import figures
from benchmarks.workflows.cases import COMPOSITE, NAMES, Given, cases
from benchmarks.workflows.make import make
from benchmarks.workflows.measure import medians, run_all
from benchmarks.workflows.scene import FULL, QUICK, RIM, Size, part

SIZES = {"full": FULL, "rim": RIM, "quick": QUICK}


def main() -> None:
    """Run the benchmark and print its tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("bench-output/workflows"), help="data and results, 15 GB")
    parser.add_argument(
        "--size",
        choices=SIZES,
        default="full",
        help="rim: neighbours see no farther than is read, made in a third of the time; quick: a corner of the tile",
    )
    parser.add_argument("--repeats", type=int, help="runs of each case; what was run before counts")
    parser.add_argument("--only", nargs="+", choices=(*NAMES, COMPOSITE), default=(*NAMES, COMPOSITE))
    options = parser.parse_args()
    size, out = SIZES[options.size], options.out / options.size
    out.mkdir(parents=True, exist_ok=True)
    made = make(size, out)
    report(given(size, out), options.only, options.repeats or size.rounds, out, made)


def given(size: Size, out: Path) -> Given:
    """Return what all cases have in common, of data that were made."""
    safes = tuple(str(path) for path in sorted((out / "safes").iterdir()))
    own = tuple(Path(safe).name.removesuffix(".SAFE") for safe in safes if f"_T{MIDDLE}_" in safe)
    return Given(str(out / "archive"), safes, own, size.core, part(size))


def report(what: Given, names: list[str], repeats: int, out: Path, made: dict[str, float]) -> None:
    """Run all cases, print the tables, and write them down."""
    wanted = list(cases(what, names))
    taken = medians(wanted, run_all(wanted, repeats, out / "runs.json"))
    rows, table = figures.memory(what, taken)
    rows = [*figures.ratios(what, taken, names), *figures.speeds(what, taken), *rows]
    show(rows)
    show_table("memory by ground, MB: the moment, reading it, computing beside it", table)
    print("\nresults, equal from the archive and from SAFEs:")
    for name, one in taken.items():
        print(f"  {one.digest[:16]}  {name}")
    results = {
        "made_seconds": made,
        "rows": as_json(rows),
        "memory": table,
        "taken": {name: asdict(one) for name, one in taken.items()},
    }
    (out / "results.json").write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
