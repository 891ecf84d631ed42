"""Requests as users write them, on a command line, in a URL or in JSON, and what they ask for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from abut.asked import wish_of
from abut.errors import BadRequestError
from abut.lattice import RESOLUTIONS, Zone
from abut.length import parse_length
from abut.messages import quoted
from abut.period import parse_period
from abut.window import bbox_geobox, bbox_window, geometry_window, tile_window

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import xarray as xr

    from abut.asked import Options
    from abut.connection import Connection
    from abut.explain import Explanation
    from abut.lattice import Bounds

INPUTS: Final = (
    *("tile", "buffer", "bbox", "geometry", "crs", "zone", "datetime", "bands", "to", "resolution", "reflectance"),
    *("masks", "angles", "group", "baseline", "cloud", "orbit", "across", "resampling"),
)
"""What a request may say."""

_KEYWORDS: Final = {
    **{name: name for name in ("datetime", "bands", "resolution", "reflectance", "masks", "angles", "group")},
    **{name: name for name in ("baseline", "across", "resampling")},
    "cloud": "max_cloud_cover",
    "orbit": "relative_orbit",
}
_LARGEST: Final = 10**18
"""Numbers above have no meaning anywhere."""
_PLACES: Final = ("tile", "bbox", "geometry")
_EXAMPLE: Final = "W,S,E,N, such as 10,46,11,47"


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request asks for."""

    tile: str | None
    """The tile, if one was named."""
    buffer: float
    """Metres around it."""
    window: Bounds
    """The ground."""
    geobox: Any
    """The pixels, if they are not those of a zone."""
    options: Options
    """Keywords of `abut.connection.Connection`."""

    @property
    def least_bytes(self) -> int:
        """Bytes of the bands of one step: a cube has as many at least. Nothing is looked for to know it."""
        wish = wish_of(self.options)
        size = 4 if wish.reflectance else 2
        if self.geobox is not None:
            rows, columns = self.geobox.shape
            return size * len(wish.bands) * int(rows) * int(columns)
        sizes = RESOLUTIONS if wish.resolution is None else (wish.resolution,)
        return sum(size * len(wish.at(one)) * self.window.area // one**2 for one in sizes)

    def read(self, connection: Connection, **more: Any) -> xr.Dataset | xr.DataTree:
        """Read it, or make it lazily if `more` has chunks; errors as `abut.connection.Connection.tile`."""
        options: Any = {**self.options, **more}
        if self.geobox is not None:
            return connection.cube(geobox=self.geobox, **options)
        if self.tile is not None:
            return connection.tile(self.tile, self.buffer, **options)
        return connection.cube(window=self.window, **options)

    def explain(self, connection: Connection) -> Explanation:
        """Say what `read` would read; errors as `abut.connection.Connection.explain`."""
        if self.geobox is not None:
            return connection.explain(self.geobox, **self.options)
        options: Any = dict(self.options)
        if self.tile is not None and not self.buffer:
            options.setdefault("across", False)  # as `abut.connection.Connection.tile` does
        return connection.explain(self.window, **options)


def asked_of(given: Mapping[str, Any], prefix: str = "") -> Asked:
    """Return what a request asks for; nothing is looked for yet.

    Parameters
    ----------
    given : mapping
        What was written, by the names of `INPUTS`: texts, or numbers, lists and objects of JSON; what is missing or
        None was not.
    prefix : str
        What these names begin with where the user writes them, for the errors.

    Raises
    ------
    BadRequestError
        If inputs contradict each other, or a value has no meaning.
    InvalidTileError, InvalidWindowError, InvalidPeriodError
        If a place or time has none; the message quotes it.
    """
    said = {name: value for name, value in given.items() if value is not None}
    for name in said:
        if name not in INPUTS:
            raise BadRequestError(f"{prefix}{name} is nothing that can be asked for; there are {', '.join(INPUTS)}")
    _require_types(said, prefix)
    _require_sense(said, prefix)
    options: Any = {keyword: said[name] for name, keyword in _KEYWORDS.items() if name in said}
    resolution = options.get("resolution")
    if isinstance(resolution, float) and resolution.is_integer():
        options["resolution"] = int(resolution)
    buffer = _metres(said.get("buffer", 0), prefix)
    window = _window(said, buffer, prefix)
    asked = Asked(said.get("tile"), buffer, window, _geobox(said, window, options, prefix), options)
    wish_of(asked.options)
    parse_period(asked.options.get("datetime"))
    return asked


def _require_types(said: Mapping[str, Any], prefix: str) -> None:
    for names, is_one, what in _TYPES:
        for name in names:
            if name in said and not is_one(said[name]):
                raise BadRequestError(f"{prefix}{name} {quoted(said[name])} is not {what}")


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_switch(value: Any) -> bool:
    return isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and not abs(value) > _LARGEST


def _is_text_or_texts(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, list | tuple) and all(isinstance(one, str) for one in value))


