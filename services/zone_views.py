"""Zone views that a process has open: planned once, looked at again now and then, the last used ones kept.

All here blocks, and is called from threads; `ZoneViews.ready` alone never does.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from abut.finding import ArchiveFinder, Filter
from abut.period import parse_period
from abut.view import select
from abut.zone_chunks import ZoneChunks
from abut.zone_layout import ZoneLayout, zone_blocks
from abut.zone_metadata import documents
from abut.zone_snapshot import digest_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from abut.archive import Archive
    from abut.lattice import Zone
    from abut.view import View
    from services.zone_snapshots import Snapshots

FRESH: Final = 10.0
"""Seconds for which a view counts as what the archive has now; longer if planning it took long."""
EFFORT: Final = 20.0
"""How much longer than planning took a plan is believed: so planning takes at most a twentieth of the time."""
TOLD: Final = 3600.0
"""Seconds for which a client may go by metadata that it got from the URL without a digest."""
TOLD_AXES: Final = 10.0
"""Seconds in which it reads the coordinates."""


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Which zone, and when."""

    zone: Zone
    """The zone."""
    period: str
    """The period as its URL names it: a year, month or day, or two of them with ``--`` between."""


@dataclass(frozen=True)
class Opened:
    """A zone view that is served."""

    view: View
    """Who held what when it was planned."""
    digest: str
    """Name of its pixels."""
    chunks: ZoneChunks
    """Its chunks."""
    static: dict[str, bytes]
    """Its other objects, by key."""
    made: datetime
    """When it was opened."""

    @property
    def axis(self) -> tuple[tuple[str, ...], ...]:
        """Datatakes of each step."""
        return tuple(slot.datatakes for slot in self.view.slots)


