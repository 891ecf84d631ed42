"""Stores of jobs, one suite for both: states, turns, leases, restarts."""

from __future__ import annotations

import sqlite3
import threading
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.cubes.jobs import STATUSES, TRIES, Counts, JobStoreError, TooManyJobsError, new_job
from services.cubes.opening import open_jobs
from services.cubes.queue import Waiting, next_user
from tests.postgres import new_database

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from services.cubes.jobs import Claim, Job, JobStore

KEEP = timedelta(days=7)


@dataclass
class Watch:
    """A clock that is set by hand."""

    time: datetime = datetime(2025, 7, 3, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.time

    def wait(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


@pytest.fixture(name="watch")
def _watch() -> Watch:
    return Watch()


@pytest.fixture(name="url", params=["sqlite", "postgresql"])
def _url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield str(tmp_path / "jobs.sqlite")
        return
    with new_database(request.getfixturevalue("postgres"), "template1") as url:
        yield url


@pytest.fixture(name="store")
def _store(url: str, watch: Watch) -> Iterator[JobStore]:
    with closing(open_jobs(url, KEEP, watch)) as store:
        yield store


def add(store: JobStore, watch: Watch, user: str, parts: int = 1, **options: Any) -> Job:
    """Ask for a job of some parts."""
    watch.wait(1)
    asks: dict[str, Any] = {f"part{number}": {"tile": "32TNM", "buffer": number} for number in range(parts)}
    job, made = new_job(user, {"asked": user}, asks, watch())
    store.create(job, made, **options)
    return job


def claim(store: JobStore, *, at_once: int = 100, per_user: int = 100) -> Claim:
    found = store.claim("me", 60, at_once=at_once, per_user=per_user)
    assert found is not None
    return found


def test_a_job_is_accepted_then_running_then_successful(store: JobStore, watch: Watch) -> None:
    job = add(store, watch, "ann", parts=2)
    assert store.get(job.id) == job
    watch.wait(5)
    first = claim(store)
    assert (first.user, first.part.name, first.part.ask, first.part.tries) == (
        "ann",
        "part0",
        {"tile": "32TNM", "buffer": 0},
        1,
    )
    begun = store.get(job.id)
    assert begun is not None
    assert (begun.status, begun.started, begun.updated, begun.progress) == ("running", watch(), watch(), 0)
    assert store.renew([(first, 50)], 60) == []
    assert [part.progress for part in store.parts(job.id)] == [50, 0]
    assert store.finish(first, "somewhere/0")
    half = store.get(job.id)
    assert half is not None
    assert (half.status, half.progress, half.parts_done, half.finished, half.expires) == ("running", 50, 1, None, None)
    watch.wait(5)
    assert store.finish(claim(store), "somewhere/1")
    done = store.get(job.id)
    assert done is not None
    assert (done.status, done.progress, done.parts_done) == ("successful", 100, 2)
    assert (done.finished, done.expires) == (watch(), watch() + KEEP)
    assert [(part.status, part.result) for part in store.parts(job.id)] == [
        ("successful", "somewhere/0"),
        ("successful", "somewhere/1"),
    ]


def test_jobs_survive_a_restart(url: str, watch: Watch) -> None:
    with closing(open_jobs(url, KEEP, watch)) as before:
        job = add(before, watch, "ann", parts=2)
        held = claim(before)
    with closing(open_jobs(url, KEEP, watch)) as after:
        assert claim(after).part.number == 1  # the first is still claimed
        assert after.claim("me", 60, at_once=9, per_user=9) is None
        watch.wait(60)
        again = [claim(after), claim(after)]
        assert sorted(one.part.number for one in again) == [0, 1]
        assert not after.finish(held, "late")  # another has it now
        assert after.renew([(held, 99), (again[0], 1)], 60) == [held]
        assert all(after.finish(one, f"{one.part.number}") for one in again)
        done = after.get(job.id)
        assert done is not None
        assert done.status == "successful"
        assert [part.result for part in after.parts(job.id)] == ["0", "1"]


def test_what_waits_and_whose_runner_fell_silent_is_counted(store: JobStore, watch: Watch) -> None:
    assert store.counts() == Counts(dict.fromkeys(STATUSES, 0), {"waiting": 0, "running": 0, "overdue": 0}, 0)
    add(store, watch, "ann", parts=3)
    claim(store)
    watch.wait(30)
    claim(store)
    watch.wait(30)
    counts = store.counts()
    assert counts.jobs == dict.fromkeys(STATUSES, 0) | {"running": 1}
    assert counts.parts == {"waiting": 1, "running": 1, "overdue": 1}
    assert counts.waiting_seconds == 60


def test_a_renewed_lease_does_not_run_out(store: JobStore, watch: Watch) -> None:
    add(store, watch, "ann")
    held = claim(store)
    for _ in range(3):
        watch.wait(59)
        assert store.renew([(held, 10)], 60) == []
        assert store.claim("other", 60, at_once=9, per_user=9) is None
    watch.wait(60)
    assert claim(store).part.tries == 2


def test_a_part_fails_with_the_last_try(store: JobStore, watch: Watch) -> None:
    job = add(store, watch, "ann", parts=2)
    for number in range(1, TRIES + 1):
        held = claim(store)
        assert (held.part.number, held.part.tries) == (0, number)
        assert store.give_back(held, "the worker died", failed=True)
    failed = store.get(job.id)
    assert failed is not None
    assert (failed.status, failed.expires) == ("failed", watch() + KEEP)
    assert failed.message == "part0: the worker died, at the last of 3 tries"
    assert [part.status for part in store.parts(job.id)] == ["failed", "dismissed"]
    assert store.claim("me", 60, at_once=9, per_user=9) is None


def test_a_part_whose_runners_fall_silent_again_and_again_fails(store: JobStore, watch: Watch) -> None:
    job = add(store, watch, "ann")
    for _ in range(TRIES):
        claim(store)
        watch.wait(60)
    assert store.claim("me", 60, at_once=9, per_user=9) is None
    failed = store.get(job.id)
    assert failed is not None
    assert (failed.status, failed.message) == ("failed", "part0: whoever did it fell silent at the last of 3 tries")


def test_a_part_that_is_given_back_in_order_loses_no_try(store: JobStore, watch: Watch) -> None:
    add(store, watch, "ann")
    for _ in range(TRIES + 1):
        held = claim(store)
        assert held.part.tries == 1
        assert store.give_back(held, "the service ends", failed=False)


def test_an_error_ends_the_job_at_once_and_is_one_line(store: JobStore, watch: Watch) -> None:
    job = add(store, watch, "ann")
    assert store.fail(claim(store), "no product\nin \0 2031 \ud800")
    failed = store.get(job.id)
    assert failed is not None
    assert failed.message == "part0: no product in 2031 ?"


def test_a_dismissed_job_is_over_for_its_runner_too(store: JobStore, watch: Watch) -> None:
    job = add(store, watch, "ann", parts=2)
    held = claim(store)
    dismissed = store.dismiss(job.id)
    assert dismissed is not None
    assert (dismissed.status, dismissed.expires) == ("dismissed", watch() + KEEP)
    assert store.renew([(held, 10)], 60) == [held]
    assert not store.finish(held, "late")
    assert not store.give_back(held, "late", failed=True)
    assert not store.fail(held, "late")
    assert store.claim("me", 60, at_once=9, per_user=9) is None
    assert store.get(job.id) == dismissed


def test_what_is_over_stays_as_it_ended(store: JobStore, watch: Watch) -> None:
    job = add(store, watch, "ann")
    store.finish(claim(store), "0")
    done = store.get(job.id)
    assert store.dismiss(job.id) == done
    assert store.dismiss("0" * 32) is None


def test_users_take_turns_whatever_they_ask_for(store: JobStore, watch: Watch) -> None:
    add(store, watch, "ann", parts=6)
    turns = [claim(store).user, claim(store).user]
    add(store, watch, "bob", parts=2)
    add(store, watch, "cid", parts=1)
    add(store, watch, "bob", parts=1)
    turns += [claim(store).user for _ in range(8)]
    assert turns == ["ann", "ann", "bob", "cid", "ann", "bob", "ann", "bob", "ann", "ann"]


def test_no_more_parts_run_than_permitted(store: JobStore, watch: Watch) -> None:
    add(store, watch, "ann", parts=4)
    add(store, watch, "bob", parts=4)
    held = [claim(store, at_once=3, per_user=2) for _ in range(3)]
    assert Counter(one.user for one in held) == {"ann": 2, "bob": 1}
    assert store.claim("me", 60, at_once=3, per_user=2) is None
    store.finish(next(one for one in held if one.user == "bob"), "0")
    assert claim(store, at_once=3, per_user=2).user == "bob"  # ann has two


def test_a_user_can_have_so_many_jobs_and_no_more(store: JobStore, watch: Watch) -> None:
    first = add(store, watch, "ann", per_user=2)
    add(store, watch, "ann", per_user=2)
    with pytest.raises(TooManyJobsError, match="2 jobs are waiting or running, and 2 are permitted"):
        add(store, watch, "ann", per_user=2)
    add(store, watch, "bob", per_user=2)
    store.dismiss(first.id)
    add(store, watch, "ann", per_user=2)


def test_a_users_jobs_are_listed_newest_first_page_by_page(store: JobStore, watch: Watch) -> None:
    made = [add(store, watch, "ann").id for _ in range(5)][::-1]
    other = add(store, watch, "bob").id
    store.dismiss(made[3])
    assert [job.id for job in store.jobs_of("ann")] == made
    assert [job.id for job in store.jobs_of("ann", limit=2, after=made[1])] == made[2:4]
    assert [job.id for job in store.jobs_of("ann", status="dismissed")] == [made[3]]
    assert store.jobs_of("ann", after=other) == []  # another's is no place to go on from


def test_jobs_expire_and_are_removed_with_their_parts(store: JobStore, watch: Watch) -> None:
    waiting = add(store, watch, "bob")
    job = add(store, watch, "ann")
    store.dismiss(job.id)
    assert store.expired() == []
    watch.wait(KEEP.total_seconds())
    assert [one.id for one in store.expired()] == [job.id]
    assert store.remove(job.id)
    assert (store.get(job.id), store.parts(job.id), store.remove(job.id)) == (None, [], False)
    assert not store.remove(waiting.id)  # it is not over


def test_two_services_never_get_the_same_part(url: str, watch: Watch) -> None:
    with closing(open_jobs(url, KEEP, watch)) as one, closing(open_jobs(url, KEEP, watch)) as other:
        add(one, watch, "ann", parts=24)
        found: list[int] = []

        def work(store: JobStore) -> None:
            while (held := store.claim("me", 60, at_once=100, per_user=100)) is not None:
                found.append(held.part.number)

        threads = [threading.Thread(target=work, args=(store,)) for store in (one, other, one)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(found) == list(range(24))


def test_without_a_clock_the_databases_is_used(url: str) -> None:
    with closing(open_jobs(url, KEEP)) as store:
        job, parts = new_job("ann", {}, {"a": {"tile": "32TNM"}}, datetime.now(UTC))
        store.create(job, parts)
        store.finish(claim(store), "0")
        done = store.get(job.id)
        assert done is not None
        assert done.finished is not None
        assert abs(done.finished - datetime.now(UTC)) < timedelta(minutes=5)


def test_a_lost_connection_is_replaced(postgres: Any, watch: Watch) -> None:
    with new_database(postgres, "template1") as url, closing(open_jobs(url, KEEP, watch)) as store:
        job = add(store, watch, "ann")
        end = (
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = 'abut-jobs' AND datname = current_database()"
        )
        with psycopg.connect(url) as connection:
            connection.execute(end)
        assert store.get(job.id) == job


def test_what_is_no_store_of_jobs_is_refused(tmp_path: Path) -> None:
    text, other = tmp_path / "text", tmp_path / "other.sqlite"
    text.write_text("not a database, but long enough to be taken for the beginning of one" * 20)
    with closing(sqlite3.connect(other)) as connection:
        connection.execute("CREATE TABLE mine (x)")
    for url, why in (
        (str(text), "not a database"),
        (str(other), "a database, but not one of jobs"),
        (str(tmp_path / "none" / "jobs.sqlite"), "unable to open"),
        ("postgresql://u:secret@127.0.0.1:1/jobs", "jobs in postgresql://u@127.0.0.1:1/jobs: "),
    ):
        with pytest.raises(JobStoreError, match=why) as refused:
            open_jobs(url, KEEP)
        assert "secret" not in str(refused.value)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(st.tuples(st.integers(0, 5), st.integers(1, 9)), st.none()), min_size=5, max_size=80))
def test_nobody_waits_for_more_parts_than_there_are_users(events: list[tuple[int, int] | None]) -> None:
    """Requests of some users come in between hand-outs, in any order and of any size."""
    users = {f"user{event[0]}" for event in events if event}
    parts: Counter[str] = Counter()
    served: dict[str, int] = {}
    since: dict[str, int] = {}
    handed_out = 0
    for event in [*events, *([None] * 40)]:
        if event is not None:
            user = f"user{event[0]}"
            parts[user] += event[1]
            since.setdefault(user, handed_out)
            continue
        turn = next_user([Waiting(one, served.get(one, 0), since[one]) for one in sorted(since)], per_user=1)
        if turn is None:
            assert not since
            continue
        handed_out += 1
        assert handed_out - since[turn] <= len(users)
        served[turn] = handed_out
        parts[turn] -= 1
        del since[turn]
        if parts[turn]:
            since[turn] = handed_out
    assert all(handed_out - began < len(users) for began in since.values())
