"""The STAC API as an application."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from fastapi import Depends, FastAPI
from stac_fastapi.types.config import ApiSettings
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from abut import __version__
from services.api import UNTOLD
from services.cors import EXPOSED
from services.logs import HEADER
from services.stac import extensions, models
from services.stac.checks import check
from services.stac.client import Client
from services.stac.collections import Shelf
from services.stac.compression import CompressionMiddleware
from services.stac.docs import docs_page
from services.stac.errors import add_handlers
from services.stac.landing import DOCS_PATH, OPENAPI, OPENAPI_PATH, STAC_VERSION
from services.stac.limits import LimitsMiddleware
from services.stac.methods import MethodsMiddleware
from services.stac.openapi import document
from services.stac.options import Options
from services.stac.render import json_answer
from services.stac.routes import Api
from services.stac.urls import base_url

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from starlette.requests import Request
    from starlette.responses import Response

    from catalog.places import Places
    from services.stac.backend import Backend

_ASKED = ("Authorization", "If-Match", "If-None-Match", HEADER)


def create_stac_app(
    backend: Backend, *, places: Callable[[Request], Places], options: Options | None = None
) -> FastAPI:
    """Return the STAC API over a database.

    Parameters
    ----------
    backend : Backend
        The database; it is connected while the application runs (its lifespan).
    places : callable
        Returns where the client of a request finds things; `services.stac.urls.base_url` gives the API's own URL.
    options : Options, optional
        What the operator decided; default: a read-only API.
    """
    options = options or Options()
    shelf = Shelf(backend, options.extent_seconds)

    @asynccontextmanager
    async def running(_: FastAPI) -> AsyncIterator[None]:
        async with backend.running():
            yield

    app = FastAPI(
        title=options.title,
        description=options.description,
        version=__version__,
        openapi_url=OPENAPI_PATH,
        docs_url=None,
        redoc_url=None,
        lifespan=running,
        dependencies=[Depends(check)],
        redirect_slashes=False,
        telemetry=UNTOLD,
    )
    app.state.parameters = {}  # see `services.stac.checks`
    Api(
        settings=_settings(options),
        client=Client(backend=backend, shelf=shelf, places=places, options=options),
        app=app,
        extensions=[*extensions.extensions(shelf, places), *options.transactions],
        exceptions={},
        title=options.title,
        description=options.description,
        stac_version=STAC_VERSION,
        search_get_request_model=models.SearchGet,
        search_post_request_model=models.SearchPost,
        collections_get_request_model=models.CollectionsGet,
        collection_get_request_model=models.Collection,
        items_get_request_model=models.ItemsGet,
        item_get_request_model=models.Item,
        middlewares=_middlewares(app, options),
    )
    add_handlers(app)
    # stac-fastapi's own calls every document one of version 3.0.
    app.router.routes[:] = [route for route in app.routes if getattr(route, "path", "") != OPENAPI_PATH]
    app.add_route(OPENAPI_PATH, _openapi, include_in_schema=False)
    app.add_route(DOCS_PATH, _docs, include_in_schema=False)
    app.openapi = document(app)  # type: ignore[method-assign]  # as FastAPI documents it
    return app


async def _openapi(request: Request) -> Response:
    made = {**request.app.openapi(), "servers": [{"url": base_url(request)}]}
    return json_answer(request, made, OPENAPI)


async def _docs(request: Request) -> Response:
    return docs_page(request.app.openapi(), f"{base_url(request)}{OPENAPI_PATH}")


def _settings(options: Options) -> ApiSettings:
    """Return settings of stac-fastapi that no environment variable and no file changes."""
    return ApiSettings.model_construct(
        stac_fastapi_title=options.title,
        stac_fastapi_description=options.description,
        stac_fastapi_version=__version__,
        stac_fastapi_landing_id=options.id,
        enable_response_models=False,
        enable_direct_response=False,
        openapi_url=OPENAPI_PATH,
        docs_url=DOCS_PATH,
        root_path="",
    )


def _middlewares(app: FastAPI, options: Options) -> list[Middleware]:
    """Return what requests go through, the innermost first."""
    methods = ["GET", "HEAD", "OPTIONS", "POST", *(("PUT", "PATCH", "DELETE") if options.transactions else ())]
    limits = {"url": options.max_url, "body": options.max_body, "written": options.max_written_body}
    return [
        Middleware(LimitsMiddleware, **limits),
        Middleware(CompressionMiddleware),
        Middleware(MethodsMiddleware, api=app),
        Middleware(
            CORSMiddleware,
            allow_origins=options.origins,
            allow_methods=methods,
            allow_headers=_ASKED,
            expose_headers=[*EXPOSED, "Location"],
            max_age=86_400,
        ),
    ]
