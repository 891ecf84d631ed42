"""The cube service as an application: plain requests, OGC API - Processes, and what describes them."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from anyio import to_thread
from obstore.exceptions import BaseError
from starlette.requests import Request  # noqa: TC002 - FastAPI reads the annotation
from starlette.responses import Response  # noqa: TC002 - as above

from abut.connection import Connection
from abut.errors import AbutError
from abut.finding import ArchiveFinder
from abut.messages import describe
from services.api import create_api
from services.cubes.answers import add_handlers
from services.cubes.context import Context, Jobs, aside
from services.cubes.direct import direct_routes
from services.cubes.execution import Workshop
from services.cubes.job_routes import job_routes
from services.cubes.landing import conformance_classes, landing_page
from services.cubes.opening import jobs_url, open_jobs
from services.cubes.processes import process_routes
from services.cubes.result_routes import result_routes
from services.cubes.results import open_results, results_url
from services.cubes.runner import Runner, Running
from services.cubes.users import Users
from services.health import PATIENCE
from services.metrics import metrics
from services.passing import passes
from services.proxy import BASE
from services.stac.checks import check
from services.stac.landing import OPENAPI
from services.stac.render import json_answer
from services.stac.urls import base_url

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from fastapi import FastAPI

    from abut.archive import Archive
    from services.settings import Settings
    from services.stac.auth import Access

_LOG = logging.getLogger("abut.services")


def create_cubes_app(archive: Archive, settings: Settings, access: Access | None) -> FastAPI:
    """Return the cube service over an archive.

    Parameters
    ----------
    archive : Archive
        The archive.
    settings : Settings
        What the operator decided.
    access : Access, optional
        Who knows tokens; None: users are told apart by address.

    Raises
    ------
    JobStoreError, InvalidArchiveError, UnsupportedStoreError
        If jobs or results can't be kept where the settings say.
    """
    jobs = _jobs(archive, settings)
    workshop = Workshop(
        threads=settings.cube_threads,
        waiting=settings.cube_waiting,
        per_user=settings.cube_requests_per_user,
        seconds=settings.cube_seconds,
        name="cubes",
    )
    context = Context(Connection(archive, ArchiveFinder()), settings, Users(access, archive.id), workshop, jobs)

    @asynccontextmanager
    async def running(_: FastAPI) -> AsyncIterator[None]:
        if jobs is not None:
            jobs.runner.start()
        try:
            yield
        finally:
            workshop.close()
            if jobs is not None:
                await to_thread.run_sync(jobs.runner.close)
                jobs.store.close()

    app = create_api(
        title="Abut: cubes",
        description="Sentinel-2 L1C over any ground and time: small cubes at once, large ones as jobs.",
        place=archive.store.url,
        settings=settings,
        lifespan=running,
        check=check,
        methods=("DELETE",),
        asked=("Prefer",),
        told=("Location",),
    )
    app.include_router(direct_routes(context))
    app.include_router(process_routes(context))
    app.state.jobs = jobs
    if jobs is not None:
        app.include_router(job_routes(context, jobs))
        app.router.routes.extend(result_routes(context, jobs))
    _add_documents(app, has_jobs=jobs is not None)
    add_handlers(app)
    return app


async def count_jobs(app: FastAPI) -> None:
    """Look how many jobs there are, and how many of their cubes wait or are made, for the metrics."""
    jobs: Jobs | None = app.state.jobs
    if jobs is None:
        return
    async with asyncio.timeout(PATIENCE):
        counts = await aside(jobs.store.counts)
    for status, number in counts.jobs.items():
        metrics().jobs.labels(status).set(number)
    for status, number in counts.parts.items():
        metrics().parts.labels(status).set(number)
    metrics().waiting.set(counts.waiting_seconds)


def _jobs(archive: Archive, settings: Settings) -> Jobs | None:
    """Return the jobs, or None where they or their results can't be kept and nobody said where; the log says why."""
    secret = settings.jobs.get_secret_value() if settings.jobs else None
    url = results_url(archive, settings.results)
    try:
        results = open_results(url)
        store = open_jobs(jobs_url(archive, secret), timedelta(days=settings.results_days))
    except (AbutError, OSError, BaseError) as error:
        if secret or settings.results or passes(error):
            raise
        _LOG.warning("there are no jobs: %s", describe(error, url))
        return None
    how = Running(
        archive=archive.store.url,
        results=url,
        scheduler=settings.dask_scheduler,
        workers=settings.cube_workers,
        at_once=settings.cube_parts_at_once,
        per_user=settings.cube_parts_per_user,
        lease_seconds=settings.cube_lease_seconds,
        idle_seconds=settings.cube_idle_seconds,
    )
    return Jobs(store, Runner(store, how), results)


def _add_documents(app: FastAPI, *, has_jobs: bool) -> None:
    @app.get("/", summary="Landing page")
    async def landing(request: Request) -> Response:
        """Return links to all that is here."""
        root = request.scope.get(BASE, "")
        return json_answer(request, landing_page(base_url(request), root, OPENAPI, has_jobs=has_jobs))

    @app.get("/conformance", summary="What it conforms to")
    async def conformance(request: Request) -> Response:
        """Return the conformance classes, each of which is tested."""
        return json_answer(request, {"conformsTo": conformance_classes(has_jobs=has_jobs)})
