"""Values that are made once, and jobs that several threads do."""

from __future__ import annotations

import os
import signal
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor

import pytest

from abut.cache import Cache
from abut.threads import for_each


def test_a_value_is_made_once_however_many_ask_at_once() -> None:
    cache, made = Cache[str](100, len), list[str]()

    def make() -> str:
        time.sleep(0.05)
        made.append("x")
        return "value"

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: cache.get("key", make), range(8))) == {"value"}
    assert made == ["x"]


def test_what_is_there_can_be_looked_at_without_making_it() -> None:
    cache = Cache[str](10, len)
    assert cache.peek("a") is None
    cache.get("a", lambda: "value")
    assert cache.peek("a") == "value"
    with ThreadPoolExecutor(1) as pool:
        going, free = threading.Event(), threading.Event()

        def slow() -> str:
            going.set()
            free.wait()
            return "late"

        made = pool.submit(cache.get, "b", slow)
        going.wait()
        assert cache.peek("b") is None
        free.set()
        assert made.result() == cache.peek("b") == "late"
    cache.peek("a")
    cache.get("c", lambda: "xy")
    assert cache.peek("b") is None
    assert cache.peek("a") == "value"


def test_values_used_longest_ago_go_first() -> None:
    cache, made = Cache[str](10, len), list[str]()

    def get(key: str) -> None:
        cache.get(key, lambda: made.append(key) or key * 4)  # type: ignore[func-returns-value]

    for key in ("a", "b", "a", "c"):
        get(key)
    assert cache.size == 8
    get("a")
    assert made == ["a", "b", "c"]
    get("b")
    assert made == ["a", "b", "c", "b"]


def test_a_value_that_is_too_large_is_kept_until_the_next() -> None:
    cache = Cache[str](3, len)
    assert cache.get(1, lambda: "too large") == "too large"
    assert cache.size == 9
    cache.get(2, lambda: "ok")
    assert cache.size == 2


def test_what_failed_is_tried_again() -> None:
    cache = Cache[str](100, len)

    def fail() -> str:
        raise KeyError("gone")

    with pytest.raises(KeyError):
        cache.get("key", fail)
    assert cache.get("key", lambda: "there") == "there"
    cache.forget("key")
    assert cache.get("key", lambda: "again") == "again"


def test_a_cache_that_nobody_uses_is_no_longer_kept() -> None:
    cache = Cache[str](100, len)
    assert cache.get("key", lambda: "value") == "value"
    kept = weakref.ref(cache)
    del cache
    assert kept() is None


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_forked_process_does_not_wait_for_threads_that_it_has_not() -> None:
    cache, begun, go_on = Cache[str](100, len), threading.Event(), threading.Event()

    def slow() -> str:
        begun.set()
        go_on.wait(30)
        return "parent"

    with ThreadPoolExecutor(1) as pool:
        made = pool.submit(cache.get, "key", slow)
        begun.wait(30)
        child = os.fork()
        if child == 0:
            os._exit(cache.get("key", lambda: "child") != "child")
        until = time.monotonic() + 20
        while (done := os.waitpid(child, os.WNOHANG)) == (0, 0) and time.monotonic() < until:
            time.sleep(0.01)
        if done == (0, 0):
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        go_on.set()
        assert made.result() == "parent"
    assert done == (child, 0)


@pytest.mark.parametrize("threads", [1, 4])
def test_all_jobs_are_done_once(threads: int) -> None:
    done: list[int] = []
    for_each(range(100), done.append, threads)
    assert sorted(done) == list(range(100))


def test_jobs_are_done_side_by_side() -> None:
    meeting = threading.Barrier(3, timeout=30)
    for_each(range(3), lambda _: meeting.wait(), 3)
    assert not meeting.broken


@pytest.mark.parametrize("threads", [1, 4])
def test_the_first_error_stops_the_rest(threads: int) -> None:
    done: list[int] = []

    def do(job: int) -> None:
        if job == 10:
            raise OSError("lost")
        done.append(job)
        time.sleep(0.001)

    with pytest.raises(OSError, match="lost"):
        for_each(range(1_000_000), do, threads)
    assert len(done) < 1000
