"""Masks and angles of a legacy tile: each product keeps its own, whole."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np

from abut.errors import DigestMismatchError, MissingObjectError
from abut.layout import BAND, CLASSIFICATION, DETECTOR_FOOTPRINT, GEOMETRY, QUALITY, bands_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from abut.archive import Archive
    from abut.product import Product

_GROUPS = {"detector_footprint": DETECTOR_FOOTPRINT, "quality": QUALITY}


def mask_resolution(name: str) -> int:
    """Return the pixel size of a mask in metres, by its name in the record."""
    _, _, band = name.partition("/")
    return BAND[band].resolution if band else 60


def read_mask(archive: Archive, product: Product, name: str, *, check: bool = True) -> NDArray[np.uint8]:
    """Return a mask of a legacy tile.

    Parameters
    ----------
    archive : Archive
        The archive.
    product : Product
        The product.
    name : str
        One of ``product.record.masks``: ``detector_footprint/B02`` (detector 1 ... 12, 0 for none), ``quality/B02``
        (bit i is plane i of `abut.layout.QUALITY_BITS`), ``classification`` (60 m; bit i is plane i of
        `abut.layout.CLASSIFICATION_BITS`).
    check : bool
        Whether to compare the digest. False is for who compares the pixels themselves.

    Returns
    -------
    ndarray of uint8, shape (109800 / resolution, 109800 / resolution)
        Row 0 in the north, on the legacy footprint.

    Raises
    ------
    MissingObjectError
        If the product has no such mask, or its array is gone.
    DigestMismatchError
        If the pixels are not those that were ingested, or can't be decoded.
    """
    if name not in product.record.masks:
        raise MissingObjectError(f"{product.id} has no mask {name!r}")
    resolution = mask_resolution(name)
    footprint, hull = product.tile.footprint, product.tile.hull.bounds
    place: tuple[int | slice, ...] = hull.slices(footprint, resolution)
    kind, _, band = name.partition("/")
    if band:
        place = (bands_of(resolution).index(BAND[band]), *place)
    path = f"{_GROUPS[kind]}/{BAND[band].group}" if band else CLASSIFICATION
    mask: NDArray[np.uint8] = np.ascontiguousarray(_read(archive, product, path, place), np.uint8)
    if check:
        found, expected = hashlib.sha256(mask).hexdigest(), product.record.masks[name]
        if found != expected:
            raise DigestMismatchError(
                f"{product.id} {name}: SHA-256 of the mask is {found}, recorded at ingest was {expected}"
            )
    return mask


def read_angles(archive: Archive, product: Product) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the sun and viewing angles of a legacy tile, at nodes every 5 km from its own upper left corner.

    Returns
    -------
    sun : ndarray of float64, shape (2, 23, 23)
        Zenith and azimuth in degrees; angle, y (north to south), x.
    viewing : ndarray of float64, shape (13, 12, 2, 23, 23)
        Zenith and azimuth in degrees; band in the order of ``bandId``, detector - 1, angle, y, x; NaN where a
        detector does not see.

    Raises
    ------
    MissingObjectError
        If they are gone.
    DigestMismatchError
        If their objects are not those that were ingested.
    """
    sun, viewing = (
        _checked(archive, product, f"{GEOMETRY}/{name}") for name in ("sun_angles", "viewing_incidence_angles")
    )
    return sun, viewing


def read_mean_angles(archive: Archive, product: Product) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the mean sun and viewing angles of a legacy tile.

    Returns
    -------
    sun : ndarray of float64, shape (2,)
        Zenith and azimuth in degrees.
    viewing : ndarray of float64, shape (13, 2)
        The same of each band, in the order of ``bandId``; NaN where the metadata has none.

    Raises
    ------
    MissingObjectError, DigestMismatchError
        As `read_angles`.
    """
    sun, viewing = (
        _checked(archive, product, f"{GEOMETRY}/{name}")
        for name in ("mean_sun_angles", "mean_viewing_incidence_angles")
    )
    return sun, viewing


def _checked(archive: Archive, product: Product, path: str) -> NDArray[np.float64]:
    """Read a small array whose objects are the ones of the record."""
    for key, entry in product.record.objects.items():
        if key.startswith(f"{path}/"):
            where = f"{product.folder}/{key}"
            found = hashlib.sha256(archive.store.get(where)).hexdigest()
            if found != entry.digest:
                raise DigestMismatchError(f"{archive.store.url}/{where}: SHA-256 {found}, recorded was {entry.digest}")
    return np.asarray(_read(archive, product, path, (Ellipsis,)), np.float64)


def _read(archive: Archive, product: Product, path: str, place: tuple[Any, ...]) -> NDArray[Any]:
    import zarr  # noqa: PLC0415 - slow to import, and services start without it
    from zarr.storage import ObjectStore  # noqa: PLC0415 - as above

    where = f"{product.folder}/{path}"
    label = f"{archive.store.url}/{where}"
    try:
        array = zarr.open_array(ObjectStore(archive.store.backend, read_only=True), path=where, mode="r", zarr_format=3)
    except FileNotFoundError as error:
        raise MissingObjectError(f"{label}: no such array") from error
    try:
        return np.asarray(array[place])
    except (RuntimeError, ValueError) as error:
        raise DigestMismatchError(f"{label}: can't be decoded ({error})") from error
