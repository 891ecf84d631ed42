"""One remote SAFE stored: what is known already is not fetched, and the next can be fetched meanwhile."""

from __future__ import annotations

from contextlib import ExitStack
from threading import Event
from typing import TYPE_CHECKING, Self

from abut.archive import open_archive
from abut.errors import InvalidSafeError
from ingest.ingest import Outcome, store_product
from ingest.job import failure
from ingest.remote.address import Address
from ingest.remote.fetched import Fetched
from ingest.remote.known import known_by_digest
from ingest.remote.opening import open_remote
from ingest.safe_source import sources_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from abut.archive import Archive
    from ingest.job import Failure, Job
    from ingest.safe_source import SafeSource


class Prepared:
    """A remote SAFE that was looked at, and of which what is needed is being fetched.

    Parameters
    ----------
    archive_url : str
        The archive.
    job : Job
        Which SAFE; whatever goes wrong with it is told by `store`.
    stopped : Event
        Ends what is being fetched, when it is set.
    """

    def __init__(self, archive_url: str, job: Job, stopped: Event) -> None:
        self._stopped = stopped
        self._archive_url, self._job = archive_url, job
        self._stack = ExitStack()
        self._archive: Archive | None = None
        self._sources: list[SafeSource] = []
        self._known: dict[str, Outcome] = {}
        self._fetched: Fetched | None = None
        self._failed: Exception | None = None
        try:
            self._look()
        except Exception as error:  # noqa: BLE001 - one product's failure must not stop the others
            self._failed = error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def finish(self) -> None:
        """Wait until all is here that was to be fetched, or has failed."""
        if self._fetched is not None:
            self._fetched.finish()

    def close(self) -> None:
        """Remove what was fetched."""
        self._stack.close()

    def store(self, threads: int, done: Callable[[str], None]) -> list[Outcome | Failure]:
        """Store its products, one after the other; whatever goes wrong is returned, not raised."""
        if self._failed is not None or self._archive is None:
            return [failure(self._job.path, self._job.product, self._failed or RuntimeError("closed"), self._job.path)]
        results: list[Outcome | Failure] = []
        for source in self._sources:
            try:
                known = self._known.get(source.id)
                results.append(known or store_product(self._archive, source, threads=threads, done=done))
            except Exception as error:  # noqa: BLE001 - as above
                results.append(failure(self._job.path, source.id, error, self._archive_url))
        return results

    def _look(self) -> None:
        archive = open_archive(self._archive_url)
        container = self._stack.enter_context(open_remote(Address(self._job.path, self._job.product), self._stopped))
        wanted = self._job.only
        sources = [source for source in sources_of(container) if not wanted or source.id == wanted]
        if not sources:
            raise InvalidSafeError(f"{self._job.path}: changed while it was being ingested; {wanted} is gone")
        for source in sources:
            known = known_by_digest(archive, source)
            if known is not None:
                self._known[source.id] = known
        if isinstance(container, Fetched):
            self._fetched = container
            container.begin(path for source in sources if source.id not in self._known for path in source.paths)
        self._archive, self._sources = archive, sources


def store_remote(archive_url: str, job: Job, threads: int, done: Callable[[str], None]) -> list[Outcome | Failure]:
    """Fetch and store one remote SAFE; whatever goes wrong is returned, not raised."""
    with Prepared(archive_url, job, Event()) as prepared:
        return prepared.store(threads, done)
