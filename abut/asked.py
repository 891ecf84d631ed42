"""What a user may ask for by keyword, checked once."""

from __future__ import annotations

from dataclasses import fields
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, TypedDict

from abut.cube import LIMIT, Wish
from abut.errors import BadRequestError
from abut.finding import Filter
from abut.layout import BAND, BANDS, Band
from abut.messages import quoted
from abut.metadata import version
from abut.warp import REACH

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from abut.steps import Grouping


class Options(TypedDict, total=False):
    """Keywords that every request takes."""

    datetime: Any
    """Period, see `abut.period.parse_period`: ``"2025-07"``, ``"2025-07-03/2025-07-09"``, a datetime ... Default:
    all time."""
    bands: Iterable[str | Band] | str | None
    """Names of bands, such as ``["B02", "B8A"]`` or ``"B02,B8A"``. Default: all thirteen."""
    resolution: int | None
    """10, 20 or 60: one Dataset on pixels of this size (coarser bands repeated, of finer ones the mean of DN > 0 of
    the cell, rounded half to even). Default: a DataTree, each band at its own."""
    reflectance: bool
    """float32 reflectance, NaN where there are no data, instead of uint16 DN."""
    masks: bool
    """Detector footprint and quality of each band and the classification too."""
    angles: bool
    """Viewing angles of each band and sun angles too."""
    angle_resolution: int
    """Pixel size of the angles where bands keep their own: 10, 20 or 60. Default: 60, as angles change by less than
    0.01 degrees in 60 m."""
    weather: bool
    """ECMWF and CAMS fields of each product too, in groups of their own."""
    chunks: Mapping[str, int | str] | int | str | None
    """Lazily with Dask, see `abut.zone_array.chunk_sizes`; ``{}`` for the default. None: read at once."""
    group: Grouping
    """``"datatake"`` or ``"solar_day"``: what makes a step in time."""
    baseline: str | None
    """Processing baseline, such as ``"05.11"``. Default: the newest of each strip."""
    ids: Iterable[str] | None
    """Only these products."""
    tiles: Iterable[str] | None
    """Only products of these tiles."""
    max_cloud_cover: float | None
    """Only products with at most this cloud cover in percent."""
    relative_orbit: int | None
    """Only this relative orbit."""
    datatake: str | None
    """Only this datatake."""
    predicate: Callable[[Mapping[str, Any]], bool] | None
    """Only products whose item this says yes to."""
    cql2: str | Mapping[str, Any] | None
    """Only products whose item this CQL2 filter takes (through a STAC API)."""
    across: bool | None
    """Fill what the zone lacks from zones beside it, reprojected, and mark it (`provenance`). Default: yes, unless a
    tile is asked for without buffer."""
    resampling: str
    """How: nearest (default), bilinear, cubic or average."""
    empty: bool
    """Return a cube without steps if no product is found. Default: that is an error."""
    limit: int | None
    """Bytes of the largest cube that is read at once. Default: 4,000,000,000."""
    threads: int | None
    """How many objects are fetched and decoded at once. Default: 4 from a folder, 64 from elsewhere."""
    on_block: Callable[[int], None] | None
    """Called after each block of a band that was read at once, with its bytes."""


def parse_bands(bands: Iterable[str | Band] | str | None) -> tuple[Band, ...]:
    """Return the bands of some names, in the order of ``bandId``.

    Raises
    ------
    BadRequestError
        If there is no such band, or none is named.
    """
    if bands is None:
        return BANDS
    try:
        names = bands.split(",") if isinstance(bands, str) else list(bands)
    except TypeError:
        raise BadRequestError(f"bands {quoted(bands)} is not a text such as B02,B8A, or a list of such names") from None
    chosen = {name if isinstance(name, Band) else _band(name) for name in names}
    if not chosen:
        raise BadRequestError(f"bands {bands!r} names no band")
    return tuple(sorted(chosen, key=lambda band: band.index))


def wish_of(options: Options) -> Wish:
    """Return what a cube is to have.

    Raises
    ------
    BadRequestError
        If an option has no meaning; the message quotes it.
    """
    _require_known(options)
    _require_meaning(options)
    return Wish(
        bands=parse_bands(options.get("bands")),
        resolution=options.get("resolution"),
        reflectance=options.get("reflectance", False),
        masks=options.get("masks", False),
        angles=options.get("angles", False),
        angle_resolution=options.get("angle_resolution", 60),
        weather=options.get("weather", False),
    )


def filter_of(options: Options) -> Filter:
    """Return which products are chosen.

    Raises
    ------
    InvalidTileError
        If a tile is not in the grid.
    """
    given: dict[str, Any] = {field.name: options.get(field.name) for field in fields(Filter)}
    for name in ("ids", "tiles"):
        if given[name] is not None:
            given[name] = frozenset([given[name]] if isinstance(given[name], str) else given[name])
    return Filter(**given)


def limit_of(options: Options) -> int | None:
    """Return how many bytes may be read at once."""
    return options.get("limit", LIMIT)


def _band(name: str) -> Band:
    if not isinstance(name, str):
        raise BadRequestError(f"{quoted(name)} is not a band; there are {', '.join(BAND)}")
    wanted = name.strip()
    if wanted.upper() in BAND:
        return BAND[wanted.upper()]
    common = {band.common_name: band.name for band in BANDS}
    if wanted.lower() in common:
        hint = f"; {wanted.lower()} is {common[wanted.lower()]}"
    else:
        close = get_close_matches(wanted.upper(), BAND, n=3)
        hint = f"; did you mean {' or '.join(close)}?" if close else f"; there are {', '.join(BAND)}"
    raise BadRequestError(f"{name!r} is not a band{hint}")


def _require_meaning(options: Options) -> None:
    for name, allowed in (("resampling", tuple(REACH)), ("group", ("datatake", "solar_day"))):
        value = options.get(name)
        if value is not None and value not in allowed:
            raise BadRequestError(f"{name} {value!r} is not one of {', '.join(allowed)}")
    threads, cover, baseline = options.get("threads"), options.get("max_cloud_cover"), options.get("baseline")
    if threads is not None and (not isinstance(threads, int) or threads < 1):
        raise BadRequestError(f"threads {threads!r} is not a number from 1 on")
    if cover is not None and (not isinstance(cover, int | float) or not 0 <= cover <= 100):
        raise BadRequestError(f"max_cloud_cover {cover!r} is not between 0 and 100 percent")
    if baseline is not None:
        try:
            version(baseline)
        except (AttributeError, ValueError):
            raise BadRequestError(f"baseline {baseline!r} is not a processing baseline such as 05.11") from None


def _require_known(options: Options) -> None:
    """Refuse misspelt keywords: they would be ignored."""
    for name in options:
        if name not in Options.__annotations__:
            close = get_close_matches(name, Options.__annotations__, n=1)
            raise BadRequestError(f"{name!r} is no option{f'; did you mean {close[0]!r}?' if close else ''}")
