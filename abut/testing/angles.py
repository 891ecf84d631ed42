"""Sun and viewing angles: smooth functions of the place, on each tile's own grid of 5 km."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pyproj import Transformer

from abut.layout import BANDS
from abut.metadata import ANGLE_NODES, ANGLE_STEP

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from abut.layout import Band
    from abut.testing.scene import Scene
    from abut.tiling import Tile

_ALTITUDE = 786_000.0
_REACH = 5_000


def nodes(tile: Tile) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return easting and northing of the nodes of a tile's angle grids, each (23, 23), north to south."""
    steps = ANGLE_STEP * np.arange(ANGLE_NODES, dtype=np.float64)
    east, south = np.meshgrid(steps, steps)
    return tile.ulx + east, tile.uly - south


def sun_angles(scene: Scene, tile: Tile) -> NDArray[np.float64]:
    """Return sun zenith and azimuth in degrees (2, 23, 23), as for a time shortly before noon.

    Declination and hour angle follow from date and longitude; good to a degree or two.
    """
    longitude, latitude = (
        np.asarray(values)
        for values in Transformer.from_crs(tile.zone.epsg, 4326, always_xy=True).transform(*nodes(tile))
    )
    start = scene.datatake_start
    hours = start.hour + start.minute / 60 + start.second / 3600
    declination = np.radians(-23.44 * np.cos(2 * np.pi * (start.timetuple().tm_yday + 10) / 365.25))
    hour_angle = np.radians(15 * (hours - 12) + longitude)
    phi = np.radians(latitude)
    height = np.sin(phi) * np.sin(declination) + np.cos(phi) * np.cos(declination) * np.cos(hour_angle)
    east = -np.cos(declination) * np.sin(hour_angle)
    north = np.cos(phi) * np.sin(declination) - np.sin(phi) * np.cos(declination) * np.cos(hour_angle)
    return np.stack([np.degrees(np.arccos(height)), np.degrees(np.arctan2(east, north)) % 360])


def view_angles(scene: Scene, tile: Tile, band: Band, strip: int | None = None) -> dict[int, NDArray[np.float64]]:
    """Return viewing zenith and azimuth in degrees (2, 23, 23) by detector id.

    NaN further than 5 km from the detector's footprint; detectors without any node are left out.
    """
    easting, northing = nodes(tile)
    across = scene.swath_in(tile.zone).across(easting, northing)
    grids = {}
    for detector, area in scene.footprints(tile.zone, band, strip):
        near = np.ones(across.shape, dtype=bool)
        for plane in area:
            reach = _REACH * np.hypot(plane.a, plane.b)
            near &= plane.a * easting + plane.b * northing < plane.c + reach
        if near.any():
            # Odd and even detectors look a little ahead and behind; so do the bands.
            ahead = (15_000 if detector % 2 else -15_000) + 400 * band.index
            zenith = np.degrees(np.arctan(np.hypot(across, ahead) / _ALTITUDE))
            azimuth = np.degrees(np.arctan2(-across, -ahead)) % 360
            grids[detector] = np.where(near, np.stack([zenith, azimuth]), np.nan)
    return grids


def mean_view(grids: dict[int, NDArray[np.float64]]) -> tuple[float, float]:
    """Return the mean zenith and azimuth of a band; NaN where no detector sees the tile."""
    values = [grid[:, ~np.isnan(grid[0])] for grid in grids.values()]
    if not values:
        return float("nan"), float("nan")
    zenith, azimuth = np.concatenate(values, axis=1)
    turned = np.exp(1j * np.radians(azimuth)).mean()
    return float(zenith.mean()), float(np.degrees(np.angle(turned)) % 360)


def grid_xml(grid: NDArray[np.float64], indent: str) -> str:
    """Return ``Zenith`` and ``Azimuth`` elements with their values to six digits, ``NaN`` where there is none."""
    parts = []
    for name, values in zip(("Zenith", "Azimuth"), grid, strict=True):
        rows = "\n".join(
            f"{indent}    <VALUES>{' '.join('NaN' if np.isnan(v) else f'{v:.6g}' for v in row)}</VALUES>"
            for row in values
        )
        parts.append(f"""{indent}<{name}>
{indent}  <COL_STEP unit="m">{ANGLE_STEP}</COL_STEP>
{indent}  <ROW_STEP unit="m">{ANGLE_STEP}</ROW_STEP>
{indent}  <Values_List>
{rows}
{indent}  </Values_List>
{indent}</{name}>""")
    return "\n".join(parts)


def tile_angles(scene: Scene, tile: Tile, strip: int | None = None) -> str:
    """Return the ``Tile_Angles`` element of a tile's metadata."""
    sun = sun_angles(scene, tile)
    views = {band: view_angles(scene, tile, band, strip) for band in BANDS}
    grids = "\n".join(
        f'      <Viewing_Incidence_Angles_Grids bandId="{band.index}" detectorId="{detector}">\n'
        f"{grid_xml(grid, ' ' * 8)}\n      </Viewing_Incidence_Angles_Grids>"
        for band, by_detector in views.items()
        for detector, grid in by_detector.items()
    )
    means = "\n".join(
        f"""        <Mean_Viewing_Incidence_Angle bandId="{band.index}">
          <ZENITH_ANGLE unit="deg">{zenith!r}</ZENITH_ANGLE>
          <AZIMUTH_ANGLE unit="deg">{azimuth!r}</AZIMUTH_ANGLE>
        </Mean_Viewing_Incidence_Angle>"""
        for band, (zenith, azimuth) in ((band, mean_view(grids)) for band, grids in views.items())
        if zenith == zenith  # noqa: PLR0124  (NaN: the tile is outside the swath)
    )
    return f"""    <Tile_Angles metadataLevel="Standard">
      <Sun_Angles_Grid>
{grid_xml(sun, " " * 8)}
      </Sun_Angles_Grid>
      <Mean_Sun_Angle>
        <ZENITH_ANGLE unit="deg">{float(sun[0].mean())!r}</ZENITH_ANGLE>
        <AZIMUTH_ANGLE unit="deg">{float(sun[1].mean())!r}</AZIMUTH_ANGLE>
      </Mean_Sun_Angle>
{grids}
      <Mean_Viewing_Incidence_Angle_List>
{means}
      </Mean_Viewing_Incidence_Angle_List>
    </Tile_Angles>"""
