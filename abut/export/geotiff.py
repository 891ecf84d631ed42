"""A legacy tile as GeoTIFF: one file per band and mask."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from abut.errors import MissingObjectError
from abut.export.folder import folder_name, new_folder
from abut.export.gdal import Grid, require_pixels, require_rasterio, write_tiff
from abut.export.source import safe_layout, scaling
from abut.layout import BAND, CLASSIFICATION_BITS, QUALITY_BITS
from abut.legacy import plan, read_band
from abut.masks import mask_resolution, read_mask

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from abut.archive import Archive
    from abut.export.source import Scaling
    from abut.lattice import Block
    from abut.legacy import Source
    from abut.product import Product

TIFF_OPTIONS: Final[Mapping[str, Any]] = {
    "tiled": True,
    "blockxsize": 512,
    "blockysize": 512,
    "compress": "DEFLATE",
    "SPARSE_OK": True,
}
"""Creation options of the files."""
_KINDS: Final = {"detector_footprint": "MSK_DETFOO", "quality": "MSK_QUALIT", "classification": "MSK_CLASSI"}
_MEANINGS: Final = {"quality": QUALITY_BITS, "classification": CLASSIFICATION_BITS}


def export_geotiff(
    archive: Archive,
    product: Product,
    out: Path,
    *,
    bands: Iterable[str] | None = None,
    done: Callable[[str], None] = lambda _: None,
) -> list[Path]:
    """Write bands and masks of a legacy tile as GeoTIFF, into a folder named after the product.

    Bands hold DN (uint16, nodata 0) with scale and offset as tags: reflectance = DN * scale + offset where DN > 0.
    Masks hold a detector id, or bits whose meanings are in the tag ``BIT_MEANINGS``. Files are tiled and compressed
    without loss, and read again to compare their pixels with the digests recorded at ingest. The folder appears when
    all are there.

    Parameters
    ----------
    archive : Archive
        The archive.
    product : Product
        The product.
    out : Path
        Folder in which to put the folder ``<product id>``; made if missing.
    bands : iterable of str, optional
        Names of bands; their masks come along. Default: all.
    done : callable
        Called with the name of each file that was written.

    Returns
    -------
    list of Path
        The files: image names of the SAFE with ``.tif``, masks with the same start and ``MSK_...``.

    Raises
    ------
    ExportError
        If a folder of that name is there, it can't be written (disk full), or a file reads back unequal.
    InvalidArchiveError
        If the archive names a folder or files that lead elsewhere.
    DigestMismatchError
        If pixels are not those that were ingested.
    MissingObjectError
        If an object is gone, or the product has no such band.
    """
    require_rasterio()
    layout = safe_layout(product)
    chosen = list(product.record.bands) if bands is None else list(dict.fromkeys(bands))
    names = {band: PurePosixPath(layout.images[band]).stem for band in _known(product, chosen)}
    target = out / folder_name(product.id, product.id)
    written: list[Path] = []
    with new_folder(target) as work:
        sources = plan(archive, product)
        for band, stem in names.items():
            name = f"{stem}.tif"
            _write_band(archive, product, band, work.content / name, sources)
            written.append(target / name)
            done(name)
        for mask in _masks_of(product, chosen):
            name = mask_file(mask, next(iter(names.values())))
            _write_mask(archive, product, mask, work.content / name)
            written.append(target / name)
            done(name)
    return written


def band_profile(product: Product, band: str, scaling: Scaling) -> dict[str, Any]:
    """Return what the file of a band says beside its pixels, for `abut.export.gdal.write_tiff`."""
    return {
        "predictor": 2,
        "nodata": 0,
        "scales": 1 / scaling.quantification,
        "offsets": scaling.offset / scaling.quantification,
        "descriptions": band,
        "tags": {
            "PRODUCT": product.id,
            "RADIO_ADD_OFFSET": scaling.offset,
            "QUANTIFICATION_VALUE": scaling.quantification,
        },
        **TIFF_OPTIONS,
    }


def mask_profile(product: Product, name: str) -> dict[str, Any]:
    """Return what the file of a mask says beside its pixels."""
    meanings = _MEANINGS.get(name.partition("/")[0])
    return {
        "descriptions": name,
        "tags": {"PRODUCT": product.id, **({"BIT_MEANINGS": " ".join(meanings)} if meanings else {})},
        **TIFF_OPTIONS,
    }


def mask_file(mask: str, image: str) -> str:
    """Return ``T32TNM_20230823T095559_MSK_DETFOO_B02.tif`` for a mask beside ``T32TNM_20230823T095559_B04``."""
    kind, _, band = mask.partition("/")
    return f"{image.rpartition('_')[0]}_{_KINDS[kind]}_{band or 'B00'}.tif"


def _write_band(archive: Archive, product: Product, band: str, path: Path, sources: Mapping[Block, Source]) -> None:
    pixels = read_band(archive, product, band, sources=sources)
    grid = Grid(product.tile.footprint, BAND[band].resolution)
    write_tiff(path, grid, pixels, **band_profile(product, band, scaling(archive, product, band)))
    require_pixels(path, product.record.bands[band].digest)


def _write_mask(archive: Archive, product: Product, name: str, path: Path) -> None:
    grid = Grid(product.tile.footprint, mask_resolution(name))
    write_tiff(path, grid, read_mask(archive, product, name), **mask_profile(product, name))
    require_pixels(path, product.record.masks[name])


def _known(product: Product, bands: list[str]) -> list[str]:
    unknown = [band for band in bands if band not in product.record.bands]
    if unknown or not bands:
        raise MissingObjectError(f"{product.id} has no band {', '.join(unknown) or 'to export'}")
    return bands


def _masks_of(product: Product, bands: list[str]) -> list[str]:
    return [name for name in product.record.masks if "/" not in name or name.partition("/")[2] in bands]
