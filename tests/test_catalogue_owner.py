"""A catalogue is one archive's: it says whose, and no other archive reads, writes or repairs it."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

import httpx
import pytest

from abut.archive import Archive, create_archive, identified, open_archive, switch_catalogue
from abut.catalogue import without_secrets
from abut.errors import CatalogueError, InvalidArchiveError
from catalog.opening import open_catalogue, open_own, reached_by
from catalog.owner import Owner
from cli.main import run
from ingest.check import check
from ingest.ingest import ingest
from services.app import create_app
from services.backends import require_catalogue
from services.settings import load_settings
from tests.postgres import new_database
from tests.toy import TILES, ToySource
from tests.writing import REGISTRAR, live

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.postgres import Cluster

ONE, OTHER = ToySource(TILES[0]), ToySource(TILES[1])


@pytest.fixture(params=["sqlite", "pgstac"])
def shared(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A catalogue that two archives could name."""
    with ExitStack() as stack:
        if request.param == "sqlite":
            yield str(tmp_path / "shared.sqlite")
        else:
            yield stack.enter_context(new_database(request.getfixturevalue("postgres")))


def named(folder: Path, catalogue: str) -> Archive:
    """An archive with a catalogue, whose password it knows."""
    return replace(create_archive(folder, catalogue=without_secrets(catalogue)), catalogue=catalogue)


def put(archive: Archive, source: ToySource) -> None:
    ingest(archive, source, threads=1)


# --- ids of archives ------------------------------------------------------------------------------------------------


def test_each_archive_has_an_id_that_stays(tmp_path: Path) -> None:
    first, second = create_archive(tmp_path / "a"), create_archive(tmp_path / "b")
    assert re.fullmatch("[0-9a-f]{32}", first.id)
    assert first.id != second.id
    assert create_archive(tmp_path / "a").id == open_archive(tmp_path / "a").id == first.id
    assert switch_catalogue(first, "other.sqlite").id == open_archive(tmp_path / "a").id == first.id
    (tmp_path / "a").rename(tmp_path / "moved")
    assert open_archive(tmp_path / "moved").id == first.id


def without_id(archive: Archive) -> Archive:
    """Make an archive one of an older version."""
    assert archive.store.root is not None
    path = archive.store.root / "archive.json"
    settings = json.loads(path.read_text())
    del settings["id"]
    path.write_text(json.dumps(settings))
    return open_archive(archive.store)


def test_an_archive_of_an_older_version_gets_an_id_when_it_is_written(tmp_path: Path) -> None:
    archive = without_id(create_archive(tmp_path / "a"))
    assert archive.id == ""
    assert open_archive(archive.store).id == ""
    with ThreadPoolExecutor(4) as pool:
        assert len({made.id for made in pool.map(identified, [archive] * 4)}) == 1
    assert open_archive(archive.store) == identified(archive)
    older = without_id(create_archive(tmp_path / "b"))
    put(older, ONE)
    with open_catalogue(older.catalogue_url) as catalogue:
        assert catalogue.owner() == Owner(open_archive(older.store).id, older.store.url)


@pytest.mark.parametrize("wrong", ["", "a", "A" * 32, "g" * 32, 7, None, ["a"]], ids=repr)
def test_an_id_that_is_none_is_refused(tmp_path: Path, wrong: object) -> None:
    archive = create_archive(tmp_path)
    path = tmp_path / "archive.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"id": wrong}))
    with pytest.raises(InvalidArchiveError, match=r"archive\.json: "):
        open_archive(archive.store)


# --- catalogues know whose they are ---------------------------------------------------------------------------------


def test_a_catalogue_is_that_of_the_archive_that_first_writes_to_it(tmp_path: Path, shared: str) -> None:
    first, second = named(tmp_path / "a", shared), named(tmp_path / "b", shared)
    assert check(second) == []  # which only reads
    with open_catalogue(shared) as catalogue:
        assert catalogue.owner() is None
    put(first, ONE)
    with open_catalogue(shared) as catalogue:
        assert catalogue.owner() == Owner(first.id, first.store.url)
        assert catalogue.claim(Owner("f" * 32, "other")) == catalogue.owner() == Owner(first.id, first.store.url)
    put(first, OTHER)
    assert check(first, repair=True) == []


