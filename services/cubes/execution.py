"""Work that requests wait for: in a bounded number of threads, for a bounded time, by a bounded number per user."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from services.cubes.answers import RefusedError
from services.metrics import metrics

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

_LOOKS: Final = 0.5
"""Seconds between looks at whether a client is still there."""


class StoppedError(Exception):
    """Work was given up because nobody waits for it any longer."""


@dataclass(frozen=True, slots=True)
class Stop:
    """Tells work to end."""

    event: threading.Event = field(default_factory=threading.Event)
    """Set when nobody waits any longer."""

    def check(self, *_: Any) -> None:
        """Raise `StoppedError` if nobody waits any longer."""
        if self.event.is_set():
            raise StoppedError


class Workshop:
    """Threads for work that requests wait for.

    Parameters
    ----------
    threads : int
        How much is done at once.
    waiting : int
        How many requests may wait for a thread; further ones are refused (503).
    per_user : int
        How many requests of one user may be under way; further ones are refused (429).
    seconds : float
        How long a request may take (503).
    name : str
        Its name in the metrics.
    hint : str
        What a user may do who asked for what takes longer.
    """

    def __init__(
        self,
        *,
        threads: int,
        waiting: int,
        per_user: int,
        seconds: float,
        name: str,
        hint: str = "ask for less, or for a job: Prefer: respond-async",
    ) -> None:
        self._threads, self._waiting, self._per_user, self._seconds = threads, waiting, per_user, seconds
        self._hint, self._name = hint, name
        self._pool = ThreadPoolExecutor(threads, "abut-cubes")
        self._users: Counter[str] = Counter()

    async def run[T](
        self, request: Request, user: str, work: Callable[[Stop], T], discard: Callable[[T], None] = lambda _: None
    ) -> T:
        """Do work that a request waits for.

        It is told to stop when the time is over or the client goes away; what it made nevertheless is discarded. A
        thread is free again when the work has really ended, and so is the user's place.

        Raises
        ------
        RefusedError
            If there is too much to do, or it takes too long.
        """
        if self._users[user] >= self._per_user:
            raise self._refused(
                429, f"{self._users[user]} of your requests are under way, which is the limit; try again"
            )
        if self._users.total() >= self._threads + self._waiting:
            raise self._refused(503, f"{self._users.total()} requests are under way, which is the limit; try again")
        stop = Stop()
        self._users[user] += 1
        metrics().queued.labels(self._name).inc()
        future = asyncio.get_running_loop().run_in_executor(self._pool, copy_context().run, _begun, work, stop)
        future.add_done_callback(lambda _: self._ended(user))
        try:
            return await self._answer(request, future)
        except BaseException:
            stop.event.set()
            future.add_done_callback(lambda done: _left(done, discard))
            raise

    def close(self) -> None:
        """End the threads; what is done in them is told to stop by those who wait."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _answer[T](self, request: Request, future: asyncio.Future[T]) -> T:
        try:
            async with asyncio.timeout(self._seconds):
                while not (await asyncio.wait({future}, timeout=_LOOKS))[0]:
                    if await request.is_disconnected():
                        raise RefusedError(503, "the client is gone")
        except TimeoutError:
            raise self._refused(503, f"it takes longer than {self._seconds:g} s; {self._hint}") from None
        return await future

    def _refused(self, status: int, reason: str) -> RefusedError:
        metrics().refused.labels(self._name, str(status)).inc()
        return RefusedError(status, reason)

    def _ended(self, user: str) -> None:
        metrics().queued.labels(self._name).dec()
        self._users[user] -= 1
        if self._users[user] <= 0:
            del self._users[user]


def _begun[T](work: Callable[[Stop], T], stop: Stop) -> T:
    stop.check()
    return work(stop)


def _left[T](done: asyncio.Future[T], discard: Callable[[T], None]) -> None:
    """Discard what nobody waits for any longer; an error was told, or is of no interest."""
    if not done.cancelled() and done.exception() is None:
        discard(done.result())
