"""The archive's protocol as a state machine: whatever happens, every live product re-creates to its digest."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from abut import legacy
from abut.archive import Archive, create_archive
from abut.errors import ConflictError, DuplicateProductError, ProductNotFoundError
from abut.ledger import load
from abut.legacy import plan, read_band
from abut.store import Entry, Store, Versioned
from catalog.sqlite import open_catalogue
from ingest import claims
from ingest.check import check
from ingest.ingest import ingest
from ingest.purge import purge
from ingest.settle import settle
from ingest.withdraw import withdraw
from tests.toy import CORNER, START, ToySource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

# Two by two tiles of one datastrip; one of them again with other pixels in a band; one of them under another id with
# other pixels, which needs a layer of its own; and one of another datastrip.
SOURCES = [
    ToySource("32TNP"),
    ToySource("32TPP"),
    ToySource("32TNQ", hole=replace(CORNER, right=CORNER.left + 9_600)),
    ToySource("32TPQ", added={"B09": 2}),
    ToySource("32TPQ", label="X"),
    ToySource("32TNP", datastrip_start=START.replace(second=1), label="Y"),
]
TRUTH = {source.id: source for source in SOURCES}


class Crash(BaseException):
    """The process was killed; no `except Exception` sees it."""


class CallError(OSError):
    """A store call failed, or its answer was lost; the worker lives on and cleans up."""


@dataclass
class Fate:
    """What befalls a worker: its n-th store call kills it, its n-th swap or delete fails, or it waits for its turn."""

    crash_at: int | None = None
    crash_after: bool = False
    fails_at: int | None = None
    turn: Callable[[], None] | None = None
    calls: int = 0
    deciding: int = 0
    dead: bool = False
    delayed: list[str] | None = None

    def around(self, action: Callable[[], Any], *, deciding: bool = False) -> Any:
        if self.dead:
            raise Crash
        if self.turn is not None:
            self.turn()
        self.calls += 1
        if self.calls == self.crash_at:
            self.dead = True
            if self.crash_after:
                action()
            raise Crash
        self.deciding += deciding
        if deciding and self.deciding == self.fails_at:
            if self.crash_after:
                action()
            raise CallError
        return action()


@dataclass(frozen=True, slots=True)
class FatefulStore(Store):
    """A store whose every call goes through a worker's fate."""

    fate: Fate = field(default_factory=Fate)

    def get(self, key: str) -> bytes:
        return bytes(self.fate.around(lambda: Store.get(self, key)))

    def read(self, key: str) -> Versioned | None:
        found: Versioned | None = self.fate.around(lambda: Store.read(self, key))
        return found

    def put_new(self, key: str, data: bytes) -> bool:
        return bool(self.fate.around(lambda: Store.put_new(self, key, data)))

    def swap(self, key: str, data: bytes, version: str | None) -> str | None:
        new: str | None = self.fate.around(lambda: Store.swap(self, key, data, version), deciding=True)
        return new

    def entries(self, prefix: str) -> Iterator[Entry]:
        listed: list[Entry] = self.fate.around(lambda: list(Store.entries(self, prefix)))
        return iter(listed)

    def children(self, prefix: str) -> tuple[list[str], list[Entry]]:
        found: tuple[list[str], list[Entry]] = self.fate.around(lambda: Store.children(self, prefix))
        return found

    def delete(self, keys: Iterable[str]) -> None:
        for key in list(keys):
            if self.fate.delayed is not None and not key.startswith(".clock"):
                self.fate.delayed.append(key)
            else:
                self.fate.around(partial(Store.delete, self, [key]), deciding=not key.startswith(".clock"))


def one_thread(_: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1)