def test_another_archive_takes_nothing_out_of_a_catalogue_and_puts_nothing_in(tmp_path: Path, shared: str) -> None:
    first, second = named(tmp_path / "a", shared), named(tmp_path / "b", shared)
    put(first, ONE)
    wanted = f"is the catalogue of the archive {first.store.url} .id {first.id}., not of {second.store.url} .id "
    with pytest.raises(CatalogueError, match=wanted):
        put(second, OTHER)
    assert second.product_ids() == [OTHER.id]  # the archive itself has it
    for repair in (False, True):
        (finding,) = check(second, repair=repair)
        assert re.search(wanted, finding.what)
    with open_catalogue(shared) as catalogue:
        assert catalogue.ids() == {ONE.id}
    assert check(first) == []


def test_of_archives_that_claim_at_once_one_succeeds(tmp_path: Path, shared: str) -> None:
    archives = [named(tmp_path / name, shared) for name in "abcd"]
    open_catalogue(shared).close()

    def claim(archive: Archive) -> str:
        try:
            open_own(archive).close()
        except InvalidArchiveError as error:
            return str(error)
        return ""

    with ThreadPoolExecutor(4) as pool:
        assert sorted(map(bool, pool.map(claim, archives))) == [False, True, True, True]


def test_commands_refuse_another_archive_s_catalogue_in_one_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    shared = str(tmp_path / "shared.sqlite")
    put(create_archive(tmp_path / "a", catalogue=shared), ONE)
    create_archive(tmp_path / "b", catalogue=shared)
    where = ("--archive", str(tmp_path / "b"))
    for command in (
        ["list"],
        ["search"],
        ["catalog", "info"],
        ["catalog", "rebuild"],
        ["catalog", "upgrade"],
        ["catalog", "export", str(tmp_path / "stac")],
        ["serve"],
    ):
        capfd.readouterr()
        assert run([*command, *where]) == 2, command
        errors = capfd.readouterr().err
        assert f"is the catalogue of the archive {tmp_path / 'a'}" in errors
        assert len(errors.splitlines()) == 1
    assert run(["check", *where]) == 1
    assert "is the catalogue of the archive" in capfd.readouterr().out


