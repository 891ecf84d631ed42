"""Runs the parts of jobs on Dask: hands them out, keeps their claims, and settles what came of them."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from abut.hiding import hide
from services.cubes.jobs import JobStoreError, utc_now
from services.cubes.results import key_of, open_results, remove, remove_others
from services.cubes.retention import sweep
from services.cubes.worker import Outcome, Task, run
from services.logs import within

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from services.cubes.jobs import Claim, JobStore

SWEEP_SECONDS: Final = 600
"""How often what is no longer wanted is deleted."""

_TURN_SECONDS: Final = 0.5
_PAUSE_SECONDS: Final = 10
"""How long after something could not be reached it is tried again."""
_GONE: Final = ("cancelled", "lost")
"""States of a future that nobody works on."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """How parts are run."""

    archive: str
    """URL of the archive, as workers reach it."""
    results: str
    """URL of the store of results, as workers reach it."""
    scheduler: str | None = None
    """Address of a scheduler of Dask; None: worker processes of this machine, started with the first part."""
    workers: int = 1
    """How many of these."""
    at_once: int = 4
    """Parts that run at once, of all users and services that share the jobs."""
    per_user: int = 2
    """Parts that run at once of each user."""
    lease_seconds: float = 60
    """How long after this process fell silent its parts are handed out again."""
    idle_seconds: float = 600
    """How long after the last part worker processes of this machine end; the next part starts them again."""
    poll_seconds: float = 2
    """How often to look for parts that others put in."""


@dataclass(slots=True)
class _Active:
    """A part that runs."""

    claim: Claim
    future: Any
    progress: int = 0
    told: int = 0
    renewed: float = field(default_factory=time.monotonic)
    lost: bool = False


class Runner:
    """Threads that run parts and delete results; get them with `running`."""

    def __init__(self, jobs: JobStore, how: Running) -> None:
        self._jobs, self._how = jobs, how
        self._results = open_results(how.results)
        self._name = uuid.uuid4().hex
        self._topic = f"abut-cubes-{self._name}"
        self._bell, self._ending = threading.Event(), threading.Event()
        self._active: dict[str, _Active] = {}
        self._cluster = contextlib.ExitStack()
        self._client: Any = None
        self._pause_until = 0.0
        self._busy = 0.0
        self._threads = [
            threading.Thread(target=self._work, name="abut-cubes", daemon=True),
            threading.Thread(target=self._sweep, name="abut-cubes-sweep", daemon=True),
        ]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def wake(self) -> None:
        """Look for parts now: a job was created or dismissed."""
        self._bell.set()

    def close(self) -> None:
        """Stop; parts that run are given back, and handed out again by whoever runs next."""
        self._ending.set()
        self._bell.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join()

    def _work(self) -> None:
        while not self._ending.is_set():
            try:
                self._look_after()
                self._hand_out()
                self._rest()
            except JobStoreError as error:
                _log.warning("%s", error)
                self._pause_until = time.monotonic() + _PAUSE_SECONDS
            except Exception:  # noqa: BLE001 - the thread goes on, whatever happened; it is logged
                _log.exception("running the parts of jobs")
                self._pause_until = time.monotonic() + _PAUSE_SECONDS
            self._bell.wait(_TURN_SECONDS if self._active else self._how.poll_seconds)
            self._bell.clear()
        self._end()

    def _hand_out(self) -> None:
        """Claim parts while there are workers for them."""
        how = self._how
        while time.monotonic() >= self._pause_until and len(self._active) < self._places():
            claim = self._jobs.claim(self._name, how.lease_seconds, at_once=how.at_once, per_user=how.per_user)
            if claim is None:
                return
            try:
                self._submit(claim)
            except Exception as error:  # noqa: BLE001 - whatever Dask raises where there is no scheduler
                _log.warning("%s", " ".join(str(error).split()))
                self._disconnect()
                self._jobs.give_back(claim, "there is nobody to do it", failed=False)
                self._pause_until = time.monotonic() + _PAUSE_SECONDS

    def _rest(self) -> None:
        """End worker processes of this machine that had nothing to do for long."""
        now = time.monotonic()
        if self._active:
            self._busy = now
        elif self._client is not None and not self._how.scheduler and now - self._busy > self._how.idle_seconds:
            self._disconnect()

    def _places(self) -> int:
        if self._client is None or self._how.scheduler is None:
            return self._how.workers
        threads: dict[str, int] = self._client.nthreads()
        return max(1, sum(threads.values()))

    def _submit(self, claim: Claim) -> None:
        how = self._how
        if self._client is None:
            self._connect()
        task = Task(
            archive=how.archive,
            results=how.results,
            key=key_of(claim),
            ask=claim.part.ask,
            token=claim.token,
            topic=self._topic,
            job=claim.part.job,
        )
        future = self._client.submit(run, task, key=f"abut-cube-{claim.token}", pure=False, retries=0)
        future.add_done_callback(lambda _: self._bell.set())
        self._active[claim.token] = _Active(claim, future)

    def _look_after(self) -> None:
        """Settle what is finished, and renew the claims of the rest."""
        for token, active in list(self._active.items()):
            if active.future.done() or active.future.status in _GONE:
                self._settle(active)
                del self._active[token]
        due = [active for active in self._active.values() if not active.lost and self._is_due(active)]
        if due:
            self._renew(due)

    def _renew(self, due: Sequence[_Active]) -> None:
        """Renew claims, and give up the parts that are no longer wanted."""
        held = [(active.claim, active.progress) for active in due]
        lost = {claim.token for claim in self._jobs.renew(held, self._how.lease_seconds)}
        for active, (claim, progress) in zip(due, held, strict=True):
            active.renewed, active.told, active.lost = time.monotonic(), progress, claim.token in lost
        if lost and self._client is not None:
            self._client.cancel([active.future for active in due if active.lost], force=True, reason="dismissed")

    def _is_due(self, active: _Active) -> bool:
        """Claims are renewed in time, and often enough to tell progress and to notice that a job was dismissed."""
        age = time.monotonic() - active.renewed
        return age >= min(self._how.lease_seconds / 4, self._how.poll_seconds) or (
            age >= 1 and active.progress != active.told
        )

    def _settle(self, active: _Active) -> None:
        part = active.claim.part
        with within(part.ask.get("origin", {}).get("request_id", ""), part.job):
            self._settled(active)

    def _settled(self, active: _Active) -> None:
        jobs, claim, future = self._jobs, active.claim, active.future
        if future.status in _GONE:
            if not active.lost:  # nobody here wanted that: the scheduler is gone
                jobs.give_back(claim, "the scheduler is gone", failed=False)
                self._disconnect()
                self._pause_until = time.monotonic() + _PAUSE_SECONDS
            return
        outcome = _outcome(future)
        if outcome.problem is None:
            held = jobs.finish(claim, key_of(claim))
            if held:
                self._tidy(claim)
        else:
            _log.info("%s of job %s: %s", claim.part.name, claim.part.job, outcome.problem)
            held = False
            if outcome.again:
                jobs.give_back(claim, outcome.problem, failed=True)
            else:
                jobs.fail(claim, outcome.problem)
        if not held:
            remove(self._results, key_of(claim))

    def _tidy(self, claim: Claim) -> None:
        """Delete what tries left whose services were killed; what is left nevertheless goes with the job."""
        try:
            remove_others(self._results, claim)
        except Exception as error:  # noqa: BLE001 - the part is complete, whatever the store says
            _log.warning("results of %s: %s", claim.part.job, " ".join(str(error).split()))

    def _sweep(self) -> None:
        """Delete what is no longer wanted, in a thread of its own: claims are renewed meanwhile."""
        while not self._ending.is_set():
            try:
                sweep(self._jobs, self._results, utc_now(), self._ending.is_set)
            except JobStoreError as error:
                _log.warning("%s", error)
            except Exception:  # noqa: BLE001 - the thread goes on, whatever happened; it is logged
                _log.exception("deleting results")
            self._ending.wait(SWEEP_SECONDS)

    def _connect(self) -> None:
        from abut.cluster import local_cluster, remote_cluster  # noqa: PLC0415 - an extra, and slow to import

        how = self._how
        place = remote_cluster(how.scheduler) if how.scheduler else local_cluster(how.workers, tries=1)
        self._client = self._cluster.enter_context(place)
        self._client.subscribe_topic(self._topic, self._hear)

    def _hear(self, event: Any) -> None:
        """Note progress; called in a thread of Dask."""
        token, percent = event[1]
        active = self._active.get(token)
        if active is not None:
            active.progress = percent

    def _disconnect(self) -> None:
        self._client = None
        try:
            self._cluster.close()
        except Exception as error:  # noqa: BLE001 - it is gone either way
            _log.warning("Dask: %s", " ".join(str(error).split()))

    def _end(self) -> None:
        for active in self._active.values():
            with contextlib.suppress(JobStoreError):  # then its lease runs out
                self._jobs.give_back(active.claim, "the service ends", failed=False)
            if self._client is not None:
                with contextlib.suppress(Exception):
                    self._client.cancel([active.future], force=True, reason="the service ends")
        self._disconnect()
        for active in self._active.values():
            remove(self._results, key_of(active.claim))


def _outcome(future: Any) -> Outcome:
    if future.status == "finished":
        found: Outcome = future.result()
        return found
    error = future.exception()
    if type(error).__name__ == "KilledWorker":
        return Outcome("the worker that did it died", again=True)
    return Outcome(hide(f"{type(error).__name__}: {error}"), again=True)


@contextlib.contextmanager
def running(jobs: JobStore, how: Running) -> Iterator[Runner]:
    """Run parts of jobs as long as the body lasts.

    Parameters
    ----------
    jobs : JobStore
        The jobs; not closed at the end.
    how : Running
        How.

    Raises
    ------
    InvalidArchiveError, UnsupportedStoreError
        If results can't be written.
    """
    runner = Runner(jobs, how)
    runner.start()
    try:
        yield runner
    finally:
        runner.close()
