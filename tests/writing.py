"""The STAC API with transactions, over either database: as an application, and as a server on loopback."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING, Any

import uvicorn
from starlette.testclient import TestClient

from catalog.collection import make_collection
from catalog.opening import open_catalogue
from catalog.places import Places
from services.backends import backend_of
from services.stac.app import create_stac_app
from services.stac.auth import REGISTER, WRITE, token_access
from services.stac.options import Options
from services.stac.transactions import transaction_extensions
from services.stac.urls import base_url

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fastapi import FastAPI
    from starlette.requests import Request

    from services.stac.auth import Access

WRITER, REGISTRAR = "a-token-for-writers", "a-token-for-registrars"

PHOTOS: dict[str, Any] = {
    "type": "Collection",
    "id": "field-photos",
    "stac_version": "1.1.0",
    "description": "Pictures from the ground.",
    "license": "CC-BY-4.0",
    "extent": {"spatial": {"bbox": [[8, 45, 18, 60]]}, "temporal": {"interval": [["2022-01-01T00:00:00Z", None]]}},
    "links": [],
}
"""A collection that is not the archive's."""


def photo(name: str = "photo-1", **properties: Any) -> dict[str, Any]:
    """An item that is not the archive's."""
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "stac_extensions": [],
        "id": name,
        "collection": "field-photos",
        "geometry": {"type": "Point", "coordinates": [11.0, 46.5]},
        "bbox": [11.0, 46.5, 11.0, 46.5],
        "properties": {"datetime": "2023-08-15T12:00:00Z", "title": "A field", **properties},
        "links": [{"rel": "license", "href": "https://example.org/licence"}],
        "assets": {"image": {"href": "https://example.org/1.jpg", "type": "image/jpeg"}},
    }


def places(request: Request) -> Places:
    base = base_url(request)
    return Places(base, f"{base}/zarr/products")


def fixed_access() -> Access:
    return token_access({WRITE: [WRITER], REGISTER: [REGISTRAR]})


def writing_app(url: str, access: Access | None = None, **options: Any) -> FastAPI:
    """Return the API with transactions over a catalogue, which is made."""
    with open_catalogue(url) as catalogue:
        if not catalogue.collections():
            catalogue.put_collection(make_collection().to_dict(include_self_link=False))
    backend = backend_of(url)
    extensions = transaction_extensions(backend, access or fixed_access(), places)
    return create_stac_app(backend, places=places, options=Options(transactions=extensions, **options))


@contextlib.contextmanager
def client_of(app: FastAPI, token: str = "") -> Iterator[TestClient]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    with TestClient(app, base_url="http://abut.test", headers=headers) as client:
        yield client


@contextlib.contextmanager
def live(app: Callable[..., Any]) -> Iterator[str]:
    """Run an application on a free port of loopback; yields its URL."""
    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None, access_log=False, ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        until = time.monotonic() + 30
        while not server.started and time.monotonic() < until and thread.is_alive():
            time.sleep(0.01)
        assert server.started
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
