"""Running a workflow on ground of an archive: which moments, how much around them, one result after the other."""

from __future__ import annotations

import gc
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from abut.errors import MissingObjectError
from abut.lattice import Bounds
from abut.tiling import tile as named_tile
from workflows.errors import MissingBandError, NeighbourhoodError, WorkflowError
from workflows.runs.moments import plan_moments, product_moment
from workflows.runs.output import Step
from workflows.runs.results import ground, variables
from workflows.scene import COARSEST, RESOLUTION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import xarray as xr

    from abut.connection import Connection
    from abut.tiling import Tile
    from workflows.runs.moments import Moments
    from workflows.runs.workflow import Workflow

    type Shown = Callable[[int, int, str, int, int], None]
    """Called with the moment's number from 0, how many there are, a stage, its parts that are done and all."""


def unshown(_number: int, _moments: int, _stage: str, _count: int, _total: int) -> None:
    """Show nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What is to be computed, and of what."""

    workflow: Workflow
    """The workflow."""
    params: Mapping[str, object] = field(default_factory=dict)
    """Its parameters, as far as they are not the defaults."""
    tile: str | None = None
    """A tile, over time."""
    product: str | None = None
    """A product, with what its datatake saw around it."""
    window: Bounds | None = None
    """Ground of a zone, over time. One of tile, product and window is given."""
    core: tuple[float, ...] | None = None
    """Part of the tile for which a result is wanted: easting and northing in metres, west, south, east, north. Default:
    all of it."""
    period: Any = None
    """Which time, see `abut.period.parse_period`; not with a product."""
    buffer: float | None = None
    """Metres of ground around the core. Default: what the workflow needs."""
    partial: bool = False
    """Do with less ground than the workflow looks at."""
    across: bool = False
    """Fill what the zone lacks from other zones, resampled."""
    threads: int = 1
    """Threads that may be used."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Further keywords of `abut.asked.Options`, such as ``baseline``; not with a product."""


