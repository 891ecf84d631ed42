"""Anchored superpixels: by their definition, pixel by pixel; their reach; what they follow."""

from __future__ import annotations

import numpy as np
import pytest

from workflows.errors import WorkflowError
from workflows.slic import CELL, MEAN_REACH, NEIGHBOURS, NONE, ROUNDS, STEP, slic


def scene(rows: int, columns: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 900, (2, rows * 2 + 1, columns * 2 + 1))
    values = np.kron(coarse, np.ones((11, 11), np.int64))[:, : rows * CELL, : columns * CELL]
    valid = np.ones(values.shape[1:], bool)
    valid[: CELL + 3, : 2 * CELL + 5] = False
    return (values + random.integers(-30, 31, values.shape)).astype(np.int16), valid


def slowly(values: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Cluster by plain Python integers."""
    rows, columns = valid.shape
    places = [(y, x) for y in range(rows) for x in range(columns) if valid[y, x]]
    member = {place: (place[0] // CELL, place[1] // CELL) for place in places}
    point = {(y, x): (STEP * y, STEP * x, *map(int, values[:, y, x])) for y, x in places}
    for _ in range(ROUNDS):
        groups: dict[tuple[int, int], list[tuple[int, ...]]] = {}
        for place, cell in member.items():
            groups.setdefault(cell, []).append(point[place])
        mean = {
            cell: tuple((2 * sum(axis) + len(axis)) // (2 * len(axis)) for axis in zip(*points, strict=True))
            for cell, points in groups.items()
        }
        for y, x in places:
            near = [(y // CELL + down, x // CELL + right) for down, right in NEIGHBOURS]
            apart = [
                (sum((a - b) ** 2 for a, b in zip(point[y, x], mean[cell], strict=True)), number)
                for number, cell in enumerate(near)
                if cell in mean
            ]
            member[y, x] = near[min(apart)[1]]
    found = np.full(valid.shape, NONE)
    for (y, x), (row, column) in member.items():
        found[y, x] = NEIGHBOURS.index((row - y // CELL, column - x // CELL))
    return found


def test_it_is_what_plain_integers_say() -> None:
    values, valid = scene(4, 4)
    found = slic(values, valid)
    assert np.array_equal(found.choice, slowly(values, valid))
    assert found.counts.sum() == valid.sum()
    assert len(np.unique(found.choice)) == 10


def test_the_reach_is_enough_and_too_little_is_seen() -> None:
    values, valid = scene(2 * MEAN_REACH + 1, 2 * MEAN_REACH + 1)
    whole = slic(values, valid)
    middle = slice(MEAN_REACH * CELL, (MEAN_REACH + 1) * CELL)
    differing = []
    for reach in (MEAN_REACH - 2, 1):
        part = slice((MEAN_REACH - reach) * CELL, (MEAN_REACH + reach + 1) * CELL)
        found = slic(values[:, part, part], valid[part, part]).choice
        inner = slice(reach * CELL, (reach + 1) * CELL)
        differing.append((found[inner, inner] != whole.choice[middle, middle]).sum())
    assert differing[0] == 0
    assert differing[1] > 0


def test_segments_follow_an_edge() -> None:
    values = np.where(np.arange(6 * CELL) < 41, 300, 900).astype(np.int16)[None, None].repeat(6 * CELL, 1)
    choice = slic(values, np.ones(values.shape[1:], bool)).choice
    cell = np.arange(6 * CELL) // CELL + np.array([right for _, right in NEIGHBOURS])[choice]
    assert cell[:, :41].max() < cell[:, 41:].min() + 1


def test_what_can_not_be_clustered_is_refused() -> None:
    values, valid = scene(1, 2)
    with pytest.raises(WorkflowError, match="no cells of 16"):
        slic(values[:, 1:], valid[1:])
    with pytest.raises(WorkflowError, match="beyond"):
        slic(values + np.int16(20_000), valid)
