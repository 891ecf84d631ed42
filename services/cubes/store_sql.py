"""The store of jobs in any SQL database: its tables, and what happens to them.

Times are whole microseconds since 1970. Whatever changes something is one transaction, and these exclude each other.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Protocol

from services.cubes.jobs import OPEN, STATUSES, TRIES, Claim, Counts, Job, Part, TooManyJobsError
from services.cubes.queue import Waiting, next_user

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from services.cubes.jobs import Clock, Status

    type Run = Callable[..., list[tuple[Any, ...]]]
    """Runs a statement, with ``?`` for each parameter that follows, and returns its rows."""

VERSION: Final = 1
"""Version of the tables."""

TABLES: Final = (
    """CREATE TABLE jobs (
        id TEXT PRIMARY KEY, owner TEXT NOT NULL, process TEXT NOT NULL, inputs TEXT NOT NULL, status TEXT NOT NULL,
        progress INTEGER NOT NULL, message TEXT NOT NULL, created BIGINT NOT NULL, started BIGINT, finished BIGINT,
        updated BIGINT NOT NULL, expires BIGINT, result TEXT, parts INTEGER NOT NULL, parts_done INTEGER NOT NULL
    )""",
    "CREATE INDEX jobs_by_owner ON jobs (owner, created, id)",
    "CREATE INDEX jobs_by_expiry ON jobs (expires)",
    """CREATE TABLE parts (
        job TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE, number INTEGER NOT NULL, name TEXT NOT NULL,
        ask TEXT NOT NULL, status TEXT NOT NULL, progress INTEGER NOT NULL, tries INTEGER NOT NULL, result TEXT,
        message TEXT NOT NULL, owner TEXT NOT NULL, created BIGINT NOT NULL, worker TEXT, token TEXT UNIQUE,
        lease BIGINT, PRIMARY KEY (job, number)
    )""",
    "CREATE INDEX parts_by_turn ON parts (status, owner, created, job, number)",
    "CREATE TABLE users (id TEXT PRIMARY KEY, served BIGINT NOT NULL)",
)
"""Statements that make the tables."""

_JOB: Final = (
    "id, owner, inputs, process, status, progress, message, created, started, finished, updated, expires, result, "
    "parts, parts_done"
)
_PART: Final = "job, number, name, ask, status, progress, tries, result, message"
_ONE_JOB: Final = f"SELECT {_JOB} FROM jobs WHERE id = ?"  # noqa: S608 - of constants
_EXPIRED: Final = f"SELECT {_JOB} FROM jobs WHERE expires <= ? ORDER BY expires, id LIMIT ?"  # noqa: S608 - as above
_PARTS: Final = f"SELECT {_PART} FROM parts WHERE job = ? ORDER BY number"  # noqa: S608 - as above
_TURN: Final = (
    "SELECT job, number FROM parts WHERE status = 'waiting' AND owner = ? ORDER BY created, job, number LIMIT 1"
)
_BEGUN: Final = "status = 'running', tries = tries + 1, progress = 0, worker = ?, token = ?, lease = ?"
_CLAIM: Final = f"UPDATE parts SET {_BEGUN} WHERE (job, number) = ({_TURN}) RETURNING {_PART}"  # noqa: S608 - as above
_UNDER_WAY: Final = (
    "SELECT CASE WHEN status = 'running' AND lease <= ? THEN 'overdue' ELSE status END AS state, count(*) FROM parts "
    "WHERE status IN ('waiting', 'running') GROUP BY state"
)
_LONGEST: Final = 1_000
"""Characters of a message that are kept."""


class Database(Protocol):
    """A database with the tables."""

    def read(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Return the rows of a statement that changes nothing."""

    def transaction(self) -> AbstractContextManager[Run]:
        """Exclude all others who change something; all or nothing is kept."""

    def now(self) -> datetime:
        """Return the time on the database's clock."""

    def close(self) -> None:
        """Close it."""


