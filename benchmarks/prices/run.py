"""`make bench-prices`: objects, requests and bytes of a product on S3, and what they cost at list prices.

Two neighbours of real size are ingested, settled, purged and read on a real S3 server (SeaweedFS), through a proxy that
counts HTTP requests, retries and all. Counts do not depend on the machine. Bytes come from made ground; those of real
products are an option.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
from collections import Counter
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from abut.archive import create_archive
from abut.layout import BANDS, LEGACY, OVERVIEWS
from abut.legacy import read_bands
from benchmarks.prices.model import Counts, Month, Prices, Product, month_of
from benchmarks.run import INTERIOR_SHARE, TILES, product
from ingest.ingest import ingest
from ingest.purge import purge
from ingest.safe_source import safe_sources
from ingest.settle import settle
from tests.flaky import Proxy, flaky_proxy
from tests.servers import seaweed

if TYPE_CHECKING:
    from collections.abc import Callable

    from abut.archive import Archive
    from abut.store import Entry

_BLOCKS: Final = tuple(f"/{band.path}/c/" for band in BANDS)


@dataclass(frozen=True, slots=True)
class Measured:
    """What was counted."""

    steps: dict[str, Counts]
    """Requests of ingest, settle, purge and read, of all products together."""
    product: Product
    """Objects of a product, means."""
    smallest: int
    """Bytes of the smallest object of a band."""
    median: int
    """Bytes of the median object of a band."""
    inodes: int
    """Files and folders of a product in a local archive, as ingested."""
    safe_bytes: int
    """Bytes of a SAFE."""


def main() -> None:
    """Count, print the table, and keep the counts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("bench-output"), help="where products are made and kept")
    parser.add_argument("--put", type=float, default=0.005, help="dollars for 1,000 PUT or LIST")
    parser.add_argument("--get", type=float, default=0.0004, help="dollars for 1,000 GET or HEAD")
    parser.add_argument("--gigabyte", type=float, default=0.023, help="dollars for 1 GB a month")
    parser.add_argument("--tiles", type=int, default=2484, help="tiles of the month")
    parser.add_argument("--products", type=float, default=24, help="products per tile and month")
    parser.add_argument("--covered", type=float, default=0.68, help="mean share of a tile that a product covers")
    parser.add_argument("--safe", type=float, default=0.6, help="GB of a real SAFE of a full tile")
    given = parser.parse_args()
    given.out.mkdir(exist_ok=True)
    measured = measure([product(name, given.out / "safe") for name in TILES])
    month = Month(tiles=given.tiles, products=given.products, covered=given.covered, safe_gigabytes=given.safe)
    prices = Prices(put=given.put, get=given.get, gigabyte=given.gigabyte)
    (given.out / "prices.json").write_text(json.dumps(asdict(measured), indent=1))
    report(measured, month, prices)


def measure(safes: list[Path]) -> Measured:
    """Count what ingest, settling, purging and reading ask of a store."""
    os.nice(5)
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        server = stack.enter_context(seaweed(folder))
        proxy = stack.enter_context(flaky_proxy(server.endpoint))
        os.environ.update(server.environment | {"AWS_ENDPOINT_URL": proxy.url})
        archive = create_archive(f"s3://{server.bucket}/l1c")
        sources = [source for safe in safes for source in safe_sources(safe)]
        steps = {"ingest": _counted(proxy, lambda: [ingest(archive, source) for source in sources])}
        as_ingested = list(archive.store.entries("products"))
        steps["settle"] = _counted(proxy, lambda: settle(archive))
        steps["purge"] = _counted(proxy, lambda: purge(archive, grace=timedelta(0)))
        steps["read"] = _counted(proxy, lambda: _read(archive))
    bands = [entry.size for entry in as_ingested if any(part in entry.key for part in _BLOCKS)]
    return Measured(
        steps,
        _product(as_ingested, len(sources)),
        min(bands),
        int(statistics.median(bands)),
        _inodes(as_ingested) // len(sources),
        sum(path.stat().st_size for safe in safes for path in safe.rglob("*") if path.is_file()) // len(safes),
    )


def _read(archive: Archive) -> None:
    """Read the 13 bands of each product as legacy tiles."""
    for name in archive.product_ids():
        for _ in read_bands(archive, archive.product(name)):
            pass


def _counted(proxy: Proxy, call: Callable[[], object]) -> Counts:
    before, moved = Counter(proxy.asked), Counter(proxy.moved)
    call()
    asked = {verb: proxy.asked[verb] - before[verb] for verb in ("PUT", "GET", "HEAD", "LIST", "DELETE")}
    return Counts(
        **{verb.lower(): number for verb, number in asked.items()},
        read=proxy.moved["GET"] - moved["GET"],
        written=proxy.moved["PUT"] - moved["PUT"],
    )


def _product(entries: list[Entry], number: int) -> Product:
    """Return means of a product's objects."""
    objects, sizes = Counter[str](), Counter[str]()
    for entry in entries:
        kind = _kind(entry.key)
        objects[kind] += 1
        sizes[kind] += entry.size
    return Product(
        {kind: count / number for kind, count in objects.items()},
        {kind: size / number for kind, size in sizes.items()},
    )


def _kind(key: str) -> str:
    if any(part in key for part in _BLOCKS):
        return "blocks"
    if f"/{OVERVIEWS}/" in key and "/c/" in key:
        return "overviews"
    return "legacy" if f".zarr/{LEGACY}/" in key else "masks, angles, metadata"


def _inodes(entries: list[Entry]) -> int:
    folders = {str(parent) for entry in entries for parent in PurePosixPath(entry.key).parents}
    return len(entries) + len(folders)


def report(measured: Measured, month: Month, prices: Prices) -> None:
    """Print the tables."""
    number = len(TILES)
    names = ("PUT", "GET", "HEAD", "LIST", "DELETE")
    print("\nper product  " + " ".join(f"{name:>7}" for name in names) + f" {'MB read':>9} {'MB written':>10}")
    for name, counts in measured.steps.items():
        told = [counts.put, counts.get, counts.head, counts.list, counts.delete]
        print(
            f"{name:11}  "
            + " ".join(f"{count / number:7,.1f}" for count in told)
            + f" {counts.read / number / 1e6:9,.1f} {counts.written / number / 1e6:10,.1f}"
        )
    print("\nobjects and MB of a product as ingested:")
    for kind, count in measured.product.objects.items():
        print(f"  {kind:24} {count:8,.0f} {measured.product.bytes[kind] / 1e6:9,.1f}")
    print(
        f"smallest and median object of a band: {measured.smallest:,} and {measured.median:,} bytes; "
        f"inodes of a product: {measured.inodes:,}; bytes of a SAFE: {measured.safe_bytes / 1e6:,.0f} MB"
    )
    rows = month_of(
        measured.steps,
        number,
        measured.product,
        safe_bytes=measured.safe_bytes,
        interior=INTERIOR_SHARE,
        month=month,
        prices=prices,
    )
    print(f"\na month of {month.tiles:,} tiles, {month.products:g} products each:")
    for label, archive, safe in rows:
        print(f"  {label:44} {archive:>16,.1f} {safe:>16,.1f}")


if __name__ == "__main__":
    main()
