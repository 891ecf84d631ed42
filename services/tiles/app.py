"""Map tiles and other pictures as an application: titiler's routes over scenes, and what they lack."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from starlette.requests import Request  # noqa: TC002 - FastAPI reads the annotation
from starlette.responses import Response  # noqa: TC002 - as above

from abut.connection import Connection
from abut.finding import ArchiveFinder
from services.api import create_api
from services.backends import backend_of
from services.cubes.execution import Workshop
from services.stac.landing import OPENAPI
from services.stac.render import json_answer
from services.stac.urls import base_url
from services.tiles.answers import add_handlers
from services.tiles.budget import Budget
from services.tiles.checks import check
from services.tiles.document import described
from services.tiles.faces import face_routes
from services.tiles.landing import landing_page
from services.tiles.lattice import lattice_routes
from services.tiles.legends import list_renders
from services.tiles.scenes import Limits, Scenes
from services.tiles.search import CatalogueSearch
from services.tiles.source import Context

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from fastapi import FastAPI

    from abut.archive import Archive
    from services.settings import Settings

DESCRIPTION: Final = "Sentinel-2 L1C to look at: map tiles, previews and values, of one product or of a mosaic."


def create_tiles_app(archive: Archive, settings: Settings) -> FastAPI:
    """Return the pictures of an archive; the catalogue is connected while the application runs.

    Parameters
    ----------
    archive : Archive
        The archive, with its catalogue as it is reached from here.
    settings : Settings
        What the operator decided.
    """
    backend = backend_of(archive.catalogue_url)
    search = CatalogueSearch(backend)
    limits = Limits(cache_bytes=settings.tile_cache_bytes, objects=settings.tile_objects, pixels=settings.tile_values)
    workshop = _workshop(settings, "tiles", settings.tile_threads, settings.tile_seconds)
    crops = _workshop(settings, "crops", settings.tile_crop_threads, settings.tile_seconds)
    downloads = _workshop(settings, "tile-files", settings.tile_grid_threads, settings.cube_seconds)
    budget = Budget(max(settings.tile_values_at_once, 2 * settings.tile_values))
    scenes = Scenes(archive, limits=limits, find=search.ids)
    connection = Connection(archive, ArchiveFinder())
    context = Context(archive, connection, scenes, workshop, crops, downloads, settings, budget)

    @asynccontextmanager
    async def running(_: FastAPI) -> AsyncIterator[None]:
        async with backend.running():
            search.begin()
            try:
                yield
            finally:
                search.end()
                for one in (workshop, crops, downloads):
                    one.close()

    app = create_api(
        title="Abut: map tiles",
        description=DESCRIPTION,
        place=archive.store.url,
        settings=settings,
        lifespan=running,
        check=check,
        told=("Abut-Reason", "Abut-Unreadable", "Content-Bbox", "Content-Crs"),
    )
    app.include_router(face_routes(context))
    app.include_router(lattice_routes(archive, crops), prefix="/lattice")
    _add_documents(app)
    add_handlers(app)
    app.openapi = described(app)  # type: ignore[method-assign]  # as FastAPI documents it
    return app


def _workshop(settings: Settings, name: str, threads: int, seconds: float) -> Workshop:
    return Workshop(
        threads=threads,
        waiting=settings.tile_waiting,
        per_user=settings.tile_requests_per_client,
        seconds=seconds,
        name=name,
        hint="ask for less",
    )


def _add_documents(app: FastAPI) -> None:
    @app.get("/", summary="Landing page")
    async def landing(request: Request) -> Response:
        """Return links to all that is here."""
        return json_answer(request, landing_page(base_url(request), OPENAPI))

    @app.get("/renders", summary="Named pictures")
    async def renders(request: Request) -> Response:
        """Return what `render=` may name, with legends."""
        return json_answer(request, list_renders())
