"""The STAC API's embedded database: many readers beside a writer, time limits, clients that go, processes that die."""

from __future__ import annotations

import functools
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
import pytest

from abut.errors import InvalidArchiveError
from catalog.cql2 import parsed
from catalog.places import Places, served
from catalog.search import Search
from catalog.sqlite import open_catalogue
from catalog.text import decode
from catalog.versions import told
from services.stac.sqlite import SqliteBackend
from tests.catalog_products import item
from tests.catalog_scene import COLLECTION, L1C, PLOTS, SCENE, found
from tests.test_catalog_pages import TOLD

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

ROOT = Path(__file__).parents[1]
PLACES = Places("https://h/stac", "https://h/zarr/products")
PRODUCT = item()


def numbered(number: int, **properties: Any) -> dict[str, Any]:
    """A product of its own."""
    stamp = f"2024-01-01T00:{number // 60:02d}:{number % 60:02d}Z"
    return {
        **PRODUCT,
        "id": f"S2-{number:06d}",
        "properties": {**PRODUCT["properties"], "datetime": stamp, "abut:store": f"{number}.zarr", **properties},
    }


def running(path: Path, **options: Any) -> Callable[[Callable[[SqliteBackend], Awaitable[None]]], None]:
    """Run a test within a backend."""

    def run(body: Callable[[SqliteBackend], Awaitable[None]]) -> None:
        async def main() -> None:
            backend = SqliteBackend(path, **options)
            async with backend.running():
                await body(backend)

        anyio.run(main)

    return run


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with open_catalogue(tmp_path / "catalog.sqlite") as opened:
        opened.put_collection(COLLECTION)
        opened.upsert_many(SCENE)
    return tmp_path / "catalog.sqlite"


def test_all_that_the_api_asks_for(path: Path) -> None:
    @running(path)
    async def _(backend: SqliteBackend) -> None:
        await backend.ready()
        page = await backend.search(Search(limit=100), PLACES)
        stored = {(one["collection"], one["id"]): one for one in TOLD}
        expected = [served(stored[one["collection"], one["id"]], PLACES) for one in found(TOLD, Search())]
        assert [decode(feature) for feature in page.features] == expected
        visible = expected[0]
        text = await backend.item(visible["collection"], visible["id"], PLACES)
        assert text is not None
        assert decode(text) == visible
        hidden = next(one for one in TOLD if one["properties"].get("abut:withdrawn"))
        assert decode(await backend.item(L1C, hidden["id"], PLACES) or b"") == served(hidden, PLACES)
        assert await backend.stored(L1C, hidden["id"]) == hidden
        assert await backend.stored(L1C, "none") is None
        assert [one["id"] for one in await backend.collections()] == [PLOTS, L1C]
        assert await backend.extent("none") is None
        (total,) = await backend.aggregate(Search(), ["total_count"])
        assert total["value"] == len(expected)


def test_items_are_listed_in_the_order_of_ids_withdrawn_ones_too(path: Path) -> None:
    @running(path)
    async def _(backend: SqliteBackend) -> None:
        names = sorted(one["id"] for one in SCENE if one["collection"] == L1C)
        seen: list[str] = []
        while some := await backend.listing(L1C, seen[-1] if seen else "", 7):
            seen += [one["id"] for one in some]
        assert seen == names


def test_new_items_are_added_all_or_none(path: Path) -> None:
    @running(path)
    async def _(backend: SqliteBackend) -> None:
        taken = SCENE[0]["id"]
        assert await backend.insert([numbered(1), SCENE[0], numbered(2)]) == [taken]
        assert await backend.stored(L1C, "S2-000001") is None
        with pytest.raises(ValueError, match="platform 5 is not text"):
            await backend.insert([numbered(1), numbered(2, platform=5)])
        assert await backend.stored(L1C, "S2-000001") is None
        assert await backend.insert([numbered(1), numbered(2)]) == []
        assert await backend.stored(L1C, "S2-000002") is not None
        assert await backend.upsert([numbered(1), numbered(3)]) == 2
        assert not await backend.remove_if(numbered(1, platform="another"))
        listed = await backend.stored(L1C, "S2-000001")
        assert listed is not None
        assert await backend.remove_if(listed)
        assert not await backend.remove_if(listed)


def test_collections_come_and_go(path: Path) -> None:
    @running(path)
    async def _(backend: SqliteBackend) -> None:
        assert await backend.put_collection_if({**COLLECTION, "id": "more"}, None)
        assert not await backend.put_collection_if({**COLLECTION, "id": "more"}, None)
        assert [one["id"] for one in await backend.collections()] == ["more", PLOTS, L1C]
        assert await backend.remove_collection(PLOTS)
        assert not await backend.remove_collection(PLOTS)
        assert (await backend.search(Search(collections=(PLOTS,)), PLACES)).features == []


def test_new_catalogue_is_made_and_what_is_none_is_refused(tmp_path: Path) -> None:
    @running(tmp_path / "new.sqlite")
    async def _(backend: SqliteBackend) -> None:
        await backend.ready()

    (tmp_path / "text.sqlite").write_text("no database at all\n" * 100)
    with pytest.raises(InvalidArchiveError, match=r"text\.sqlite: not a catalogue"):

        @running(tmp_path / "text.sqlite")
        async def _refused(_backend: SqliteBackend) -> None:
            pytest.fail("it runs")


