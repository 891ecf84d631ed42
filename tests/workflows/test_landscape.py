"""The made-up landscape is one that detectors know: clouds are clouds, shadows lie under them, fields are fields."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from abut.testing.landscape import KINDS
from tests.workflows.products import NORTH, SOUTH, Corner, scene_of
from workflows.classify import classify
from workflows.clouds import CLEAR, CLOUD, NODATA, SHADOW, clouds_and_shadows
from workflows.disks import dilated
from workflows.segments import segment

if TYPE_CHECKING:
    from numpy.typing import NDArray


CORNERS = pytest.mark.parametrize("corner", [NORTH, SOUTH], ids=lambda corner: corner.name)


@CORNERS
def test_each_class_and_each_kind_of_ground_is_there(corner: Corner) -> None:
    kinds = corner.land.kinds(corner.core())
    assert min((kinds == number).mean() for number in range(len(KINDS))) > 0.03


@CORNERS
def test_the_detector_finds_the_clouds_and_their_shadows(corner: Corner) -> None:
    place = corner.core()
    found = clouds_and_shadows(scene_of(corner, place, place), partial=True).classes
    thick, shade = corner.land.clouds(place), corner.land.shadows(place)
    assert min((found == name).mean() for name in (CLEAR, CLOUD, SHADOW)) > 0.03
    assert not (found == NODATA).any()
    assert (found[thick > 128] == CLOUD).mean() > 0.98
    assert (found[~dilated(thick > 0, 4)] == CLOUD).mean() < 0.01
    seen = (shade > 200) & (thick == 0) & (found != CLOUD)
    assert (found[seen] == SHADOW).mean() > 4 * (found[(shade == 0) & (found != CLOUD)] == SHADOW).mean()


@CORNERS
def test_segments_follow_the_edges_of_what_is_seen(corner: Corner) -> None:
    """Most of a segment is of one kind; squares of the same size are a mix."""
    place = corner.core(4_800)
    ids = segment(scene_of(corner, place, place), partial=True).ids()
    kinds = corner.land.kinds(place, 10)
    clear = (corner.land.clouds(place, 10) == 0) & (corner.land.shadows(place, 10) == 0)
    row, column = np.indices(ids.shape, np.int64) // 16

    def purity(names: NDArray[np.int64]) -> float:
        _, number = np.unique(names[clear], return_inverse=True)
        counts = np.zeros((number.max() + 1, len(KINDS)), int)
        np.add.at(counts, (number, kinds[clear]), 1)
        return float(counts.max(axis=1).sum() / counts.sum())

    assert purity(ids) > purity(np.asarray(row * 10_000 + column)) + 0.05


@CORNERS
def test_each_class_of_the_land_cover_is_found(corner: Corner) -> None:
    place = corner.core()
    found = classify(scene_of(corner, place, place), partial=True)
    kinds, thick = corner.land.kinds(place, 10), corner.land.clouds(place, 10)
    shade = corner.land.shadows(place, 10)
    assert min((found.classes == number + 1).mean() for number in range(len(found.names))) > 0.02
    shares = {name: found.classes == number + 1 for number, name in enumerate(found.names)}
    clear = (thick == 0) & (shade == 0)
    green = np.isin(kinds, [KINDS.index(name) for name in ("crops", "meadow", "wood")])
    assert shares["water"][clear & (kinds == KINDS.index("water"))].mean() > 0.99
    assert shares["vegetation"][clear & green].mean() > 0.95
    assert shares["bare"][clear & (kinds == KINDS.index("soil"))].mean() > 0.5
    assert shares["cloud"][thick > 128].mean() > 0.99
    assert shares["shadow"][green & (shade > 220) & (thick == 0)].mean() > 0.5
