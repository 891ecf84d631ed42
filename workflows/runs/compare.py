"""The same workflow on SAFEs and on an archive: is it identical, and where is a lone tile wrong.

Runs have letters, see `workflows.runs.certificate.RUNS`. Results are kept until what they are compared with is there;
what was read goes as soon as it was used.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from workflows.errors import WorkflowError
from workflows.runs.certificate import Certificate, VariableResult, versions
from workflows.runs.distance import (
    difference,
    distances,
    is_different,
    lacking,
    on_pixels,
    pixels_of,
    require_alike,
    rings,
)
from workflows.runs.measured_runs import MeasuredRuns
from workflows.runs.moments import lone_moment, product_moment
from workflows.runs.pieces import add_difference, angles_of, lone_part, pieces_of, with_angles
from workflows.runs.results import ground
from workflows.runs.safes import safe_moment
from workflows.runs.workflow import unseen

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import xarray as xr
    from numpy.typing import NDArray

    from abut.connection import Connection
    from abut.lattice import Bounds
    from workflows.runs.distance import Difference, Ring
    from workflows.runs.measured_runs import Found
    from workflows.runs.workflow import Done, Workflow

_PACKAGES = ("numpy", "scipy", "xarray", "rasterio", "zarr", "lightgbm", "s2cloudless")
"""Software that takes part."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What was compared."""

    certificate: Certificate
    """What was found."""
    near: Mapping[str, xr.DataArray] = field(repr=False)
    """Variables of the tile with its neighbourhood (run c)."""
    lone: Mapping[str, xr.DataArray] = field(repr=False)
    """Variables of the tile alone, with the same angles (run e)."""
    metres: NDArray[np.int32] = field(repr=False)
    """Distance in metres to ground that the lone tile lacks, by squares of 60 m of `window`."""
    window: Bounds
    """Ground of `metres`: the core, and what the workflow looks at around it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What is compared."""

    connection: Connection
    """The archive."""
    safes: tuple[Path | str, ...]
    """The product's SAFE, and those of its neighbours of the same datatake."""
    product: str
    """Id of the product."""
    core: Bounds | None = None
    """Part of its tile, on the 60 m grid; None: all of it."""
    across: bool = False
    """Compare with a run that has other zones' ground, too."""
    in_pieces: bool = True
    """Compute four pieces as well, each with the radius around it: they have to be the whole."""


def compare(
    workflow: Workflow,
    subject: Subject,
    params: Mapping[str, object] | None = None,
    *,
    threads: int = 1,
    done: Done = unseen,
) -> Comparison:
    """Compare what a workflow gives of SAFEs with what it gives of an archive, and of a lone tile.

    Parameters
    ----------
    workflow : Workflow
        One that has a result for each moment.
    subject : Subject
        Product, SAFEs and archive.
    params : mapping, optional
        Parameters of the workflow.
    threads : int
        Threads that may be used.
    done : callable
        Told of progress, see `Workflow.compute`.

    Returns
    -------
    Comparison
        Equal or not.

    Raises
    ------
    WorkflowError
        If the workflow can't be run, is one of several moments, its results are not the same variables, or there are
        no data in the core.
    """
    if not workflow.per_time:
        raise WorkflowError(f"{workflow.name} is made of several moments: compare what it is made of")
    runs = MeasuredRuns(workflow=workflow, params=workflow.params(params), threads=threads, done=done)
    of_tile: dict[str, Any] = {"bands": workflow.bands(params)}
    of_near: dict[str, Any] = {**of_tile, "buffer": workflow.buffer(params), "core": subject.core}
    read_near = partial(product_moment, subject.connection, subject.product, **of_near)

    pasted = runs.run(
        "d", partial(safe_moment, subject.safes, product=subject.product, alone=False, **of_near), partial=False
    )
    moment = runs.read("c", read_near)
    _require_data(moment)
    window, core = ground(moment, "window"), ground(moment)
    near = runs.compute("c", moment, partial=False)
    neighbourhood = _differences(near, pasted)
    del pasted
    pieces = _in_pieces(runs, moment, of_near["buffer"], near) if subject.in_pieces else {}

    tile = runs.read("b", lambda: lone_part(lone_moment(subject.connection, subject.product, **of_tile), window, core))
    metres = distances(lacking(tile, moment))
    angles = angles_of(moment, tile)
    del moment
    counted = partial(_rings, near, metres, window, workflow.radius(params))
    again = runs.compute("b", tile, partial=True)
    original = runs.run(
        "a",
        lambda: lone_part(safe_moment(subject.safes, product=subject.product, alone=True, **of_tile), window, core),
        partial=True,
    )
    same, own_angles = _differences(again, original), counted(original)
    del again, original
    lone = runs.compute("e", with_angles(tile, angles), partial=True)
    del tile
    rim = counted(lone)
    others = counted(runs.run("x", partial(read_near, across=True), partial=False)) if subject.across else None

    certificate = Certificate(
        workflow=workflow.name,
        params=runs.params,
        radius=workflow.radius(params),
        product=subject.product,
        tile=_tile_of(subject),
        zone=str(core.zone),
        core=(core.left, core.bottom, core.right, core.top),
        safes=tuple(map(str, subject.safes)),
        archive=subject.connection.archive.store.url,
        products=runs.products,
        inputs=runs.inputs,
        time=datetime.now(UTC),
        seconds=runs.seconds,
        versions=versions(*_PACKAGES),
        variables=tuple(
            VariableResult(
                name=name,
                dtype=str(one.dtype),
                shape=one.shape,
                pixel=abs(float(one["x"][1] - one["x"][0])),
                digests={run: found[name] for run, found in sorted(runs.digests.items())},
                tile=same[name],
                neighbourhood=neighbourhood[name],
                pieces=pieces.get(name),
                rim=rim[name],
                own_angles=own_angles[name],
                across=others[name] if others else None,
                shares=_shares(one),
            )
            for name, one in near.items()
        ),
    )
    return Comparison(certificate=certificate, near=near, lone=lone, metres=metres, window=window)


