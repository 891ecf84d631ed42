"""A store behind a network that fails: what was written and read is exact all the same, and nothing waits forever.

The server is a real one (SeaweedFS); a proxy before it spoils requests.
"""

from __future__ import annotations

import os
import threading
import time
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
import pytest

from abut import store as stores
from abut import tries
from abut.archive import create_archive
from abut.errors import UnsupportedStoreError
from abut.legacy import read_bands
from abut.store import Store, open_store
from ingest.check import check
from ingest.ingest import ingest
from ingest.purge import purge
from ingest.settle import settle
from tests.flaky import Kind, Proxy, flaky_proxy
from tests.servers import S3Server, seaweed
from tests.toy import TILES, ToySource

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WRITING: list[Kind] = ["slow down", "internal error", "reset", "lost answer", "closed answer", "late error"]
READING: list[Kind] = ["slow down", "internal error", "reset", "lost answer", "closed answer", "late error", "cut body"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with seaweed(tmp_path_factory.mktemp("seaweed")) as running:
        yield running


@pytest.fixture
def proxy(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """A proxy that spoils nothing yet; the environment leads there."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    backoff = {"init_backoff": timedelta(seconds=0.01), "max_backoff": timedelta(seconds=0.1), "base": 2}
    monkeypatch.setitem(stores._RETRIES, "backoff", backoff)
    monkeypatch.setattr(tries, "PAUSES", (0.01, 0.02, 0.03, 0.04))
    monkeypatch.setattr(stores, "PAUSES", (0.01, 0.02, 0.03, 0.04))
    with flaky_proxy(server.endpoint) as running:
        monkeypatch.setenv("AWS_ENDPOINT_URL", running.url)
        yield running


@pytest.fixture
def store(proxy: Proxy, server: S3Server, tmp_path: Path) -> Store:  # noqa: ARG001 - the environment leads there
    return open_store(f"s3://{server.bucket}/{tmp_path.name}")


@pytest.mark.parametrize("kind", WRITING)
def test_a_write_whose_answer_is_lost_is_known_as_ones_own(store: Store, proxy: Proxy, kind: Kind) -> None:
    created = proxy.spoil(kind, "PUT", "/new")
    assert store.put_new("new", b"mine")
    assert created.done == 1
    assert not store.put_new("new", b"mine")  # equal bytes of another writer are another write

    claimed = proxy.spoil(kind, "PUT", "/claim")
    first = store.swap("claim", b"1", None)
    assert claimed.done == 1
    found = store.read("claim")
    assert found is not None
    assert (found.data, found.version) == (b"1", first)

    swapped = proxy.spoil(kind, "PUT", "/claim")
    second = store.swap("claim", b"2", first)
    assert swapped.done == 1
    found = store.read("claim")
    assert found is not None
    assert (found.data, found.version) == (b"2", second)
    assert store.swap("claim", b"2", first) is None


@pytest.mark.parametrize("kind", WRITING)
def test_a_write_that_another_was_faster_with_is_refused(store: Store, proxy: Proxy, kind: Kind) -> None:
    old = store.swap("key", b"old", None)
    assert store.swap("key", b"theirs", old) is not None
    for data in (b"mine", b"theirs"):
        fault = proxy.spoil(kind, "PUT", "/key")
        assert store.swap("key", data, old) is None
        assert fault.done == 1
    proxy.spoil(kind, "PUT", "/key")
    assert not store.put_new("key", b"mine")
    assert store.get("key") == b"theirs"


def test_no_write_is_won_by_two_while_answers_get_lost(store: Store, proxy: Proxy) -> None:
    """Many writers write the same bytes at the same time, so that only marks tell whose write succeeded.

    One whose answer was lost, and which was overtaken before it could be asked about, is won by nobody.
    """
    kinds: list[Kind] = ["lost answer", "closed answer", "late error", "reset"]
    for number, kind in enumerate(kinds):
        proxy.spoil(kind, "PUT", "/counter", times=1000, every=5 + 2 * number)
    assert store.swap("counter", b"0", None) is not None
    won: list[int] = []

    def work() -> None:
        for _ in range(12):
            current = store.read("counter")
            assert current is not None
            new = int(current.data) + 1
            if store.swap("counter", b"%d" % new, current.version) is not None:
                won.append(new)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lost = sum(fault.done for fault in proxy.faults)
    count = int(store.get("counter"))
    assert lost > 10
    assert len(set(won)) == len(won)
    assert set(won) <= set(range(1, count + 1))
    assert count - len(won) <= lost


@pytest.mark.parametrize("kind", READING)
def test_what_is_read_listed_and_deleted_is_exact(store: Store, proxy: Proxy, kind: Kind) -> None:
    data = bytes(range(256)) * 400
    assert all(store.put_new(f"folder/{number}", data) for number in range(3))
    read = proxy.spoil(kind, "GET", "/folder/")
    assert store.get("folder/0") == data
    listed = proxy.spoil(kind, "GET", "list-type")
    assert sorted(entry.key for entry in store.entries("folder")) == [f"folder/{number}" for number in range(3)]
    below = proxy.spoil(kind, "GET", "list-type")
    assert len(store.children("folder")[1]) == 3
    deleted = proxy.spoil(kind, "POST", "delete")
    store.delete([f"folder/{number}" for number in range(3)])
    assert list(store.entries("folder")) == []
    assert [fault.done for fault in (read, listed, below, deleted)] == [1, 1, 1, 1]


def test_a_listing_goes_on_where_it_broke_off(store: Store, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "_PAGE", 2)
    keys = [f"folder/{number}" for number in range(7)]
    for key in keys:
        store.put_new(key, b"x")
    entries = store.entries("folder")
    found = [next(entries).key]
    proxy.spoil("cut body", "GET", "list-type", times=2)
    found += [entry.key for entry in entries]
    assert found == keys


def test_a_body_that_falls_silent_is_read_again(
    store: Store, proxy: Proxy, server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(stores._TIMEOUTS, "read_timeout", timedelta(seconds=0.5))
    store = open_store(f"s3://{server.bucket}/silent")
    data = bytes(range(256)) * 4000
    store.put_new("block", data)
    fault = proxy.spoil("stalled", "GET", "/block")
    started = time.monotonic()
    assert store.get("block") == data
    assert fault.done == 1
    assert time.monotonic() - started < 10


@pytest.mark.parametrize("kind", ["slow down", "reset", "lost answer"])
def test_a_store_that_always_fails_is_given_up(store: Store, proxy: Proxy, kind: Kind) -> None:
    started = time.monotonic()
    for method in ("GET", "HEAD", "PUT", "POST"):
        proxy.spoil(kind, method, times=10**6)
    for call in (
        lambda: store.get("key"),
        lambda: store.read("key"),
        lambda: store.put_new("key", b"1"),
        lambda: store.swap("key", b"1", '"version"'),
        lambda: list(store.entries("")),
        lambda: store.children("products"),
        lambda: store.delete(["key"]),
        store.now,
    ):
        with pytest.raises(UnsupportedStoreError, match=store.url) as error:
            call()
        assert "\n" not in str(error.value)
    assert time.monotonic() - started < 30


def test_main_job_through_a_network_that_fails_all_the_time(proxy: Proxy, server: S3Server, tmp_path: Path) -> None:
    """Every few requests something is lost: pixels, ledgers, items and catalogue are those of a quiet day."""
    archive = create_archive(f"s3://{server.bucket}/{tmp_path.name}", catalogue=str(tmp_path / "catalog.sqlite"))
    for every, (method, kind) in enumerate(
        (method, kind)
        for method, kinds in (("PUT", WRITING), ("GET", READING), ("POST", READING))
        for kind in kinds
        if kind != "stalled"
    ):
        proxy.spoil(kind, method, times=10**6, every=11 + every)
    sources = [ToySource(name) for name in TILES]
    for source in sources:
        assert ingest(archive, source, threads=1).status == "ingested"
    assert sum(layer.released for layer in settle(archive)) > 0
    (purged,) = purge(archive, grace=timedelta(0))
    assert purged.objects > 0
    for source in sources:
        for band, pixels in read_bands(archive, archive.product(source.id)):
            assert np.array_equal(pixels, source.arrays[band.name])
    assert sum(fault.done for fault in proxy.faults) > 50
    proxy.faults.clear()
    assert check(archive, deep=True) == []
    assert [ingest(archive, source, threads=1).status for source in sources] == ["unchanged"] * len(sources)
