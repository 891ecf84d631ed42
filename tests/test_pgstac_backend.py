"""The API's connections to PostgreSQL: lost ones, busy ones, readers beside writers, and totals of many items."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
import psycopg
import pytest

from abut.errors import CatalogueError, InvalidArchiveError
from catalog.aggregation import AGGREGATIONS
from catalog.cql2 import parsed
from catalog.item import COLLECTION_ID
from catalog.pgstac import open_pgstac
from catalog.places import Places, served
from catalog.search import Search, SortKey
from catalog.sqlite import open_catalogue
from catalog.versions import told
from services.stac.pgstac import TOGETHER, PgstacBackend
from services.stac.sqlite import SqliteBackend
from tests.catalog_products import item
from tests.catalog_scene import COLLECTION, PLOTS, SCENE
from tests.postgres import new_database
from tests.test_catalogue_interface import THING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from tests.postgres import Cluster

PLACES = Places("https://h/stac", "https://h/zarr/products")
NAMES = [one.name for one in AGGREGATIONS]


def run(backend: PgstacBackend, work: Callable[[PgstacBackend], Awaitable[Any]]) -> Any:
    async def running() -> Any:
        async with backend.running():
            return await work(backend)

    return anyio.run(running)


def terminate(url: str) -> None:
    """End all other connections to a database, as a restart does."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


@pytest.fixture
def url(pgstac_url: str) -> str:
    with open_pgstac(pgstac_url) as catalogue:
        catalogue.put_collection(COLLECTION)
    return pgstac_url


# --- reading and writing --------------------------------------------------------------------------------------------


def test_what_is_written_through_the_api_is_found_at_once(url: str) -> None:
    async def work(backend: PgstacBackend) -> None:
        await backend.ready()
        product = item()
        assert await backend.insert([product, THING]) == []
        assert await backend.insert([{**THING, "id": "thing-2"}, product, THING]) == sorted([product["id"], "thing-1"])
        assert await backend.stored(PLOTS, "thing-2") is None
        assert await backend.insert([{**THING, "id": "twin"}, {**THING, "id": "twin"}]) == ["twin"]
        assert await backend.stored(PLOTS, "twin") is None
        page = await backend.search(Search(), PLACES)
        assert page.matched == 2
        assert [json.loads(one) for one in page.features] == [served(told([product])[0], PLACES), served(THING, PLACES)]
        changed = {**THING, "properties": {**THING["properties"], "title": "Changed"}}
        assert await backend.upsert([changed]) == 1
        assert json.loads(await backend.item(PLOTS, "thing-1", PLACES) or b"") == served(changed, PLACES)
        assert not await backend.remove_if(THING)
        assert await backend.remove_if(changed)
        assert not await backend.remove_if(changed)
        assert await backend.put_collection_if({**COLLECTION, "id": "more"}, None)
        assert not await backend.put_collection_if({**COLLECTION, "id": "more"}, None)
        assert [one["id"] for one in await backend.collections()] == ["more", PLOTS, COLLECTION_ID]
        assert await backend.remove_collection("more")
        assert not await backend.remove_collection("more")
        with pytest.raises(ValueError, match="unknown collection"):
            await backend.upsert([{**THING, "collection": "more"}])

    run(PgstacBackend(url), work)


def test_readers_and_writers_at_once_lose_nothing(url: str) -> None:
    async def work(backend: PgstacBackend) -> None:
        done = anyio.Event()
        counts: list[int] = []

        async def read() -> None:
            while not done.is_set():
                page = await backend.search(Search(limit=3, bbox=(10, 46, 12, 47)), PLACES)
                assert page.matched is not None
                counts.append(page.matched)

        async def write(writer: int) -> None:
            for month in range(1, 13):
                properties = {"datetime": f"20{20 + writer}-{month:02d}-15T00:00:00Z"}
                record = {**THING, "id": f"t-{writer}-{month}", "collection": COLLECTION_ID, "properties": properties}
                assert await backend.insert([record]) == []

        async with anyio.create_task_group() as readers:
            for _ in range(6):
                readers.start_soon(read)
            async with anyio.create_task_group() as writers:
                for writer in range(4):
                    writers.start_soon(write, writer)
            done.set()
        assert (await backend.search(Search(limit=1), PLACES)).matched == 48
        assert len(counts) > 6
        assert max(counts) <= 48

    run(PgstacBackend(url, readers=3), work)


def test_what_another_program_puts_into_pgstac_is_on_no_route(url: str) -> None:
    foreign = {**THING, "id": "foreign", "properties": {"datetime": "2030-01-01T00:00:00Z"}}
    with psycopg.connect(url, autocommit=True, options="-c search_path=pgstac,public") as connection:
        connection.execute("SELECT pgstac.create_item(%s::jsonb)", (json.dumps(foreign),))

    async def work(backend: PgstacBackend) -> None:
        await backend.upsert([THING])
        for search in (Search(), Search(limit=TOGETHER + 1), Search(limit=1, sortby=(SortKey("id"),))):
            page = await backend.search(search, PLACES)
            assert [json.loads(one)["id"] for one in page.features] == ["thing-1"]
            assert (page.matched, page.next) == (1, None)
        assert await backend.item(PLOTS, "foreign", PLACES) is None
        assert await backend.stored(PLOTS, "foreign") is None
        assert [one["id"] for one in await backend.listing(PLOTS, "", 10)] == ["thing-1"]
        (total,) = await backend.aggregate(Search(), ["total_count"])
        assert total["value"] == 1
        extent = await backend.extent(PLOTS)
        assert extent is not None
        assert "2030" not in extent[1][1]

    run(PgstacBackend(url), work)
    with open_pgstac(url) as catalogue:
        assert [one["id"] for one in catalogue.items(PLOTS)] == ["thing-1"]
        assert catalogue.ids(PLOTS) == {"thing-1"}
        assert catalogue.get("foreign", PLOTS) is None


