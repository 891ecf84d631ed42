"""One suite for both databases: `api` is a client of the API on SQLite, then of the API on PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from services.stac.pgstac import PgstacBackend
from services.stac.sqlite import SqliteBackend
from tests.postgres import new_database
from tests.stac.serving import client_of, fill, make_app

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
def pgstac_api(postgres: Cluster) -> Iterator[TestClient]:
    """Client of the API on PostgreSQL."""
    with new_database(postgres) as url:
        fill(url)
        with client_of(make_app(PgstacBackend(url))) as client:
            yield client


@pytest.fixture(scope="session", params=["sqlite", "pgstac"])
def api(request: pytest.FixtureRequest) -> TestClient:
    """Client of the API, on each of the databases."""
    client: TestClient = request.getfixturevalue(f"{request.param}_api")
    return client
