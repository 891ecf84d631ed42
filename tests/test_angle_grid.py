"""Angles between nodes, and beyond the nodes that have values."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

import numpy as np
import pytest

from abut.angle_grid import at_points, filled, on_pixels
from abut.lattice import Bounds
from abut.tiling import tile
from tests.conftest import shared_data

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

TILE = tile("32TNM")


def ground(rows: NDArray[np.float64], columns: NDArray[np.float64]) -> NDArray[np.float64]:
    """Zenith and azimuth of a line of sight from one place high up, at nodes (metres from the tile's corner)."""
    east, north = (columns - 40_000.0) / 786_000, (7_000.0 - rows * 0.1) / 786_000
    return np.stack([np.degrees(np.arctan(np.hypot(east, north))), np.degrees(np.arctan2(east, north)) % 360])


def nodes() -> NDArray[np.float64]:
    steps = 5_000.0 * np.arange(23)
    return ground(*np.meshgrid(steps, steps, indexing="ij"))


def test_nodes_without_value_continue_the_line_of_sight() -> None:
    angles = nodes()
    gaps = angles.copy()
    gaps[:, :, :4] = np.nan
    gaps[:, :, 9:] = np.nan
    gaps[:, :7] = np.nan
    grid = filled(gaps)
    assert np.allclose(grid.zenith, angles[0], atol=1e-9)
    assert np.allclose((grid.azimuth - angles[1] + 180) % 360, 180, atol=1e-6)
    assert grid.valid.sum() == 16 * 5
    assert np.array_equal(grid.zenith[grid.valid], angles[0][grid.valid])


@pytest.mark.parametrize("places", [[(3, 5)], [(3, 5), (3, 6), (3, 7)], [(3, 3), (4, 4)]])
def test_few_nodes_are_enough(places: list[tuple[int, int]]) -> None:
    angles, gaps = nodes(), np.full((2, 23, 23), np.nan)
    for row, column in places:
        gaps[:, row, column] = angles[:, row, column]
    grid = filled(gaps)
    assert np.isfinite(grid.zenith).all()
    if len(places) == 1:
        assert np.allclose(grid.zenith, angles[0, 3, 5])
    if len(places) == 3:  # in a row: along it as they go, across it no slope
        assert np.allclose(grid.zenith[:, 6], angles[0, 3, 6])
        assert np.allclose(grid.zenith[3, 4], angles[0, 3, 4], atol=1e-9)


def test_a_detector_without_nodes_has_no_angles() -> None:
    grid = filled(np.full((2, 23, 23), np.nan))
    zenith, azimuth = on_pixels(grid, TILE, TILE.footprint, 60)
    assert np.isnan(zenith).all()
    assert np.isnan(azimuth).all()


def test_pixels_are_between_their_nodes() -> None:
    angles = nodes()
    part = Bounds(TILE.zone, TILE.ulx + 14_400, TILE.uly - 60_000, TILE.ulx + 20_400, TILE.uly - 54_000)
    zenith, azimuth = on_pixels(filled(angles), TILE, part, 60)
    assert [str(array.dtype) for array in (zenith, azimuth)] == ["float32", "float32"]
    for row, column in [(0, 0), (17, 93), (99, 99)]:
        down, across = (54_000 + 60 * row + 30) / 5000, (14_400 + 60 * column + 30) / 5000
        i, j = int(down), int(across)
        weights = [
            ((1 - down + i) * (1 - across + j), i, j),
            ((1 - down + i) * (across - j), i, j + 1),
            ((down - i) * (1 - across + j), i + 1, j),
            ((down - i) * (across - j), i + 1, j + 1),
        ]
        assert zenith[row, column] == pytest.approx(sum(w * angles[0, a, b] for w, a, b in weights), rel=1e-6)
        turned = sum(w * np.exp(1j * np.radians(angles[1, a, b])) for w, a, b in weights)
        assert azimuth[row, column] == pytest.approx(np.degrees(np.angle(turned)) % 360, rel=1e-6)


def test_azimuths_around_north_do_not_turn_south() -> None:
    angles = np.zeros((2, 23, 23))
    angles[0] = 5
    angles[1, :, ::2], angles[1, :, 1::2] = 359.0, 1.0
    _, azimuth = on_pixels(filled(angles), TILE, TILE.footprint, 60)
    assert (np.abs((azimuth + 180) % 360 - 180) <= 1.001).all()
    assert azimuth.max() < 360


def test_azimuths_just_west_of_north_are_less_than_360() -> None:
    angles = np.full((2, 23, 23), 359.999999999)
    angles[0] = 5
    _, azimuth = on_pixels(filled(angles), TILE, TILE.footprint, 60)
    assert np.float32(359.999999999) == 360
    assert (azimuth == 0).all()


def test_parts_have_the_bits_of_the_whole() -> None:
    grid = filled(nodes())
    whole = on_pixels(grid, TILE, TILE.footprint, 60)
    part = Bounds(TILE.zone, TILE.ulx + 7_380, TILE.uly - 99_960, TILE.ulx + 27_000, TILE.uly - 12_060)
    inside = TILE.footprint.slices(part, 60)
    for one, other in zip(whole, on_pixels(grid, TILE, part, 60), strict=True):
        assert np.array_equal(one[inside], other)


def test_there_are_no_angles_beyond_the_tile() -> None:
    zenith, _ = on_pixels(filled(nodes()), TILE, TILE.footprint.buffered(600), 60)
    assert np.isnan(zenith[:10]).all()
    assert np.isnan(zenith[:, :10]).all()
    assert np.isfinite(zenith[10:, 10:-10][:1830]).all()


def test_places_know_whether_a_node_around_them_was_extrapolated() -> None:
    gaps = nodes()
    gaps[:, :, 10:] = np.nan
    x = np.array([TILE.ulx + 44_000.0, TILE.ulx + 46_000.0])
    zenith, _, known = at_points(filled(gaps), TILE, x, np.full(2, TILE.uly - 12_000.0))
    assert known.tolist() == [True, False]
    assert np.isfinite(zenith).all()


def real_grids() -> Iterator[NDArray[np.float64]]:
    for path in sorted((shared_data() / "safe").rglob("*MTD_TL.xml")):
        yield from _grids(path)


def _grids(path: Path) -> Iterator[NDArray[np.float64]]:
    for grid in ET.parse(path).iter("Viewing_Incidence_Angles_Grids"):  # noqa: S314 - ours
        rows = [[row.text or "" for row in grid.iterfind(f"{name}//VALUES")] for name in ("Zenith", "Azimuth")]
        yield np.array([[[float(value) for value in row.split()] for row in part] for part in rows])


def test_left_out_nodes_of_real_grids_are_found_again_within_a_hundredth_of_a_degree() -> None:
    worst, nearest, grids = 0.0, 0.0, 0
    for angles in real_grids():
        seen = np.isfinite(angles[0])
        gaps, last = angles.copy(), []
        for row in range(23):
            columns = np.flatnonzero(seen[row])
            if len(columns) > 2:
                gaps[:, row, columns[-1]] = np.nan
                last.append((row, columns[-1]))
        if len(last) > 2:
            grids += 1
            grid = filled(gaps)
            worst = max(worst, *(abs(grid.zenith[place] - angles[0][place]) for place in last))
            nearest = max(nearest, *(abs(angles[0][r, c - 1] - angles[0][r, c]) for r, c in last))
    assert grids > 50
    assert worst < 0.011
    assert nearest > 0.3
