"""Scenes: what a workflow is given. Digital numbers of one moment over a rectangle of one UTM zone, and its geometry.

Metres are counted as the blocks of Sentinel-2 tiles are: eastward from easting 0, northward from the equator, so that
a grid that is anchored there is the same in every window, north and south.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from workflows.errors import GeometryError, MissingBandError, NeighbourhoodError, WorkflowError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

COARSEST: Final = 60
"""Pixel size in metres of which all edges are multiples."""
BLOCK: Final = 9_600
"""Side in metres of the blocks that have one geometry."""
RESOLUTION: Final[dict[str, int]] = {
    **dict.fromkeys(("B02", "B03", "B04", "B08"), 10),
    **dict.fromkeys(("B05", "B06", "B07", "B8A", "B11", "B12"), 20),
    **dict.fromkeys(("B01", "B09", "B10"), 60),
}
"""Pixel size of each band in metres."""


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle of ground in metres, eastward from easting 0 and northward from the equator."""

    left: int
    """Western edge."""
    bottom: int
    """Southern edge; negative in the south."""
    right: int
    """Eastern edge."""
    top: int
    """Northern edge."""

    def __post_init__(self) -> None:
        if self.left >= self.right or self.bottom >= self.top:
            raise WorkflowError(f"{self} has no area")
        if any(edge % COARSEST for edge in (self.left, self.bottom, self.right, self.top)):
            raise WorkflowError(f"the edges of {self} are not all multiples of {COARSEST} m")

    def shape(self, size: int) -> tuple[int, int]:
        """Return rows and columns of pixels of some metres."""
        return (self.top - self.bottom) // size, (self.right - self.left) // size

    def grown(self, metres: int) -> Box:
        """Return it with more ground on each side."""
        return Box(self.left - metres, self.bottom - metres, self.right + metres, self.top + metres)

    def holds(self, other: Box) -> bool:
        """Whether it holds all of another one."""
        return (
            self.left <= other.left
            and self.bottom <= other.bottom
            and other.right <= self.right
            and other.top <= self.top
        )

    def intersection(self, other: Box) -> Box:
        """Return what it has in common with another one; WorkflowError if that is nothing."""
        return Box(
            max(self.left, other.left),
            max(self.bottom, other.bottom),
            min(self.right, other.right),
            min(self.top, other.top),
        )

    def slices(self, part: Box, size: int) -> tuple[slice, slice]:
        """Return the rows and columns of a part of it in an array of pixels of some metres."""
        rows, columns = part.shape(size)
        row, column = (self.top - part.top) // size, (part.left - self.left) // size
        return slice(row, row + rows), slice(column, column + columns)

    def blocks(self, side: int = BLOCK) -> tuple[int, int, int, int]:
        """Return the first column, first row from the equator, and the ends of the blocks that touch it."""
        return self.left // side, self.bottom // side, -(-self.right // side), -(-self.top // side)


