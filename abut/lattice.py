"""The lattice: zones, blocks counted from the equator, and rectangles of blocks.

Everything is in whole metres of the zone's own UTM projection. Each zone is cut into blocks of 9,600 m, counted
from easting 0 and from the **equator** (northing 0 in the north, 10,000,000 in the south). 9,600 m is the largest
round size under the narrowest overlap of two tiles (9,780 m), so every block that the tiles cover wholly lies
inside at least one tile.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

BLOCK_SIZE: Final = 9_600
"""Side of a block in metres."""

GRID_STEP: Final = 60
"""Tile origins, blocks and windows lie on a grid of this many metres."""

RESOLUTIONS: Final = (10, 20, 60)
"""Pixel sizes of the instrument's bands in metres."""

SOUTHERN_EQUATOR: Final = 10_000_000
"""Northing of the equator in southern UTM zones (false northing)."""


@dataclass(frozen=True, slots=True, order=True)
class Zone:
    """A UTM zone and hemisphere.

    Parameters
    ----------
    epsg : int
        EPSG code of WGS 84 / UTM: 32601 ... 32660 (north) or 32701 ... 32760 (south).

    Raises
    ------
    ValueError
        If the code is not one of those.
    """

    epsg: int
    """EPSG code."""

    def __post_init__(self) -> None:
        if self.epsg // 100 not in (326, 327) or not 1 <= self.epsg % 100 <= 60:
            raise ValueError(f"EPSG:{self.epsg} is not a WGS 84 / UTM zone (32601...32660, 32701...32760)")

    @property
    def number(self) -> int:
        """Number of the UTM zone, 1 ... 60."""
        return self.epsg % 100

    @property
    def equator(self) -> int:
        """Northing of the equator in metres: 0 in the north, 10,000,000 in the south."""
        return SOUTHERN_EQUATOR if self.epsg >= 32700 else 0

    def __str__(self) -> str:
        return f"EPSG:{self.epsg}"


@dataclass(frozen=True, slots=True)
class Bounds:
    """A rectangle of ground in one zone, in whole metres, edges included on the left and bottom.

    Raises
    ------
    ValueError
        If it has no area.
    """

    zone: Zone
    """The zone whose coordinates these are."""
    left: int
    """Smallest easting."""
    bottom: int
    """Smallest northing."""
    right: int
    """Largest easting."""
    top: int
    """Largest northing."""

    def __post_init__(self) -> None:
        if self.left >= self.right or self.bottom >= self.top:
            raise ValueError(f"empty bounds: {self.left} {self.bottom} {self.right} {self.top}")

    @classmethod
    def around(cls, parts: Iterable[Bounds]) -> Bounds:
        """Return the smallest rectangle around parts of one zone.

        Raises
        ------
        ValueError
            If there are none, or they lie in several zones.
        """
        some = list(parts)
        zones = {part.zone for part in some}
        if len(zones) != 1:
            raise ValueError(f"{len(some)} rectangles of {len(zones)} zones have nothing around them")
        return cls(
            zones.pop(),
            min(part.left for part in some),
            min(part.bottom for part in some),
            max(part.right for part in some),
            max(part.top for part in some),
        )

    @property
    def width(self) -> int:
        """Extent in easting in metres."""
        return self.right - self.left

    @property
    def height(self) -> int:
        """Extent in northing in metres."""
        return self.top - self.bottom

    @property
    def area(self) -> int:
        """Area in square metres."""
        return self.width * self.height

    def intersection(self, other: Bounds) -> Bounds | None:
        """Ground in both, or None where they share no area (or lie in different zones)."""
        if self.zone != other.zone:
            return None
        left, right = max(self.left, other.left), min(self.right, other.right)
        bottom, top = max(self.bottom, other.bottom), min(self.top, other.top)
        if left >= right or bottom >= top:
            return None
        return Bounds(self.zone, left, bottom, right, top)

    def contains(self, other: Bounds) -> bool:
        """Whether all of `other` lies inside."""
        return (
            self.zone == other.zone
            and self.left <= other.left
            and self.bottom <= other.bottom
            and other.right <= self.right
            and other.top <= self.top
        )

    def buffered(self, metres: int) -> Bounds:
        """Return the rectangle grown on all sides by `metres` (shrunk if negative)."""
        return Bounds(self.zone, self.left - metres, self.bottom - metres, self.right + metres, self.top + metres)

    def shape(self, resolution: int) -> tuple[int, int]:
        """Rows and columns at a pixel size in metres.

        Raises
        ------
        ValueError
            If the sides are no multiples of the pixel size.
        """
        if self.height % resolution or self.width % resolution:
            raise ValueError(f"{self.width} x {self.height} m is not a whole number of {resolution} m pixels")
        return self.height // resolution, self.width // resolution

    def slices(self, part: Bounds, resolution: int) -> tuple[slice, slice]:
        """Rows and columns of `part` in an array that spans these bounds (row 0 at the top).

        Raises
        ------
        ValueError
            If `part` is not inside, or not aligned to the pixels.
        """
        offsets = (self.top - part.top, part.left - self.left)
        if not self.contains(part) or any(offset % resolution for offset in offsets):
            raise ValueError(f"{part} is not an aligned part of {self} at {resolution} m")
        rows, columns = part.shape(resolution)
        row, column = offsets[0] // resolution, offsets[1] // resolution
        return slice(row, row + rows), slice(column, column + columns)


