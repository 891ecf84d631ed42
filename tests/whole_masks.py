"""Masks of a granule whole, for tests that compare them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ingest.images import detector_strips

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from abut.layout import Band
    from ingest.granule import Granule


def whole_footprint(granule: Granule, band: Band) -> NDArray[np.uint8] | None:
    """Return the detector mask of a band, shape (height, width), or None."""
    strips = detector_strips(granule, band)
    return None if strips is None else np.concatenate(list(strips))
