"""No command changes an older catalogue or collection unasked, or a newer one at all."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

import catalog.collection
import ingest.listing
from abut.archive import create_archive, open_archive
from abut.errors import CatalogueError, InvalidArchiveError
from catalog.collection import EDITION, edition, make_collection
from catalog.item import COLLECTION_ID
from catalog.opening import open_catalogue, upgrade_catalogue
from catalog.schema import SCHEMA_VERSION
from cli.main import run
from ingest.check import check
from ingest.ingest import ingest as store
from tests.catalog_products import item
from tests.toy import TILES, ToySource

if TYPE_CHECKING:
    from pathlib import Path

    from abut.archive import Archive

EDITIONS = {
    1: "43c3e1700adc34767d89978e80c08ce731dffc8ecc76bac0b7679da3013dd55f",
    2: "b54bdfecd8e01715efc962d7e247ce1b15a81f1ed3ccc5b4a9218c4231c7d844",
}
"""Digests of what the editions of the collection say."""

ONE, OTHER = ToySource(TILES[0]), ToySource(TILES[1])


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    """An archive with a product, whose catalogue an earlier version of Abut made."""
    made = create_archive(tmp_path / "archive")
    store(made, ONE, threads=1)
    with closing(sqlite3.connect(made.catalogue_url)) as raw:
        raw.executescript("DROP TABLE settings; PRAGMA user_version = 2")
    return made


def version_of(archive: Archive) -> int:
    with closing(sqlite3.connect(archive.catalogue_url)) as raw:
        return int(raw.execute("PRAGMA user_version").fetchone()[0])


# --- tables ---------------------------------------------------------------------------------------------------------


def test_commands_refuse_a_catalogue_of_an_older_version_and_name_the_one_that_upgrades_it(
    archive: Archive, capfd: pytest.CaptureFixture[str]
) -> None:
    where = ("--archive", archive.store.url)
    wanted = f"catalogue of version 2, this version of Abut needs {SCHEMA_VERSION}: `abut catalog upgrade` brings it"
    for command in (["check"], ["check", "--repair"], ["withdraw", ONE.id]):
        assert run([*command, *where]) == 1, command
        found = capfd.readouterr()
        assert wanted in found.out + found.err
        assert len(found.err.splitlines()) <= 1
    for command in (["list"], ["search"], ["catalog", "info"], ["catalog", "rebuild"], ["serve"]):
        assert run([*command, *where]) == 2, command
        errors = capfd.readouterr().err
        assert wanted in errors
        assert len(errors.splitlines()) == 1
    assert version_of(archive) == 2


def test_a_product_is_stored_though_the_catalogue_is_of_an_older_version(archive: Archive) -> None:
    with pytest.raises(CatalogueError, match=r"`abut catalog upgrade` brings it .*; the archive itself is"):
        store(archive, OTHER, threads=1)
    assert set(archive.product_ids()) == {ONE.id, OTHER.id}
    assert version_of(archive) == 2


def test_a_catalogue_is_upgraded_if_asked_and_is_the_archive_s_then(
    archive: Archive, capfd: pytest.CaptureFixture[str]
) -> None:
    where = ("--archive", archive.store.url)
    for upgraded in (True, False):
        capfd.readouterr()
        assert run(["catalog", "upgrade", *where, "--json"]) == 0
        assert json.loads(capfd.readouterr().out) == {"catalogue": archive.catalogue_url, "upgraded": upgraded}
    assert version_of(archive) == SCHEMA_VERSION
    with open_catalogue(archive.catalogue_url, create=False) as opened:
        assert opened.ids() == {ONE.id}
        owner = opened.owner()
        assert owner is not None
        assert owner.id == archive.id
    assert check(archive) == []
    assert run(["catalog", "upgrade", *where]) == 0
    assert "catalog.sqlite: is up to date" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("catalogue", "message"),
    [("no.sqlite", "no.sqlite: no catalogue"), ("https://host/stac", "is a STAC API; its catalogue is upgraded where")],
)
def test_what_can_not_be_upgraded_is_said(
    tmp_path: Path, catalogue: str, message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    create_archive(tmp_path / "a", catalogue=catalogue)
    assert run(["catalog", "upgrade", "--archive", str(tmp_path / "a")]) == 2
    errors = capfd.readouterr().err
    assert message in errors
    assert len(errors.splitlines()) == 1


def test_a_catalogue_of_a_newer_version_is_left_alone(archive: Archive) -> None:
    with closing(sqlite3.connect(archive.catalogue_url)) as raw:
        raw.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    for opening in (open_catalogue, upgrade_catalogue):
        with pytest.raises(InvalidArchiveError, match=f"catalogue of version {SCHEMA_VERSION + 1}, too new"):
            opening(archive.catalogue_url)
    assert version_of(archive) == SCHEMA_VERSION + 1


# --- reading in batches ---------------------------------------------------------------------------------------------


def test_reading_all_items_holds_up_neither_writers_nor_the_log(tmp_path: Path) -> None:
    path = tmp_path / "catalog.sqlite"
    with open_catalogue(path) as opened:
        opened.upsert_many([item(), item("32TMM"), item("32TNN")])
        reading = opened.items(COLLECTION_ID, withdrawn=True)
        first = next(reading)
        with open_catalogue(path) as writer, closing(sqlite3.connect(path, timeout=0.1)) as other:
            writer.upsert_many([item("31TCJ")])
            busy, *_ = other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            assert busy == 0
        assert {one["id"] for one in (first, *reading)} >= {item()["id"], item("32TMM")["id"], item("32TNN")["id"]}


def test_items_are_read_in_the_order_of_their_ids_over_many_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("catalog.sqlite.BATCH", 2)
    tiles = ("32TNM", "32TMM", "32TNN", "31TCJ", "01WCS")
    with open_catalogue(tmp_path / "catalog.sqlite") as opened:
        hidden = item("32TPM")
        hidden["properties"]["abut:withdrawn"] = True
        opened.upsert_many([*map(item, tiles), hidden])
        found = [one["id"] for one in opened.items(COLLECTION_ID)]
        assert found == sorted(item(tile)["id"] for tile in tiles)
        assert [one["id"] for one in opened.items(withdrawn=True)] == sorted([*found, hidden["id"]])


# --- the collection -------------------------------------------------------------------------------------------------


def collections(archive: Archive) -> list[dict[str, Any]]:
    """The collection in the store, and that in the catalogue."""
    found = archive.store.read("collection.json")
    assert found is not None
    with open_catalogue(archive.catalogue_url) as opened:
        return [json.loads(found.data), *opened.collections()]


@pytest.fixture
def next_edition(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The next version of Abut says something else of the collection."""

    def made() -> Any:
        collection = make_collection()
        collection.title = "Said anew"
        return collection

    monkeypatch.setattr(catalog.collection, "EDITION", EDITION + 1)
    monkeypatch.setattr(ingest.listing, "EDITION", EDITION + 1)
    monkeypatch.setattr(ingest.listing, "make_collection", made)
    saying: dict[str, Any] = made().to_dict(include_self_link=False)
    assert edition(saying) == EDITION + 1
    return saying


