"""Scenes of an archive: plans that are believed for some seconds, and one cache of pixels for the process."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from abut.errors import BadRequestError, InvalidTileError, ProductNotFoundError
from abut.finding import ArchiveFinder, Filter
from abut.holdings import in_threads
from abut.lattice import Zone
from abut.newcomers import read_item
from abut.strips import tile_told
from abut.tiling import tile
from services.tiles.objects import Objects
from services.tiles.plan import plan_zone
from services.tiles.scene import Scene
from services.zone_views import EFFORT, FRESH

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable

    from abut.archive import Archive
    from services.tiles.plan import ZonePlan
    from services.tiles.wish import Wish

_NEVER: Final = float("-inf")
_PLANS: Final = 4_096
"""Plans that are kept at most, empty ones and those that failed included."""
_ANSWERS: Final = 1_024
"""Other answers about wishes that are kept at most, of each kind."""
_FILTERS: Final = 64
"""Answers of the catalogue that are kept at most."""


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
        self._named: OrderedDict[tuple[str, ...], _Entry[tuple[Zone, ...]]] = OrderedDict()
        self._zooms: OrderedDict[tuple[Wish, Hashable], _Entry[int]] = OrderedDict()

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
        if wish.item is None and wish.tiles:
            return tuple(sorted({tile(name).zone for name in wish.tiles}))
        ids = wish.ids if wish.item is None else (wish.item,)
        if ids:
            return self._kept(self._named, ids, lambda: self._zones_of(ids), _ANSWERS) or ()
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
        before = 0 if entry.value is None else entry.value.size
        found = self._fresh(entry, lambda: self._planned(wish, zone))
        self._shrink(entry, (0 if found is None else found.size) - before)
        return found

    def first_zoom(self, wish: Wish, key: Hashable, make: Callable[[], int]) -> int:
        """Return from which zoom on tiles answer, as found some seconds ago at most."""
        found = self._kept(self._zooms, (wish, key), make, _ANSWERS)
        assert found is not None  # noqa: S101 - it is a number
        return found

    def matching(self, text: str) -> frozenset[str]:
        """Return the ids of all products that canonical CQL2-JSON means, as found some seconds ago at most.

        Raises
        ------
        BadRequestError
            If there is no catalogue that could answer it.
        """
        find = self._find
        if find is None:
            raise BadRequestError(f"filter {text!r} needs a catalogue, and the archive has none here")
        return self._kept(self._found, text, lambda: find(text), _FILTERS) or frozenset()

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
            found = self.matching(wish.filter)
            ids = sorted(found if ids is None else found.intersection(ids))
        return Filter(
            ids=None if ids is None else frozenset(ids),
            tiles=frozenset(wish.tiles) or None,
            max_cloud_cover=wish.cloud,
            relative_orbit=wish.orbit,
            datatake=wish.datatake,
        )

    def _kept[K, T](
        self, table: OrderedDict[K, _Entry[T]], key: K, make: Callable[[], T | None], most: int
    ) -> T | None:
        with self._lock:
            entry = table.setdefault(key, _Entry())
            table.move_to_end(key)
            while len(table) > most:
                table.popitem(last=False)
        return self._fresh(entry, make)

    def _entry(self, wish: Wish, zone: Zone) -> _Entry[ZonePlan]:
        with self._lock:
            found = self._plans.get((wish, zone))
            if found is not None:
                self._plans.move_to_end((wish, zone))
                return found
            found = self._plans[wish, zone] = _Entry()
        self._shrink(found, 1_000 + len(repr(wish)))  # it counts before there is a plan, as planning may fail
        return found

    def _shrink(self, entry: _Entry[ZonePlan], more: int) -> None:
        """Count what an entry has more, and forget the plans that were used longest ago, if there are too many."""
        with self._lock:
            entry.size += more
            total = sum(one.size for one in self._plans.values())
            while (total > self.limits.plan_bytes or len(self._plans) > _PLANS) and len(self._plans) > 1:
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
        store = self.archive.store
        untold = [name for name in names if tile_told(name) is None]
        for item in in_threads(store, lambda name: read_item(store, name), untold):
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
