"""`python -m benchmarks.service.run`: cold starts, replicas, and the main job on S3 beside local files."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from abut.testing import Scene, Swath, make_safe
from abut.tiling import tile
from benchmarks.run import TILES, product
from benchmarks.service import replicas, start, store
from benchmarks.table import SHOWN, Row, as_json, show, show_table
from benchmarks.tiles.make import make
from benchmarks.tiles.scene import FULL, QUICK

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.service.replicas import Rate
    from benchmarks.service.start import Start
    from benchmarks.service.store import Comparison


def main() -> None:
    """Run the benchmark and print its tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("bench-output/service"), help="data and results")
    parser.add_argument("--quick", action="store_true", help="little data, one start each: to see that it works")
    options = parser.parse_args()
    quick: bool = options.quick
    out = options.out.absolute() / ("quick" if quick else "full")
    size = QUICK if quick else FULL
    (scene := out / "tiles").mkdir(parents=True, exist_ok=True)
    make(size, scene)
    archive = str(scene / "archive")
    start.start(archive, ())  # what is on the disk is in memory from now on, as it is once an image was pulled
    starts = {
        name: [start.start(archive, parts) for _ in range(1 if quick else 5)] for name, parts in start.PARTS.items()
    }
    packages = start.imports()
    show(begun := start_rows(starts))
    rates = replicas.rates(size, scene, seconds=2 if quick else 20)
    show(served := rate_rows(rates))
    shutil.rmtree(out / "store", ignore_errors=True)
    compared = store.compare(safes(out / "safe", quick=quick), out / "store")
    show(stored := store_rows(compared))
    rows = [*begun, *served, *stored]
    show_table("milliseconds of imports, by package", [{"package": name, "ms": ms} for name, ms in _most(packages)])
    found: dict[str, Any] = {
        "cores": os.cpu_count(),
        "starts": {name: [asdict(one) for one in some] for name, some in starts.items()},
        "imports": packages,
        "rates": [asdict(one) for one in rates],
        "store": asdict(compared),
        "rows": as_json(rows),
    }
    (out / "results.json").write_text(json.dumps(found, indent=1))


def safes(folder: Path, *, quick: bool) -> list[Path]:
    """Make the products of the main job, once: full ones, or narrow strips of old ones."""
    if not quick:
        return [product(name, folder) for name in TILES]
    west, east = tile("32TMT"), tile("32TNT")
    shared = west.footprint.intersection(east.footprint)
    assert shared is not None  # noqa: S101 - they are neighbours
    swath = Swath(zone=west.zone, easting=shared.left + 5_000, northing=shared.bottom + 50_000, width=4_000)
    for one in (west, east):
        if not list(folder.glob(f"*_T{one.id}_*.SAFE")):
            make_safe(Scene(swath=swath, baseline="02.04"), one.id, folder)
    return sorted(folder.glob("*.SAFE"))


def start_rows(starts: dict[str, list[Start]]) -> list[Row]:
    """Return the figures of cold starts."""
    made = []
    for name, some in starts.items():
        told = (
            f"CPU {statistics.median(one.cpu for one in some):.1f} s, {some[0].memory:.0f} MB; from exec to /readyz 200"
        )
        made.append(Row(f"cold start, {name}: s", statistics.median(one.seconds for one in some), "< 5", told))
    return made


def rate_rows(rates: Sequence[Rate]) -> list[Row]:
    """Return the figures of replicas."""
    one, two = rates
    told = (
        f"{one.rate:.0f} and {two.rate:.0f} tiles/s, p95 {one.p95:.0f} and {two.p95:.0f} ms; "
        f"a core each of {os.cpu_count()}, wrk beside them"
    )
    return [
        Row("tiles/s of one replica / of two", one.rate / two.rate, "<= 0.556", told),
        Row("tiles/s of two replicas / of one", two.rate / one.rate, SHOWN, "the target is >= 1.8"),
    ]


def store_rows(found: Comparison) -> list[Row]:
    """Return the figures of the main job."""
    local, s3 = found.local, found.s3
    told = f"CPU {local.cpu:.1f} s on files, {s3.cpu:.1f} s on S3, and {found.server:.1f} s of the S3 server"
    return [
        Row("main job on S3, CPU / on files", s3.cpu / local.cpu, "<= 1.3", told),
        Row("the S3 server's CPU / that of the job on files", found.server / local.cpu, SHOWN, "SeaweedFS"),
        Row(
            "main job on S3, time less the server's CPU / on files",
            (s3.wall - found.server) / local.wall,
            "<= 1.3",
            f"{local.wall:.1f} s on files, {s3.wall:.1f} s on S3; the server shares the cores",
        ),
    ]


def _most(packages: dict[str, float]) -> list[tuple[str, float]]:
    return list(packages.items())[:20]


if __name__ == "__main__":
    main()
