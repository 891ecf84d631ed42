"""Zones as Zarr over HTTP: ``/zarr/zones/32632/2025-07.zarr``, for any client of Zarr v3.

That URL has what the archive has now. Its answers name the snapshot that they are of (``Content-Location``, and the
attribute ``abut:zone`` of the root): ``/zarr/zones/32632/2025-07@<digest>.zarr``, whose pixels never change. It does
not redirect there: clients of Zarr go on from the URL that they were given, and tensorstore follows no redirect. As
the time axis may change between its metadata and its chunks, keys that would mean another step than a client may have
been told of are refused (409); who reads for long opens the snapshot.

Where one product holds a block its object is streamed; where several do the block is merged, in a thread.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import anyio
from anyio import to_thread
from obstore.exceptions import BaseError

from abut.errors import AbutError, InvalidPeriodError, MissingObjectError
from abut.period import parse_period
from abut.pixels import PLANS
from abut.zone_layout import BandChunk, parse_zone
from services.answers import problem, unavailable
from services.objects import OneObject, objects_of
from services.ranges import Entity, UnsatisfiableRangeError
from services.zarr import GONE, REVALIDATED, Address, answer_object
from services.zone_views import Place, ZoneViews

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Receive, Scope, Send

    from abut.archive import Archive
    from services.objects import Objects
    from services.zarr import Kind
    from services.zone_snapshots import Snapshots
    from services.zone_views import Opened

LONGEST_PERIOD: Final = 400
"""Days of the longest period that is served as one array: a year, and some."""
WAITING: Final = 256
"""Requests that may have a thread or wait for one; further ones are told to come back."""
PLANNERS: Final = 2
"""Views that are planned at once."""

_DAY: Final = r"\d{4}(?:-\d\d(?:-\d\d)?)?"
_PATH: Final = re.compile(
    rf"(?P<zone>\d{{1,6}})/(?P<period>{_DAY}(?:--{_DAY})?)(?:@(?P<digest>[0-9a-f]{{32}}))?\.zarr"
    r"/(?P<key>zarr\.json|[a-z0-9_]{1,64}(?:/[a-z0-9_]{1,64}){0,7}(?:/zarr\.json)?)",
    re.ASCII,
)
_EXAMPLE: Final = "32632/2025-07.zarr/zarr.json"


@dataclass(frozen=True, slots=True)
class Asked:
    """What a path below ``/zarr/zones/`` names."""

    place: Place
    """Zone and period."""
    digest: str | None
    """Digest of the snapshot, if it names one."""
    key: str
    """Key of the object in the zone's hierarchy."""


class RefusedError(Exception):
    """A request is answered with a status and a reason."""

    def __init__(self, status: int, reason: str, **more: Any) -> None:
        super().__init__(reason)
        self.status = status
        self.more = more


def asked_of(path: str) -> Asked:
    """Return what a path names, decoded, without its first slash.

    Raises
    ------
    RefusedError
        If it names nothing.
    """
    found = _PATH.fullmatch(path) if len(path) <= 512 else None
    if found is None:
        raise RefusedError(404, f"there is no such zone or object; a path is such as {_EXAMPLE}")
    try:
        zone = parse_zone(found["zone"])
    except AbutError as error:
        raise RefusedError(404, str(error)) from None
    try:
        period = parse_period(found["period"].replace("--", "/"))
    except InvalidPeriodError as error:
        raise RefusedError(400, str(error)) from None
    if (period.end - period.start).days > LONGEST_PERIOD:
        raise RefusedError(400, f"period {found['period']} is longer than {LONGEST_PERIOD} days")
    return Asked(Place(zone, found["period"]), found["digest"], found["key"])


def zones_app(archive: Archive, *, views: int = 8, threads: int = 4, snapshots: Snapshots | None = None) -> ASGIApp:
    """Return the application that serves zones as Zarr.

    Parameters
    ----------
    archive : Archive
        The archive.
    views : int
        How many views are kept open.
    threads : int
        How many blocks are merged at once.
    snapshots : Snapshots, optional
        Where several processes tell each other of their snapshots.
    """
    served = _Zones(ZoneViews(archive, limit=views, snapshots=snapshots), objects_of(archive.store), threads)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        if scope["method"] not in ("GET", "HEAD"):
            refused = problem(405, f"{scope['method']} is not allowed: zones are read only", {"allow": "GET, HEAD"})
            await refused(scope, receive, send)
            return
        path = scope["path"].removeprefix(scope.get("root_path", "")).removeprefix("/")
        try:
            await served.answer(path, scope, send)
        except RefusedError as error:
            headers = {"retry-after": "5"} if error.status == 503 else None
            await problem(error.status, str(error), headers, **error.more)(scope, receive, send)
        except UnsatisfiableRangeError as error:
            headers = {"content-range": f"bytes */{error.size}", "cache-control": GONE}
            await problem(416, str(error), headers)(scope, receive, send)
        except (AbutError, BaseError, OSError) as error:
            await unavailable(error, archive.store.url)(scope, receive, send)

    return app


