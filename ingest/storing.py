"""Jobs done: products stored, wherever their SAFE lies; in this process, one at a time."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Event
from typing import TYPE_CHECKING

from ingest import job as jobs
from ingest.remote.storing import Prepared, store_remote

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from concurrent.futures import Future

    from ingest.ingest import Outcome
    from ingest.job import Failure, Job

type Results = list[Outcome | Failure]
"""What came of a job: of each product of a remote SAFE, else of one."""


def store_job(archive_url: str, job: Job, threads: int, done: Callable[[str], None]) -> Results:
    """Do a job when its time has come; whatever goes wrong is returned, not raised."""
    time.sleep(_early(job))
    if job.remote:
        return store_remote(archive_url, job, threads, done)
    return [jobs.store(archive_url, job, threads, done)]


def store_here(
    archive_url: str, todo: Iterator[Job], threads: int, on_band: Callable[[str, str], None]
) -> Generator[tuple[Job, Results]]:
    """Do jobs in this process, and yield each as it is finished.

    While one is stored, the next is fetched, if it lies elsewhere: there is never more than that in scratch.

    Parameters
    ----------
    archive_url : str
        The archive.
    todo : iterator of Job
        The jobs; it may grow while this runs.
    threads : int
        Bands decoded at once.
    on_band : callable
        Called with product id and band name as bands are done.
    """
    current: tuple[Job, Future[Prepared] | None] | None = None
    upcoming: tuple[Job, Future[Prepared] | None] | None = None
    stopped = Event()
    with ThreadPoolExecutor(1, "abut-next") as pool:
        begin = partial(_begin, pool, archive_url, stopped)
        try:
            while (current := upcoming or begin(todo)) is not None:
                job, future = current
                done = partial(on_band, job.product)
                if future is None:
                    upcoming = None
                    yield job, store_job(archive_url, job, threads, done)
                    continue
                with future.result() as prepared:
                    upcoming = begin(todo, prepared)
                    results = prepared.store(threads, done)
                yield job, results
        finally:
            stopped.set()
            for future in (one[1] for one in (current, upcoming) if one is not None):
                if future is not None and not future.cancel():
                    future.result().close()


def _begin(
    pool: ThreadPoolExecutor,
    archive_url: str,
    stopped: Event,
    todo: Iterator[Job],
    before: Prepared | None = None,
) -> tuple[Job, Future[Prepared] | None] | None:
    """Take the next job, and begin to fetch what lies elsewhere, when all of the one before is here."""
    job = next(todo, None)
    if job is None:
        return None

    def prepare() -> Prepared:
        if before is not None:
            before.finish()
        stopped.wait(_early(job))
        return Prepared(archive_url, job, stopped)

    return job, pool.submit(prepare) if job.remote else None


def _early(job: Job) -> float:
    """Return how many seconds it is too early for a job."""
    return max(0.0, job.not_before - time.time())
