"""The steps that both demonstrations take: products in, overlap out, proof."""

from __future__ import annotations

import zipfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from abut.archive import create_archive, open_archive
from abut.export import export_safe
from abut.export.safe import MANIFEST
from abut.export.source import safe_layout
from abut.layout import BANDS
from cli.demonstration.ground import read_ground
from cli.demonstration.picture import draw
from cli.demonstration.stock import take_stock
from cli.output import bar
from ingest.ingest import Outcome
from ingest.job import Failure, find_safes
from ingest.parallel import Progress, ingest_many
from ingest.purge import purge
from ingest.settle import settle
from ingest.verify import verify_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from tqdm import tqdm

    from abut.archive import Archive
    from abut.product import Product
    from cli.demonstration.stock import Stock
    from ingest.certificate import Certificate
    from ingest.purge import Purged
    from ingest.settle import Settled


@dataclass(frozen=True, slots=True)
class Stored:
    """What ingest, settle and purge did."""

    archive: Archive
    """The archive."""
    products: tuple[str, ...]
    """Ids of the products, in the order of the SAFEs."""
    settled: tuple[Settled, ...]
    """One for each layer of these products."""
    purged: tuple[Purged, ...]
    """The same; empty if nothing was purged."""
    stock: tuple[Stock, ...]
    """Who stored what before, and stores it now."""


@dataclass(frozen=True, slots=True)
class Recreated:
    """A SAFE that was written again, compared with the original by decoding both with rasterio alone."""

    folder: Path
    """The new SAFE."""
    images: int
    """Band images whose pixels are all equal."""
    files: int
    """Other files that are equal, byte for byte."""
    unequal: tuple[str, ...]
    """Paths of images and files that are not."""


def store(
    archive_url: str | Path, safes: Sequence[Path], *, purge_now: bool, workers: int | None = None, hidden: bool = False
) -> Stored:
    """Ingest products, settle their layers, and purge them at once if the archive is nobody else's.

    Parameters
    ----------
    archive_url : str or Path
        The archive; made where there is none.
    safes : sequence of Path
        SAFE products, and folders that hold such.
    purge_now : bool
        Whether to delete what is released, without grace.
    workers : int, optional
        As for `ingest_many`.
    hidden : bool
        Whether to show no progress.

    Raises
    ------
    click.ClickException
        If a product can't be ingested.
    """
    archive = create_archive(archive_url)
    with bar(None, " bands", hidden=hidden) as progress:

        def show(step: Progress) -> None:
            progress.total = step.total * len(BANDS)
            progress.update(step.kind == "band")

        results = ingest_many(archive.store.url, safes, workers=workers, on_progress=show)
    failed = [result for result in results if isinstance(result, Failure)]
    if failed:
        first = failed[0]
        raise click.ClickException(first.error if first.path in first.error else f"{first.path}: {first.error}")
    ids = tuple(result.product for result in results if isinstance(result, Outcome))
    layers = sorted({archive.product(name).layer for name in ids})
    settled = tuple(settle(archive, layers))
    purged = tuple(purge(archive, grace=timedelta(0), layers=layers)) if purge_now else ()
    return Stored(archive, ids, settled, purged, tuple(take_stock(archive, ids)))


def certify(
    archive: Archive, safes: Iterable[Path], folder: Path, *, processes: int = 1, hidden: bool = False
) -> list[Certificate]:
    """Verify products against an archive, and write a certificate for each.

    Parameters
    ----------
    archive : Archive
        The archive.
    safes : iterable of Path
        SAFE products, and folders that hold such.
    folder : Path
        Where ``<product id>.json`` go; made where absent.
    processes : int
        SAFEs verified at once, by processes of their own if more than one; each needs about a gigabyte of memory.
    hidden : bool
        Whether to show no progress.
    """
    paths = find_safes(safes)
    folder.mkdir(parents=True, exist_ok=True)
    if processes > 1 and len(paths) > 1:
        with bar(len(paths), " products", hidden=hidden) as progress:
            certificates = _certified_apart(archive.store.url, paths, processes, progress)
    else:
        with bar(None, " arrays", hidden=hidden) as progress:
            certificates = [one for path in paths for one in verify_all(archive, path, done=_ticks(progress))]
    for certificate in certificates:
        (folder / f"{certificate.product}.json").write_text(certificate.to_json() + "\n", encoding="utf-8")
    return certificates


def _certified_apart(url: str, paths: Sequence[str], processes: int, progress: tqdm[Any]) -> list[Certificate]:
    """Verify by processes: threads won't do, as they share which warnings are shown."""
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        pending = [pool.submit(_certify_one, url, path) for path in paths]
        for task in pending:
            task.add_done_callback(_ticks(progress))
        return [certificate for task in pending for certificate in task.result()]


def _certify_one(url: str, path: str) -> list[Certificate]:
    return list(verify_all(open_archive(url), path))


def draw_stock(stored: Stored, folder: Path) -> list[Path]:
    """Write a picture of each layer that has neighbours (of every layer, if none has).

    Returns
    -------
    list of Path
        ``overlap-<EPSG code>.png``, numbered from the second of a zone.
    """
    tiles = list(dict.fromkeys(share.tile for stock in stored.stock for share in stock.shares))
    written: list[Path] = []
    shared = [stock for stock in stored.stock if len(stock.shares) > 1]
    for stock in shared or stored.stock:
        earlier = sum(path.name.startswith(f"overlap-{stock.zone.epsg}") for path in written)
        suffix = f"-{earlier + 1}" if earlier else ""
        path = folder / f"overlap-{stock.zone.epsg}{suffix}.png"
        draw(stock, read_ground(stored.archive, stock), tiles).save(path, optimize=True)
        written.append(path)
    return written


def recreate(archive: Archive, product: Product, safe: Path, out: Path, *, hidden: bool = False) -> Recreated:
    """Write a product's SAFE again, and compare it with the original.

    Parameters
    ----------
    archive : Archive
        The archive.
    product : Product
        The product.
    safe : Path
        The SAFE that it came from, a folder or a zip file.
    out : Path
        Where to put the new one.
    hidden : bool
        Whether to show no progress.
    """
    from abut.testing import safe_pixels  # noqa: PLC0415 - the plain reader of JP2 that shares nothing with ours

    layout = safe_layout(product)
    others = [path for path in layout.files if path != MANIFEST]
    with bar(len(layout.images) * 2 + len(others), " files", hidden=hidden) as progress:
        folder = export_safe(archive, product, out, done=_ticks(progress))
        unequal = []
        granule = next(iter(layout.images.values())).rpartition("/IMG_DATA/")[0].rpartition("/")[2]
        for band, path in layout.images.items():
            ours = safe_pixels(folder, band, granule)
            if not np.array_equal(safe_pixels(safe, band, granule), ours):
                unequal.append(path)
            progress.update()
    images = len(layout.images) - len(unequal)
    unequal += [path for path in others if _bytes_of(safe, layout.name, path) != (folder / path).read_bytes()]
    return Recreated(folder, images, len(layout.images) + len(others) - len(unequal) - images, tuple(unequal))


def _ticks(progress: tqdm[Any]) -> Callable[[object], None]:
    def tick(_: object) -> None:
        progress.update()

    return tick


def _bytes_of(safe: Path, name: str, path: str) -> bytes:
    if safe.is_dir():
        return (safe / path).read_bytes()
    with zipfile.ZipFile(safe) as archive:
        return archive.read(f"{name}/{path}")
