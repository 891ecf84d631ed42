"""What the applications on FastAPI beside the STAC API have in common: limits, CORS, methods, OpenAPI and its page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from fastapi import Depends, FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request  # noqa: TC002 - Starlette reads the annotation

from abut import __version__
from services.cors import EXPOSED
from services.logs import HEADER
from services.stac.docs import docs_page
from services.stac.landing import DOCS_PATH, OPENAPI, OPENAPI_PATH
from services.stac.limits import LimitsMiddleware
from services.stac.methods import MethodsMiddleware
from services.stac.render import json_answer
from services.stac.urls import base_url

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fastapi.telemetry import TelemetryConfig
    from starlette.responses import Response

    from services.settings import Settings

LONGEST_URL: Final = 16_384
"""Characters of the longest URL."""

UNTOLD: Final[TelemetryConfig] = {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}
"""What FastAPI tells of requests by itself: nothing, as `services.tracing` and `services.metrics` do, without what
exceptions say."""

_ASKED: Final = ("Authorization", "Content-Type", "If-None-Match", HEADER)
_TOLD: Final = (*EXPOSED, "Abut-Products", "Retry-After")


def create_api(
    *,
    title: str,
    description: str,
    place: str,
    settings: Settings,
    lifespan: Any,
    check: Callable[..., Any],
    methods: Sequence[str] = (),
    asked: Sequence[str] = (),
    told: Sequence[str] = (),
) -> FastAPI:
    """Return an application without routes, but for its OpenAPI document and the page that shows it.

    Parameters
    ----------
    title, description : str
        What it is.
    place : str
        URL of the archive, which errors do not tell clients.
    settings : Settings
        What the operator decided.
    lifespan : callable
        What runs while it does.
    check : callable
        Dependency that looks at each request first.
    methods : sequence of str
        Methods that pages of other sites may use, beside GET, HEAD, OPTIONS and POST.
    asked, told : sequence of str
        Further headers that they may send, and read.
    """
    app = FastAPI(
        title=title,
        description=description,
        version=__version__,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        dependencies=[Depends(check)],
        redirect_slashes=False,
        telemetry=UNTOLD,
    )
    app.state.parameters = {}  # see `services.stac.checks`
    app.state.place = place
    app.add_middleware(LimitsMiddleware, url=LONGEST_URL, body=settings.max_body, written=settings.max_body)
    app.add_middleware(MethodsMiddleware, api=app)
    app.add_middleware(  # outermost: it answers what browsers ask first by OPTIONS
        CORSMiddleware,
        allow_origins=settings.cors_origins,
        allow_methods=["GET", "HEAD", "OPTIONS", "POST", *methods],
        allow_headers=[*_ASKED, *asked],
        expose_headers=[*_TOLD, *told],
        max_age=86_400,
    )
    app.add_route(OPENAPI_PATH, _openapi, include_in_schema=False)
    app.add_route(DOCS_PATH, _docs, include_in_schema=False)
    return app


async def _openapi(request: Request) -> Response:
    return json_answer(request, {**request.app.openapi(), "servers": [{"url": base_url(request)}]}, OPENAPI)


async def _docs(request: Request) -> Response:
    return docs_page(request.app.openapi(), f"{base_url(request)}{OPENAPI_PATH}")