class _Zones:
    """Answers requests."""

    def __init__(self, views: ZoneViews, objects: Objects, threads: int) -> None:
        self._views = views
        self._objects = objects
        self._planners = anyio.CapacityLimiter(PLANNERS)
        self._makers = anyio.CapacityLimiter(threads)
        self._waiting = 0

    async def answer(self, path: str, scope: Scope, send: Send) -> None:
        """Answer a request, or raise what is wrong with it."""
        asked = asked_of(path)
        opened = await self._opened(asked)
        if asked.digest is None:
            self._require_clear(asked, opened)
        data = opened.static.get(asked.key)
        if data is not None:
            kind: Kind = "block" if "/c/" in asked.key else "metadata"
            await answer_object(_one(data, opened), _address(asked, opened, kind), scope, send)
            return
        chunk = opened.chunks.layout.chunk(asked.key)
        if chunk is None:
            raise RefusedError(404, "there is no such object")
        if isinstance(chunk, BandChunk) and await self._streamed(asked, opened, chunk, scope, send):
            return
        try:
            made = await self._in_thread(self._makers, partial(opened.chunks.make, chunk))
        except MissingObjectError:
            await self._require_live(asked, opened)
            raise
        if made is None:
            raise RefusedError(404, "nobody holds this block: all its pixels are nodata")
        await answer_object(_one(made, opened), _address(asked, opened, "block"), scope, send)

    async def _opened(self, asked: Asked) -> Opened:
        """Return the view that is asked for."""
        place, digest = asked.place, asked.digest
        ready = self._views.ready(place, digest)
        if ready is not None:
            return ready
        if digest is None:
            found = await self._in_thread(self._planners, partial(self._views.current, place))
            if found is None:
                raise RefusedError(404, f"there is no product of {place.zone} in {place.period}")
            return found
        found = await self._in_thread(self._planners, partial(self._views.snapshot, place, digest))
        if found is None:
            raise _gone(asked)
        return found

    def _require_clear(self, asked: Asked, opened: Opened) -> None:
        """Raise if a client that knows no digest may mean another step, offset or product than it would get."""
        if asked.key.endswith("zarr.json"):
            self._views.tell(asked.place, opened)
            return
        if self._views.is_ambiguous(asked.place, opened, asked.key):
            snapshot = f"{asked.place.period}@{opened.digest}.zarr"
            raise RefusedError(
                409,
                f"the steps of {asked.place.period}.zarr may have changed since it was opened; open it again, or "
                f"{snapshot}",
                snapshot=snapshot,
            )

    async def _streamed(self, asked: Asked, opened: Opened, chunk: BandChunk, scope: Scope, send: Send) -> bool:
        """Send the object that is a chunk; return False if it has no holder, or several."""
        address = _address(asked, opened, "block")
        for _ in range(PLANS + 1):
            passing = opened.chunks.passing(chunk)
            if passing is None:
                return False
            plan, key = passing
            if await answer_object(self._objects, replace(address, key=key), scope, send):
                opened.chunks.count("passed")
                return True
            await self._require_live(asked, opened)
            renewed = await self._in_thread(self._planners, partial(opened.chunks.current.renew, plan))
            if renewed is plan:
                break
        raise MissingObjectError(f"{opened.view.store.url}/{key}: no such object")

    async def _require_live(self, asked: Asked, opened: Opened) -> None:
        """Raise if products of a view were withdrawn."""
        if await self._in_thread(self._planners, opened.view.gone):
            raise _gone(asked) if asked.digest else RefusedError(503, "products are being withdrawn; try again")

    async def _in_thread[T](self, limiter: anyio.CapacityLimiter, work: Callable[[], T]) -> T:
        if self._waiting >= WAITING:
            raise RefusedError(503, "too many requests wait for blocks; try again")
        self._waiting += 1  # the limiter's own count comes late: a burst would pass it
        try:
            return await to_thread.run_sync(work, limiter=limiter)
        finally:
            self._waiting -= 1


def _gone(asked: Asked) -> RefusedError:
    plain = f"{asked.place.period}.zarr"
    return RefusedError(
        410,
        f"snapshot {asked.digest} of {plain} is served no more: products were withdrawn, or it was forgotten; open "
        f"{plain} again",
        current=plain,
    )


def _address(asked: Asked, opened: Opened, kind: Kind) -> Address:
    """Return how an object is sent: what lies at a URL without a digest may be replaced, and tells of its snapshot."""
    if asked.digest is not None:
        return Address(asked.key, kind)
    up = "../" * (asked.key.count("/") + 1)  # relative, so that it is right behind any proxy
    snapshot = f"{up}{asked.place.period}@{opened.digest}.zarr/{asked.key}"
    return Address(asked.key, kind, also=(("content-location", snapshot), ("cache-control", REVALIDATED)))


def _one(data: bytes, opened: Opened) -> OneObject:
    tag = f'"{hashlib.sha256(data).hexdigest()[:32]}"'
    return OneObject(Entity(len(data), tag, opened.made), data)
