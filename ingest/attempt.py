"""One attempt to write a product: every object under its own prefix, band by band, so that another run can go on.

A key's bytes never change: objects are created, never replaced. Where an object is there already, left by a run that
died, it must have the same bytes, or the attempt is given up.
"""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from abut import product as products
from abut.codec import DTYPE, decode_block, encode_block
from abut.errors import ConflictError, InvalidSafeError, MissingObjectError
from abut.layout import OVERVIEWS, RECORD, block_key
from abut.product import BandRecord, BlockRecord, FileRecord, Record
from ingest import claims
from ingest.blocks import WrittenBand, write_band
from ingest.overviews import CHUNK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from abut.archive import Archive
    from abut.lattice import Block
    from abut.layout import Band
    from ingest.claims import Claim
    from ingest.source import Source


@dataclass(slots=True)
class Attempt:
    """The state of an attempt that is being written; its claim changes as bands are done."""

    archive: Archive
    """Where."""
    source: Source
    """What."""
    claim: Claim
    """The claim as last written."""
    lock: threading.Lock
    """Guards the claim."""
    stop: threading.Event
    """Set when one thread failed, so that the others end soon."""

    @property
    def folder(self) -> str:
        """Key of the attempt's store folder."""
        return f"products/{self.claim.prefix}"

    def put(self, key: str, data: bytes) -> None:
        """Create an object below the store folder.

        Raises
        ------
        ConflictError
            If there is one with other bytes.
        """
        if self.stop.is_set():
            raise ConflictError(f"{self.folder}: another thread of this attempt failed")
        where = f"{self.folder}/{key}"
        if not self.archive.store.put_new(where, data) and self.archive.store.get(where) != data:
            raise ConflictError(f"{where}: a run that died left other bytes there")


def write(
    archive: Archive, source: Source, claim: Claim, *, threads: int, done: Callable[[str], None]
) -> tuple[Claim, Record]:
    """Write all objects of a product.

    Parameters
    ----------
    archive : Archive
        Where to.
    source : Source
        The product.
    claim : Claim
        The attempt; bands that it records as complete are not decoded again.
    threads : int
        Bands worked on at once.
    done : callable
        Called with the name of each band that is complete.

    Returns
    -------
    Claim
        The claim as it is now.
    Record
        What was written; it lies in the store as the last object.

    Raises
    ------
    InvalidSafeError
        If the source turns out broken, or has no valid pixel.
    ConflictError
        If another run took the attempt over, or left other bytes.
    """
    attempt = Attempt(archive, source, claim, threading.Lock(), threading.Event())

    def one(band: Band) -> None:
        if not _is_complete(attempt, band):
            _write_band(attempt, band)
        done(band.name)

    if threads == 1:
        for band in source.bands:
            one(band)
    else:
        _in_threads(attempt, one, threads)
    bands, objects = _collect(attempt)
    _write_zero_blocks(attempt, bands)
    masks: dict[str, str] = {}
    for key, data in source.extras(masks, archive.profile):
        attempt.put(key, data)
        objects[key] = FileRecord(hashlib.sha256(data).hexdigest(), len(data))
    record = Record(product=source.id, tile=source.tile, bands=bands, masks=masks, objects=objects, safe=source.safe)
    data = products.encode(record)
    attempt.put(RECORD, data)
    _require_all(attempt, record, len(data))
    archive.store.flush()
    return attempt.claim, record


def discard(archive: Archive, claim: Claim) -> None:
    """Give an attempt up and delete what it wrote; leave it to `check --repair` if another run has taken it over."""
    with contextlib.suppress(ConflictError):
        claims.renew(archive.store, replace(claim, state="dead", bands={}, item=None))
        delete_objects(archive, claim)


def delete_objects(archive: Archive, claim: Claim) -> None:
    """Delete the objects of an attempt that was given up, and at last its claim."""
    store = archive.store
    store.delete([entry.key for entry in store.entries(f"products/{claim.prefix}")])
    store.delete([claim.key])


def _in_threads(attempt: Attempt, one: Callable[[Band], None], threads: int) -> None:
    largest_first = sorted(attempt.source.bands, key=lambda band: band.resolution)
    with ThreadPoolExecutor(threads) as pool:
        futures = [pool.submit(one, band) for band in largest_first]
        try:
            for future in as_completed(futures):
                future.result()
        except BaseException:
            attempt.stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _write_band(attempt: Attempt, band: Band) -> None:
    source = attempt.source
    strips = source.strips(band)
    try:
        written = write_band(band, source.tile, strips, attempt.put, profile=attempt.archive.profile, source=source.id)
    finally:
        if isinstance(strips, Generator):
            strips.close()  # now, in the thread that opened the image, not whenever the error is forgotten
    overviews: dict[str, list[Any]] = {}
    for key, data in _overview_objects(band, written):
        attempt.put(key, data)
        overviews[key] = [hashlib.sha256(data).hexdigest(), len(data)]
    number = {block: index for index, block in enumerate(source.tile.hull)}
    progress = {
        "digest": written.digest,
        "blocks": {str(number[block]): list(entry) for block, entry in written.blocks.items()},
        "overviews": overviews,
    }
    with attempt.lock:
        bands = {**attempt.claim.bands, band.name: progress}
        attempt.claim = claims.renew(attempt.archive.store, replace(attempt.claim, bands=bands))


