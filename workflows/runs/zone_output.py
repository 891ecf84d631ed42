"""Results of many tiles as one Zarr of a zone, that several workers write at once and anybody may read meanwhile.

Arrays are (time, y, x) and span all blocks of the zone, as those of a zone view do (`abut.zone_layout`), one chunk for
each step and block of 9,600 m: a block has the same chunk key in every result, and an absent chunk is nodata. Which
variables there are is known when the first block is computed: whoever is first says so in `VARIABLES`, which is created
once, and all write the metadata that follows from it.
"""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass, field
from datetime import UTC
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from abut.codec import zarr_codecs_for
from abut.georeference import georeference
from abut.labels import place
from abut.lattice import BLOCK_SIZE
from abut.zone_layout import zone_blocks
from workflows.errors import WorkflowError
from workflows.runs.output_zarr import attributes_of, label, nodata_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import xarray as xr

    from abut.lattice import Block, Bounds
    from abut.store import Store
    from workflows.runs.zone_plan import ZonePlan

    type Declared = Mapping[str, Mapping[str, Any]]
    """What each variable is, by name: JSON values."""

FOLDER: Final = "abut-run"
"""Folder in a Zarr with what a run notes for itself."""
VARIABLES: Final = f"{FOLDER}/variables.json"
"""Object that says which variables there are."""

_ESSENTIAL: Final = ("dtype", "size", "fill")
"""What has to be the same in all blocks; other attributes are those of whoever was first."""


@dataclass(frozen=True, slots=True)
class Part:
    """Some ground of a step, computed."""

    core: Bounds
    """The ground: whole blocks."""
    blocks: Sequence[Block]
    """Blocks of it that are wanted."""
    variables: Mapping[str, xr.DataArray] = field(repr=False)
    """Values (y, x) of all of the core by name, see `workflows.runs.results.variables`."""


def write_blocks(
    out: Store,
    plan: ZonePlan,
    number: int,
    part: Part,
    about: Mapping[str, Any],
) -> int:
    """Write some blocks of a step; metadata too, if nobody has yet.

    Parameters
    ----------
    out : Store
        The Zarr.
    plan : ZonePlan
        What the run computes.
    number : int
        Index of the step.
    part : Part
        What was computed.
    about : mapping
        What the root says of itself.

    Returns
    -------
    int
        How many blocks have a value in any variable; of others nothing is written.

    Raises
    ------
    WorkflowError
        If pixels do not fit into blocks, or there are other variables than in the blocks that are there.
    """
    import zarr  # noqa: PLC0415 - slow to import
    from zarr.storage import ObjectStore  # noqa: PLC0415 - as above

    core = part.core
    declared = _agreed(out, {name: _declared(name, one, core) for name, one in part.variables.items()})
    _begin(out, plan, declared, about)
    store, filled = ObjectStore(out.backend), set()
    for name, variable in part.variables.items():
        array: Any = zarr.open_array(store, path=name, mode="r+", zarr_format=3)
        values, size, fill = variable.to_numpy(), declared[name]["size"], nodata_of(variable)
        for block in part.blocks:
            cut = values[core.slices(block.bounds, size)]
            if not _empty(cut, cut.dtype.type(0) if fill is None else fill):
                row, column = (index * len(cut) for index in zone_blocks(plan.zone).position(block))
                array[number, row : row + len(cut), column : column + len(cut)] = cut
                filled.add(block)
    return len(filled)


def _empty(part: np.ndarray[Any, Any], fill: Any) -> bool:
    """Whether all values are nodata."""
    return bool((np.isnan(part) if fill != fill else part == fill).all())  # noqa: PLR0124 - NaN alone differs from itself


def _declared(name: str, variable: xr.DataArray, core: Bounds) -> dict[str, Any]:
    """Return what a variable is, as JSON values."""
    size = abs(float(str(variable["spatial_ref"].attrs["GeoTransform"]).split()[1]))
    if variable.dims != ("y", "x"):
        raise WorkflowError(
            f"{name} of the result has the dimensions {', '.join(map(str, variable.dims))}, not y and x"
        )
    if size != int(size) or BLOCK_SIZE % size or variable.shape != core.shape(int(size)):
        raise WorkflowError(
            f"{name} of the result has pixels of {size:g} m that do not fit into blocks of {BLOCK_SIZE} m"
        )
    fill = nodata_of(variable)
    return {
        "dtype": variable.dtype.name,
        "size": int(size),
        "fill": None if fill is None else np.asarray(fill).item(),
        "attributes": attributes_of(variable) | georeference(zone_blocks(core.zone).bounds, int(size)),
    }


