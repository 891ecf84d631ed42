"""One request to an archive: what it is read from, and the cube that is made of it."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from abut.asked import Options, filter_of, limit_of, wish_of
from abut.cube import make_cube
from abut.errors import BadRequestError, MixedBaselinesWarning, NoDataError, ProductNotFoundError
from abut.finding import Query, foresee
from abut.ground import ground_in, neighbour_zones
from abut.holdings import load_all
from abut.lattice import Bounds
from abut.newcomers import read_item
from abut.period import Period, parse_period
from abut.reading import snapped_out
from abut.steps import require_one_step, solar_shift, split_notes
from abut.tiling import tiles_touching
from abut.timeline import align
from abut.view import View, select
from abut.warp import REACH
from abut.window import geobox_of, geobox_window

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import xarray as xr
    from odc.geo.geobox import GeoBox

    from abut.across import Joined, Neighbour
    from abut.archive import Archive
    from abut.blocks import BlockSource, Slot
    from abut.finding import Finder
    from abut.lattice import Zone
    from abut.strips import Strip
    from abut.versions import Version

_FILTERS: Final = ("baseline", "ids", "tiles", "max_cloud_cover", "relative_orbit", "datatake", "predicate", "cql2")


@dataclass(frozen=True, slots=True)
class Plan:
    """What a request is read from; nothing but ledgers and items was read for it."""

    window: Bounds
    """The ground."""
    source: BlockSource
    """Blocks of the zone."""
    neighbours: tuple[Neighbour, ...]
    """Other zones that take part."""
    notes: tuple[str, ...] = ()
    """What is left out, and what is several steps, see `abut.view.View.notes`."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked of an archive, whatever the ground."""

    archive: Archive
    """The archive."""
    finder: Finder
    """What finds products in it."""
    options: Options
    """What a user asked for."""
    product: str | None = None
    """Product whose strip is overlaid first."""

    def plan(self, window: Bounds) -> Plan:
        """Find out what a window is read from; errors as `abut.connection.Connection.tile`."""
        wish_of(self.options)  # whether all of it has a meaning, before anything is looked for
        outer = snapped_out(window)
        shift = solar_shift(outer) if self._by_day else None
        grounds = self._grounds(outer) if self._takes_others(window) else []
        finder = self._foreseen([outer, *grounds])
        own = self._select(outer, shift, product=self.product, finder=finder)
        others = self._others(own, grounds, shift, finder)
        source, neighbours = self._joined(own, others, shift)
        if not source.slots:
            self._found_nothing(f"{outer.left} {outer.bottom} {outer.right} {outer.top} of {outer.zone}")
        if self.product is not None:
            require_one_step(source.slots)
        return Plan(window, source, neighbours, _notes([own, *others], source.slots, shift))

    def cube(self, window: Bounds, about: Mapping[str, Any]) -> xr.Dataset | xr.DataTree:
        """Return a window of a zone, with further attributes."""
        wish, options = wish_of(self.options), self.options
        plan = self.plan(window)
        return make_cube(
            plan.source,
            window,
            wish,
            chunks=options.get("chunks"),
            neighbours=plan.neighbours,
            resampling=self._resampling,
            store=self.archive.store,
            threads=options.get("threads"),
            on_block=options.get("on_block"),
            limit=limit_of(options),
            attributes={"archive": self.archive.store.url, **_told(plan.notes), **about},
        )

    def on_geobox(self, geobox: GeoBox) -> xr.Dataset | xr.DataTree:
        """Return exactly the pixels of a GeoBox."""
        found = self.native(geobox)
        if found is None:
            return self._projected(geobox)
        request, window = found
        return request.cube(window, {})

    def native(self, geobox: GeoBox) -> tuple[Request, Bounds] | None:
        """Return the request that reads a GeoBox on the grid of a zone, and the window; None for any other GeoBox."""
        window = geobox_window(geobox)
        if window is None:
            return None
        size, asked = int(geobox.affine.a), self.options.get("resolution")
        if asked not in (None, size):
            raise BadRequestError(f"resolution {asked} is not the GeoBox's, which is {size}")
        options: Options = {**self.options, "resolution": size}
        return Request(self.archive, self.finder, options, self.product), window

    def _takes_others(self, window: Bounds) -> bool:
        """Whether other zones may fill a window: by default all but that of a tile, of which its zone has all."""
        across = self.options.get("across")
        return all(tile.footprint != window for tile in tiles_touching(window)) if across is None else bool(across)

    @property
    def _resampling(self) -> str:
        method = self.options.get("resampling", "nearest")
        if method not in REACH:
            raise BadRequestError(f"resampling {method!r} is not one of {', '.join(REACH)}")
        return method

    @property
    def _by_day(self) -> bool:
        return self.options.get("group") == "solar_day"

    def joined(self, geobox: GeoBox) -> Joined:
        """Find out what a GeoBox that is not on the grid of a zone is read from."""
        from abut.across import join  # noqa: PLC0415 - needs odc-geo and rasterio, which are extras
        from abut.across import solar_shift as shift_of  # noqa: PLC0415 - as above

        options, wish = self.options, wish_of(self.options)
        if options.get("resolution") is not None or options.get("across") is False:
            raise BadRequestError(
                "a GeoBox that is not on the grid of a zone takes neither resolution nor across=False"
            )
        chosen: dict[Strip, Version] = {}

        def plan(window: Bounds) -> View:
            view = self._select(window, shift, versions=chosen)
            chosen.update(view.versions)
            return view

        if geobox.crs is None:
            raise BadRequestError(f"the GeoBox {geobox.boundingbox} has no coordinate system")
        shift = shift_of(geobox) if self._by_day else None
        joined = join(geobox, wish.bands, plan, resampling=self._resampling, shift=shift)
        if not joined.slots:
            self._found_nothing(f"{geobox.boundingbox.bbox} of {geobox.crs}")
        return joined

    def _projected(self, geobox: GeoBox) -> xr.Dataset:
        """Return the pixels of a GeoBox that is not on the grid of a zone."""
        from abut.across import solar_shift as shift_of  # noqa: PLC0415 - needs odc-geo and rasterio, which are extras
        from abut.projected import make_projected_cube  # noqa: PLC0415 - as above

        options, joined = self.options, self.joined(geobox)
        shift = shift_of(geobox) if self._by_day else None
        views = [one.source.source for one in joined.neighbours]
        return make_projected_cube(
            joined,
            geobox,
            wish_of(options),
            chunks=options.get("chunks"),
            resampling=self._resampling,
            threads=options.get("threads"),
            on_block=options.get("on_block"),
            limit=limit_of(options),
            attributes={"archive": self.archive.store.url, **_told(_notes(views, joined.slots, shift))},
        )

    def _select(
        self,
        window: Bounds,
        shift: timedelta | None,
        *,
        product: str | None = None,
        versions: Mapping[Strip, Version] | None = None,
        finder: Finder | None = None,
    ) -> View:
        return select(
            self.archive,
            finder or self.finder,
            window,
            parse_period(self.options.get("datetime")),
            wanted=filter_of(self.options),
            product=product,
            baseline=self.options.get("baseline"),
            group=self.options.get("group", "datatake"),
            shift=shift,
            versions=versions,
        )

    def _foreseen(self, windows: list[Bounds]) -> Finder:
        """Look for the products of all zones at once, rather than of one after another."""
        if len(windows) < 2:
            return self.finder
        period, wanted = parse_period(self.options.get("datetime")), filter_of(self.options)
        return foresee(self.finder, self.archive, [Query(window, period, wanted) for window in windows])

    def _grounds(self, window: Bounds) -> list[Bounds]:
        """Return the ground of other zones that a window may be filled from, nearest zone first."""
        found = [self._needed(window, zone) for zone in neighbour_zones(window)]
        return [ground for ground in found if ground is not None]

    def _others(self, own: View, grounds: list[Bounds], shift: timedelta | None, finder: Finder) -> list[View]:
        """Plan the zones beside a view's that have something there; versions are those chosen before."""
        found, versions = [], own.versions
        for ground in grounds:
            view = self._select(ground, shift, versions=versions, finder=finder)
            if view.slots:
                found.append(view)
                versions |= view.versions
        return found

    def _needed(self, window: Bounds, zone: Zone) -> Bounds | None:
        """Return the ground of another zone that a window may be filled from."""
        if ground_in(zone, window) is None:
            return None  # said without what the extras bring
        from abut.across import needed  # noqa: PLC0415 - needs odc-geo and rasterio, which are extras

        wish = wish_of(self.options)
        sizes = [wish.resolution] if wish.resolution else sorted({band.resolution for band in wish.bands})
        grounds = [needed(geobox_of(window, size), zone, wish.at(size), self._resampling) for size in sizes]
        found = [ground for ground in grounds if ground is not None]
        return Bounds.around(found) if found else None

    def _joined(
        self, own: View, others: Sequence[View], shift: timedelta | None
    ) -> tuple[BlockSource, tuple[Neighbour, ...]]:
        """Give the zones of a request one time axis."""
        if not others:
            return own, ()
        from abut.across import Neighbour  # noqa: PLC0415 - needs odc-geo and rasterio, which are extras

        first, *rest = align([own, *others], shift)
        return first, tuple(Neighbour(source, view.window) for source, view in zip(rest, others, strict=True))

    def _found_nothing(self, place: str) -> None:
        """Complain, unless an empty cube will do."""
        if self.options.get("empty", False):
            return
        period = parse_period(self.options.get("datetime"))
        asked = {name: value for name in _FILTERS if (value := self.options.get(name)) is not None}
        filters = "".join(f", {name} {value!r}" for name, value in asked.items())
        when = "at any time" if period == Period() else f"in {period}"
        raise NoDataError(f"{self.archive.store.url}: no product {when} on {place}{filters}")


