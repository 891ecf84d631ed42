"""Grid north: as PROJ has it, and shadows fall by true north."""

from __future__ import annotations

import numpy as np
import pytest
from pyproj import Proj

from workflows import shadows
from workflows.north import convergence
from workflows.scene import BLOCK, Box, Geometry


@pytest.mark.parametrize("latitude", [-80, -56, -20, 0.001, 35, 60, 83.5])
def test_convergence_is_that_of_proj(latitude: float) -> None:
    zone = Proj(32633)  # northings south of the equator are negative, as blocks are counted
    for longitude in (9, 11.5, 13, 15, 18):
        easting, northing = zone(longitude, latitude)
        expected = zone.get_factors(longitude, latitude).meridian_convergence
        assert convergence(easting, northing) == pytest.approx(expected, abs=0.0101)


@pytest.mark.parametrize(("easting", "northing"), [(768_000, 6_653_000), (240_000, 6_653_000), (768_000, -6_653_000)])
def test_a_shadow_lies_on_the_great_circle_away_from_the_sun(easting: int, northing: int) -> None:
    """A cloud at the edge of a zone: where its shadow lies was reckoned on the ellipsoid, then put on the grid."""
    corner = easting // BLOCK * BLOCK, northing // BLOCK * BLOCK
    box = Box(corner[0], corner[1], corner[0] + 2 * BLOCK, corner[1] + 2 * BLOCK)
    zone = Proj(32633)
    rows, columns = box.shape(60)
    row, column = 200, 160
    longitude, latitude = zone(box.left + 60 * column + 30, box.top - 60 * row - 30, inverse=True)
    height, zenith = 3_800, 55.0  # the sun stands in the south: the shadow lies on the same meridian, to the north
    north = height * np.tan(np.radians(zenith)) / 111_400
    x, y = zone(longitude, latitude + north)
    shade = int((box.top - y) // 60), int((x - box.left) // 60)
    assert abs(shade[1] - column) >= 3  # not straight up the grid
    cloud, dark = np.zeros((2, rows, columns), bool)
    for flags, (down, right) in ((cloud, (row, column)), (dark, shade)):
        flags[down - 4 : down + 5, right - 4 : right + 5] = True
    found = shadows.find_shadows(box, cloud, ~cloud, dark, Geometry.constant(box, (zenith, 180.0)))
    assert found.shadow[dark].mean() == 1
    assert np.abs(found.height[found.height > 0] - height).max() <= 60
