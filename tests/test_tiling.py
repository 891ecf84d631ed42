"""The tiling grid: properties of all 56,686 tiles, hulls, ranks and owners."""

from __future__ import annotations

import csv
import itertools
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from abut.errors import InvalidTileError
from abut.lattice import BLOCK_SIZE, GRID_STEP, Block, Bounds, Zone
from abut.tiling import TILE_SIZE, Tile, all_tiles, owner, rank_key, ranked, tile, tiles_of, tiles_touching

if TYPE_CHECKING:
    from collections.abc import Iterable

GRID = tuple(all_tiles())
ZONES = sorted({entry.zone for entry in GRID})
SHARED_GRID = Path(__file__).parents[1].parent / "shared" / "data" / "grid"
needs_official_grid = pytest.mark.skipif(
    not SHARED_GRID.is_dir(), reason="the official grid's CSV is not beside the checkout"
)
tiles = st.sampled_from(GRID)


def union_area(parts: Iterable[Bounds]) -> int:
    """The slow, obvious area of a union of rectangles: cells between all edges."""
    rectangles = list(parts)
    xs = sorted({x for r in rectangles for x in (r.left, r.right)})
    ys = sorted({y for r in rectangles for y in (r.bottom, r.top)})
    return sum(
        (x1 - x0) * (y1 - y0)
        for (x0, x1), (y0, y1) in itertools.product(itertools.pairwise(xs), itertools.pairwise(ys))
        if any(r.left <= x0 and x1 <= r.right and r.bottom <= y0 and y1 <= r.top for r in rectangles)
    )


