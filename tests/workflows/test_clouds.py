"""Clouds and shadows: shadows lie where geometry puts them, and classes are the same in any window."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.workflows.sky import SUN, VIEW, Sky, make, moves
from workflows import shadows
from workflows.clouds import CLEAR, CLOUD, NODATA, RADIUS, SHADOW, Clouds, clouds_and_shadows, radius
from workflows.disks import box_sum, dilated, disk, disk_sum, opened
from workflows.errors import GeometryError, MissingBandError, NeighbourhoodError, WorkflowError
from workflows.probability import cloud_probability
from workflows.scene import Box, Geometry

CORE = Box(604_740, -13_200, 611_940, -5_640)
BOX = CORE.grown(RADIUS + 4_020)


@pytest.fixture(scope="module")
def sky() -> Sky:
    return make(BOX, CORE)


def part_of(sky: Sky, box: Box, core: Box, *, partial: bool = False) -> Clouds:
    probability = sky.probability[BOX.slices(box, 60)]
    return clouds_and_shadows(sky.scene.cut(box, core), probability=probability, partial=partial)


@pytest.fixture(scope="module")
def whole(sky: Sky) -> Clouds:
    return part_of(sky, BOX, BOX.grown(-RADIUS))


def test_every_class_is_there_and_shadows_are_found(sky: Sky, whole: Clouds) -> None:
    inner = BOX.slices(whole.box, 60)
    shares = {name: (whole.classes == name).mean() for name in (NODATA, CLEAR, CLOUD, SHADOW)}
    assert min(shares.values()) > 0.03, shares
    found, truth = whole.classes == SHADOW, sky.shadow[inner]
    clouds = whole.classes == CLOUD
    assert (found & truth).sum() / (truth & ~clouds).sum() > 0.7
    assert (found & dilated(truth, 3)).sum() / found.sum() > 0.7
    assert clouds[sky.cloud[inner]].mean() > 0.97


@pytest.mark.parametrize("height", [1_000, 2_500, 5_000])
def test_a_lone_cloud_gets_its_height(height: int) -> None:
    box = Box(600_000, 0, 600_000 + 28_800, 28_800)
    rows, columns = box.shape(60)
    down, right = np.ogrid[:rows, :columns]
    (south, east), (shade_south, shade_east) = moves(height)
    cloud, shade = (
        (down - 250 - row) ** 2 + (right - 220 - column) ** 2 <= 100
        for row, column in ((south, east), (shade_south, shade_east))
    )
    clear = ~cloud
    found = shadows.find_shadows(box, cloud, clear, shade & clear, Geometry.constant(box, SUN, VIEW))
    assert (found.shadow & shade).sum() > 0.95 * (shade & clear).sum()
    heights = found.height[found.height != shadows.NO_HEIGHT]
    assert len(heights)
    assert np.abs(heights - height).max() <= 150  # the height of a step of a pixel, and of neighbouring squares


@settings(max_examples=6, deadline=None)
@given(at=st.tuples(st.integers(-60, 60), st.integers(-60, 60)), size=st.tuples(st.integers(1, 40), st.integers(1, 40)))
def test_a_window_with_its_neighbourhood_has_the_bytes_of_the_whole(
    sky: Sky, whole: Clouds, at: tuple[int, int], size: tuple[int, int]
) -> None:
    left, top = CORE.left + 60 * at[0], CORE.top - 60 * at[1]
    part = Box(left, top - 60 * size[1], left + 60 * size[0], top)
    found = part_of(sky, part.grown(RADIUS), part)
    inside = whole.box.slices(part, 60)
    assert np.array_equal(found.classes, whole.classes[inside])
    assert np.array_equal(found.probability, whole.probability[inside])
    (p0, _, _, q1), (a0, b0, a1, b1) = whole.box.blocks(960), part.blocks(960)
    within = np.s_[1:-1, 1:-1]  # squares at the rim lack what lies beyond it
    expected = whole.height[q1 - b1 : q1 - b0, a0 - p0 : a1 - p0]
    assert np.array_equal(found.height[within], expected[within])


def test_a_lone_tile_is_wrong_at_its_rim_and_nowhere_else(sky: Sky) -> None:
    tile = BOX.grown(-1_800)
    right = part_of(sky, BOX, tile, partial=True).classes
    alone = part_of(sky, tile, tile, partial=True).classes
    rows, columns = alone.shape
    down, across = (np.minimum(np.arange(size), np.arange(size)[::-1]) for size in (rows, columns))
    edge = np.minimum(down[:, None], across[None, :])
    differs = right != alone
    assert differs[edge < 40].sum() > 100
    assert not differs[edge >= RADIUS // 60].any()


def test_most_of_the_radius_is_needed() -> None:
    """A cloud far away, by its height, decides about a shadow: with less ground around, another height wins."""
    reach = shadows.REACH
    assert radius(reach) == RADIUS == 9_540
    assert radius(200) - radius(100) == 6_000
    size = 2 * reach + 2 * shadows.SQUARE + 60
    box = Box(0, 0, 60 * size, 60 * size)
    geometry = Geometry.constant(box, (45.0, 180.0))  # shadows fall to the north, a pixel for each 60 m of height
    cloud, clear, dark = np.zeros((3, size, size), bool)
    clear[:] = True
    middle = slice(size // 2 - 4, size // 2 + 4)
    cloud[size - 20 : size - 12, middle] = True
    clear &= ~cloud
    far = size - 20 - 90
    dark[far : far + 8, middle] = True
    near = size - 20 - 30
    dark[near : near + 6, middle] = True
    found = shadows.find_shadows(box, cloud, clear, dark, geometry)
    assert found.shadow[far + 4, size // 2]
    cut = Box(0, 0, 60 * size, box.top - 60 * (far + 12))  # the far dark ground is not there any more
    rows = slice(far + 12, size)
    less = shadows.find_shadows(cut, cloud[rows], clear[rows], dark[rows], Geometry.constant(cut, (45.0, 180.0)))
    assert found.shadow[near + 3, size // 2] != less.shadow[near + 3 - far - 12, size // 2]


@pytest.mark.parametrize("threads", [1, 2])
def test_the_detector_sees_the_same_in_any_window(sky: Sky, threads: int) -> None:
    box = Box(CORE.left, CORE.top - 1_800, CORE.left + 1_800, CORE.top)
    random = np.random.default_rng(4)
    scene = sky.scene.cut(box)
    scene = replace(
        scene, bands={name: random.integers(1_000, 9_000, dn.shape, np.uint16) for name, dn in scene.bands.items()}
    )
    steps: list[tuple[int, int]] = []
    everything = cloud_probability(scene, threads=threads, done=lambda *step: steps.append(step))
    assert steps == [(30, 30)]
    assert 0 <= everything.min() < everything.max() <= 10_000
    assert len(np.unique(everything)) > 100
    part = Box(box.left + 300, box.bottom + 240, box.right - 420, box.top - 60)
    assert np.array_equal(cloud_probability(scene.cut(part)), everything[box.slices(part, 60)])


def test_disks_are_what_they_are_called() -> None:
    assert len(disk(1)) == 5
    assert len(disk(2)) == 13
    random = np.random.default_rng(1)
    values, flags = random.integers(0, 100, (9, 11)), random.random((9, 11)) > 0.6
    for row, column in np.ndindex(9, 11):
        around = [(row + i, column + j) for i, j in disk(2) if 0 <= row + i < 9 and 0 <= column + j < 11]
        assert disk_sum(values, 2)[row, column] == sum(values[at] for at in around)
        assert dilated(flags, 2)[row, column] == any(flags[at] for at in around)
        square = values[max(row - 3, 0) : row + 4, max(column - 3, 0) : column + 4]
        assert box_sum(values, 3)[row, column] == square.sum()
    speck = np.zeros((7, 7), bool)
    speck[3, 3] = True
    assert not opened(speck, 1).any()
    assert opened(dilated(speck, 2), 1).sum() == 13


def test_what_can_not_be_classified_is_refused(sky: Sky) -> None:
    with pytest.raises(NeighbourhoodError, match=r"clouds and shadows looks 9540 m .* there are 9480 m"):
        part_of(sky, CORE.grown(9_480), CORE)
    scene = sky.scene
    with pytest.raises(GeometryError, match="there are none"):
        clouds_and_shadows(replace(scene, geometry=None), probability=sky.probability)
    with pytest.raises(MissingBandError, match="B10 missing"):
        clouds_and_shadows(replace(scene, bands={name: dn for name, dn in scene.bands.items() if name != "B10"}))
    with pytest.raises(WorkflowError, match="the threshold 10001 is not 0 to 10000"):
        clouds_and_shadows(scene, threshold=10_001)
    with pytest.raises(WorkflowError, match="can't be looked for 0 pixels far"):
        clouds_and_shadows(scene, reach=0, probability=sky.probability)
    with pytest.raises(WorkflowError, match="probabilities are"):
        clouds_and_shadows(scene, probability=sky.probability[1:])
    empty = replace(scene, bands={name: np.zeros_like(dn) for name, dn in scene.bands.items()})
    with pytest.raises(WorkflowError, match="no pixel of Box"):
        clouds_and_shadows(empty, probability=sky.probability)
