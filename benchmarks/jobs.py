"""The jobs that are measured, each run by `benchmarks.measure.run` in a process of its own."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rasterio
from rasterio.env import Env

from abut.archive import create_archive, open_archive
from abut.layout import BANDS
from abut.legacy import read_bands
from abut.testing import safe_pixels
from benchmarks.measure import report
from ingest.ingest import ingest
from ingest.safe_source import SafeSource, safe_sources

if TYPE_CHECKING:
    from ingest.tree import Tree


def decode_bands(safe: str) -> int:
    """Decode all 13 band images with rasterio, whole, one after the other: the counterpart of ingest."""
    return sum(int(safe_pixels(Path(safe), band).size) for band in BANDS)


def decode_masks(safe: str) -> int:
    """Decode all raster masks with rasterio, whole, one after the other."""
    pixels = 0
    for path in sorted(Path(safe).glob("GRANULE/*/QI_DATA/MSK_*.jp2")):
        with Env(GDAL_CACHEMAX=256 << 20), rasterio.open(path) as image:
            pixels += int(image.read().size)
    return pixels


def ingest_safe(safe: str, archive: str, profile: str, threads: str) -> dict[str, Any]:
    """Ingest a SAFE; the CPU of its masks is shown apart."""
    masks = 0.0
    plain = SafeSource._add_masks  # noqa: SLF001 - to time it

    def timed(self: SafeSource, tree: Tree, digests: dict[str, str]) -> None:
        nonlocal masks
        start = time.process_time()
        plain(self, tree, digests)
        masks += time.process_time() - start

    setattr(SafeSource, "_add_masks", timed)  # noqa: B010 - mypy refuses the plain assignment
    opened = create_archive(archive, profile=profile)
    [source] = safe_sources(safe)
    outcome = ingest(opened, source, threads=int(threads))
    return {"masks_cpu": masks, "product": outcome.product, "data_bytes": outcome.data_bytes}


def recreate(archive: str, product: str) -> int:
    """Re-create all 13 bands of a legacy tile, digests checked."""
    opened = open_archive(archive)
    return sum(int(array.size) for _, array in read_bands(opened, opened.product(product)))


JOBS = {job.__name__: job for job in (decode_bands, decode_masks, ingest_safe, recreate)}

if __name__ == "__main__":
    print(report(JOBS[sys.argv[1]], *sys.argv[2:]))
