"""Many products at once: workers store them, this process alone registers them.

Workers only write and commit stores, which touch nothing that another product's worker touches. Joining ledgers and
catalogue, which all products of a layer share, is quick and stays in one place.
"""

from __future__ import annotations

import os
import time
from collections import deque
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final, Literal

from abut.archive import Archive, open_archive
from abut.errors import CatalogueError, ConflictError, ProductNotFoundError
from catalog.opening import catalogue_of
from ingest.ingest import Outcome, register
from ingest.job import Failure, Job, failure
from ingest.listing import list_items, stored_item
from ingest.places import find_places
from ingest.remote.address import Address
from ingest.safe_source import safe_sources
from ingest.storing import store_here

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator

    from ingest.storing import Results

TRIES: Final = 5
"""How often a product is begun that other runs withdraw and purge meanwhile."""

FIRST_WAIT: Final = 2.0
"""Seconds before a product that failed for the moment is begun again; each further time twice as many."""

LONGEST_WAIT: Final = 120.0
"""Most of these seconds."""

THREADS: Final = 4
"""Most bands decoded at once where one process works alone."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an ingest of many products has come."""

    kind: Literal["begun", "band", "finished"]
    """What happened: the list of products was made, a band is done, or a product is."""
    total: int
    """Products to be ingested, as far as is known: SAFEs that were not opened yet count as one."""
    product: str = ""
    """Product id, or the path of a SAFE that can't be read."""
    band: str = ""
    """Name of the band."""
    result: Outcome | Failure | None = None
    """What came of the product."""