@dataclass(frozen=True, slots=True)
class Geometry:
    """Mean angles of sun and sensor of the tile that owns each block, in degrees; shape (block rows, block columns).

    Row 0 is the northernmost row of blocks that touches the scene, as `Box.blocks` counts them. Rounded to 0.01 degrees
    by `Scene`, so that a reader's arithmetic does not matter.
    """

    sun_zenith: NDArray[np.float64]
    """From the zenith."""
    sun_azimuth: NDArray[np.float64]
    """Clockwise from true north, as seen from the ground."""
    view_zenith: NDArray[np.float64]
    """From the zenith."""
    view_azimuth: NDArray[np.float64]
    """Of the sensor, likewise."""

    @classmethod
    def constant(cls, box: Box, sun: tuple[float, float], view: tuple[float, float] = (0.0, 0.0)) -> Geometry:
        """Return one geometry (zenith, azimuth) for all blocks that touch a box."""
        p0, q0, p1, q1 = box.blocks()
        shape = q1 - q0, p1 - p0
        return cls(*(np.full(shape, value, np.float64) for value in (*sun, *view)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What a workflow is given."""

    box: Box
    """The ground of all arrays."""
    core: Box
    """The ground for which a result is wanted; the rest is its neighbourhood."""
    bands: Mapping[str, NDArray[np.uint16]] = field(repr=False)
    """Digital numbers by band (``B02``), (y, x) at the band's own pixel size, row 0 in the north; 0 is nodata."""
    offsets: Mapping[str, int]
    """Offset by band: reflectance is (DN + offset) / quantification where DN > 0; absent: 0."""
    quantification: int = 10_000
    """Digital numbers per unit of reflectance."""
    geometry: Geometry | None = field(default=None, repr=False)
    """Angles, where they are known."""

    def __post_init__(self) -> None:
        if not self.box.holds(self.core):
            raise WorkflowError(f"the core {self.core} is not inside of {self.box}")
        if self.quantification <= 0:
            raise WorkflowError(f"the quantification value is {self.quantification}")
        for name, array in self.bands.items():
            if name not in RESOLUTION:
                raise WorkflowError(f"{name!r} is no band of Sentinel-2; there are {', '.join(sorted(RESOLUTION))}")
            wanted = self.box.shape(RESOLUTION[name])
            if array.shape != wanted or array.dtype != np.uint16:
                raise WorkflowError(f"{name} is {array.dtype} {array.shape}, not uint16 {wanted}")

    def require(self, names: Iterable[str]) -> None:
        """Require bands; MissingBandError names those that are not there."""
        missing = [name for name in names if name not in self.bands]
        if missing:
            raise MissingBandError(f"{', '.join(missing)} missing; there are {', '.join(sorted(self.bands)) or 'none'}")

    def require_radius(self, metres: int, what: str) -> None:
        """Require so much ground around the core; NeighbourhoodError says how much there is."""
        if metres > self.margin:
            raise NeighbourhoodError(
                f"{what} looks {metres} m around a pixel; around the core there are {self.margin} m: ask for a buffer "
                f"of {-(-metres // COARSEST) * COARSEST} m, or for a partial result"
            )

    @property
    def margin(self) -> int:
        """Metres of ground around the core, on its narrowest side."""
        box, core = self.box, self.core
        return min(core.left - box.left, core.bottom - box.bottom, box.right - core.right, box.top - core.top)

    def within(self, metres: int) -> Box | None:
        """Return the ground whose neighbourhood of some metres is inside of the scene; None if there is none."""
        up = -(-metres // COARSEST) * COARSEST
        box = self.box
        if box.right - box.left <= 2 * up or box.top - box.bottom <= 2 * up:
            return None
        return box.grown(-up)

    def angles(self) -> Geometry:
        """Return the geometry in whole hundredths of a degree.

        Raises
        ------
        GeometryError
            If there is none, or an angle is NaN or out of range.
        """
        if self.geometry is None:
            raise GeometryError("the angles of sun and sensor are needed, and there are none")
        p0, q0, p1, q1 = self.box.blocks()
        rounded = {}
        for name, limit in (("sun_zenith", 90), ("sun_azimuth", 360), ("view_zenith", 90), ("view_azimuth", 360)):
            values = getattr(self.geometry, name)
            if values.shape != (q1 - q0, p1 - p0):
                raise GeometryError(f"{name} has the shape {values.shape}; {(q1 - q0, p1 - p0)} blocks touch the scene")
            wrong = values[~((values >= 0) & (values <= limit))]
            if wrong.size:
                raise GeometryError(
                    f"{name} is {wrong.flat[0]} in {wrong.size} of {values.size} blocks, not 0 to {limit}"
                )
            rounded[name] = np.rint(values * 100) / 100
        return Geometry(**rounded)

    def cut(self, box: Box, core: Box | None = None) -> Scene:
        """Return a part of it, as somebody who has no more would be given."""
        if not self.box.holds(box):
            raise WorkflowError(f"{box} is not inside of {self.box}")
        bands = {name: array[self.box.slices(box, RESOLUTION[name])] for name, array in self.bands.items()}
        return replace(self, box=box, core=core or box, bands=bands, geometry=self._cut_geometry(box))

    def _cut_geometry(self, box: Box) -> Geometry | None:
        if self.geometry is None:
            return None
        p0, _, _, q1 = self.box.blocks()
        a0, b0, a1, b1 = box.blocks()
        rows, columns = slice(q1 - b1, q1 - b0), slice(a0 - p0, a1 - p0)
        angles = self.geometry
        return Geometry(
            *(
                array[rows, columns]
                for array in (angles.sun_zenith, angles.sun_azimuth, angles.view_zenith, angles.view_azimuth)
            )
        )
