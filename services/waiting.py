"""A service that starts before its store and its database do: it waits for them, and says so.

What can be put right without this process, a server that does not answer, is waited for: until then ``/healthz`` is
200, ``/readyz`` 503 and everything else 503 too. What an operator has to put right, a wrong password or an archive
that is not there, ends the service at its start, in one line.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from starlette.applications import Starlette
from starlette.routing import Mount

from abut.errors import CatalogueError
from abut.messages import describe
from services.answers import problem
from services.cubes.jobs import JobStoreError
from services.health import health_routes
from services.logs import with_logs
from services.metrics import measured, metrics, metrics_route
from services.passing import passes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from starlette.types import ASGIApp, Receive, Scope, Send

    from services.settings import Settings

PATIENCE: Final = 15.0
"""Seconds after which a start goes on without knowing whether store and database answer."""

PATIENCE_CHECKED: Final = 60.0
"""The same where both answered a moment before: then it is the machine that is slow, and clients had better wait."""

PAUSES: Final = (1.0, 2.0, 5.0, 10.0)
"""Seconds between tries; the last of them between all further ones."""

_LOG: Final = logging.getLogger("abut.services")


def tried(work: Callable[[], object], seconds: float = PATIENCE) -> bool:
    """Do something that needs store or database; return whether it is done, or did not succeed for now.

    Parameters
    ----------
    work : callable
        What to do; it may be left to itself if it takes too long.
    seconds : float
        How long to wait for it.

    Raises
    ------
    Exception
        What it raises, unless that `passes`.
    """
    outcome: list[BaseException | None] = []

    def run() -> None:
        try:
            work()
            outcome.append(None)
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that waits
            outcome.append(error)

    thread = threading.Thread(target=run, name="abut-start", daemon=True)
    thread.start()
    thread.join(seconds)
    error = outcome[0] if outcome else TimeoutError(f"no answer within {seconds:g} seconds")
    if error is None:
        return True
    if not passes(error):
        raise error
    return False


def waiting(make: Callable[[], ASGIApp], settings: Settings, patience: float = PATIENCE) -> ASGIApp:
    """Return an application that is another one as soon as that can be made.

    Parameters
    ----------
    make : callable
        Makes the application, in a thread; its errors that `passes` mean that it is tried again.
    settings : Settings
        What the operator decided.
    patience : float
        Seconds after which the start goes on without it; until then clients wait.
    """
    keeper = _Keeper(make, patience)
    meanwhile = _meanwhile(keeper, settings)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await keeper.live(receive, send)
        else:
            await (keeper.app or meanwhile)(scope, receive, send)

    return app


class _Keeper:
    """Makes an application, starts and ends it."""

    def __init__(self, make: Callable[[], ASGIApp], patience: float) -> None:
        self._make, self._patience = make, patience
        self.app: ASGIApp | None = None
        self.error: BaseException | None = None

    async def live(self, receive: Receive, send: Send) -> None:
        """Follow the protocol of lifespans: ready as soon as it is known that the application will be."""
        await receive()
        known, ending = asyncio.Event(), asyncio.Event()
        task = asyncio.create_task(self._keep(known, ending))
        waits = asyncio.create_task(known.wait())
        await asyncio.wait({task, waits}, timeout=self._patience, return_when=asyncio.FIRST_COMPLETED)
        waits.cancel()
        if task.done() and (error := task.exception()) is not None:
            await send({"type": "lifespan.startup.failed", "message": describe(error)})
            return
        known.set()  # nobody would see it end now: whatever goes wrong from here on is tried again
        await send({"type": "lifespan.startup.complete"})
        await receive()
        ending.set()
        if self.app is None:
            task.cancel()  # a store that is silent may stay so for minutes
        await asyncio.wait({task})
        if not task.cancelled() and (error := task.exception()) is not None:
            await send({"type": "lifespan.shutdown.failed", "message": describe(error)})
        else:
            await send({"type": "lifespan.shutdown.complete"})

    async def _keep(self, known: asyncio.Event, ending: asyncio.Event) -> None:
        """Make the application, however often that takes, and run it to the end."""
        async with AsyncExitStack() as stack:
            tries = 0
            while self.app is None:
                try:
                    app = await _aside(self._make)
                    await stack.enter_async_context(_started(app))
                except Exception as error:
                    if not known.is_set() and not passes(error):
                        raise
                    self._note(error)
                else:
                    self._note(None)
                    self.app = app
                known.set()
                if self.app is None and await _within(ending.wait(), PAUSES[min(tries, len(PAUSES) - 1)]):
                    return
                tries += 1
            await ending.wait()

    def _note(self, error: BaseException | None) -> None:
        before, self.error = self.error, error
        if error is not None:
            _LOG.error("not started yet: %s", describe(error))
        elif before is not None:
            metrics().ready.labels(what_fails(before)).set(1)
            _LOG.info("store and catalogue answer: started")


def what_fails(error: BaseException) -> str:
    """Return by which name probes call what an error is about."""
    return "catalogue" if isinstance(error, CatalogueError | JobStoreError) else "store"


async def _aside[T](work: Callable[[], T]) -> T:
    """Do something in a thread that keeps no process from its end, unlike those of `asyncio.to_thread`."""
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[T] = loop.create_future()

    def run() -> None:
        try:
            tell = partial(outcome.set_result, work())
        except BaseException as error:  # noqa: BLE001 - raised again where it is awaited
            tell = partial(outcome.set_exception, error)
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(lambda: outcome.done() or tell())

    threading.Thread(target=run, name="abut-start", daemon=True).start()
    return await outcome


async def _within(work: Awaitable[object], seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await work
    except TimeoutError:
        return False
    return True


@asynccontextmanager
async def _started(app: ASGIApp) -> AsyncIterator[None]:
    """Run an application's lifespan, whatever it is wrapped in; what it raises is raised here."""
    asked: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    told: asyncio.Queue[Any] = asyncio.Queue()

    async def run() -> None:
        await app({"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, asked.get, told.put)

    async def say(what: str) -> None:
        await asked.put({"type": f"lifespan.{what}"})
        answer = asyncio.create_task(told.get())
        await asyncio.wait({answer, task}, return_when=asyncio.FIRST_COMPLETED)
        if not answer.done() or not answer.result()["type"].endswith("complete"):
            answer.cancel()
            await task  # which raises what went wrong

    task = asyncio.create_task(run())
    await say("startup")
    try:
        yield
    finally:
        await say("shutdown")
        await task


def _meanwhile(keeper: _Keeper, settings: Settings) -> ASGIApp:
    """Return what answers until then."""

    async def probe() -> None:
        if keeper.error is not None:
            raise keeper.error
        raise ConnectionError("not started yet")

    async def look() -> None:
        if keeper.error is not None:
            metrics().ready.labels(what_fails(keeper.error)).set(0)

    async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
        answer = problem(503, "the archive does not answer yet; try again", {"retry-after": "5"})
        await answer(scope, receive, send)

    token = settings.metrics_token.get_secret_value() if settings.metrics_token else None
    told = [metrics_route(token, [look])] if settings.metrics else []
    app = with_logs(Starlette(routes=[*health_routes({"archive": probe}), *told, Mount("/", refuse)]))
    return measured(app, ["/healthz", "/readyz", "/metrics"]) if settings.metrics else app