def ingest_many(
    archive: str | os.PathLike[str] | Archive,
    paths: Iterable[str | os.PathLike[str] | Address],
    *,
    retries: int = 0,
    scheduler: str | None = None,
    workers: int | None = None,
    threads_per_product: int | None = None,
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> list[Outcome | Failure]:
    """Ingest many products into an archive; one that fails stops none of the others.

    Parameters
    ----------
    archive : str, path or Archive
        An archive that exists, by its URL or opened. With workers on other machines it must be one that they reach by
        the same name.
    paths : iterable of path, URL or Address
        SAFE folders, zips, and folders that hold such, here or elsewhere; see `ingest.places.find_places`.
    retries : int
        How often a product is begun again whose failure may pass: a server that was away, a worker that was lost.
    scheduler : str, optional
        Address of a Dask scheduler. Default: processes on this machine.
    workers : int, optional
        Processes on this machine; 0 works in this process, as a single product always does. Default: by cores and
        memory.
    threads_per_product : int, optional
        Bands decoded at once for each product. Default: 1, and as many as there are cores, at most `THREADS`, where
        this process works alone.
    on_progress : callable
        Called as bands and products are done; bands that workers do are reported from another thread.

    Returns
    -------
    list of Outcome or Failure
        What came of each product, in the order of the paths.

    Raises
    ------
    InvalidSafeError
        If nothing is at a path, or a folder holds no SAFE.
    SourceError
        If a URL is none of a SAFE, or a prefix of a bucket can't be listed.
    InvalidArchiveError
        If there is no archive.
    OSError
        If the scheduler does not answer.
    """
    opened = archive if isinstance(archive, Archive) else open_archive(archive)
    plan = _Plan(find_places(paths), on_progress)
    plan.report("begun")
    with closing(_stored(opened, plan, scheduler, workers, threads_per_product)) as stored:
        for whole, results in stored:
            for job, result in plan.parts(whole, results):
                if isinstance(result, Outcome):
                    plan.close(job, _register(opened, plan, job, result))
                elif result.transient and job.tries <= retries:
                    plan.again(job, min(FIRST_WAIT * 2 ** (job.tries - 1), LONGEST_WAIT))
                else:
                    plan.close(job, result)
    return _listed([result for _, result in sorted(plan.results.items())], opened)


class _Plan:
    """The products still to do, and what came of those that are done."""

    def __init__(self, safes: list[str | Address], on_progress: Callable[[Progress], None]) -> None:
        self.results: dict[tuple[int, int], Outcome | Failure] = {}
        self._safes = deque(safes)
        self._ready: deque[Job] = deque()
        self._numbered = 0
        self._on_progress = on_progress

    def __iter__(self) -> Iterator[Job]:
        return self

    def __next__(self) -> Job:
        if not self.look_ahead(1):
            raise StopIteration
        return self._ready.popleft()

    def look_ahead(self, count: int) -> int:
        """Return how many products are left to do, as far as `count` of them."""
        while len(self._ready) < count and self._safes:
            self._open(self._safes.popleft())
        return min(count, len(self._ready))

    def again(self, job: Job, wait: float = 0.0) -> None:
        """Put a product back, to be begun in so many seconds at the earliest."""
        self._ready.append(replace(job, tries=job.tries + 1, not_before=time.time() + wait if wait else 0.0))

    def parts(self, job: Job, results: Results) -> Iterator[tuple[Job, Outcome | Failure]]:
        """Yield each product that a job turned out to be, and what came of it."""
        self._numbered += len(results) - 1
        for number, result in enumerate(results):
            if job.remote and result.product:
                known = "" if isinstance(result, Failure) and len(results) == 1 else result.product
                yield replace(job, part=job.part + number, product=result.product, only=job.only or known), result
            else:
                yield job, result

    def close(self, job: Job, result: Outcome | Failure | None) -> None:
        """Note what came of a product (None: it was put back)."""
        if result is not None:
            self.results[job.number, job.part] = result
            self.report("finished", job.product, result=result)

    def report(
        self,
        kind: Literal["begun", "band", "finished"],
        product: str = "",
        band: str = "",
        result: Outcome | Failure | None = None,
    ) -> None:
        """Tell the caller."""
        self._on_progress(Progress(kind, self._numbered + len(self._safes), product, band, result))

    def _open(self, path: str | Address) -> None:
        """Look which products a SAFE has; a remote one is left to whoever stores it."""
        if isinstance(path, Address):
            self._numbered += 1
            self._ready.append(Job(path.url, path.name, self._numbered, remote=True))
            return
        try:
            products = [source.id for source in safe_sources(path)]
        except Exception as error:  # noqa: BLE001 - one product's failure must not stop the others
            self._numbered += 1
            self.close(Job(path, path, self._numbered), failure(path, None, error, path))
            return
        for product in products:
            self._numbered += 1
            self._ready.append(Job(path, product, self._numbered))


def _register(archive: Archive, plan: _Plan, job: Job, outcome: Outcome) -> Outcome | Failure | None:
    """Register a stored product; None if it has to be stored once more."""
    try:
        register(archive, outcome)
    except (ConflictError, ProductNotFoundError) as error:  # withdrawn and purged in between
        if job.tries < TRIES:
            plan.again(job)
            return None
        return failure(job.path, job.product, error)
    except CatalogueError as error:  # the product is in the archive all the same
        return replace(outcome, unlisted=str(error))
    except Exception as error:  # noqa: BLE001 - one product's failure must not stop the others
        return failure(job.path, job.product, error, archive.store.url)
    return outcome


def _listed(results: list[Outcome | Failure], archive: Archive) -> list[Outcome | Failure]:
    """Tell the catalogue once more of what it could not be told of: it may have been away for a moment."""
    missed = [one for one in results if isinstance(one, Outcome) and one.unlisted]
    if not missed:
        return results
    try:
        with catalogue_of(archive) as catalogue:
            if catalogue is not None:
                items = (stored_item(archive, one.product) for one in missed)
                list_items(archive, catalogue, [item for item in items if item is not None])
    except CatalogueError:
        return results
    return [replace(one, unlisted="") if isinstance(one, Outcome) else one for one in results]


def _stored(
    archive: Archive, plan: _Plan, scheduler: str | None, workers: int | None, threads: int | None
) -> Generator[tuple[Job, Results]]:
    """Store the plan's products, in this process or by Dask, and yield each as it is finished."""
    url = archive.store.url
    if scheduler is None and (workers == 0 or plan.look_ahead(2) < 2):
        yield from store_here(url, plan, threads or min(os.cpu_count() or 1, THREADS), partial(plan.report, "band"))
        return
    from abut import cluster  # noqa: PLC0415 - Dask takes a second to load; one product does without
    from ingest.cluster import store_on  # noqa: PLC0415 - as above

    if scheduler is None:
        wanted = workers or cluster.suggested_workers()
        place = cluster.local_cluster(plan.look_ahead(wanted))
    else:
        place = cluster.remote_cluster(scheduler)
    with place as client:
        yield from store_on(client, url, plan, threads=threads or 1, on_band=partial(plan.report, "band"))
