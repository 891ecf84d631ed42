"""The STAC API over either database, filled with the items of these tests."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING, Any

import uvicorn
from starlette.testclient import TestClient

from catalog.opening import open_catalogue
from catalog.places import ItemLink, Places
from services.stac.app import create_stac_app
from services.stac.options import Options
from services.stac.urls import base_url
from tests.stac.items import collections, copies

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fastapi import FastAPI
    from starlette.requests import Request

    from services.stac.backend import Backend

HOST = "http://abut.test"
"""Where the clients of the tests see the API."""


def places(request: Request) -> Places:
    """Where things are: the API itself, the products beside it, and a service of tiles."""
    return places_at(base_url(request))


def places_at(base: str) -> Places:
    """Where things are for an API at a URL."""
    tiles = ItemLink("tilejson", f"{base}/tiles/{{collection}}/{{id}}", "application/json", "Tiles")
    return Places(base, f"{base}/zarr/products", (tiles,))


def fill(url: str) -> None:
    """Put the collections and items of these tests into a catalogue."""
    with open_catalogue(url) as catalogue:
        for collection in collections():
            catalogue.put_collection(collection)
        catalogue.upsert_many(copies())


def make_app(backend: Backend, **options: Any) -> FastAPI:
    """Return the API over a database."""
    return create_stac_app(backend, places=places, options=Options(**options))


@contextlib.contextmanager
def client_of(app: Callable[..., Any], base: str = HOST) -> Iterator[TestClient]:
    """Run an application, and return a client of it."""
    with TestClient(app, base_url=base, headers={"Accept-Encoding": "identity"}) as client:
        yield client


@contextlib.contextmanager
def live(backend: Backend) -> Iterator[str]:
    """Serve the API over a database on loopback, in a thread; yields its URL."""
    config = uvicorn.Config(make_app(backend), host="127.0.0.1", port=0, log_level="warning", timeout_keep_alive=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive(), "the server did not start"
            time.sleep(0.01)
        (port,) = {listening.getsockname()[1] for one in server.servers for listening in one.sockets}
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()
