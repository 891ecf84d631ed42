"""The results of jobs, read only: ``/jobs/<job>/results/<cube>.zarr/...``, for any client of Zarr v3."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, override

from starlette.requests import Request  # noqa: TC002 - beside what uses it
from starlette.responses import Response
from starlette.routing import Route

from abut.messages import quoted
from services.cubes.answers import RefusedError, problem
from services.cubes.context import aside
from services.cubes.job_routes import job_of
from services.objects import objects_of
from services.ranges import UnsatisfiableRangeError
from services.zarr import Address, answer_object

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from services.cubes.context import Context, Jobs
    from services.objects import Objects

_KEY: Final = re.compile(r"(?:[A-Za-z0-9_-]{1,64}/){0,8}(?:zarr\.json|[A-Za-z0-9_-]{1,64})", re.ASCII)


def result_routes(context: Context, jobs: Jobs) -> list[Route]:
    """Return the routes of the objects of results.

    Parameters
    ----------
    context : Context
        Who tells users apart.
    jobs : Jobs
        The jobs.
    """
    objects = objects_of(jobs.results)

    async def read(request: Request) -> Response:
        found = await job_of(context, jobs, request, request.path_params["job"])
        name, key = request.path_params["name"], request.path_params.get("key") or "zarr.json"
        parts = await aside(jobs.store.parts, found.id)
        results = [part.result for part in parts if part.name == name and part.result]
        if found.status != "successful" or not results or not _KEY.fullmatch(key):
            raise RefusedError(404, f"job {found.id} has no {quoted(f'{name}.zarr/{key}')}")
        return _Object(objects, f"{results[0]}/{key}")

    path = "/jobs/{job}/results/{name}.zarr"
    return [Route(path, read), Route(f"{path}/{{key:path}}", read)]


class _Object(Response):
    """An object of the store, or the part that is asked for."""

    def __init__(self, objects: Objects, key: str) -> None:
        super().__init__()
        self._objects, self._key = objects, key

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            # Revalidated, all of it: after some days it is gone.
            if await answer_object(self._objects, Address(self._key, "metadata"), scope, send):
                return
            refused = problem(404, f"there is no object {quoted(self._key.partition('.zarr/')[2])}")
        except UnsatisfiableRangeError as error:
            refused = problem(416, str(error), {"content-range": f"bytes */{error.size}"})
        await refused(scope, receive, send)
