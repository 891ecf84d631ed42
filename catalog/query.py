"""Searches of an archive's own commands: by tile, layer and datastrip, withdrawn products too if asked for."""

from __future__ import annotations

import math
from datetime import datetime
from typing import TYPE_CHECKING

from abut.messages import quoted
from abut.period import instant
from abut.tiling import tile as tile_of
from catalog.cql2_sql import Compiler
from catalog.ground import box_area
from catalog.literals import box, microseconds
from catalog.plan import Conditions

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

type Moment = str | datetime
"""An instant: RFC 3339 text, or a datetime with time zone."""
type Times = Moment | tuple[Moment | None, Moment | None]
"""An instant, or an interval with both ends included: ``<instant>/<instant>``, ``../<instant>``, or a tuple."""


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
    start, stop = (None if end is None else microseconds(_moment(end)) for end in (ends[0], ends[-1]))
    if start is not None and stop is not None and start > stop:
        raise ValueError(f"{times!r} ends before it starts")
    return start, stop


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
) -> Conditions:
    """Return a search; the arguments are those of `catalog.sqlite.Catalogue.search`."""
    made = Conditions(findable=withdrawn is False)
    equal = {"grid_code": tile and f"MGRS-{tile_of(tile).id}", "layer": layer, "datastrip": datastrip}
    for column, value in equal.items():
        if value is not None:
            made.one_of(column, [value])
    if ids is not None:
        made.one_of("id", list(ids))
    if cloud_cover_max is not None:
        if math.isnan(cloud_cover_max):
            raise ValueError("cloud_cover_max is not a number")
        made.add("i.cloud_cover <= ?", float(cloud_cover_max))
    if withdrawn is not None:
        made.add("i.withdrawn = ?", int(withdrawn))
    if times is not None:
        made.within(*interval(times))
    if bbox is not None:
        made.touching(box_area(box(bbox)), Compiler(made.shapes))
    return made


def _moment(moment: Moment) -> datetime:
    if isinstance(moment, str):
        return instant(moment)
    if moment.tzinfo is None:
        raise ValueError(f"{quoted(str(moment))} is not an RFC 3339 time with time zone")
    return moment
