"""The guided filter: its definition, in fractions; its reach; what it keeps."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from workflows.errors import WorkflowError
from workflows.guided import guided, reach


def field(rows: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(3)
    return random.integers(-500, 9_000, (rows, columns)), random.random((rows, columns)) > 0.1


def test_it_is_what_its_definition_says() -> None:
    values, valid = field(9, 11)
    found = guided(values, valid, 2)

    def around(row: int, column: int) -> list[tuple[int, int]]:
        square = [(y, x) for y in range(row - 2, row + 3) for x in range(column - 2, column + 3)]
        return [(y, x) for y, x in square if 0 <= y < 9 and 0 <= x < 11 and valid[y, x]]

    def line(row: int, column: int) -> tuple[Fraction, Fraction]:
        inside = [int(values[place]) for place in around(row, column)]
        mean = Fraction(sum(inside), len(inside))
        variance = Fraction(sum(value**2 for value in inside), len(inside)) - mean**2
        slope = variance / (variance + 10_000)
        return slope, (1 - slope) * mean

    for row in range(9):
        for column in range(11):
            if not valid[row, column]:
                assert found[row, column] == 0
                continue
            lines = [line(*place) for place in around(row, column)]
            slope, level = (sum(terms) / len(lines) for terms in zip(*lines, strict=True))
            assert abs(found[row, column] - (slope * int(values[row, column]) + level)) < 3  # slopes have 12 bits


def test_edges_stay_and_noise_goes() -> None:
    noise = np.random.default_rng(1).integers(-40, 41, (60, 60))
    step = np.where(np.arange(60) < 30, 1_000, 3_000)[None]
    found = guided(step + noise, np.ones((60, 60), bool), 4)
    assert (found[:, 10:20] - 1_000).std() < noise.std() / 3
    assert np.abs(found - step).max() < 60


@pytest.mark.parametrize("radius", [4, 16])
def test_the_reach_is_enough_and_needed(radius: int) -> None:
    values, valid = np.random.default_rng(4).integers(800, 1_200, (120, 100)), field(120, 100)[1]
    whole = guided(values, valid, radius)
    for margin, same in ((reach(radius), True), (reach(radius) - 1, False)):
        cut = slice(50 - margin, None)
        assert np.array_equal(guided(values[:, cut], valid[:, cut], radius)[:, margin], whole[:, 50]) is same


def test_what_it_can_not_smooth_is_refused() -> None:
    values, valid = field(5, 5)
    with pytest.raises(WorkflowError, match="the radius 0 is not 1 to 32"):
        guided(values, valid, 0)
    with pytest.raises(WorkflowError, match=r"values of 0 to 40000 are beyond"):
        guided(np.full((5, 5), 40_000) * np.eye(5, dtype=np.int64), np.ones((5, 5), bool), 2)
