"""One task of a run over many tiles: a tile at a step, computed and written by a worker, and marked as done."""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from abut import __version__
from abut.connection import connect
from abut.errors import AbutError, ConflictError, MixedBaselinesWarning, NoDataError, OlderVersionWarning
from abut.lattice import BlockRange
from abut.store import open_store
from abut.tiling import tile as named_tile
from workflows.errors import WorkflowError
from workflows.runs.composite import composites
from workflows.runs.moments import view_moments
from workflows.runs.results import variables
from workflows.runs.running import has_data
from workflows.runs.zone_output import FOLDER, Part, write_blocks
from workflows.runs.zone_plan import ZonePlan, core_of, decode

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import xarray as xr

    from abut.connection import Connection
    from abut.lattice import Bounds
    from abut.store import Store
    from workflows.runs.workflow import Workflow
    from workflows.runs.zone_plan import Seen

RUN: Final = f"{FOLDER}/run.json"
"""Object that says what a run computes; the first that is written."""
DONE: Final = f"{FOLDER}/done"
"""Folder of the marks of tasks that are done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TileTask:
    """A task; can be pickled."""

    archive: str
    """URL of the archive, as workers reach it."""
    out: str
    """URL of the result, as workers reach it."""
    workflow: Workflow
    """What is computed."""
    number: int
    """Index of the step."""
    tile: str
    """The tile."""
    threads: int = 1
    """Threads that may be used."""

    @property
    def mark(self) -> str:
        """Key of the object that says that it is done."""
        return f"{DONE}/{self.number}/{self.tile}.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a task."""

    tile: str
    """The tile."""
    number: int
    """Index of the step."""
    blocks: int = 0
    """Blocks that have a value."""
    problem: str = ""
    """Why it failed, in a line; empty: it is done."""


def do(task: TileTask) -> Outcome:
    """Do a task; whatever goes wrong is told, and leaves no mark."""
    try:
        with warnings.catch_warnings():
            for told in (MixedBaselinesWarning, OlderVersionWarning):  # to whoever planned the run
                warnings.simplefilter("ignore", told)
            blocks = _done(task)
    except (AbutError, WorkflowError) as error:
        return Outcome(tile=task.tile, number=task.number, problem=" ".join(str(error).split()))
    except Exception as error:  # noqa: BLE001 - one tile's failure must not stop the others
        text = " ".join(str(error).split())
        return Outcome(
            tile=task.tile, number=task.number, problem=f"{type(error).__name__}{f': {text}' if text else ''}"
        )
    return Outcome(tile=task.tile, number=task.number, blocks=blocks)


def read_run(out: Store) -> tuple[dict[str, Any], ZonePlan] | None:
    """Return what was asked of a run, and its plan; None if there is none."""
    found = out.read(RUN)
    if found is None:
        return None
    told: dict[str, Any] = json.loads(found.data)
    return told["asked"], decode(told["plan"])


def _done(task: TileTask) -> int:
    out = open_store(task.out)
    found = read_run(out)
    if found is None:
        raise ConflictError(f"{out.url}: the run was deleted meanwhile")
    asked, plan = found
    params = task.workflow.params(asked["parameters"])
    about = {
        "title": task.workflow.title,
        "workflow": task.workflow.name,
        "parameters": json.dumps(asked["parameters"], sort_keys=True),
        "software": f"abut {__version__}",
        "tiles": " ".join(tile.id for tile in plan.tiles),
    }
    filled = 0
    for part in _parts(task, plan, params):
        filled += write_blocks(out, plan, task.number, part, about)
    out.flush()
    out.put_new(task.mark, json.dumps({"blocks": filled}).encode())
    return filled


def _parts(task: TileTask, plan: ZonePlan, params: Mapping[str, Any]) -> Iterator[Part]:
    """Yield what a task computes, piece by piece."""
    connection, blocks, step = connect(task.archive), plan.blocks_of(named_tile(task.tile)), plan.steps[task.number]
    if not task.workflow.per_time:

        def read(seen: Seen, core: Bounds, buffer: int, bands: Sequence[str]) -> xr.DataTree | None:
            return read_moment(connection, plan, seen, core=core, buffer=buffer, bands=bands)

        yield from composites(step.moments, blocks, params, read, threads=task.threads)
        return
    (seen,) = step.moments
    workflow, core = task.workflow, core_of(blocks)
    moment = read_moment(connection, plan, seen, core=core, buffer=plan.buffer, bands=workflow.bands(params))
    if moment is not None and has_data(moment, workflow.bands(params)):
        result = workflow.compute(moment, params, threads=task.threads)
        yield Part(core, blocks, variables(result, core))


def read_moment(
    connection: Connection, plan: ZonePlan, seen: Seen, *, core: Bounds, buffer: int, bands: Sequence[str]
) -> xr.DataTree | None:
    """Return a moment of a plan over some ground; None if none of its products has data there.

    Raises
    ------
    ConflictError
        If products of the plan have been withdrawn, or their offsets differ now.
    AbutError
        As `abut.connection.Connection.tile`.
    """
    around = BlockRange.around(core.buffered(buffer))
    blocks, names = frozenset(around), plan.products_in(seen, around.bounds)
    wanted = {name for name in names if not blocks.isdisjoint(connection.archive.product(name).record.valid)}
    if not wanted:
        return None
    try:
        found = list(view_moments(connection, core=core, buffer=buffer, bands=list(bands), ids=sorted(wanted)))
    except NoDataError:
        found = []
    there = {str(name) for one in found for name in one.attrs["products"]}
    if wanted - there or len(found) != 1:
        what = f"{min(wanted - there)} was withdrawn" if wanted - there else "its products differ in offset"
        raise ConflictError(f"datatake {seen.datatake}: {what} since the run was begun; begin another one")
    return found[0]
