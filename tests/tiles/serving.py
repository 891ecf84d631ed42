"""Toy archives as map tiles, and clients of them."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from starlette.testclient import TestClient

from services.settings import load_settings
from services.tiles.app import create_tiles_app

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fastapi import FastAPI

    from abut.archive import Archive

TILE = "WebMercatorQuad/10/541/371"
"""A tile over the corner of the four tiles of the toys."""
BAND = {"bands": "B01"}


def app_of(archive: Archive, **settings: Any) -> FastAPI:
    """The application over an archive, whatever the environment says."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("ABUT_")]:
            patch.delenv(name)
        return create_tiles_app(archive, load_settings(archive=archive.store.url, **settings))


@contextmanager
def tiles(archive: Archive, **settings: Any) -> Iterator[TestClient]:
    """A client of the running application."""
    with TestClient(app_of(archive, **settings)) as client:
        yield client
