"""From which zoom on a map tile is made of few enough objects: told by how many products lie in one tile."""

from __future__ import annotations

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


def first_zoom(scene: Scene, tms: TileMatrixSet, limit: int, last: int) -> int:
    """Return the first zoom of which no tile needs more objects than a picture may.

    Where products lie above each other the first one may not suffice, so a few tiles at this zoom may be too wide yet.

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
    """
    hulls = {one.hull.bounds for plan in scene.plans for one in plan.overlays}
    if BANDS * len(hulls) <= limit:
        return int(tms.minzoom)
    system = system_of(crs_text(tms.rasterio_crs))
    corners = []
    for zone in sorted({hull.zone for hull in hulls}):
        mine = [hull for hull in hulls if hull.zone == zone]
        x = np.array([[hull.left, hull.right, hull.left, hull.right] for hull in mine], np.float64)
        y = np.array([[hull.bottom, hull.bottom, hull.top, hull.top] for hull in mine], np.float64)
        corners.append(np.stack(project(system_of(f"EPSG:{zone.epsg}"), system, x.ravel(), y.ravel()), 1))
    places = np.concatenate(corners)
    places = places[np.isfinite(places).all(axis=1)]
    for zoom in range(tms.minzoom, last):
        matrix = tms.matrix(zoom)
        origin = tms.xy_bounds(Tile(0, 0, zoom))
        tile = np.floor((places - [origin.left, origin.top]) / matrix.cellSize / [matrix.tileWidth, -matrix.tileHeight])
        # a product has four corners, and is counted in all tiles that one of them is in
        counts = np.unique(tile, axis=0, return_counts=True)[1]
        if not counts.size or BANDS * int(counts.max()) <= limit:
            return zoom
    return last
