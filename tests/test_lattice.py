"""The lattice: zones, bounds, blocks and rectangles of blocks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abut.lattice import BLOCK_SIZE, RESOLUTIONS, Block, BlockRange, Bounds, Zone

NORTH, SOUTH = Zone(32632), Zone(32732)
zones = st.sampled_from([NORTH, SOUTH])
blocks = st.builds(Block, zones, st.integers(0, 110), st.integers(-1040, 1040))


def rectangles(step: int = 60) -> st.SearchStrategy[Bounds]:
    def build(zone: Zone, left: int, bottom: int, width: int, height: int) -> Bounds:
        south = zone.equator + step * bottom
        return Bounds(zone, step * left, south, step * (left + width), south + step * height)

    return st.builds(
        build,
        zones,
        st.integers(0, 15_000),
        st.integers(-150_000, 150_000),
        st.integers(1, 4_000),
        st.integers(1, 4_000),
    )


@pytest.mark.parametrize("epsg", [0, 4326, 32600, 32661, 32700, 32761, 32800])
def test_only_utm_zones_are_zones(epsg: int) -> None:
    with pytest.raises(ValueError, match=str(epsg)):
        Zone(epsg)


def test_southern_blocks_count_from_the_equator_not_from_northing_0() -> None:
    assert Block(SOUTH, 52, -1).bounds.top == 10_000_000
    assert Block(SOUTH, 52, 0).bounds.bottom == 10_000_000
    assert Block(SOUTH, 52, -1).bounds.bottom % BLOCK_SIZE != 0  # 10,000,000 is no multiple of 9,600


@given(blocks)
def test_a_block_is_a_whole_number_of_pixels_of_every_band(block: Block) -> None:
    for resolution, pixels in zip(RESOLUTIONS, (960, 480, 160), strict=True):
        assert block.bounds.shape(resolution) == (pixels, pixels)


@given(rectangles())
def test_a_hull_is_the_smallest_rectangle_of_blocks_around_the_ground(bounds: Bounds) -> None:
    hull = BlockRange.around(bounds)
    assert hull.bounds.contains(bounds)
    rows, columns = hull.shape
    edges = [hull.block(0, 0), hull.block(rows - 1, columns - 1)]
    for block in edges:
        assert block.bounds.intersection(bounds) is not None


def test_what_lies_around_rectangles_is_the_smallest_one_that_contains_them() -> None:
    west, east = Bounds(Zone(32632), 0, 60, 120, 180), Bounds(Zone(32632), 300, -60, 360, 0)
    assert Bounds.around([west, east]) == Bounds(Zone(32632), 0, -60, 360, 180)
    assert Bounds.around([west]) == west
    with pytest.raises(ValueError, match="0 rectangles of 0 zones"):
        Bounds.around([])
    with pytest.raises(ValueError, match="2 rectangles of 2 zones"):
        Bounds.around([west, Bounds(Zone(32633), 0, 60, 120, 180)])


@given(rectangles())
def test_blocks_of_a_range_are_found_at_their_position(bounds: Bounds) -> None:
    hull = BlockRange.around(bounds)
    for index, block in enumerate(hull):
        row, column = divmod(index, hull.shape[1])
        assert block in hull
        assert hull.position(block) == (row, column)
        assert hull.block(row, column) == block
        assert hull.bounds.slices(block.bounds, 60) == (
            slice(160 * row, 160 * row + 160),
            slice(160 * column, 160 * column + 160),
        )
        if index > 50:
            break
    assert index + 1 <= len(hull)


@given(rectangles(), rectangles())
def test_an_intersection_lies_in_both_and_commutes(one: Bounds, other: Bounds) -> None:
    both = one.intersection(other)
    assert both == other.intersection(one)
    if both is not None:
        assert one.contains(both)
        assert other.contains(both)
        assert both.area <= min(one.area, other.area)


def test_nothing_is_shared_across_zones() -> None:
    square = Bounds(NORTH, 0, 0, 600, 600)
    assert square.intersection(Bounds(SOUTH, 0, 0, 600, 600)) is None
    assert not square.contains(Bounds(SOUTH, 0, 0, 600, 600))


def test_misuse_is_refused_with_the_values() -> None:
    with pytest.raises(ValueError, match="empty bounds: 60 0 60 60"):
        Bounds(NORTH, 60, 0, 60, 60)
    with pytest.raises(ValueError, match="60 m pixels"):
        Bounds(NORTH, 0, 0, 90, 60).shape(60)
    with pytest.raises(ValueError, match="not an aligned part"):
        Bounds(NORTH, 0, 0, 600, 600).slices(Bounds(NORTH, 30, 0, 90, 60), 60)
    with pytest.raises(ValueError, match="empty block range"):
        BlockRange(NORTH, 1, 1, 1, 2)
    hull = BlockRange(NORTH, 0, 0, 2, 2)
    with pytest.raises(IndexError, match="row 2"):
        hull.block(2, 0)
    with pytest.raises(KeyError, match="not in"):
        hull.position(Block(NORTH, 5, 5))
