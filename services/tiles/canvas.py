"""Canvases: pictures that are filled zone by zone; what is nearest wins, whatever comes first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from abut.errors import MixedBaselinesError
from services.tiles.frame import Frame, Pixels
from services.tiles.warp import interpolated, is_whole, nearest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from abut.lattice import Zone
    from services.tiles.layers import Asked
    from services.tiles.mosaic import Mosaic
    from services.tiles.places import Places
    from services.tiles.warp import Resampling

_HEMISPHERE: Final = 1e-3
"""Degrees that a zone of the other hemisphere counts as farther away."""


class Canvas:
    """A picture that is being filled.

    Parameters
    ----------
    frame : Frame
        Where.
    asked : tuple of Asked
        Its layers.
    unscale : bool
        Whether bands are reflectance.
    """

    def __init__(self, frame: Frame, asked: tuple[Asked, ...], unscale: bool) -> None:
        self.frame, self.asked, self.unscale = frame, asked, unscale
        self.unreadable: set[str] = set()
        self._products: set[str] = set()
        self._offsets: dict[str, tuple[int, str]] = {}
        self._shape = frame.height, frame.width
        self._layers: dict[str, tuple[NDArray[Any], NDArray[np.bool_]]] = {}
        self._nearest: dict[str, NDArray[np.float64]] = {}

    def lacks(self, distance: NDArray[np.float64] | None) -> NDArray[np.bool_]:
        """Return which pixels a zone may fill: those without data, or with data of a zone that is farther away."""
        if distance is None or len(self._layers) < len(set(self.asked)):
            return np.ones(self._shape, np.bool_)
        found = np.zeros(self._shape, np.bool_)
        for name, (_, valid) in self._layers.items():
            found |= ~valid | (distance < self._nearest[name])
        return found

    def add(  # noqa: PLR0917 - of one use
        self,
        made: Mosaic,
        masks: dict[str, NDArray[np.uint8]],
        asked: Sequence[Asked],
        at: tuple[NDArray[np.float64], NDArray[np.float64]],
        distance: NDArray[np.float64] | None,
        resampling: Resampling,
        places: Places,
    ) -> None:
        """Put what a zone shows into layers."""
        self._products.update(made.used)
        self._require_alike(made)
        whole = is_whole(made.padded, *at, resampling)
        exact = None if whole and resampling != "nearest" else nearest(made.padded, *at)
        valid = np.ones((len(made.bands), *self._shape), np.bool_) if whole or exact is None else exact > 0
        values = exact if resampling == "nearest" else interpolated(made.padded, *at, resampling, whole=whole)
        assert values is not None  # noqa: S101 - one of both
        values = self._scaled(made, values, valid, whole=whole)
        for one in asked:
            band = made.bands.index(one.band)
            if one.is_band:
                self._put(one.name, values[band], valid[band], distance)
            elif one.mask is not None:
                self._put(one.name, nearest(masks[one.name], *at)[0], valid[band], distance)
            else:
                native = _is_own(places, made.plan.zone)
                told = np.where(valid[band], np.where(native, 1, 2), 0).astype(np.uint8)
                self._put(one.name, told, valid[band], distance)

    def pixels(self) -> Pixels:
        """Return the picture."""
        kinds = {np.dtype(self._dtype(one)) for one in self.asked}
        dtype = kinds.pop() if len(kinds) == 1 else np.dtype(np.float32 if self.unscale else np.uint16)
        data = np.zeros((len(self.asked), *self._shape), dtype)
        nodata = np.ones(data.shape, np.bool_)
        for number, one in enumerate(self.asked):
            if one.name in self._layers:
                values, valid = self._layers[one.name]
                data[number] = values
                np.logical_not(valid, out=nodata[number])
        names = tuple(one.name for one in self.asked)
        return Pixels(data, nodata, names, tuple(sorted(self._products)), tuple(sorted(self.unreadable)))

    def _dtype(self, one: Asked) -> type[np.generic]:
        if not one.is_band:
            return np.uint8
        return np.float32 if self.unscale else np.uint16

    def _put(
        self, name: str, values: NDArray[Any], valid: NDArray[np.bool_], distance: NDArray[np.float64] | None
    ) -> None:
        known = self._layers.get(name)
        if known is None:
            self._layers[name] = values, valid
            if distance is not None:
                self._nearest[name] = np.where(valid, distance, np.inf)
            return
        assert distance is not None  # noqa: S101 - there are several zones
        new = valid & (distance < self._nearest[name])
        known[0][new] = values[new]
        known[1][new] = True
        self._nearest[name][new] = distance[new]

    def _scaled(self, made: Mosaic, values: NDArray[Any], valid: NDArray[np.bool_], *, whole: bool) -> NDArray[Any]:
        """Return values of bands: reflectance, or DN of 1 and more; 0 where nothing is."""
        if not self.unscale:
            if values.dtype == np.uint16:
                return values
            return np.clip(np.rint(values), 1, 65_535).astype(np.uint16) * valid
        found = values.astype(np.float32, copy=False)
        quantification = next((layer.quantification_value for layer in made.used.values()), 1)
        for band, base in enumerate(made.base):
            found[band] += np.float32(base)
        found /= np.float32(quantification)
        if not whole:
            found[~valid] = 0
        return found

    def _require_alike(self, made: Mosaic) -> None:
        """Raise if DN are asked for and zones differ in what they mean."""
        if self.unscale:
            return
        for product, layer in made.used.items():
            offsets = dict(layer.radio_add_offset)
            for band in made.bands:
                value = offsets.get(band.name, 0)
                known, other = self._offsets.setdefault(band.name, (value, product))
                if known != value:
                    raise MixedBaselinesError(
                        f"the radio_add_offset of {band.name} is {known} in {other} and {value} in {product}: their DN "
                        "can't be shown side by side; ask for reflectance, or for products of one baseline"
                    )


def distance_to(places: Places, zone: Zone) -> NDArray[np.float64]:
    """Return how far pixels are from a zone, in degrees of longitude, never equal for two zones.

    The zone of the frame's own coordinate system, if it is one, comes first everywhere, else each pixel's own.
    """
    if places.frame.zone == zone:
        return np.full((places.frame.height, places.frame.width), -1.0)
    found = np.round(np.abs(places.spread(places.apart(zone))), 9)
    found[np.isnan(found)] = 360.0
    south = places.spread(places.lat) < 0
    found += _HEMISPHERE * (south != (zone.epsg > 32_700)) + 1e-12 * (zone.epsg - 32_600)
    found[_is_own(places, zone)] -= 360.0
    return found


def _is_own(places: Places, zone: Zone) -> NDArray[np.bool_]:
    """Return which pixels are in a zone of their own: the frame's, or that of their longitude as UTM has it.

    As in UTM, zone 32 is wider in south-west Norway, and around Svalbard there are zones 31, 33, 35 and 37 only.
    """
    if places.frame.zone is not None:
        return np.full((places.frame.height, places.frame.width), places.frame.zone == zone)
    lat, apart = places.spread(places.lat), places.spread(places.apart(zone))
    lon = (zone.number * 6 - 183 + apart + 180) % 360 - 180
    number = np.clip(np.floor((lon + 180) / 6) + 1, 1, 60)
    number[(lat >= 56) & (lat < 64) & (lon >= 3) & (lon < 12)] = 32
    svalbard = (lat >= 72) & (lon >= 0) & (lon < 42)
    number[svalbard] = 31 + 2 * np.searchsorted([9, 21, 33], lon[svalbard], side="right")
    return np.asarray((number == zone.number) & ((lat < 0) == (zone.epsg > 32_700)))
