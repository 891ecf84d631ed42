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
from services import zone_axes
from services.zone_axes import Axis
from services.zone_snapshots import Known

if TYPE_CHECKING:
    from abut.archive import Archive
    from abut.lattice import Zone
    from abut.view import View
    from services.zone_snapshots import Snapshots

FRESH: Final = 10.0
"""Seconds for which a view counts as what the archive has now; longer if planning it took long."""
EFFORT: Final = 20.0
"""How much longer than planning took a plan is believed: so planning takes at most a twentieth of the time."""


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

    axis: Axis
    """What its metadata tell of its steps."""


@dataclass
class _Latest:
    """What was planned last of a place."""

    lock: threading.RLock = field(default_factory=threading.RLock)
    """Held by who plans."""
    digest: str | None = None
    """Digest of the view; None if there was no product."""
    ended: float = float("-inf")
    """When planning ended."""
    until: float = float("-inf")
    """Until when it counts as new."""
    told: dict[Axis, float] = field(default_factory=dict)
    """What clients were told without a digest, and when last."""


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
        self._finder = ArchiveFinder()
        self._lock = threading.Lock()
        self._latest: OrderedDict[Place, _Latest] = OrderedDict()
        self._opened: OrderedDict[tuple[Place, str], Opened] = OrderedDict()
        self._live: dict[tuple[Place, str], float] = {}
        self._tried: OrderedDict[tuple[Place, str], float] = OrderedDict()

    def ready(self, place: Place, digest: str | None) -> Opened | None:
        """Return a view that is open and need not be looked at again; never waits."""
        now = time.monotonic()
        with self._lock:
            if digest is None:
                latest = self._latest.get(place)
                return self._kept(place, latest.digest) if latest and now < latest.until else None
            return self._kept(place, digest) if now < self._live.get((place, digest), now) else None

    def current(self, place: Place, *, anew: bool = False) -> Opened | None:
        """Return the view of what the archive has now, None if it has no product.

        Parameters
        ----------
        place : Place
            Zone and period.
        anew : bool
            Whether to plan again though the last plan counts as new.

        Raises
        ------
        AbutError
            As `abut.view.select`.
        """
        latest = self._latest_of(place)
        with latest.lock:
            if time.monotonic() < latest.until and not anew:
                with self._lock:
                    kept = self._kept(place, latest.digest)
                if kept is not None or latest.digest is None:
                    return kept
            began = time.monotonic()
            opened = self._open(place, Filter())
            with self._lock:
                now = time.monotonic()
                latest.digest = opened.digest if opened else None
                latest.ended, latest.until = now, now + max(FRESH, EFFORT * (now - began))
            return opened

    def snapshot(self, place: Place, digest: str) -> Opened | None:
        """Return the view of a digest; None if the archive has not these products any more.

        A view that is open is looked at again now and then: what was withdrawn is not served. One that is not may be
        what another process told of, or what the archive has now. To look for it takes a plan, so digests that mean
        nothing are found out without one for some time after the last.
        """
        latest = self._latest_of(place)
        with latest.lock:  # of all who wait for it one looks, the others get what it saw
            opened = self.ready(place, digest) or self._checked(place, digest)
            if opened is not None:
                return opened
            found = self._told_of(place, digest)
            if found is None and (time.monotonic() >= latest.ended + FRESH or latest.digest == digest):
                found = self.current(place, anew=True)
            return found if found is not None and found.digest == digest else None

    def _told_of(self, place: Place, digest: str) -> Opened | None:
        """Return the view of the products that another process told of, if that was not tried a moment ago."""
        with self._lock:
            tried = time.monotonic() < self._tried.get((place, digest), 0.0)
        known = self._snapshots.read(place, digest) if self._snapshots and not tried else None
        if known is None:
            return None
        found = self._open(place, Filter(ids=frozenset(known.products)), known.notes)
        if found is not None and found.digest == digest:
            return found
        with self._lock:
            self._tried[place, digest] = time.monotonic() + FRESH
            while len(self._tried) > 8 * self._limit:
                self._tried.popitem(last=False)
        return None

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
            latest.told = {axis: when for axis, when in latest.told.items() if now - when < zone_axes.TOLD}
            latest.told[opened.axis] = now
        if self._snapshots is not None:
            self._snapshots.tell(place, opened.axis)

    def is_ambiguous(self, place: Place, opened: Opened, key: str) -> bool:
        """Whether clients that ask for a chunk without a digest may mean another one than it is by now."""
        what = zone_axes.part_of(opened.chunks.layout, key)
        if what is None:
            return False
        latest, now = self._latest_of(place), time.monotonic()
        with self._lock:
            told = {axis: now - when for axis, when in latest.told.items()}
        if self._snapshots is not None:
            for axis, age in self._snapshots.told(place):
                told[axis] = min(age, told.get(axis, age))
        return zone_axes.is_ambiguous(opened.axis, told, *what)

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

    def _open(self, place: Place, wanted: Filter, notes: tuple[str, ...] | None = None) -> Opened | None:
        """Plan, and keep what was found."""
        period = parse_period(place.period.replace("--", "/"))
        view = select(self.archive, self._finder, zone_blocks(place.zone).bounds, period, wanted=wanted)
        if not view.slots:
            return None
        if notes is not None:
            view = replace(view, notes=notes)
        digest = digest_of(view)
        with self._lock:
            known = self._opened.get((place, digest))
        is_new = known is None or known.view.notes != view.notes
        opened = self._made(place, view, digest) if known is None or is_new else replace(known, view=view)
        if is_new and self._snapshots is not None:
            self._snapshots.write(place, digest, Known(_ids(view), view.notes))
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
        snapshot = f"{place.zone.epsg}/{place.period}@{digest}.zarr"
        about = {"snapshot": snapshot, "contents": digest, "notes": list(view.notes)}
        static = documents(layout, view.slots, view.profile, about, view.named)
        return Opened(view, digest, ZoneChunks(view, layout, view.store), static, datetime.now(UTC), Axis.of(view))


def _ids(view: View) -> tuple[str, ...]:
    """Return the ids of the products that were chosen."""
    return tuple(sorted({prefix.removesuffix(".zarr").rpartition(".")[0] for some in view.chosen for prefix in some}))
