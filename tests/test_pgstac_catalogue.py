"""The catalogue in PostgreSQL: several writers, crashes, migrations, and what pgstac itself has of the items."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg import sql
from psycopg_pool import ConnectionPool
from pypgstac.db import PgstacDB
from pypgstac.migrate import Migrate
from pypgstac.version import __version__ as pgstac_version

import catalog.pgstac_schema
from abut.errors import CatalogueError, InvalidArchiveError
from catalog import make_item
from catalog.collection import make_collection
from catalog.item import COLLECTION_ID
from catalog.opening import open_catalogue
from catalog.pgstac import PgstacCatalogue, open_pgstac, upgrade
from catalog.pgstac_schema import WRITERS, writing
from catalog.pgstac_tables import MIGRATIONS, QUERYABLES, SCHEMA_VERSION
from catalog.versions import untold
from ingest.safe import find_granules
from tests.catalog_products import item, store
from tests.catalog_scene import COLLECTION, PLOTS, things
from tests.postgres import new_database
from tests.test_catalogue_interface import THING, revised, version
from tests.test_stac_item_real import FOLDER, PRODUCTS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.postgres import Cluster

ROOT = Path(__file__).parents[1]


@pytest.fixture
def catalogue(pgstac_url: str) -> Iterator[PgstacCatalogue]:
    with open_pgstac(pgstac_url) as opened:
        opened.put_collection(COLLECTION)
        yield opened


@pytest.fixture
def empty_url(postgres: Cluster) -> Iterator[str]:
    """A database without pgstac."""
    with new_database(postgres, "template0") as url:
        yield url


def value(connection: psycopg.Connection[Any], statement: str, *values: Any) -> Any:
    found = connection.execute(statement.encode(), values).fetchone()
    return None if found is None else found[0]


# --- several writers, and crashes -----------------------------------------------------------------------------------


def test_writers_side_by_side_lose_nothing_and_the_newest_revision_stays(pgstac_url: str) -> None:
    products = [item(tile) for tile in ("32TNM", "32TMM", "32TNN", "31TCJ")]
    products += [version(one, "05.11") for one in products]

    def write(writer: int) -> int:
        with open_pgstac(pgstac_url) as opened:
            order = products if writer % 2 else products[::-1]
            batches = [[revised(one, 10 * turn + writer) for one in order] for turn in range(5)]
            return sum(opened.upsert_many(batch) for batch in batches)

    with ThreadPoolExecutor(4) as pool:
        written = list(pool.map(write, range(4)))
    assert sum(written) >= 2 * len(products)
    with open_pgstac(pgstac_url) as opened:
        assert {opened.revision(one["id"]) for one in products} == {43}
        assert {one["id"] for one in opened.items()} == {one["id"] for one in products}
        deprecated = {one["id"] for one in opened.items() if one["properties"]["deprecated"]}
        assert deprecated == {one["id"] for one in products[:4]}
        assert value(opened.connection, "SELECT count(*) FROM pgstac.items") == len(products)


def test_readers_lose_nothing_while_writers_make_partitions(catalogue: PgstacCatalogue, pgstac_url: str) -> None:
    stop, failed, read = threading.Event(), list[BaseException](), list[int]()
    statement = "SELECT count(*) FROM pgstac.items WHERE datetime > '2000-01-01' AND collection = 'sentinel-2-l1c'"

    def keep_reading() -> None:
        with psycopg.connect(pgstac_url, autocommit=True) as connection:
            while not stop.is_set():
                try:
                    read.append(value(connection, statement))
                except psycopg.Error as error:
                    failed.append(error)

    readers = [threading.Thread(target=keep_reading) for _ in range(2)]
    for reader in readers:
        reader.start()
    months = [f"20{year}-{month:02d}-03T10:00:00Z" for year in (21, 22) for month in range(1, 13)]
    for number, moment in enumerate(months):
        properties = {**THING["properties"], "datetime": moment}
        catalogue.upsert_many([{**THING, "id": f"t{number}", "collection": COLLECTION_ID, "properties": properties}])
    stop.set()
    for reader in readers:
        reader.join()
    assert not failed
    assert read == sorted(read) or len(read) > 2  # each saw a whole number of writes
    assert value(catalogue.connection, statement) == len(months)


def test_writer_that_is_killed_in_a_transaction_loses_that_write_only(
    catalogue: PgstacCatalogue, pgstac_url: str
) -> None:
    program = """
        import sys, time
        from catalog.pgstac import open_pgstac
        from catalog.pgstac_schema import writing
        from catalog.pgstac_write import upsert
        from tests.test_catalogue_interface import THING
        opened = open_pgstac(sys.argv[1])
        opened.upsert_many([{**THING, "id": "before"}])
        with writing(opened.connection):
            upsert(opened.connection, [{**THING, "id": "during"}])
            print("ready", flush=True)
            time.sleep(60)
    """
    command = [sys.executable, "-c", textwrap.dedent(program), pgstac_url]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
        os.kill(writer.pid, signal.SIGKILL)
    assert catalogue.upsert_many([{**THING, "id": "after"}]) == 1
    assert catalogue.ids(PLOTS) == {"before", "after"}
    assert value(catalogue.connection, "SELECT count(*) FROM pgstac.items") == 2


def test_error_in_the_middle_keeps_the_finished_transactions_only(
    catalogue: PgstacCatalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("catalog.pgstac.BATCH", 2)
    records = [{**THING, "id": f"t-{number}"} for number in range(5)]
    with pytest.raises(ValueError, match="item id 'no name'"):
        catalogue.upsert_many([*records[:3], {**THING, "id": "no name"}, records[4]])
    assert catalogue.ids(PLOTS) == {"t-0", "t-1"}


def test_connection_that_the_server_ends_is_made_anew(catalogue: PgstacCatalogue, pgstac_url: str) -> None:
    def end() -> None:
        with psycopg.connect(pgstac_url, autocommit=True) as other:
            other.execute("SELECT pg_terminate_backend(%s)", (catalogue.connection.info.backend_pid,))

    end()
    assert catalogue.upsert_many([THING]) == 1
    end()
    assert catalogue.get("thing-1", PLOTS) == THING


def test_database_that_is_gone_is_said_without_the_password(postgres: Cluster) -> None:
    with new_database(postgres) as url:
        opened = open_pgstac(url)
    for work in (lambda: opened.upsert_many([THING]), opened.collections):
        with pytest.raises(CatalogueError, match="does not exist") as caught:
            work()
        assert postgres.password not in str(caught.value)
        assert "\n" not in str(caught.value)


def test_writer_waits_for_another_and_says_so_in_the_end(catalogue: PgstacCatalogue, pgstac_url: str) -> None:
    catalogue.connection.execute("SET lock_timeout = '50ms'")
    with (
        open_pgstac(pgstac_url) as other,
        writing(other.connection),
        pytest.raises(CatalogueError, match="lock timeout"),
    ):
        catalogue.upsert_many([THING])
    assert catalogue.upsert_many([THING]) == 1


# --- opening and migrating ------------------------------------------------------------------------------------------


def test_new_catalogue_has_the_collection_in_parts_of_a_month(empty_url: str) -> None:
    with open_pgstac(empty_url, create=True) as opened:
        assert opened.collections() == [make_collection().to_dict(include_self_link=False)]
        assert opened.upsert_many([item()]) == 1
        partition = value(opened.connection, "SELECT tableoid::regclass::text FROM pgstac.items")
        assert partition.endswith("_202308")
        assert value(opened.connection, "SELECT pgstac.get_version()") == pgstac_version
    with open_pgstac(empty_url, create=True) as again:
        assert again.ids() == {item()["id"]}


def test_catalogue_is_not_made_unasked(empty_url: str) -> None:
    with pytest.raises(InvalidArchiveError, match="no catalogue"):
        open_pgstac(empty_url)
    with psycopg.connect(empty_url) as connection:
        assert value(connection, "SELECT to_regnamespace('pgstac') IS NULL AND to_regnamespace('abut') IS NULL")


def test_two_who_make_it_at_once_make_one(empty_url: str) -> None:
    def make(_: int) -> list[str]:
        with open_pgstac(empty_url, create=True) as opened:
            return [one["id"] for one in opened.collections()]

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(make, range(3)))[-1] == [COLLECTION_ID]
    with open_pgstac(empty_url) as opened:
        assert value(opened.connection, "SELECT count(*) FROM abut.version") == SCHEMA_VERSION


def test_older_pgstac_is_migrated_if_asked(empty_url: str) -> None:
    with ConnectionPool(empty_url, min_size=1, max_size=1, open=True) as pool:
        database = PgstacDB(pool=pool)
        Migrate(database).run_migration("0.9.11")
        database.disconnect()
    for create in (False, True):
        with pytest.raises(InvalidArchiveError, match="no catalogue" if not create else "pgstac 0.9.11, .*upgrade"):
            open_pgstac(empty_url, create=create)
    assert upgrade(empty_url)
    assert not upgrade(empty_url)
    with open_pgstac(empty_url) as opened:
        assert value(opened.connection, "SELECT pgstac.get_version()") == pgstac_version
        assert opened.upsert_many([item()]) == 1


def older(url: str) -> None:
    """Make a database's catalogue one of an earlier version of Abut, on an earlier pgstac."""
    with ConnectionPool(url, min_size=1, max_size=1, open=True) as pool:
        database = PgstacDB(pool=pool)
        Migrate(database).run_migration("0.9.12")
        database.disconnect()
    with psycopg.connect(url) as connection:
        connection.execute("CREATE SCHEMA abut")
        connection.execute("CREATE TABLE abut.version (number integer PRIMARY KEY)")
        connection.execute(MIGRATIONS[0].encode())
        connection.execute("INSERT INTO abut.version VALUES (1)")


