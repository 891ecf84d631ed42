"""`abut catalog`, and how users say which catalogue an archive has."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from contextlib import ExitStack, closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from abut.archive import create_archive, open_archive, switch_catalogue
from abut.catalogue import path_of, require_no_secret, same, scheme_of, without_secrets
from abut.errors import CatalogueError, ConflictError, InvalidArchiveError
from catalog.opening import open_catalogue
from catalog.remote_http import Patience
from catalog.schema import SCHEMA_VERSION
from cli.main import run
from ingest.check import check
from ingest.ingest import ingest
from ingest.withdraw import withdraw
from tests.postgres import new_database
from tests.toy import TILES, ToySource
from tests.writing import REGISTRAR, live, writing_app

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from abut.archive import Archive

    type Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def abut(capfd: pytest.CaptureFixture[str]) -> Run:
    """Run the program; returns status, output and errors."""

    def command(*arguments: str) -> tuple[int, str, str]:
        capfd.readouterr()
        status = run(list(arguments))
        return status, *capfd.readouterr()

    return command


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    """Two versions of a product, a neighbour, and one that was withdrawn."""
    made = create_archive(tmp_path / "archive")
    sources = [ToySource(TILES[0]), ToySource(TILES[0], label="9", added={"B01": 1}), *map(ToySource, TILES[1:3])]
    for source in sources:
        ingest(made, source, threads=1)
    withdraw(made, sources[-1].id)
    return made


@pytest.fixture(params=["sqlite", "pgstac", "remote"])
def other(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Another catalogue, by a name without secrets."""
    with ExitStack() as stack:
        if request.param == "sqlite":
            yield "other.sqlite"
        elif request.param == "pgstac":
            cluster = request.getfixturevalue("postgres")
            url = stack.enter_context(new_database(cluster))
            monkeypatch.setenv("PGPASSWORD", cluster.password)
            yield without_secrets(url)
        else:
            monkeypatch.setenv("ABUT_CATALOGUE_TOKEN", REGISTRAR)
            yield stack.enter_context(live(writing_app(str(tmp_path / "behind.sqlite"))))


def test_a_catalogue_goes_elsewhere_and_comes_back(abut: Run, archive: Archive, other: str) -> None:
    where = ("--archive", archive.store.url, "--json")

    copied = json.loads(abut("catalog", "migrate", *where, "--to", other)[1])
    assert copied == {
        "catalogue": other,
        "copied": 4,
        "items": 4,
        "switched": False,
        "missing": [],
        "unequal": [],
        "surplus": [],
    }
    assert open_archive(archive.store) == archive

    assert json.loads(abut("catalog", "migrate", *where, "--to", other, "--switch")[1])["switched"] is True
    moved = open_archive(archive.store)
    assert moved.catalogue == other
    assert check(moved) == []
    ingest(moved, ToySource(TILES[3]), threads=1)
    with open_catalogue(archive.catalogue_url) as old, open_catalogue(moved.catalogue_url) as new:
        assert len(new.ids()) == len(old.ids()) + 1 == 5

    status, output, errors = abut("catalog", "migrate", *where, "--to", "catalog.sqlite", "--switch")
    assert (status, errors, json.loads(output)["items"]) == (0, "", 5)
    assert open_archive(archive.store) == archive
    assert check(archive) == []


def test_an_older_release_makes_a_catalogue_of_its_own_where_a_newer_one_upgraded_it(
    abut: Run, archive: Archive
) -> None:
    where = ("--archive", archive.store.url)
    assert archive.catalogue_path is not None
    with closing(sqlite3.connect(archive.catalogue_path)) as newer:
        newer.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    assert abut("check", *where)[0] == 1
    status, _, errors = abut("catalog", "migrate", *where, "--to", "older.sqlite", "--switch")
    assert (status, errors) == (0, "")
    older = open_archive(archive.store)
    assert older.catalogue == "older.sqlite"
    assert check(older) == []
    with open_catalogue(older.catalogue_url) as catalogue:
        assert len(catalogue.ids()) == 4


def test_a_catalogue_says_what_it_is(abut: Run, archive: Archive, other: str) -> None:
    where = ("--archive", archive.store.url)
    abut("catalog", "migrate", *where, "--to", other, "--switch")
    status, output, errors = abut("catalog", "info", *where)
    assert (status, errors) == (0, "")
    assert "sentinel-2-l1c  4 items, 1 withdrawn" in output
    found = json.loads(abut("catalog", "info", *where, "--json")[1])
    assert found["collections"] == [{"collection": "sentinel-2-l1c", "items": 4, "withdrawn": 1}]
    assert found["kind"] in ("SQLite", "PostgreSQL with pgstac", "STAC API")
    assert found["archive"] == (None if other.startswith("http") else archive.id)  # this service was not told
    assert other in found["catalogue"]


