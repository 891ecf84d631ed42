"""The drill of docs/operations.md: the catalogue's database is lost, and made again from the store alone."""

from __future__ import annotations

import json
import os
from contextlib import closing
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from starlette.testclient import TestClient

from abut.archive import create_archive, open_archive
from catalog.opening import open_own
from cli.main import run
from ingest.check import check
from ingest.ingest import ingest
from ingest.purge import purge
from ingest.settle import settle
from ingest.withdraw import withdraw
from services.app import create_app
from services.settings import load_settings
from tests.postgres import administer, new_database
from tests.shots import MADE, Shot, shot_days_later
from tests.toy import TILES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from abut.archive import Archive
    from tests.postgres import Cluster

SEARCHES = (
    "/stac/search?limit=100",
    "/stac/search?limit=3&sortby=-eo:cloud_cover",
    f"/stac/search?filter=grid:code='MGRS-{TILES[0]}'&complete=true",
    "/stac/search?latest=true",
    "/stac/search?datetime=2023-09-01/2023-10-01",
    "/stac/collections",
    "/stac/collections/sentinel-2-l1c/items?limit=2",
    "/stac/aggregate?aggregations=total_count,baseline_frequency",
)


@pytest.fixture(name="lost", params=["sqlite", "postgresql"])
def _lost(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Where the catalogue is that is going to be lost."""
    for name in [name for name in os.environ if name.startswith("ABUT_")]:
        monkeypatch.delenv(name)
    if request.param == "sqlite":
        yield "catalog.sqlite"
        return
    running: Cluster = request.getfixturevalue("postgres")
    monkeypatch.setenv("PGPASSWORD", running.password)
    with new_database(running) as url:
        yield url.replace(f":{running.password}@", "@")


@pytest.fixture(name="archive")
def _archive(tmp_path: Path, lost: str) -> Archive:
    """Everything that a catalogue has to tell: settled, purged, reprocessed, withdrawn and removed products."""
    archive = create_archive(tmp_path / "archive", catalogue=lost)
    newer = Shot(TILES[0], baseline="05.12", made=MADE + timedelta(days=90))
    later = [shot_days_later(10, name) for name in TILES[:2]]
    for shot in (*map(Shot, TILES), newer, *later):
        ingest(archive, shot, threads=1)
    settle(archive)
    purge(archive, grace=timedelta(0))
    withdraw(archive, Shot(TILES[1]).id)  # whose blocks others need
    withdraw(archive, newer.id)
    purge(archive, grace=timedelta(0))  # which removes the last
    assert check(archive) == []
    return archive


def everything(archive: Archive) -> list[str]:
    """Each collection and each item of the catalogue, withdrawn or not, as it is stored."""
    with closing(open_own(archive)) as catalogue:
        items = catalogue.items(withdrawn=True)
        return [json.dumps(one) for one in (*catalogue.collections(), *sorted(items, key=lambda item: item["id"]))]


def lose(archive: Archive, lost: str, cluster: Cluster | None) -> None:
    """Lose the catalogue, as if its machine had never been."""
    if cluster is None:
        assert archive.catalogue_path is not None
        for path in archive.catalogue_path.parent.glob("*.sqlite*"):
            path.unlink()
        return
    name = lost.rpartition("/")[2]
    administer(cluster, "DROP DATABASE {} WITH (FORCE)", name)
    administer(cluster, "CREATE DATABASE {}", name)


def test_a_lost_catalogue_is_made_from_the_store_alone(
    archive: Archive, lost: str, request: pytest.FixtureRequest, capfd: pytest.CaptureFixture[str]
) -> None:
    cluster = request.getfixturevalue("postgres") if "://" in lost else None
    before = everything(archive)
    with TestClient(create_app(load_settings(archive=archive.store.url))) as client:
        answers = [client.get(path).json() for path in SEARCHES]
        assert len(answers[0]["features"]) == 5
    lose(archive, lost, cluster)

    assert run(["catalog", "rebuild", "--archive", archive.store.url]) == 0
    assert "listed in" in capfd.readouterr().out
    assert everything(archive) == before
    assert check(open_archive(archive.store.url), deep=True) == []
    with TestClient(create_app(load_settings(archive=archive.store.url))) as client:
        assert [client.get(path).json() for path in SEARCHES] == answers


def test_a_service_that_goes_on_meanwhile_answers_again_by_itself(
    tmp_path: Path, postgres: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its jobs lay in the same database: the tables are made anew, too."""
    monkeypatch.setenv("PGPASSWORD", postgres.password)
    with new_database(postgres) as url:
        lost = url.replace(f":{postgres.password}@", "@")
        archive = create_archive(tmp_path / "archive", catalogue=lost)
        ingest(archive, Shot(TILES[0]), threads=1)
        asked: Any = {"bbox": [600_000, 4_890_000, 606_000, 4_896_000], "crs": "EPSG:32632", "bands": "B01"}
        with TestClient(create_app(load_settings(archive=archive.store.url))) as client:
            found = client.get("/stac/search").json()
            assert len(found["features"]) == 1
            lose(archive, lost, postgres)
            assert client.get("/readyz").status_code == 503
            assert client.get("/stac/search").status_code == 503
            assert run(["catalog", "rebuild", "--archive", archive.store.url]) == 0
            assert client.get("/readyz").status_code == 200
            assert client.get("/stac/search").json() == found
            accepted = client.post(
                "/cubes/processes/cube/execution", json={"inputs": asked}, headers={"prefer": "respond-async"}
            )
            assert accepted.status_code == 201, accepted.text
            job = accepted.headers["location"].rpartition("/")[2]
            assert client.delete(f"/cubes/jobs/{job}").status_code == 200
