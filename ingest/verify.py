"""SAFE against archive, pixel by pixel: the proof that a legacy tile comes back as it went in."""

from __future__ import annotations

import hashlib
import sys
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import rasterio

from abut import __version__
from abut.errors import AbutError, InvalidSafeError
from abut.layout import BANDS, LEGACY
from abut.legacy import plan, read_band
from abut.masks import mask_resolution, read_angles, read_mask
from ingest import plain_safe
from ingest.certificate import ArrayResult, Certificate, FileResult
from ingest.compare import compare
from ingest.safe import find_granules

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Collection, Iterator

    from numpy.typing import NDArray

    from abut.archive import Archive
    from abut.product import Product
    from ingest.granule import Granule

ANGLES: Final = ("sun_angles", "view_angles")
"""Names of the angle arrays in a certificate."""


def verify(
    archive: Archive,
    safe_path: str | os.PathLike[str],
    *,
    product_id: str | None = None,
    only: Collection[str] | None = None,
    done: Callable[[str], None] = lambda _: None,
) -> Certificate:
    """Compare a SAFE with an archive: all bands, masks and angles value by value, all legacy files byte by byte.

    The SAFE is decoded by `ingest.plain_safe`, not by the reader that ingested it. The masks of baselines since 04.00
    take most of the time.

    Parameters
    ----------
    archive : Archive
        The archive.
    safe_path : path
        A SAFE folder, or a zip that holds one.
    product_id : str, optional
        Which granule of a multi-granule SAFE.
    only : collection of str, optional
        Names of the arrays to compare, such as ``B02``, ``quality/B02``, ``sun_angles``. Default: all.
    done : callable
        Called with one line for each array, and one for the files.

    Returns
    -------
    Certificate
        What was found, equal or not. Objects of the archive that are missing or can't be decoded are findings too.

    Raises
    ------
    InvalidSafeError
        If the SAFE is broken, or has several granules and none was chosen.
    ProductNotFoundError
        If the archive has no such product.
    """
    granule = _granule(safe_path, product_id)
    product = archive.product(granule.metadata.id)
    for path in (*(entry.image for entry in granule.metadata.bands), *(file.path for file in granule.files)):
        granule.check(path)  # a truncated image would decode to zeros without an error
    arrays = []
    wanted = [name for name in _names(granule, product) if only is None or name in only]
    for result in _arrays(archive, product, granule, wanted):
        arrays.append(result)
        done(str(result))
    files = tuple(_files(archive, product, granule))
    done(f"legacy files: {sum(file.equal for file in files)} of {len(files)} equal")
    return Certificate(
        product=product.id,
        tile=product.tile.id,
        safe=str(safe_path),
        archive=archive.store.url,
        store=product.folder,
        time=datetime.now(UTC),
        versions=_versions(),
        arrays=tuple(arrays),
        files=files,
        left_out=(
            *([f"{granule.tci} (derived from B04, B03 and B02)"] if granule.tci else []),
            *(name for name in _names(granule, product) if name not in wanted),
        ),
    )


def verify_all(
    archive: Archive,
    safe_path: str | os.PathLike[str],
    *,
    only: Collection[str] | None = None,
    done: Callable[[str], None] = lambda _: None,
) -> Iterator[Certificate]:
    """Yield a certificate for each granule of a SAFE, as `verify`."""
    for granule in find_granules(safe_path):
        yield verify(archive, safe_path, product_id=granule.metadata.id, only=only, done=done)


def _granule(safe_path: str | os.PathLike[str], product_id: str | None) -> Granule:
    granules = find_granules(safe_path)
    ids = [granule.metadata.id for granule in granules]
    if product_id is None and len(granules) != 1:
        raise InvalidSafeError(f"{safe_path}: {len(ids)} granules, choose one of {', '.join(ids)}")
    if product_id is not None and product_id not in ids:
        raise InvalidSafeError(f"{safe_path}: has no granule {product_id}")
    return granules[ids.index(product_id) if product_id else 0]


