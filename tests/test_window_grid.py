"""Tile + 10 km, planned for all 56,686 tiles, against slow references that are formulated in other ways.

The window, its blocks and the tiles of its zone that touch it: all tiles, in integers. The neighbour zones: every kind
of place and a sample of all tiles; there the plan projects the window into each zone, the reference each tile that is
near into the window's zone.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pytest
import shapely
from pyproj import Transformer

from abut.ground import ground_in, tiles_on, zones_on
from abut.lattice import BLOCK_SIZE, BlockRange, Zone
from abut.tiling import TILE_SIZE, Tile, all_tiles, tile, tiles_of, tiles_touching
from abut.window import neighbour_zones, tile_window, zone_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from abut.lattice import Bounds

BUFFER = 10_000
GROWN = 10_020
"""The buffer in whole steps of 60 m."""
GRID = tuple(all_tiles())
ZONES = sorted({entry.zone for entry in GRID})

KINDS = {
    "inner": ("32TNM", []),
    "zone border": ("32TQM", [32633]),
    "zone border, seen from the other side": ("33TUG", [32632]),
    "three zones at high latitude": ("43XEJ", [32644, 32642]),
    "three zones at the equator": ("33MZV", [32634, 32734, 32633]),
    "31V beside 32V": ("31VEG", [32632]),
    "32V beside 31V": ("32VKM", [32631]),
    "Svalbard, 33X beside 31X": ("33XVG", [32631]),
    "Svalbard, 31X": ("31XFH", [32633]),
    "antimeridian, west": ("60WWU", [32601]),
    "antimeridian, east": ("01WCM", [32660]),
    "equator, north": ("32NNF", [32732]),
    "equator, south": ("32MNE", [32632]),
}


def test_the_window_of_every_tile_is_its_footprint_and_10_km_on_the_60_m_grid() -> None:
    windows = {entry: tile_window(entry, BUFFER) for entry in GRID}
    for entry, window in windows.items():
        assert window.zone == entry.zone
        assert (window.left, window.top) == (entry.ulx - GROWN, entry.uly + GROWN)
        assert (window.right, window.bottom) == (
            entry.ulx + TILE_SIZE + GROWN,
            entry.uly - TILE_SIZE - GROWN,
        )
        assert window.left % 60 == 0
        assert (window.top - entry.zone.equator) % 60 == 0


def test_the_blocks_of_every_window_are_those_that_share_ground_with_it() -> None:
    everywhere = np.arange(-20, 110), np.arange(-1_100, 1_100)
    for zone in ZONES:
        members = tiles_of(zone)
        left = np.array([entry.ulx - GROWN for entry in members])
        bottom = np.array([entry.uly - TILE_SIZE - GROWN - zone.equator for entry in members])
        side = TILE_SIZE + 2 * GROWN
        expected = [
            (numbers[shared.argmax(axis=1)], shared.sum(axis=1))
            for low, numbers in zip((left, bottom), everywhere, strict=True)
            for starts in [BLOCK_SIZE * numbers]
            for shared in [(starts < low[:, None] + side) & (starts + BLOCK_SIZE > low[:, None])]
        ]
        for index, entry in enumerate(members):
            blocks = BlockRange.around(tile_window(entry, BUFFER))
            (p0, columns), (q0, rows) = ((first[index], count[index]) for first, count in expected)
            assert (blocks.zone, blocks.p0, blocks.q0, blocks.shape) == (zone, p0, q0, (rows, columns))


def test_the_tiles_of_its_zone_that_touch_a_window_are_those_whose_centres_are_near() -> None:
    reach = TILE_SIZE + GROWN  # centres of a window and of a tile that touches it are nearer, in both axes
    seen = 0
    for zone in ZONES:
        members = tiles_of(zone)
        x, y = np.array([(entry.ulx, entry.uly) for entry in members]).T
        near = (np.abs(x[:, None] - x) < reach) & (np.abs(y[:, None] - y) < reach)
        for index, entry in enumerate(members):
            expected = tuple(members[number] for number in np.flatnonzero(near[index]))
            assert tiles_touching(tile_window(entry, BUFFER)) == expected
            seen += 1
    assert seen == 56_686


@cache
def to_degrees(zone: Zone) -> Transformer:
    return Transformer.from_crs(zone.epsg, 4326, always_xy=True)


@cache
def between(source: Zone, target: Zone) -> Transformer:
    return Transformer.from_crs(source.epsg, target.epsg, always_xy=True)


@cache
def centres() -> NDArray[np.float64]:
    """Centres of all tiles as unit vectors."""
    found = []
    for entry in GRID:
        lon, lat = to_degrees(entry.zone).transform(entry.ulx + TILE_SIZE / 2, entry.uly - TILE_SIZE / 2)
        lon, lat = np.radians([lon, lat])
        found.append((np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)))
    return np.array(found)


def ring(bounds: Bounds, count: int = 56) -> NDArray[np.float64]:
    """Corners and points along the edges."""
    x, y = np.linspace(bounds.left, bounds.right, count), np.linspace(bounds.bottom, bounds.top, count)
    parts = [(x, y[0]), (x[-1], y), (x[::-1], y[-1]), (x[0], y[::-1])]
    return np.concatenate([np.stack(np.broadcast_arrays(*part), axis=-1) for part in parts])


def shared_with(window: Bounds, entry: Tile) -> float:
    """Square metres of a tile of another zone that lie in a window."""
    x, y = between(entry.zone, window.zone).transform(*ring(entry.footprint).T)
    square = shapely.box(window.left, window.bottom, window.right, window.top)
    return float(shapely.Polygon(np.column_stack([x, y])).intersection(square).area)


def slow_tiles_in_other_zones(entry: Tile) -> dict[str, float]:
    """Tiles of other zones, by id, with the ground of the window that they share."""
    window = tile_window(entry, BUFFER)
    vectors = centres()
    near = np.flatnonzero(vectors @ vectors[GRID.index(entry)] > np.cos(200_000 / 6_357_000))
    areas = {GRID[i].id: shared_with(window, GRID[i]) for i in near if GRID[i].zone != entry.zone}
    return {name: area for name, area in areas.items() if area > 0}


SAMPLE = sorted({*GRID[::379], *(tile(name) for name, _ in KINDS.values())})
DOUBTFUL = 200_000.0
"""Square metres: what edges of 110 km differ by if they are drawn through other points (here 2 km apart)."""


@pytest.mark.parametrize("remainder", range(4))
def test_neighbour_zones_are_those_whose_tiles_reach_into_the_window(remainder: int) -> None:
    for entry in SAMPLE[remainder::4]:
        window = tile_window(entry, BUFFER)
        expected = slow_tiles_in_other_zones(entry)
        found = neighbour_zones(window)
        tiles = {one.id for zone in found for one in tiles_on(zone, window)}
        assert {name for name, area in expected.items() if area > DOUBTFUL} <= tiles <= set(expected), entry
        assert set(found) == {tile(name).zone for name in tiles}
        assert entry.zone in zones_on(window)
        for zone in found:
            ground = ground_in(zone, window)
            assert ground is not None
            for one in tiles_on(zone, window):
                assert one.footprint.intersection(ground) is not None


@pytest.mark.parametrize("kind", KINDS)
def test_neighbour_zones_of_each_kind_of_place(kind: str) -> None:
    name, expected = KINDS[kind]
    assert [zone.epsg for zone in neighbour_zones(tile_window(name, BUFFER))] == expected


def test_the_ground_in_another_zone_covers_every_place_that_its_tiles_share() -> None:
    rng = np.random.default_rng(4)
    for name, _ in KINDS.values():
        window = tile_window(name, BUFFER)
        x = rng.uniform(window.left, window.right, 2_000)
        y = rng.uniform(window.bottom, window.top, 2_000)
        for zone in neighbour_zones(window):
            ground = ground_in(zone, window)
            assert ground is not None
            east, north = between(window.zone, zone).transform(x, y)
            held = np.zeros(len(east), bool)
            for one in tiles_on(zone, window):
                foot = one.footprint
                held |= (east > foot.left) & (east < foot.right) & (north > foot.bottom) & (north < foot.top)
            inside = (east >= ground.left) & (east <= ground.right) & (north >= ground.bottom) & (north <= ground.top)
            assert inside[held].all(), f"{name} in {zone}"
            assert held.any() or len(tiles_on(zone, window)) == 1


def test_the_centre_of_a_tile_belongs_to_a_zone_that_has_a_tile_there() -> None:
    for entry in GRID[::97]:
        lon, lat = to_degrees(entry.zone).transform(entry.ulx + TILE_SIZE / 2, entry.uly - TILE_SIZE / 2)
        zone = zone_of(lon, lat)
        x, y = to_degrees(zone).transform(lon, lat, direction="INVERSE")
        assert any(
            one.footprint.left <= x <= one.footprint.right and one.footprint.bottom <= y <= one.footprint.top
            for one in tiles_of(zone)
        )
        if zone != entry.zone:  # the place lies in both: MGRS decides
            assert abs(zone.number - entry.zone.number) in (0, 1, 2, 59)
