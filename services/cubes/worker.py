"""What a worker of Dask does: one part, piece by piece, until it is done or no longer wanted."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from abut.connection import connect
from abut.errors import AbutError, BadRequestError
from abut.export.cube_zarr import write_zarr
from abut.hiding import hide
from abut.lattice import Zone
from abut.window import bbox_geobox, bbox_window, geometry_window, tile_window
from services.cubes.derived import derived_of
from services.cubes.results import open_results, remove, zarr_store
from services.logs import configure_worker, within
from services.traces import mark_failed, span, tallied

if TYPE_CHECKING:
    import xarray as xr

    from abut.connection import Connection
    from abut.lattice import Bounds
    from services.cubes.jobs import Ask

_TELL_SECONDS: Final = 0.5
"""Progress is told at most so often."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One try of a part."""

    archive: str
    """URL of the archive, as workers reach it."""
    results: str
    """URL of the store of results, as workers reach it."""
    key: str
    """Where in it the Zarr group is written; nothing is there yet."""
    ask: Ask
    """What is read."""
    token: str
    """Names the try when progress is told."""
    topic: str
    """Topic of Dask that progress is told under."""
    job: str = ""
    """Id of the job, for the log."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a try."""

    problem: str | None = None
    """Why it failed; None: it is complete."""
    again: bool = False
    """Whether another try may succeed."""


class UnwantedError(AbutError, RuntimeError):
    """The part is no longer wanted: the job was dismissed, or the service that asked for it is gone."""


def run(task: Task) -> Outcome:
    """Do a part in a worker of Dask; whatever goes wrong is told, and what was written is then removed."""
    import distributed  # noqa: PLC0415 - an extra

    worker = distributed.get_worker()
    current: Any = worker.get_current_task()
    told = 0.0

    def done(count: int, total: int) -> None:
        nonlocal told
        state: Any = worker.state.tasks.get(current)
        if state is None or state.state == "cancelled":
            raise UnwantedError("no longer wanted")
        if time.monotonic() - told >= _TELL_SECONDS:
            told = time.monotonic()
            worker.log_event(task.topic, (task.token, 100 * count // total))

    configure_worker()
    origin = task.ask.get("origin", {})
    with within(origin.get("request_id", ""), task.job), span("job part", headers=origin, abut_job=task.job) as made:
        with tallied(made):
            outcome = attempt(task, done)
        if outcome.problem is not None:
            mark_failed(made)
            _log.info("part %s: %s", task.key, outcome.problem)
            remove(open_results(task.results), task.key)
    return outcome


def attempt(task: Task, done: Any = lambda *_: None) -> Outcome:
    """Read what is asked for and write it; `done` as of `abut.export.cube_zarr.write_zarr`."""
    try:
        cube = made(connect(task.archive), task.ask)
        write_zarr(cube, zarr_store(task.results, task.key), done, scheduler="synchronous")
        open_results(f"{task.results}/{task.key}").flush()
    except AbutError as error:
        # What was asked for stays wrong; stores, catalogues and products that change meanwhile may recover.
        return Outcome(hide(str(error)), again=isinstance(error, OSError | RuntimeError))
    except Exception as error:  # noqa: BLE001 - told to whoever asked, and logged
        _log.exception("part %s", task.key)
        return Outcome(hide(f"{type(error).__name__}: {error}"), again=True)
    return Outcome()


def made(connection: Connection, ask: Ask) -> xr.Dataset | xr.DataTree:
    """Return what is asked for, lazily; errors as `read` and `services.cubes.derived`."""
    derived = derived_of(ask)
    pixels = without_paths(read(connection, ask, chunks=derived.chunks if derived else {}))
    return derived.of(pixels) if derived else pixels


def read(connection: Connection, ask: Ask, **more: Any) -> xr.Dataset | xr.DataTree:
    """Read the pixels that are asked for, or make them lazily if `more` has chunks.

    Parameters
    ----------
    connection : Connection
        The archive.
    ask : Ask
        What is asked for.
    **more
        Further keywords of `abut.asked.Options`.

    Raises
    ------
    BadRequestError
        If there is no place in it, or several.
    AbutError
        As `abut.connection.Connection.tile`.
    """
    options: Any = {**ask.get("options", {}), **more}
    places = [name for name in ("tile", "bbox", "geometry") if name in ask]
    if len(places) != 1:
        raise BadRequestError(f"one of tile, bbox and geometry has to be given, not {len(places)}")
    if "to" in ask:
        return connection.cube(geobox=_geobox(ask), **options)
    if "tile" in ask:
        return connection.tile(ask["tile"], ask.get("buffer", 0), **options)
    return connection.cube(window=_window(ask), **options)


def without_paths(cube: xr.Dataset | xr.DataTree) -> xr.Dataset | xr.DataTree:
    """Return a cube whose attributes do not tell strangers of folders of this machine."""
    import xarray as xr  # noqa: PLC0415 - slow to import

    for node in [cube] if isinstance(cube, xr.Dataset) else cube.subtree:
        if "://" not in str(node.attrs.get("archive", "")):
            node.attrs.pop("archive", None)
    return cube


def _window(ask: Ask) -> Bounds:
    if "tile" in ask:
        return tile_window(ask["tile"], ask.get("buffer", 0))
    crs, zone = ask.get("crs", "EPSG:4326"), Zone(ask["zone"]) if "zone" in ask else None
    if "bbox" in ask:
        return bbox_window(ask["bbox"], crs, zone)
    return geometry_window(ask["geometry"], crs, zone)


def _geobox(ask: Ask) -> Any:
    """Return the pixels of another coordinate system: on the box as it is written, else on the window."""
    if "bbox" in ask:
        return bbox_geobox(ask["bbox"], ask.get("crs", "EPSG:4326"), ask["to"], ask["pixel"])
    window = _window(ask)
    edges = (window.left, window.bottom, window.right, window.top)
    return bbox_geobox(edges, window.zone.epsg, ask["to"], ask["pixel"])
