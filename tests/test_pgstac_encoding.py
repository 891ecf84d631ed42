"""Databases whose texts are no Unicode: they are refused, whoever opens them, by the name of their encoding."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg import sql

from abut.archive import open_archive
from abut.errors import InvalidArchiveError
from catalog.opening import open_catalogue, upgrade_catalogue
from cli.main import run
from services.cubes.jobs import JobStoreError
from services.cubes.opening import open_jobs
from tests.postgres import Cluster, administer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(params=["SQL_ASCII", "LATIN1"])
def encoded(postgres: Cluster, request: pytest.FixtureRequest) -> Iterator[tuple[str, str]]:
    """Name of an encoding, and URL of an empty database that has it."""
    name = f"encoded_{request.param.lower()}"
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
        statement = "CREATE DATABASE {} TEMPLATE template0 LOCALE_PROVIDER libc LOCALE 'C' ENCODING {}"
        connection.execute(sql.SQL(statement).format(sql.Identifier(name), sql.Literal(request.param)))
    yield request.param, postgres.url(name)
    administer(postgres, "DROP DATABASE {} WITH (FORCE)", name)


def test_an_archive_is_not_made_with_such_a_catalogue(
    encoded: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    encoding, url = encoded
    status = run(["create", "--archive", str(tmp_path / "l1c"), "--catalogue", url])
    said = capsys.readouterr().err
    assert status == 2
    assert said.count("\n") == 1
    assert f"encoding is {encoding}, a catalogue needs UTF8" in said
    with pytest.raises(InvalidArchiveError):
        open_archive(str(tmp_path / "l1c"))


def test_nobody_opens_one(encoded: tuple[str, str]) -> None:
    encoding, url = encoded
    for opens in (open_catalogue, upgrade_catalogue):
        with pytest.raises(InvalidArchiveError, match=f"encoding is {encoding}, a catalogue needs UTF8"):
            opens(url)
    with pytest.raises(JobStoreError, match=f"encoding is {encoding}, jobs need UTF8"):
        open_jobs(url, timedelta(days=1))


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
def test_an_encoding_of_the_environment_changes_nothing(
    pgstac_url: str, encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGCLIENTENCODING", encoding)
    with open_catalogue(pgstac_url) as catalogue:
        assert catalogue.owner() is None
        assert [found["id"] for found in catalogue.collections()] == ["sentinel-2-l1c"]
    open_jobs(pgstac_url, timedelta(days=1)).close()