def test_a_lost_catalogue_is_rebuilt(abut: Run, archive: Archive) -> None:
    assert archive.catalogue_path is not None
    for path in archive.catalogue_path.parent.glob("catalog.sqlite*"):
        path.unlink()
    assert abut("catalog", "info", "--archive", archive.store.url)[0] == 2
    status, output, _ = abut("catalog", "rebuild", "--archive", archive.store.url, "--json")
    assert (status, json.loads(output)["items"]) == (0, 4)
    assert check(archive) == []


def test_catalogues_that_differ_are_not_switched_to(abut: Run, archive: Archive, tmp_path: Path) -> None:
    with (
        open_catalogue(tmp_path / "archive" / "other.sqlite") as catalogue,
        open_catalogue(archive.catalogue_url) as own,
    ):
        item: dict[str, Any] = next(own.items("sentinel-2-l1c"))
        newer = json.loads(json.dumps(item))
        newer["properties"]["abut:revision"] = 99
        unknown = json.loads(json.dumps(item).replace(item["id"], "unknown"))
        catalogue.upsert_many([newer, unknown])

    where = ("--archive", archive.store.url, "--json")
    status, output, errors = abut("catalog", "migrate", *where, "--to", "other.sqlite", "--switch")
    found = json.loads(output)
    assert status == 1
    assert (found["switched"], found["unequal"], found["surplus"]) == (False, [item["id"]], ["unknown"])
    assert errors.splitlines() == [
        f"abut: error: other.sqlite: 1 item unequal, such as {item['id']}",
        "abut: error: other.sqlite: 1 item surplus, such as unknown",
    ]
    assert open_archive(archive.store) == archive


def test_what_is_registered_during_the_switch_is_copied_too(
    abut: Run, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = switch_catalogue

    def switch(opened: Archive, target: str) -> Archive:
        ingest(opened, ToySource(TILES[3]), threads=1)  # with the old catalogue
        return real(opened, target)

    monkeypatch.setattr("cli.catalog_migrate.switch_catalogue", switch)
    where = ("--archive", archive.store.url)
    assert abut("catalog", "migrate", *where, "--to", "other.sqlite", "--switch")[0] == 0
    assert check(open_archive(archive.store)) == []


def test_settings_that_others_change_are_not_overwritten(archive: Archive) -> None:
    switch_catalogue(archive, "first.sqlite")
    with pytest.raises(ConflictError, match=r"archive\.json: was changed meanwhile"):
        switch_catalogue(archive, "second.sqlite")
    assert open_archive(archive.store).catalogue == "first.sqlite"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--to", "catalog.sqlite"), "'catalog.sqlite' is the archive's catalogue already"),
        (("--to", "mysql://host/db"), "catalogue 'mysql://host/db' is not a file, postgresql://host/database"),
        (("--to", "postgresql://u:very-secret@db/stac", "--switch"), "leave it out and set PGPASSWORD"),
        (("--to", "https://u:very-secret@db/stac", "--switch"), "leave it out and set ABUT_CATALOGUE_TOKEN"),
        (("--to", "https://host/stac?token=very-secret"), "is not the URL of a STAC API"),
        (("--to", ""), "catalogue '' is not a file"),
        (("--to", "no/such/folder/c.sqlite"), "no folder for the catalogue"),
        ((), "Missing option '--to'"),
    ],
)
def test_bad_targets_are_refused_in_one_line(
    abut: Run, archive: Archive, arguments: tuple[str, ...], message: str
) -> None:
    status, _, errors = abut("catalog", "migrate", "--archive", archive.store.url, *arguments)
    assert status == 2
    assert message in errors
    assert len(errors.splitlines()) == 1
    assert "very-secret" not in errors
    assert open_archive(archive.store) == archive


def test_an_archive_without_a_catalogue_says_so(abut: Run, tmp_path: Path) -> None:
    create_archive(tmp_path / "none", catalogue="")
    for command in ("info", "rebuild"):
        status, _, errors = abut("catalog", command, "--archive", str(tmp_path / "none"))
        assert (status, "the archive has no catalogue" in errors) == (2, True)


def test_the_group_lists_its_commands(abut: Run) -> None:
    status, output, _ = abut("catalog", "--help")
    assert status == 0
    for name in ("info", "migrate", "rebuild", "export"):
        assert f"\n  {name} " in output
    assert abut("catalog", "fly")[0] == 2


# How users say which one


