"""How requests for pictures run: in the workshop's threads, and with the headers that let clients keep the answers."""

from __future__ import annotations

import inspect
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, ClassVar, Final

import anyio.to_thread
from fastapi.routing import APIRoute
from rio_tiler.utils import render
from starlette.responses import Response

from services.cubes.answers import RefusedError, TemporaryFile
from services.cubes.context import has
from services.cubes.users import address_of
from services.stac.auth import CALLER
from services.stac.render import etag
from services.tiles.told import EmptyTileError, Told, UnchangedError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from starlette.requests import Request

    from services.cubes.execution import Stop, Workshop
    from services.stac.auth import Caller
    from services.tiles.source import Source

SOURCE: Final = "src_path"
"""Parameter by which titiler hands endpoints what they read."""

_GONE: Final = 499
"""Status of what a client gave up, as web servers log it; HTTP has none."""


class PictureRoute(APIRoute):
    """A route whose endpoint reads pixels: it runs in a workshop, and its answer gets headers."""

    is_download: ClassVar[bool] = False
    """Whether it makes files, which takes longer than pictures: in threads of their own."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **more: Any) -> None:
        is_tile = "{tileMatrixSetId}" in path or "WMTS" in path
        super().__init__(path, _aside(endpoint, is_tile=is_tile, is_download=self.is_download), **more)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return what answers a request."""
        handler = super().get_route_handler()

        async def answered(request: Request) -> Response:
            # titiler makes its links with `Request.base_url`, which would be that of the outermost application.
            request.scope["app_root_path"] = request.scope.get("root_path", "")
            told = request.state.told = Told(request)
            try:
                response = await handler(request)
            except UnchangedError:
                return Response(status_code=304, headers=told.headers)
            except EmptyTileError as error:
                told.reason = str(error)
                return await _empty(error, told)
            except RefusedError:
                if await request.is_disconnected():
                    return Response(status_code=_GONE)  # nobody reads it: for the log, which calls 5xx errors
                raise
            response.headers.update(told.headers)
            return response if told.tag or request.method != "GET" else _tagged(request, response)

        return answered


class DownloadRoute(PictureRoute):
    """The same for files."""

    is_download = True


def _aside(endpoint: Callable[..., Any], *, is_tile: bool, is_download: bool) -> Callable[..., Any]:
    """Return an endpoint that does its work in the workshop of what it reads."""
    if inspect.iscoroutinefunction(endpoint) or SOURCE not in inspect.signature(endpoint).parameters:
        return endpoint

    @wraps(endpoint)
    async def run(**given: Any) -> Any:
        source: Source = given[SOURCE]
        context = source.context
        workshop = context.downloads if is_download else context.workshop if is_tile else context.crops
        source.is_tile = is_tile
        return await workshop.run(source.request, client_of(source.request), partial(_work, endpoint, given), _discard)

    return run


def route_in(workshop: Workshop) -> type[APIRoute]:
    """Return a class of routes that run in a workshop, and whose endpoints take the `request`."""

    class WorkshopRoute(APIRoute):
        def __init__(self, path: str, endpoint: Callable[..., Any], **more: Any) -> None:
            @wraps(endpoint)
            async def run(**given: Any) -> Any:
                request: Request = given["request"]
                return await workshop.run(request, client_of(request), lambda _: endpoint(**given))

            super().__init__(path, run, **more)

    return WorkshopRoute


def client_of(request: Request) -> str:
    """Return whose a request is: by token where one is needed, else its address, as trusted proxies say it."""
    known: Caller | None = request.scope.get(CALLER)
    return known.name if known else address_of(request.client.host if request.client else "")


def _discard(made: Any) -> None:
    """Remove the file of an answer that nobody waits for any longer."""
    if isinstance(made, TemporaryFile):
        made.discard()


def _work(endpoint: Callable[..., Any], given: dict[str, Any], stop: Stop) -> Any:
    source: Source = given[SOURCE]
    source.stop = stop
    try:
        return endpoint(**given)
    finally:
        source.end()


async def _empty(error: EmptyTileError, told: Told) -> Response:
    given = told.request
    form = given.path_params.get("format") or given.query_params.get("format") or "png"
    if not error.transparent or form not in ("png", "webp"):
        return Response(status_code=204, headers=told.headers)
    content = await anyio.to_thread.run_sync(_transparent, error.size, form.upper())
    return Response(content, headers=told.headers, media_type=f"image/{form}")


def _transparent(size: tuple[int, int], driver: str) -> bytes:
    """Return a picture of transparent pixels."""
    import numpy as np  # noqa: PLC0415 - of no use to the rest

    nothing = np.zeros((3 if driver == "WEBP" else 1, size[1], size[0]), np.uint8)
    content: bytes = render(nothing, nothing[0], img_format=driver)
    return content


def _tagged(request: Request, response: Response) -> Response:
    """Give a document an ETag, or answer that the client has it."""
    if response.status_code != 200:
        return response
    response.headers["etag"] = tag = etag(bytes(response.body))
    if not has(request, tag):
        return response
    kept = ("cache-control", "etag", "abut-products", "abut-unreadable")
    return Response(
        status_code=304, headers={name: response.headers[name] for name in kept if name in response.headers}
    )
