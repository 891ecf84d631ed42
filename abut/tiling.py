"""The Sentinel-2 tiling grid: tiles, their hulls, and who ranks first for a block.

The grid of 56,686 tiles ships with the package (`data/tiles.xz`: one record of id, easting / 60 and
(northing - equator) / 60 of the upper left corner per tile, sorted by id, xz-compressed).
"""

from __future__ import annotations

import lzma
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Final

import numpy as np

from abut.errors import InvalidTileError
from abut.lattice import GRID_STEP, Block, BlockRange, Bounds, Zone

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

TILE_SIZE: Final = 109_800
"""Side of a legacy footprint in metres."""


@dataclass(frozen=True, slots=True, order=True)
class Tile:
    """An MGRS tile of the Sentinel-2 tiling grid.

    Get one with `tile`; the constructor is for the grid itself.
    """

    id: str
    """Five characters such as ``32TNM``."""
    zone: Zone
    """UTM zone of its grid."""
    ulx: int
    """Easting of the upper left corner in metres."""
    uly: int
    """Northing of the upper left corner in metres."""

    @property
    def footprint(self) -> Bounds:
        """The legacy footprint: the square of 109,800 m that the SAFE's images cover."""
        return Bounds(self.zone, self.ulx, self.uly - TILE_SIZE, self.ulx + TILE_SIZE, self.uly)

    @property
    def hull(self) -> BlockRange:
        """The smallest rectangle of blocks around the footprint: 12 or 13 blocks a side."""
        return BlockRange.around(self.footprint)

    def __str__(self) -> str:
        return self.id


@cache
def _records() -> NDArray[np.void]:
    packed = files("abut").joinpath("data/tiles.xz").read_bytes()
    return np.frombuffer(lzma.decompress(packed), dtype=[("id", "S5"), ("x", "<u2"), ("y", "<i4")])


def _tile(record: np.void) -> Tile:
    name = record["id"].decode("ascii")
    zone = Zone((32600 if name[2] >= "N" else 32700) + int(name[:2]))
    return Tile(name, zone, GRID_STEP * int(record["x"]), zone.equator + GRID_STEP * int(record["y"]))


def tile(name: str) -> Tile:
    """Return the tile of an id.

    Parameters
    ----------
    name : str
        Five characters, with or without a leading ``T`` or ``MGRS-``, such as ``32TNM``.

    Raises
    ------
    InvalidTileError
        If the Sentinel-2 grid has no such tile.
    """
    short = name.upper().removeprefix("MGRS-")
    short = short[1:] if len(short) == 6 and short.startswith("T") else short
    records = _records()
    key = short.encode("ascii", "replace")
    found = int(np.searchsorted(records["id"], key))
    if len(key) != 5 or found == len(records) or records["id"][found] != key:
        raise InvalidTileError(f"{name!r} is not a tile of the Sentinel-2 grid")
    return _tile(records[found])


def all_tiles() -> Iterator[Tile]:
    """Every tile of the grid, sorted by id."""
    return map(_tile, _records())


@cache
def tiles_of(zone: Zone) -> tuple[Tile, ...]:
    """All tiles of one zone and hemisphere, sorted by id."""
    ids = _records()["id"].astype("U5")
    inside = np.char.startswith(ids, f"{zone.number:02d}") & (
        (np.char.greater_equal(np.char.ljust(ids, 5), f"{zone.number:02d}N")) == (zone.epsg < 32700)
    )
    return tuple(map(_tile, _records()[inside]))


@cache
def _corners_of(zone: Zone) -> NDArray[np.int64]:
    return np.array([(t.ulx, t.uly) for t in tiles_of(zone)], dtype=np.int64).reshape(-1, 2)


def tiles_touching(bounds: Bounds) -> tuple[Tile, ...]:
    """Return the tiles whose legacy footprint shares area with some ground, sorted by id."""
    ulx, uly = _corners_of(bounds.zone).T
    touches = (
        (ulx < bounds.right) & (ulx + TILE_SIZE > bounds.left) & (uly > bounds.bottom) & (uly - TILE_SIZE < bounds.top)
    )
    tiles = tiles_of(bounds.zone)
    return tuple(tiles[i] for i in np.flatnonzero(touches))


def rank_key(block: Block, candidate: Tile) -> tuple[int, int, str]:
    """Sort key that puts a block's tiles into their rank: a strict total order.

    Tiles that contain the block wholly come first, nearest centre first; then the others, largest covered part
    first; ties are broken by tile id. All in integers: distances are squared and doubled coordinates.

    Raises
    ------
    ValueError
        If the tile does not touch the block.
    """
    square, footprint = block.bounds, candidate.footprint
    covered = footprint.intersection(square)
    if covered is None:
        raise ValueError(f"tile {candidate} does not touch block {block}")
    if covered == square:
        dx = square.left + square.right - footprint.left - footprint.right
        dy = square.bottom + square.top - footprint.bottom - footprint.top
        return 0, dx * dx + dy * dy, candidate.id
    return 1, -covered.area, candidate.id


def ranked(block: Block, candidates: Iterable[Tile] | None = None) -> tuple[Tile, ...]:
    """Tiles that touch a block, best rank first (by default: of the whole grid)."""
    if candidates is None:
        candidates = tiles_touching(block.bounds)
    return tuple(sorted(candidates, key=lambda candidate: rank_key(block, candidate)))


def owner(block: Block) -> Tile | None:
    """Return the best-ranked tile of the grid for a block, or None where no tile touches it."""
    tiles = ranked(block)
    return tiles[0] if tiles else None