@dataclass
class _Latest:
    """What was planned last of a place."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    """Held by who plans."""
    digest: str | None = None
    """Digest of the view; None if there was no product."""
    began: float = float("-inf")
    """When planning began."""
    until: float = float("-inf")
    """Until when it counts as new."""
    told: dict[tuple[tuple[str, ...], ...], float] = field(default_factory=dict)
    """Time axes that clients were told without a digest, and when last."""


class ZoneViews:
    """The zone views of an archive.

    Parameters
    ----------
    archive : Archive
        The archive.
    limit : int
        How many views are kept.
    snapshots : Snapshots, optional
        Where processes tell each other which products a digest means.
    """

    def __init__(self, archive: Archive, *, limit: int = 8, snapshots: Snapshots | None = None) -> None:
        self.archive = archive
        self._limit = limit
        self._snapshots = snapshots
        self._lock = threading.Lock()
        self._latest: OrderedDict[Place, _Latest] = OrderedDict()
        self._opened: OrderedDict[tuple[Place, str], Opened] = OrderedDict()
        self._live: dict[tuple[Place, str], float] = {}

    def ready(self, place: Place, digest: str | None) -> Opened | None:
        """Return a view that is open and need not be looked at again; never waits."""
        now = time.monotonic()
        with self._lock:
            if digest is None:
                latest = self._latest.get(place)
                return self._kept(place, latest.digest) if latest and now < latest.until else None
            return self._kept(place, digest) if now < self._live.get((place, digest), now) else None

    def current(self, place: Place, *, since: float | None = None) -> Opened | None:
        """Return the view of what the archive has now, None if it has no product.

        Parameters
        ----------
        place : Place
            Zone and period.
        since : float, optional
            Plan again unless planning began after this time of `time.monotonic`. Default: unless the last plan counts
            as new.

        Raises
        ------
        MixedBaselinesError, AbutError
            As `abut.view.select`.
        """
        latest = self._latest_of(place)
        with latest.lock:
            if time.monotonic() < latest.until if since is None else latest.began > since:
                with self._lock:
                    kept = self._kept(place, latest.digest)
                if kept is not None or latest.digest is None:
                    return kept
            began = time.monotonic()
            opened = self._open(place, Filter())
            took = time.monotonic() - began
            with self._lock:
                latest.digest, latest.began = opened.digest if opened else None, began
                latest.until = time.monotonic() + max(FRESH, EFFORT * took)
            return opened

    def snapshot(self, place: Place, digest: str) -> Opened | None:
        """Return the view of a digest; None if the archive has not these products any more.

        A view that is open is looked at again now and then: what was withdrawn is not served. One that is not may be
        what the archive has now, or what another process told of.
        """
        with self._latest_of(place).lock:  # of all who wait for it one looks, the others get what it saw
            opened = self.ready(place, digest) or self._checked(place, digest)
        if opened is not None:
            return opened
        found = self.current(place, since=time.monotonic())
        if found is not None and found.digest == digest:
            return found
        ids = self._snapshots.read(place, digest) if self._snapshots else None
        found = None if ids is None else self._open(place, Filter(ids=frozenset(ids)))
        return found if found is not None and found.digest == digest else None

    def _checked(self, place: Place, digest: str) -> Opened | None:
        """Return a view that is open, unless a product of it was withdrawn."""
        key, began = (place, digest), time.monotonic()
        with self._lock:
            opened = self._opened.get(key)
        gone = opened is not None and opened.view.gone()
        with self._lock:
            if gone:
                self._opened.pop(key, None)
                self._live.pop(key, None)
                return None
            if key in self._opened:
                took = time.monotonic() - began
                self._live[key] = time.monotonic() + max(FRESH, EFFORT * took)
        return opened

    def tell(self, place: Place, opened: Opened) -> None:
        """Note that a client was told of a view without asking for its digest."""
        latest, now = self._latest_of(place), time.monotonic()
        with self._lock:
            latest.told = {axis: when for axis, when in latest.told.items() if now - when < TOLD}
            latest.told[opened.axis] = now

    def is_ambiguous(self, place: Place, opened: Opened, slot: int | None) -> bool:
        """Whether clients that ask for a step without a digest may mean another one, or other coordinates (None)."""
        latest, now = self._latest_of(place), time.monotonic()
        with self._lock:
            told = dict(latest.told)
        if slot is None:
            return any(axis != opened.axis for axis, when in told.items() if now - when < TOLD_AXES)
        mine = opened.axis[slot : slot + 1]
        return any(axis[slot : slot + 1] not in {mine, ()} for axis, when in told.items() if now - when < TOLD)

    def _latest_of(self, place: Place) -> _Latest:
        with self._lock:
            found = self._latest.setdefault(place, _Latest())
            self._latest.move_to_end(place)
            while len(self._latest) > 8 * self._limit:
                self._latest.popitem(last=False)
            return found

    def _kept(self, place: Place, digest: str | None) -> Opened | None:
        """Return a view that is open, which so becomes the one used last; with the lock held."""
        if digest is None or (place, digest) not in self._opened:
            return None
        self._opened.move_to_end((place, digest))
        return self._opened[place, digest]

    def _open(self, place: Place, wanted: Filter) -> Opened | None:
        """Plan, and keep what was found."""
        period = parse_period(place.period.replace("--", "/"))
        view = select(self.archive, ArchiveFinder(), zone_blocks(place.zone).bounds, period, wanted=wanted)
        if not view.slots:
            return None
        digest = digest_of(view)
        with self._lock:
            known = self._opened.get((place, digest))
        opened = self._made(place, view, digest) if known is None else replace(known, view=view)
        if known is None and self._snapshots is not None:
            self._snapshots.write(place, digest, _ids(view))
        with self._lock:
            key = (place, digest)
            self._opened[key] = opened
            self._opened.move_to_end(key)
            self._live[key] = time.monotonic() + FRESH
            while len(self._opened) > self._limit:
                old, _ = self._opened.popitem(last=False)
                self._live.pop(old, None)
        return opened

    def _made(self, place: Place, view: View, digest: str) -> Opened:
        layout = ZoneLayout(place.zone, len(view.slots))
        about = {"snapshot": f"{place.zone.epsg}/{place.period}@{digest}.zarr", "contents": digest}
        static = documents(layout, view.slots, view.profile, about, view.named)
        return Opened(view, digest, ZoneChunks(view, layout, view.store), static, datetime.now(UTC))


def _ids(view: View) -> Iterable[str]:
    """Return the ids of the products that were chosen."""
    return sorted({prefix.removesuffix(".zarr").rpartition(".")[0] for some in view.chosen for prefix in some})
