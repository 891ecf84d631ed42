"""Abut's whole service as an application in this process, and what it answers; imports nothing else of weight."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from abut.errors import AbutError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from types import TracebackType

    from starlette.types import ASGIApp


class RefusedError(AbutError):
    """The service did not answer as it had to."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the service answered."""

    status: int
    """Status of HTTP."""
    headers: Mapping[str, str]
    """Headers, names in lower case."""
    body: bytes
    """The body."""


class Service:
    """The whole service as an application in this process; a context manager, whose lifespan runs meanwhile."""

    def __init__(self, archive: str, **settings: Any) -> None:
        from services.app import create_app  # noqa: PLC0415 - heavy: its import is measured
        from services.settings import load_settings  # noqa: PLC0415 - as above

        self._app: ASGIApp = create_app(load_settings(archive=archive, log_level="ERROR", **settings))
        self._loop = asyncio.new_event_loop()
        self._end = asyncio.Event()
        self._life: asyncio.Task[None] | None = None

    def __enter__(self) -> Self:
        self._loop.run_until_complete(self._start())
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._end.set()
        if self._life is not None:
            self._loop.run_until_complete(self._life)
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Answer:
        """Ask for a path, and return the answer whatever it is."""
        return self._loop.run_until_complete(self._ask(path, headers or {}))

    def picture(self, path: str, sent: bytes | None = None) -> bytes:
        """Ask for a path that has to be answered with 200, or 204 for nothing.

        Parameters
        ----------
        path : str
            Path and query.
        sent : bytes, optional
            JSON that is posted; None: it is a GET.

        Raises
        ------
        RefusedError
            If it is not.
        """
        return _good(path, self._loop.run_until_complete(self._ask(path, {}, sent)))

    def many(self, paths: Iterable[str], clients: int) -> None:
        """Ask for paths with several clients at once; errors as `picture`."""
        self._loop.run_until_complete(self._many(list(paths), clients))

    async def _many(self, paths: list[str], clients: int) -> None:
        left = iter(paths)

        async def client() -> None:
            for path in left:
                _good(path, await self._ask(path, {}))

        await asyncio.gather(*(client() for _ in range(clients)))

    async def _start(self) -> None:
        started = asyncio.Event()

        async def receive() -> dict[str, Any]:
            if not started.is_set():
                return {"type": "lifespan.startup"}
            await self._end.wait()
            return {"type": "lifespan.shutdown"}

        failed = []

        async def send(message: Any) -> None:
            if message["type"].endswith("failed"):
                failed.append(str(message.get("message")))
            started.set()

        async def live() -> None:
            await self._app({"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, receive, send)

        self._life = asyncio.create_task(live())
        await started.wait()
        if failed:
            raise RefusedError(f"it does not start: {failed[0]}")

    async def _ask(self, path: str, headers: Mapping[str, str], sent: bytes | None = None) -> Answer:
        told = {"host": "127.0.0.1", "accept-encoding": "identity", **headers}
        if sent is not None:
            told |= {"content-type": "application/json", "content-length": str(len(sent))}
        bare, _, query = path.partition("?")
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": "GET" if sent is None else "POST",
            "scheme": "http",
            "path": bare,
            "raw_path": bare.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(name.encode(), value.encode()) for name, value in told.items()],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
            "state": {},
        }
        status, found, parts = 0, {}, []
        asked, over = False, asyncio.Event()

        async def receive() -> dict[str, Any]:
            nonlocal asked
            if asked:
                await over.wait()
                return {"type": "http.disconnect"}
            asked = True
            return {"type": "http.request", "body": sent or b"", "more_body": False}

        async def send(message: Any) -> None:
            nonlocal status, found
            if message["type"] == "http.response.start":
                status = message["status"]
                found = {name.decode().lower(): value.decode() for name, value in message["headers"]}
            elif message["type"] == "http.response.body":
                parts.append(message.get("body", b""))
                if not message.get("more_body", False):
                    over.set()

        await self._app(scope, receive, send)
        return Answer(status, found, b"".join(parts))


def _good(path: str, answer: Answer) -> bytes:
    if answer.status not in (200, 204):
        raise RefusedError(f"{path}: {answer.status} {answer.body[:300]!r}")
    return answer.body