def test_a_new_archive_is_not_made_with_another_archive_s_catalogue(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    shared = str(tmp_path / "shared.sqlite")
    put(create_archive(tmp_path / "a", catalogue=shared), ONE)
    (tmp_path / "any.SAFE").mkdir()
    assert run(["ingest", str(tmp_path / "any.SAFE"), "-a", str(tmp_path / "b"), "--catalogue", shared]) == 2
    assert "a new one needs a catalogue of its own" in capfd.readouterr().err
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize("before", ["another's", "none"])
def test_an_archive_gets_a_catalogue_of_its_own(tmp_path: Path, before: str, capfd: pytest.CaptureFixture[str]) -> None:
    shared = str(tmp_path / "shared.sqlite")
    put(create_archive(tmp_path / "a", catalogue=shared), ONE)
    archive = create_archive(tmp_path / "b", catalogue="")
    put(archive, OTHER)
    if before == "another's":
        archive = switch_catalogue(archive, shared)
    assert run(["catalog", "migrate", "-a", archive.store.url, "--to", "catalog.sqlite", "--switch"]) == 0
    assert "1 item copied to catalog.sqlite; it is the catalogue now" in capfd.readouterr().out
    own = open_archive(archive.store)
    with open_own(own, create=False, claim=False) as catalogue:
        assert catalogue.ids() == {OTHER.id}
        assert catalogue.owner() == Owner(archive.id, archive.store.url)
    assert check(own) == []


# --- behind a STAC API ----------------------------------------------------------------------------------------------


def test_a_service_says_which_archive_it_serves_and_others_do_not_register_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ABUT_CATALOGUE_TOKEN", REGISTRAR)
    served, other = create_archive(tmp_path / "served"), create_archive(tmp_path / "other")
    settings = load_settings(archive=served.store.url, transactions=True, register_tokens=REGISTRAR)
    require_catalogue(settings)
    with live(create_app(settings)) as url:
        assert httpx.get(f"{url}/stac").json()["abut:archive"] == served.id
        with open_catalogue(f"{url}/stac") as catalogue:
            assert catalogue.owner() == Owner(served.id)
            assert catalogue.claim(Owner(other.id)) == Owner(served.id)
        elsewhere = replace(served, catalogue=f"{url}/stac")
        put(elsewhere, ONE)
        assert check(elsewhere) == []
        wrong = switch_catalogue(other, f"{url}/stac")
        with pytest.raises(CatalogueError, match=f"of the archive of id {served.id}, not of {other.store.url}"):
            put(wrong, OTHER)
        assert check(wrong, repair=True)[0].kind == "damage"
        with open_catalogue(served.catalogue_url) as catalogue:
            assert catalogue.ids() == {ONE.id}


def test_an_archive_moves_behind_the_service_that_serves_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ABUT_CATALOGUE_TOKEN", REGISTRAR)
    archive = create_archive(tmp_path / "archive")
    put(archive, ONE)
    behind, writing = archive.catalogue_url, {"transactions": True, "register_tokens": REGISTRAR}
    with live(create_app(load_settings(archive=archive.store.url, **writing))) as url:
        where = ("--archive", archive.store.url)
        assert run(["catalog", "migrate", *where, "--to", f"{url}/stac", "--switch"]) == 0
        put(open_archive(archive.store), OTHER)
        assert check(open_archive(archive.store)) == []
    with pytest.raises(InvalidArchiveError, match="ABUT_CATALOGUE names that behind it"):
        create_app(load_settings(archive=archive.store.url, **writing))
    settings = load_settings(archive=archive.store.url, catalogue=behind, **writing)
    require_catalogue(settings)
    with live(create_app(settings)) as url:
        found = httpx.get(f"{url}/stac/search").json()["features"]
        assert {one["id"] for one in found} == {ONE.id, OTHER.id}
    assert capfd.readouterr().err == ""


# --- one rule for ABUT_CATALOGUE ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("own", "given", "accepted"),
    [
        ("catalog.sqlite", "", True),
        ("catalog.sqlite", "sqlite:///catalog.sqlite", True),
        ("catalog.sqlite", "other.sqlite", False),
        ("catalog.sqlite", "postgresql://db/stac", False),
        ("catalog.sqlite", "https://host/stac", False),
        ("postgresql://u@db/stac", "postgresql://u:p@db:5432/stac", True),
        ("postgresql://u@db/stac", "postgresql://u:p@db/other", False),
        ("postgresql://u@db/stac", "catalog.sqlite", False),
        ("https://host/stac", "https://host:443/stac/", True),
        ("https://host/stac", "https://host/other", False),
        ("https://host/stac", "postgresql://u:p@db/stac", True),
        ("https://host/stac", "/data/catalog.sqlite", True),
        ("", "catalog.sqlite", False),
        ("", "postgresql://db/stac", False),
    ],
)
def test_a_catalogue_is_reached_under_its_own_name_or_as_what_is_behind_an_api(
    tmp_path: Path, own: str, given: str, accepted: bool
) -> None:
    archive = create_archive(tmp_path, catalogue=own)
    if accepted:
        assert reached_by(archive, given) == replace(archive, catalogue=given or own)
    else:
        with pytest.raises(InvalidArchiveError, match=r"its catalogue is .*, not '.*' as --catalogue"):
            reached_by(archive, given)


def test_what_is_behind_an_api_is_served_and_written_by_the_same_name(
    tmp_path: Path, postgres: Cluster, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with new_database(postgres) as url:
        archive = create_archive(tmp_path / "a", catalogue="https://example.org/stac")
        other = create_archive(tmp_path / "b", catalogue="https://example.com/stac")
        monkeypatch.setenv("ABUT_CATALOGUE", url)
        settings = load_settings(archive=archive.store.url, transactions=True, register_tokens=REGISTRAR)
        require_catalogue(settings)
        put(replace(archive, catalogue=url), ONE)
        assert run(["check", "--archive", archive.store.url]) == 0
        capfd.readouterr()
        for command in (["serve"], ["list"]):
            assert run([*command, "--archive", other.store.url]) == 2
            errors = capfd.readouterr().err
            assert f"is the catalogue of the archive {archive.store.url}" in errors
            assert postgres.password not in errors
