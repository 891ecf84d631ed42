"""Other questions than for tiles: a point in time, statistics, a tile with its surroundings; and the library beside."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import numpy as np
import rasterio

from abut.connection import connect
from abut.errors import AbutError
from abut.lattice import Bounds
from abut.layout import BAND
from abut.tiling import tile
from benchmarks.cubes.scene import BUFFER, DATE, LATER, MIDDLE, SEEN, blocks
from benchmarks.tiles.scene import degrees
from benchmarks.tiles.service import Service

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from abut.connection import Connection
    from benchmarks.tiles.scene import Size

CELL = 60
"""Metres: the smallest ground of a cube."""
BOX = 19_200
"""Side of the ground of the statistics in metres."""


class DifferentError(AbutError):
    """Service and library gave different answers."""


def questions(size: Size, out: Path) -> list[dict[str, Any]]:
    """Ask the service and the library the same, twice each; return seconds of the second time.

    Raises
    ------
    DifferentError
        If the answers differ: at all, or of statistics, whose pixels are those of a picture, by more than 1 %.
    """
    band = size.rgb[-1]
    connection = connect(str(out / "archive"))
    with Service(str(out / "archive")) as service:
        return [
            _series(service, connection, band),
            _statistics(service, connection, band),
            _grid(service, connection, band, out),
        ]


def _series(service: Service, connection: Connection, band: str) -> dict[str, Any]:
    seen = blocks(*SEEN)
    left, bottom = seen.left + seen.width // 2 + 300, seen.bottom + seen.height // 2 + 300
    cell = Bounds(seen.zone, left, bottom, left + CELL, bottom + CELL)
    half = BAND[band].resolution / 2
    lon, lat = degrees(seen.zone.epsg).transform(left + half, bottom + half)
    query = urlencode({"datetime": LATER, "bands": band, "unscale": "false"})
    path = f"/tiles/mosaic/point/{lon:.7f},{lat:.7f}/series?{query}"

    def asked() -> list[int]:
        return [step["values"][band] for step in json.loads(service.picture(path))["steps"]]

    def read() -> list[int]:
        cube: Any = connection.cube(window=cell, datetime=LATER, bands=(band,), resolution=BAND[band].resolution)
        return [int(value) for value in cube[band.lower()].values[:, -1, 0]]

    return _both(f"series of a point, {band}, 12 dates", asked, read, lambda one, other: one == other)


def _statistics(service: Service, connection: Connection, band: str) -> dict[str, Any]:
    corner = blocks(1, 1)
    ground = Bounds(corner.zone, corner.left, corner.bottom, corner.left + BOX, corner.bottom + BOX)
    x = [ground.left, ground.right, ground.right, ground.left, ground.left]
    y = [ground.bottom, ground.bottom, ground.top, ground.top, ground.bottom]
    ring = list(zip(*degrees(ground.zone.epsg).transform(x, y), strict=True))
    feature = {"type": "Feature", "properties": {}, "geometry": {"type": "Polygon", "coordinates": [ring]}}
    query = urlencode({"datetime": DATE, "bands": band, "unscale": "false"})
    sent = json.dumps(feature).encode()

    def asked() -> list[float]:
        found = json.loads(service.picture(f"/tiles/mosaic/statistics?{query}", sent))
        [told] = found["properties"]["statistics"].values()
        return [told["mean"], told["median"], told["percentile_2"], told["percentile_98"]]

    def read() -> list[float]:
        cube: Any = connection.cube(window=ground, datetime=DATE, bands=(band,), resolution=BAND[band].resolution)
        values = cube[band.lower()].values[0]
        return [float(values.mean()), *(float(one) for one in np.percentile(values, [50, 2, 98]))]

    what = f"statistics of {BOX // 1_000} x {BOX // 1_000} km, {band}"
    return _both(what, asked, read, lambda one, other: np.allclose(one, other, rtol=0.01))


def _grid(service: Service, connection: Connection, band: str, out: Path) -> dict[str, Any]:
    query = urlencode({"datetime": DATE, "bands": band, "buffer": BUFFER})
    path = out / "grid.tif"

    def asked() -> Path:
        path.write_bytes(service.picture(f"/tiles/grid/{MIDDLE}.tif?{query}"))
        return path

    def read() -> Any:
        cube: Any = connection.tile(MIDDLE, BUFFER, datetime=DATE, bands=(band,), resolution=BAND[band].resolution)
        return cube[band.lower()].values[0]

    def same(one: Path, other: Any) -> bool:
        with rasterio.open(one) as image:
            return np.array_equal(image.read(1), other)

    found = _both(f"{tile(MIDDLE)} + {BUFFER // 1_000} km as GeoTIFF, {band}", asked, read, same)
    path.unlink()
    return found


def _both(
    what: str, asked: Callable[[], Any], read: Callable[[], Any], same: Callable[[Any, Any], bool]
) -> dict[str, Any]:
    asked()
    read()
    (served, took, cpu), (found, library, library_cpu) = _timed(asked), _timed(read)
    if not same(served, found):
        raise DifferentError(f"{what}: the service answers {served}, the library {found}")
    return {"what": what, "service": took, "service CPU": cpu, "library": library, "library CPU": library_cpu}


def _timed(work: Callable[[], Any]) -> tuple[Any, float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    found = work()
    return found, time.perf_counter() - wall, time.process_time() - cpu
