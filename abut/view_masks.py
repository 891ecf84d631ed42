"""Masks of a window: detectors, quality and classification, from the product that supplied each pixel.

For each block and band the chosen product that the pixel of that band is of (`abut.pixels.suppliers`) gives the mask;
where none has data the first one does, so that a block of one product has that product's masks as they are. The
classification, which has no band, follows B01. Products keep their masks whole, of blocks that they released too, so
whoever holds the pixels, masks are those of the chosen product.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from abut import product as products
from abut.cache import Cache
from abut.codec import decode_mask
from abut.errors import DigestMismatchError, MissingObjectError
from abut.lattice import BlockRange
from abut.layout import BAND, CLASSIFICATION, DETECTOR_FOOTPRINT, MASK_BLOCKS, QUALITY, bands_of
from abut.pixels import suppliers, threads_for
from abut.regrid import regrid_bits, regrid_ids
from abut.threads import for_each
from abut.unusable import explained

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from abut.blocks import BlockSource
    from abut.lattice import Block, Bounds
    from abut.layout import Band
    from abut.product import Product
    from abut.store import Store

KINDS: Final = ("detector_footprint", "quality", "classification")
"""Kinds of masks."""
SCENE_BAND: Final = BAND["B01"]
"""Whose supplier gives what has no band: classification and sun angles."""

_PATHS: Final = {"detector_footprint": DETECTOR_FOOTPRINT, "quality": QUALITY}
_PRODUCTS: Final = Cache["Product"](128, lambda _: 1)
_CHUNKS: Final = Cache["NDArray[np.uint8] | None"](256_000_000, lambda chunk: 0 if chunk is None else chunk.nbytes)
"""Decoded chunks by store and key: bytes of a key never change."""


@dataclass(frozen=True, slots=True)
class Mask:
    """Which mask of which band."""

    kind: str
    """One of `KINDS`."""
    band: Band = SCENE_BAND
    """The band whose suppliers it follows; B01 for the classification."""

    @property
    def record_name(self) -> str:
        """Name in a product's record."""
        return self.kind if self.kind == "classification" else f"{self.kind}/{self.band.name}"

    @property
    def variable(self) -> str:
        """Name of the variable in a result."""
        return "l1c_classification" if self.kind == "classification" else f"{self.band.key}_{self.kind}"

    def chunk_key(self, row: int, column: int) -> str:
        """Key of a chunk in a product's store."""
        if self.kind == "classification":
            return f"{CLASSIFICATION}/c/{row}/{column}"
        index = bands_of(self.band.resolution).index(self.band)
        return f"{_PATHS[self.kind]}/{self.band.group}/c/{index}/{row}/{column}"


def read_mask(
    source: BlockSource,
    store: Store,
    window: Bounds,
    mask: Mask,
    slots: Sequence[int],
    *,
    resolution: int | None = None,
) -> NDArray[np.uint8]:
    """Return a mask of a window.

    Parameters
    ----------
    source : BlockSource
        Who holds the blocks.
    store : Store
        The archive that the products are in.
    window : Bounds
        Ground, on the grid of the band and of the resolution.
    mask : Mask
        Which mask.
    slots : sequence of int
        Which steps of the source.
    resolution : int, optional
        Pixel size of the result; default: the band's. Repeated where finer; where coarser all flags that are set in
        the cell, and the detector of the cell's first pixel that has one.

    Returns
    -------
    ndarray of uint8, shape (slot, y, x)
        0 where nobody holds the block, and where the product has no such mask.

    Raises
    ------
    MissingObjectError, ProductNotFoundError
        If a product or its objects are gone.
    DigestMismatchError
        If an object is not what was ingested.
    """
    size = mask.band.resolution
    target = resolution or size
    whole: NDArray[np.uint8] = np.zeros((len(slots), *window.shape(target)), np.uint8)

    def place(step: tuple[int, int, Block]) -> None:
        row, slot, block = step
        part = block.bounds.intersection(window)
        if part is not None and source.parts(slot, block):
            pixels = supplied(source, store, mask, slot, block, part)[0]
            if mask.kind == "detector_footprint":
                pixels = regrid_ids(pixels, size, target)[0]
            else:
                pixels = regrid_bits(pixels, size, target)
            whole[row][window.slices(part, target)] = pixels

    steps = ((row, slot, block) for row, slot in enumerate(slots) for block in BlockRange.around(window))
    for_each(steps, place, threads_for(source))
    return whole