def test_a_backend_may_run_again(path: Path) -> None:
    backend = SqliteBackend(path)

    async def main() -> None:
        async with backend.running():
            await backend.ready()

    for _ in range(2):
        anyio.run(main)


def test_request_that_takes_too_long_is_given_up_and_leaves_others_alone(path: Path) -> None:
    slow = Search(filter=parsed("CASEI(label) LIKE '%a%b%c%' OR inner.depth > 1000", "cql2-text"))

    @running(path, longest=-1.0, readers=1)
    async def _(backend: SqliteBackend) -> None:
        await backend.upsert([numbered(number) for number in range(3_000)])
        with pytest.raises(sqlite3.OperationalError, match="interrupted"):
            await backend.search(slow, PLACES)
        backend.longest = 60.0
        assert (await backend.search(slow, PLACES)).features == []


def test_readers_see_whole_transactions_while_a_writer_writes(path: Path) -> None:
    """Every batch moves all numbered items to one platform: a page never shows two."""

    @running(path, readers=4)
    async def _(backend: SqliteBackend) -> None:
        await backend.upsert([numbered(number, platform="p0") for number in range(40)])
        asked = Search(filter=parsed("id LIKE 'S2-0%'", "cql2-text"), limit=100)
        reads, done = 0, anyio.Event()

        async def write() -> None:
            for turn in range(1, 12):
                assert await backend.upsert([numbered(number, platform=f"p{turn}") for number in range(40)]) == 40
            done.set()

        async def read() -> None:
            nonlocal reads
            while not done.is_set():
                features = [decode(feature) for feature in (await backend.search(asked, PLACES)).features]
                assert len(features) == 40
                assert len({feature["properties"]["platform"] for feature in features}) == 1
                reads += 1

        async with anyio.create_task_group() as group:
            for _ in range(8):
                group.start_soon(read)
            group.start_soon(write)
        assert reads >= 8
        final = [decode(feature) for feature in (await backend.search(asked, PLACES)).features]
        assert {feature["properties"]["platform"] for feature in final} == {"p11"}


def test_clients_that_go_leave_no_connection_behind(path: Path) -> None:
    @running(path, readers=2)
    async def _(backend: SqliteBackend) -> None:
        for turn in range(30):
            with anyio.move_on_after(0.0005 * (turn % 5)):
                async with anyio.create_task_group() as group:
                    for _ in range(5):
                        group.start_soon(backend.search, Search(limit=100), PLACES)
                    group.start_soon(backend.upsert, [numbered(turn)])
        async with anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(backend.search, Search(), PLACES)
        assert await backend.remove_if(await backend.stored(L1C, SCENE[0]["id"]) or {})


def test_request_that_gets_no_turn_is_refused(path: Path) -> None:
    release = threading.Event()

    @running(path, readers=1, patience=0.05)
    async def _(backend: SqliteBackend) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(backend._read, lambda _opened: release.wait())
            await anyio.sleep(0.01)
            with pytest.raises(TimeoutError):
                await backend.search(Search(), PLACES)
            release.set()
        assert (await backend.search(Search(), PLACES)).features


def test_requests_that_run_end_before_the_connections_are_closed(path: Path) -> None:
    backend = SqliteBackend(path, readers=2)
    began = threading.Event()

    def work(opened: Any) -> int:
        began.set()
        time.sleep(0.2)
        return len(opened.connection.execute("SELECT id FROM items").fetchall())

    async def main() -> None:
        async with anyio.create_task_group() as group, backend.running():
            group.start_soon(backend._read, work)
            await anyio.to_thread.run_sync(began.wait)

    anyio.run(main)


def test_requests_while_another_process_writes_wait_for_it(path: Path) -> None:
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    timer = threading.Timer(0.3, functools.partial(other.execute, "ROLLBACK"))
    timer.start()

    @running(path)
    async def _(backend: SqliteBackend) -> None:
        assert (await backend.search(Search(), PLACES)).features
        assert await backend.upsert([numbered(1)]) == 1

    timer.join()
    other.close()


def test_killed_process_loses_only_what_it_was_writing(path: Path) -> None:
    """It dies within a transaction of 500 items, of which some are written to the file's log already."""
    program = """
        import os, signal, sys
        from pathlib import Path
        from catalog import writing
        from catalog.schema import connect, transaction
        from tests.test_sqlite_backend import numbered

        connection = connect(Path(sys.argv[1]), create=False)
        with transaction(connection):
            writing.write_many(connection, [numbered(number) for number in range(5)])
        connection.execute("PRAGMA cache_size = 10")  # so that pages are spilled before the commit
        with transaction(connection):
            writing.write_many(connection, [numbered(number, platform="lost") for number in range(500)])
            os.kill(os.getpid(), signal.SIGKILL)
        """
    command = [sys.executable, "-c", textwrap.dedent(program), str(path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, check=False, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr

    @running(path)
    async def _(backend: SqliteBackend) -> None:
        for number in range(5):
            assert await backend.stored(L1C, f"S2-{number:06d}") == told([numbered(number)])[0]
        assert await backend.stored(L1C, "S2-000005") is None
        assert await backend.upsert([numbered(number) for number in range(500)]) == 500

    with open_catalogue(path) as opened:
        assert opened.connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        assert opened.count() == len(SCENE) + 500