def rim_blocks(zone: Zone, members: Iterable[Tile]) -> list[Block]:
    """Blocks of a zone that some tile touches and none contains."""
    touched: set[tuple[int, int]] = set()
    contained: set[tuple[int, int]] = set()
    for member in members:
        hull, bounds = member.hull, member.footprint
        touched.update(itertools.product(range(hull.p0, hull.p1), range(hull.q0, hull.q1)))
        inner_p = range(-(-bounds.left // BLOCK_SIZE), bounds.right // BLOCK_SIZE)
        inner_q = range(-(-(bounds.bottom - zone.equator) // BLOCK_SIZE), (bounds.top - zone.equator) // BLOCK_SIZE)
        contained.update(itertools.product(inner_p, inner_q))
    return [Block(zone, p, q) for p, q in sorted(touched - contained)]


def parts_of(block: Block, members: Iterable[Tile]) -> list[Bounds]:
    found = (member.footprint.intersection(block.bounds) for member in members)
    return [part for part in found if part is not None]


def test_the_grid_is_the_official_one_in_size() -> None:
    assert len(GRID) == 56_686
    assert len({entry.id for entry in GRID}) == 56_686
    assert len(ZONES) == 120


@needs_official_grid
def test_every_tile_equals_the_official_csv() -> None:
    with (SHARED_GRID / "s2_tiles.csv").open() as file:
        official = [(r["tile"], int(r["epsg"]), int(r["ulx"]), int(r["uly"])) for r in csv.DictReader(file)]
    assert [(t.id, t.zone.epsg, t.ulx, t.uly) for t in GRID] == official


def test_every_origin_lies_on_the_60_m_grid_counted_from_the_equator() -> None:
    for entry in GRID:
        assert entry.ulx % GRID_STEP == 0
        assert (entry.uly - entry.zone.equator) % GRID_STEP == 0
    assert any(entry.uly % GRID_STEP for entry in GRID), "in the south, northing 0 would not do"


def test_every_hull_has_12_or_13_blocks_a_side_and_holds_the_footprint() -> None:
    assert {side for entry in GRID for side in entry.hull.shape} == {12, 13}
    for entry in GRID:
        assert entry.hull.bounds.contains(entry.footprint)


def test_neighbouring_origins_are_99960_or_100020_m_apart_so_overlaps_exceed_a_block() -> None:
    steps = set()
    for zone in ZONES:
        rows: dict[int, list[int]] = {}
        for entry in tiles_of(zone):
            rows.setdefault(entry.uly, []).append(entry.ulx)
        for row in rows.values():
            steps |= {b - a for a, b in itertools.pairwise(sorted(row)) if b - a < TILE_SIZE}
        columns: dict[int, list[int]] = {}
        for entry in tiles_of(zone):
            columns.setdefault(entry.ulx, []).append(entry.uly)
        for column in columns.values():
            steps |= {b - a for a, b in itertools.pairwise(sorted(column)) if b - a < TILE_SIZE}
    assert steps == {99_960, 100_020}
    assert TILE_SIZE - max(steps) > BLOCK_SIZE


@pytest.mark.parametrize("zone", ZONES, ids=str)
def test_every_block_that_tiles_cover_wholly_lies_in_one_tile(zone: Zone) -> None:
    for block in rim_blocks(zone, tiles_of(zone)):
        parts = parts_of(block, tiles_touching(block.bounds))
        assert union_area(parts) < BLOCK_SIZE**2, f"{block} is covered only by several tiles together"


@needs_official_grid
def test_rim_corners_of_europe_are_those_computed_independently() -> None:
    with (SHARED_GRID / "europe_tiles.csv").open() as file:
        members = [tile(row["tile"]) for row in csv.DictReader(file)]
    with (SHARED_GRID / "rim_blocks_europe.csv").open() as file:
        expected = {
            Block(Zone(int(row["epsg"])), int(row["i"]), int(row["j"])): (
                int(row["union_m2"]), int(row["best_m2"]), set(row["tiles"].split()),
            )
            for row in csv.DictReader(file)
        }  # fmt: skip
    found = {}
    distinct = stored = 0
    for zone in sorted({member.zone for member in members}):
        mine = [member for member in members if member.zone == zone]
        rim = rim_blocks(zone, mine)
        touched = {block for member in mine for block in member.hull}
        distinct += len(touched)
        stored += len(touched) - len(rim)
        for block in rim:
            here = [member for member in mine if member.footprint.intersection(block.bounds)]
            parts = parts_of(block, here)
            union, best = union_area(parts), max(part.area for part in parts)
            if union > best:
                found[block] = (union, best, {member.id for member in here})
            stored += len(kept(block, here))
    assert found == expected
    assert (distinct, stored) == (284_635, 284_745)


def kept(block: Block, here: list[Tile]) -> list[Tile]:
    """Tiles that keep a rim block although all pixels are equal: no better-ranked keeper covers all they cover."""
    keepers: list[Tile] = []
    for candidate in ranked(block, here):
        part = candidate.footprint.intersection(block.bounds)
        assert part is not None
        if not any(keeper.footprint.contains(part) for keeper in keepers):
            keepers.append(candidate)
    return keepers


@given(tiles, st.integers(0, 168))
def test_every_block_has_one_owner_and_it_covers_what_can_be_covered(entry: Tile, number: int) -> None:
    hull = list(entry.hull)
    block = hull[number % len(hull)]
    order = ranked(block)
    assert entry in order
    assert len({rank_key(block, candidate) for candidate in order}) == len(order)
    first = owner(block)
    assert first == order[0]
    containing = [candidate for candidate in order if candidate.footprint.contains(block.bounds)]
    assert order[: len(containing)] == tuple(sorted(containing, key=lambda candidate: rank_key(block, candidate)))
    areas = [part.area for candidate in order if (part := candidate.footprint.intersection(block.bounds))]
    assert areas[0] == max(areas)


@given(tiles, st.integers(0, 168), st.randoms(use_true_random=False))
def test_a_rank_does_not_depend_on_the_order_of_the_candidates(entry: Tile, number: int, random: object) -> None:
    hull = list(entry.hull)
    block = hull[number % len(hull)]
    shuffled = list(tiles_touching(block.bounds))
    getattr(random, "shuffle")(shuffled)  # noqa: B009 - hypothesis' Random has no stubs of its own
    assert ranked(block, shuffled) == ranked(block)


def test_nearest_centre_ranks_first_among_those_that_contain_a_block() -> None:
    entry = tile("32TNM")
    middle = entry.hull.block(6, 6)
    assert owner(middle) == entry
    corner = entry.hull.block(1, 1)
    assert {candidate.id for candidate in tiles_touching(corner.bounds)} == {"32TMM", "32TMN", "32TNM", "32TNN"}
    centre = np.array([corner.bounds.left, corner.bounds.bottom]) + BLOCK_SIZE / 2
    distances = {
        candidate.id: np.hypot(*(centre - (candidate.ulx + TILE_SIZE / 2, candidate.uly - TILE_SIZE / 2)))
        for candidate in tiles_touching(corner.bounds)
        if candidate.footprint.contains(corner.bounds)
    }
    assert owner(corner) == tile(min(distances, key=lambda name: distances[name]))


def test_touching_tiles_are_those_that_a_scan_of_the_zone_finds() -> None:
    for name in ("32TNM", "01CCV", "60XWR", "32NNF", "32MNE"):
        for block in list(tile(name).hull)[::17]:
            scanned = {t.id for t in tiles_of(block.zone) if t.footprint.intersection(block.bounds)}
            assert {t.id for t in tiles_touching(block.bounds)} == scanned


@pytest.mark.parametrize("name", ["32TNM", "T32TNM", "t32tnm", "MGRS-32TNM"])
def test_tiles_are_found_by_the_usual_spellings(name: str) -> None:
    assert tile(name) == Tile("32TNM", Zone(32632), 499_980, 4_700_040)


@pytest.mark.parametrize("name", ["", "T", "32TN", "32TNMM", "99ZZZ", "32TNI", "32TÑM", "00AAA", "\x0032TN"])
def test_what_is_no_tile_is_refused_by_name(name: str) -> None:
    with pytest.raises(InvalidTileError, match="is not a tile"):
        tile(name)


def test_tiles_at_the_equator_stay_with_their_own_zone() -> None:
    north, south = tile("32NNF"), tile("32MNE")
    assert (north.zone, south.zone) == (Zone(32632), Zone(32732))
    assert north.footprint.intersection(south.footprint) is None
