"""One application that mounts all others, for one machine or one container."""

from __future__ import annotations

import json
import secrets
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import gettempdir
from typing import TYPE_CHECKING, Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route

from abut import __version__
from abut.endpoint import endpoint, region
from catalog.places import ItemLink, Places
from catalog.storage import scheme_of
from services.access import FREE, Guard, guarded
from services.answers import problem
from services.backends import access_of, backend_of, served_archive
from services.cors import readable_from
from services.health import health_routes, store_probe
from services.logs import with_logs
from services.metrics import measured, metrics_route
from services.mounted import TITLES
from services.objects import objects_of
from services.proxy import BASE, Front, behind
from services.settings import PARTS
from services.signing import signer_of
from services.stac.options import LandingLink, Options
from services.tickets import Tickets, ticket_route
from services.tiles.links import collection_links, tile_links
from services.tracing import noted, traced
from services.viewer.app import DIST, PAGE, files_app, load_viewer, wants_page
from services.watching import watch_disks, watch_probes, watch_products
from services.zarr import zarr_app
from services.zone_snapshots import Snapshots
from services.zones import zones_app

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    from starlette.requests import HTTPConnection
    from starlette.types import ASGIApp, Receive, Scope, Send

    from abut.archive import Archive
    from services.health import Probe
    from services.metrics import Refresh
    from services.settings import PartName, Settings

ZARR_TYPE: Final = "application/vnd.zarr; version=3"
"""Media type of a product's group."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """An application that is mounted."""

    path: str
    """Where, such as ``/zarr``."""
    title: str
    """What it is, for the index."""
    app: ASGIApp
    """The application; if it is one of Starlette or FastAPI, its lifespan runs with that of the whole."""
    rel: str | None = "related"
    """Relation of its link in the index; None where nothing answers at its path."""
    probes: tuple[tuple[str, Probe], ...] = ()
    """What has to answer before it can, by name."""
    refreshes: tuple[Refresh, ...] = ()
    """What is looked at when somebody asks for metrics."""


def create_app(settings: Settings, archive: Archive | None = None) -> ASGIApp:
    """Return the whole service.

    Parameters
    ----------
    settings : Settings
        What the operator decided.
    archive : Archive, optional
        The archive, opened. Default: it is opened.

    Raises
    ------
    InvalidArchiveError
        If there is no archive, or it has no catalogue that can be served.
    UnsupportedStoreError
        If its store can't be reached.
    """
    archive = archive or served_archive(settings)
    return assemble(settings, archive_parts(settings, archive), archive.id)


def archive_parts(settings: Settings, archive: Archive | None = None) -> list[Part]:
    """Return what is mounted for an archive: of what there is, what the settings name. Errors as `create_app`."""
    archive = archive or served_archive(settings)
    return [make(settings, archive) for name, make in _MAKERS if name in settings.parts]


def assemble(settings: Settings, mounted: Sequence[Part], archive: str) -> ASGIApp:
    """Return what `compose` does as it meets the world: it logs, and knows its proxies and its callers.

    Parameters
    ----------
    settings : Settings
        What the operator decided.
    mounted : sequence of Part
        The parts.
    archive : str
        Id of the archive, for the names of its users.
    """
    tickets, access = _tickets(settings), access_of(settings)
    paths = ["/viewer", *(part.path for part in mounted)]
    inner = _slashed(noted(compose(settings, mounted, tickets)), paths)
    if tickets is not None and access is not None:
        inner = guarded(inner, Guard(access, tickets, archive, settings.cors_origins, _free(settings)))
    made = traced(with_logs(behind(inner, Front(settings.trusted_proxies, settings.public_url))), paths)
    return measured(made, [*paths, "/healthz", "/readyz", "/metrics"]) if settings.metrics else made


def _free(settings: Settings) -> Callable[[Scope, str], bool]:
    """Return what tells which requests need no token of readers: the page, in which one is given, holds no data."""
    has_page = "viewer" in settings.parts and (DIST / PAGE).is_file()

    def is_free(scope: Scope, path: str) -> bool:
        shown = path == "/viewer" or path.startswith("/viewer/") or (path == "/" and wants_page(Request(scope)))
        return path in FREE or (has_page and shown)

    return is_free


def compose(settings: Settings, mounted: Sequence[Part], tickets: Tickets | None = None) -> Starlette:
    """Return an application with some parts, an index and health checks."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for part in mounted:
                if isinstance(part.app, Starlette):
                    await stack.enter_async_context(part.app.router.lifespan_context(part.app))
            yield

    viewer = load_viewer() if "viewer" in settings.parts else None

    async def index(request: Request) -> Response:
        if viewer is not None and wants_page(request):
            return viewer.page(request)
        return _index(request.scope[BASE], mounted)

    probes = dict(probe for part in mounted for probe in part.probes)
    app = Starlette(
        routes=[
            Route("/", index),
            *health_routes(probes),
            *_metrics(settings, mounted, probes),
            *([ticket_route(tickets)] if tickets else []),
            *([Mount("/viewer", files_app(viewer))] if "viewer" in settings.parts else []),
            *(Mount(part.path, part.app) for part in mounted),
        ],
        lifespan=lifespan,
        exception_handlers={HTTPException: _refused},
    )
    app.router.redirect_slashes = False
    return app