def buffer_of(workflow: Workflow, params: Mapping[str, object], asked: float | None, *, partial: bool) -> int:
    """Return the metres of ground to read around a core, a multiple of 60.

    Parameters
    ----------
    workflow : Workflow
        What looks around.
    params : mapping
        Its parameters.
    asked : float, optional
        What a user asked for. Default: what the workflow needs.
    partial : bool
        Whether less is allowed.

    Raises
    ------
    NeighbourhoodError
        If it is less than the workflow needs; the message says how much that is.
    """
    needed = workflow.buffer(params)
    if asked is None:
        return needed
    metres = -(-int(-(-asked // 1)) // COARSEST) * COARSEST
    if metres < needed and not partial:
        raise NeighbourhoodError(
            f"{workflow.name} looks {workflow.radius(params)} m around a pixel: a buffer of {asked:g} m is too small, "
            f"{needed} m are needed (or ask for a partial result)"
        )
    return metres


def core_in(tile: Tile, edges: tuple[float, ...]) -> Bounds:
    """Return a part of a tile.

    Parameters
    ----------
    tile : Tile
        The tile.
    edges : tuple of four floats
        West, south, east, north in metres of the tile's zone, on the 60 m grid.

    Raises
    ------
    WorkflowError
        If it is none, not on the grid, or not inside of the tile.
    """
    own = tile.footprint
    if len(edges) == 4 and all(
        edge % COARSEST == own_edge % COARSEST for edge, own_edge in zip(edges, (own.left, own.bottom) * 2, strict=True)
    ):
        left, bottom, right, top = map(int, edges)
        if own.left <= left < right <= own.right and own.bottom <= bottom < top <= own.top:
            return Bounds(own.zone, left, bottom, right, top)
    raise WorkflowError(
        f"the core {','.join(f'{edge:.12g}' for edge in edges)} is no part of {tile.id}: west, south, east and north "
        f"are {own.left} + 60 i, {own.bottom} + 60 j up to {own.right}, {own.top}"
    )


def run(task: Task, connection: Connection, *, shown: Shown = unshown) -> Iterator[Step]:
    """Yield the result of each moment; one moment is in memory at a time.

    Parameters
    ----------
    task : Task
        What is to be computed.
    connection : Connection
        The archive.
    shown : callable
        Told of progress.

    Yields
    ------
    Step
        Of each moment that has data in the core, in the order of time.

    Raises
    ------
    WorkflowError
        If the workflow refuses, or no moment has data.
    AbutError
        As `abut.connection.Connection.tile`.
    """
    workflow, found = task.workflow, 0
    params = workflow.params(task.params)
    planned = None if task.product is not None else plan_moments(connection, **_asked(task, connection))
    total = 1 if planned is None else len(planned)
    core: Bounds | None = None
    moments = _read(task, connection, planned)
    for number in range(total):
        shown(number, total, "reading", 0, 1)
        gc.collect()  # the one before: a tree, whose parts know each other, does not go by itself
        moment = next(moments)
        shown(number, total, "reading", 1, 1)
        core = ground(moment)
        if not has_data(moment, workflow.bands(params)):
            del moment  # before the next one is read
            continue

        def done(stage: str, count: int, of: int, number: int = number) -> None:
            shown(number, total, stage, count, of)

        result = workflow.compute(moment, params, partial=task.partial, threads=task.threads, done=done)
        found += 1
        step = step_of(moment, result)
        del moment, result
        yield step
        del step
    if not found:
        where = f"{core.left} {core.bottom} {core.right} {core.top} of {core.zone}" if core else "the ground"
        raise WorkflowError(f"no pixel of {where} has data in all of {', '.join(workflow.bands(params))}")


def _read(task: Task, connection: Connection, planned: Moments | None) -> Iterator[xr.DataTree]:
    """Yield the moments; a product that lacks a band is named, rather than the object that is not there."""
    try:
        if planned is not None:
            yield from planned.read()
        else:
            yield product_moment(connection, task.product or "", **_asked(task, connection))
    except MissingObjectError as error:
        wanted = task.workflow.bands(task.params)
        for name in sorted(_products(task, planned)):
            there = connection.archive.product(name).record.bands
            missing = [band for band in wanted if band not in there]
            if missing:
                raise MissingBandError(f"{name} has no band {', '.join(missing)}") from error
        raise


def _products(task: Task, planned: Moments | None) -> set[str]:
    if planned is None:
        return {(task.product or "").removesuffix(".SAFE")}
    return {name for one in planned for name in one.products}


def _asked(task: Task, connection: Connection) -> dict[str, Any]:
    workflow = task.workflow
    params = workflow.params(task.params)
    asked: dict[str, Any] = {
        "buffer": buffer_of(workflow, params, task.buffer, partial=task.partial),
        "bands": workflow.bands(params),
        "core": task.window,
        "across": task.across,
    }
    if task.core is not None:
        place = connection.archive.product(task.product).tile if task.product else named_tile(task.tile or "")
        asked["core"] = core_in(place, task.core)
    return asked if task.product else {**asked, "tile": task.tile, "datetime": task.period, **task.options}


def has_data(moment: xr.DataTree, bands: tuple[str, ...]) -> bool:
    """Whether each of some bands has a pixel with data in the core of a moment."""
    core, window = ground(moment), ground(moment, "window")
    for band in bands:
        size = RESOLUTION[band]
        array = moment[f"r{size}m/{band.lower()}"].to_numpy()
        if not array[window.slices(core, size)].any():
            return False
    return True


def step_of(moment: xr.DataTree, result: object) -> Step:
    """Return what a function computed of a moment, to be written."""
    attributes = getattr(result, "attrs", {})
    when = datetime.fromisoformat(str(moment.attrs["datetime"]))
    return Step(
        time=when if when.tzinfo else when.replace(tzinfo=UTC),
        datatake=str(moment.attrs.get("datatake", "")),
        products=tuple(str(name) for name in moment.attrs.get("products", ())),
        variables=variables(result, ground(moment)),
        attributes={str(name): value for name, value in attributes.items()},
    )