def test_the_environment_says_how_the_own_catalogue_is_reached(
    abut: Run, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = ("--archive", archive.store.url)
    for name in ("catalog.sqlite", archive.catalogue_url, f"sqlite:///{archive.catalogue_url}"):
        monkeypatch.setenv("ABUT_CATALOGUE", name)
        assert abut("check", *where)[0] == abut("list", *where)[0] == 0


def test_another_catalogue_than_the_archive_s_is_refused(
    abut: Run, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ABUT_CATALOGUE", "postgresql://u:very-secret@db/stac")
    for command in (["check"], ["list"], ["settle"], ["purge"], ["withdraw", "x"], ["catalog", "info"]):
        status, _, errors = abut(*command, "--archive", archive.store.url)
        assert status == 2
        assert "its catalogue is 'catalog.sqlite', not 'postgresql://u@db/stac'" in errors
        assert len(errors.splitlines()) == 1


def test_a_new_archive_has_the_catalogue_that_is_asked_for(
    abut: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("catalog.remote.Patience", lambda: Patience(tries=1))
    (tmp_path / "any.SAFE").mkdir()
    where = ("ingest", str(tmp_path / "any.SAFE"), "--archive", str(tmp_path / "new"))
    status, _, errors = abut(*where, "--catalogue", "http://127.0.0.1:9/stac")
    assert status == 1
    assert "can't be reached" in errors
    assert not (tmp_path / "new" / "archive.json").exists()  # nothing is begun with a catalogue that is not there


def test_no_secret_is_written_down(tmp_path: Path) -> None:
    for catalogue in (
        "postgresql://u:very-secret@db/stac",
        "postgresql://db/stac?password=very-secret",
        "https://t@h/s",
    ):
        with pytest.raises(InvalidArchiveError, match="with a secret in its URL") as caught:
            create_archive(tmp_path / "new", catalogue=catalogue)
        assert "very-secret" not in str(caught.value)
    assert not (tmp_path / "new" / "archive.json").exists()
    made = create_archive(tmp_path / "new", catalogue="postgresql://someone@db:5433/stac")
    assert made.catalogue_url == "postgresql://someone@db:5433/stac"
    assert made.catalogue_path is None


def test_an_error_of_the_catalogue_shows_no_secret(tmp_path: Path) -> None:
    archive = create_archive(tmp_path / "a", catalogue="postgresql://127.0.0.1:9/stac")
    archive = replace(archive, catalogue="postgresql://u:very-secret@127.0.0.1:9/stac")
    with pytest.raises(CatalogueError) as caught:
        ingest(archive, ToySource(TILES[0]), threads=1)
    assert "very-secret" not in str(caught.value)
    assert "very-secret" not in str(check(archive))


@pytest.mark.parametrize(
    ("catalogue", "package", "extra"),
    [("postgresql://db/stac", "psycopg", "pgstac"), ("https://example.org/stac", "httpx", "services")],
)
def test_a_catalogue_that_needs_an_extra_says_which(tmp_path: Path, catalogue: str, package: str, extra: str) -> None:
    archive = create_archive(tmp_path / "archive", catalogue=catalogue)
    script = f"import sys; sys.modules[{package!r}] = None; from cli.main import run; sys.exit(run(sys.argv[1:]))"
    command = [sys.executable, "-c", script, "catalog", "info", "--archive", archive.store.url]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 2
    assert f"{package} is not installed: pip install 'abut[{extra}]'" in done.stderr
    assert len(done.stderr.splitlines()) == 1


# Names of catalogues


def test_a_catalogue_s_name_says_what_it_is(tmp_path: Path) -> None:
    assert path_of("c.sqlite", tmp_path) == path_of("sqlite:///c.sqlite", tmp_path) == tmp_path / "c.sqlite"
    assert path_of("sqlite:////data/c.sqlite", tmp_path) == path_of("/data/c.sqlite", tmp_path)
    assert path_of("https://host/stac") is None
    assert [scheme_of(one) for one in ("c.sqlite", "postgresql://h/d", "postgres://h/d", "HTTPS://h/stac")] == [
        "",
        "postgresql",
        "postgres",
        "https",
    ]
    for wrong in ("ftp://host/stac", "https://", "https://host/stac#x", "https://host:port/stac", "http://[::1/x"):
        with pytest.raises(InvalidArchiveError, match="catalogue"):
            scheme_of(wrong)
    for wrong in ("", "sqlite:///", "a\0b"):
        with pytest.raises(InvalidArchiveError, match="is not a file"):
            path_of(wrong)


def test_secrets_are_left_out_of_messages() -> None:
    assert (
        without_secrets("postgresql://u:p@h:1/d?sslmode=require&password=p") == "postgresql://u@h:1/d?sslmode=require"
    )
    assert without_secrets("https://h/stac") == "https://h/stac"
    assert without_secrets("/data/c.sqlite") == "/data/c.sqlite"
    assert "p" not in without_secrets("x://u:p@[bad").partition("://")[2]
    assert require_no_secret("https://h/stac/") == "https://h/stac"
    assert require_no_secret("postgresql:///stac") == "postgresql:///stac"


def test_two_names_of_one_catalogue(tmp_path: Path) -> None:
    assert same("postgresql://u:p@h/d", "postgres://h:5432/d/")
    assert same("https://h/stac/", "https://h:443/stac")
    assert same("c.sqlite", str(tmp_path / "c.sqlite"), tmp_path)
    assert not same("postgresql://h/d", "postgresql://h/e")
    assert not same("c.sqlite", "d.sqlite", tmp_path)
    assert not same("", "c.sqlite", tmp_path)
