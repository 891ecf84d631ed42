"""Which zone is a pixel's own: that of its longitude, with the exceptions of UTM."""

from __future__ import annotations

import numpy as np
import pytest

from abut.ground import _mgrs_zone
from abut.lattice import Zone
from services.tiles.canvas import _is_own, distance_to
from services.tiles.frame import Frame
from services.tiles.places import places_of

SIDE = 60


@pytest.mark.parametrize("box", [(2, 55, 13, 65), (-2, 71, 44, 80), (-3, -3, 9, 3), (176, -20, 186, -10)], ids=str)
def test_a_pixel_is_in_the_zone_that_utm_gives_it(box: tuple[float, float, float, float]) -> None:
    places = places_of(Frame("EPSG:4326", box, SIDE, SIDE))
    lon = box[0] + (np.arange(SIDE) + 0.5) * (box[2] - box[0]) / SIDE
    lat = box[3] - (np.arange(SIDE) + 0.5) * (box[3] - box[1]) / SIDE
    expected = np.array([[_mgrs_zone((x + 180) % 360 - 180, y).epsg for x in lon] for y in lat])
    zones = [Zone(int(code)) for code in np.unique(expected)]
    assert len(zones) > 1
    for zone in zones:
        assert np.array_equal(_is_own(places, zone), expected == zone.epsg)
    nearest = np.argmin([distance_to(places, zone) for zone in zones], axis=0)
    assert np.array_equal(np.array([zone.epsg for zone in zones])[nearest], expected)