class Archives(RuleBasedStateMachine):
    """Ingest, settle, purge, withdraw, check --repair; crashes, interleavings, delayed deletes, old plans."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="abut-model-", dir=os.environ.get("ABUT_MODEL_TMP")))
        self.archive = create_archive(self.folder)
        self.delayed: list[str] = []
        self.plans: list[tuple[str, Any]] = []
        self.wanted: dict[str, bool] = {}
        # Every claim counts as stale at once: runs take each other's attempts over and repair kills living ones.
        self.patches: list[Any] = [mock.patch.object(claims, name, timedelta(0)) for name in ("STALE", "DEAD")]
        # The scheduler knows workers, not threads: what a worker leaves to others it must wait for, one at a time.
        self.patches.append(mock.patch.object(legacy, "ThreadPoolExecutor", one_thread))
        for patch in self.patches:
            patch.start()

    def teardown(self) -> None:
        for patch in self.patches:
            patch.stop()
        shutil.rmtree(self.folder)

    def worker(self, fate: Fate) -> Archive:
        store = self.archive.store
        return replace(self.archive, store=FatefulStore(store.url, store.backend, store.root, fate))

    def run(self, action: Callable[[Archive], None], fate: Fate) -> None:
        with suppress(Crash, CallError, ConflictError, ProductNotFoundError, DuplicateProductError):
            action(self.worker(fate))

    # What workers do

    actions = st.one_of(
        st.tuples(st.just("ingest"), st.sampled_from(range(len(SOURCES)))),
        st.tuples(st.just("withdraw"), st.sampled_from(range(len(SOURCES)))),
        st.tuples(st.sampled_from(["settle", "settle", "purge", "repair"]), st.just(0)),
    )

    def action(self, name: str, index: int) -> Callable[[Archive], None]:
        source = SOURCES[index]

        def act(archive: Archive) -> None:
            if name == "ingest":
                self.wanted.pop(source.id, None)
                ingest(archive, source, threads=1)
                self.wanted[source.id] = True
            elif name == "withdraw":
                self.wanted.pop(source.id, None)
                withdraw(archive, source.id)
                self.wanted[source.id] = False
            elif name == "settle":
                settle(archive)
            elif name == "purge":
                purge(archive, grace=timedelta(0))
            else:
                check(archive, repair=True)

        return act

    @initialize(count=st.integers(1, len(SOURCES)))
    def some_products(self, count: int) -> None:
        for index in range(count):
            self.run(self.action("ingest", index), Fate())

    @rule(chosen=actions)
    def undisturbed(self, chosen: tuple[str, int]) -> None:
        self.run(self.action(*chosen), Fate())

    @rule(chosen=actions, at=st.integers(1, 60), after=st.booleans())
    def killed(self, chosen: tuple[str, int], at: int, after: bool) -> None:
        self.run(self.action(*chosen), Fate(crash_at=at, crash_after=after))

    @rule(chosen=actions, at=st.integers(1, 10), after=st.booleans())
    def a_call_fails(self, chosen: tuple[str, int], at: int, after: bool) -> None:
        self.run(self.action(*chosen), Fate(fails_at=at, crash_after=after))

    @rule(chosen=st.sampled_from(["purge", "repair"]))
    def deletes_come_late(self, chosen: str) -> None:
        self.run(self.action(chosen, 0), Fate(delayed=self.delayed))

    @rule()
    def late_deletes_arrive(self) -> None:
        self.archive.store.delete(self.delayed)
        self.delayed.clear()

    @rule(first=actions, second=actions, turns=st.lists(st.booleans(), max_size=80), at=st.integers(1, 200))
    def two_workers(self, first: tuple[str, int], second: tuple[str, int], turns: list[bool], at: int) -> None:
        scheduler = Scheduler(turns)
        fates = [Fate(turn=lambda: scheduler.wait(0)), Fate(turn=lambda: scheduler.wait(1), crash_at=at)]
        touched = {SOURCES[index].id for name, index in (first, second) if name in ("ingest", "withdraw")}

        def work(number: int, chosen: tuple[str, int]) -> None:
            try:
                self.run(self.action(*chosen), fates[number])
            except BaseException as error:  # noqa: BLE001 - handed to the test's own thread
                scheduler.failures.append(error)
            finally:
                scheduler.done(number)

        threads = [
            threading.Thread(target=work, args=(number, chosen)) for number, chosen in enumerate((first, second))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        if first[1] == second[1]:
            for name in touched:
                self.wanted.pop(name, None)
        if scheduler.failures:
            raise scheduler.failures[0]

    @rule(index=st.sampled_from(range(len(SOURCES))))
    def reader_plans(self, index: int) -> None:
        name = SOURCES[index].id
        if self.is_live(name):
            self.plans.append((name, plan(self.archive, self.archive.product(name))))

    @rule()
    def reader_comes_back_with_an_old_plan(self) -> None:
        for name, sources in self.plans:
            if self.is_live(name):
                product = self.archive.product(name)
                for band, truth in TRUTH[name].arrays.items():
                    assert np.array_equal(read_band(self.archive, product, band, sources=sources), truth)

    # What must hold

    def is_live(self, name: str) -> bool:
        if name not in self.archive.product_ids():
            return False
        product = self.archive.product(name)
        member = load(self.archive.store, product.layer)[0].members.get(name)
        return member is None or member.prefix != product.prefix or member.live

    @invariant()
    def every_live_product_recreates_to_its_digest(self) -> None:
        for name in self.archive.product_ids():
            if self.is_live(name):
                product = self.archive.product(name)
                for band, truth in TRUTH[name].arrays.items():
                    assert np.array_equal(read_band(self.archive, product, band), truth)

    @invariant()
    def what_was_promised_is_kept(self) -> None:
        for name, live in self.wanted.items():
            assert self.is_live(name) is live, name

    @invariant()
    def catalogue_lists_only_complete_products(self) -> None:
        assert self.archive.catalogue_path is not None
        with closing(open_catalogue(self.archive.catalogue_path)) as catalogue:
            listed = [item["id"] for item in catalogue.search()]
        for name in listed:
            product = self.archive.product(name)
            for band, truth in TRUTH[name].arrays.items():
                assert np.array_equal(read_band(self.archive, product, band), truth)

    @invariant()
    def nothing_is_damaged(self) -> None:
        assert [finding for finding in check(self.archive) if finding.kind == "damage"] == []


class Scheduler:
    """Lets exactly one of two threads run, from one store call to the next, in a given order; then 0, then 1."""

    def __init__(self, turns: list[bool]) -> None:
        self._turns = [int(turn) for turn in turns]
        self._condition = threading.Condition()
        self._waiting: set[int] = set()
        self._done: set[int] = set()
        self._running: int | None = None
        self.failures: list[BaseException] = []

    def wait(self, number: int) -> None:
        with self._condition:
            if self._running == number:
                self._running = None
            self._waiting.add(number)
            self._condition.notify_all()
            assert self._condition.wait_for(lambda: self._may_run(number), timeout=60), "the scheduler hangs"
            self._waiting.discard(number)
            self._running = number
            if self._turns:
                self._turns.pop(0)

    def done(self, number: int) -> None:
        with self._condition:
            self._done.add(number)
            if self._running == number:
                self._running = None
            self._condition.notify_all()

    def _may_run(self, number: int) -> bool:
        """Whether both have come to a store call (or ended), and it is this one's turn."""
        if self._running is not None or len(self._waiting | self._done) < 2:
            return False
        while self._turns and self._turns[0] in self._done:
            self._turns.pop(0)
        wanted = self._turns[0] if self._turns else min({0, 1} - self._done)
        return number == wanted


Archives.TestCase.settings = settings(
    max_examples=int(os.environ.get("ABUT_MODEL_EXAMPLES", "30")),
    stateful_step_count=12,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestArchives = Archives.TestCase
