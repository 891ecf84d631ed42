"""`make bench-catalogue`: the STAC API on SQLite, on pgstac, and stac-fastapi-pgstac as it comes."""

from __future__ import annotations

import argparse
import json
import math
import random
import shutil
import statistics
import threading
import time
from contextlib import ExitStack
from datetime import timedelta
from itertools import batched, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks.catalogue import servers
from benchmarks.catalogue.items import FIRST, MONTHS, SEED, europe, items
from benchmarks.catalogue.load import Figures, Request, Server, compare, crowd, pages
from benchmarks.measure import memory_of
from catalog.collection import make_collection
from catalog.opening import open_catalogue
from tests.postgres import administer

if TYPE_CHECKING:
    from collections.abc import Sequence

COLLECTION: Final = "sentinel-2-l1c"


def main() -> None:
    """Run the benchmark and print its tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=300_000, help="items in each catalogue")
    parser.add_argument("--times", type=int, default=60, help="requests of each kind to each server")
    parser.add_argument("--seconds", type=float, default=15, help="length of the runs with many clients")
    parser.add_argument("--out", type=Path, default=Path("bench-output/catalogue"), help="catalogues and results")
    options = parser.parse_args()
    shutil.rmtree(options.out, ignore_errors=True)
    options.out.mkdir(parents=True)
    with servers.postgres() as running, ExitStack() as stack:
        administer(running, "CREATE DATABASE {}", servers.DATABASE)
        url = running.url(servers.DATABASE, password=False)
        archives = {
            "SQLite": servers.archive(options.out / "sqlite", "catalog.sqlite"),
            "pgstac": servers.archive(options.out / "pgstac", url),
        }
        catalogues = {"SQLite": str(options.out / "sqlite" / "catalog.sqlite"), "pgstac": url}
        results: dict[str, Any] = {"items": options.items, "load": load(catalogues, options.items)}
        servers.analyse(url)
        measured = [
            stack.enter_context(servers.abut("SQLite", archives["SQLite"])),
            stack.enter_context(servers.abut("pgstac", archives["pgstac"], running.process)),
            stack.enter_context(servers.stock("stock pgstac", running, running.process)),
        ]
        results["requests"] = latencies(measured, options)
        results["paging"] = paging(measured)
        results["crowd"] = [crowded(server, catalogues[server.name], options) for server in measured[:2]]
        results["memory_mb"] = {server.name: round(memory_of(list(server.processes())[:1])) for server in measured}
        print(f"\nmemory of the servers, without the database's, in MB: {results['memory_mb']}")
    (options.out / "results.json").write_text(json.dumps(results, indent=1))


def load(catalogues: dict[str, str], count: int) -> dict[str, float]:
    """Load the same items into all catalogues; return items a second, the making of the items left out."""
    spent = dict.fromkeys(catalogues, 0.0)
    with ExitStack() as stack:
        opened = {name: stack.enter_context(open_catalogue(url)) for name, url in catalogues.items()}
        for catalogue in opened.values():
            catalogue.put_collection(make_collection().to_dict(include_self_link=False))
        for batch in batched(items(count), 10_000):
            for name, catalogue in opened.items():
                spent[name] += _upsert(catalogue, batch)
    rates = {name: count / seconds for name, seconds in spent.items()}
    for name, rate in rates.items():
        print(f"loaded {count} items into {name}: {rate:.0f} a second", flush=True)
    return rates


def _upsert(catalogue: Any, batch: Sequence[dict[str, Any]]) -> float:
    start = time.perf_counter()
    catalogue.upsert_many(batch)
    return time.perf_counter() - start


def requests(count: int) -> list[list[Request]]:
    """Return the kinds of requests to `count` items, each with variants for other places and times."""
    chance = random.Random(SEED)  # noqa: S311 - reproducible, not secret
    tiles = [place.id for place in europe(2_484)]
    kinds: dict[str, list[Request]] = {}

    def add(name: str, path: str, body: dict[str, Any] | None = None) -> None:
        kinds.setdefault(name, []).append(Request(name, path, body))

    for _ in range(40):
        west, south = round(chance.uniform(-8, 20), 2), round(chance.uniform(38, 58), 2)
        box = [west, south, west + 1, south + 1]
        bbox = ",".join(map(str, box))
        month = FIRST.month + chance.randrange(MONTHS - 1)
        year, month = FIRST.year + (month - 1) // 12, (month - 1) % 12 + 1
        period = f"{year}-{month:02d}-01T00:00:00Z/{year}-{month:02d}-28T23:59:59Z"
        cloudless = {"op": "<", "args": [{"property": "eo:cloud_cover"}, 20]}
        tile = chance.choice(tiles)
        one = {"op": "=", "args": [{"property": "grid:code"}, f"MGRS-{tile}"]}
        half = {"op": "<", "args": [{"property": "eo:cloud_cover"}, 50]}
        add(
            "bbox + month + cloud < 20, limit 10",
            "/search",
            {"collections": [COLLECTION], "bbox": box, "datetime": period, "filter": cloudless, "limit": 10},
        )
        add(
            "bbox + 2 years + cloud < 50, by cloud, limit 100",
            "/search",
            {
                "collections": [COLLECTION],
                "bbox": box,
                "filter": half,
                "sortby": [{"field": "properties.eo:cloud_cover", "direction": "asc"}],
                "limit": 100,
            },
        )
        add(
            "tile + cloud < 50, limit 100",
            "/search",
            {"collections": [COLLECTION], "filter": {"op": "and", "args": [one, half]}, "limit": 100},
        )
        add("bbox, latest 10 (GET)", f"/search?collections={COLLECTION}&bbox={bbox}&limit=10")
        add("bbox + month, no collection (GET)", f"/search?bbox={bbox}&datetime={period}&limit=10")
        add(
            "France, one month, 4 fields, limit 500",
            "/search",
            {
                "collections": [COLLECTION],
                "bbox": [-4.5, 42.5, 7.5, 50.5],
                "datetime": period,
                "fields": {"include": ["id", "properties.datetime", "properties.eo:cloud_cover", "geometry"]},
                "limit": 500,
            },
        )
        add(
            "France, one month, limit 250",
            "/search",
            {"collections": [COLLECTION], "bbox": [-4.5, 42.5, 7.5, 50.5], "datetime": period, "limit": 250},
        )
    found = [item["id"] for item in islice(items(count), 2_000)]
    for _ in range(40):
        add("one item (GET)", f"/collections/{COLLECTION}/items/{chance.choice(found)}")
        add("5 ids", "/search", {"ids": chance.sample(found, 5)})
    add("collections (GET)", "/collections")
    return list(kinds.values())


def latencies(measured: Sequence[Server], options: argparse.Namespace) -> list[dict[str, Any]]:
    """Ask everything of every server; print p50, p95 and CPU."""
    rows = []
    print(
        f"\np50 / p95 / cold / CPU in ms: {' | '.join(server.name for server in measured)} | p50 as a share of pgstac's"
    )
    for kind in requests(options.items):
        figures = compare(measured, kind[0], options.times, kind)
        cells = [f"{f.p50:.1f} / {f.p95:.1f} / {1000 * f.cold:.1f} / {f.cpu_ms:.1f}" for f in figures]
        shares = ", ".join(f"1/{figure.p50 / figures[0].p50:.1f}" for figure in figures[1:])
        print(f"{kind[0].name:50} {figures[0].items:4d} items  {' | '.join(cells)} | {shares}", flush=True)
        rows.append({"request": kind[0].name, **{s.name: _row(f) for s, f in zip(measured, figures, strict=True)}})
    return rows


def _row(figures: Figures) -> dict[str, float]:
    cold = 1000 * figures.cold
    row = {"p50": figures.p50, "p95": figures.p95, "cold": cold, "cpu": figures.cpu_ms, "items": figures.items}
    return {name: round(value, 2) for name, value in row.items()}


def paging(measured: Sequence[Server]) -> dict[str, dict[str, float]]:
    """Follow all pages of a long search; a page far in must cost what one at the start does."""
    found = {}
    path = f"/search?collections={COLLECTION}&bbox=-4.5,42.5,7.5,50.5&limit=200"
    for server in measured[:2]:
        seconds = pages(server, path)[1:-1] or [math.nan]
        third = max(1, len(seconds) // 3)
        first, last = (1000 * statistics.median(part) for part in (seconds[:third], seconds[-third:]))
        found[server.name] = {"pages": len(seconds) + 2, "first_third_ms": first, "last_third_ms": last}
        print(
            f"paging, {server.name}: {len(seconds) + 2} pages of 200; median {first:.1f} ms, at the end {last:.1f} ms"
        )
    return found


def crowded(server: Server, catalogue: str, options: argparse.Namespace) -> dict[str, Any]:
    """Let 20 clients read while another process' kind of writer registers items; count what is lost."""
    kinds = {kind[0].name: kind for kind in requests(options.items)}
    names = ["bbox + month + cloud < 20, limit 10", "bbox, latest 10 (GET)", "one item (GET)", "5 ids"]
    mix = [request for name in names for request in kinds[name][:10]]
    written: list[str] = []
    failures: list[str] = []
    done = threading.Event()

    def write() -> None:
        chosen = items(options.items + 100_000)
        with open_catalogue(catalogue) as index:
            for number, item in enumerate(chosen):
                if done.is_set():
                    return
                item["id"] = f"{item['id']}_{number}"
                start = FIRST + timedelta(seconds=number)  # or it would be a version of the product it was made from
                item["properties"]["abut:datastrip_start"] = start.isoformat()
                try:
                    index.upsert_many([item])
                    written.append(item["id"])
                except Exception as error:  # noqa: BLE001 - counted, and shown
                    failures.append(repr(error))
                time.sleep(0.02)

    writer = threading.Thread(target=write)
    writer.start()
    seconds, errors = crowd(server, mix, 20, options.seconds)
    done.set()
    writer.join()
    with open_catalogue(catalogue) as index:
        lost = [name for name in written if index.get(name) is None]
    ordered = sorted(seconds)
    result = {
        "server": server.name,
        "requests_a_second": len(seconds) / options.seconds,
        "p50_ms": 1000 * statistics.median(ordered),
        "p95_ms": 1000 * ordered[int(0.95 * len(ordered))],
        "failed_requests": len(errors),
        "writes": len(written),
        "failed_writes": len(failures),
        "lost_writes": len(lost),
    }
    print(f"20 readers and a writer: {json.dumps(result)}", flush=True)
    for text in [*errors[:3], *failures[:3]]:
        print(f"  {text}")
    return result


if __name__ == "__main__":
    main()
