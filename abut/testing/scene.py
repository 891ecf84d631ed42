"""What the satellite saw during one datatake: a deterministic function of the place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal

import numpy as np
from pyproj import Transformer

from abut.layout import BAND, BANDS, CLASSIFICATION_BITS, QUALITY_BITS, Band
from abut.metadata import version
from abut.testing import ground
from abut.testing.swath import HalfPlane, Swath, fill, runs, sides

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from abut.lattice import Bounds, Zone

type Texture = Mapping[str, NDArray[np.uint16]] | Callable[[Band, Bounds], NDArray[np.uint16]]
"""DN of valid pixels: an array per band name at its own pixel size, all of the same ground, which is repeated;
or a function of band and bounds that returns (rows, columns). Values below 1 become 1."""

RADIO_ADD_OFFSET = -1000
"""``RADIO_ADD_OFFSET`` of Level-1C since baseline 04.00."""

FLAWED_BANDS = ("B01", "B03", "B8A", "B10")
"""Bands whose quality masks are not empty."""

_CHUNK = 60 * 512
_MARGIN = 500
_OVERHANG = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Strip:
    """One datastrip of a datatake."""

    start: datetime
    """Sensing start, UTC."""
    created: datetime
    """When it was processed, UTC: the creation time in ids and, since baseline 02.06, the discriminator."""
    north_of: int | None = None
    """Only what lies north of the line that crosses the track at this northing of its centre line."""
    south_of: int | None = None
    """Only what lies south of such a line."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scene:
    """One datatake as one processing delivers it."""

    swath: Swath
    """The ground that it saw."""
    seed: int = 0
    """Another seed, another ground."""
    spacecraft: str = "Sentinel-2B"
    """``SPACECRAFT_NAME``."""
    datatake_start: datetime = datetime(2025, 8, 1, 10, 15, 59, 24_000, tzinfo=UTC)
    """``DATATAKE_SENSING_START``."""
    relative_orbit: int = 65
    """Relative orbit, 1 ... 143."""
    absolute_orbit: int = 43885
    """Orbit since launch."""
    orbit_direction: Literal["ascending", "descending"] = "descending"
    """Direction of the flight."""
    baseline: str = "05.11"
    """Processing baseline."""
    station: str = "2BPS"
    """Processing centre, four characters."""
    frame: Bounds | None = None
    """Only this ground of its zone was seen; the swath alone says what was seen in other zones. By default, no limit.
    """
    strips: tuple[Strip, ...] = ()
    """Its datastrips; by default one, sensed from 3 minutes after the datatake's start, processed 2 hours later."""
    detectors: tuple[int, ...] = (5, 6, 7)
    """Ids of the detectors that share the swath, from west to east."""
    clouds: bool = True
    """Whether there are clouds and snow: brighter rectangles, and masks that say so."""
    texture: Texture | None = None
    """DN of the ground instead of the made-up pattern (clouds are still put on it; extreme values are not)."""

    def strip(self, index: int) -> Strip:
        """Return a datastrip.

        Raises
        ------
        IndexError
            If there is none of that index.
        """
        default = Strip(
            start=self.datatake_start.replace(microsecond=0) + timedelta(minutes=3),
            created=self.datatake_start.replace(microsecond=0) + timedelta(hours=2),
        )
        return (self.strips or (default,))[index]

    def split(self, northing: int) -> Scene:
        """Return the scene in two datastrips: north and south of a line across the track.

        Parameters
        ----------
        northing : int
            Where the line crosses the swath's centre line, in metres.
        """
        first = self.strip(0)
        north = replace(first, north_of=northing)
        later = timedelta(seconds=12)
        south = replace(first, south_of=northing, start=first.start + later, created=first.created + 5 * later)
        strips = (north, south) if self.orbit_direction == "descending" else (south, north)
        return replace(self, strips=strips)

    @property
    def offset(self) -> int:
        """``RADIO_ADD_OFFSET`` of all bands: -1000, or 0 before baseline 04.00."""
        return RADIO_ADD_OFFSET if version(self.baseline) >= (4, 0) else 0

    @property
    def theme(self) -> str:
        """What its ground depends on: seed and datatake, not the processing."""
        return f"{self.seed}/{self.datatake_start.isoformat()}"

    def swath_in(self, zone: Zone) -> Swath:
        """Return the swath in the coordinates of a zone: straight there too, and nearly the same ground."""
        if zone == self.swath.zone:
            return self.swath
        ahead = 60_000
        x0, y0 = self._on_track(zone, self.swath.northing)
        x1, y1 = self._on_track(zone, self.swath.northing + ahead)
        return replace(self.swath, zone=zone, easting=x0, northing=y0, slope=(x1 - x0, y1 - y0))

    def _on_track(self, zone: Zone, northing: int) -> tuple[int, int]:
        east, north = self.swath.slope
        easting = self.swath.easting + (northing - self.swath.northing) * east / north
        x, y = Transformer.from_crs(self.swath.zone.epsg, zone.epsg, always_xy=True).transform(easting, northing)
        return round(x), round(y)

    def area(self, zone: Zone, band: Band, strip: int | None = None) -> tuple[HalfPlane, ...]:
        """Return the ground that a band saw, as half-planes.

        The edges differ by some pixels from band to band, as in reality.

        Parameters
        ----------
        zone : Zone
            In whose coordinates.
        band : Band
            Which band.
        strip : int, optional
            Only one datastrip; by default all.
        """
        west, east = self._edges(band)
        swath = self.swath_in(zone)
        return (swath.east_of(west), swath.west_of(east), *self._limits(zone, band, strip))

    def _edges(self, band: Band) -> tuple[int, int]:
        half = self.swath.width // 2
        return 10 * (7 * band.index % 13) - 60 - half, 10 * (5 * band.index % 13) - 60 + self.swath.width - half

    def _limits(self, zone: Zone, band: Band, strip: int | None, inwards: int = 0) -> Iterator[HalfPlane]:
        if self.frame is not None and self.frame.zone == zone:
            yield from sides(self.frame.buffered(-inwards))
        if strip is None:
            return
        swath, chosen, lag = self.swath_in(zone), self.strip(strip), 20 * band.index
        if chosen.north_of is not None:
            yield swath.north_of(self._limit_in(zone, chosen.north_of) + lag + inwards)
        if chosen.south_of is not None:
            yield swath.south_of(self._limit_in(zone, chosen.south_of) + lag - inwards)

    def _limit_in(self, zone: Zone, northing: int) -> int:
        return northing if zone == self.swath.zone else self._on_track(zone, northing)[1]

    def pixels(self, band: Band, bounds: Bounds, *, strip: int | None = None) -> NDArray[np.uint16]:
        """Return the DN of some ground.

        Parameters
        ----------
        band : Band
            Which band.
        bounds : Bounds
            Any rectangle that is aligned to the band's pixels, of any zone.
        strip : int, optional
            Only one datastrip; by default all.

        Returns
        -------
        array of uint16, shape (rows, columns), row 0 northmost
            0 where the band saw nothing.

        Raises
        ------
        ValueError
            If the bounds are not on the band's pixel grid.
        """
        size = band.resolution
        image = np.zeros(bounds.shape(size), dtype=np.uint16)
        first, stop = runs(self.area(bounds.zone, band, strip), bounds, size)
        step = _CHUNK // size
        for row in range(0, len(first), step):
            seen = slice(row, row + step)
            some = stop[seen] > first[seen]
            if not some.any():
                continue
            left, right = int(first[seen][some].min()), int(stop[seen][some].max())
            top = bounds.top - row * size
            bottom = max(top - _CHUNK, bounds.bottom)
            part = replace(
                bounds, left=bounds.left + left * size, right=bounds.left + right * size, top=top, bottom=bottom
            )
            column = np.arange(left, right)
            inside = (column >= first[seen, np.newaxis]) & (column < stop[seen, np.newaxis])
            image[seen, left:right] = np.where(inside, self._ground(band, part), 0)
        return image

    def _ground(self, band: Band, bounds: Bounds) -> NDArray[np.uint16]:
        if self.texture is None:
            values, draws = ground.pattern(self.theme, band, bounds)
            values += np.uint16(-self.offset)
        else:
            draws = None
            texture = self.texture
            values = texture(band, bounds) if callable(texture) else ground.repeated(texture, band, bounds)
            values = np.clip(values, ground.DARKEST, ground.BRIGHTEST).astype(np.uint16)
        for patch, kind in self.covers(bounds):
            shared = patch.intersection(bounds)
            # At 60 m grid steps a patch holds whole pixels of all bands.
            if shared is not None and (kind != "CIRRUS" or band == BAND["B10"]):
                covered = bounds.slices(shared, band.resolution)
                values[covered] = np.minimum(values[covered] + np.uint16(2500), ground.BRIGHTEST)
        if draws is not None:
            ground.put_extremes(values, draws, band.resolution)
        return values

    def covers(self, bounds: Bounds, *, strip: int | None = None) -> Iterator[tuple[Bounds, str]]:
        """Yield the clouds and the snow that touch some ground, whole, with their plane of MSK_CLASSI."""
        if self.clouds:
            for patch in self._patches("cover", bounds, strip):
                yield patch.bounds, CLASSIFICATION_BITS[patch.draw % 3]

    def flaws(self, band: Band, bounds: Bounds, *, strip: int | None = None) -> Iterator[tuple[Bounds, str]]:
        """Yield the flawed ground of a band that touches some ground, whole, with its plane of MSK_QUALIT.

        Only the bands of `FLAWED_BANDS` have any.
        """
        if band.name in FLAWED_BANDS:
            for patch in self._patches("flaw", bounds, strip):
                if patch.draw >> 8 + band.index & 1:
                    yield patch.bounds, QUALITY_BITS[patch.draw % 8]

    def _patches(self, theme: str, bounds: Bounds, strip: int | None) -> Iterator[ground.Patch]:
        swath, half = self.swath_in(bounds.zone), self.swath.width // 2 - _MARGIN
        area = [
            swath.east_of(-half),
            swath.west_of(half),
            *self._limits(bounds.zone, BANDS[0], strip, inwards=_MARGIN),
        ]
        for patch in ground.patches(f"{self.theme}/{theme}", bounds):
            box = patch.bounds
            corners = [(x, y) for x in (box.left, box.right) for y in (box.bottom, box.top)]
            if all(corner in plane for plane in area for corner in corners):
                yield patch

    def footprints(
        self, zone: Zone, band: Band, strip: int | None = None
    ) -> Iterator[tuple[int, tuple[HalfPlane, ...]]]:
        """Yield each detector's id and the ground of its footprint.

        They don't match the pixels with data exactly, as in reality: the westmost reaches 120 m further, the
        eastmost 120 m less far.
        """
        west, east = self._edges(band)
        swath, limits = self.swath_in(zone), tuple(self._limits(zone, band, strip))
        count = len(self.detectors)
        borders = [west + (east - west) * i // count - _OVERHANG * (i in (0, count)) for i in range(count + 1)]
        for detector, left, right in zip(self.detectors, borders, borders[1:], strict=False):
            yield detector, (swath.east_of(left), swath.west_of(right), *limits)

    def detector(self, band: Band, bounds: Bounds, *, strip: int | None = None) -> NDArray[np.uint8]:
        """Return the detector of each pixel (rows, columns), 0 for none: MSK_DETFOO."""
        mask = np.zeros(bounds.shape(band.resolution), dtype=np.uint8)
        for detector, area in self.footprints(bounds.zone, band, strip):
            fill(mask, detector, runs(area, bounds, band.resolution))
        return mask

    def quality(self, band: Band, bounds: Bounds, *, strip: int | None = None) -> NDArray[np.uint8]:
        """Return the quality planes (8, rows, columns), 0 or 1, in the order of `QUALITY_BITS`: MSK_QUALIT."""
        flaws = self.flaws(band, bounds, strip=strip)
        return _planes(flaws, QUALITY_BITS, bounds, band.resolution)

    def classification(self, bounds: Bounds, *, strip: int | None = None) -> NDArray[np.uint8]:
        """Return opaque cloud, cirrus and snow (3, rows, columns), 0 or 1, at 60 m: MSK_CLASSI."""
        return _planes(self.covers(bounds, strip=strip), CLASSIFICATION_BITS, bounds, 60)


def _planes(
    patches: Iterator[tuple[Bounds, str]], names: tuple[str, ...], bounds: Bounds, resolution: int
) -> NDArray[np.uint8]:
    planes = np.zeros((len(names), *bounds.shape(resolution)), dtype=np.uint8)
    for patch, name in patches:
        shared = patch.intersection(bounds)
        if shared is not None:
            planes[names.index(name)][bounds.slices(shared, resolution)] = 1
    return planes
