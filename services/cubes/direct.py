"""Plain requests: the file of a small cube, and what a cube costs before it is made."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Query
from starlette.requests import Request  # noqa: TC002 - FastAPI reads the annotation
from starlette.responses import Response

from abut.errors import TooLargeError
from abut.finding import ArchiveFinder
from services.cubes.answers import RefusedError, TemporaryFile
from services.cubes.context import Context, has
from services.cubes.files import MEDIA_TYPES, Made, Unchanged, make_cube_file
from services.cubes.inputs import CubeQuery, PlaceQuery  # noqa: TC001 - as above
from services.stac.render import json_answer
from services.stac.urls import base_url

if TYPE_CHECKING:
    from services.cubes.execution import Stop
    from services.cubes.inputs import Format, Single

FILES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The file.",
        "content": {kind: {"schema": {"type": "string", "format": "binary"}} for kind in MEDIA_TYPES.values()},
    },
    304: {"description": "The client has it already."},
}
"""Answers with a file, for the OpenAPI document."""


def direct_routes(context: Context) -> APIRouter:
    """Return the routes ``/cube`` and ``/explain``."""
    router = APIRouter()

    @router.get("/cube", summary="A small cube as a file", responses=FILES, response_class=Response)
    async def cube(request: Request, query: Annotated[CubeQuery, Query()]) -> Response:
        """Name a `tile`, a `bbox` or a `geometry`; larger cubes are jobs of the process `cube`."""
        user = await context.users.name(request)
        try:
            made = await made_for(context, request, user, query.single(), query.format)
        except TooLargeError as error:
            hint = f"or make it a job: POST {base_url(request)}/processes/cube/execution with Prefer: respond-async"
            raise RefusedError(413, f"{error}, {hint}") from error
        return file_answer(made)

    @router.get("/explain", summary="What a cube costs, before it is made", response_class=Response)
    async def explain(request: Request, query: Annotated[PlaceQuery, Query()]) -> Response:
        """Products, blocks, bytes and requests by zone; masks and angles are not counted."""
        user = await context.users.name(request)
        asked, fresh = query.single().asked, replace(context.connection, finder=ArchiveFinder())

        def work(_: Stop) -> dict[str, Any]:
            return asked.explain(fresh).to_dict()  # as whoever connects anew: nothing was listed a moment ago

        return json_answer(request, await context.workshop.run(request, user, work))

    return router


async def made_for(context: Context, request: Request, user: str, single: Single, form: Format) -> Made | Unchanged:
    """Make the file of a cube while its request waits; errors as `services.cubes.files.make_cube_file`."""
    work = partial(
        _make,
        context,
        single,
        form,
        partial(has, request) if request.method == "GET" else lambda _: False,
    )
    return await context.workshop.run(request, user, work, _discard)


def file_answer(made: Made | Unchanged) -> Response:
    """Return the answer with a file."""
    if isinstance(made, Unchanged):
        return Response(status_code=304, headers={"etag": made.tag, "cache-control": "no-cache"})
    return TemporaryFile(made.path, made.folder, made.media_type, made.headers)


def _make(context: Context, single: Single, form: Format, is_known: Any, stop: Stop) -> Made | Unchanged:
    settings = context.settings
    return make_cube_file(
        context.connection,
        single,
        form,
        limit=settings.cube_sync_bytes,
        scratch=settings.scratch,
        is_known=is_known,
        stop=stop,
    )


def _discard(made: Made | Unchanged) -> None:
    if isinstance(made, Made):
        made.discard()
