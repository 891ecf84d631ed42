"""Deleting results: of jobs that expired, that failed or were dismissed, and what belongs to no job."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from services.cubes.results import remove

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from abut.store import Store
    from services.cubes.jobs import JobStore

STRAY_AGE: Final = timedelta(days=1)
"""How long nothing was written to a folder that belongs to no job, before it is deleted."""
STOP_TIME: Final = timedelta(minutes=10)
"""How long after its end the workers of a job may still write."""

_JOB: Final = re.compile(r"[0-9a-f]{32}", re.ASCII)


def sweep(jobs: JobStore, results: Store, now: datetime, is_ending: Callable[[], bool] = lambda: False) -> int:
    """Delete what is no longer wanted; return how many folders of jobs were.

    Parameters
    ----------
    jobs : JobStore
        The jobs.
    results : Store
        Their results; what has not the name of a job is left alone.
    now : datetime
        The time, UTC.
    is_ending : callable
        Whether to stop where it is; the next sweep goes on.

    Raises
    ------
    JobStoreError
        If the jobs can't be read.
    """
    count = 0
    while expired := jobs.expired():
        for job in expired:
            if is_ending():
                return count
            remove(results, job.id)  # first: what is listed can be deleted again
            jobs.remove(job.id)
            count += 1
    for job_id in _folders(results):
        if is_ending():
            return count
        if _is_useless(jobs, results, job_id, now):
            remove(results, job_id)
            count += 1
    return count


def _folders(results: Store) -> Iterator[str]:
    if results.root is not None:
        names = [path.name for path in results.root.iterdir() if path.is_dir()]
    else:
        names = [path.rstrip("/") for path in results.children("")[0]]
    return (name for name in sorted(names) if _JOB.fullmatch(name))


def _is_useless(jobs: JobStore, results: Store, job_id: str, now: datetime) -> bool:
    job = jobs.get(job_id)
    if job is None:
        return all(now - entry.modified > STRAY_AGE for entry in results.entries(job_id))
    return job.status in ("failed", "dismissed") and now - (job.finished or now) > STOP_TIME
