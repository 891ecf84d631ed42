"""Metrics for Prometheus: requests, what is asked of the store, what waits, jobs. Labels have few values.

With one process that answers, they are in its memory. With several (`ABUT_WORKERS`), each writes its own files in a
folder that they share, and whichever is scraped adds them up, see `shared_by_workers`.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import logging
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import Response
from starlette.routing import Route

from abut import __version__, meter
from abut.messages import describe
from services.answers import problem
from services.scratch import private

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence

    from starlette.requests import Request
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from abut.meter import Outcome, Verb

    type Refresh = Callable[[], Awaitable[None]]
    """Looks at what is not counted as it happens, such as jobs, when somebody asks."""

FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"
"""Environment variable by which prometheus_client knows the folder that several processes share."""

METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
"""Methods that are told apart."""

_LOOKING: Final = 6.0
"""Seconds after which an answer goes without what takes longer to be looked at; scrapes have 10."""
_LOG: Final = logging.getLogger("abut.services")
_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 120, 600)


@dataclass(frozen=True, slots=True)
class Metrics:
    """All that is counted; get it with `metrics`."""

    requests: Any
    """Requests over HTTP: counter by part, method, status."""
    seconds: Any
    """How long they took, to the last byte: histogram by part."""
    sent: Any
    """Bytes of their bodies: counter by part."""
    under_way: Any
    """Requests that are being answered: gauge by part."""
    store_requests: Any
    """Requests to the archive's store: counter by verb, outcome."""
    store_seconds: Any
    """How long they took: histogram by verb."""
    store_bytes: Any
    """Bytes read and written: counter by direction."""
    decoded: Any
    """Objects that were decoded: counter by kind."""
    cached: Any
    """Decoded objects that were asked for: counter by whether they were in the cache (hit, miss)."""
    queued: Any
    """Requests that wait for a thread, or have one: gauge by queue."""
    refused: Any
    """Requests that were refused because too much was under way, or took too long: counter by queue, status."""
    jobs: Any
    """Jobs that are kept: gauge by status."""
    parts: Any
    """Cubes of jobs that wait, are made, or whose maker fell silent: gauge by status."""
    waiting: Any
    """How long the oldest cube of a job that waits has waited: gauge."""
    ready: Any
    """Whether what has to answer does: gauge by what."""
    products: Any
    """Products that the catalogue lists: gauge."""
    newest: Any
    """When the newest of them was sensed: gauge."""
    disk: Any
    """Size of disks that are written to: gauge by what is written there."""
    disk_free: Any
    """Room that is left on them: gauge by the same."""


def metrics() -> Metrics:
    """Return what this process counts; made when it is asked for first."""
    return _made or _make()


_made: Metrics | None = None


def _make() -> Metrics:
    global _made  # noqa: PLW0603 - prometheus_client keeps one registry for a process, and so is this
    from prometheus_client import (  # noqa: PLC0415 - after `FOLDER` is set
        Counter,
        Gauge,
        Histogram,
        Info,
        disable_created_metrics,
    )

    disable_created_metrics()  # type: ignore[no-untyped-call]  # not typed there
    if FOLDER not in os.environ:  # several processes can't tell
        Info("abut_build", "Release of Abut.").info({"version": __version__})

    def looked_at(name: str, text: str, *labels: str) -> Any:
        """Make a gauge of what is looked at when somebody asks: of several processes, the last that looked is right."""
        return Gauge(name, text, labels, multiprocess_mode="mostrecent")

    _made = Metrics(
        requests=Counter("abut_http_requests", "Requests that were answered.", ["part", "method", "status"]),
        seconds=Histogram("abut_http_request_seconds", "Time to the last byte.", ["part"], buckets=_SECONDS),
        sent=Counter("abut_http_sent_bytes", "Bytes of bodies of answers.", ["part"]),
        under_way=Gauge(
            "abut_http_requests_under_way", "Requests being answered.", ["part"], multiprocess_mode="livesum"
        ),
        store_requests=Counter("abut_store_requests", "Requests to the archive's store.", ["verb", "outcome"]),
        store_seconds=Histogram("abut_store_request_seconds", "Time of them.", ["verb"], buckets=_SECONDS),
        store_bytes=Counter("abut_store_bytes", "Bytes of objects.", ["direction"]),
        decoded=Counter("abut_decoded_objects", "Objects that were decoded.", ["kind"]),
        cached=Counter("abut_cache_requests", "Decoded objects that pictures asked for.", ["outcome"]),
        queued=Gauge(
            "abut_queued_requests", "Requests that wait for or have a thread.", ["queue"], multiprocess_mode="livesum"
        ),
        refused=Counter("abut_refused_requests", "Requests beyond a limit.", ["queue", "status"]),
        jobs=looked_at("abut_jobs", "Jobs that are kept.", "status"),
        parts=looked_at("abut_job_parts", "Cubes of jobs that wait, are made, or whose maker fell silent.", "status"),
        waiting=looked_at("abut_job_waiting_seconds", "How long the oldest waiting cube of a job has waited."),
        ready=looked_at("abut_ready", "1 if it answers.", "what"),
        products=looked_at("abut_products", "Products that the catalogue lists."),
        newest=looked_at("abut_newest_product_timestamp_seconds", "When the newest product was sensed."),
        disk=looked_at("abut_disk_bytes", "Size of disks that are written to.", "place"),
        disk_free=looked_at("abut_disk_free_bytes", "Room that is left on them.", "place"),
    )
    meter.listen(_Listener(_made))
    return _made


