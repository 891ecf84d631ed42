"""A service whose store or database is silent while it starts: it ends when it is told to, and starts when it can."""

from __future__ import annotations

import asyncio
import threading
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from abut.errors import InvalidArchiveError
from services import waiting as waits
from services.settings import load_settings
from services.waiting import waiting

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from starlette.requests import Request
    from starlette.types import ASGIApp


@pytest.fixture
def silent() -> Iterator[threading.Event]:
    """What a store waits for before it says anything."""
    event = threading.Event()
    yield event
    event.set()


async def fine(_: Request) -> PlainTextResponse:
    return PlainTextResponse("fine")


def made() -> ASGIApp:
    return Starlette(routes=[Route("/", fine)])


@asynccontextmanager
async def living(make: Callable[[], ASGIApp]) -> AsyncIterator[httpx.AsyncClient]:
    """Run an application as servers do; it may not take long to start, nor to end."""
    app = waiting(make, load_settings(archive="x", metrics=False), patience=0.05)
    asked: asyncio.Queue[Any] = asyncio.Queue()
    told: asyncio.Queue[Any] = asyncio.Queue()
    task = asyncio.ensure_future(app({"type": "lifespan"}, asked.get, told.put))
    for what in ("startup", "shutdown"):
        await asked.put({"type": f"lifespan.{what}"})
        async with asyncio.timeout(5):
            assert (await told.get())["type"] == f"lifespan.{what}.complete"
        if what == "startup":
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://abut") as client:
                yield client
    await task


def test_it_ends_at_once_while_the_store_is_silent(silent: threading.Event) -> None:
    def make() -> ASGIApp:
        silent.wait(60)
        return made()

    async def call() -> None:
        async with living(make) as client:
            assert (await client.get("/healthz")).status_code == 200
            assert (await client.get("/")).status_code == 503

    asyncio.run(call())
    assert not silent.is_set()


def test_what_a_silent_store_says_late_is_tried_again_whatever_it_is(
    silent: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An operator puts the bucket right, and the service starts by itself."""
    monkeypatch.setattr(waits, "PAUSES", (0.01,))
    tries = []

    def make() -> ASGIApp:
        tries.append(silent.wait(60))
        if len(tries) < 3:
            raise InvalidArchiveError("s3://bucket/l1c: not an archive")
        return made()

    async def call() -> None:
        async with living(make) as client:
            assert (await client.get("/readyz")).status_code == 503
            silent.set()
            async with asyncio.timeout(5):
                while (await client.get("/")).status_code == 503:  # noqa: ASYNC110 - a client can only ask
                    await asyncio.sleep(0.01)

    asyncio.run(call())
    assert len(tries) == 3