def of_datatake(archive: Archive, product_id: str, options: Options) -> Options:
    """Return options that ask for the datatake of a product alone.

    Raises
    ------
    BadRequestError
        If they ask for a time or datatake already.
    ProductNotFoundError
        If there is no such product, or it was withdrawn.
    """
    for name in ("datetime", "datatake"):
        if options.get(name) is not None:
            raise BadRequestError(f"{name}={options.get(name)!r}: a neighbourhood is of its product's datatake")
    item = read_item(archive.store, product_id.removesuffix(".SAFE"))
    if item is None:
        raise ProductNotFoundError(f"{archive.store.url}: no product {product_id!r}")
    if not _is_live(archive, item):
        raise ProductNotFoundError(f"{archive.store.url}: product {product_id!r} was withdrawn")
    start = datetime.fromisoformat(item["properties"]["datetime"]).astimezone(UTC)
    taken = Period(start, start + timedelta(microseconds=1))
    return {**options, "datetime": taken, "datatake": item["properties"]["s2:datatake_id"]}


def _notes(views: Iterable[BlockSource], slots: Sequence[Slot], shift: timedelta | None) -> tuple[str, ...]:
    """Join the notes of all zones, and say what is several steps in all of them together."""
    notes = dict.fromkeys(note for view in views if isinstance(view, View) for note in view.notes)
    split = [note for note in split_notes(slots, shift) if note not in notes]
    if split:
        warnings.warn("; ".join(split), MixedBaselinesWarning, stacklevel=3)
    return (*notes, *split)


def _told(notes: Iterable[str]) -> dict[str, str]:
    """Return the attribute that tells notes, if there are any."""
    return {"notes": told} if (told := "; ".join(notes)) else {}


def _is_live(archive: Archive, item: Mapping[str, Any]) -> bool:
    """Whether a product was not withdrawn; one that its ledger does not know yet was not."""
    layer = item["properties"]["abut:layer"]
    member = load_all(archive.store, [layer])[layer].members.get(item["id"])
    return member is None or member.live or member.prefix != item["properties"]["abut:store"]