def _tile_of(subject: Subject) -> str:
    return subject.connection.archive.product(subject.product).tile.id


def _require_data(moment: xr.DataTree) -> None:
    window, core = ground(moment, "window"), ground(moment)
    for array in pixels_of(moment).values():
        if array.to_numpy()[window.slices(core, window.width // array.sizes["x"])].any():
            return
    raise WorkflowError(
        f"{moment.attrs['products'][0]} has no data in {core.left} {core.bottom} {core.right} {core.top}: "
        "nothing would be compared"
    )


def _pairs(one: Mapping[str, xr.DataArray], two: Mapping[str, xr.DataArray]) -> list[str]:
    """Return the names of variables; WorkflowError if two results have others."""
    if one.keys() != two.keys():
        raise WorkflowError(f"one result has {', '.join(one)}, another one has {', '.join(two)}")
    return list(one)


def _differences(one: Found, two: Found) -> dict[str, Difference]:
    return {name: difference(one[name], two[name]) for name in _pairs(one, two)}


def _in_pieces(runs: MeasuredRuns, moment: xr.DataTree, buffer: int, whole: Found) -> dict[str, Difference]:
    found: dict[str, Difference] = {}
    for piece in pieces_of(moment, buffer):
        results = runs.compute("p", piece, partial=False)
        for name in _pairs(whole, results):
            found[name] = add_difference(whole[name], results[name], found.get(name))
    del runs.digests["p"]  # they are those of the last piece
    return found


def _rings(
    near: Found, metres: NDArray[np.int32], window: Bounds, radius: int, other: Found
) -> dict[str, tuple[Ring, ...]]:
    """Count what differs from the neighbourhood's result, by distance to what the lone tile lacks."""
    found = {}
    for name in _pairs(near, other):
        require_alike(near[name], other[name])
        wrong = is_different(near[name].to_numpy(), other[name].to_numpy())
        found[name] = rings(wrong, on_pixels(metres, window, near[name]), radius)
    return found


def _shares(one: xr.DataArray) -> dict[str, float]:
    """Return the share of pixels of each class, where values are classes."""
    values, meanings = one.attrs.get("flag_values"), str(one.attrs.get("flag_meanings", "")).split()
    if values is None or len(np.atleast_1d(values)) != len(meanings):
        return {}
    pixels = one.to_numpy()
    return {
        meaning: round(float(np.mean(pixels == value)), 6)
        for value, meaning in zip(np.atleast_1d(values), meanings, strict=True)
    }