def _tickets(settings: Settings) -> Tickets | None:
    """Return who makes tickets, where a token is needed to read."""
    if settings.read == "open":
        return None
    key = settings.ticket_key.get_secret_value().encode() if settings.ticket_key else secrets.token_bytes(32)
    return Tickets(key, settings.ticket_seconds)


def _metrics(settings: Settings, mounted: Sequence[Part], probes: Mapping[str, Probe]) -> list[Route]:
    if not settings.metrics:
        return []
    token = settings.metrics_token.get_secret_value() if settings.metrics_token else None
    scratch = watch_disks({"scratch": Path(settings.scratch or gettempdir())})
    refreshes = [watch_probes(probes), scratch, *(refresh for part in mounted for refresh in part.refreshes)]
    return [metrics_route(token, refreshes)]


def zarr_part(settings: Settings, archive: Archive) -> Part:
    """Return the archive's objects as a part."""
    signer = signer_of(archive.store, settings.presign_seconds, settings.store_endpoint)
    return Part(
        path="/zarr",
        title=TITLES["/zarr"],
        rel=None,
        app=readable_from(zarr_app(archive.store, signer), settings.cors_origins),
        probes=_store(archive),
    )


def zones_part(settings: Settings, archive: Archive) -> Part:
    """Return the archive's zones as a part; it goes before the objects, below whose path it lies."""
    snapshots = Snapshots(Path(settings.zone_snapshots)) if settings.zone_snapshots else None
    app = zones_app(archive, views=settings.zone_views, threads=settings.zone_threads, snapshots=snapshots)
    return Part(
        path="/zarr/zones",
        title=TITLES["/zarr/zones"],
        rel=None,
        app=readable_from(app, settings.cors_origins),
    )


def cubes_part(settings: Settings, archive: Archive) -> Part:
    """Return the cube service as a part."""
    from services.cubes.app import count_jobs, create_cubes_app  # noqa: PLC0415 - takes long, and not every service has it

    app = create_cubes_app(archive, settings, access_of(settings))
    return Part(
        path="/cubes",
        title=TITLES["/cubes"],
        app=app,
        rel="service",
        probes=_store(archive),
        refreshes=(partial(count_jobs, app),),
    )


def tiles_part(settings: Settings, archive: Archive) -> Part:
    """Return the map tiles as a part."""
    from services.tiles.app import create_tiles_app  # noqa: PLC0415 - takes long, and not every service has it

    return Part(
        path="/tiles",
        title=TITLES["/tiles"],
        app=create_tiles_app(archive, settings),
        rel="service",
        probes=_store(archive),
    )


