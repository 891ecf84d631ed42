"""OGC API - Processes: the process, and its execution at once or as a job."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Body, Header, Query
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request  # noqa: TC002 - FastAPI reads the annotation
from starlette.responses import JSONResponse, Response

from abut.errors import AbutError, BadRequestError, TooLargeError
from abut.messages import quoted
from services.cubes.answers import RefusedError, said_of
from services.cubes.context import Context, Jobs, aside
from services.cubes.description import OUTPUT, PROCESS, description, summary
from services.cubes.direct import FILES, file_answer, made_for
from services.cubes.files import MEDIA_TYPES, Made, as_document, planned_pixels, require_size, size_of
from services.cubes.inputs import CubeInputs, plain_inputs
from services.cubes.jobs import new_job, utc_now
from services.cubes.landing import REL, link
from services.cubes.status import status_info
from services.logs import origin
from services.stac.render import json_answer
from services.stac.urls import base_url

if TYPE_CHECKING:
    from collections.abc import Mapping
    from concurrent.futures import Future

    from services.cubes.execution import Stop
    from services.cubes.inputs import Format, Single
    from services.cubes.jobs import Ask

_ASYNC = "respond-async"
_PLANNED_AT_ONCE = 16
"""Cubes of a job that are looked at at once, each by some requests to the store, one after the other."""


class OutputFormat(BaseModel):
    """Of what kind an output is to be."""

    model_config = ConfigDict(extra="forbid")

    mediaType: str | None = Field(None, description="`application/zip`: Zarr, or netCDF's or GeoTIFF's.")  # noqa: N815 - OGC's name
    encoding: Literal["binary", "base64"] | None = None


class WantedOutput(BaseModel):
    """An output that is asked for."""

    model_config = ConfigDict(extra="forbid")

    format: OutputFormat = Field(default_factory=lambda: OutputFormat(mediaType=None))
    transmissionMode: Literal["value", "reference"] | None = None  # noqa: N815 - OGC's name


class Execute(BaseModel):
    """Body of an execution."""

    model_config = ConfigDict(extra="forbid")

    inputs: dict[str, Any] = Field(default_factory=dict, description="See the description of the process.")
    outputs: dict[str, WantedOutput] | None = Field(None, description="Default: the cube as zipped Zarr.")
    response: Literal["raw", "document"] = Field("raw", description="The file, or JSON with the file in base64.")


def process_routes(context: Context) -> APIRouter:
    """Return the routes below ``/processes``."""
    router, jobs = APIRouter(), context.jobs

    @router.get("/processes", summary="Processes", response_class=Response)
    async def processes(
        request: Request, limit: Annotated[int, Query(ge=1, description="How many are returned at most.")] = 10
    ) -> Response:
        """There is one."""
        base = base_url(request)
        listed = {
            **summary(has_jobs=jobs is not None),
            "links": [link(f"{base}/processes/{PROCESS}", "self", "Description of the process")],
        }
        return json_answer(
            request, {"processes": [listed][:limit], "links": [link(f"{base}/processes", "self", "This list")]}
        )

    @router.get("/processes/{process}", summary="Description of a process", response_class=Response)
    async def process(request: Request, process: str) -> Response:
        """Return its inputs and outputs, with their schemas."""
        _require_process(process)
        base = base_url(request)
        here = f"{base}/processes/{PROCESS}"
        links = [
            link(here, "self", "This description"),
            link(f"{here}/execution", f"{REL}/execute", "Where it is executed"),
            link(f"{base}/jobs", f"{REL}/job-list", "Your jobs"),
        ]
        return json_answer(request, {**description(has_jobs=jobs is not None), "links": links})

    @router.post(
        "/processes/{process}/execution",
        summary="Make cubes",
        responses={**FILES, 201: {"description": "A job was made; `Location` leads to it."}},
        response_class=Response,
    )
    async def execute(
        request: Request,
        process: str,
        body: Annotated[Execute, Body()],
        prefer: Annotated[str, Header(description="`respond-async`: as a job.")] = "",
    ) -> Response:
        """Make one small cube at once, or with `Prefer: respond-async` any number of them as a job."""
        _require_process(process)
        plain, cubes = _asked(body.inputs, context.settings.cube_parts)
        form = _format(body.outputs)
        if jobs is not None and _ASYNC in {one.partition(";")[0].strip().lower() for one in prefer.split(",")}:
            _require_zarr(form)
            return await _as_job(context, jobs, request, plain, cubes)
        return await _at_once(context, request, cubes, body)

    return router


def _asked(inputs: dict[str, Any], limit: int) -> tuple[dict[str, Any], dict[str, Single]]:
    plain = plain_inputs(inputs)
    try:
        return plain, CubeInputs.model_validate(plain).cubes(limit)
    except ValidationError as error:
        told = (said_of(one) for one in error.errors(include_url=False)[:3])
        raise BadRequestError("; ".join(dict.fromkeys(told))) from error


def _format(outputs: Mapping[str, WantedOutput] | None) -> Format:
    for name in outputs or ():
        if name != OUTPUT:
            raise BadRequestError(f"output {quoted(name)} is not one of {OUTPUT}")
    wanted = (outputs or {}).get(OUTPUT, WantedOutput()).format.mediaType
    if wanted is None:
        return "zarr"
    kind = wanted.partition(";")[0].strip().lower()
    for form, known in MEDIA_TYPES.items():
        if kind == known.partition(";")[0]:
            return form
    raise BadRequestError(f"mediaType {quoted(wanted)} is not one of {', '.join(dict.fromkeys(MEDIA_TYPES.values()))}")


def _require_zarr(form: Format) -> None:
    if form != "zarr":
        raise BadRequestError(
            f"mediaType {MEDIA_TYPES[form]!r} is for cubes that are answered at once; jobs write Zarr"
        )


def _require_process(name: str) -> None:
    if name != PROCESS:
        raise RefusedError(404, f"there is no process {quoted(name)}; there is {PROCESS}", kind="no-such-process")


async def _at_once(context: Context, request: Request, cubes: Mapping[str, Single], body: Execute) -> Response:
    user = await context.users.name(request)
    if len(cubes) > 1:
        raise RefusedError(413, f"{len(cubes)} cubes are asked for; only a job makes several: Prefer: {_ASYNC}")
    wanted = (body.outputs or {}).get(OUTPUT, WantedOutput())
    if wanted.transmissionMode == "reference":
        raise BadRequestError(f"transmissionMode 'reference' is for jobs: Prefer: {_ASYNC}")
    (single,) = cubes.values()
    try:
        made = await made_for(context, request, user, single, _format(body.outputs))
    except TooLargeError as error:
        raise RefusedError(413, f"{error}, or make it a job: Prefer: {_ASYNC}") from error
    if body.response == "document" and isinstance(made, Made):
        made = await aside(as_document, made, OUTPUT)
    return file_answer(made)


async def _as_job(
    context: Context, jobs: Jobs, request: Request, plain: Mapping[str, Any], cubes: Mapping[str, Single]
) -> Response:
    user = await context.users.name(request)
    await context.workshop.run(request, user, partial(_require_total, context, cubes))
    asks: dict[str, Ask] = {name: {**single.ask, "origin": origin()} for name, single in cubes.items()}
    job, parts = new_job(user, plain, asks, utc_now())
    await aside(partial(jobs.store.create, job, parts, per_user=context.settings.cube_jobs_per_user))
    jobs.runner.wake()
    base = base_url(request)
    headers = {"location": f"{base}/jobs/{job.id}", "preference-applied": _ASYNC, "cache-control": "no-store"}
    return JSONResponse(status_info(job, base, request.app.state.place), 201, headers)


def _require_total(context: Context, cubes: Mapping[str, Single], stop: Stop) -> None:
    """Raise if a cube can't be made, or all of them are too large; no pixel is read.

    Stores answer late, and a job may have thousands of cubes: some are looked at at once.
    """
    limit, total = context.settings.cube_max_bytes, 0
    require_size(sum(single.asked.least_bytes for single in cubes.values()), limit, "at least ")

    def size(single: Single) -> int:
        stop.check()
        pixels = planned_pixels(context.connection, single, limit)
        single.cube(pixels)
        return size_of(pixels)

    with ThreadPoolExecutor(min(_PLANNED_AT_ONCE, len(cubes)), "abut-plans") as pool:
        sizes = {name: pool.submit(copy_context().run, size, single) for name, single in cubes.items()}
        try:
            for name, one in sizes.items():
                total += _sized(name if len(cubes) > 1 else "", one)
        finally:
            pool.shutdown(cancel_futures=True)
    require_size(total, limit)


def _sized(name: str, one: Future[int]) -> int:
    """Return the bytes of a cube; an error says which one."""
    try:
        return one.result()
    except TooLargeError:
        raise
    except AbutError as error:
        if name:
            error.args = (f"{name}: {error}", *error.args[1:])
        raise
