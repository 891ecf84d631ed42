"""Clouds, shadows and the adjacency correction on real pixels: facts that would not hold if they were wrong."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from benchmarks.quality import coasts, detector, pairing
from benchmarks.quality.data import SUN, VIEW, RealTile, read_patches, read_tile
from tests.conftest import shared_data
from workflows.probability import BANDS


@pytest.fixture(scope="module")
def tile() -> RealTile:
    return read_tile(shared_data())


@pytest.fixture(scope="module")
def patches() -> np.ndarray:
    return read_patches(shared_data())[:, ::4, ::4]


@pytest.fixture(scope="module")
def cloud(tile: RealTile) -> np.ndarray:
    return np.isin(tile.scl, (8, 9))


def test_the_angles_are_those_of_the_metadata(tile: RealTile) -> None:
    assert tile.box.shape(60) == tile.valid.shape
    text = (shared_data() / "imagery" / "T29UNU_20221005" / "MTD_TL.xml").read_text()
    angles = r"ZENITH_ANGLE[^>]*>([\d.]+)<.*?AZIMUTH_ANGLE[^>]*>([\d.]+)<"
    for start, expected in (("<Mean_Sun_Angle>", SUN), ('<Mean_Viewing_Incidence_Angle bandId="7">', VIEW)):
        found = re.search(angles, text[text.index(start) :], re.DOTALL)
        assert found is not None
        assert [float(value) for value in found.groups()] == pytest.approx(expected, abs=0.01)


def test_the_azimuth_of_the_sensor_points_from_the_ground_to_it(tile: RealTile) -> None:
    """The tile lies at the eastern rim of the swath: the satellite was in the west of it."""
    assert tile.valid[:, :300].mean() > 0.99
    assert not tile.valid[:, -300:].any()
    assert 180 < VIEW[1] < 360


def test_the_detector_finds_clear_and_cloudy_dates(patches: np.ndarray) -> None:
    rows = detector.on_patches(patches)
    assert [row["cloud"] > 0.9 for row in rows] == [True, True, False, False, False]
    assert all(row["cloud"] == 0 for row in rows[2:])
    assert all(row["cloud of the other"] == 0 for row in rows[2:])
    assert all(row["recall"] > 0.99 for row in rows[:2])  # the rule's clouds are clouds; it misses the thin ones
    blue = detector.ORDER.index("B02")
    brighter = patches[:, :, :, blue] - np.median(patches[2:, :, :, blue], axis=0)
    assert (brighter[:2] > 0.02).mean() > 0.9  # the same ground on clear dates is darker
    assert (np.abs(brighter[2:]) > 0.02).mean() < 0.1


def test_a_constant_for_b10_changes_thin_clouds_only(patches: np.ndarray) -> None:
    flips = [row["flips: B10 constant"] for row in detector.on_patches(patches)]
    assert flips[0] == flips[2] == flips[3] == flips[4] == 0
    assert flips[1] > 0.05


def test_what_stands_in_for_b09_decides_about_clouds_of_level_2a(tile: RealTile) -> None:
    """So Level-2A is no input of the detector: within what vapour may let through, clouds come and go."""
    shares = [detector.on_tile(tile, 16, vapour=vapour)[0]["cloud"] for vapour in (0.2, 0.4)]
    assert shares[0] > 2 * shares[1]


def test_most_shadow_is_found_with_the_sun_at_its_place(tile: RealTile, cloud: np.ndarray) -> None:
    """By chance, with the sun elsewhere, there is a third to two thirds of it."""

    def found(turn: float = 0, view: tuple[float, float] = VIEW) -> float:
        pairs = pairing.pair(tile, cloud, turn=turn, view=view)
        return float(pairs.found.shadow[pairs.clear].mean())

    right = found()
    assert found(turn=-20) < right
    assert found(turn=10) < 0.75 * right
    assert found(turn=180) < 0.4 * right
    assert found(view=(0, 0)) < 0.9 * right  # without parallax
    assert found(view=(VIEW[0], VIEW[1] - 180)) < 0.75 * right  # with the wrong sign


def test_shadows_are_dark_in_bands_that_were_not_looked_at(tile: RealTile, cloud: np.ndarray) -> None:
    found = pairing.pair(tile, cloud)
    dark = pairing.darkness(tile, found)
    for band in ("B11", "B12"):
        assert dark[band]["median of shadow"] < 0.75
        assert dark[band]["median of the rest"] > 0.95
        assert dark[band]["below 0.8, shadow"] > 2.5 * dark[band]["below 0.8, rest"]
    assert dark["B02"]["median of shadow"] > dark["B11"]["median of shadow"] + 0.05  # the sky is blue


def test_long_shadows_need_ground_beyond_the_tile(tile: RealTile, cloud: np.ndarray) -> None:
    rows = pairing.by_reach(tile, cloud, (82, 100))
    assert rows[0]["beyond 4800 m"] < rows[1]["beyond 4800 m"]
    assert rows[1]["beyond 4800 m"] > 0.1
    lower, higher = pairing.by_sun(pairing.pair(tile, cloud, reach=160), (40, 65))
    assert lower["beyond 9800 m"] == 0
    assert higher["beyond 9800 m"] > 0.1


@pytest.mark.parametrize("band", ["B02", "B8A"])
def test_water_gets_darker_near_land_and_right(tile: RealTile, band: str) -> None:
    found = coasts.there_and_back(tile, band)
    without = [row["error without"] for row in found["at water"]]
    assert without == sorted(without, reverse=True)  # the nearer to land, the brighter
    assert without[0] > 0.005
    for row in found["at water"]:
        assert abs(row["error with"]) < 0.25 * row["error without"]
    assert found["share changed away from the surroundings"] > 0.999


@pytest.mark.parametrize("band", ["B02", "B8A", "B11"])
def test_ground_that_is_everywhere_the_same_is_not_changed(band: str) -> None:
    assert coasts.homogeneous(band) == 0


def test_what_is_printed_is_json(patches: np.ndarray) -> None:
    rows = detector.on_patches(patches[2:3])
    assert json.loads(json.dumps(rows)) == rows
    assert set(BANDS) < set(detector.ORDER)