@dataclass(frozen=True, slots=True, order=True)
class Block:
    """The square of 9,600 m that starts at easting 9,600 p and at the equator's northing + 9,600 q."""

    zone: Zone
    """The zone that it is a part of."""
    p: int
    """Index in easting, counted from easting 0."""
    q: int
    """Index in northing, counted from the equator; negative in the south."""

    @property
    def bounds(self) -> Bounds:
        """The ground that it covers."""
        left, bottom = BLOCK_SIZE * self.p, self.zone.equator + BLOCK_SIZE * self.q
        return Bounds(self.zone, left, bottom, left + BLOCK_SIZE, bottom + BLOCK_SIZE)

    def __str__(self) -> str:
        return f"{self.zone.epsg}/{self.p}/{self.q}"


@dataclass(frozen=True, slots=True)
class BlockRange:
    """A rectangle of blocks; rows run from north to south, columns from west to east.

    Raises
    ------
    ValueError
        If it has no block.
    """

    zone: Zone
    """The zone of all its blocks."""
    p0: int
    """Westmost p."""
    q0: int
    """Southmost q."""
    p1: int
    """One past the eastmost p."""
    q1: int
    """One past the northmost q."""

    def __post_init__(self) -> None:
        if self.p0 >= self.p1 or self.q0 >= self.q1:
            raise ValueError(f"empty block range: p {self.p0}...{self.p1}, q {self.q0}...{self.q1}")

    @classmethod
    def around(cls, bounds: Bounds) -> BlockRange:
        """Return the smallest rectangle of blocks around some ground: its *hull*."""
        equator = bounds.zone.equator
        return cls(
            bounds.zone,
            bounds.left // BLOCK_SIZE,
            (bounds.bottom - equator) // BLOCK_SIZE,
            -(-bounds.right // BLOCK_SIZE),
            -(-(bounds.top - equator) // BLOCK_SIZE),
        )

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows and columns of blocks."""
        return self.q1 - self.q0, self.p1 - self.p0

    @property
    def bounds(self) -> Bounds:
        """The ground that they cover together."""
        equator = self.zone.equator
        return Bounds(
            self.zone,
            BLOCK_SIZE * self.p0,
            equator + BLOCK_SIZE * self.q0,
            BLOCK_SIZE * self.p1,
            equator + BLOCK_SIZE * self.q1,
        )

    def block(self, row: int, column: int) -> Block:
        """Return the block in a row (0 = northmost) and column (0 = westmost).

        Raises
        ------
        IndexError
            If it is outside.
        """
        rows, columns = self.shape
        if not (0 <= row < rows and 0 <= column < columns):
            raise IndexError(f"block row {row}, column {column} is outside {rows} x {columns}")
        return Block(self.zone, self.p0 + column, self.q1 - 1 - row)

    def position(self, block: Block) -> tuple[int, int]:
        """Row and column of a block: its Zarr chunk key in an array that spans the range.

        Raises
        ------
        KeyError
            If the block is not in the range.
        """
        if block not in self:
            raise KeyError(f"block {block} is not in {self}")
        return self.q1 - 1 - block.q, block.p - self.p0

    def __contains__(self, block: Block) -> bool:
        return block.zone == self.zone and self.p0 <= block.p < self.p1 and self.q0 <= block.q < self.q1

    def __iter__(self) -> Iterator[Block]:
        for q in range(self.q1 - 1, self.q0 - 1, -1):
            for p in range(self.p0, self.p1):
                yield Block(self.zone, p, q)

    def __len__(self) -> int:
        rows, columns = self.shape
        return rows * columns
