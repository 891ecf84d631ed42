"""Adjacency correction: exact sums, the ground that was put in, and the same bytes in any window."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.workflows.scenes import noise
from workflows.adjacency import RADIUS, Atmosphere, adjacency
from workflows.environment import PIXEL, REACH, WEIGHT, kernel, share_within, surroundings
from workflows.errors import MissingBandError, NeighbourhoodError, WorkflowError
from workflows.indices import NODATA
from workflows.scene import RESOLUTION, Box, Scene

BLUE = Atmosphere(
    path=0.075, gases=0.982, down=0.857, direct=0.684, diffuse=0.200, albedo=0.156, molecules=0.072, aerosols=0.157
)
"""B02: mid-latitude summer, continental aerosol, optical thickness 0.2, sun 35 degrees from the zenith."""
NEAR_INFRARED = Atmosphere(
    path=0.013, gases=0.998, down=0.949, direct=0.873, diffuse=0.090, albedo=0.049, molecules=0.008, aerosols=0.084
)
"""B8A, likewise."""
CORE = Box(600_000, -3_600, 604_800, 1_200)
WIDE = CORE.grown(RADIUS + 1_200)


def seen_from_above(truth: np.ndarray, around: np.ndarray | float, air: Atmosphere) -> np.ndarray:
    """Return digital numbers of ground and surroundings, by the forward model of 6S."""
    apparent = air.path + air.down * (air.direct * truth + air.diffuse * around) / (1 - air.albedo * around)
    return np.rint(air.gases * apparent * 10_000 + 1_000).astype(np.uint16)


def scene_of(band: str, dn: np.ndarray, box: Box, core: Box) -> Scene:
    return Scene(box=box, core=core, bands={band: dn}, offsets={band: -1_000})


@pytest.fixture(scope="module")
def lakes() -> Scene:
    """Land with dark lakes, seen through the atmosphere, at 60 m; a swath's edge crosses it."""
    random = np.random.default_rng(5)
    rows, columns = WIDE.shape(60)
    land = np.kron(random.random((-(-rows // 25), -(-columns // 25))) > 0.3, np.ones((25, 25)))[:rows, :columns]
    dn = seen_from_above(np.where(land, 0.3, 0.02) + random.random((rows, columns)) * 0.02, 0.2, NEAR_INFRARED)
    dn[np.add.outer(np.arange(rows) * 3, np.arange(columns)) < 150] = 0
    return scene_of("B01", dn, WIDE, CORE)


def test_the_kernel_is_the_environment_function() -> None:
    weights = kernel(0.072, 0.157)
    assert weights.sum() == WEIGHT
    assert (weights == weights[::-1]).all()
    assert (weights == weights.T).all()
    assert (weights >= 0).all()
    radius = np.hypot(*np.ogrid[-REACH : REACH + 1, -REACH : REACH + 1]) * PIXEL / 1000
    reach = float(share_within(np.array([(REACH + 0.5) * PIXEL / 1000]), 0.072, 0.157)[0])
    for kilometres in (0.3, 1.0, 3.0, 6.0, 9.0):
        expected = float(share_within(np.array([kilometres]), 0.072, 0.157)[0]) / reach
        assert weights[radius <= kilometres].sum() / WEIGHT == pytest.approx(expected, abs=0.003)


def test_the_environment_function_has_the_published_values() -> None:
    distances = np.array([1, 5, 9.6, 20])
    assert share_within(distances, 1, 0).round(2).tolist() == [0.12, 0.38, 0.57, 0.81]
    assert share_within(distances, 0, 1).round(2).tolist() == [0.63, 0.88, 0.97, 1.0]


def test_sums_are_those_of_whole_numbers() -> None:
    random = np.random.default_rng(2)
    values, weights = random.integers(-32_767, 32_768, (333, 350)), kernel(0.1, 0.05)
    found = surroundings(values, weights)
    assert found.shape == (15, 32)
    for row, column in [(0, 0), (14, 31), (7, 3)]:
        assert found[row, column] == (values[row : row + 319, column : column + 319] * weights).sum()


def test_sums_that_would_not_be_exact_are_refused() -> None:
    with pytest.raises(WorkflowError, match="too large to be exact"):
        surroundings(np.random.default_rng(0).integers(0, 1 << 20, (340, 340)), kernel(0.1, 0.05))
    with pytest.raises(WorkflowError, match="300 x 400 pixels are fewer"):
        surroundings(np.zeros((300, 400), np.int64), kernel(0.1, 0.05))


@pytest.mark.parametrize("air", [BLUE, NEAR_INFRARED])
def test_ground_like_its_surroundings_comes_back(air: Atmosphere) -> None:
    dn = seen_from_above(np.full(WIDE.shape(60), 0.25), 0.25, air)
    found = adjacency(scene_of("B01", dn, WIDE, CORE), "B01", air)
    assert np.abs(found.reflectance - 2_500).max() <= 2  # of which one is the rounding of DN
    assert found.known.min() == 1
    assert found.uncertainty.max() == 0


def test_a_lake_in_bright_land_gets_its_own_reflectance() -> None:
    rows, columns = WIDE.shape(60)
    truth = np.full((rows, columns), 0.35)
    truth[rows // 2 - 8 : rows // 2 + 8, columns // 2 - 8 : columns // 2 + 8] = 0.02
    weights = kernel(NEAR_INFRARED.molecules, NEAR_INFRARED.aerosols)
    padded = np.pad(np.rint(truth * 10_000).astype(np.int64), REACH, mode="edge")
    around = surroundings(padded, weights) / WEIGHT / 10_000
    dn = seen_from_above(truth, around, NEAR_INFRARED)
    scene = scene_of("B01", dn, WIDE, CORE)
    found = adjacency(scene, "B01", NEAR_INFRARED).reflectance / 10_000
    rows, columns = found.shape
    lake = found[rows // 2 - 2 : rows // 2 + 2, columns // 2 - 2 : columns // 2 + 2]
    alone = (dn[WIDE.slices(CORE, 60)][rows // 2, columns // 2] - 1_000) / 10_000
    assert np.abs(lake - 0.02).max() < 0.005
    assert alone > 0.045  # what stands there uncorrected: more than twice the lake's own


@settings(max_examples=6, deadline=None)
@given(x=st.integers(-20, 60), y=st.integers(-20, 60), wide=st.integers(1, 20), high=st.integers(1, 20))
def test_a_window_with_its_neighbourhood_has_the_bytes_of_the_whole(
    lakes: Scene, x: int, y: int, wide: int, high: int
) -> None:
    left, top = CORE.left + 60 * x, CORE.top - 60 * y
    part = Box(left, top - 60 * high, left + 60 * wide, top)
    whole = replace(lakes, core=WIDE.grown(-RADIUS))
    expected = adjacency(whole, "B01", NEAR_INFRARED)
    found = adjacency(lakes.cut(part.grown(RADIUS), part), "B01", NEAR_INFRARED)
    inside = whole.core.slices(part, 60)
    for name in ("reflectance", "known", "uncertainty"):
        assert getattr(found, name).tobytes() == np.ascontiguousarray(getattr(expected, name)[inside]).tobytes()


@pytest.mark.parametrize("band", ["B02", "B8A"])
def test_finer_pixels_are_the_same_in_any_window(band: str) -> None:
    scene = replace(noise((band,), WIDE), core=WIDE.grown(-RADIUS))
    part = Box(602_460, -1_740, 603_000, -60)
    size = RESOLUTION[band]
    expected = adjacency(scene, band, BLUE).reflectance[scene.core.slices(part, size)]
    found = adjacency(scene.cut(part.grown(RADIUS), part), band, BLUE).reflectance
    assert found.tobytes() == np.ascontiguousarray(expected).tobytes()
    assert (found == NODATA).any()


def test_a_lone_tile_is_wrong_at_its_rim_and_nowhere_else(lakes: Scene) -> None:
    """The tile alone, with nothing around: differences end within the radius, and there are many before."""
    dry = replace(lakes, bands={"B01": np.maximum(lakes.bands["B01"], 1_000)})  # no swath edge
    tile = WIDE.grown(-1_200)
    right = adjacency(replace(dry, core=tile), "B01", NEAR_INFRARED, partial=True)
    alone = adjacency(dry.cut(tile), "B01", NEAR_INFRARED, partial=True)
    differs = right.reflectance != alone.reflectance
    rows, columns = differs.shape
    down, across = (
        np.minimum(np.arange(rows), np.arange(rows)[::-1]),
        np.minimum(np.arange(columns), np.arange(columns)[::-1]),
    )
    edge = np.minimum(down[:, None], across[None, :])
    assert differs[edge < 10].mean() > 0.3
    assert not differs[edge >= REACH + 1].any()
    assert (alone.known[edge > REACH] == 1).all()
    assert alone.known[0, 0] < 0.4
    assert alone.uncertainty[0, 0] == pytest.approx(0.09 / 0.873 * 0.2 * (1 - alone.known[0, 0]))


def test_one_pixel_that_is_wrong_is_found(lakes: Scene) -> None:
    changed = lakes.bands["B01"].copy()
    changed[200, 200] += 3_000
    first, second = (
        adjacency(replace(lakes, bands={"B01": dn}), "B01", NEAR_INFRARED).reflectance
        for dn in (lakes.bands["B01"], changed)
    )
    assert (first != second).sum() >= 1


def test_what_can_not_be_corrected_is_refused(lakes: Scene) -> None:
    with pytest.raises(NeighbourhoodError, match=r"looks 9600 m .* there are 9540 m: ask for a buffer of 9600 m"):
        adjacency(lakes.cut(CORE.grown(9_540), CORE), "B01", BLUE)
    with pytest.raises(MissingBandError, match="B02 missing"):
        adjacency(lakes, "B02", BLUE)
    with pytest.raises(WorkflowError, match="the transmittance 'direct' is 0,"):
        replace(BLUE, direct=0)
    with pytest.raises(WorkflowError, match="'path' is nan"):
        replace(BLUE, path=float("nan"))
    with pytest.raises(WorkflowError, match="can't be 0 and 0"):
        kernel(0, 0)


def test_no_data_at_all_gives_none() -> None:
    scene = scene_of("B01", np.zeros(WIDE.shape(60), np.uint16), WIDE, CORE)
    found = adjacency(scene, "B01", BLUE)
    assert (found.reflectance == NODATA).all()
    assert (found.known == 0).all()