def test_migration_that_takes_longer_than_a_writer_may_is_done_once_and_all_who_ask_for_it_end_well(
    empty_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    older(empty_url)
    with psycopg.connect(empty_url, autocommit=True) as connection:
        name = empty_url.rpartition("/")[2]
        connection.execute(sql.SQL("ALTER DATABASE {} SET statement_timeout = 1000").format(sql.Identifier(name)))
    monkeypatch.setattr(catalog.pgstac_schema, "BUSY_TIMEOUT", 1)
    real, runs = Migrate.run_migration, list[str | None]()

    def slowly(self: Migrate, toversion: str | None = None) -> str:
        runs.append(self.db.version)
        assert self.db.connection is not None
        self.db.connection.execute("SELECT pg_sleep(1.5)")
        time.sleep(1.5)
        return real(self, toversion)

    monkeypatch.setattr(Migrate, "run_migration", slowly)
    with ThreadPoolExecutor(3) as pool:
        assert sorted(pool.map(upgrade, [empty_url] * 3)) == [False, False, True]
    assert runs == ["0.9.12"]
    with open_pgstac(empty_url) as opened:
        settings = "SELECT current_setting('lock_timeout'), current_setting('search_path'), current_user"
        assert opened.connection.execute(settings.encode()).fetchone() == ("1s", "pgstac, public", "abut")
        opened.put_collection(COLLECTION)
        assert opened.upsert_many([THING]) == 1
        assert value(opened.connection, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == 0


def test_writers_wait_for_a_migration(empty_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    older(empty_url)
    real, during = Migrate.run_migration, list[str]()

    def beset(self: Migrate, toversion: str | None = None) -> str:
        with psycopg.connect(empty_url, options="-c lock_timeout=100ms") as writer:
            try:
                writer.execute("SELECT pg_advisory_xact_lock(%s)", (WRITERS,))
            except psycopg.errors.LockNotAvailable as error:
                during.append(type(error).__name__)
        return real(self, toversion)

    monkeypatch.setattr(Migrate, "run_migration", beset)
    assert upgrade(empty_url)
    assert during == ["LockNotAvailable"]


def test_migration_that_fails_leaves_all_as_it_was(empty_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    older(empty_url)
    with monkeypatch.context() as patch:
        broken = (MIGRATIONS[0], "CREATE TABLE abut.settings (name text); SELECT 1 / 0")
        patch.setattr(catalog.pgstac_schema, "MIGRATIONS", broken)
        with pytest.raises(CatalogueError, match="division by zero"):
            upgrade(empty_url)
    with psycopg.connect(empty_url) as connection:
        assert value(connection, "SELECT max(number) FROM abut.version") == 1
        assert value(connection, "SELECT to_regclass('abut.settings') IS NULL")
    assert upgrade(empty_url)


def test_catalogue_of_an_older_version_is_left_as_it_is_unless_asked(empty_url: str) -> None:
    older(empty_url)
    for create in (False, True):
        with pytest.raises(InvalidArchiveError, match=r"schema abut of version 1; .*`abut catalog upgrade`"):
            open_pgstac(empty_url, create=create)
    with psycopg.connect(empty_url) as connection:
        assert value(connection, "SELECT pgstac.get_version()") == "0.9.12"
        assert value(connection, "SELECT max(number) FROM abut.version") == 1


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("INSERT INTO abut.version VALUES (99)", "schema abut of version 99, too new"),
        ("INSERT INTO pgstac.migrations (version) VALUES ('9.9.9')", "pgstac 9.9.9, .*, too new"),
    ],
)
def test_newer_catalogue_is_refused(pgstac_url: str, statement: str, message: str) -> None:
    with psycopg.connect(pgstac_url, autocommit=True) as connection:
        connection.execute(statement.encode())
    for create in (False, True):
        with pytest.raises(InvalidArchiveError, match=message):
            open_pgstac(pgstac_url, create=create)
    with pytest.raises(InvalidArchiveError, match=message):
        upgrade(pgstac_url)


def test_database_with_items_of_another_program_is_refused(pgstac_url: str) -> None:
    with open_pgstac(pgstac_url) as opened:
        opened.upsert_many([item()])
        opened.connection.execute("DROP SCHEMA abut CASCADE")
    with pytest.raises(InvalidArchiveError, match="items of another program"):
        open_pgstac(pgstac_url, create=True)


def test_queryables_are_registered_once_with_their_indexes(catalogue: PgstacCatalogue, pgstac_url: str) -> None:
    catalogue.upsert_many([item()])
    open_pgstac(pgstac_url, create=True).close()
    found = catalogue.connection.execute("SELECT name, count(*) FROM pgstac.queryables GROUP BY name").fetchall()
    assert {name for name, count in found if count == 1} >= set(QUERYABLES)
    indexes = "SELECT string_agg(indexdef, ';') FROM pg_indexes WHERE tablename LIKE '%%\\_202308'"
    defined = value(catalogue.connection, indexes)
    for name, (_, _, kind) in QUERYABLES.items():
        assert (f"'{name}'" in defined) is (kind is not None)


@pytest.mark.parametrize(
    "url",
    ["postgresql://host", "postgresql://host/", "mysql://host/db", "postgresql://u:secret@host:port/db", "/a/file", ""],
)
def test_what_is_no_url_of_a_database_is_refused(url: str) -> None:
    with pytest.raises(InvalidArchiveError) as caught:
        open_pgstac(url)
    assert "secret" not in str(caught.value)


def test_password_comes_from_the_environment_or_the_url_and_is_never_shown(
    postgres: Cluster, pgstac_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare = pgstac_url.replace(f":{postgres.password}@", "@")
    with pytest.raises(CatalogueError, match="password"):
        open_pgstac(bare)
    with pytest.raises(CatalogueError, match="password") as caught:
        open_pgstac(bare.replace("@", ":not-it@"))
    assert "not-it" not in str(caught.value)
    with open_pgstac(pgstac_url) as opened:
        assert opened.url == bare
    monkeypatch.setenv("PGUSER", "abut")
    monkeypatch.setenv("PGPASSWORD", postgres.password)
    with open_catalogue(bare.replace("abut@", "")) as opened_by_name:
        assert opened_by_name.url == bare.replace("abut@", "")
        assert opened_by_name.collections()


def test_server_that_does_not_answer_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSWORD", "secret")
    with pytest.raises(CatalogueError, match="refused") as caught:
        open_pgstac("postgresql://abut@127.0.0.1:1/db")
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)


# --- what pgstac has ------------------------------------------------------------------------------------------------


def test_pgstac_itself_gives_products_as_they_were_handed_in(catalogue: PgstacCatalogue) -> None:
    given = [revised(item(), 3), item("32TMM"), *real_items()]
    assert catalogue.upsert_many(given) == len(given)
    for one in given:
        found = value(catalogue.connection, "SELECT pgstac.get_item(%s, %s)", one["id"], one["collection"])
        assert untold(found) == one


def real_items() -> list[dict[str, Any]]:
    """Items of real products, where there are any at hand."""
    found = [FOLDER / name for name in PRODUCTS if (FOLDER / name).is_dir()]
    granules = [granule for path in found for granule in find_granules(path)]
    made = [make_item(granule.metadata, store(granule.metadata)) for granule in granules]
    return [json.loads(json.dumps(one.to_dict(transform_hrefs=False))) for one in made]


def test_items_of_real_products_come_back_exactly(catalogue: PgstacCatalogue) -> None:
    if not (given := real_items()):
        pytest.skip("real data (../shared/data) is absent")
    assert catalogue.upsert_many(given) == len(given)
    assert {one["id"]: untold(one) for one in catalogue.items()} == {one["id"]: one for one in given}


def test_pgstac_finds_what_can_be_found_and_nothing_else(catalogue: PgstacCatalogue) -> None:
    shown, hidden = revised(item(), 1), revised(item("32TMM"), 1)
    catalogue.upsert_many([shown, hidden, THING])
    catalogue.upsert_many([revised(hidden, 2, withdrawn=True)])
    found = value(catalogue.connection, 'SELECT pgstac.search(\'{"collections": ["sentinel-2-l1c"]}\')')
    assert [one["id"] for one in found["features"]] == [shown["id"]]
    catalogue.upsert_many([revised(hidden, 3)])
    catalogue.remove("thing-1", PLOTS)
    assert value(catalogue.connection, "SELECT count(*) FROM pgstac.items") == 2


def test_item_that_moves_to_another_month_is_there_once(catalogue: PgstacCatalogue) -> None:
    for month in (8, 9, 8):
        properties = {"datetime": f"2023-{month:02d}-03T10:00:00Z"}
        catalogue.upsert_many([{**THING, "collection": COLLECTION_ID, "properties": properties}])
    found = catalogue.connection.execute("SELECT datetime::text FROM pgstac.items").fetchall()
    assert found == [("2023-08-03 10:00:00+00",)]


def test_items_of_any_time_and_kind_go_into_partitions(catalogue: PgstacCatalogue) -> None:
    moments = [
        "0001-01-01T00:00:00Z",
        "1969-12-31T23:59:59.999999Z",
        "2023-08-31T23:59:59.999999Z",
        "2023-09-01T00:00:00Z",
        "2024-02-29T23:00:00-01:00",
        "9999-12-31T23:59:59.999999Z",
    ]
    given = [
        {**THING, "id": f"t{number}", "collection": collection, "properties": {"datetime": moment}}
        for number, moment in enumerate(moments)
        for collection in (COLLECTION_ID, PLOTS)
    ]
    assert catalogue.upsert_many([*given, *things()]) == len(given) + len(things())
    assert value(catalogue.connection, "SELECT count(*) FROM pgstac.items") == len(given) + len(things())
    assert value(catalogue.connection, "SELECT count(*) FROM pgstac.items WHERE datetime > '2023-08-31'") == 8


def test_single_writes_do_not_wait_for_readers(catalogue: PgstacCatalogue, pgstac_url: str) -> None:
    """A partition is made wide enough at once: later items of its month change no table, which readers would hold."""
    catalogue.upsert_many([item()])
    with psycopg.connect(pgstac_url) as reader:
        assert value(reader, "SELECT count(*) FROM pgstac.items") == 1  # its transaction stays open
        catalogue.connection.execute("SET lock_timeout = '2s'")
        started = time.monotonic()
        for day in (1, 30, 15):
            properties = {"datetime": f"2023-08-{day:02d}T10:00:00Z"}
            record = {**THING, "id": f"t{day}", "collection": COLLECTION_ID, "properties": properties}
            assert catalogue.upsert_many([record]) == 1
        assert time.monotonic() - started < 30
        assert value(reader, "SELECT count(*) FROM pgstac.items") == 4
