"""Jobs: what users asked for and gets done later, in parts; and what a store of jobs can do."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, TypedDict

from abut.errors import AbutError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    type Clock = Callable[[], datetime]
    """Tells the time, in UTC."""

type Status = Literal["accepted", "running", "successful", "failed", "dismissed"]
"""State of a job: those of OGC API - Processes."""

type PartStatus = Literal["waiting", "running", "successful", "failed", "dismissed"]
"""State of a part; dismissed: dropped because the job was dismissed, or another part of it has failed."""

STATUSES: Final[tuple[Status, ...]] = ("accepted", "running", "successful", "failed", "dismissed")
"""All states of a job."""

OPEN: Final[tuple[Status, ...]] = ("accepted", "running")
"""States of a job that is not over."""

TRIES: Final = 3
"""How often a part is begun before it has failed."""


class JobStoreError(AbutError, OSError):
    """The store of jobs can't be opened or reached, or refuses."""


class TooManyJobsError(AbutError, RuntimeError):
    """A user has as many jobs waiting or running as permitted."""


class Ask(TypedDict, total=False):
    """One cube as JSON: one place and one period; `services.cubes.worker.read` reads it."""

    tile: str
    """A tile, such as ``32TNM``; or `bbox`, or `geometry`."""
    buffer: float
    """Metres around the tile."""
    bbox: Sequence[float]
    """West, south, east, north in `crs`."""
    geometry: Mapping[str, Any]
    """GeoJSON geometry in `crs`: the box around it."""
    crs: str
    """Coordinate system of bbox or geometry; default: ``EPSG:4326``."""
    zone: int
    """EPSG code of the zone of the result; default: that of the centre."""
    to: str
    """Coordinate system that all is resampled to, with pixels of `pixel`."""
    pixel: float
    """Size of the pixels in units of `to`."""
    index: Sequence[str]
    """Spectral indices that are computed from the bands of these, which `options` name."""
    composite: str
    """How their steps become one, see `services.cubes.derived.METHODS`."""
    options: Mapping[str, Any]
    """Keywords of `abut.asked.Options` that JSON can hold."""
    origin: Mapping[str, str]
    """Of which request it comes: ``request_id``, and ``traceparent`` where there are traces; for the log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What a user asked for."""

    id: str
    """UUID, 32 hex digits."""
    user: str
    """Whose it is: an opaque text."""
    inputs: Mapping[str, Any]
    """The request, as JSON."""
    process: str = "cube"
    """Which process runs."""
    status: Status = "accepted"
    """Its state."""
    progress: int = 0
    """Percent, 100 only if it was successful."""
    message: str = ""
    """What people may want to know: why it failed, or how far it is."""
    created: datetime
    """When it was asked for, UTC."""
    started: datetime | None = None
    """When its first part began."""
    finished: datetime | None = None
    """When it was over, however it ended."""
    updated: datetime
    """When anything of it last changed."""
    expires: datetime | None = None
    """When it and its results are deleted; known once it is over."""
    result: str | None = None
    """Key of the folder of results in the store of results, if it was successful."""
    parts: int
    """How many parts it has."""
    parts_done: int = 0
    """How many of them are finished."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part of a job: one cube, one Zarr group."""

    job: str
    """Id of the job."""
    number: int
    """From 0 on."""
    name: str
    """Name of the result without suffix, such as ``32TNM_2025-07``; unique within the job."""
    ask: Ask
    """What is to be read."""
    status: PartStatus = "waiting"
    """Its state."""
    progress: int = 0
    """Percent."""
    tries: int = 0
    """How often it was begun."""
    result: str | None = None
    """Key of the Zarr group in the store of results, once it is complete."""
    message: str = ""
    """Why the last try failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A part that one runner has to do, until its lease runs out."""

    part: Part
    """The part, with the number of this try."""
    user: str
    """Whose it is."""
    token: str
    """Names this claim; a later one of the same part has another."""