def _names(granule: Granule, product: Product) -> list[str]:
    masks = sorted({*product.record.masks, *plain_safe.mask_names(granule)})
    return [*(band.name for band in BANDS), *masks, *ANGLES]


def _arrays(archive: Archive, product: Product, granule: Granule, wanted: list[str]) -> Iterator[ArrayResult]:
    try:
        sources = plan(archive, product)
    except AbutError:
        sources = None  # each band says so
    for band in BANDS:
        if band.name in wanted:
            yield _image(
                product,
                band.name,
                band.resolution,
                plain_safe.band(granule, band),
                partial(read_band, archive, product, band, sources=sources, check=False),
            )
    for name in wanted:
        if name in ANGLES or name in product.record.bands:
            continue
        expected = plain_safe.mask(granule, name, mask_resolution(name))
        if expected is None:
            problem = "in the archive, but not in the SAFE"
            yield ArrayResult(name=name, shape=(), safe_digest="", archive_digest=None, problem=problem)
            continue
        read = partial(read_mask, archive, product, name, check=False)
        result = _image(product, name, mask_resolution(name), expected, read)
        del expected  # before the next one is decoded
        yield result
    if any(name in wanted for name in ANGLES):
        yield from (result for result in _angles(archive, product, granule) if result.name in wanted)


def _image(
    product: Product, name: str, resolution: int, expected: NDArray[Any], read: Callable[[], NDArray[Any]]
) -> ArrayResult:
    safe_digest = _digest(expected)
    try:
        found = read()
    except AbutError as error:
        return ArrayResult(
            name=name, shape=expected.shape, safe_digest=safe_digest, archive_digest=None, problem=str(error)
        )
    return ArrayResult(
        name=name,
        shape=expected.shape,
        safe_digest=safe_digest,
        archive_digest=_digest(found),
        difference=compare(expected, found, product.tile.footprint, resolution),
    )


def _angles(archive: Archive, product: Product, granule: Granule) -> Iterator[ArrayResult]:
    expected = plain_safe.angles(granule)
    try:
        found: tuple[NDArray[np.float64] | None, ...] = read_angles(archive, product)
        problem = None
    except AbutError as error:
        found, problem = (None, None), str(error)
    for name, ours, theirs in zip(ANGLES, expected, found, strict=True):
        if theirs is not None and not np.array_equal(ours, theirs, equal_nan=True):
            problem = f"{np.count_nonzero(~((ours == theirs) | (np.isnan(ours) & np.isnan(theirs))))} values differ"
        yield ArrayResult(
            name=name,
            shape=ours.shape,
            safe_digest=_digest(ours),
            archive_digest=None if theirs is None else _digest(theirs),
            problem=problem,
        )


def _files(archive: Archive, product: Product, granule: Granule) -> Iterator[FileResult]:
    prefix = f"{LEGACY}/"
    stored = {key.removeprefix(prefix) for key in product.record.objects if key.startswith(prefix)}
    sizes = {file.path: file.size for file in granule.files}
    for path in sorted(stored | sizes.keys()):
        there = hashlib.sha256(granule.read(path)).hexdigest() if path in sizes else None
        yield FileResult(
            path=path,
            size=sizes.get(path),
            safe_digest=there,
            archive_digest=_stored_digest(archive, f"{product.folder}/{prefix}{path}") if path in stored else None,
        )


def _stored_digest(archive: Archive, key: str) -> str | None:
    found = archive.store.read(key)
    return hashlib.sha256(found.data).hexdigest() if found else None


def _digest(array: NDArray[Any]) -> str:
    return hashlib.sha256(np.ascontiguousarray(array, array.dtype.newbyteorder("<"))).hexdigest()


def _versions() -> dict[str, str]:
    names = ("numpy", "zarr", "numcodecs", "obstore", "rasterio")
    return {
        "abut": __version__,
        "python": sys.version.split()[0],
        "gdal": str(rasterio.__gdal_version__),
        **{name: version(name) for name in names},
    }