def legacy_part(settings: Settings, archive: Archive) -> Part:
    """Return the legacy tiles as a part."""
    from services.legacy import create_legacy_app  # noqa: PLC0415 - takes long, and not every service has it

    return Part(
        path="/legacy",
        title=TITLES["/legacy"],
        app=create_legacy_app(archive, settings, access_of(settings)),
        rel=None,
        probes=_store(archive),
    )


def stac_part(settings: Settings, archive: Archive) -> Part:
    """Return the STAC API as a part; its items have links to other parts."""
    from services.stac.app import create_stac_app  # noqa: PLC0415 - takes long, and not every service has it
    from services.stac.transactions import transaction_extensions  # noqa: PLC0415 - takes long, and not every service has it

    backend = backend_of(archive.catalogue_url)
    access = access_of(settings)

    def places(connection: HTTPConnection) -> Places:
        return places_of(connection.scope[BASE], settings)

    options = Options(
        archive=archive.id,
        links=(LandingLink("related", "../", "application/json", "What else is served here"),),
        origins=settings.cors_origins,
        max_body=settings.max_body,
        max_written_body=settings.max_written_body,
        transactions=transaction_extensions(backend, access, places) if access and settings.transactions else (),
    )
    return Part(
        path="/stac",
        title=TITLES["/stac"],
        app=create_stac_app(backend, places=places, options=options),
        rel="data",
        probes=(("catalogue", backend.ready),),
        refreshes=(watch_products(backend), *_disk("catalogue", archive.catalogue_path)),
    )


def _store(archive: Archive) -> tuple[tuple[str, Probe], ...]:
    return (("store", store_probe(objects_of(archive.store), archive.store.url)),)


def _disk(name: str, written: Path | None) -> tuple[Refresh, ...]:
    """Return what tells how much room there is beside a local file."""
    return () if written is None else (watch_disks({name: written.parent}),)


def places_of(base: str, settings: Settings) -> Places:
    """Return where a client that sees the service at a URL finds things.

    What other processes have is at the same URL, if the settings say which that is.
    """
    there = PARTS if settings.public_url else settings.parts
    store = ItemLink("store", f"{base}/zarr/products/{{store}}", ZARR_TYPE, "Product as a Zarr group")
    links, of_collection = (tile_links(base), collection_links(base)) if "tiles" in there else ((), ())
    products = settings.products_url or f"{base}/zarr/products"
    storage = scheme_of(products, endpoint=settings.store_endpoint or endpoint(), region=region())
    return Places(f"{base}/stac", products, (*links, store) if "zarr" in there else links, of_collection, storage)


_MAKERS: Final[tuple[tuple[PartName, Callable[[Settings, Archive], Part]], ...]] = (
    ("stac", stac_part),
    ("tiles", tiles_part),
    ("cubes", cubes_part),
    ("legacy", legacy_part),
    ("zarr", zones_part),  # goes before the objects, below whose path it lies
    ("zarr", zarr_part),
)
"""What makes parts, by the names that settings have for them; a new service is a new entry here."""


def _slashed(app: ASGIApp, paths: Sequence[str]) -> ASGIApp:
    """Return an application whose parts answer at their path without a slash too, and without a redirect."""

    async def answering(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].removeprefix(scope.get("root_path", "")) in paths:
            scope = {**scope, "path": f"{scope['path']}/"}
        await app(scope, receive, send)

    return answering


def _index(base: str, mounted: Sequence[Part]) -> Response:
    links = [
        {"rel": "self", "href": f"{base}/", "type": "application/json", "title": "This page"},
        *({"rel": part.rel, "href": f"{base}{part.path}", "title": part.title} for part in mounted if part.rel),
        {"rel": "status", "href": f"{base}/readyz", "type": "application/json", "title": "Whether it can answer"},
    ]
    body = {"title": "Abut", "version": __version__, "links": links}
    return Response(
        json.dumps(body, indent=1),
        headers={"cache-control": "no-cache", "vary": "Accept"},
        media_type="application/json",
    )


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - the handler of no other
    return problem(error.status_code, error.detail, error.headers)
