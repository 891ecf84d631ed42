"""What an export reads from an archive, checked: the names come from files that anybody may have made."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from abut.errors import DigestMismatchError, InvalidArchiveError, MissingObjectError
from abut.export.folder import folder_name, inner_path
from abut.layout import BAND, LEGACY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from abut.archive import Archive
    from abut.layout import Band
    from abut.product import Product


@dataclass(frozen=True, slots=True)
class SafeLayout:
    """The files of a SAFE."""

    name: str
    """Name of its folder."""
    images: Mapping[str, str]
    """Paths of the band images by band."""
    tci: str | None
    """Path of the true colour image, if there is one."""
    files: tuple[str, ...]
    """Paths of all other files, sorted."""
    missing: tuple[str, ...]
    """Paths of files that the manifest listed and that were not there when the product came in."""


@dataclass(frozen=True, slots=True)
class Scaling:
    """How DN become reflectance: (DN + offset) / quantification where DN > 0."""

    offset: int
    """``RADIO_ADD_OFFSET`` in DN."""
    quantification: int
    """``QUANTIFICATION_VALUE``."""


def safe_layout(product: Product) -> SafeLayout:
    """Return the files of the SAFE that a product came from.

    Raises
    ------
    InvalidArchiveError
        If the archive does not say, or names paths that lead out of the folder, or one path twice.
    """
    safe, where = product.record.safe, f"{product.id}: record"
    images = safe.get("images")
    if not isinstance(images, dict) or set(images) != set(product.record.bands):
        raise InvalidArchiveError(f"{where}: does not say where the images of its bands were")
    prefix = f"{LEGACY}/"
    files = tuple(
        inner_path(key.removeprefix(prefix), where) for key in sorted(product.record.objects) if key.startswith(prefix)
    )
    layout = SafeLayout(
        name=folder_name(safe.get("name"), where),
        images={band: inner_path(path, where) for band, path in images.items()},
        tci=None if safe.get("tci") is None else inner_path(safe["tci"], where),
        files=files,
        missing=tuple(str(path) for path in safe.get("missing") or ()),
    )
    paths = [*layout.images.values(), *layout.files, *([layout.tci] if layout.tci else [])]
    if len(set(paths)) != len(paths):
        raise InvalidArchiveError(f"{where}: names {_first_double(paths)!r} twice")
    return layout


def read_legacy_file(archive: Archive, product: Product, path: str) -> bytes:
    """Return a legacy file, byte for byte.

    Parameters
    ----------
    archive : Archive
        The archive.
    product : Product
        The product.
    path : str
        Path in the SAFE.

    Raises
    ------
    MissingObjectError
        If it is none of the product's, or gone.
    DigestMismatchError
        If its bytes are not those that were ingested.
    """
    return _read_object(archive, product, f"{LEGACY}/{path}")


def scaling(archive: Archive, product: Product, band: Band | str) -> Scaling:
    """Return how a band's DN become reflectance, from the attributes of its array; errors as `read_legacy_file`."""
    wanted = BAND[band] if isinstance(band, str) else band
    key = f"{wanted.path}/zarr.json"
    attributes: Any = json.loads(_read_object(archive, product, key)).get("attributes", {})
    try:
        return Scaling(int(attributes["radio_add_offset"]), int(attributes["quantification_value"]))
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidArchiveError(f"{product.folder}/{key}: no offset or quantification value") from error


def _read_object(archive: Archive, product: Product, key: str) -> bytes:
    entry = product.record.objects.get(key)
    if entry is None:
        raise MissingObjectError(f"{product.id} has no {key}")
    where = f"{product.folder}/{key}"
    data = archive.store.get(where)
    found = hashlib.sha256(data).hexdigest()
    if found != entry.digest:
        raise DigestMismatchError(f"{archive.store.url}/{where}: SHA-256 {found}, but {entry.digest} was ingested")
    return data


def _first_double(paths: list[str]) -> str:
    return next(path for path in paths if paths.count(path) > 1)
