"""Products stored by Dask: on this machine's cores, or wherever a scheduler has workers."""

from __future__ import annotations

import logging
import uuid
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import dask
import distributed
from dask.system import CPU_COUNT
from distributed.system import MEMORY_LIMIT

from ingest import job as jobs
from ingest.job import failure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ingest.ingest import Outcome
    from ingest.job import Failure, Job

WORKER_BYTES: Final = 600_000_000
"""Memory that one worker needs."""

AHEAD: Final = 2
"""Products handed to the scheduler for each thread that works on one."""

_dask: Any = distributed  # some of its functions carry types and most do not; as Any they can be called

_CONNECT_SECONDS: Final = 20
_CLOSE_SECONDS: Final = 5

# Workers are processes with one thread: what the libraries below would start on their own would only compete.
_ENVIRONMENT: Final = dict.fromkeys(("GDAL_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")


def suggested_workers() -> int:
    """Return how many workers this machine, or the container's share of it, can feed: by cores and by memory."""
    return max(1, min(CPU_COUNT, MEMORY_LIMIT // WORKER_BYTES))


@contextmanager
def local_cluster(workers: int) -> Iterator[Any]:
    """Start worker processes of one thread each on this machine, and end them whatever happens."""
    with (
        _quiet(),
        _dask.LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            memory_limit=0,  # sized beforehand; a worker that is paused or killed half-way helps no one
            dashboard_address=None,
            scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},  # else it asks for port 8787, and complains
            silence_logs=logging.CRITICAL,
            env=_ENVIRONMENT,
        ) as cluster,
        _dask.Client(cluster, timeout=_CONNECT_SECONDS) as client,
    ):
        yield client


@contextmanager
def remote_cluster(scheduler: str) -> Iterator[Any]:
    """Connect to a scheduler, such as ``tcp://10.0.0.5:8786``.

    Raises
    ------
    OSError
        If none answers.
    """
    with _quiet():
        try:
            client = _dask.Client(scheduler, timeout=_CONNECT_SECONDS)
        except (OSError, ValueError) as error:
            raise OSError(f"scheduler {scheduler}: {' '.join(str(error).split())}") from error
        with client:
            yield client


def store_on(
    client: Any,
    archive_url: str,
    todo: Iterator[Job],
    *,
    threads: int,
    on_band: Callable[[str, str], None],
) -> Iterator[tuple[Job, Outcome | Failure]]:
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
    finished = _dask.as_completed(raise_errors=False)

    def hand_out(count: int) -> None:
        for job in islice(todo, count):
            future = client.submit(_store, archive_url, job, threads, topic, pure=False, retries=0)
            running[future.key] = job
            finished.add(future)

    try:
        client.wait_for_workers(1, timeout=_CONNECT_SECONDS)
        hand_out(AHEAD * max(1, sum(client.nthreads().values())))
        for future in finished:
            job = running.pop(future.key)
            yield job, _result(future, job)
            hand_out(1)
    finally:
        if running:
            client.cancel(list(running), force=True, reason="interrupted")
        client.unsubscribe_topic(topic)


def _store(archive_url: str, job: Job, threads: int, topic: str) -> Outcome | Failure:
    """Run in a worker."""
    worker = _dask.get_worker()
    return jobs.store(archive_url, job, threads, lambda band: worker.log_event(topic, (job.product, band)))


def _result(future: Any, job: Job) -> Outcome | Failure:
    """Return what a worker returned, or the end of a worker that died as a failure."""
    if future.status == "finished":
        result: Outcome | Failure = future.result()
        return result
    error = future.exception() if future.status == "error" else RuntimeError(f"the worker was lost ({future.status})")
    return failure(job.path, job.product, error, job.path)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Dask's own messages to itself; what matters is said by Abut."""
    loggers = [logging.getLogger(name) for name in ("distributed", "tornado", "asyncio")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        with dask.config.set(
            {"distributed.comm.timeouts.connect": _CONNECT_SECONDS, "distributed.admin.tick.limit": "1h"}
        ):
            yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
