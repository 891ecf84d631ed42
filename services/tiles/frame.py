"""Frames: where pixels are wanted; and pixels as they are handed back."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from pyproj import CRS
from pyproj.exceptions import CRSError

from abut.errors import BadRequestError
from abut.lattice import Zone
from abut.messages import quoted

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_DEGREE: Final = 111_320.0
"""Metres of a degree along the equator."""


@dataclass(frozen=True, slots=True)
class Frame:
    """Pixels of a coordinate system, x to the right and y up, none of it turned.

    Raises
    ------
    BadRequestError
        If it has no pixels, its bounds are empty or not finite, or its coordinate system is none.
    """

    crs: str
    """Coordinate system as a text, such as ``EPSG:3857``; see `crs_text`."""
    bounds: tuple[float, float, float, float]
    """Left, bottom, right, top, in units of the coordinate system (x before y)."""
    width: int
    """Columns."""
    height: int
    """Rows."""

    def __post_init__(self) -> None:
        left, bottom, right, top = self.bounds
        if not all(map(math.isfinite, self.bounds)) or left >= right or bottom >= top:
            raise BadRequestError(f"bounds {left} {bottom} {right} {top} are empty or not finite")
        if self.width < 1 or self.height < 1:
            raise BadRequestError(f"a picture of {self.width} x {self.height} pixels has none")
        system_of(self.crs)

    @property
    def pixel(self) -> tuple[float, float]:
        """Width and height of a pixel in units of the coordinate system."""
        left, bottom, right, top = self.bounds
        return (right - left) / self.width, (top - bottom) / self.height

    @property
    def metres(self) -> float:
        """Side of a pixel in metres as the coordinate system has it, the same for all pictures of one zoom.

        Of Mercator three quarters of that, so that it is right at 41 degrees; degrees are those of latitude.
        """
        return min(self.pixel) * _metres_of_unit(self.crs)

    @property
    def zone(self) -> Zone | None:
        """The UTM zone whose coordinates these are, if it is one."""
        return _zone_of(self.crs)


@dataclass(frozen=True, slots=True)
class Pixels:
    """A picture's pixels, row 0 at the top."""

    data: NDArray[Any]
    """Shape (layer, y, x): reflectance as float32, or DN as uint16; uint8 if all layers are flags. 0 where nothing
    is."""
    nodata: NDArray[np.bool_]
    """Shape (layer, y, x): True where nothing is."""
    layers: tuple[str, ...]
    """Names of the layers."""
    products: tuple[str, ...]
    """Ids of the products that supplied pixels, sorted."""
    unreadable: tuple[str, ...] = ()
    """Ids of products that would have, but for an object that is broken or lost; sorted."""


def crs_text(crs: Any) -> str:
    """Return a coordinate system as the text that `Frame` wants: of pyproj, rasterio or morecantile, or a text.

    Raises
    ------
    BadRequestError
        If it is none.
    """
    if isinstance(crs, str):
        return _named(crs)
    authority = crs.to_authority()
    return _named(":".join(authority) if authority else crs.to_wkt())


@lru_cache(maxsize=512)
def system_of(text: str) -> CRS:
    """Return a coordinate system by its text; BadRequestError if it is none, or one without axes on the ground."""
    try:
        found = CRS.from_user_input(text)
    except CRSError as error:
        raise BadRequestError(f"{quoted(text)} is no coordinate system") from error
    if not (found.is_projected or found.is_geographic):
        raise BadRequestError(f"{quoted(text)} is neither projected nor geographic")
    return found


@lru_cache(maxsize=512)
def _named(text: str) -> str:
    system = system_of(text)
    authority = system.to_authority(min_confidence=100)
    return ":".join(authority) if authority else text


@lru_cache(maxsize=512)
def _metres_of_unit(text: str) -> float:
    system = system_of(text)
    if system.is_geographic:
        return _DEGREE
    unit = float(system.axis_info[0].unit_conversion_factor) if system.axis_info else 1.0
    operation = system.coordinate_operation
    return unit * (
        0.75 if operation is not None and "Mercator" in operation.method_name and _is_straight(system) else 1
    )


def _is_straight(system: CRS) -> bool:
    """Whether meridians are straight lines: of Mercator, not of its transverse kind."""
    operation = system.coordinate_operation
    return operation is not None and "Transverse" not in operation.method_name


@lru_cache(maxsize=512)
def _zone_of(text: str) -> Zone | None:
    code = system_of(text).to_epsg(min_confidence=100)
    try:
        return None if code is None else Zone(code)
    except ValueError:
        return None
