"""Moments as scenes of `workflows.scene`, and parts of moments."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from abut.labels import place
from abut.lattice import BLOCK_SIZE, BlockRange, Bounds
from workflows.errors import WorkflowError
from workflows.runs.building import ANGLES
from workflows.runs.results import ground
from workflows.scene import RESOLUTION, Box, Geometry, Scene

if TYPE_CHECKING:
    from numpy.typing import NDArray


def scene_of(moment: xr.DataTree) -> Scene:
    """Return a moment as a scene; pixels are not copied.

    Blocks without angles, which no product touches, get those of the nearest block that has some, since no pixel is
    there; if no block has any, the scene has no angles.

    Raises
    ------
    WorkflowError
        If its ground is not on the 60 m grid, or bands are not as a moment has them.
    """
    window, core = ground(moment, "window"), ground(moment)
    bands: dict[str, NDArray[np.uint16]] = {}
    offsets: dict[str, int] = {}
    values: set[int] = set()
    for node in moment.children.values():
        for name in map(str, node.data_vars):
            band = name.upper()
            if band not in RESOLUTION:
                continue
            bands[band] = node[name].to_numpy()
            offsets[band] = int(node["radio_add_offset"].sel(band=band))
            values.add(int(node["quantification_value"]))
    if len(values) > 1:
        raise WorkflowError(f"bands of the moment differ in quantification value: {sorted(values)}")
    return Scene(
        box=_box(window),
        core=_box(core),
        bands=bands,
        offsets=offsets,
        quantification=values.pop() if values else 10_000,
        geometry=_geometry(moment),
    )


def cut_moment(moment: xr.DataTree, window: Bounds, core: Bounds | None = None) -> xr.DataTree:
    """Return a part of a moment, as somebody who has no more would be given; angles stay those of the whole.

    Parameters
    ----------
    moment : xarray.DataTree
        A moment.
    window : Bounds
        Ground that is kept, on the 60 m grid, inside of the moment's.
    core : Bounds, optional
        Part of it that a result is wanted of. Default: what it has in common with the moment's core.

    Raises
    ------
    WorkflowError
        If the window is not inside of the moment, or the core not inside of the window.
    """
    whole = ground(moment, "window")
    inner = core if core is not None else window.intersection(ground(moment))
    if not whole.contains(window):
        raise WorkflowError(f"{window} is not inside of the moment, {whole}")
    if inner is None or not window.contains(inner):
        raise WorkflowError(f"the core {inner or ground(moment)} is not inside of {window}")
    nodes: dict[str, xr.Dataset] = {"/": xr.Dataset(attrs=dict(moment.attrs))}
    for name, node in moment.children.items():
        data = node.to_dataset(inherit=False)
        if name == "geometry":
            outer, wanted = BlockRange.around(whole).bounds, BlockRange.around(window).bounds
            rows, columns = outer.slices(wanted, BLOCK_SIZE)
        else:
            size = int(name.removeprefix("r").removesuffix("m"))
            rows, columns = whole.slices(window, size)
            data = data.drop_vars("spatial_ref").assign_coords(spatial_ref=place(window, size)["spatial_ref"])
        nodes[f"/{name}"] = data.isel(y=rows, x=columns)
    made = xr.DataTree.from_dict(nodes)
    for name, bounds in (("window", window), ("core", inner)):
        made.attrs[name] = np.array([bounds.left, bounds.bottom, bounds.right, bounds.top], np.int64)
    return made


def _box(bounds: Bounds) -> Box:
    equator = bounds.zone.equator
    return Box(bounds.left, bounds.bottom - equator, bounds.right, bounds.top - equator)


def _geometry(moment: xr.DataTree) -> Geometry | None:
    if "geometry" not in moment.children:
        return None
    found = moment["geometry"]
    values = np.stack([found[name].to_numpy() for name in ANGLES])
    known = np.isfinite(values).any(axis=0)
    if not known.any():
        return None
    if not known.all():
        values = values[:, *_nearest(known)]
    return Geometry(*values)


def _nearest(known: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return row and column of the nearest known block of each block, the north-westernmost of several."""
    places = np.argwhere(known)
    every = np.argwhere(np.ones_like(known))
    away = ((every[:, None] - places) ** 2).sum(axis=2)
    found: NDArray[np.int64] = places[away.argmin(axis=1)].T.reshape(2, *known.shape)
    return found