def supplied(  # noqa: PLR0917 - a place has that many coordinates
    source: BlockSource, store: Store, mask: Mask, slot: int, block: Block, part: Bounds
) -> tuple[NDArray[np.uint8], tuple[str, ...], NDArray[np.uint8]]:
    """Return a mask of a part of a block at the band's pixels, and who supplied them: ids and the index of each."""
    names, index = suppliers(source, slot, mask.band, block, part)
    shape = part.shape(mask.band.resolution)
    if not names:
        return np.zeros(shape, np.uint8), (), np.zeros(shape, np.uint8)
    if index is None:
        return mask_of(store, names[0], mask, block, part), names, np.zeros(shape, np.uint8)
    pixels: NDArray[np.uint8] = np.zeros(shape, np.uint8)
    for number in np.unique(index):
        np.copyto(pixels, mask_of(store, names[number], mask, block, part), where=index == number)
    return pixels, names, index


def mask_of(store: Store, product_id: str, mask: Mask, block: Block, part: Bounds) -> NDArray[np.uint8]:
    """Return a product's own mask on a part of a block; 0 beyond its legacy footprint. Errors as `read_mask`."""
    return of_product(store, product_id, lambda product: _region(store, product, mask, block, part))


def of_product[T](store: Store, product_id: str, read: Callable[[Product], T]) -> T:
    """Read something of a product; once more if it was ingested again since it was looked up."""
    where = (store.url, product_id)
    known = _PRODUCTS.get(where, lambda: _load(store, product_id))
    try:
        return read(known)
    except MissingObjectError:
        _PRODUCTS.forget(where)
        renewed = _PRODUCTS.get(where, lambda: _load(store, product_id))
        if renewed.prefix == known.prefix:
            raise
        return read(renewed)


def _load(store: Store, product_id: str) -> Product:
    with explained(f"{store.url}/{products.item_key(product_id)}"):
        return products.load(store, product_id)


def _region(store: Store, product: Product, mask: Mask, block: Block, part: Bounds) -> NDArray[np.uint8]:
    if mask.record_name not in product.record.masks:
        return np.zeros(part.shape(mask.band.resolution), np.uint8)
    row, column = product.tile.hull.position(block)
    key = mask.chunk_key(row // MASK_BLOCKS, column // MASK_BLOCKS)
    side = mask.band.block_pixels
    chunk = _CHUNKS.get((store.url, product.folder, key), lambda: _chunk(store, product, key, MASK_BLOCKS * side))
    if chunk is None:
        return np.zeros(part.shape(mask.band.resolution), np.uint8)
    top, left = row % MASK_BLOCKS * side, column % MASK_BLOCKS * side
    return chunk[top : top + side, left : left + side][block.bounds.slices(part, mask.band.resolution)]


def _chunk(store: Store, product: Product, key: str, side: int) -> NDArray[np.uint8] | None:
    """Read a chunk of a product's masks; None for one that was not written because it is all zeros."""
    entry = product.record.objects.get(key)
    if entry is None:
        return None
    where = f"{store.url}/{product.folder}/{key}"
    with explained(where):
        data = store.get(f"{product.folder}/{key}")
    found = hashlib.sha256(data).hexdigest()
    if found != entry.digest:
        raise DigestMismatchError(f"{where}: SHA-256 {found}, recorded was {entry.digest}")
    try:
        return decode_mask(data, side)
    except ValueError as error:
        raise DigestMismatchError(f"{where}: {error}") from error
