"""Composites: the median that was seen, and the same bytes whatever the order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflows import composites
from workflows.composites import Moment, composite
from workflows.errors import WorkflowError
from workflows.indices import NODATA

START = datetime(2025, 7, 1, tzinfo=UTC)
MOMENTS = tuple(Moment(START + timedelta(days=day // 2), f"GS2A_{day}") for day in range(9))


def layers(count: int, seed: int = 3) -> list[np.ndarray]:
    random = np.random.default_rng(seed)
    made = random.integers(-3, 4, (count, 12, 9)).astype(np.int16)  # few values: many ties
    made[random.random(made.shape) < 0.4] = NODATA
    made[:, 0, 0] = NODATA
    return list(made)


@pytest.mark.parametrize("method", ["median", "max"])
@pytest.mark.parametrize("count", [1, 2, 3, 5, 8])
def test_each_pixel_is_a_value_that_was_seen(method: str, count: int) -> None:
    given_layers = layers(count)
    made = composite(given_layers, MOMENTS[:count], method)  # type: ignore[arg-type] # of its two words
    for row, column in np.ndindex(12, 9):
        seen = [int(layer[row, column]) for layer in given_layers if layer[row, column] != NODATA]
        assert made.count[row, column] == len(seen)
        if not seen:
            assert made.values[row, column] == NODATA
            assert made.source[row, column] == -1
            continue
        expected = sorted(seen)[(len(seen) - 1) // 2] if method == "median" else max(seen)
        assert made.values[row, column] == expected
        first = next(n for n, layer in enumerate(given_layers) if layer[row, column] == expected)
        assert made.source[row, column] == first


@pytest.mark.parametrize("count", [*range(1, 41), 73, 200])
def test_the_network_sorts_any_number_of_layers(count: int) -> None:
    random = np.random.default_rng(count)
    stack = random.integers(0, 2, (count, 4096), np.int16)  # what sorts all of two values sorts all (0-1 principle)
    assert np.array_equal(np.stack(composites._ranked(list(stack))), np.sort(stack, axis=0))


@given(order=st.permutations(range(8)), at=st.integers(1, 11))
def test_order_and_cuts_do_not_matter(order: list[int], at: int) -> None:
    given_layers = layers(8)
    whole = composite(given_layers, MOMENTS[:8])
    shuffled = composite([given_layers[n] for n in order], [MOMENTS[n] for n in order])
    assert shuffled.moments == whole.moments
    cut = [composite([layer[part] for layer in given_layers], MOMENTS[:8]) for part in (slice(at), slice(at, None))]
    for name in ("values", "count", "source"):
        expected = getattr(whole, name)
        assert getattr(shuffled, name).tobytes() == expected.tobytes()
        assert np.concatenate([getattr(one, name) for one in cut]).tobytes() == expected.tobytes()


def test_what_makes_no_composite_is_refused() -> None:
    one, two = layers(2)
    with pytest.raises(WorkflowError, match="0 layers and 0 moments"):
        composite([], [])
    with pytest.raises(WorkflowError, match=r"of the same moment: Moment\(.*GS2A_0"):
        composite([one, two], [MOMENTS[0], MOMENTS[0]])
    with pytest.raises(WorkflowError, match=r"differ in shape: \(11, 9\), \(12, 9\)"):
        composite([one, two[1:]], MOMENTS[:2])
    with pytest.raises(WorkflowError, match="'mean' is no way"):
        composite([one], MOMENTS[:1], "mean")  # type: ignore[arg-type] # that is the point
