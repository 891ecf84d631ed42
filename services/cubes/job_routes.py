"""OGC API - Processes: jobs of the user who asks. Those of others are not there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request  # noqa: TC002 - FastAPI reads the annotation
from starlette.responses import JSONResponse, Response

from abut.errors import BadRequestError
from abut.messages import quoted
from abut.period import Period, parse_period
from services.cubes.answers import RefusedError, unplaced
from services.cubes.context import Context, Jobs, aside
from services.cubes.description import OUTPUT
from services.cubes.jobs import OPEN, STATUSES, Job, utc_now
from services.cubes.landing import link
from services.cubes.status import results_document, status_info
from services.stac.urls import base_url

if TYPE_CHECKING:
    from collections.abc import Callable

    from services.cubes.jobs import JobStore

_PAGE = 100
_NO_STORE = {"cache-control": "no-store"}


class JobsQuery(BaseModel):
    """Which jobs are listed."""

    model_config = ConfigDict(extra="forbid")

    type: Literal["process"] | None = Field(None, description="There are jobs of processes only.")
    processID: str | None = Field(None, description="Ids of processes, separated by commas.")  # noqa: N815 - OGC's name
    status: str | None = Field(None, description=f"Some of {', '.join(STATUSES)}, separated by commas.")
    datetime: str | None = Field(None, description="When they were made: an instant, or `a/b`; `..` is open.")
    minDuration: float | None = Field(None, ge=0, description="Seconds that they have run, at least.")  # noqa: N815
    maxDuration: float | None = Field(None, ge=0, description="Seconds that they have run, at most.")  # noqa: N815
    limit: int = Field(20, ge=1, le=1_000, description="How many are returned at most.")
    after: str | None = Field(None, description="Id of a job: those that follow it.")

    def takes(self) -> Callable[[Job], bool]:
        """Return what tells whether a job is listed; errors name the value."""
        statuses = set(self.status.split(",")) if self.status else set(STATUSES)
        for one in statuses - set(STATUSES):
            raise BadRequestError(f"status {quoted(one)} is not one of {', '.join(STATUSES)}")
        processes = set(self.processID.split(",")) if self.processID else None
        period = parse_period(self.datetime) if self.datetime else Period()

        def taken(job: Job) -> bool:
            seconds = _duration(job)
            return (
                job.status in statuses
                and (processes is None or job.process in processes)
                and job.created in period
                and (self.minDuration is None or (seconds is not None and seconds >= self.minDuration))
                and (self.maxDuration is None or (seconds is not None and seconds <= self.maxDuration))
            )

        return taken


def job_routes(context: Context, jobs: Jobs) -> APIRouter:
    """Return the routes below ``/jobs``."""
    router = APIRouter()

    @router.get("/jobs", summary="Your jobs, newest first", response_class=Response)
    async def listed(request: Request, query: Annotated[JobsQuery, Query()]) -> Response:
        """Jobs are kept for some days after they are over."""
        user, base = await context.users.name(request), base_url(request)
        found, more = await aside(_listed, jobs.store, user, query)
        links = [link(f"{base}/jobs", "self", "This list")]
        if more:
            said = {**query.model_dump(exclude_none=True, exclude_defaults=True), "after": found[-1].id}
            links.append(link(f"{base}/jobs?{urlencode(said)}", "next", "Older jobs"))
        return JSONResponse({"jobs": [_shown(job, request) for job in found], "links": links}, headers=_NO_STORE)

    @router.get("/jobs/{job}", summary="State of a job", response_class=Response)
    async def status(request: Request, job: str) -> Response:
        """How far it is, and why it failed."""
        return JSONResponse(_shown(await job_of(context, jobs, request, job), request), headers=_NO_STORE)

    @router.delete("/jobs/{job}", summary="Dismiss a job", response_class=Response)
    async def dismiss(request: Request, job: str) -> Response:
        """End a job that waits or runs, and remove what it has made; of one that is over nothing changes."""
        found = await job_of(context, jobs, request, job)
        ended = await aside(jobs.store.dismiss, found.id) or found
        jobs.runner.wake()
        return JSONResponse(_shown(ended, request), headers=_NO_STORE)

    @router.get("/jobs/{job}/results", summary="Results of a job", response_class=Response)
    async def results(request: Request, job: str) -> Response:
        """Return links to Zarr groups, one for each cube."""
        found = await job_of(context, jobs, request, job)
        if found.status in OPEN:
            reason = f"job {job} is {found.status}, {found.progress} percent; its results are not there yet"
            raise RefusedError(404, reason, kind="result-not-ready")
        if found.status != "successful":
            why = unplaced(found.message, request.app.state.place) or "it has no results"
            raise RefusedError(409, f"job {job} is {found.status}: {why}")
        parts = await aside(jobs.store.parts, found.id)
        return JSONResponse(results_document(found, parts, base_url(request), OUTPUT), headers=_NO_STORE)

    return router


async def job_of(context: Context, jobs: Jobs, request: Request, job_id: str) -> Job:
    """Return a job of the user of a request.

    Raises
    ------
    RefusedError
        If the user has no such job (404).
    """
    user = await context.users.name(request)
    found = await aside(jobs.store.get, job_id)
    if found is None or found.user != user:
        raise RefusedError(404, f"there is no job {quoted(job_id)}", kind="no-such-job")
    return found


def _shown(job: Job, request: Request) -> dict[str, Any]:
    return status_info(job, base_url(request), request.app.state.place)


def _listed(store: JobStore, user: str, query: JobsQuery) -> tuple[list[Job], bool]:
    """Return jobs, and whether there are more."""
    takes, found, after = query.takes(), list[Job](), query.after
    while page := store.jobs_of(user, limit=_PAGE, after=after):
        found += filter(takes, page)
        after = page[-1].id
        if len(found) > query.limit or len(page) < _PAGE:
            break
    return found[: query.limit], len(found) > query.limit


def _duration(job: Job) -> float | None:
    if job.started is None:
        return None
    return ((job.finished or utc_now()) - job.started).total_seconds()
