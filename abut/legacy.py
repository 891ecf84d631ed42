"""Legacy tiles: the 109.8 km squares of SAFE, bit for bit, from an archive without their overlap.

A tile is its product's own held blocks, zeros included, and for released ones the recorded holder's object cropped to
the footprint: never a ranking, never an overlay. The digest recorded at ingest is checked every time.
"""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from abut import product as products
from abut.codec import DTYPE, decode_block
from abut.errors import DigestMismatchError, MissingObjectError
from abut.layout import BAND, Band, block_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from numpy.typing import NDArray

    from abut.archive import Archive
    from abut.lattice import Block
    from abut.product import Product

_PLANS: Final = 5
"""How often a read plans again after an object that it had planned to read was purged."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where a block of a product is read."""

    product: str
    """Id of the holder."""
    folder: str
    """Key of the holder's store folder."""
    row: int
    """Row of the block in the holder's arrays."""
    column: int
    """Column of the block there."""
    own: Source | None = None
    """The product's own objects, of a block that was released but not dropped yet: read if the holder's are lost."""

    def key(self, band: Band) -> str:
        """Key of the block's object of a band in the archive."""
        return f"{self.folder}/{block_key(band.path, self.row, self.column)}"


def plan(archive: Archive, product: Product) -> dict[Block, Source]:
    """Say where each block of a product that is not empty is held, as the ledger has it now.

    Raises
    ------
    MissingObjectError
        If a holder is no longer a member (the product was withdrawn, and purged with it).
    """
    store = archive.store
    member, ledger = products.holding(store, product)
    sources: dict[Block, Source] = {}
    for block in member.valid:
        name = member.holder(block)
        holder = member if name == product.id else ledger.members.get(name or "")
        if holder is None or block not in holder.held:
            raise MissingObjectError(
                f"{store.url}: block {block} of {product.id} is held by {name}, which has it no more"
            )
        release = member.released.get(block)
        kept = release is not None and not release.dropped
        own = Source(product.id, product.folder, *product.tile.hull.position(block)) if kept else None
        sources[block] = Source(holder.product, f"products/{holder.prefix}", *holder.tile.hull.position(block), own)
    return sources


def read_band(
    archive: Archive,
    product: Product,
    band: Band | str,
    *,
    sources: Mapping[Block, Source] | None = None,
    check: bool = True,
) -> NDArray[np.uint16]:
    """Return one band of a legacy tile.

    Parameters
    ----------
    archive : Archive
        The archive.
    product : Product
        The product.
    band : Band or str
        Which band.
    sources : mapping, optional
        A plan made before. If an object it names has been purged since, a new plan is made.
    check : bool
        Whether to compare the digest. False is for who compares the pixels themselves.

    Returns
    -------
    ndarray of uint16, shape (109800 / resolution, 109800 / resolution)
        DN as in the SAFE's image, row 0 in the north; 0 is nodata.

    Raises
    ------
    MissingObjectError
        If an object that the ledger says is held is not there.
    DigestMismatchError
        If the pixels are not those that were ingested.
    """
    wanted = BAND[band] if isinstance(band, str) else band
    current = plan(archive, product) if sources is None else sources
    for _ in range(_PLANS):
        try:
            return _assemble(archive, product, wanted, current, check=check)
        except MissingObjectError:
            product = products.load(archive.store, product.id)
            renewed = plan(archive, product)
            if renewed == current:
                raise
            current = renewed
    return _assemble(archive, product, wanted, current, check=check)


def read_bands(
    archive: Archive, product: Product, bands: Iterable[Band | str] | None = None
) -> Iterator[tuple[Band, NDArray[np.uint16]]]:
    """Yield bands of a legacy tile one after the other (by default all), as `read_band`."""
    sources = plan(archive, product)
    for band in product.record.bands if bands is None else bands:
        wanted = BAND[band] if isinstance(band, str) else band
        yield wanted, read_band(archive, product, wanted, sources=sources)


def _assemble(
    archive: Archive, product: Product, band: Band, sources: Mapping[Block, Source], *, check: bool
) -> NDArray[np.uint16]:
    footprint = product.tile.footprint
    array: NDArray[np.uint16] = np.zeros(footprint.shape(band.resolution), DTYPE)

    def place(block: Block) -> None:
        source = sources[block]
        try:
            pixels = _read_block(archive, source, band)
        except (DigestMismatchError, MissingObjectError):
            if source.own is None:
                raise
            pixels = _read_block(archive, source.own, band)
        part = block.bounds.intersection(footprint)
        if part is not None:
            array[footprint.slices(part, band.resolution)] = pixels[block.bounds.slices(part, band.resolution)]

    with ThreadPoolExecutor(4 if archive.store.root else 32) as pool:
        for _ in pool.map(place, sources):
            pass
    if not check:
        return array
    found = hashlib.sha256(array).hexdigest()
    expected = product.record.bands[band.name].digest
    if found != expected:
        raise DigestMismatchError(
            f"{product.id} {band.name}: SHA-256 of the re-created tile is {found}, recorded at ingest was {expected}"
        )
    return array


def _read_block(archive: Archive, source: Source, band: Band) -> NDArray[np.uint16]:
    key = source.key(band)
    try:
        return decode_block(archive.store.get(key), band.block_pixels, archive.profile)
    except ValueError as error:
        raise DigestMismatchError(f"{archive.store.url}/{key}: {error}") from error