# --- connections ----------------------------------------------------------------------------------------------------


def test_connections_that_the_server_ends_are_made_anew(url: str) -> None:
    async def work(backend: PgstacBackend) -> None:
        await backend.insert([THING])
        await anyio.to_thread.run_sync(terminate, url)
        assert (await backend.search(Search(), PLACES)).matched == 1
        assert await backend.upsert([THING]) == 1
        await anyio.to_thread.run_sync(terminate, url)
        assert await backend.remove_if(THING)
        await backend.ready()

    run(PgstacBackend(url), work)


def test_request_waits_for_a_connection_and_says_so_in_the_end(url: str) -> None:
    async def work(backend: PgstacBackend) -> None:
        async with backend._app.state.readpool.acquire():
            with pytest.raises(ConnectionError, match="no connection free"):
                await backend.search(Search(), PLACES)
        assert (await backend.search(Search(), PLACES)).matched == 0

    run(PgstacBackend(url, readers=1, patience=0.2), work)


def test_statement_that_takes_too_long_is_given_up(url: str) -> None:
    async def work(backend: PgstacBackend) -> None:
        with pytest.raises(ConnectionError, match="did not answer"):
            await backend._fetch("SELECT pg_sleep(30)", [])
        await backend.ready()

    run(PgstacBackend(url, longest=0.2), work)


def test_database_that_is_gone_is_an_error_of_the_connection(postgres: Cluster) -> None:
    async def work(backend: PgstacBackend) -> None:
        dropping.__exit__(None, None, None)
        for failing in (backend.ready(), backend.search(Search(), PLACES), backend.upsert([THING])):
            with pytest.raises(ConnectionError) as caught:
                await failing
            assert postgres.password not in str(caught.value)

    dropping = new_database(postgres)
    run(PgstacBackend(dropping.__enter__()), work)


def test_database_without_a_catalogue_does_not_start(postgres: Cluster) -> None:
    with new_database(postgres, "template0") as url, pytest.raises(InvalidArchiveError, match="no catalogue"):
        run(PgstacBackend(url), lambda backend: backend.ready())
    with pytest.raises(CatalogueError, match="refused"):
        run(PgstacBackend("postgresql://abut@127.0.0.1:1/db"), lambda backend: backend.ready())


# --- totals, and the same from both databases -----------------------------------------------------------------------


def test_both_databases_count_and_sort_the_same(url: str, tmp_path: Path) -> None:
    shuffled = random.Random(3).sample(SCENE, len(SCENE))  # noqa: S311 - a fixed order
    for name in (url, tmp_path / "catalog.sqlite"):
        with open_pgstac(url) if name == url else open_catalogue(name) as catalogue:
            catalogue.put_collection(COLLECTION)
            catalogue.upsert_many(shuffled)
    filters = ["eo:cloud_cover > 20", "platform = 'sentinel-2b'", "s_intersects(geometry, BBOX(170, -90, -170, 90))"]
    searches = [Search(), Search(collections=(PLOTS,)), Search(ids=("nothing",)), Search(bbox=(170, -80, -170, 80))]
    searches += [Search(filter=parsed(text, "cql2-text")) for text in filters]
    orders = ["size", "label", "tags", "inner", "deprecated", "surveyed", "nothing", "gsd", "created", "proj:code"]
    ordered = [
        Search(limit=100, sortby=(SortKey(name, descending), SortKey("id")))
        for name in orders
        for descending in (False, True)
        if name not in {"tags", "inner"}  # arrays and objects have an order in each database, but not the same
    ]

    async def answers(backend: Any) -> Any:
        async with backend.running():
            return (
                [await backend.aggregate(search, NAMES) for search in searches],
                [await backend.extent(collection) for collection in (COLLECTION_ID, PLOTS, "nothing")],
                [(await backend.search(search, PLACES)).features for search in [*searches, *ordered]],
            )

    in_postgres, in_sqlite = (
        anyio.run(answers, PgstacBackend(url)),
        anyio.run(answers, SqliteBackend(tmp_path / "catalog.sqlite")),
    )
    for one, other in zip(in_postgres, in_sqlite, strict=True):
        assert one == other


def test_unknown_aggregation_is_refused(url: str) -> None:
    async def work(backend: PgstacBackend) -> None:
        assert await backend.aggregate(Search(), []) == []
        with pytest.raises(ValueError, match="shoe_size"):
            await backend.aggregate(Search(), ["total_count", "shoe_size"])

    run(PgstacBackend(url), work)
