"""Scenes of an archive: plans that are believed for some seconds, and one cache of pixels for the process."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from abut.errors import BadRequestError, InvalidTileError, ProductNotFoundError
from abut.finding import ArchiveFinder, Filter
from abut.lattice import Zone
from abut.newcomers import read_item
from abut.strips import tile_told
from abut.tiling import tile
from services.tiles.objects import Objects
from services.tiles.plan import plan_zone
from services.tiles.scene import Scene
from services.zone_views import EFFORT, FRESH

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from abut.archive import Archive
    from services.tiles.plan import ZonePlan
    from services.tiles.wish import Wish

_NEVER: Final = float("-inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a process spends on pictures."""

    cache_bytes: int = 512_000_000
    """Decoded pixels that are kept."""
    plan_bytes: int = 256_000_000
    """Plans of zones that are kept, about."""
    objects: int = 2_000
    """Objects of the archive that one picture may need."""
    pixels: int = 6_000_000
    """Values (pixels times layers) that one picture may have."""


@dataclass(slots=True)
class _Entry[T]:
    """Something that is made again now and then."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    value: T | None = None
    until: float = _NEVER
    size: int = 0


class Scenes:
    """The scenes of an archive; of any thread, one for a process.

    Parameters
    ----------
    archive : Archive
        The archive.
    limits : Limits
        What it may spend.
    find : callable, optional
        Returns the ids of all products that canonical CQL2-JSON means.
    """

    def __init__(
        self, archive: Archive, *, limits: Limits | None = None, find: Callable[[str], frozenset[str]] | None = None
    ) -> None:
        self.archive = archive
        self.limits = limits or Limits()
        self.objects = Objects(archive, self.limits.cache_bytes)
        self._find = find
        self._finder = ArchiveFinder()
        self._lock = threading.Lock()
        self._plans: OrderedDict[tuple[Wish, Zone], _Entry[ZonePlan]] = OrderedDict()
        self._zones: _Entry[tuple[Zone, ...]] = _Entry()
        self._found: OrderedDict[str, _Entry[frozenset[str]]] = OrderedDict()

    def open(self, wish: Wish) -> Scene:
        """Return what a wish shows.

        Raises
        ------
        ProductNotFoundError
            If one product is asked for that is not there.
        BadRequestError
            If a filter is asked for and there is no catalogue that could answer it.
        """
        if wish.filter is not None and self._find is None:
            raise BadRequestError(f"filter {wish.filter!r} needs a catalogue, and the archive has none here")
        scene = Scene(self, wish)
        if wish.item is not None and not scene.plans:
            raise ProductNotFoundError(f"{self.archive.store.url}: no product {wish.item!r}")
        return scene

    @property
    def planned(self) -> int:
        """Bytes of the plans that are kept, about."""
        with self._lock:
            return sum(one.size for one in self._plans.values())

    def zones(self, wish: Wish) -> tuple[Zone, ...]:
        """Return the zones in which a wish may find something, by EPSG code."""
        if wish.item is not None:
            return self._zones_of([wish.item])
        if wish.tiles:
            return tuple(sorted({tile(name).zone for name in wish.tiles}))
        if wish.ids:
            return self._zones_of(wish.ids)
        return self._fresh(self._zones, self._all_zones) or ()

    def plan(self, wish: Wish, zone: Zone) -> ZonePlan | None:
        """Return what a zone has for a wish, as planned some seconds ago at most (longer if planning takes long).

        Raises
        ------
        MixedBaselinesError, InvalidArchiveError, UnsupportedStoreError, MissingObjectError
            As `services.tiles.plan.plan_zone`.
        """
        entry = self._entry(wish, zone)
        if time.monotonic() < entry.until:
            return entry.value
        found = self._fresh(entry, lambda: self._planned(wish, zone))
        self._shrink(entry, 0 if found is None else found.size)
        return found

    def renewed(self, wish: Wish, stale: ZonePlan) -> ZonePlan | None:
        """Return a newer plan than one by which an object was missing."""
        entry = self._entry(wish, stale.zone)
        with entry.lock:
            if entry.value is stale:
                entry.until = _NEVER
        return self.plan(wish, stale.zone)

    def _planned(self, wish: Wish, zone: Zone) -> ZonePlan | None:
        return plan_zone(self.archive, self._finder, wish, self._wanted(wish), zone)

    def _wanted(self, wish: Wish) -> Filter:
        ids = [wish.item] if wish.item is not None else list(wish.ids) or None
        if wish.filter is not None:
            found = self._matching(wish.filter)
            ids = sorted(found if ids is None else found.intersection(ids))
        return Filter(
            ids=None if ids is None else frozenset(ids),
            tiles=frozenset(wish.tiles) or None,
            max_cloud_cover=wish.cloud,
            relative_orbit=wish.orbit,
            datatake=wish.datatake,
        )

    def _matching(self, text: str) -> frozenset[str]:
        find = self._find
        assert find is not None  # noqa: S101 - looked at when the scene was opened
        with self._lock:
            entry = self._found.setdefault(text, _Entry())
            self._found.move_to_end(text)
            while len(self._found) > 64:
                self._found.popitem(last=False)
        return self._fresh(entry, lambda: find(text)) or frozenset()

    def _entry(self, wish: Wish, zone: Zone) -> _Entry[ZonePlan]:
        with self._lock:
            found = self._plans.setdefault((wish, zone), _Entry())
            self._plans.move_to_end((wish, zone))
            return found

    def _shrink(self, entry: _Entry[ZonePlan], size: int) -> None:
        """Forget the plans that were used longest ago, if there are too many."""
        with self._lock:
            entry.size = size + 1_000
            total = sum(one.size for one in self._plans.values())
            while total > self.limits.plan_bytes and len(self._plans) > 1:
                _, old = self._plans.popitem(last=False)
                total -= old.size

    def _fresh[T](self, entry: _Entry[T], make: Callable[[], T | None]) -> T | None:
        """Return a value, made again if it is too old; of several who ask at once, one makes it."""
        with entry.lock:
            began = time.monotonic()
            if began >= entry.until:
                entry.value = make()
                took = time.monotonic() - began
                entry.until = began + max(FRESH, EFFORT * took)
            return entry.value

    def _all_zones(self) -> tuple[Zone, ...]:
        names = {name.partition(".")[0] for name in self.archive.layers()}
        codes = {int(name) for name in names if name.isdecimal() and len(name) == 5}
        told = self._zones_told(self._finder.listing.ids(self.archive))
        return tuple(sorted({Zone(code) for code in codes} | told))

    def _zones_of(self, ids: Iterable[str]) -> tuple[Zone, ...]:
        """Return the zones of products; of ids that state no tile, by their items."""
        names = list(ids)
        found = self._zones_told(names)
        for name in names:
            if tile_told(name) is None:
                item = read_item(self.archive.store, name)
                if item is not None:
                    found.add(tile(item["properties"]["grid:code"]).zone)
        return tuple(sorted(found))

    def _zones_told(self, ids: Iterable[str]) -> set[Zone]:
        found = set()
        for name in {told for one in ids if (told := tile_told(one)) is not None}:
            try:
                found.add(tile(name).zone)
            except InvalidTileError:
                continue
        return found
