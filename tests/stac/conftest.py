"""One suite for both databases: `api` is a client of the API on SQLite, then of the API on PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from services.stac.pgstac import PgstacBackend
from services.stac.sqlite import SqliteBackend
from tests.postgres import new_database
from tests.stac.serving import client_of, fill, live, make_app

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from starlette.testclient import TestClient

    from services.stac.backend import Backend
    from tests.postgres import Cluster


@pytest.fixture(scope="session")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The catalogue in SQLite; not to be changed."""
    path = tmp_path_factory.mktemp("stac") / "catalog.sqlite"
    fill(str(path))
    return path


@pytest.fixture
def on_sqlite(catalogue: Path) -> Backend:
    """The catalogue in SQLite, for an application of the test's own; not to be changed."""
    return SqliteBackend(catalogue)


@pytest.fixture(scope="session")
def sqlite_api(catalogue: Path) -> Iterator[TestClient]:
    """Client of the API on SQLite."""
    with client_of(make_app(SqliteBackend(catalogue))) as client:
        yield client


@pytest.fixture(scope="session")
def database(postgres: Cluster) -> Iterator[str]:
    """The catalogue in PostgreSQL; not to be changed."""
    with new_database(postgres) as url:
        fill(url)
        yield url


@pytest.fixture(scope="session")
def pgstac_api(database: str) -> Iterator[TestClient]:
    """Client of the API on PostgreSQL."""
    with client_of(make_app(PgstacBackend(database))) as client:
        yield client


@pytest.fixture(scope="session", params=["sqlite", "pgstac"])
def api(request: pytest.FixtureRequest) -> TestClient:
    """Client of the API, on each of the databases."""
    client: TestClient = request.getfixturevalue(f"{request.param}_api")
    return client


@pytest.fixture(scope="session", params=["sqlite", "pgstac"])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    """Where the API is as a real server, on each of the databases."""
    on_sqlite = request.param == "sqlite"
    place = request.getfixturevalue("catalogue" if on_sqlite else "database")
    with live(SqliteBackend(place) if on_sqlite else PgstacBackend(place)) as address:
        yield address
