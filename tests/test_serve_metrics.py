"""Metrics: what is counted, by whom it may be read, and that several processes add up."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from datetime import datetime
from typing import TYPE_CHECKING

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from abut import meter
from abut.archive import create_archive
from abut.store import open_store
from ingest.ingest import ingest
from services.cubes.jobs import STATUSES
from services.metrics import _forget_dead
from tests.serving import serving
from tests.test_serve import within
from tests.toy import TILES, ToySource

if TYPE_CHECKING:
    from pathlib import Path

    from abut.archive import Archive
    from abut.meter import Outcome, Verb


WORD = "quite secret, and long"


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    """Four toy products."""
    made = create_archive(tmp_path_factory.mktemp("metrics") / "archive")
    for name in TILES:
        ingest(made, ToySource(name), threads=1)
    return made


def values(text: str) -> dict[tuple[str, ...], float]:
    """Samples by name and values of labels, without the buckets of histograms."""
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if not sample.name.endswith("_bucket")
    }


def test_requests_are_counted_by_part_method_and_status(archive: Archive) -> None:
    with within(archive) as client:
        before = values(client.get("/metrics").text)
        sent = len(client.get("/stac/collections", headers={"accept-encoding": "identity"}).content)
        client.get("/stac/collections/nothing")
        client.post("/stac/search", json={"limit": -1})
        after = values(client.get("/metrics").text)

    def more(*key: str) -> float:
        return after[key] - before.get(key, 0)

    assert more("abut_http_requests_total", "GET", "stac", "200") == 1
    assert more("abut_http_requests_total", "GET", "stac", "404") == 1
    assert more("abut_http_requests_total", "POST", "stac", "400") == 1
    assert more("abut_http_request_seconds_count", "stac") == 3
    assert more("abut_http_sent_bytes_total", "stac") > sent
    assert after["abut_http_requests_under_way", "stac"] == 0
    assert after["abut_http_requests_under_way", "metrics"] == 1


def test_what_is_asked_of_the_store_and_decoded_is_counted(archive: Archive) -> None:
    product = archive.product(archive.product_ids()[0])
    with within(archive) as client:
        before = values(client.get("/metrics").text)
        size = len(client.get(f"/zarr/{product.folder}/zarr.json").content)
        client.get(f"/zarr/{product.folder}/nothing")
        picture = client.get(f"/tiles/items/{product.id}/preview.png?assets=B01&width=64&height=64")
        assert picture.status_code == 200, picture.text
        again = client.get(f"/tiles/items/{product.id}/preview.png?assets=B01&width=64&height=64")
        assert again.content == picture.content
        after = values(client.get("/metrics").text)

    def more(*key: str) -> float:
        return after[key] - before.get(key, 0)

    assert more("abut_store_requests_total", "missing", "head") == 1
    assert more("abut_store_requests_total", "ok", "get") > 2
    assert more("abut_store_bytes_total", "read") > size
    assert more("abut_store_request_seconds_count", "get") > 3
    assert more("abut_decoded_objects_total", "block") > 0
    assert more("abut_cache_requests_total", "miss") == more("abut_decoded_objects_total", "block")
    assert more("abut_cache_requests_total", "hit") >= more("abut_cache_requests_total", "miss")


def test_jobs_are_counted_by_state_and_refusals_by_queue(archive: Archive) -> None:
    with within(archive, cube_requests_per_user="1", cube_seconds="0.000001") as client:
        refused = client.get("/cubes/cube", params={"tile": TILES[0], "bands": "B01", "format": "netcdf"})
        assert refused.status_code == 503, refused.text
        deadline = time.monotonic() + 30
        while True:  # who is refused goes at once, the thread ends when it looks
            after = values(client.get("/metrics").text)
            if after["abut_queued_requests", "cubes"] == 0 or time.monotonic() > deadline:
                break
    assert after["abut_refused_requests_total", "cubes", "503"] >= 1
    assert [after["abut_jobs", name] for name in STATUSES] == [0] * 5
    assert [after["abut_job_parts", name] for name in ("waiting", "running", "overdue")] == [0] * 3
    assert after["abut_job_waiting_seconds",] == 0
    assert after["abut_queued_requests", "cubes"] == 0


def test_what_is_looked_at_tells_of_probes_products_and_room(archive: Archive, tmp_path: Path) -> None:
    with within(archive, scratch=str(tmp_path)) as client:
        found = values(client.get("/metrics").text)
    assert found["abut_ready", "store"] == found["abut_ready", "catalogue"] == 1
    assert found["abut_products",] == len(TILES)
    items = [json.loads(archive.store.get(f"products/{name}.json")) for name in archive.product_ids()]
    newest = max(item["properties"]["datetime"] for item in items)
    assert found["abut_newest_product_timestamp_seconds",] == datetime.fromisoformat(newest).timestamp()
    for place in ("scratch", "catalogue"):
        assert 0 < found["abut_disk_free_bytes", place] < found["abut_disk_bytes", place]


def test_a_probe_that_fails_and_an_empty_catalogue_are_told_too(tmp_path: Path) -> None:
    empty = create_archive(tmp_path / "empty")
    with within(empty) as client:
        before = values(client.get("/metrics").text)
        assert (before["abut_products",], before["abut_ready", "store"]) == (0, 1)
        (tmp_path / "empty" / "archive.json").unlink()
        after = values(client.get("/metrics").text)
    assert (after["abut_ready", "store"], after["abut_ready", "catalogue"]) == (0, 1)


def test_labels_have_few_values_whatever_is_asked(archive: Archive) -> None:
    with within(archive) as client:
        for path in ("/nothing", "/stacy", "/tiles/items/a", "/tiles/items/b", "/zarr/zones/1/2.zarr/zarr.json"):
            client.get(path)
        client.request("BREW", "/stac")
        found = values(client.get("/metrics").text)
    parts = {key[-1] for key in found if key[0] == "abut_http_request_seconds_count"}
    known = {
        "stac",
        "tiles",
        "cubes",
        "legacy",
        "zarr",
        "zarr/zones",
        "viewer",
        "healthz",
        "readyz",
        "metrics",
        "other",
    }
    assert {"other", "tiles", "zarr/zones"} <= parts <= known
    assert ("abut_http_requests_total", "other", "stac", "405") in found


def test_a_token_is_asked_for_where_one_is_set_and_nothing_answers_where_they_are_off(archive: Archive) -> None:
    with within(archive, metrics_token=WORD) as client:
        assert client.get("/metrics").status_code == 401
        assert client.get("/metrics", headers={"authorization": "Bearer wrong"}).status_code == 401
        right = client.get("/metrics", headers={"authorization": f"Bearer {WORD}"})
        assert right.status_code == 200
        assert WORD not in right.text
    with within(archive, metrics="false") as client:
        assert client.get("/metrics").status_code == 404


def test_processes_add_up_what_they_count(archive: Archive) -> None:
    with serving(archive.store.url, workers="2") as served:
        served.workers(2)
        before = values(httpx.get(f"{served.url}/metrics").text)
        for _ in range(40):
            httpx.get(f"{served.url}/healthz")
        pages = [values(httpx.get(f"{served.url}/metrics").text) for _ in range(6)]
    alive = "abut_http_requests_total", "GET", "healthz", "200"
    assert {page[alive] - before.get(alive, 0) for page in pages} == {40}
    assert pages[-1]["abut_http_requests_total", "GET", "metrics", "200"] == 6
    assert {page["abut_http_requests_under_way", "metrics"] for page in pages} == {1}


def test_what_a_process_had_under_way_that_is_dead_is_forgotten(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as dead:
        dead.wait()
    for pid in (dead.pid, os.getpid()):
        (tmp_path / f"gauge_livesum_{pid}.db").touch()
        (tmp_path / f"counter_{pid}.db").touch()
    _forget_dead(tmp_path)
    kept = {path.name for path in tmp_path.iterdir()}
    assert kept == {f"gauge_livesum_{os.getpid()}.db", f"counter_{os.getpid()}.db", f"counter_{dead.pid}.db"}


def test_a_store_that_fails_is_told_of_with_bytes_only_of_what_was_done(tmp_path: Path) -> None:
    heard: list[tuple[str, str, int, int]] = []

    class Hearing:
        def requested(self, verb: Verb, outcome: Outcome, seconds: float, read: int, written: int) -> None:
            assert seconds >= 0
            heard.append((verb, outcome, read, written))

        def decoded(self, kind: str, seconds: float) -> None:
            raise AssertionError(kind, seconds)

    store = open_store(tmp_path)
    hearing = Hearing()
    meter.listen(hearing)
    try:
        store.put_new("a", b"12345")
        store.put_new("a", b"123")
        assert store.read("a") is not None
        assert store.read("b") is None
        assert [entry.key for entry in store.entries("")] == ["a"]
        store.delete(["a"])
    finally:
        meter.leave(hearing)
    store.put_new("c", b"not heard")
    assert heard[:4] == [("put", "ok", 0, 5), ("put", "refused", 0, 3), ("get", "ok", 5, 0), ("get", "missing", 0, 0)]
    assert {verb for verb, *_ in heard[4:-1]} == {"list"}
    assert heard[-1] == ("delete", "ok", 0, 0)
