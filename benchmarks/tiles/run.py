"""`make bench-tiles`: map tiles beside rio-tiler on COGs of the same pixels, for many clients, and over many tiles."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.table import as_json, show, show_table
from benchmarks.tiles import figures
from benchmarks.tiles.load import MissingError, require_wrk
from benchmarks.tiles.make import make
from benchmarks.tiles.scene import FULL, QUICK

if TYPE_CHECKING:
    from benchmarks.table import Row


def main() -> None:
    """Run the benchmark and print its tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("bench-output/tiles"), help="data and results, 9 GB")
    parser.add_argument("--quick", action="store_true", help="bands of 60 m, few tiles: to see that it works")
    options = parser.parse_args()
    try:
        require_wrk()
    except MissingError as error:
        sys.exit(str(error))
    quick = options.quick
    size, out = (QUICK, options.out / "quick") if quick else (FULL, options.out / "full")
    out.mkdir(parents=True, exist_ok=True)
    made, start = make(size, out), time.perf_counter()
    rows, pixels = figures.alike(size, out, quick=quick)
    parts: dict[str, Any] = {"pixels": pixels}
    for name, (some, found) in {
        "cpu": figures.cpu(size, out, quick=quick),
        "formats": figures.formats(out, quick=quick),
        "cold": figures.cold(size, out, quick=quick),
        "questions": figures.questions(out, quick=quick),
        "loads": figures.many(size, out),
        "memory": figures.memory(size, out, quick=quick),
    }.items():
        rows += some
        parts[name] = found
    _show(rows, parts)
    parts |= {"quick": quick, "made_seconds": made, "seconds": time.perf_counter() - start, "rows": as_json(rows)}
    (out / "results.json").write_text(json.dumps(parts, indent=1))


def _show(rows: list[Row], parts: dict[str, Any]) -> None:
    show(rows)
    show_table("ms of CPU a tile (256 px, RGB, PNG), warm unless it says first", parts["cpu"])
    show_table("clients at once: answers a second, ms, bytes", parts["loads"])
    show_table("memory of a worker", parts["memory"]["curve"])


if __name__ == "__main__":
    main()
