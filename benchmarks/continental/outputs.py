"""What came out: pixels by the same names wherever they were computed, and their digests."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

import numpy as np
import xarray as xr

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

VARIABLES: Final = {
    "bands": ("b04", "b08"),
    "ndvi": ("ndvi", "ndvi_count", "ndvi_source"),
    "nbr": ("nbr", "nbr_count", "nbr_source"),
}
"""Variables that are compared, by kind."""
GROUPS: Final = {"bands": "r10m", "ndvi": "r10m", "nbr": "r20m"}
"""Where they are in a cube."""


def digest(arrays: Mapping[str, NDArray[np.generic]]) -> str:
    """Return the SHA-256 of arrays (time, y, x): names, types, shapes and values, in the order of their names."""
    made = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        made.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        for step in array:
            made.update(np.ascontiguousarray(step).data)
    return made.hexdigest()


def digest_of(store: object, kind: str) -> str:
    """Return the digest of a cube in a Zarr store."""
    with xr.open_datatree(store, engine="zarr", consolidated=True, mask_and_scale=False) as tree:  # type: ignore[arg-type]
        group = tree.children[GROUPS[kind]].to_dataset()
        return digest({name: group[name].to_numpy() for name in VARIABLES[kind]})
