"""Cubes and zones from an archive on a real S3 server that is far away: few round trips, one after another, to plan.

The server is SeaweedFS behind the proxy of the benchmarks, which delays each request and tells how many there were and
how *deep*: how many had to be waited for one after another.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
import pytest
import xarray as xr

import abut
from abut.archive import create_archive
from abut.connection import Connection
from abut.counted import counted as watched
from abut.finding import ArchiveFinder
from abut.lattice import Bounds
from abut.ledger import Member
from abut.window import tile_window
from benchmarks.cubes.proxy import COUNTS, delayed
from ingest.ingest import ingest
from ingest.settle import settle
from tests.pasted import pasted
from tests.servers import S3Server, seaweed
from tests.shots import commit, enlist, shot_days_later
from tests.toy import CORNER, ToySource
from tests.zone_scene import B01, B09, PERIOD, SHOTS, WINDOW, truth

if TYPE_CHECKING:
    from collections.abc import Iterator

    from abut.archive import Archive

DELAY = 0.2
"""Seconds: what takes no request takes less, so that depths are those of the requests."""
LAYERS = 70
"""Datatakes of a month with a ledger each."""
ASKED: Any = {"datetime": "2023-08", "bands": "B01,B09", "resolution": 60}


@pytest.fixture(name="server", scope="module")
def _server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with seaweed(tmp_path_factory.mktemp("seaweed")) as running, pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        for name, value in running.environment.items():
            patch.setenv(name, value)
        yield running


@pytest.fixture(name="url", scope="module")
def _url(server: S3Server) -> str:
    """An archive with pixels: a month of two datatakes around the corner of four tiles."""
    archive = create_archive(f"s3://{server.bucket}/zone")
    for shots in SHOTS:
        for shot in shots:
            ingest(archive, shot, threads=4)
    settle(archive)
    return archive.store.url


@pytest.fixture(name="far", scope="module")
def _far(server: S3Server, url: str) -> Iterator[str]:
    """The server is far away from now on; URL of the proxy."""
    assert url
    with delayed(server.endpoint, DELAY) as proxy, pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", proxy)
        yield proxy


def counted(far: str) -> tuple[int, int]:
    """Requests since the last time, and how deep they were."""
    counts = httpx.get(f"{far}{COUNTS}").json()
    return counts["requests"], counts["depth"]


@pytest.fixture(name="connection")
def _connection(url: str, far: str) -> Connection:
    counted(far)
    connection = abut.connect(url)
    assert counted(far) == (1, 1)
    return connection


def test_a_tile_with_its_neighbourhood_takes_the_requests_that_were_explained(
    connection: Connection, url: str, far: str
) -> None:
    window = tile_window("32TNP", 10_000)
    told = connection.explain(window, **ASKED)
    _, depth = counted(far)
    assert depth <= 6, "layers and products, ledgers, items; items and records of the products for their sizes"
    anew = abut.connect(url)
    counted(far)
    cube: Any = anew.tile("32TNP", 10_000, **ASKED)
    requests, depth = counted(far)
    assert told.planning_requests < told.least_requests <= requests <= told.most_requests
    assert depth < requests / 3
    assert told.most_requests - told.least_requests > 0, "overlaps that differ are held by several"
    for band in (B01, B09):
        assert np.array_equal(cube[band.key].to_numpy()[0], pasted(truth(SHOTS[0]), window, band))


def test_where_each_block_has_one_holder_exactly_so_many_requests_are_made(
    connection: Connection, url: str, far: str
) -> None:
    asked = {**ASKED, "datetime": "2023-09-02"}
    alone = Bounds(CORNER.zone, CORNER.left, CORNER.bottom, CORNER.left + 9_600, CORNER.bottom + 9_600)
    told = connection.explain(alone, **asked)
    assert told.least_requests == told.most_requests > told.planning_requests
    anew = abut.connect(url)
    counted(far)
    anew.cube(window=alone, **asked)
    requests, depth = counted(far)
    assert requests == told.least_requests
    assert depth <= 5, "layers and products, ledgers, items, blocks"


def test_a_zone_is_opened_by_few_round_trips_and_read_block_by_block(url: str, far: str) -> None:
    counted(far)
    store = abut.zone_store(url, 32632, PERIOD, resolution=60)
    requests, depth = counted(far)
    assert depth <= 5, "archive, layers and products, ledgers, items"
    with xr.open_zarr(store, chunks=None) as zone:
        assert counted(far) == (0, 0), "metadata is made here"
        for step in range(2):
            part = zone.b01[step].sel(x=slice(WINDOW.left, WINDOW.right), y=slice(WINDOW.top, WINDOW.bottom))
            assert np.array_equal(part.to_numpy(), pasted(truth(SHOTS[step]), WINDOW, B01))
    requests, depth = counted(far)
    assert requests > 3 * depth


def test_a_month_of_many_datatakes_is_planned_by_few_round_trips(server: S3Server, far: str) -> None:
    near = create_archive(f"s3://{server.bucket}/month")
    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(lambda number: enlisted(near, number), range(LAYERS))) == LAYERS
    connection = abut.connect(near.store.url)
    counted(far)
    plan = connection.plan(CORNER, datetime="2023-08-23/2023-09-23")
    requests, depth = counted(far)
    assert len(plan.source.slots) == LAYERS
    assert requests == 2 + 2 * LAYERS, "two listings, ledgers, an item of each"
    assert depth <= 3 + 2 * -(-LAYERS // 32) + 3, "32 at once"


def enlisted(archive: Archive, number: int) -> bool:
    """Put the ledger and the item of a datatake without pixels."""
    start = shot_days_later(0, "32TNP").datatake + timedelta(hours=10 * number)
    shot = shot_days_later(0, "32TNP", datatake=start, datastrip_start=start)
    member = Member(shot.id, f"{shot.id}.a1.zarr", shot.tile, frozenset(shot.tile.hull))
    commit(archive, shot, member)
    enlist(archive, shot.layer, [member])
    return True


def test_a_request_across_zones_looks_for_all_of_them_at_once(server: S3Server, far: str) -> None:
    border = Bounds(CORNER.zone, 799_980, 4_650_000, 819_780, 4_665_000)
    near = create_archive(f"s3://{server.bucket}/border")
    ingest(near, ToySource("32TQM", place=border), threads=4)
    within = abut.connect(near.store.url)
    counted(far)
    within.plan(border, across=False)
    _, own = counted(far)
    both = abut.connect(near.store.url)
    counted(far)
    both.plan(border)
    requests, depth = counted(far)
    assert requests > 4
    assert depth <= own + 1


def test_a_listing_counts_by_its_pages(server: S3Server, far: str) -> None:
    archive = create_archive(f"s3://{server.bucket}/pages")
    old = [f"products/S2B_MSIL1C_20200101T100559_N0209_R022_T32TNP_{number:06d}.json" for number in range(1_001)]
    with ThreadPoolExecutor(64) as pool:
        assert all(pool.map(lambda key: archive.store.put_new(key, b"{}"), old))
    enlisted(archive, 0)
    store, count = watched(archive.store)
    counted(far)
    plan = Connection(replace(archive, store=store), ArchiveFinder()).plan(CORNER, datetime="2023-08")
    assert len(plan.source.slots) == 1
    requests, _ = counted(far)
    assert requests == count.requests == 1 + 2 + 1 + 1, "layers, two pages of products, ledger, item"
