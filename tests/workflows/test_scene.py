"""Scenes: what can't be computed on is refused, with the value."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.workflows.scenes import noise
from workflows.errors import GeometryError, MissingBandError, NeighbourhoodError, WorkflowError
from workflows.scene import Box, Geometry, Scene

BOX = Box(588_000, -19_200, 612_000, -600)


def test_edges_lie_on_the_grid() -> None:
    with pytest.raises(WorkflowError, match="not all multiples of 60 m"):
        Box(0, 0, 100, 60)
    with pytest.raises(WorkflowError, match="no area"):
        Box(0, 0, 60, 0)


def test_arrays_are_of_their_bands() -> None:
    box = Box(0, 0, 600, 600)
    with pytest.raises(WorkflowError, match=r"B02 is uint16 \(10, 10\), not uint16 \(60, 60\)"):
        Scene(box=box, core=box, bands={"B02": np.zeros((10, 10), np.uint16)}, offsets={})
    with pytest.raises(WorkflowError, match="'B13' is no band"):
        Scene(box=box, core=box, bands={"B13": np.zeros((10, 10), np.uint16)}, offsets={})
    with pytest.raises(WorkflowError, match="is not inside of"):
        Scene(box=box, core=box.grown(60), bands={}, offsets={})
    with pytest.raises(MissingBandError, match="B10, B11 missing; there are B01"):
        noise(("B01",), box).require(["B01", "B10", "B11"])


def test_a_neighbourhood_that_is_too_narrow_says_how_much_is_needed() -> None:
    scene = replace(noise(("B01",), BOX), core=BOX.grown(-3_000))
    scene.require_radius(3_000, "it")
    with pytest.raises(NeighbourhoodError, match=r"it looks 3001 m .* there are 3000 m: ask for a buffer of 3060 m"):
        scene.require_radius(3_001, "it")
    assert scene.within(3_001) == BOX.grown(-3_060)
    assert scene.within(10_000) is None


def test_angles_are_those_of_the_blocks_also_in_a_part() -> None:
    p0, q0, p1, q1 = BOX.blocks()
    assert (p0, q0, p1, q1) == (61, -2, 64, 0)
    numbers = np.arange((q1 - q0) * (p1 - p0), dtype=float).reshape(q1 - q0, p1 - p0) + 0.001
    scene = replace(noise(("B01",), BOX), geometry=Geometry(numbers, numbers, numbers, numbers))
    assert scene.angles().sun_zenith.tolist() == [[0, 1, 2], [3, 4, 5]]
    corner = scene.cut(Box(604_800, -19_200, 612_000, -9_600))
    assert corner.angles().view_azimuth.tolist() == [[5]]


@pytest.mark.parametrize("wrong", [np.nan, -0.5, 90.5])
def test_angles_that_are_none_are_refused(wrong: float) -> None:
    geometry = Geometry.constant(BOX, (30, 150))
    geometry.sun_zenith[1, 1] = wrong
    with pytest.raises(GeometryError, match=rf"sun_zenith is {wrong} in 1 of 6 blocks"):
        replace(noise(("B01",), BOX), geometry=geometry).angles()
    with pytest.raises(GeometryError, match="there are none"):
        noise(("B01",), BOX).angles()
