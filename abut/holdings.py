"""Who holds which block, for thousands of products at once: ledgers as bitmaps instead of sets of blocks.

The same objects that `abut.ledger` reads, for those who plan reads of a whole zone. Blocks of a product are numbered
as in the ledger's JSON: row by row from the north-west corner of its hull.
"""

from __future__ import annotations

import base64
import functools
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from abut.errors import InvalidArchiveError
from abut.ledger import decoded, key
from abut.tiling import Tile, tile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from numpy.typing import NDArray

    from abut.lattice import BlockRange
    from abut.store import Store

_LOCAL_THREADS: Final = 4
_REMOTE_THREADS: Final = 32


@functools.cache
def hull_of(where: Tile) -> BlockRange:
    """Return the hull of a tile, made once."""
    return where.hull


@dataclass(frozen=True, slots=True)
class Held:
    """What a product holds."""

    product: str
    """Product id."""
    prefix: str
    """Folder of its store: ``<id>.<attempt>.zarr``, beside the item."""
    tile: Tile
    """Its tile."""
    live: bool
    """Whether searches and views see it."""
    bits: bytes
    """A byte for each block of the hull: 1 if it holds the block's objects."""
    released: tuple[tuple[str, tuple[int, ...]], ...] = ()
    """Ids of products that hold blocks for it, and the numbers of those blocks."""

    @property
    def mask(self) -> NDArray[np.bool_]:
        """Blocks that it holds, of the shape of its hull; row 0 in the north. Not to be written."""
        return np.frombuffer(self.bits, np.bool_).reshape(hull_of(self.tile).shape)


@dataclass(frozen=True, slots=True)
class Holdings:
    """What a ledger says."""

    layer: str
    """Name of the layer."""
    revision: int
    """Revision of the ledger; 0 if there is none."""
    members: Mapping[str, Held]
    """Members by product id, withdrawn ones included."""


def load_all(store: Store, layers: Iterable[str]) -> dict[str, Holdings]:
    """Read the ledgers of layers, several at once; a layer without one has no members.

    Raises
    ------
    InvalidArchiveError
        If one can't be understood.
    """

    def load(layer: str) -> Holdings:
        found = store.read(key(layer))
        if found is None:
            return Holdings(layer, 0, {})
        return decode(found.data, f"{store.url}/{key(layer)}")

    names = list(layers)
    return dict(zip(names, in_threads(store, load, names), strict=True))


def in_threads[A, B](store: Store, function: Callable[[A], B], values: Iterable[A]) -> list[B]:
    """Return a function's results in the order of its arguments, made by as many threads as suit a store."""
    wanted = list(values)
    if len(wanted) < 2:
        return [function(value) for value in wanted]
    with ThreadPoolExecutor(_LOCAL_THREADS if store.root else _REMOTE_THREADS) as pool:
        return list(pool.map(function, wanted))


def decode(data: bytes, source: str) -> Holdings:
    """Read a ledger's JSON; what `abut.ledger.decode` refuses is refused here.

    Raises
    ------
    InvalidArchiveError
        If it can't be understood.
    """
    layer, revision, members = decoded(data, source, _member)
    return Holdings(layer, revision, {member.product: member for member in members})


def _member(entry: Mapping[str, Any]) -> Held:
    where = tile(entry["tile"])
    size = len(hull_of(where))
    if entry["withdrawn"]:
        datetime.fromisoformat(entry["withdrawn"])
    released: dict[str, list[int]] = {}
    for group in entry["released"]:
        datetime.fromisoformat(group["since"])
        released.setdefault(group["to"], []).extend(_numbers(group["blocks"], size))
    bits = np.zeros(size, np.bool_)
    bits[_numbers(entry["held"], size)] = True
    return Held(
        product=entry["product"],
        prefix=entry["prefix"],
        tile=where,
        live=not entry["withdrawn"] and not entry["removed"],
        bits=bits.tobytes(),
        released=tuple((to, tuple(blocks)) for to, blocks in released.items()),
    )


def _numbers(blocks: list[int], size: int) -> list[int]:
    """Return numbers of blocks, checked."""
    if blocks and (set(map(type, blocks)) != {int} or min(blocks) < 0 or max(blocks) >= size):
        raise ValueError(f"blocks {blocks} are no numbers from 0 to {size - 1}")
    return blocks


def unsettled(item: Mapping[str, Any], source: str) -> Held:
    """Return what a committed product holds before a ledger knows it: all its blocks that are not empty.

    Raises
    ------
    InvalidArchiveError
        If the item is not that of a product.
    """
    try:
        properties = item["properties"]
        where, blocks = tile(properties["grid:code"]), properties["abut:blocks"]
        size = len(hull_of(where))
        packed = np.frombuffer(base64.b64decode(blocks["valid"], validate=True), np.uint8)
        if not isinstance(properties["abut:layer"], str):
            raise TypeError(f"layer {properties['abut:layer']!r}")
        if tuple(blocks["shape"]) != hull_of(where).shape or len(packed) != -(-size // 8):
            raise ValueError(f"bitmap {blocks['valid']!r} does not fit tile {where}")
        bits = np.unpackbits(packed)[:size].astype(np.bool_).tobytes()
        return Held(item["id"], properties["abut:store"], where, live=True, bits=bits)
    except (KeyError, ValueError, TypeError) as error:
        raise InvalidArchiveError(f"{source}: not the item of a product ({error})") from error