def _agreed(out: Store, mine: Declared) -> Declared:
    """Return what all blocks of a result have: what was declared first."""
    found = out.read(VARIABLES)
    if found is None:
        out.put_new(VARIABLES, json.dumps(mine, sort_keys=True).encode())
        found = out.read(VARIABLES)
    declared: dict[str, dict[str, Any]] = json.loads(found.data if found else b"{}")
    for name in sorted({*declared, *mine}):
        if name not in mine or name not in declared:
            raise WorkflowError(
                f"{name} is a variable of {'this block' if name in mine else 'the blocks that are there'} alone"
            )
        for what in _ESSENTIAL:
            if json.dumps(declared[name][what]) != json.dumps(mine[name][what]):
                raise WorkflowError(
                    f"{name} of the result has {what} {mine[name][what]}; in the blocks that are there it is "
                    f"{declared[name][what]}"
                )
    return declared


def _begin(out: Store, plan: ZonePlan, declared: Declared, about: Mapping[str, Any]) -> None:
    """Write the metadata, unless all of it is there; the root's is the last."""
    if out.read("zarr.json") is not None:
        return
    made = _documents(plan, declared, about)
    for key in sorted(made, key=lambda key: (key == "zarr.json", key)):
        out.put_new(key, made[key])


def _documents(plan: ZonePlan, declared: Declared, about: Mapping[str, Any]) -> dict[str, bytes]:
    """Return all objects of the result but the blocks, by key."""
    import zarr  # noqa: PLC0415 - slow to import
    from zarr.storage import MemoryStore  # noqa: PLC0415 - as above

    objects: dict[str, Any] = {}
    store, bounds = MemoryStore(objects), zone_blocks(plan.zone).bounds
    with warnings.catch_warnings():
        # Texts and consolidated metadata are not written down in the specification yet; xarray and zarr-python agree.
        warnings.filterwarnings("ignore", category=UserWarning, module=r"(zarr|xarray)\b")
        warnings.filterwarnings("ignore", category=FutureWarning, module=r"zarr\b")
        root = zarr.create_group(store=store, zarr_format=3)
        sizes: dict[str, int] = {}
        for name, one in declared.items():
            sizes[name.rpartition("/")[0]] = one["size"]
            side, dtype = BLOCK_SIZE // one["size"], np.dtype(one["dtype"])
            root.create_array(
                name,
                shape=(len(plan.steps), *bounds.shape(one["size"])),
                chunks=(1, side, side),
                dtype=dtype,
                fill_value=dtype.type(0 if one["fill"] is None else one["fill"]),
                dimension_names=("time", "y", "x"),
                attributes=one["attributes"],
                **zarr_codecs_for(dtype),
            )
        places = {group: place_of(bounds, size) for group, size in sizes.items()}
        monthly = any(step.time != one.time for step in plan.steps for one in step.moments)
        label(store, places, _labels(plan), about, steps_are=f"Start of the {'month' if monthly else 'datatake'}, UTC")
        for group in (*filter(None, sizes), ""):
            zarr.consolidate_metadata(store, path=group or None, zarr_format=3)
    return {key: value.to_bytes() for key, value in objects.items()}


def place_of(bounds: Bounds, size: int) -> dict[str, xr.Variable]:
    """Return the coordinates of pixels of some metres."""
    import xarray as xr  # noqa: PLC0415 - slow to import

    return {name: xr.Variable(*given) for name, given in place(bounds, size).items()}


def _labels(plan: ZonePlan) -> Sequence[tuple[Any, str, str]]:
    return [
        (
            np.datetime64(step.time.astimezone(UTC).replace(tzinfo=None), "ns"),
            " ".join(one.datatake for one in step.moments),
            " ".join(step.products),
        )
        for step in plan.steps
    ]
