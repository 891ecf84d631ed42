"""What users of the database need to be allowed to: no more than pgstac's own roles for reading and for registering."""

from __future__ import annotations

import contextlib
import secrets
from dataclasses import replace
from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg import sql
from starlette.testclient import TestClient

from abut.archive import create_archive
from abut.catalogue import without_secrets
from abut.errors import CatalogueError
from catalog.item import COLLECTION_ID
from catalog.opening import open_catalogue
from catalog.pgstac import open_pgstac, upgrade
from catalog.versions import untold
from cli.main import run
from ingest.check import check
from ingest.ingest import ingest
from ingest.listing import rebuild, stored_item
from ingest.purge import purge
from ingest.settle import settle
from ingest.withdraw import withdraw
from services.app import create_app
from services.backends import require_catalogue
from services.settings import load_settings
from tests.catalog_scene import COLLECTION, PLOTS
from tests.postgres import new_database
from tests.test_catalogue_interface import THING
from tests.toy import TILES, ToySource

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.postgres import Cluster


@contextlib.contextmanager
def member_of(postgres: Cluster, url: str, role: str) -> Iterator[str]:
    """Make a user who may do what a role may, and nothing else; yields the URL of a database for them."""
    name, password = f"abut_{role}_{secrets.token_hex(4)}", secrets.token_urlsafe(12)
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
        user = sql.Identifier(name)
        connection.execute(sql.SQL("CREATE USER {} PASSWORD {}").format(user, sql.Literal(password)))
        connection.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(role), user))
        try:
            yield url.replace(f"//abut:{postgres.password}@", f"//{name}:{password}@")
        finally:
            connection.execute(sql.SQL("DROP USER {}").format(user))


def test_an_owner_of_a_database_makes_and_upgrades_a_catalogue_without_being_a_superuser(postgres: Cluster) -> None:
    name, password = f"abut_owner_{secrets.token_hex(4)}", secrets.token_urlsafe(12)
    user = sql.Identifier(name)
    with new_database(postgres, "template0") as url, psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE EXTENSION postgis")
        connection.execute(sql.SQL("CREATE USER {} PASSWORD {} CREATEROLE").format(user, sql.Literal(password)))
        connection.execute(sql.SQL("GRANT pgstac_admin, pgstac_ingest, pgstac_read TO {}").format(user))
        database = sql.Identifier(url.rpartition("/")[2])
        connection.execute(sql.SQL("ALTER DATABASE {} OWNER TO {}").format(database, user))
        own = url.replace(f"//abut:{postgres.password}@", f"//{name}:{password}@")
        with open_pgstac(own, create=True) as catalogue:
            assert catalogue.upsert_many([{**THING, "collection": COLLECTION_ID}]) == 1
        connection.execute("DROP TABLE abut.settings; DELETE FROM abut.version WHERE number > 1")
        assert upgrade(own)
        with open_pgstac(own) as catalogue:
            assert catalogue.ids() == {"thing-1"}
        connection.execute(sql.SQL("ALTER DATABASE {} OWNER TO abut").format(database))
        connection.execute(sql.SQL("DROP OWNED BY {0} CASCADE").format(user))
        connection.execute(sql.SQL("DROP USER {}").format(user))


@pytest.fixture
def reader(postgres: Cluster, pgstac_url: str) -> Iterator[str]:
    with member_of(postgres, pgstac_url, "pgstac_read") as url:
        yield url


@pytest.fixture
def registrar(postgres: Cluster, pgstac_url: str) -> Iterator[str]:
    with member_of(postgres, pgstac_url, "pgstac_ingest") as url:
        yield url


def test_all_that_an_archive_does_with_its_catalogue_needs_the_role_for_ingest_only(
    registrar: str, tmp_path: Path
) -> None:
    archive = replace(create_archive(tmp_path, catalogue=without_secrets(registrar)), catalogue=registrar)
    sources = [*map(ToySource, TILES), ToySource(TILES[0], label="9", added={"B01": 1})]
    for source in sources:
        ingest(archive, source, threads=1)
    settle(archive)
    withdraw(archive, sources[1].id)
    purge(archive)
    assert check(archive) == []
    with open_catalogue(registrar) as catalogue:
        owner = catalogue.owner()
        assert owner is not None
        assert owner.id == archive.id
        found = {one["id"]: untold(one) for one in catalogue.items(COLLECTION_ID, withdrawn=True)}
        assert found == {source.id: stored_item(archive, source.id) for source in sources}
        assert catalogue.remove(sources[0].id)
        assert rebuild(archive, catalogue) == len(sources)
        catalogue.put_collection(COLLECTION)
        assert catalogue.upsert_many([THING, {**THING, "properties": {"datetime": "2031-01-01T00:00:00Z"}}]) == 2
        assert catalogue.remove_collection(PLOTS)
    assert check(archive) == []


def test_a_service_that_only_reads_needs_the_role_for_reading_only(
    reader: str, pgstac_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    archive = replace(create_archive(tmp_path, catalogue=without_secrets(pgstac_url)), catalogue=pgstac_url)
    names = {ingest(archive, ToySource(tile), threads=1).product for tile in TILES}
    settings = load_settings(archive=archive.store.url, catalogue=reader)
    require_catalogue(settings)
    with TestClient(create_app(settings)) as client:
        assert client.get("/readyz").status_code == 200
        queries = ["", "?filter=eo:cloud_cover<101 AND S_INTERSECTS(geometry,POINT(0 0)) OR grid:code LIKE 'MGRS%25'"]
        for query in queries:
            found = client.get(f"/stac/search{query}")
            assert found.status_code == 200, found.text
            assert {one["id"] for one in found.json()["features"]} == names
        assert client.get("/stac/aggregate?aggregations=total_count").json()["aggregations"][0]["value"] == len(names)
        assert client.get("/stac/collections").json()["collections"]
    monkeypatch.setenv("ABUT_CATALOGUE", reader)
    for command in (["list"], ["search", "--ids"], ["catalog", "info"], ["check"]):
        capfd.readouterr()
        assert run([*command, "--archive", archive.store.url]) == 0
        assert not capfd.readouterr().err
    with open_catalogue(reader) as catalogue, pytest.raises(CatalogueError, match="permission denied"):
        catalogue.remove(min(names))
