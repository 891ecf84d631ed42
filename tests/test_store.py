"""Stores: create-only, compare-and-swap, listings; what a local disk needs that obstore lacks."""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING

import pytest
from obstore.store import S3Store

from abut.archive import Archive
from abut.errors import InvalidArchiveError, MissingObjectError, UnsupportedStoreError
from abut.finding import ArchiveFinder
from abut.holdings import load_all
from abut.newcomers import read_item
from abut.store import Store, open_store
from abut.view import select
from abut.writable import require_conditional_writes
from tests.servers import refusing_server
from tests.toy import CORNER

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture(params=["local", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return open_store(tmp_path if request.param == "local" else "memory://")


def test_an_object_is_created_once_and_never_replaced(store: Store) -> None:
    assert store.put_new("a/b", b"1")
    assert not store.put_new("a/b", b"2")
    assert store.get("a/b") == b"1"


def test_a_swap_succeeds_only_from_the_version_that_was_read(store: Store) -> None:
    first = store.swap("a/b", b"1", None)
    assert first is not None
    assert store.swap("a/b", b"2", None) is None
    second = store.swap("a/b", b"2", first)
    assert second is not None
    assert store.swap("a/b", b"3", first) is None
    found = store.read("a/b")
    assert found is not None
    assert (found.data, found.version) == (b"2", second)
    assert store.swap("a/c", b"1", second) is None, "there is nothing of that version"


def test_what_is_missing_is_an_error_or_none(store: Store) -> None:
    with pytest.raises(MissingObjectError, match="a/b: no such object"):
        store.get("a/b")
    assert store.read("a/b") is None
    store.delete(["a/b"])
    assert list(store.entries("a")) == []
    assert store.children("a") == ([], [])


def test_listings_name_keys_sizes_and_times(store: Store) -> None:
    before = store.now()
    for key in ("a/1", "a/b/2", "ab/3"):
        store.put_new(key, b"xyz")
    assert sorted((entry.key, entry.size) for entry in store.entries("a")) == [("a/1", 3), ("a/b/2", 3)]
    folders, objects = store.children("a")
    assert [folder.rstrip("/") for folder in folders] == ["a/b"]
    assert [entry.key for entry in objects] == ["a/1"]
    assert all(before <= entry.modified for entry in objects)


def test_many_threads_that_count_by_swaps_lose_no_count(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    store.swap("count", b"0", None)

    def count() -> None:
        for _ in range(20):
            while True:
                found = store.read("count")
                assert found is not None
                if store.swap("count", str(int(found.data) + 1).encode(), found.version) is not None:
                    break

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.get("count") == b"80"


def test_a_writer_that_is_killed_in_a_swap_leaves_the_old_object_whole(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    old, new = b"old" * 1_000_000, b"new" * 1_000_000
    store.swap("a/ledger", old, None)
    for delay in (0.0, 0.001, 0.002, 0.004, 0.008):
        child = os.fork()
        if child == 0:
            found = open_store(tmp_path).read("a/ledger")
            version = found.version if found else None
            while version is not None:
                version = store.swap("a/ledger", new, version) or store.swap("a/ledger", old, version)
            os._exit(0)
        time.sleep(0.05 + delay)
        os.kill(child, 9)
        os.waitpid(child, 0)
        assert store.get("a/ledger") in (old, new)
        found = store.read("a/ledger")
        assert found is not None
        assert store.swap("a/ledger", old, found.version) is not None, "the lock went with the process"
    assert all(path.name.startswith(".abut-") for path in store.leftovers())
    assert [entry.key for entry in store.entries("a")] == ["a/ledger"], "temporary files are not listed"


def test_a_folder_without_locks_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fcntl  # noqa: PLC0415

    store = open_store(tmp_path)
    require_conditional_writes(store)

    def missing(*_: object) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", missing)
    with pytest.raises(UnsupportedStoreError, match="the file system has no locks"):
        require_conditional_writes(store)
    monkeypatch.setattr(fcntl, "flock", lambda *_: None)
    with pytest.raises(UnsupportedStoreError, match="do not exclude each other"):
        require_conditional_writes(store)


def test_what_is_no_store_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(InvalidArchiveError, match="nowhere"):
        open_store(tmp_path / "nowhere")
    with pytest.raises(InvalidArchiveError, match="ftp://host/x"):
        open_store("ftp://host/x")


@pytest.mark.parametrize("status", [400, 403])
def test_a_store_that_refuses_while_a_request_is_planned_is_said(status: int) -> None:
    with refusing_server(status) as url:
        backend = S3Store("b", endpoint=url, skip_signature=True, client_options={"allow_http": True}, region="x")
        store = Store("s3://b/x", backend, None)
        archive = Archive(store, "default", "")
        uses: list[Callable[[], object]] = [
            lambda: select(archive, ArchiveFinder(), CORNER),
            lambda: load_all(store, ["32632.x"]),
            lambda: read_item(store, "x"),
            lambda: store.get("x"),
            lambda: list(store.entries("")),
        ]
        for use in uses:
            with pytest.raises(UnsupportedStoreError, match=rf"^s3://b/x.*(access is denied|{status})") as caught:
                use()
            assert "\n" not in str(caught.value)
