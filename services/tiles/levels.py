"""Levels: at which pixel size a band is read for a picture, and where its pixels lie on the lattice.

A product keeps overviews of 1/4, 1/16 and, at 10 m, 1/64 of a side. Between them, halves are made of blocks and of
chunks of overviews when they are decoded, by the same rule (mean of the pixels that have data, rounded half up). So a
pixel of a picture is never more than twice as large as those it is made of, down to the smallest overview.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from abut.lattice import BLOCK_SIZE

if TYPE_CHECKING:
    from numpy.typing import NDArray

CHUNK: Final = 960
"""Side of the chunks of overviews in pixels."""
STORED: Final = {10: (4, 16, 64), 20: (4, 16), 60: (4, 16)}
"""Reductions of the overviews by pixel size of the band in metres."""
_LEAST: Final = 1 - 1e-6
"""Pixels that are smaller by this are of equal size: what is left of rounding."""


@dataclass(frozen=True, slots=True)
class Level:
    """Pixels of one size."""

    resolution: int
    """Pixel size of the band in metres."""
    stored: int
    """Reduction of what is read: 1 for blocks, else that of an overview."""
    halved: bool
    """Whether it is halved once more when it is decoded."""

    @property
    def reduction(self) -> int:
        """Pixels of the band along a side of one of the level."""
        return self.stored * (2 if self.halved else 1)

    @property
    def metres(self) -> int:
        """Pixel size."""
        return self.resolution * self.reduction

    @property
    def block(self) -> int:
        """Pixels along a side of a block."""
        return BLOCK_SIZE // self.metres

    @property
    def chunk(self) -> int:
        """Pixels along a side of what is decoded at once: a block, or a chunk of an overview."""
        return self.block if self.stored == 1 else CHUNK // (2 if self.halved else 1)


def levels_of(resolution: int) -> tuple[Level, ...]:
    """Return the levels of a pixel size, finest first: those whose pixels divide a block."""
    found = [Level(resolution, stored, halved) for stored in (1, *STORED[resolution]) for halved in (False, True)]
    return tuple(level for level in found if BLOCK_SIZE % level.metres == 0)


def level_for(resolution: int, metres: float) -> Level:
    """Return the coarsest level whose pixels are no larger than a size in metres; the band's own if all are."""
    fits = [level for level in _LEVELS[resolution] if level.metres * _LEAST <= metres]
    return fits[-1] if fits else _LEVELS[resolution][0]


def halved(pixels: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """Return the means of 2 x 2 pixels that have data, rounded half up; 0 where none has."""
    corners = [pixels[row::2, column::2] for row in (0, 1) for column in (0, 1)]
    total = corners[0].astype(np.uint32)
    for corner in corners[1:]:
        total += corner
    if pixels.all():
        return ((total + 2) >> 2).astype(np.uint16)
    count = np.zeros(total.shape, np.uint32)
    for corner in corners:
        count += corner != 0
    np.maximum(count, 1, out=count)
    return ((total + count // 2) // count).astype(np.uint16)


_LEVELS: Final = {resolution: levels_of(resolution) for resolution in STORED}