def _is_system(value: Any) -> bool:
    return not isinstance(value, int) or _is_number(value)


_TYPES: Final[tuple[tuple[tuple[str, ...], Callable[[Any], bool], str], ...]] = (
    (("tile", "group", "baseline", "resampling"), _is_text, "a text"),
    (("resolution", "cloud", "orbit"), _is_number, "a number"),
    (("reflectance", "masks", "angles", "across"), _is_switch, "true or false"),
    (("bands",), _is_text_or_texts, "a text such as B02,B8A, or a list of such names"),
    (("crs", "to"), _is_system, "a coordinate system"),
)


def _require_sense(said: Mapping[str, Any], prefix: str) -> None:
    places = [name for name in _PLACES if name in said]
    if len(places) != 1:
        names = f"{prefix}tile, {prefix}bbox and {prefix}geometry"
        raise BadRequestError(f"name one of {names}{f', not {len(places)}' if places else ''}")
    if "tile" in said and ("crs" in said or "zone" in said):
        raise BadRequestError(
            f"{prefix}crs and {prefix}zone are for {prefix}bbox and {prefix}geometry; a tile has its own"
        )
    if "buffer" in said and "tile" not in said:
        raise BadRequestError(f"{prefix}buffer is for {prefix}tile")
    if "to" in said and ("resolution" not in said or "zone" in said):
        raise BadRequestError(f"{prefix}to needs {prefix}resolution, in its own units, and no {prefix}zone")


def _window(said: Mapping[str, Any], buffer: float, prefix: str) -> Bounds:
    if "tile" in said:
        return tile_window(said["tile"], buffer)
    crs, zone = said.get("crs", "EPSG:4326"), _zone(said.get("zone"), prefix)
    if "bbox" in said:
        return bbox_window(_numbers(said["bbox"], prefix), crs, zone)
    return geometry_window(_geometry(said["geometry"]), crs, zone)


def _geobox(said: Mapping[str, Any], window: Bounds, options: Any, prefix: str) -> Any:
    """Return the pixels of another coordinate system: on the box as it is written, else on the window."""
    if "to" not in said:
        return None
    resolution = options.pop("resolution")
    if "bbox" in said:
        return bbox_geobox(_numbers(said["bbox"], prefix), said.get("crs", "EPSG:4326"), said["to"], resolution)
    edges = (window.left, window.bottom, window.right, window.top)
    return bbox_geobox(edges, window.zone.epsg, said["to"], resolution)


def _metres(value: Any, prefix: str) -> float:
    if isinstance(value, str):
        return parse_length(value)
    if not _is_number(value):
        raise BadRequestError(f"{prefix}buffer {quoted(value)} is not a length such as 10km, or a number of metres")
    return float(value)


def _numbers(value: Any, prefix: str) -> list[float]:
    parts = re.split(r"[,\s]+", value.strip()) if isinstance(value, str) else value
    try:
        return [float(part) for part in parts]
    except (OverflowError, TypeError, ValueError):
        raise BadRequestError(f"{prefix}bbox {quoted(value)} is not {_EXAMPLE}") from None


def _zone(value: Any, prefix: str) -> Zone | None:
    if value is None:
        return None
    try:
        return Zone(int(str(value).upper().removeprefix("EPSG:")))
    except ValueError:
        raise BadRequestError(f"{prefix}zone {quoted(value)} is not a UTM zone, such as 32632") from None


def _geometry(found: Any) -> Any:
    """Return a GeoJSON geometry; those of a collection of features as one."""
    if isinstance(found, dict) and found.get("type") == "FeatureCollection" and isinstance(found.get("features"), list):
        parts = [one.get("geometry") for one in found["features"] if isinstance(one, dict)]
        return {"type": "GeometryCollection", "geometries": parts}
    return found
