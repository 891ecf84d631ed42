"""How a search of the embedded catalogue is answered: conditions, and where to start.

There are three ways, told apart by `Plan.source`:

- by key: ids, or some tiles, datatakes, datastrips or layers, that must be equal; few rows have them;
- by place: candidates from the R*Tree of boxes and days, then their rows; for areas with few candidates;
- by time: along the index of times, which has all that the usual conditions look at. In the order of time it stops
  at the end of a page, so that a large area, of which every n-th item is a match, costs n items for each result.

An area has few candidates if the R*Tree gives less than `FEW`, which is found out by asking it for so many at most.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from catalog.cql2_sql import Compiler, joined
from catalog.ground import Area, box_area, geometry_area
from catalog.hints import hints
from catalog.literals import microseconds
from catalog.rows import DAY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from catalog.cql2_sql import Sql
    from catalog.functions import Reader
    from catalog.search import Search

FEW: Final = 4_000
"""Candidates of an area that are looked at all, rather than those in the order of time until there are enough."""

SOME: Final = 20
"""Values of a key that are looked up one by one; more of them have so many rows that the order of time is better."""

_KEYS: Final = {
    "id": "sqlite_autoindex_items_1",
    "grid_code": "items_by_tile",
    "datatake": "items_by_datatake",
    "datastrip": "items_by_datastrip",
    "layer": "items_by_layer",
}
"""Columns that few rows share a value of, and their indexes."""

_BY_TIME: Final = "items i INDEXED BY items_by_time"


@dataclass(slots=True)
class Conditions:
    """What rows must fulfil, and what of it tells where to start."""

    parts: list[Sql] = field(default_factory=list)
    """Conditions on ``i`` (items), joined by AND."""
    shapes: list[Any] = field(default_factory=list)
    """Geometries that they name by number."""
    keys: dict[str, int] = field(default_factory=dict)
    """Columns that must be equal to given values, and to how many at most."""
    areas: list[Area] = field(default_factory=list)
    """Areas that geometries must touch."""
    start: float = -math.inf
    """First microsecond of the time that items must share."""
    stop: float = math.inf
    """Last microsecond of it."""
    findable: bool = True
    """Whether only what was not withdrawn is wanted."""

    def add(self, sql: str, *parameters: Any) -> None:
        """Add a condition."""
        self.parts.append((sql, list(parameters)))

    def one_of(self, column: str, values: Sequence[str]) -> None:
        """Add that a column has one of some values."""
        self.add(f"i.{column} IN (SELECT value FROM json_each(?))", json.dumps(list(values)))  # noqa: S608 - column is ours
        self.keys[column] = len(values)

    def within(self, start: int | None, stop: int | None) -> None:
        """Add that items share time with an interval."""
        if start is not None:
            self.add("i.until >= ?", start)
            self.start = max(self.start, start)
        if stop is not None:
            self.add("i.datetime <= ?", stop)
            self.stop = min(self.stop, stop)

    def touching(self, area: Area, compiler: Compiler) -> None:
        """Add that geometries touch an area."""
        self.parts.append(compiler.area(area))
        self.areas.append(area)

    @property
    def sql(self) -> Sql:
        """All conditions as one."""
        return joined(" AND ", self.parts) if self.parts else ("1", [])


@dataclass(frozen=True, slots=True)
class Plan:
    """Where to start, and the conditions that remain."""

    source: str
    """What follows FROM; ``i`` is the items."""
    where: str
    """Condition."""
    parameters: list[Any]
    """Parameters of source and condition, in order."""
    ordered: bool
    """Whether rows come in the order of time, so that a page needs no sorting of all."""


def conditions(search: Search, *, withdrawn: bool | None = False) -> Conditions:
    """Return the conditions of a search; of what was not withdrawn, of that alone, or (None) of either."""
    made = Conditions(findable=withdrawn is False)
    compiler = Compiler(made.shapes)
    if withdrawn is not None:
        made.add("i.withdrawn = ?", int(withdrawn))
    if search.ids is not None:
        made.one_of("id", search.ids)
    if search.collections is not None:
        made.one_of("collection", search.collections)
    start, stop = (None if end is None else microseconds(end) for end in (search.start, search.stop))
    made.within(start, stop)
    if search.bbox is not None:
        made.touching(box_area(search.bbox), compiler)
    if search.intersects is not None:
        made.touching(geometry_area(search.intersects), compiler)
    if search.filter is not None:
        found = hints(search.filter)
        made.keys |= found.keys
        made.areas += found.areas
        made.start, made.stop = max(made.start, found.start), min(made.stop, found.stop)
        made.parts.append(compiler.condition(search.filter))
    return made


def plan(made: Conditions, reader: Reader) -> Plan:
    """Decide how to answer; geometries are at hand for the statement afterwards."""
    reader.begin(made.shapes)
    where, parameters = made.sql
    for column, index in _KEYS.items():
        if column in made.keys and (column == "id" or made.keys[column] <= SOME):
            return Plan(f"items i INDEXED BY {index}", where, parameters, ordered=False)
    if made.areas and made.findable:
        candidates = _Candidates(made)
        if candidates.few(reader):
            return Plan(
                f"{candidates.source} CROSS JOIN items i ON i.rid = r.rid",
                where,
                candidates.parameters + parameters,
                ordered=False,
            )
    return _by_time(made, reader, where, parameters)


def _by_time(made: Conditions, reader: Reader, where: str, parameters: list[Any]) -> Plan:
    """Bounds on ``datetime`` itself, which the index is ordered by: items that last start earlier than they match."""
    bounds, values = [where], list(parameters)
    if made.start > -math.inf:
        longest = "SELECT max(until - datetime) FROM items WHERE until > datetime"
        (duration,) = reader.connection.execute(longest).fetchone()
        bounds.append("i.datetime >= ?")
        values.append(int(made.start) - (duration or 0))
    if made.stop < math.inf:
        bounds.append("i.datetime <= ?")
        values.append(int(made.stop))
    return Plan(_BY_TIME, " AND ".join(bounds), values, ordered=True)


class _Candidates:
    """Rows of the R*Tree that the smallest of the areas, and the time, may match."""

    def __init__(self, made: Conditions) -> None:
        area = min(made.areas, key=lambda one: one.size)
        west, east, south, north = area.extent
        days = [] if made.stop == math.inf else [("first_day <= ?", made.stop / DAY)]
        days += [] if made.start == -math.inf else [("last_day >= ?", made.start / DAY)]
        common = "".join(f" AND {sql}" for sql, _ in days)
        box = "west <= ? AND east >= ? AND south <= ? AND north >= ?" + common
        values = [value for _, value in days]
        parts = []
        self.parameters: list[Any] = []
        for number, turn in enumerate(area.turns):
            # What other turns gave is left out.
            given = [end + other for other in area.turns[:number] for end in (east, west)]
            again = " AND NOT (west <= ? AND east >= ?)" * number
            parts.append(f"SELECT rid FROM extents WHERE {box}{again}")  # noqa: S608 - values are parameters
            self.parameters += [east + turn, west + turn, north, south, *values, *given]
        self.source = f"({' UNION ALL '.join(parts)}) r"

    def few(self, reader: Reader) -> bool:
        """Whether there are few."""
        statement = f"SELECT count(*) FROM (SELECT 1 FROM {self.source} LIMIT {FEW:d})"  # noqa: S608 - values are parameters
        (count,) = reader.connection.execute(statement, self.parameters).fetchone()
        return bool(count < FEW)