@pytest.mark.parametrize("way", ["ingest", "repair"])
def test_an_older_collection_is_replaced_when_the_archive_is_written(
    tmp_path: Path, way: str, request: pytest.FixtureRequest
) -> None:
    archive = create_archive(tmp_path / "archive")
    store(archive, ONE, threads=1)
    saying = request.getfixturevalue("next_edition")
    assert [finding.where for finding in check(archive)] == ["collection.json"]
    assert [edition(one) for one in collections(archive)] == [EDITION, EDITION]
    if way == "ingest":
        store(archive, OTHER, threads=1)
    else:
        assert all(finding.repaired for finding in check(archive, repair=True))
    assert check(archive) == []
    assert collections(archive) == [saying, saying]


def test_a_collection_of_before_there_were_editions_is_replaced(tmp_path: Path) -> None:
    archive = create_archive(tmp_path / "archive")
    store(archive, ONE, threads=1)
    (old, listed), path = collections(archive), tmp_path / "archive" / "collection.json"
    del old["abut:edition"]
    path.write_text(json.dumps(old))
    with open_catalogue(archive.catalogue_url) as opened:
        opened.put_collection(old)
    assert [finding.what for finding in check(archive)] == ["of an older version of Abut"]
    store(archive, OTHER, threads=1)
    assert collections(archive) == [listed, listed]


def test_a_newer_collection_is_left_alone(tmp_path: Path) -> None:
    archive = create_archive(tmp_path / "archive")
    store(archive, ONE, threads=1)
    newer = {**collections(archive)[0], "abut:edition": EDITION + 1, "title": "Of a newer version"}
    (tmp_path / "archive" / "collection.json").write_text(json.dumps(newer))
    with open_catalogue(archive.catalogue_url) as opened:
        opened.put_collection(newer)
    store(archive, OTHER, threads=1)
    assert check(open_archive(archive.store), repair=True) == []
    assert collections(archive) == [newer, newer]


def test_who_changes_the_collection_adds_an_edition() -> None:
    said = json.dumps(make_collection().to_dict(include_self_link=False), sort_keys=True)
    assert hashlib.sha256(said.encode()).hexdigest() == EDITIONS[EDITION], "increase EDITION, and add its digest here"