def new_job(user: str, inputs: Mapping[str, Any], asks: Mapping[str, Ask], now: datetime) -> tuple[Job, list[Part]]:
    """Return a new job and its parts, for `JobStore.create`.

    Parameters
    ----------
    user : str
        Whose it is.
    inputs : mapping
        The request, as JSON.
    asks : mapping
        What is asked for, by name of the part.
    now : datetime
        The time.
    """
    job = Job(id=uuid.uuid4().hex, user=user, inputs=inputs, created=now, updated=now, parts=len(asks))
    return job, [Part(job=job.id, number=number, name=name, ask=ask) for number, (name, ask) in enumerate(asks.items())]


@dataclass(frozen=True, slots=True)
class Counts:
    """How many jobs there are."""

    jobs: Mapping[str, int]
    """By status, all of `STATUSES`."""
    parts: Mapping[str, int]
    """Their parts: waiting, running, and overdue (whoever did them fell silent, and nobody took them over yet)."""
    waiting_seconds: float
    """How long the oldest of those that wait has waited; 0 without any."""


class JobStore(Protocol):
    """Keeps jobs, and hands out their parts; all methods can be called from any thread.

    All of them raise `JobStoreError` if the store can't be reached.
    """

    def create(self, job: Job, parts: Sequence[Part], *, per_user: int | None = None) -> None:
        """Add a job.

        Raises
        ------
        TooManyJobsError
            If the user has `per_user` jobs that are not over.
        """

    def get(self, job_id: str) -> Job | None:
        """Return a job, or None if there is none."""

    def parts(self, job_id: str) -> list[Part]:
        """Return the parts of a job, by number; none if there is no such job."""

    def jobs_of(
        self, user: str, *, status: Status | None = None, limit: int = 100, after: str | None = None
    ) -> list[Job]:
        """Return a user's jobs, newest first; those that follow the job `after`."""

    def counts(self) -> Counts:
        """Count the jobs of all users, and their parts."""

    def dismiss(self, job_id: str) -> Job | None:
        """End a job that is not over, and return it as it then is; None if there is none. Of others nothing changes."""

    def claim(self, worker: str, lease_seconds: float, *, at_once: int, per_user: int) -> Claim | None:
        """Hand out the part whose turn it is, see `services.cubes.queue`; None if there is none for now.

        Parts whose lease has run out are handed out again, or have failed if that was their last try.

        Parameters
        ----------
        worker : str
            Who is going to do it.
        lease_seconds : float
            How long it stays claimed without `renew`.
        at_once, per_user : int
            How many parts may run at once, of all users and of each, whoever does them.
        """

    def renew(self, held: Sequence[tuple[Claim, int]], lease_seconds: float) -> list[Claim]:
        """Go on with some parts, all in one write: there may be hundreds.

        Parameters
        ----------
        held : sequence of Claim and int
            The claims, and how many percent of each part are done.
        lease_seconds : float
            How long from now on they stay claimed.

        Returns
        -------
        list of Claim
            Those that are no longer claimed by this: their job was dismissed, or another has them.
        """

    def finish(self, claim: Claim, result: str) -> bool:
        """Note that a part is complete, and the job if all are; False, and nothing changes, if it was lost."""

    def give_back(self, claim: Claim, message: str, *, failed: bool) -> bool:
        """Let a part be done by another; False as `finish`.

        Parameters
        ----------
        claim : Claim
            The claim.
        message : str
            Why.
        failed : bool
            Whether the try counts: after `TRIES` of them the part and its job have failed.
        """

    def fail(self, claim: Claim, message: str) -> bool:
        """Note that a part, and so its job, has failed and will again; False as `finish`."""

    def expired(self, limit: int = 100) -> list[Job]:
        """Return jobs that are to be deleted by now, the longest overdue first."""

    def remove(self, job_id: str) -> bool:
        """Delete a job that is over; return whether there was one."""

    def close(self) -> None:
        """Close connections; what was written stays."""


def utc_now() -> datetime:
    """Return the time, in UTC."""
    return datetime.now(UTC)
