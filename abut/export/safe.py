"""The SAFE that a product came from, written again."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Final

from abut.export import jp2, tci
from abut.export.folder import new_folder, write_file, writing
from abut.export.gdal import Grid, require_pixels, require_rasterio
from abut.export.manifest import listed, rewrite
from abut.export.source import read_legacy_file, safe_layout, scaling
from abut.layout import BAND
from abut.legacy import plan, read_band

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from abut.archive import Archive
    from abut.export.folder import Work
    from abut.export.source import SafeLayout
    from abut.lattice import Block
    from abut.legacy import Source
    from abut.product import Product

MANIFEST: Final = "manifest.safe"
"""The file that lists all others."""

EXCEPTIONS: Final[Mapping[str, str]] = {
    "band images": "encoded anew without loss: the decoded pixels are equal, the bytes of the files are not",
    "true colour image (TCI)": "derived anew from B04, B03 and B02: a picture for display, not equal to ESA's",
    "`manifest.safe`": "sizes and checksums of the images above; every other byte is as it was",
    "multi-granule SAFE": "one granule comes back, with the files of the product as they were: they list all granules",
    "files left behind by viewers": "`.aux.xml`, `.ovr`, `.idx` and the like are left out where the manifest has none",
    "empty folders": "left out",
    "times and permissions of files": "those of new files",
}
"""All ways in which a SAFE that was written again differs from the one that came in (see `docs/legacy-safe.md`)."""


def export_safe(archive: Archive, product: Product, out: Path, *, done: Callable[[str], None] = lambda _: None) -> Path:
    """Write the SAFE of a product again, as a folder; `EXCEPTIONS` says where it differs from the original.

    Each band image is decoded again after it was written, and compared with the digest recorded at ingest. The folder
    appears when all is there. About 600 MB of memory are needed, and as much disk as SAFE and two decoded bands take.

    Parameters
    ----------
    archive : Archive
        The archive.
    product : Product
        The product.
    out : Path
        Folder in which to put it; made if missing.
    done : callable
        Called with the path of each file that was written, relative to the SAFE.

    Returns
    -------
    Path
        The folder, with the original name.

    Raises
    ------
    ExportError
        If something of that name is there, it can't be written (disk full), or an image reads back unequal.
    InvalidArchiveError
        If the archive names paths that lead out of the SAFE.
    DigestMismatchError
        If pixels or bytes are not those that were ingested.
    MissingObjectError
        If an object is gone.
    """
    require_rasterio()
    layout = safe_layout(product)
    target = out / layout.name
    with new_folder(target) as work:
        for path in layout.files:
            write_file(work.content / path, read_legacy_file(archive, product, path))
            if path != MANIFEST:
                done(path)
        changed = _write_images(archive, product, layout, work, done)
        if MANIFEST in layout.files:
            _correct_manifest(work.content, changed)
            done(MANIFEST)
        with writing(target):
            shutil.rmtree(work.scratch)
    return target


def missing_files(archive: Archive, product: Product) -> tuple[str, ...]:
    """Return the files that the manifest of a re-created SAFE lists but that it does not have.

    They were missing when the product came in, or belong to other granules of a multi-granule SAFE.
    """
    layout = safe_layout(product)
    if MANIFEST not in layout.files:
        return layout.missing
    there = {*layout.images.values(), *layout.files, layout.tci}
    return tuple(path for path in listed(read_legacy_file(archive, product, MANIFEST)) if path not in there)


def _write_images(
    archive: Archive, product: Product, layout: SafeLayout, work: Work, done: Callable[[str], None]
) -> list[str]:
    """Write band images and true colours; return their paths."""
    sources = plan(archive, product)
    for band, path in layout.images.items():
        _write_band(archive, product, band, path, work, sources=sources, colours=layout.tci is not None)
        done(path)
    if layout.tci is None:
        return list(layout.images.values())
    grid = Grid(product.tile.footprint, BAND[tci.BANDS[0]].resolution)
    joined, digests = tci.join_colours(work.scratch, grid)
    image = work.content / layout.tci
    jp2.encode(joined, image, jp2.BLOCK[grid.resolution])
    require_pixels(image, *digests)
    done(layout.tci)
    return [*layout.images.values(), layout.tci]


def _write_band(
    archive: Archive,
    product: Product,
    band: str,
    path: str,
    work: Work,
    *,
    sources: Mapping[Block, Source],
    colours: bool,
) -> None:
    grid = Grid(product.tile.footprint, BAND[band].resolution)
    pixels = read_band(archive, product, band, sources=sources)
    image = work.content / path
    jp2.write_band(image, grid, pixels, work.scratch)
    if colours and band in tci.BANDS:
        of_band = scaling(archive, product, band)
        tci.write_colour(work.scratch, band, grid, pixels, tci.table(of_band.offset, of_band.quantification))
    del pixels
    require_pixels(image, product.record.bands[band].digest)


def _correct_manifest(root: Path, changed: list[str]) -> None:
    manifest = root / MANIFEST
    with writing(manifest):
        manifest.write_bytes(rewrite(manifest.read_bytes(), root, changed))
