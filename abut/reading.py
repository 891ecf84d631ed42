"""What a cube is read from, and how each of its variables is read for any part of it.

Everything here is small and can be pickled: a task on another machine gets it instead of pixels.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from abut.lattice import BLOCK_SIZE, GRID_STEP, BlockRange, Bounds
from abut.marked import marked
from abut.pixels import read_bands
from abut.view_angles import read_sun_angles, read_view_angles
from abut.view_masks import read_mask

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from abut.across import Neighbour
    from abut.blocks import BlockSource
    from abut.layout import Band
    from abut.store import Store
    from abut.view_masks import Mask


@dataclass(frozen=True, slots=True)
class Reading:
    """What a cube is read from."""

    source: BlockSource
    """Blocks of the zone."""
    store: Store
    """The archive that the products are in, for masks and angles."""
    window: Bounds
    """Ground of the whole cube, on the 60 m grid."""
    neighbours: tuple[Neighbour, ...] = ()
    """Other zones that fill what this one lacks, the first first."""
    resampling: str = "nearest"
    """How they are resampled, see `abut.warp.REACH`."""
    threads: int | None = None
    """How many objects are fetched and decoded at once, see `abut.pixels.read_bands`."""
    on_block: Callable[[int], None] | None = field(default=None, compare=False)
    """Called after each block of a band that was read."""

    def pixels(
        self, bands: Sequence[Band], resolution: int, part: Bounds, slots: Sequence[int]
    ) -> tuple[dict[Band, NDArray[np.uint16]], NDArray[np.uint8] | None]:
        """Return DN of bands at a pixel size, and where they come from if more than one zone takes part.

        Returns
        -------
        arrays : dict of Band to ndarray of uint16, shape (slot, y, x)
            DN; 0 is nodata.
        provenance : ndarray of uint8, shape (slot, y, x), or None
            0 nodata, 1 native, 2 reprojected, of these bands together, see `abut.across.fill`.
        """
        arrays = read_bands(
            self.source, part, bands, slots, resolution=resolution, threads=self.threads, on_block=self.on_block
        )
        if not self.neighbours:
            return arrays, None
        from abut.across import Part, fill  # noqa: PLC0415 - needs rasterio and odc-geo, which are extras
        from abut.window import geobox_of  # noqa: PLC0415 - as above

        rows, columns = self.window.slices(part, resolution)
        target = Part(geobox_of(self.window, resolution), rows, columns, arrays)
        provenance = fill(
            target,
            self.neighbours,
            steps=slots,
            resampling=self.resampling,
            threads=self.threads,
            on_block=self.on_block,
        )
        return arrays, provenance


@dataclass(frozen=True, slots=True)
class Pixels:
    """Reads DN or reflectance of a band."""

    reading: Reading
    band: Band
    resolution: int
    reflectance: bool = False

    def __call__(self, part: Bounds, slots: Sequence[int]) -> NDArray[Any]:
        """Return a part of the ground at some steps, (slot, y, x)."""
        arrays, _ = self.reading.pixels([self.band], self.resolution, part, slots)
        return self.finished(arrays[self.band], slots)

    def finished(self, pixels: NDArray[np.uint16], slots: Sequence[int]) -> NDArray[Any]:
        """Return DN as they are, or as reflectance."""
        if not self.reflectance:
            return pixels
        result: NDArray[np.float32] = np.empty(pixels.shape, np.float32)
        for row, slot in enumerate(slots):
            at = self.reading.source.slots[slot]
            offset = at.radio_add_offset.get(self.band.name, 0)
            result[row] = reflectance_of(pixels[row], offset, at.quantification_value)
        return result


@dataclass(frozen=True, slots=True)
class MarkedPixels:
    """Reads DN or reflectance of a band, and where they come from: both in one reading, see `abut.marked`."""

    pixels: Pixels

    def __call__(self, part: Bounds, slots: Sequence[int]) -> NDArray[Any]:
        """Return a part of the ground at some steps, (slot, y, x)."""
        pixels = self.pixels
        arrays, provenance = pixels.reading.pixels([pixels.band], pixels.resolution, part, slots)
        assert provenance is not None  # noqa: S101 - only made where other zones take part
        return marked(pixels.finished(arrays[pixels.band], slots), provenance)


@dataclass(frozen=True, slots=True)
class MaskPixels:
    """Reads a mask."""

    reading: Reading
    mask: Mask
    resolution: int

    def __call__(self, part: Bounds, slots: Sequence[int]) -> NDArray[np.uint8]:
        """Return a part of the ground at some steps, (slot, y, x)."""
        reading = self.reading
        return read_mask(reading.source, reading.store, part, self.mask, slots, resolution=self.resolution)


@dataclass(frozen=True, slots=True)
class AnglePixels:
    """Reads a viewing angle of a band, or of the sun for no band."""

    reading: Reading
    band: Band | None
    kind: int
    """0 zenith, 1 azimuth."""
    resolution: int

    def __call__(self, part: Bounds, slots: Sequence[int]) -> NDArray[np.float32]:
        """Return a part of the ground at some steps, (slot, y, x)."""
        return self.both(part, slots)[self.kind]

    def both(self, part: Bounds, slots: Sequence[int]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return zenith and azimuth, which are read together."""
        reading = self.reading
        if self.band is None:
            return read_sun_angles(reading.source, reading.store, part, self.resolution, slots)
        return read_view_angles(reading.source, reading.store, part, self.band, self.resolution, slots)


def reflectance_of(pixels: NDArray[np.uint16], offset: int, quantification: int) -> NDArray[np.float32]:
    """Return reflectance: (DN + offset) / quantification value as float32, NaN where DN is 0.

    Sum and divisor are whole numbers that float32 holds exactly, so the quotient is rounded once.
    """
    result: NDArray[np.float32] = (pixels.astype(np.int32) + offset).astype(np.float32) / np.float32(quantification)
    result[pixels == 0] = np.nan
    return result


def snapped_out(bounds: Bounds) -> Bounds:
    """Return the smallest window on the 60 m grid around some ground."""
    equator = bounds.zone.equator
    return Bounds(
        bounds.zone,
        bounds.left // GRID_STEP * GRID_STEP,
        (bounds.bottom - equator) // GRID_STEP * GRID_STEP + equator,
        -(-bounds.right // GRID_STEP) * GRID_STEP,
        -(-(bounds.top - equator) // GRID_STEP) * GRID_STEP + equator,
    )


def suppliers_of(
    source: BlockSource, window: Bounds, names: Mapping[str, int], slots: Sequence[int]
) -> NDArray[np.int32]:
    """Return the first chosen product of each block: indexes of names, -1 where there is none; (slot, row, column)."""
    blocks = BlockRange.around(window)
    table: NDArray[np.int32] = np.full((len(slots), *blocks.shape), -1, np.int32)
    for row, slot in enumerate(slots):
        for block in blocks:
            parts = source.parts(slot, block)
            if parts:
                table[row][blocks.position(block)] = names[parts[0].whose]
    return table


def block_centres(window: Bounds) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return northings (north to south) and eastings of the centres of a window's blocks."""
    blocks = BlockRange.around(window)
    rows, columns = blocks.shape
    north = blocks.bounds.top - BLOCK_SIZE * (np.arange(rows, dtype=np.float64) + 0.5)
    east = blocks.bounds.left + BLOCK_SIZE * (np.arange(columns, dtype=np.float64) + 0.5)
    return north, east
