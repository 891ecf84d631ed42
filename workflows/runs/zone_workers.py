"""Tasks of a run over many tiles, done here or by Dask: what a worker does not survive is told, all others go on."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from workflows.runs.zone_task import Outcome, do

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from workflows.runs.zone_task import TileTask

_AHEAD: Final = 2
"""Tasks handed to the scheduler for each thread that works on one."""


def outcomes(todo: Sequence[TileTask], scheduler: str | None, workers: int) -> Generator[Outcome]:
    """Do tasks and yield what comes of each as it ends.

    Parameters
    ----------
    todo : sequence of TileTask
        The tasks.
    scheduler : str or None
        Address of a scheduler of Dask; None: worker processes of this machine.
    workers : int
        How many of these; 0: none, tasks are done one after the other in this process.

    Raises
    ------
    OSError
        If no scheduler answers, or it has no workers.
    """
    if scheduler is None and workers == 0:
        yield from map(do, todo)
        return
    from abut import cluster  # noqa: PLC0415 - Dask is an extra, and takes a second to load

    with cluster.local_cluster(workers) if scheduler is None else cluster.remote_cluster(scheduler) as client:
        client.wait_for_workers(1, timeout=cluster.CONNECT_SECONDS)
        yield from _on(client, todo)


def _on(client: Any, todo: Sequence[TileTask]) -> Generator[Outcome]:
    """Do tasks on a cluster; only a few more than its workers have threads are handed out at a time."""
    import distributed  # noqa: PLC0415 - an extra

    dask: Any = distributed  # some of its functions carry types and most do not
    running: dict[str, TileTask] = {}
    finished = dask.as_completed(loop=client.loop, raise_errors=False)
    waiting = iter(todo)

    def hand_out(count: int) -> None:
        for task in islice(waiting, count):
            future = client.submit(do, task, pure=False, retries=0)
            running[future.key] = task
            finished.add(future)

    try:
        hand_out(_AHEAD * max(1, sum(client.nthreads().values())))
        for future in finished:
            yield _result(future, running.pop(future.key))
            hand_out(1)
    finally:
        if running:
            client.cancel(list(running), force=True, reason="interrupted")


def _result(future: Any, task: TileTask) -> Outcome:
    """Return what a worker returned, or the end of a worker that died as a failure."""
    if future.status == "finished":
        found: Outcome = future.result()
        return found
    error = future.exception() if future.status == "error" else None
    text = " ".join(str(error).split()) if error is not None else f"the worker was lost ({future.status})"
    return Outcome(tile=task.tile, number=task.number, problem=text)
