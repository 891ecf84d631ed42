"""Values and where they come from in one array, so that a lazy cube reads and warps once for both.

The provenance of several bands is the largest of theirs: reprojected (2) if one band is, else native (1) if one has
data. So a task for each band and chunk yields both, and no band is read again for the provenance of all.
"""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray


def marked_type(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the type of values with their provenance."""
    return np.dtype([("pixels", dtype), ("provenance", np.uint8)])


def marked(pixels: NDArray[Any], provenance: NDArray[np.uint8]) -> NDArray[Any]:
    """Put values and their provenance, arrays of the same shape, into one array."""
    both: NDArray[Any] = np.empty(pixels.shape, marked_type(pixels.dtype))
    both["pixels"], both["provenance"] = pixels, provenance
    return both


def parted(bands: Mapping[str, Any]) -> dict[str, Any]:
    """Return Dask arrays of values by name, and ``provenance``, that share the tasks of arrays which have both.

    Parameters
    ----------
    bands : mapping of str to dask.array.Array
        Arrays of `marked_type`, at least one, all with the same chunks.
    """
    import dask.array  # noqa: PLC0415 - an extra

    split: Any = dask.array.map_blocks
    found = {
        name: split(_pixels, both, dtype=both.dtype["pixels"], meta=_nothing(both.dtype["pixels"]))
        for name, both in bands.items()
    }
    return {**found, "provenance": split(_origin, *bands.values(), dtype=np.uint8, meta=_nothing(np.dtype(np.uint8)))}


def _pixels(both: NDArray[Any]) -> NDArray[Any]:
    return np.ascontiguousarray(both["pixels"])


def _origin(*bands: NDArray[Any]) -> NDArray[np.uint8]:
    return reduce(np.maximum, (np.ascontiguousarray(both["provenance"]) for both in bands))


def _nothing(dtype: np.dtype[Any]) -> NDArray[Any]:
    return np.empty((0, 0, 0), dtype)
