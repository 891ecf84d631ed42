"""An archive whose catalogue is a file, PostgreSQL, or behind a STAC API: all steps, and what goes wrong."""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

import httpx
import pytest

import catalog.remote
from abut.archive import Archive, create_archive, open_archive, switch_catalogue
from abut.catalogue import without_secrets
from abut.errors import CatalogueError
from catalog.item import COLLECTION_ID
from catalog.opening import open_catalogue
from catalog.remote_http import Patience
from catalog.versions import untold
from cli.main import run
from ingest.check import check
from ingest.ingest import ingest
from ingest.listing import Difference, differences, rebuild, repair, stored_item
from ingest.purge import purge
from ingest.settle import settle
from ingest.withdraw import withdraw
from services.app import create_app
from services.settings import load_settings
from tests.postgres import new_database
from tests.toy import TILES, ToySource
from tests.writing import REGISTRAR, live, writing_app

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from catalog.interface import Catalogue

NOW = timedelta(0)
"""No grace."""


@dataclass
class Place:
    """An archive and its catalogue."""

    archive: Archive
    file: Path
    """The file behind the STAC API, if there is one."""

    def catalogue(self) -> Catalogue:
        return open_catalogue(self.archive.catalogue_url)

    def listed(self) -> dict[str, dict[str, Any]]:
        """All that the catalogue lists, without what it tells of versions."""
        with self.catalogue() as catalogue:
            return {item["id"]: untold(item) for item in catalogue.items(COLLECTION_ID, withdrawn=True)}

    def stored(self) -> dict[str, dict[str, Any]]:
        items = [stored_item(self.archive, name) for name in self.archive.product_ids()]
        return {item["id"]: item for item in items if item is not None}


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is down is given up soon."""
    monkeypatch.setattr(catalog.remote, "Patience", lambda: Patience(tries=2, first=0.01, connect=2, answer=20))
    monkeypatch.setenv("ABUT_CATALOGUE_TOKEN", REGISTRAR)


@pytest.fixture(params=["sqlite", "pgstac", "remote"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    file = tmp_path / "behind.sqlite"
    with ExitStack() as stack:
        match request.param:
            case "sqlite":
                url = None
            case "pgstac":
                url = stack.enter_context(new_database(request.getfixturevalue("postgres")))
            case _:
                url = stack.enter_context(live(writing_app(str(file))))
        archive = create_archive(tmp_path / "archive", catalogue=None if request.param == "pgstac" else url)
        if request.param == "pgstac":  # with the password, as ABUT_CATALOGUE may have it
            archive = replace(archive, catalogue=str(url))
        yield Place(archive, file)


def put(archive: Archive, *sources: ToySource) -> None:
    for source in sources:
        ingest(archive, source, threads=1)


def test_the_catalogue_is_in_step_after_every_step(place: Place) -> None:
    archive, sources = place.archive, [ToySource(name) for name in TILES]
    put(archive, *sources)
    assert place.listed() == place.stored()
    assert len(place.listed()) == 4

    settle(archive)
    assert place.listed() == place.stored()
    assert sum(bool(link) for item in place.listed().values() for link in item["links"] if "held" in str(link)) > 0

    purge(archive, grace=NOW)
    withdraw(archive, sources[0].id)
    assert place.listed() == place.stored()
    assert place.listed()[sources[0].id]["properties"]["abut:withdrawn"] is True
    with place.catalogue() as catalogue:
        assert sources[0].id not in {item["id"] for item in catalogue.items(COLLECTION_ID)}

    ingest(archive, sources[0], threads=1)
    assert place.listed() == place.stored()
    assert check(archive, deep=True) == []


def test_a_product_that_is_removed_leaves_the_catalogue(place: Place) -> None:
    source = ToySource(TILES[0])
    put(place.archive, source)
    withdraw(place.archive, source.id)
    purge(place.archive, grace=NOW)
    assert place.listed() == place.stored() == {}
    assert check(place.archive) == []
    put(place.archive, source)
    assert list(place.listed()) == [source.id]
    assert check(place.archive) == []


def test_versions_are_told_of_each_other_and_that_is_no_difference(place: Place) -> None:
    versions = [ToySource(TILES[0], label=str(number), added={"B01": number}) for number in range(3)]
    put(place.archive, *versions)
    with place.catalogue() as catalogue:
        found = {source.label: catalogue.get(source.id) for source in versions}
    assert {label: item and item["properties"]["deprecated"] for label, item in found.items()} == {
        "0": True,
        "1": True,
        "2": False,
    }
    assert check(place.archive) == []

    withdraw(place.archive, versions[2].id)
    with place.catalogue() as catalogue:
        item = catalogue.get(versions[1].id)
    assert item is not None
    assert item["properties"]["deprecated"] is False
    assert check(place.archive) == []


def test_check_finds_and_repairs_what_the_catalogue_has_otherwise(place: Place) -> None:
    sources = [ToySource(name) for name in TILES[:3]]
    put(place.archive, *sources)
    with place.catalogue() as catalogue:
        lost, changed, newer = (catalogue.get(source.id) for source in sources)
        assert lost is not None
        assert changed is not None
        assert newer is not None
        catalogue.remove(lost["id"])
        changed["properties"]["title"] = "described by someone"
        newer["properties"]["abut:revision"] = 99
        unknown = json.loads(json.dumps(lost).replace("T32TNP", "T32TQQ"))
        catalogue.upsert_many([changed, newer, unknown])

    assert {finding.where: finding.what for finding in check(place.archive)} == {
        sources[0].id: "the catalogue does not have the item of the store",
        sources[1].id: "the catalogue does not have the item of the store",
        sources[2].id: "the catalogue does not have the item of the store",
        unknown["id"]: "in the catalogue, but not in the store",
    }
    assert all(finding.repaired for finding in check(place.archive, repair=True))
    assert place.listed() == place.stored()
    assert check(place.archive) == []


def test_a_catalogue_is_rebuilt_from_the_store(place: Place) -> None:
    sources = [ToySource(name) for name in TILES[:2]]
    put(place.archive, *sources)
    withdraw(place.archive, sources[0].id)
    with place.catalogue() as catalogue:
        item = catalogue.get(sources[1].id)
        assert item is not None
        catalogue.remove(sources[0].id)
        catalogue.upsert_many([json.loads(json.dumps(item).replace(item["id"], "unknown"))])
        seen: list[None] = []
        assert rebuild(place.archive, catalogue, lambda: seen.append(None)) == len(seen) == 2
    assert place.listed() == place.stored()


def test_the_list_works_on_any(
    place: Place, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if place.archive.catalogue.startswith("postgresql"):
        monkeypatch.setenv("ABUT_CATALOGUE", place.archive.catalogue)
        archive = create_archive(place.file.parent / "other", catalogue=without_secrets(place.archive.catalogue))
        place.archive = replace(archive, catalogue=place.archive.catalogue)
    put(place.archive, *(ToySource(name) for name in TILES))
    withdraw(place.archive, ToySource(TILES[3]).id)

    def listed(*arguments: str) -> list[str]:
        capfd.readouterr()
        assert run(["list", "--archive", place.archive.store.url, "--json", *arguments]) == 0
        return [json.loads(line)["product"] for line in capfd.readouterr().out.splitlines()]

    assert listed() == sorted(ToySource(name).id for name in TILES)
    assert listed("--tile", TILES[1]) == [ToySource(TILES[1]).id]
    assert listed("--bbox", "20,44,21,45") == []
    assert listed("--datetime", "2023-08-24") == []


def test_an_archive_registers_at_a_service_that_is_started_as_operators_do(tmp_path: Path) -> None:
    archive = create_archive(tmp_path / "archive")
    settings = load_settings(archive=archive.store.url, transactions=True, register_tokens=REGISTRAR)
    with live(create_app(settings)) as url:
        archive = switch_catalogue(archive, f"{url}/stac")
        put(archive, *(ToySource(name) for name in TILES))
        settle(archive)
        assert check(archive) == []
        found = httpx.get(f"{url}/stac/search", params={"limit": 10}).json()["features"]
        assert {item["id"] for item in found} == {ToySource(name).id for name in TILES}
        assert found[0]["assets"]["B01"]["href"].startswith(f"{url}/zarr/products/")


# A catalogue that is away


def test_a_product_is_stored_though_the_catalogue_is_away(tmp_path: Path) -> None:
    file, source, other = tmp_path / "behind.sqlite", ToySource(TILES[0]), ToySource(TILES[1])
    with live(writing_app(str(file))) as url:
        archive = create_archive(tmp_path / "archive", catalogue=url)
        put(archive, source)
    away = archive
    with pytest.raises(CatalogueError, match=r"can't be reached .*`abut check --repair` brings its catalogue in step"):
        put(away, other)
    assert set(away.product_ids()) == {source.id, other.id}
    for step in (lambda: withdraw(away, source.id), lambda: settle(away), lambda: purge(away, grace=NOW)):
        with pytest.raises(CatalogueError):
            step()
    assert set(away.product_ids()) == {other.id}
    with pytest.raises(CatalogueError):
        put(away, source)

    findings = check(away)
    assert [(finding.kind, finding.where) for finding in findings] == [("damage", "catalogue")]
    assert "can't be compared: catalogue http://127.0.0.1" in findings[0].what

    with live(writing_app(str(file))) as url:
        back = replace(archive, catalogue=url)
        found = {finding.where: finding for finding in check(back, repair=True)}
        assert set(found) == {source.id, other.id}
        assert all(finding.kind == "leftover" and finding.repaired for finding in found.values())
        assert check(back) == []
        with open_catalogue(url) as catalogue:
            assert catalogue.ids() == {source.id, other.id}


def test_a_file_that_is_no_catalogue_keeps_no_product_out(tmp_path: Path) -> None:
    archive, source = create_archive(tmp_path / "archive"), ToySource(TILES[0])
    assert archive.catalogue_path is not None
    archive.catalogue_path.write_text("not a database, but long enough to be one" * 100)
    with pytest.raises(CatalogueError, match="not a catalogue"):
        put(archive, source)
    assert archive.product_ids() == [source.id]
    assert [finding.where for finding in check(archive, repair=True)] == ["catalogue"]
    archive.catalogue_path.unlink()
    check(archive, repair=True)
    assert check(open_archive(archive.store)) == []


# What others do while a catalogue is repaired


class Meanwhile:
    """A catalogue in which something happens just before an item is removed."""

    def __init__(self, catalogue: Catalogue, event: Callable[[], object]) -> None:
        self._catalogue = catalogue
        self._events = [event]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._catalogue, name)

    def remove(self, item_id: str) -> bool:
        while self._events:
            self._events.pop()()
        return self._catalogue.remove(item_id)


def test_repair_does_not_bring_back_what_is_withdrawn_at_that_moment(tmp_path: Path) -> None:
    archive = create_archive(tmp_path)
    source = ToySource(TILES[0])
    ingest(archive, source, threads=1)
    with open_catalogue(archive.catalogue_url) as catalogue:
        wrong = catalogue.get(source.id)
        assert wrong is not None
        wrong["properties"] |= {"abut:revision": 9, "eo:cloud_cover": 99.0}
        assert catalogue.upsert_many([wrong]) == 1
        beset = Meanwhile(catalogue, lambda: withdraw(archive, source.id))
        repair(archive, cast("Catalogue", beset), Difference(source.id, "differs"))
        listed = catalogue.get(source.id)
        assert listed is not None
        assert listed["properties"]["abut:withdrawn"]
        assert untold(listed) == stored_item(archive, source.id)


def test_repair_keeps_what_is_ingested_at_that_moment(tmp_path: Path) -> None:
    archive = create_archive(tmp_path)
    source = ToySource(TILES[0])
    with open_catalogue(archive.catalogue_url) as catalogue:
        beset = Meanwhile(catalogue, lambda: ingest(archive, source, threads=1))
        repair(archive, cast("Catalogue", beset), Difference(source.id, "unknown"))
        assert catalogue.ids() == {source.id}


def test_items_that_no_archive_has_registered_are_left_alone(tmp_path: Path) -> None:
    archive = create_archive(tmp_path)
    source = ToySource(TILES[0])
    ingest(archive, source, threads=1)
    with open_catalogue(archive.catalogue_url) as catalogue:
        other = json.loads(json.dumps(catalogue.get(source.id)).replace(source.id, "of-another-program"))
        for name in [name for name in other["properties"] if name.startswith("abut:")]:
            del other["properties"][name]
        catalogue.upsert_many([other])
        assert list(differences(archive, catalogue, archive.product_ids())) == []


def test_purge_does_not_delist_what_is_ingested_anew_at_that_moment(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = ToySource(TILES[0])
    put(place.archive, source)
    withdraw(place.archive, source.id)
    with place.catalogue() as other:
        kind, real = type(other), type(other).get
        row = other.get(source.id)
        assert row is not None
        changes = {"abut:store": f"{source.id}.0123456789ab.zarr", "abut:revision": 1, "abut:withdrawn": False}
        anew = [{**row, "properties": {**row["properties"], **changes}}]

        def get(self: Any, *arguments: Any) -> Any:
            """Return what is listed, and have it replaced before it is used."""
            found = real(self, *arguments)
            if anew:
                other.upsert_many([anew.pop()])
            return found

        monkeypatch.setattr(kind, "get", get)
        [purged] = purge(place.archive, grace=NOW)
        monkeypatch.undo()
        assert (purged.removed, anew) == ((source.id,), [])
        listed = other.get(source.id)
        assert listed is not None
        assert listed["properties"]["abut:store"] == changes["abut:store"]
