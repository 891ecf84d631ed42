"""One Zarr for the whole zone."""

from typing import Any

import xarray as xr
import zarr
from obstore.store import from_url
from zarr.storage import ObjectStore

zarr.config.set({"async.concurrency": 64})


def read(zone: Any, asked: dict[str, Any]) -> dict[str, Any]:
    """Return an array (y, x) for each band."""
    left, bottom, right, top = asked["bounds"]
    store = ObjectStore(from_url(zone, **asked["options"]), read_only=True)
    found: dict[str, Any] = {}
    for group, bands in asked["groups"].items():
        cube = xr.open_zarr(store, group=group, chunks=None, zarr_format=3).sel(
            x=slice(left, right), y=slice(top, bottom)
        )
        found |= {name: cube[name].sel(time=asked["day"]).values.squeeze(0) for name in bands}
    return found