@dataclass(frozen=True, slots=True)
class SqlJobStore:
    """Jobs in a database, see `services.cubes.jobs.JobStore`."""

    database: Database
    """The database."""
    keep: timedelta
    """How long a job that is over is kept, and its results."""
    clock: Clock | None = None
    """Tells the time; None: the database's, which is the same for all who use it."""

    def create(self, job: Job, parts: Sequence[Part], *, per_user: int | None = None) -> None:
        """Add a job; TooManyJobsError if the user has as many as permitted."""
        with self.database.transaction() as run:
            states = "SELECT count(*) FROM jobs WHERE owner = ? AND status IN (?, ?)"
            unfinished = run(states, job.user, *OPEN)[0][0]
            if per_user is not None and unfinished >= per_user:
                raise TooManyJobsError(f"{unfinished} jobs are waiting or running, and {per_user} are permitted")
            created = _stamp(job.created)
            start = (job.id, job.user, job.process, json.dumps(job.inputs), created, created, len(parts))
            run(
                "INSERT INTO jobs (id, owner, process, inputs, status, progress, message, created, updated, parts, "
                "parts_done) VALUES (?, ?, ?, ?, 'accepted', 0, '', ?, ?, ?, 0)",
                *start,
            )
            for part in parts:
                run(
                    "INSERT INTO parts (job, number, name, ask, status, progress, tries, message, owner, created) "
                    "VALUES (?, ?, ?, ?, 'waiting', 0, 0, '', ?, ?)",
                    *(job.id, part.number, part.name, json.dumps(part.ask), job.user, created),
                )
            run("INSERT INTO users VALUES (?, 0) ON CONFLICT DO NOTHING", job.user)

    def get(self, job_id: str) -> Job | None:
        """Return a job, or None if there is none."""
        found = self.database.read(_ONE_JOB, job_id)
        return _job(found[0]) if found else None

    def parts(self, job_id: str) -> list[Part]:
        """Return the parts of a job, by number; none if there is no such job."""
        return [_part(row) for row in self.database.read(_PARTS, job_id)]

    def jobs_of(
        self, user: str, *, status: Status | None = None, limit: int = 100, after: str | None = None
    ) -> list[Job]:
        """Return a user's jobs, newest first; those that follow the job `after`."""
        where, given = ["owner = ?"], [user]
        if status is not None:
            where.append("status = ?")
            given.append(status)
        if after is not None:
            where.append("(created, id) < (SELECT created, id FROM jobs WHERE id = ? AND owner = ?)")
            given += [after, user]
        wanted = f"SELECT {_JOB} FROM jobs WHERE {' AND '.join(where)} ORDER BY created DESC, id DESC LIMIT ?"  # noqa: S608 - as above
        return [_job(row) for row in self.database.read(wanted, *given, limit)]

    def counts(self) -> Counts:
        """Count the jobs of all users, and their parts that wait or run."""
        jobs: dict[str, int] = dict.fromkeys(STATUSES, 0)
        jobs |= dict(self.database.read("SELECT status, count(*) FROM jobs GROUP BY status"))
        now = self._now()
        parts = {"waiting": 0, "running": 0, "overdue": 0}
        parts |= dict(self.database.read(_UNDER_WAY, now))
        (oldest,) = self.database.read("SELECT min(created) FROM parts WHERE status = 'waiting'")[0]
        return Counts(jobs, parts, 0 if oldest is None else max(0, now - oldest) / 1_000_000)

    def dismiss(self, job_id: str) -> Job | None:
        """End a job that is not over, and return it as it then is; None if there is none."""
        with self.database.transaction() as run:
            if run("SELECT 1 FROM jobs WHERE id = ? AND status IN (?, ?)", job_id, *OPEN):
                self._end(run, job_id, "dismissed", "dismissed by its user")
            found = run(_ONE_JOB, job_id)
        return _job(found[0]) if found else None

    def claim(self, worker: str, lease_seconds: float, *, at_once: int, per_user: int) -> Claim | None:
        """Hand out the part whose turn it is; None if there is none for now."""
        with self.database.transaction() as run:
            now = self._now()
            self._take_back(run, now)
            if run("SELECT count(*) FROM parts WHERE status = 'running'")[0][0] >= at_once:
                return None
            user = next_user(_waiting(run), per_user=per_user)
            if user is None:
                return None
            token = secrets.token_hex(16)
            (row,) = run(_CLAIM, worker, token, now + _micros(lease_seconds), user)
            part = _part(row)
            run("UPDATE users SET served = (SELECT max(served) + 1 FROM users) WHERE id = ?", user)
            run(
                "UPDATE jobs SET status = 'running', started = coalesce(started, ?), updated = ? WHERE id = ?",
                *(now, now, part.job),
            )
        return Claim(part=part, user=user, token=token)

    def renew(self, held: Sequence[tuple[Claim, int]], lease_seconds: float) -> list[Claim]:
        """Go on with some parts; returns the claims that are lost."""
        lost = []
        with self.database.transaction() as run:
            now = self._now()
            lease = now + _micros(lease_seconds)
            mine = "UPDATE parts SET lease = ?, progress = ? WHERE token = ? RETURNING 1"
            for claim, progress in held:
                if not run(mine, lease, progress, claim.token):
                    lost.append(claim)
            for job in sorted({claim.part.job for claim, _ in held if claim not in lost}):
                self._count(run, job, now)
        return lost

    def finish(self, claim: Claim, result: str) -> bool:
        """Note that a part is complete, and the job if all are; False if it is no longer claimed by this."""
        with self.database.transaction() as run:
            done = "UPDATE parts SET status = 'successful', progress = 100, result = ?, token = NULL, message = ''"
            held = run(f"{done} WHERE token = ? RETURNING 1", result, claim.token)
            if held:
                self._count(run, claim.part.job, self._now())
        return bool(held)

    def give_back(self, claim: Claim, message: str, *, failed: bool) -> bool:
        """Let a part be done by another; after `TRIES` tries that count it has failed. False as `finish`."""
        if failed and claim.part.tries >= TRIES:
            return self.fail(claim, f"{message}, at the last of {TRIES} tries")
        with self.database.transaction() as run:
            back = "UPDATE parts SET status = 'waiting', progress = 0, token = NULL, message = ?, tries = tries - ?"
            return bool(run(f"{back} WHERE token = ? RETURNING 1", _text(message), 0 if failed else 1, claim.token))

    def fail(self, claim: Claim, message: str) -> bool:
        """Note that a part, and so its job, has failed and will again; False as `finish`."""
        with self.database.transaction() as run:
            over = "UPDATE parts SET status = 'failed', token = NULL, message = ?"
            held = run(f"{over} WHERE token = ? RETURNING 1", _text(message), claim.token)
            if held:
                self._end(run, claim.part.job, "failed", f"{claim.part.name}: {message}")
        return bool(held)

    def expired(self, limit: int = 100) -> list[Job]:
        """Return jobs that are to be deleted by now, the longest overdue first."""
        return [_job(row) for row in self.database.read(_EXPIRED, self._now(), limit)]

    def remove(self, job_id: str) -> bool:
        """Delete a job that is over; return whether there was one."""
        with self.database.transaction() as run:
            gone = run("DELETE FROM jobs WHERE id = ? AND status NOT IN (?, ?) RETURNING owner", job_id, *OPEN)
            for (user,) in gone:
                run("DELETE FROM users WHERE id = ? AND NOT EXISTS (SELECT 1 FROM jobs WHERE owner = ?)", user, user)
        return bool(gone)

    def close(self) -> None:
        """Close connections; what was written stays."""
        self.database.close()

    def _now(self) -> int:
        return _stamp(self.clock() if self.clock else self.database.now())

    def _take_back(self, run: Run, now: int) -> None:
        """Let parts be done by others whose lease ran out; those that had their last try have failed."""
        overdue = "FROM parts WHERE status = 'running' AND lease <= ?"
        for job, number, name in run(f"SELECT job, number, name {overdue} AND tries >= ?", now, TRIES):
            why = f"whoever did it fell silent at the last of {TRIES} tries"
            over = "UPDATE parts SET status = 'failed', token = NULL, message = ? WHERE job = ? AND number = ?"
            run(over, why, job, number)
            self._end(run, job, "failed", f"{name}: {why}")
        back = "UPDATE parts SET status = 'waiting', progress = 0, token = NULL, message = ?"
        run(f"{back} WHERE status = 'running' AND lease <= ?", "whoever did it fell silent", now)

    def _end(self, run: Run, job_id: str, status: Status, message: str) -> None:
        now = self._now()
        run(
            "UPDATE jobs SET status = ?, message = ?, finished = ?, updated = ?, expires = ? "
            "WHERE id = ? AND status IN (?, ?)",
            *(status, _text(message), now, now, now + _micros(self.keep.total_seconds()), job_id, *OPEN),
        )
        dropped = (
            "UPDATE parts SET status = 'dismissed', token = NULL WHERE job = ? AND status IN ('waiting', 'running')"
        )
        run(dropped, job_id)

    def _count(self, run: Run, job_id: str, now: int) -> None:
        """Bring a job up to date with its parts."""
        done, total, percent = run(
            "SELECT sum(CASE WHEN status = 'successful' THEN 1 ELSE 0 END), count(*), sum(progress) FROM parts "
            "WHERE job = ?",
            job_id,
        )[0]
        if done == total:
            run(
                "UPDATE jobs SET status = 'successful', progress = 100, parts_done = ?, result = id, message = '', "
                "finished = ?, updated = ?, expires = ? WHERE id = ?",
                *(done, now, now, now + _micros(self.keep.total_seconds()), job_id),
            )
            return
        progress = min(99, int(percent) // total)
        run(
            "UPDATE jobs SET progress = ?, parts_done = ?, updated = ? "
            "WHERE id = ? AND (progress <> ? OR parts_done <> ?)",
            *(progress, done, now, job_id, progress, done),
        )


def _waiting(run: Run) -> list[Waiting]:
    """Return the users with parts that wait; by user, since each has thousands of them."""
    waits = "FROM parts w WHERE w.status = 'waiting' AND w.owner = u.id"
    rows = run(
        f"SELECT u.id, u.served, (SELECT min(w.created) {waits}), "  # noqa: S608 - of constants
        "(SELECT count(*) FROM parts r WHERE r.status = 'running' AND r.owner = u.id) "
        f"FROM users u WHERE EXISTS (SELECT 1 {waits})"
    )
    return [Waiting(*row) for row in rows]


def _job(row: tuple[Any, ...]) -> Job:
    identity, user, inputs, process, status, progress, message, *times, result, parts, done = row
    created, started, finished, updated, expires = map(_time, times)
    assert created is not None and updated is not None  # noqa: S101, PT018 - the table says so
    return Job(
        id=identity,
        user=user,
        inputs=json.loads(inputs),
        process=process,
        status=status,
        progress=progress,
        message=message,
        created=created,
        started=started,
        finished=finished,
        updated=updated,
        expires=expires,
        result=result,
        parts=parts,
        parts_done=done,
    )


def _part(row: tuple[Any, ...]) -> Part:
    job, number, name, ask, status, progress, tries, result, message = row
    return Part(
        job=job,
        number=number,
        name=name,
        ask=json.loads(ask),
        status=status,
        progress=progress,
        tries=tries,
        result=result,
        message=message,
    )


def _text(message: str) -> str:
    """Return a message as one line that every database takes."""
    line = " ".join(message.replace("\0", " ").split())[:_LONGEST]
    return line.encode("utf-8", "replace").decode()


def _stamp(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def _micros(seconds: float) -> int:
    return round(seconds * 1_000_000)


def _time(stamp: int | None) -> datetime | None:
    return None if stamp is None else datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=stamp)