@dataclass(frozen=True, slots=True)
class _Listener:
    """Counts what stores and decoders tell."""

    to: Metrics

    def requested(self, verb: Verb, outcome: Outcome, seconds: float, read: int, written: int) -> None:
        self.to.store_requests.labels(verb, outcome).inc()
        self.to.store_seconds.labels(verb).observe(seconds)
        if read:
            self.to.store_bytes.labels("read").inc(read)
        if written and outcome == "ok":
            self.to.store_bytes.labels("written").inc(written)

    def decoded(self, kind: str, seconds: float) -> None:  # noqa: ARG002 - traces tell it
        self.to.decoded.labels(kind).inc()


def measured(app: ASGIApp, parts: Sequence[str]) -> ASGIApp:
    """Return an application whose requests are counted.

    Parameters
    ----------
    app : ASGI application
        The whole service.
    parts : sequence of str
        Paths below which its parts answer, such as ``/stac``; the label of a request is that of its part without the
        slash, or ``other``.
    """
    counted, names = metrics(), sorted(parts, key=len, reverse=True)

    async def measuring(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        part, status, sent = part_of(scope["path"], names), 0, 0

        async def sending(message: Message) -> None:
            nonlocal status, sent
            status = message.get("status", status)
            await send(message)
            sent += len(message.get("body", b""))

        started = time.perf_counter()
        counted.under_way.labels(part).inc()
        try:
            await app(scope, receive, sending)
        finally:
            method = scope["method"] if scope["method"] in METHODS else "other"
            counted.under_way.labels(part).dec()
            counted.requests.labels(part, method, str(status or 499)).inc()
            counted.seconds.labels(part).observe(time.perf_counter() - started)
            counted.sent.labels(part).inc(sent)

    return measuring


def part_of(path: str, names: Sequence[str]) -> str:
    """Return the part that answers at a path: one of `names`, the longest first, without its slash, or ``other``."""
    found = next((name for name in names if path == name or path.startswith(f"{name}/")), None)
    return found.strip("/") if found else "other"


def metrics_route(token: str | None, refreshes: Sequence[Refresh]) -> Route:
    """Return the route ``/metrics``.

    Parameters
    ----------
    token : str, optional
        Bearer token that it asks for; None: for none.
    refreshes : sequence of callable
        What is looked at, all at once, before it answers; one that fails is logged, and its metrics stay as they were.
    """
    from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest  # noqa: PLC0415 - as above
    from prometheus_client.multiprocess import MultiProcessCollector  # noqa: PLC0415 - as above

    async def answer(request: Request) -> Response:
        if token is not None and not _knows(request, token):
            return problem(401, "metrics need a token", {"www-authenticate": "Bearer"})
        looking = [asyncio.ensure_future(_refreshed(refresh)) for refresh in refreshes]
        for late in (await asyncio.wait(looking, timeout=_LOOKING))[1] if looking else ():
            late.cancel()  # not waited for: a connection that is silent may take long to be given up
        registry = REGISTRY
        if FOLDER in os.environ:
            _forget_dead(Path(os.environ[FOLDER]))
            MultiProcessCollector(registry := CollectorRegistry())  # type: ignore[no-untyped-call]  # not typed there
        return Response(generate_latest(registry), 200, {"cache-control": "no-store"}, CONTENT_TYPE_LATEST)

    return Route("/metrics", answer)


async def _refreshed(refresh: Refresh) -> None:
    try:
        await refresh()
    except Exception as error:  # noqa: BLE001 - what can't be told must not hide the rest
        _LOG.warning("metrics: %s", describe(error))


def _forget_dead(folder: Path) -> None:
    """Take out what processes that are no more had under way."""
    for pid in {int(path.stem.rpartition("_")[2]) for path in folder.glob("gauge_live*.db")}:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            for path in folder.glob(f"gauge_live*_{pid}.db"):
                path.unlink(missing_ok=True)


def _knows(request: Request, token: str) -> bool:
    given = request.headers.get("authorization", "").removeprefix("Bearer ")
    return hmac.compare_digest(given.encode(), token.encode())


@contextlib.contextmanager
def shared_by_workers(workers: int) -> Iterator[None]:
    """Give several processes, started inside of the block, a folder in which they add up what they count."""
    if workers == 1 or FOLDER in os.environ:
        yield
        return
    with private(None, "abut-metrics") as folder:
        os.environ[FOLDER] = str(folder)
        try:
            yield
        finally:
            del os.environ[FOLDER]
