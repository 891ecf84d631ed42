"""A catalogue behind a stock STAC API, stac-fastapi-pgstac as it comes: what holds there, and what can't."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from pypgstac.db import PgstacDB
from pypgstac.migrate import Migrate

from abut.archive import create_archive
from catalog.opening import open_catalogue
from catalog.remote import RemoteCatalogue
from ingest.check import check
from ingest.ingest import ingest
from ingest.purge import purge
from ingest.settle import settle
from ingest.withdraw import withdraw
from tests.postgres import Cluster, new_database
from tests.toy import TILES, ToySource

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextlib.contextmanager
def stock_server(database: str) -> Iterator[str]:
    """Run stac-fastapi-pgstac with transactions; yields its URL."""
    parts = urlsplit(database)
    environment = os.environ | {
        "PGHOST": str(parts.hostname),
        "PGPORT": str(parts.port),
        "PGUSER": str(parts.username),
        "PGPASSWORD": str(parts.password),
        "PGDATABASE": parts.path[1:],
        "ENABLE_TRANSACTIONS_EXTENSIONS": "true",
    }
    command = [sys.executable, "-m", "uvicorn", "--factory", "stac_fastapi.pgstac.app:create_app", "--port", "0"]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        try:
            assert process.stderr is not None
            for line in process.stderr:
                if found := re.search(rb"http://127\.0\.0\.1:\d+", line):
                    yield found.group().decode()
                    return
            raise RuntimeError("the server does not start")
        finally:
            process.kill()
            process.communicate()


@pytest.fixture(scope="module")
def stock(postgres: Cluster) -> Iterator[str]:
    with new_database(postgres, "template1") as database:
        plain = PgstacDB(dsn=database)
        Migrate(plain).run_migration()
        plain.close()
        with stock_server(database) as url:
            yield url


def test_an_archive_registers_at_a_stock_server(stock: str, tmp_path: Path) -> None:
    archive = create_archive(tmp_path / "archive", catalogue=stock)
    sources = [*map(ToySource, TILES), ToySource(TILES[0], label="9", added={"B01": 1})]
    for source in sources:
        ingest(archive, source, threads=1)
    settle(archive)
    purge(archive, grace=timedelta(0))
    assert check(archive) == []

    withdraw(archive, sources[1].id)
    with open_catalogue(stock) as catalogue:
        assert isinstance(catalogue, RemoteCatalogue)
        assert not catalogue.is_abut
        assert catalogue.ids() == {source.id for source in sources} - {sources[1].id}
    assert check(archive) == []

    with open_catalogue(stock) as catalogue:
        assert catalogue.remove(sources[0].id)
    assert [finding.where for finding in check(archive, repair=True)] == [sources[0].id]
    assert check(archive) == []
