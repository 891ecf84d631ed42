"""Searches of the embedded catalogue as SQL with parameters."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import shapely

from abut.tiling import tile as tile_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

type Moment = str | datetime
"""An instant: RFC 3339 text, or a datetime with time zone."""
type Times = Moment | tuple[Moment | None, Moment | None]
"""An instant, or an interval with both ends included: ``<instant>/<instant>``, ``../<instant>``, or a tuple."""

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""Where times in the database are counted from."""

DAY: Final = 86_400_000_000
"""Microseconds in a day."""

_CANDIDATES: Final = (
    "SELECT rid FROM extents "
    "WHERE west <= ? AND east >= ? AND south <= ? AND north >= ? AND first_day <= ? AND last_day >= ?"
)

_MICROSECOND: Final = timedelta(microseconds=1)


@dataclass(slots=True)
class Query:
    """A search: conditions joined by AND, and the area of the exact spatial test."""

    conditions: list[str] = field(default_factory=list)
    """SQL conditions on ``i`` (items)."""
    parameters: list[Any] = field(default_factory=list)
    """Values of their placeholders."""
    area: Any = None
    """Shapely geometry that the geometries must intersect, or None."""
    limit: int | None = None
    """Largest number of results."""

    def add(self, condition: str, *values: Any) -> None:
        """Add a condition with the values of its placeholders."""
        self.conditions.append(condition)
        self.parameters += values

    @property
    def statement(self) -> str:
        """SQL that returns the row ids, by time and id."""
        where = f" WHERE {' AND '.join(self.conditions)}" if self.conditions else ""
        limit = "" if self.limit is None else f" LIMIT {self.limit:d}"
        # Without the documents, so that these need not go through the sorter.
        return f"SELECT i.rid FROM items i{where} ORDER BY i.datetime, i.id{limit}"  # noqa: S608 - values are parameters


def microseconds(moment: datetime) -> int:
    """Return a time as microseconds since 1970."""
    return (moment - EPOCH) // _MICROSECOND


def instant(moment: Moment) -> datetime:
    """Return an instant as a datetime in UTC.

    Raises
    ------
    ValueError
        If it is not RFC 3339 with time and time zone.
    """
    try:
        parsed = datetime.fromisoformat(moment.strip().upper()) if isinstance(moment, str) else moment
    except ValueError as error:
        raise ValueError(f"{moment!r} is not an RFC 3339 time") from error
    if parsed.tzinfo is None:
        raise ValueError(f"{str(moment)!r} is not an RFC 3339 time with time zone")
    return parsed.astimezone(UTC)


def interval(times: Times) -> tuple[int | None, int | None]:
    """Return the first and last microsecond of an instant or interval; None at an open end.

    Raises
    ------
    ValueError
        If an end is not RFC 3339, or the end comes before the start.
    """
    if isinstance(times, str):
        parts = times.split("/")
        if len(parts) > 2:
            raise ValueError(f"{times!r} is neither an instant nor an interval")
        ends: Sequence[Moment | None] = [None if part in {"", ".."} else part for part in parts]
        if len(parts) == 1 and ends[0] is None:
            raise ValueError(f"{times!r} is neither an instant nor an interval")
    else:
        ends = times if isinstance(times, tuple) else (times,)
    start, stop = (None if end is None else microseconds(instant(end)) for end in (ends[0], ends[-1]))
    if start is not None and stop is not None and start > stop:
        raise ValueError(f"{times!r} ends before it starts")
    return start, stop


def box(bbox: Sequence[float]) -> tuple[float, float, float, float]:
    """Return west, south, east and north of a bounding box of four or six numbers; west > east crosses 180.

    Raises
    ------
    ValueError
        If it is not a box on the globe.
    """
    numbers = [float(value) for value in bbox]
    if len(numbers) not in {4, 6} or not all(map(math.isfinite, numbers)):
        raise ValueError(f"bbox {list(bbox)} is not four or six numbers")
    west, south, east, north = numbers if len(numbers) == 4 else (*numbers[:2], *numbers[3:5])
    if not (-90 <= south <= north <= 90 and -180 <= west <= 180 and -180 <= east <= 180):
        raise ValueError(f"bbox {list(bbox)} is not west, south, east, north in degrees")
    return west, south, east, north


def query(
    *,
    ids: Iterable[str] | None,
    bbox: Sequence[float] | None,
    times: Times | None,
    tile: str | None,
    layer: str | None,
    datastrip: str | None,
    cloud_cover_max: float | None,
    withdrawn: bool | None,
    limit: int | None,
) -> Query:
    """Return a search; the arguments are those of `catalog.sqlite.Catalogue.search`."""
    if limit is not None and limit < 1:
        raise ValueError(f"limit {limit} is not positive")
    made = Query(limit=limit)
    if ids is not None:
        made.add("i.id IN (SELECT value FROM json_each(?))", json.dumps(list(ids)))
    if tile is not None:
        made.add("i.grid_code = ?", f"MGRS-{tile_of(tile).id}")
    if layer is not None:
        made.add("i.layer = ?", layer)
    if datastrip is not None:
        made.add("i.datastrip = ?", datastrip)
    if cloud_cover_max is not None:
        if math.isnan(cloud_cover_max):
            raise ValueError("cloud_cover_max is not a number")
        made.add("i.cloud_cover <= ?", float(cloud_cover_max))
    if withdrawn is not None:
        made.add("i.withdrawn = ?", int(withdrawn))
    start, stop = (None, None) if times is None else interval(times)
    if start is not None:
        made.add("i.datetime >= ?", start)
    if stop is not None:
        made.add("i.datetime <= ?", stop)
    if bbox is not None:
        _add_area(made, box(bbox), start, stop)
    return made


def _add_area(made: Query, area: tuple[float, float, float, float], start: int | None, stop: int | None) -> None:
    """Candidates from the R*Tree first, then the exact test of their geometries."""
    west, south, east, north = area
    if west <= east:
        made.area = shapely.box(west, south, east, north)
    else:
        made.area = shapely.union(shapely.box(west, south, 180, north), shapely.box(-180, south, east, north))
        east += 360
    # Extents start in -180 ... 180 and may go on past 180, as a box that crosses does: they may meet a turn further.
    turn = 360.0 if east <= 180 else -360.0
    first = -math.inf if start is None else start / DAY
    last = math.inf if stop is None else stop / DAY
    made.add(
        f"i.rid IN ({_CANDIDATES} UNION {_CANDIDATES})",
        *(east, west, north, south, last, first),
        *(east + turn, west + turn, north, south, last, first),
    )
    made.add("in_area((SELECT geometry FROM documents WHERE rid = i.rid))")
