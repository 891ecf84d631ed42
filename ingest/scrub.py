"""Scrubbing: reading every object of a product again and comparing it with the digest recorded at ingest."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from abut.codec import decode_block
from abut.errors import MissingObjectError
from abut.layout import BAND, block_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from abut.archive import Archive
    from abut.product import Product


def wrong_digests(archive: Archive, product: Product, keys: Iterable[str]) -> Iterator[str]:
    """Yield those keys, below the product's store folder, whose pixels or bytes are not what was recorded."""
    hull = product.tile.hull
    blocks = {
        block_key(BAND[name].path, *hull.position(block)): (BAND[name], entry.digest)
        for name, band in product.record.bands.items()
        for block, entry in band.blocks.items()
    }
    for key in keys:
        try:
            data = archive.store.get(f"{product.folder}/{key}")
            if key in blocks:
                band, expected = blocks[key]
                digest = hashlib.sha256(decode_block(data, band.block_pixels, archive.profile)).hexdigest()
            else:
                expected = product.record.objects[key].digest
                digest = hashlib.sha256(data).hexdigest()
        except (MissingObjectError, ValueError):
            yield key
            continue
        if digest != expected:
            yield key
