"""Moments for tests, made of scenes: what an archive would give."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from abut.labels import place
from abut.lattice import Bounds, Zone
from workflows.scene import BLOCK, RESOLUTION, Box

if TYPE_CHECKING:
    from workflows.scene import Scene

ZONE = Zone(32632)
PRODUCT = "S2B_MSIL1C_20230823T095559_N0509_R122_T32TNP_20230823T130000"


def bounds(box: Box, zone: Zone = ZONE) -> Bounds:
    return Bounds(zone, box.left, box.bottom + zone.equator, box.right, box.top + zone.equator)


def moment_of(scene: Scene, *, zone: Zone = ZONE, products: tuple[str, ...] = (PRODUCT,)) -> xr.DataTree:
    window, core = bounds(scene.box, zone), bounds(scene.core, zone)
    attributes = {
        "zone": str(zone),
        "window": edges(window),
        "core": edges(core),
        "datetime": "2023-08-23T09:55:59+00:00",
        "datatake": "GS2B_20230823T095559_033780_N05.09",
        "products": list(products),
    }
    groups = {"/": xr.Dataset(attrs=attributes)}
    for size in (10, 20, 60):
        names = [band for band in scene.bands if RESOLUTION[band] == size]
        if names:
            data = {name.lower(): (("y", "x"), scene.bands[name]) for name in names}
            offsets = np.array([scene.offsets.get(name, 0) for name in names], np.int32)
            coords = {
                **place(window, size),
                "band": ("band", names),
                "radio_add_offset": ("band", offsets),
                "quantification_value": ((), np.int32(scene.quantification)),
            }
            groups[f"/r{size}m"] = xr.Dataset(data, coords)
    if scene.geometry is not None:
        groups["/geometry"] = geometry(scene, zone)
    return xr.DataTree.from_dict(groups)


def edges(some: Bounds) -> np.ndarray:
    return np.array([some.left, some.bottom, some.right, some.top], np.int64)


def geometry(scene: Scene, zone: Zone) -> xr.Dataset:
    assert scene.geometry is not None
    p0, q0, p1, q1 = scene.box.blocks()
    names = ("sun_zenith", "sun_azimuth", "view_zenith", "view_azimuth")
    data = {name: (("y", "x"), getattr(scene.geometry, name)) for name in names}
    y = zone.equator + (np.arange(q1 - 1, q0 - 1, -1) + 0.5) * BLOCK
    return xr.Dataset(data, {"y": ("y", y), "x": ("x", (np.arange(p0, p1) + 0.5) * BLOCK)})
