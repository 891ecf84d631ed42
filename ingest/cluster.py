"""Products stored by Dask: on this machine's cores, or wherever a scheduler has workers."""

from __future__ import annotations

import uuid
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import distributed

from abut import cluster
from ingest.job import failure
from ingest.storing import store_job

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ingest.job import Job
    from ingest.storing import Results

AHEAD: Final = 2
"""Products handed to the scheduler for each thread that works on one."""

_dask: Any = distributed  # some of its functions carry types and most do not; as Any they can be called


def store_on(
    client: Any,
    archive_url: str,
    todo: Iterator[Job],
    *,
    threads: int,
    on_band: Callable[[str, str], None],
) -> Iterator[tuple[Job, Results]]:
    """Store products on a cluster; yield each as it is finished, whatever came of it.

    Only a few more than the workers have threads are handed out at a time; `todo` may grow while this runs.

    Parameters
    ----------
    client : distributed.Client
        The cluster.
    archive_url : str
        The archive, by a name that every worker understands.
    todo : iterator of Job
        The products.
    threads : int
        Bands decoded at once for each product.
    on_band : callable
        Called, in another thread, with product id and band name as bands are done.
    """
    topic = f"abut-{uuid.uuid4().hex}"
    client.subscribe_topic(topic, lambda event: on_band(*event[1]))
    running: dict[str, Job] = {}
    finished = _dask.as_completed(loop=client.loop, raise_errors=False)

    def hand_out(count: int) -> None:
        for job in islice(todo, count):
            future = client.submit(_store, archive_url, job, threads, topic, pure=False, retries=0)
            running[future.key] = job
            finished.add(future)

    try:
        client.wait_for_workers(1, timeout=cluster.CONNECT_SECONDS)
        hand_out(AHEAD * max(1, sum(client.nthreads().values())))
        for future in finished:
            job = running.pop(future.key)
            yield job, _result(future, job)
            hand_out(1)
    finally:
        if running:
            client.cancel(list(running), force=True, reason="interrupted")
        client.unsubscribe_topic(topic)


def _store(archive_url: str, job: Job, threads: int, topic: str) -> Results:
    """Run in a worker."""
    worker = _dask.get_worker()
    return store_job(archive_url, job, threads, lambda band: worker.log_event(topic, (job.product, band)))


def _result(future: Any, job: Job) -> Results:
    """Return what a worker returned, or the end of a worker that died as a failure."""
    if future.status == "finished":
        results: Results = future.result()
        return results
    error = future.exception() if future.status == "error" else RuntimeError(f"the worker was lost ({future.status})")
    return [replace(failure(job.path, job.product, error, job.path), transient=True)]
