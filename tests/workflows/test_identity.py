"""Workflows end to end: what they give of an archive without overlap is what they give of the SAFEs, byte for byte.

Real products, decoded by rasterio, against a settled and purged archive: at corners of four tiles in the north and in
the south, in two datastrips, at a swath's edge, with an offset and without. There a lone tile is wrong, and it is shown
where.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from abut.layout import BAND
from tests.workflows.products import NORTH, SOUTH, Corner, with_wrong_pixel
from workflows.runs.compare import Comparison, Subject, compare
from workflows.runs.registry import workflow

if TYPE_CHECKING:
    from pathlib import Path

    from abut.lattice import Bounds
    from tests.workflows.products import Made

RED_EDGE = BAND["B8A"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A workflow at a place."""

    where: Corner
    """Which products."""
    workflow: str
    """Which workflow."""
    params: dict[str, str]
    """Its parameters."""
    core: Bounds
    """Ground of the result."""
    product: tuple[str, int]
    """Tile and datastrip that it is a part of."""

    def __str__(self) -> str:
        return f"{self.where.name}-{self.product[0]}-{self.workflow}"


def case(where: Corner, name: str, core: Bounds | None = None, *, product: int = 0, **params: str) -> Case:
    return Case(
        where=where,
        workflow=name,
        params=params,
        core=core or where.core(),
        product=where.delivered[product],
    )


SWATH_EDGE = NORTH.part(-1_200, 0, 6_000, 4_800)
"""Ground in the tile east of the corner; the swath ends inside of it."""
CASES = (
    case(NORTH, "clouds"),
    case(NORTH, "adjacency", NORTH.core(10_800), bands="B8A"),
    case(NORTH, "classify"),
    case(NORTH, "index", index="nbr"),
    case(NORTH, "adjacency", SWATH_EDGE, product=1, bands="B8A"),
    case(NORTH, "index", SWATH_EDGE, product=1, index="nbr"),
    case(SOUTH, "clouds"),
    case(SOUTH, "adjacency", SOUTH.core(10_800), bands="B8A"),
    case(SOUTH, "segments"),
    case(SOUTH, "index", index="ndmi"),
)
"""Classification segments first, so segments alone are tried once."""


def subject_of(made: Made, product: tuple[str, int], core: Bounds) -> Subject:
    safes = tuple(made.safes.values())
    return Subject(
        connection=made.connection, safes=safes, product=made.safes[product].stem, core=core, in_pieces=False
    )


def run(made: Made, one: Case) -> Comparison:
    return compare(workflow(one.workflow), subject_of(made, one.product, one.core), one.params)


@pytest.mark.parametrize("one", CASES, ids=str)
def test_results_of_the_archive_are_those_of_the_safes(one: Case, request: pytest.FixtureRequest) -> None:
    made: Made = request.getfixturevalue(one.where.name)
    comparison = run(made, one)
    found = comparison.certificate
    assert found.passed, found.lines()
    assert set(found.products["c"]) == {safe.stem for safe in made.safes.values()}
    for variable in found.variables:
        digests = variable.digests
        assert digests["a"] == digests["b"]
        assert digests["c"] == digests["d"]
        assert variable.tile.pixels == variable.neighbourhood.pixels == np.prod(variable.shape)
        assert variable.beyond == 0
        if one.workflow != "index" and variable.name != "probability":  # they look around a pixel
            assert variable.in_rim > 0, variable.name
        if variable.name == "classes":
            classes = {name: share for name, share in variable.shares.items() if name != "nodata"}
            assert min(classes.values()) > 0.03, classes
    if one.core is SWATH_EDGE:
        values = comparison.near[found.variables[0].name]
        assert 0.03 < (values == values.attrs["_FillValue"]).mean() < 0.97


def test_a_lone_tile_is_wrong_as_far_as_light_is_scattered_and_no_farther(north: Made) -> None:
    """With 10.8 km of ground from the corner there are pixels in each ring, and beyond the radius."""
    found = run(north, case(NORTH, "adjacency", NORTH.core(10_800), bands="B8A")).certificate
    rings = found.variables[0].rim[1:]
    assert min(ring.pixels for ring in rings) > 1_000
    shares = [ring.differing / ring.pixels for ring in rings]
    assert shares[-1] == 0
    assert min(shares[:-1]) > 0.3
    assert shares[0] > 0.9


def test_one_wrong_pixel_of_the_tile_is_found_at_its_place(north: Made, tmp_path: Path) -> None:
    """It lies where no other tile has ground."""
    core = NORTH.part(-12_000, 9_900, -10_200, 11_400)
    wrong = NORTH.part(-11_000, 10_600, -10_980, 10_620)
    subject = altered(north, NORTH.delivered[0], wrong, core, tmp_path)
    found = compare(workflow("index"), subject, {"index": "nbr"}).certificate
    assert not found.passed
    assert found.unequal_inputs == {"ab": ["B8A"], "dc": ["B8A"]}
    for difference in (found.variables[0].tile, found.variables[0].neighbourhood):
        assert difference.differing == 1
        assert (difference.easting, difference.northing) == (wrong.left + 10, wrong.bottom + 10)


def test_one_wrong_pixel_of_a_neighbour_is_found_where_it_matters(north: Made, tmp_path: Path) -> None:
    """It lies beyond the tile's edge: the tile is right, its neighbourhood is not."""
    wrong = NORTH.part(-1_200, -320, -1_180, -300)
    subject = altered(north, ("32VPQ", 0), wrong, NORTH.core(2_400), tmp_path)
    found = compare(workflow("adjacency"), subject, {"bands": "B8A"}).certificate
    assert not found.passed
    assert found.unequal_inputs == {"ab": [], "dc": ["B8A"]}
    assert all(variable.tile.differing == 0 for variable in found.variables)
    corrected = found.variables[0].neighbourhood
    assert 0 < corrected.differing < corrected.pixels


def test_ground_of_another_zone_makes_a_difference_that_is_reported(north: Made) -> None:
    core = NORTH.core(4_800)
    subject = replace(subject_of(north, NORTH.delivered[0], core), across=True)
    found = compare(workflow("adjacency"), subject, {"bands": "B8A"}).certificate
    assert found.passed
    across = found.variables[0].across
    assert across is not None
    assert sum(ring.differing for ring in across) > 0
    assert any("no identity is claimed" in line for line in found.verdict())


def altered(made: Made, product: tuple[str, int], where: Bounds, core: Bounds, folder: Path) -> Subject:
    """A comparison of the archive with SAFEs of which one has a wrong pixel."""
    right = subject_of(made, made.corner.delivered[0], core)
    copy = with_wrong_pixel(made.safes[product], where, RED_EDGE, folder)
    return replace(right, safes=tuple(copy if safe == made.safes[product] else safe for safe in right.safes))
