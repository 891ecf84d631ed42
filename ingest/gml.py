"""Masks of baselines before 04.00: GML polygons, and how they become pixels.

A pixel is in a polygon if its centre is. The masks of newer baselines are rasters; `ingest.images` gives both the
same form.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from affine import Affine
from rasterio.features import rasterize

from abut.errors import InvalidSafeError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from ingest.xmlfile import XmlNode

FARTHEST: Final = 20_000_000
"""No coordinate of a UTM zone is further from its origin, in metres."""

_EPSG = re.compile(r"(?:EPSG|epsg):(?:[\d.]*:)?(\d+)", re.ASCII)


@dataclass(frozen=True, slots=True, eq=False)
class MaskPolygon:
    """A polygon of a mask."""

    kind: str
    """``maskType``, such as ``OPAQUE`` or ``QT_NODATA_PIXELS``."""
    feature: str
    """``gml:id`` of its feature, such as ``detector_footprint-B02-09-0``."""
    rings: tuple[NDArray[np.float64], ...]
    """The outer ring, then the holes: easting and northing in metres, shape (positions, 2)."""

    @property
    def top(self) -> float:
        """Largest northing."""
        return float(self.rings[0][:, 1].max())

    @property
    def bottom(self) -> float:
        """Smallest northing."""
        return float(self.rings[0][:, 1].min())


def read_mask(root: XmlNode, epsg: int) -> tuple[MaskPolygon, ...]:
    """Return the polygons of a GML mask, in the order of the file; none is normal.

    Rings of fewer than three corners enclose nothing and are left out.

    Parameters
    ----------
    root : XmlNode
        Root of the file.
    epsg : int
        EPSG code that its coordinates must have.

    Raises
    ------
    InvalidSafeError
        If it is no mask, in another projection, or has impossible coordinates.
    """
    if root.tag != "Mask":
        raise InvalidSafeError(f"{root.where}: root element {root.tag!r} is not that of a GML mask")
    for element in root.element.iter():
        name = element.attrib.get("srsName")
        match = _EPSG.search(name) if name else None
        if name and (match is None or int(match[1]) != epsg):
            raise InvalidSafeError(f"{root.where}: srsName {name[:80]!r}, but the tile is in EPSG:{epsg}")
    return tuple(
        polygon
        for feature in root.descendants("MaskFeature")
        for node in feature.descendants("Polygon")
        if (polygon := _polygon(feature, node)) is not None
    )


def burn(
    polygons: Iterable[tuple[MaskPolygon, int]], shape: tuple[int, int], corner: tuple[int, int], resolution: int
) -> NDArray[np.uint8]:
    """Return polygons as pixels.

    Parameters
    ----------
    polygons : iterable of MaskPolygon and int
        The polygons and their values; where they overlap the last one stays.
    shape : tuple of int
        Rows and columns.
    corner : tuple of int
        Easting and northing of the upper left corner in metres.
    resolution : int
        Pixel size in metres.

    Returns
    -------
    array of uint8, shape `shape`
        0 where no polygon is.
    """
    bottom = corner[1] - shape[0] * resolution
    shapes = [
        ({"type": "Polygon", "coordinates": [ring.tolist() for ring in polygon.rings]}, value)
        for polygon, value in polygons
        if polygon.top >= bottom and polygon.bottom <= corner[1]
    ]
    if not shapes:
        return np.zeros(shape, np.uint8)
    grid = Affine(resolution, 0, corner[0], 0, -resolution, corner[1])
    burnt: NDArray[np.uint8] = rasterize(shapes, out_shape=shape, transform=grid, dtype="uint8")
    return burnt


def _polygon(feature: XmlNode, node: XmlNode) -> MaskPolygon | None:
    outer = _ring(node.child("exterior"))
    if outer is None:
        return None
    holes = (_ring(interior) for interior in node.all("interior"))
    return MaskPolygon(
        feature.text("maskType"),
        feature.element.attrib.get("id", ""),
        (outer, *(hole for hole in holes if hole is not None)),
    )


def _ring(node: XmlNode) -> NDArray[np.float64] | None:
    positions = node.child("LinearRing/posList")
    dimension = positions.element.attrib.get("srsDimension", "2")
    text = (positions.element.text or "").split()
    try:
        values = np.array(text, dtype=np.float64)
    except ValueError:
        raise InvalidSafeError(f"{node.where}: posList holds text that is no number") from None
    if dimension not in ("2", "3") or values.size % int(dimension):
        raise InvalidSafeError(f"{node.where}: posList of {values.size} numbers in dimension {dimension[:80]!r}")
    corners = values.reshape(-1, int(dimension))[:, :2]
    if not np.all(np.abs(corners) <= FARTHEST):
        raise InvalidSafeError(f"{node.where}: posList with a coordinate that is no UTM coordinate")
    return corners if len(np.unique(corners, axis=0)) > 2 else None
