"""Where jobs are kept."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from abut.catalogue import POSTGRES, path_of, scheme_of
from abut.errors import InvalidArchiveError
from services.cubes.jobs import JobStoreError

if TYPE_CHECKING:
    from datetime import timedelta

    from abut.archive import Archive
    from services.cubes.jobs import Clock, JobStore

FILE: Final = "jobs.sqlite"
"""Name of the file beside an archive's catalogue."""


def jobs_url(archive: Archive, given: str | None = None) -> str:
    """Return where the jobs of a service are kept.

    Parameters
    ----------
    archive : Archive
        The archive that is served, with its catalogue as it is reached from here.
    given : str, optional
        What the operator says (ABUT_JOBS). Default: a file beside the catalogue's, or the catalogue's database.

    Raises
    ------
    JobStoreError
        If it is neither a file nor a PostgreSQL database.
    """
    url = given or archive.catalogue_url
    try:
        scheme = scheme_of(url)
        path = path_of(url)
    except InvalidArchiveError:
        scheme, path = "?", None
    if scheme in POSTGRES:
        return url
    if path is None:
        raise JobStoreError("ABUT_JOBS is neither a file nor postgresql://host/database")
    return str(path) if given else str(path.parent / FILE)


def open_jobs(url: str, keep: timedelta, clock: Clock | None = None) -> JobStore:
    """Open a store of jobs.

    Parameters
    ----------
    url : str
        A file, or ``postgresql://...``, see `jobs_url`.
    keep : timedelta
        How long a job that is over is kept, and its results.
    clock : callable, optional
        Tells the time. Default: the database's clock.

    Raises
    ------
    JobStoreError
        If it can't be opened.
    ModuleNotFoundError
        If it needs an extra that is not installed.
    """
    if "://" in url:
        from services.cubes.store_postgres import open_postgres  # noqa: PLC0415 - an extra

        return open_postgres(url, keep, clock)
    from services.cubes.store_sqlite import open_sqlite  # noqa: PLC0415 - as above

    return open_sqlite(Path(url), keep, clock)