def _overview_objects(band: Band, written: WrittenBand) -> Iterator[tuple[str, bytes]]:
    """Encode the chunks of a band's overviews that are not empty; chunks at the rim are filled up with zeros."""
    for reduction, level in written.overviews.items():
        for row in range(0, level.shape[0], CHUNK):
            for column in range(0, level.shape[1], CHUNK):
                part = level[row : row + CHUNK, column : column + CHUNK]
                if part.any():
                    chunk = np.zeros((CHUNK, CHUNK), DTYPE)
                    chunk[: part.shape[0], : part.shape[1]] = part
                    path = f"{OVERVIEWS}/{band.group}/{reduction}/{band.key}"
                    yield block_key(path, row // CHUNK, column // CHUNK), encode_block(chunk)


def _is_complete(attempt: Attempt, band: Band) -> bool:
    """Whether an earlier run finished a band, and all its objects are there with the pixels and bytes it recorded."""
    progress = attempt.claim.bands.get(band.name)
    if progress is None:
        return False
    store, columns = attempt.archive.store, attempt.source.tile.hull.shape[1]
    try:
        for number, (digest, _) in progress["blocks"].items():
            data = store.get(f"{attempt.folder}/{block_key(band.path, *divmod(int(number), columns))}")
            pixels = decode_block(data, band.block_pixels, attempt.archive.profile)
            if hashlib.sha256(pixels).hexdigest() != digest:
                return False
        return all(
            hashlib.sha256(store.get(f"{attempt.folder}/{key}")).hexdigest() == digest
            for key, (digest, _) in progress["overviews"].items()
        )
    except (MissingObjectError, ValueError):
        return False


def _collect(attempt: Attempt) -> tuple[dict[str, BandRecord], dict[str, FileRecord]]:
    blocks = list(attempt.source.tile.hull)
    bands: dict[str, BandRecord] = {}
    objects: dict[str, FileRecord] = {}
    for band in attempt.source.bands:
        progress = attempt.claim.bands[band.name]
        bands[band.name] = BandRecord(
            progress["digest"],
            {blocks[int(number)]: BlockRecord(*entry) for number, entry in progress["blocks"].items()},
        )
        objects |= {key: FileRecord(*entry) for key, entry in progress["overviews"].items()}
    return bands, objects


def _write_zero_blocks(attempt: Attempt, bands: dict[str, BandRecord]) -> None:
    """Write the blocks that have data in some other band only: a held block has an object in every band."""
    source = attempt.source
    valid: set[Block] = set().union(*(band.blocks for band in bands.values()))
    if not valid:
        raise InvalidSafeError(f"{source.id}: no pixel of any band has data")
    for band in source.bands:
        missing = valid - bands[band.name].blocks.keys()
        if missing:
            zeros = np.zeros((band.block_pixels, band.block_pixels), DTYPE)
            data = encode_block(zeros, attempt.archive.profile)
            entry = BlockRecord(hashlib.sha256(zeros).hexdigest(), len(data))
            for block in sorted(missing):
                attempt.put(block_key(band.path, *source.tile.hull.position(block)), data)
            blocks = {**bands[band.name].blocks, **dict.fromkeys(missing, entry)}
            bands[band.name] = BandRecord(bands[band.name].digest, blocks)


def _require_all(attempt: Attempt, record: Record, record_size: int) -> None:
    """Compare the store's own listing with what the record says."""
    hull = record.tile.hull
    expected = {key: entry.size for key, entry in record.objects.items()}
    for band in attempt.source.bands:
        for block, entry in record.bands[band.name].blocks.items():
            expected[block_key(band.path, *hull.position(block))] = entry.size
    expected[RECORD] = record_size
    found = {
        entry.key.removeprefix(f"{attempt.folder}/"): entry.size
        for entry in attempt.archive.store.entries(attempt.folder)
    }
    if found != expected:
        odd = sorted(key for key in found.keys() | expected.keys() if found.get(key) != expected.get(key))
        raise ConflictError(f"{attempt.folder}/{odd[0]}: {found.get(odd[0])} bytes, expected {expected.get(odd[0])}")
