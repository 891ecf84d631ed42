"""Many tiles: a task of Dask for each tile and step, one Zarr of the zone, restartable.

Each task opens the archive by its URL, reads what it computes and the ground around it from the view, and writes the
blocks that its tile owns among those that take part (`workflows.runs.zone_plan`). So no chunk is written by two tasks,
and tiles join without a seam. A mark is created when all of a task is written; the same run once more does the tasks
that have none.
"""

from __future__ import annotations

import importlib.util
import json
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from abut import __version__
from abut.connection import connect
from abut.errors import ConflictError, UnsupportedStoreError
from abut.period import parse_period
from abut.store import open_store
from workflows.runs.zone_plan import core_of, encode, parse_tiles, plan_zone
from workflows.runs.zone_task import DONE, RUN, TileTask, read_run
from workflows.runs.zone_workers import outcomes
from workflows.scene import RESOLUTION

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from abut.lattice import Bounds
    from abut.store import Store
    from abut.tiling import Tile
    from workflows.runs.workflow import Workflow
    from workflows.runs.zone_plan import ZonePlan
    from workflows.runs.zone_task import Outcome

    type Finished = Callable[[Outcome, int, int], object]
    """Called with what came of a task, how many are done, earlier ones included, and how many there are."""

_COPIES: Final = 4
"""Memory that a task takes, in bytes of the pixels that it reads: they, reflectances, and what is made of them."""
_BASE: Final = 400_000_000
"""Memory of a worker that does nothing yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """What came of a run."""

    steps: int
    """Length of the time axis."""
    tasks: int
    """Tiles at steps at which they have products."""
    earlier: int
    """Of these, tasks that an earlier run had done."""
    computed: int
    """Tasks that this run did."""
    blocks: int
    """Blocks with a value that this run wrote."""
    failed: tuple[Outcome, ...]
    """Tasks that failed, by tile and step; the same run once more tries them again."""


def run_tiles(
    archive: str | os.PathLike[str],
    workflow: Workflow,
    tiles: Iterable[str | Tile],
    datetime: Any,
    out: str | os.PathLike[str],
    *,
    scheduler: str | None = None,
    workers: int | None = None,
    params: Mapping[str, object] | None = None,
    within: Bounds | None = None,
    options: Mapping[str, Any] | None = None,
    threads: int = 1,
    done: Finished = lambda *_: None,
) -> Ran:
    """Run a workflow on many tiles of a zone, as one Zarr; or go on where an earlier run ended.

    Every block of 9,600 m that a tile touches is computed whole, by the tile that ranks first for it among those that
    take part. What is written is what one run over all of the ground would give, byte for byte.

    Parameters
    ----------
    archive : str or path
        A folder, ``s3://bucket/prefix`` or the URL of a service, as workers reach it.
    workflow : Workflow
        What is computed. One with ``per_time=False`` (`composite`) gives a step for each month, else there is one for
        each moment.
    tiles : iterable of str or Tile
        Tiles of one zone.
    datetime : see `abut.period.parse_period`
        Period.
    out : str or path
        A folder or ``s3://bucket/prefix``, as workers reach it: empty, or of an earlier run of the same. It can be read
        at any moment.
    scheduler : str, optional
        Address of a scheduler of Dask, such as ``tcp://10.0.0.5:8786``. Default: processes of this machine.
    workers : int, optional
        How many of these; 0: none, all is done in this process. Default: as memory and cores allow.
    params : mapping, optional
        Values of the workflow's parameters, by name.
    within : Bounds, optional
        Compute only blocks that touch this ground.
    options : mapping, optional
        Keywords of `abut.asked.Options` that choose products, such as ``baseline``; JSON values.
    threads : int
        Threads that each task may use.
    done : callable
        Told of each task that ends.

    Returns
    -------
    Ran
        What came of it. Tasks that failed are listed with tile and reason; all others are done.

    Raises
    ------
    ConflictError
        If another result is there: of another workflow, other parameters, tiles or period, or of another archive.
    WorkflowError
        If a parameter is wrong, or tiles are of several zones.
    AbutError
        As `abut.connection.Connection.tile`; OSError if no scheduler answers.
    """
    connection, result = connect(archive), open_store(out, create=True)
    if result.read_only:
        raise UnsupportedStoreError(f"{result.url}: results can't be written to a web server")
    values = workflow.params(params)
    chosen = parse_tiles(tiles)
    asked = {
        "workflow": workflow.name,
        "parameters": {name: list(one) if isinstance(one, tuple) else one for name, one in values.items()},
        "software": f"abut {__version__}",
        "code": _code(workflow.name),
        "radius": workflow.radius(values),
        "bands": list(workflow.bands(values)),
        "tiles": [tile.id for tile in chosen],
        "within": None if within is None else [str(within.zone), within.left, within.bottom, within.right, within.top],
        "datetime": str(parse_period(datetime)),
        "options": dict(options or {}),
        "archive": connection.archive.id,
    }

    def planned() -> ZonePlan:
        return plan_zone(
            connection,
            chosen,
            bands=workflow.bands(values),
            buffer=workflow.buffer(values),
            period=datetime,
            within=within,
            monthly=not workflow.per_time,
            options=options,
        )

    plan = _begun(result, asked, planned)
    where = str(archive) if "://" in str(archive) else str(Path(archive).resolve())
    tasks = [
        TileTask(archive=where, out=result.url, workflow=workflow, number=number, tile=tile.id, threads=threads)
        for number, tile in plan.jobs()
    ]
    at_once = _fitting(plan, workflow.bands(values)) if workers is None and scheduler is None else workers or 0
    return _run(result, plan, tasks, done, lambda todo: outcomes(todo, scheduler, min(at_once, len(todo))))


def _code(name: str) -> str | None:
    """Return the digest of a user's module, so that no result is of two versions of it; None of built-in workflows."""
    module, colon, _ = name.partition(":")
    if not colon:
        return None
    with suppress(ImportError, ValueError):
        found = importlib.util.find_spec(module)
        if found is not None and found.origin is not None and Path(found.origin).is_file():
            return sha256(Path(found.origin).read_bytes()).hexdigest()
    return None


