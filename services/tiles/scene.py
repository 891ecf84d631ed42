"""Scenes: what a wish shows on any frame, from all zones that have something there."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from abut.errors import BadRequestError, NoDataError
from abut.messages import quoted
from services.cubes.execution import Stop
from services.tiles.canvas import Canvas, distance_to
from services.tiles.errors import TooWideError, UnreadableError
from services.tiles.flags import flags_of
from services.tiles.layers import asked_for, bands_needed
from services.tiles.levels import level_for
from services.tiles.mosaic import mosaic_of
from services.tiles.near import gap_to, is_native, named_under, stray_at, touches, window_of
from services.tiles.places import places_of
from services.tiles.warp import MARGIN, METHODS
from services.tiles.window import Tally

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from abut.blocks import Slot
    from services.tiles.frame import Frame, Pixels
    from services.tiles.mosaic import Mosaic
    from services.tiles.places import Places
    from services.tiles.plan import ZonePlan
    from services.tiles.scenes import Scenes
    from services.tiles.warp import Resampling
    from services.tiles.window import Window
    from services.tiles.wish import Wish

_FORMAT: Final = b"abut tiles 1"
"""Begins what an ETag is the digest of; another one where the same objects give other pixels."""
_LARGEST: Final = 2
"""How many times as many values as a picture may have may be read of a zone for it."""


class _StaleError(Exception):
    """A plan named an object that is gone."""


@dataclass(frozen=True, slots=True)
class Scene:
    """What a wish shows; get one with `services.tiles.scenes.Scenes.open`. Of any thread."""

    scenes: Scenes
    """Where plans and pixels come from."""
    wish: Wish
    """What is asked for."""

    @property
    def plans(self) -> tuple[ZonePlan, ...]:
        """Return the plans of all zones that have something, by EPSG code; a wish of no zone plans many."""
        found = (self.scenes.plan(self.wish, zone) for zone in self.scenes.zones(self.wish))
        return tuple(plan for plan in found if plan is not None)

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """West, south, east and north in degrees; from -180 to 180 across the antimeridian.

        Raises
        ------
        NoDataError
            If nothing is found.
        """
        edges = [plan.degrees for plan in self.plans]
        if not edges:
            raise NoDataError(f"no product is found for {self.wish.said}")
        whole = any(west > east for west, _, east, _ in edges)
        return (
            -180.0 if whole else min(edge[0] for edge in edges),
            min(edge[1] for edge in edges),
            180.0 if whole else max(edge[2] for edge in edges),
            max(edge[3] for edge in edges),
        )

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """West, south, east and north in degrees as one box: across the antimeridian east is more than 180.

        Raises
        ------
        NoDataError
            If nothing is found.
        """
        west, south, east, north = self.bounds
        edges = [plan.degrees for plan in self.plans]
        if not any(left > right for left, _, right, _ in edges):
            return west, south, east, north
        lefts = [left if left > 0 else left + 360 for left, *_ in edges]
        rights = [right if right > 0 else right + 360 for _, _, right, _ in edges]
        return (min(lefts), south, max(rights), north) if max(rights) - min(lefts) < 360 else self.bounds

    @property
    def products(self) -> tuple[str, ...]:
        """Ids of the products that are shown somewhere, sorted."""
        return tuple(sorted({one.product for plan in self.plans for one in plan.overlays}))

    @property
    def steps(self) -> tuple[Slot, ...]:
        """Datatakes, by their start; one for each zone that it has something in."""
        return tuple(sorted((slot for plan in self.plans for slot in plan.slots), key=lambda slot: slot.time))

    def touches(self, frame: Frame) -> bool:
        """Whether there are products near a frame; only zones near it are planned."""
        return bool(self._under(places_of(frame)))

    @property
    def empty(self) -> bool:
        """Whether nothing is found anywhere; zones are planned until something is."""
        return all(self.scenes.plan(self.wish, zone) is None for zone in self.scenes.zones(self.wish))

    def read(
        self,
        frame: Frame,
        layers: Sequence[str],
        *,
        resampling: Resampling = "nearest",
        unscale: bool = True,
        stop: Stop | None = None,
    ) -> Pixels:
        """Return pixels.

        Parameters
        ----------
        frame : Frame
            Where.
        layers : sequence of str
            Bands, and flags, see `services.tiles.layers.ALL`.
        resampling : {"nearest", "bilinear", "cubic"}
            How bands are resampled; flags take the nearest pixel. A frame on the zone's own pixels is not resampled.
        unscale : bool
            Reflectance, (DN + offset) / quantification value, with each product's own offset; else DN.
        stop : Stop, optional
            Ends it early.

        Returns
        -------
        Pixels
            All nodata where nothing is found.

        Raises
        ------
        BadRequestError
            If a layer or the method is not known.
        TooWideError
            If the picture has too many pixels, or needs too many objects.
        MixedBaselinesError
            If DN are asked for and products with different offsets are shown; if products of a datatake differ.
        UnreadableError
            If the wish is one product, and an object of it is broken or lost.
        UnsupportedStoreError, InvalidArchiveError
            If the archive can't be read.
        """
        if resampling not in METHODS:
            raise BadRequestError(f"resampling {quoted(resampling)} is not one of {', '.join(METHODS)}")
        asked = asked_for(tuple(layers))
        self._require_small(frame, len(asked))
        canvas = Canvas(frame, asked, unscale)
        places = places_of(frame)
        tally = Tally(self.scenes.limits.objects, stop=stop or Stop())
        plans = self._under(places)
        for plan in plans:
            distance = distance_to(places, plan.zone) if len(plans) > 1 else None
            self._fill(canvas, plan, places, distance, resampling, tally)
        return canvas.pixels()

    def etag(self, frame: Frame, layers: Sequence[str]) -> str:
        """Return a digest of the keys of all objects that `read` might paste, in their order; reads none of them.

        It is equal as long as the pixels are; the method of resampling and `unscale` are not part of it.

        Raises
        ------
        BadRequestError, TooWideError, MixedBaselinesError, UnsupportedStoreError, InvalidArchiveError
            As `read`.
        """
        asked = asked_for(tuple(layers))
        self._require_small(frame, len(asked))
        digest = hashlib.sha256(_FORMAT)
        digest.update(repr((frame, tuple(layers))).encode())
        places = places_of(frame)
        for plan in sorted(self._under(places), key=lambda plan: plan.zone):
            x, y = places.within(plan.zone)
            digest.update(repr((plan.zone.epsg, plan.broken)).encode())
            for resolution, bands in bands_needed(asked).items():
                window = window_of(plan, level_for(resolution, frame.metres), x, y, margin=2)
                if window is not None:
                    digest.update(repr([band.name for band in bands]).encode())
                    for line in named_under(plan, window):
                        digest.update(line.encode())
        return digest.hexdigest()[:32]

    def _require_small(self, frame: Frame, layers: int) -> None:
        most = self.scenes.limits.pixels
        if frame.width * frame.height * layers > most:
            raise TooWideError(
                f"a picture of {frame.width} x {frame.height} pixels and {layers} layers has more than {most} values"
            )

    def _under(self, places: Places) -> list[ZonePlan]:
        """Return the plans of zones that have something near a frame, the zone of its centre first."""
        if not np.isfinite(places.lon).any():
            return []
        zones = self.scenes.zones(self.wish)
        own = places.frame.zone
        near = []
        for zone in zones:
            apart = places.apart(zone)
            if gap_to(apart) > stray_at(places.lat):
                continue
            plan = self.scenes.plan(self.wish, zone)
            if plan is not None and touches(plan, apart, places.lat):
                middle = float(np.nanmedian(np.abs(apart)))
                near.append((zone != own, middle, zone.epsg, plan))
        return [plan for *_, plan in sorted(near, key=lambda one: one[:3])]

    def _fill(  # noqa: PLR0917 - of one use
        self,
        canvas: Canvas,
        plan: ZonePlan,
        places: Places,
        distance: NDArray[np.float64] | None,
        resampling: Resampling,
        tally: Tally,
    ) -> None:
        """Fill a canvas from a zone; with a newer plan if objects are gone."""
        wanted = canvas.lacks(distance)
        if not wanted.any():
            return
        x, y = places.within(plan.zone)
        while True:
            began = tally.objects
            try:
                self._fill_by(canvas, plan, places, (x, y), wanted, distance, resampling, tally)
            except _StaleError:
                renewed = self.scenes.renewed(self.wish, plan)
                if renewed is None:
                    return
                plan, tally.objects = renewed, began
            else:
                return

    def _fill_by(  # noqa: PLR0917 - of one use
        self,
        canvas: Canvas,
        plan: ZonePlan,
        places: Places,
        at: tuple[NDArray[np.float64], NDArray[np.float64]],
        wanted: NDArray[np.bool_],
        distance: NDArray[np.float64] | None,
        resampling: Resampling,
        tally: Tally,
    ) -> None:
        frame, objects = places.frame, self.scenes.objects
        ready = []
        for resolution, bands in bands_needed(canvas.asked).items():
            level = level_for(resolution, frame.metres)
            native = is_native(frame, plan.zone, level)
            window = window_of(plan, level, *at, margin=0 if native else MARGIN[resampling], wanted=wanted)
            if window is None:
                continue
            self._require_window(window, len(bands))
            mine = [one for one in canvas.asked if one.band in bands]
            made = mosaic_of(
                plan, window, bands, objects, tally, alike=canvas.unscale, suppliers=any(one.mask for one in mine)
            )
            masks = {one.name: flags_of(made, one.mask, objects, tally) for one in mine if one.mask is not None}
            self._note(plan, made, canvas)
            ready.append((made, masks, mine, native))
        for made, masks, mine, native in ready:
            tally.stop.check()
            columns, rows = at[0] / made.window.level.metres, (plan.zone.equator - at[1]) / made.window.level.metres
            columns -= made.window.left
            rows -= made.window.top
            canvas.add(made, masks, mine, (columns, rows), distance, "nearest" if native else resampling, places)

    def _require_window(self, window: Window, bands: int) -> None:
        height, width = window.shape
        most = _LARGEST * self.scenes.limits.pixels
        if height * width * bands > most:
            raise TooWideError(
                f"the picture needs {height} x {width} pixels of {window.level.metres} m of {bands} bands, more than "
                f"{most} values; look at less ground"
            )

    def _note(self, plan: ZonePlan, made: Mosaic, canvas: Canvas) -> None:
        """Note what could not be read; raise if a newer plan may do without it, or if it is all that is asked for."""
        stale = [one for one in made.broken.values() if one.lost and plan.made <= one.since]
        if stale:
            raise _StaleError
        for product, broken in made.broken.items():
            self.scenes.objects.tell(product, broken)
            if self.wish.item is not None:
                raise UnreadableError(f"{product} can't be shown: {broken.reason}")
            canvas.unreadable.add(product)
        for product, ground in plan.broken:
            size = made.window.level.metres
            top, left = (ground.zone.equator - ground.top) // size, ground.left // size
            if made.window.common(top, left, ground.height // size, ground.width // size) is not None:
                canvas.unreadable.add(product)
