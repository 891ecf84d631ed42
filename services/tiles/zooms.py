"""From which zoom on a map tile is made of few enough objects: told by how many products lie in one tile."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

import numpy as np
from morecantile import Tile

from abut.ground import project
from services.tiles.frame import crs_text, system_of

if TYPE_CHECKING:
    from morecantile import TileMatrixSet

    from services.tiles.scene import Scene

BANDS: Final = 3
"""Bands of the picture for which it is told: that of a colour picture, each of an overview of one object."""

_CORNERS: Final = 4


def first_zoom(scene: Scene, tms: TileMatrixSet, limit: int, last: int, *, bands: int, deep: bool) -> int:
    """Return the first zoom of which no tile needs more objects than a picture may, as far as overviews tell.

    Parameters
    ----------
    scene : Scene
        What is shown.
    tms : morecantile.TileMatrixSet
        The tiles.
    limit : int
        Objects that one picture may be made of.
    last : int
        Zoom at which the search ends.
    bands : int
        Bands of the picture.
    deep : bool
        Whether all products above each other are read: from such a zoom on no tile is too wide. Else one of each
        place is, which is least: below such a zoom some tile is too wide for sure.
    """
    depth = Counter(one.hull.bounds for plan in scene.plans for one in plan.overlays)
    if not deep:
        depth = Counter(set(depth))
    hulls = list(depth)
    if bands * depth.total() <= limit:
        return int(tms.minzoom)
    system = system_of(crs_text(tms.rasterio_crs))
    corners, weights = [], []
    for zone in sorted({hull.zone for hull in hulls}):
        mine = [hull for hull in hulls if hull.zone == zone]
        x = np.array([[hull.left, hull.right, hull.left, hull.right] for hull in mine], np.float64)
        y = np.array([[hull.bottom, hull.bottom, hull.top, hull.top] for hull in mine], np.float64)
        corners.append(np.stack(project(system_of(f"EPSG:{zone.epsg}"), system, x.ravel(), y.ravel()), 1))
        weights.append(np.repeat([depth[hull] for hull in mine], _CORNERS))
    places = np.concatenate(corners)
    weight = np.concatenate(weights)
    finite = np.isfinite(places).all(axis=1)
    places, weight = places[finite], weight[finite]
    product = np.repeat(np.arange(len(hulls)), _CORNERS)[finite]
    for zoom in range(tms.minzoom, last):
        matrix = tms.matrix(zoom)
        origin = tms.xy_bounds(Tile(0, 0, zoom))
        tile = np.floor((places - [origin.left, origin.top]) / matrix.cellSize / [matrix.tileWidth, -matrix.tileHeight])
        # a product has four corners, and is counted once in each tile that one of them is in
        once = np.unique(np.column_stack([tile, product]), axis=0, return_index=True)[1]
        number = np.unique(tile[once], axis=0, return_inverse=True)[1].ravel()
        counts = np.bincount(number, weights=weight[once])
        # a tile without a corner in it is in as many as four products that overlap
        most = max(int(counts.max()), _CORNERS * max(depth.values()) if deep else 0) if counts.size else 0
        if bands * most <= limit:
            return zoom
    return last
