"""A zone as one Zarr hierarchy: which arrays there are, what they span, and what the key of a chunk means.

Shape and origin of the arrays depend on the zone alone: they span the smallest rectangle of blocks that covers all
tiles which the tiling grid has in the zone. So a block has the same place in every zone view, whatever its period.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING, Final

from abut.errors import InvalidWindowError
from abut.lattice import RESOLUTIONS, Block, BlockRange, Bounds, Zone
from abut.layout import BANDS
from abut.tiling import TILE_SIZE, tiles_of
from abut.view_masks import Mask

if TYPE_CHECKING:
    from abut.layout import Band

AXIS_BLOCKS: Final = 96
"""Length of the chunks of the axes x and y, in blocks: 92,160 pixel centres at 10 m."""

_EPSG: Final = re.compile(r"(?:EPSG:)?(\d{5})", re.ASCII | re.IGNORECASE)
_INDEX: Final = re.compile(r"(?:0|[1-9]\d{0,8})(?:/(?:0|[1-9]\d{0,8}))*", re.ASCII)


def parse_zone(zone: Zone | int | str) -> Zone:
    """Return the zone of an EPSG code, such as ``32632``, ``"32632"`` or ``"EPSG:32632"``.

    Raises
    ------
    InvalidWindowError
        If it is not that of a UTM zone.
    """
    if isinstance(zone, Zone):
        return zone
    found = _EPSG.fullmatch(str(zone).strip())
    try:
        return Zone(int(found[1]) if found else 0)
    except ValueError:
        raise InvalidWindowError(
            f"zone {zone!r} is not the EPSG code of a WGS 84 / UTM zone (32601...32660, 32701...32760)"
        ) from None


@cache
def zone_blocks(zone: Zone) -> BlockRange:
    """Return the blocks that all arrays of a zone span: the smallest rectangle around all its tiles.

    Raises
    ------
    InvalidWindowError
        If the tiling grid has no tile in the zone.
    """
    corners = [(tile.ulx, tile.uly) for tile in tiles_of(zone)]
    if not corners:
        raise InvalidWindowError(f"the tiling grid has no tile in {zone}")
    eastings, northings = zip(*corners, strict=True)
    ground = Bounds(zone, min(eastings), min(northings) - TILE_SIZE, max(eastings) + TILE_SIZE, max(northings))
    return BlockRange.around(ground)


@dataclass(frozen=True, slots=True)
class BandChunk:
    """A block of a band at a step."""

    band: Band
    """The band."""
    slot: int
    """Index of the step."""
    block: Block
    """The block."""


@dataclass(frozen=True, slots=True)
class MaskChunk:
    """A block of a mask at a step."""

    mask: Mask
    """The mask."""
    slot: int
    """Index of the step."""
    block: Block
    """The block."""


@dataclass(frozen=True, slots=True)
class AxisChunk:
    """A part of the coordinates x or y."""

    axis: str
    """``x`` or ``y``."""
    resolution: int
    """Pixel size in metres."""
    number: int
    """Index of the chunk."""


@dataclass(frozen=True, slots=True)
class SourceChunk:
    """Who holds the blocks at a step."""

    slot: int
    """Index of the step."""


type Chunk = BandChunk | MaskChunk | AxisChunk | SourceChunk
"""What the key of a chunk means."""


@dataclass(frozen=True)
class ZoneLayout:
    """Which arrays a zone view has."""

    zone: Zone
    """The zone."""
    steps: int
    """Length of the time axis."""
    bands: tuple[Band, ...] = BANDS
    """Bands, in the order of ``bandId``."""
    masks: bool = True
    """Whether there are masks."""
    resolution: int | None = None
    """Pixel size of the bands that lie in the root, without groups; None: all bands, in groups r10m, r20m, r60m."""

    @property
    def blocks(self) -> BlockRange:
        """Blocks that the arrays span."""
        return zone_blocks(self.zone)

    @property
    def groups(self) -> dict[int, str]:
        """Paths of the groups by pixel size."""
        if self.resolution is not None:
            return {self.resolution: ""}
        sizes = {band.resolution for band in self.bands}
        return {size: f"r{size}m" for size in RESOLUTIONS if size in sizes}

    def bands_of(self, resolution: int) -> tuple[Band, ...]:
        """Return the bands of a pixel size."""
        return tuple(band for band in self.bands if band.resolution == resolution)

    def masks_of(self, resolution: int) -> tuple[Mask, ...]:
        """Return the masks of a pixel size."""
        if not self.masks:
            return ()
        found = [Mask(kind, band) for kind in ("detector_footprint", "quality") for band in self.bands_of(resolution)]
        return (*found, Mask("classification")) if resolution == 60 else tuple(found)

    @cached_property
    def arrays(self) -> dict[str, Band | Mask | tuple[str, int] | None]:
        """What arrays whose chunks are made on demand are: band, mask, (axis, pixel size), or None for `source`."""
        found: dict[str, Band | Mask | tuple[str, int] | None] = {"source": None}
        for size, group in self.groups.items():
            prefix = f"{group}/" if group else ""
            found |= {f"{prefix}{axis}": (axis, size) for axis in ("x", "y")}
            found |= {f"{prefix}{band.key}": band for band in self.bands_of(size)}
            found |= {f"{prefix}{mask.variable}": mask for mask in self.masks_of(size)}
        return found

    def axis_chunks(self, axis: str) -> int:
        """Return into how many chunks an axis is cut."""
        rows, columns = self.blocks.shape
        return -(-(columns if axis == "x" else rows) // AXIS_BLOCKS)

    def chunk(self, key: str) -> Chunk | None:
        """Return what a key means; None if it is not that of a chunk that is made on demand."""
        path, mark, index = key.partition("/c/")
        if not mark or path not in self.arrays or not _INDEX.fullmatch(index):
            return None
        what, place = self.arrays[path], tuple(int(number) for number in index.split("/"))
        if isinstance(what, tuple):
            inside = len(place) == 1 and place[0] < self.axis_chunks(what[0])
            return AxisChunk(*what, place[0]) if inside else None
        if len(place) != 3 or place[0] >= self.steps:
            return None
        slot, row, column = place
        if what is None:
            return SourceChunk(slot) if row == column == 0 else None
        rows, columns = self.blocks.shape
        if row >= rows or column >= columns:
            return None
        block = self.blocks.block(row, column)
        return MaskChunk(what, slot, block) if isinstance(what, Mask) else BandChunk(what, slot, block)

    def key(self, path: str, slot: int, block: Block) -> str:
        """Return the key of a block in the array of a band or mask."""
        row, column = self.blocks.position(block)
        return f"{path}/c/{slot}/{row}/{column}"