def _begun(out: Store, asked: Mapping[str, Any], planned: Callable[[], ZonePlan]) -> ZonePlan:
    """Return the plan of a run that is begun here, or was begun earlier."""
    if out.read(RUN) is None:
        other = next((entry.key for entry in out.entries("")), None)
        if other is not None and out.read(RUN) is None:
            raise ConflictError(f"{out.url}: {other} is there, of no run over tiles; write elsewhere")
        text = json.dumps({"asked": asked, "plan": encode(planned())}, sort_keys=True)
        out.put_new(RUN, text.encode())
    found = read_run(out)
    assert found is not None  # noqa: S101 - it was just there
    before, plan = found
    for name, value in json.loads(json.dumps(asked)).items():
        if before.get(name) != value:
            raise ConflictError(
                f"{out.url}: was begun with another {name} ({_short(before.get(name))}, now {_short(value)}); "
                "delete it, or write elsewhere"
            )
    return plan


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _fitting(plan: ZonePlan, bands: Sequence[str]) -> int:
    """Return how many tasks this machine can do at once, by cores and by memory."""
    from dask.system import CPU_COUNT  # noqa: PLC0415 - an extra
    from distributed.system import MEMORY_LIMIT  # noqa: PLC0415 - as above

    largest = max(core_of(blocks).buffered(plan.buffer).area for tile in plan.tiles if (blocks := plan.blocks_of(tile)))
    pixels = sum(2 * largest // RESOLUTION[band] ** 2 for band in bands)
    return max(1, min(CPU_COUNT, MEMORY_LIMIT // (_BASE + _COPIES * pixels)))


def _run(
    out: Store,
    plan: ZonePlan,
    tasks: Sequence[TileTask],
    done: Finished,
    outcomes_of: Callable[[Sequence[TileTask]], Iterable[Outcome]],
) -> Ran:
    """Do the tasks that have no mark."""
    marks = {entry.key for entry in out.entries(DONE)}
    todo = [task for task in tasks if task.mark not in marks]
    earlier = len(tasks) - len(todo)
    found: list[Outcome] = []
    for outcome in outcomes_of(todo) if todo else ():
        found.append(outcome)
        done(outcome, earlier + len(found), len(tasks))
    failed = sorted((one for one in found if one.problem), key=lambda one: (one.tile, one.number))
    if not failed:
        for path in out.leftovers():  # of writers that were killed
            path.unlink(missing_ok=True)
    return Ran(
        steps=len(plan.steps),
        tasks=len(tasks),
        earlier=earlier,
        computed=len(found) - len(failed),
        blocks=sum(one.blocks for one in found),
        failed=tuple(failed),
    )
