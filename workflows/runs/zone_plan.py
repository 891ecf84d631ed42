"""What a run over many tiles computes: which blocks of which tile, at which steps in time, of which products.

It is planned once, over all of the ground, and written down before anything is computed. So no task decides anything
by the ground that it happens to see: which version of a strip counts and who computes a block are the same as in one
run over the whole, however the archive changes meanwhile.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from abut.holdings import in_threads
from abut.lattice import Block, Bounds, Zone
from abut.tiling import Tile, rank_key
from abut.tiling import tile as named_tile
from workflows.errors import WorkflowError
from workflows.runs.moments import plan_moments

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from abut.connection import Connection


@dataclass(frozen=True, slots=True)
class Seen:
    """A moment: what one datatake saw."""

    time: datetime
    """Start of the datatake, UTC."""
    datatake: str
    """Datatakes, without the baseline at the end of their ids, with spaces."""
    products: tuple[str, ...]
    """Products that it is made of, sorted."""


@dataclass(frozen=True, slots=True)
class ZoneStep:
    """A step of the time axis of a result."""

    time: datetime
    """Start of the datatake, or of the month; UTC."""
    moments: tuple[Seen, ...]
    """What it is made of: one moment, or in the order of time those of a month."""

    @property
    def products(self) -> tuple[str, ...]:
        """All of its products, sorted."""
        return tuple(sorted({name for one in self.moments for name in one.products}))


@dataclass(frozen=True, slots=True)
class ZonePlan:
    """What is computed."""

    tiles: tuple[Tile, ...]
    """The tiles, of one zone, sorted by id."""
    within: Bounds | None
    """Only blocks that touch this ground are computed; None: all blocks that touch a tile."""
    buffer: int
    """Metres of ground that are read around what is computed."""
    steps: tuple[ZoneStep, ...]
    """The time axis."""
    places: Mapping[str, Tile]
    """Tile of each product, by the product's id."""

    @property
    def zone(self) -> Zone:
        """The zone."""
        return self.tiles[0].zone

    def blocks_of(self, tile: Tile) -> tuple[Block, ...]:
        """Return the blocks that a tile computes: where it ranks first among the tiles that take part."""
        return owned_blocks(tile, self.tiles, self.within)

    def jobs(self) -> list[tuple[int, Tile]]:
        """Return which steps of which tiles have products."""
        found = []
        areas = {tile: core_of(blocks) for tile in self.tiles if (blocks := self.blocks_of(tile))}
        for number, step in enumerate(self.steps):
            footprints = {self.places[name] for name in step.products}
            found += [
                (number, tile)
                for tile, area in areas.items()
                if any(area.intersection(one.footprint) for one in footprints)
            ]
        return found

    def products_in(self, moment: Seen, window: Bounds) -> tuple[str, ...]:
        """Return the products of a moment whose tiles touch some ground."""
        return tuple(name for name in moment.products if self.places[name].footprint.intersection(window))


def owned_blocks(tile: Tile, tiles: Iterable[Tile], within: Bounds | None = None) -> tuple[Block, ...]:
    """Return the blocks of a tile's hull for which it ranks first (`abut.tiling.rank_key`) among some tiles.

    Each block that a tile touches belongs to exactly one of them. It is computed whole, also what of it lies outside
    of the tile: so no block needs two tiles.
    """
    near = [one for one in tiles if one.hull.bounds.intersection(tile.hull.bounds)]

    def first(block: Block) -> Tile:
        touching = [one for one in near if one.footprint.intersection(block.bounds)]
        return min(touching, key=lambda one: rank_key(block, one))

    wanted = (block for block in tile.hull if within is None or within.intersection(block.bounds))
    return tuple(block for block in wanted if first(block) == tile)


def core_of(blocks: Sequence[Block]) -> Bounds:
    """Return the smallest rectangle around blocks."""
    return Bounds.around(block.bounds for block in blocks)


def parse_tiles(tiles: Iterable[str | Tile]) -> tuple[Tile, ...]:
    """Return tiles by their names, sorted, each once.

    Raises
    ------
    InvalidTileError
        If there is no such tile.
    WorkflowError
        If there are none, or they are of several zones.
    """
    found = sorted({one if isinstance(one, Tile) else named_tile(one) for one in tiles})
    if not found:
        raise WorkflowError("no tile is named")
    for other in found:
        if other.zone != found[0].zone:
            raise WorkflowError(
                f"{found[0].id} is of {found[0].zone} and {other.id} of {other.zone}: a result is of one zone, "
                "run them one after the other"
            )
    return tuple(found)


def plan_zone(
    connection: Connection,
    tiles: Sequence[Tile],
    *,
    bands: Sequence[str],
    buffer: int,
    period: Any = None,
    within: Bounds | None = None,
    monthly: bool = False,
    options: Mapping[str, Any] | None = None,
) -> ZonePlan:
    """Plan a run over all of its ground; no pixel is read.

    Parameters
    ----------
    connection : Connection
        The archive.
    tiles : sequence of Tile
        Tiles of one zone, see `parse_tiles`.
    bands : sequence of str
        Bands that are needed.
    buffer : int
        Metres of ground that are needed around what is computed, a multiple of 60.
    period : see `abut.period.parse_period`
        Which time.
    within : Bounds, optional
        Only blocks that touch it.
    monthly : bool
        Whether a step is a month (UTC) rather than a moment.
    options : mapping, optional
        Keywords of `abut.asked.Options` that choose products.

    Raises
    ------
    WorkflowError
        If no block of the tiles lies within.
    AbutError
        As `abut.connection.Connection.tile`.
    """
    blocks = [block for tile in tiles for block in owned_blocks(tile, tiles, within)]
    if not blocks:
        raise WorkflowError(f"no block of {', '.join(tile.id for tile in tiles)} touches {within}")
    asked = {"bands": bands, "buffer": buffer, "datetime": period, **(options or {})}
    moments = [
        Seen(one.time.astimezone(UTC), one.datatake, one.products)
        for one in plan_moments(connection, core=core_of(blocks), **asked)
    ]
    names = sorted({name for one in moments for name in one.products})
    archive = connection.archive
    found = in_threads(archive.store, lambda name: (name, archive.product(name).tile), names)
    places = {name: place for name, place in found if place.zone == tiles[0].zone}
    return ZonePlan(tuple(tiles), within, buffer, _steps(moments, monthly=monthly), places)


def _steps(moments: Sequence[Seen], *, monthly: bool) -> tuple[ZoneStep, ...]:
    ordered = sorted(moments, key=lambda one: (one.time, one.datatake, one.products))
    if not monthly:
        return tuple(ZoneStep(one.time, (one,)) for one in ordered)
    months: dict[datetime, list[Seen]] = {}
    for one in ordered:
        months.setdefault(datetime(one.time.year, one.time.month, 1, tzinfo=UTC), []).append(one)
    return tuple(ZoneStep(start, tuple(some)) for start, some in months.items())


def encode(plan: ZonePlan) -> dict[str, Any]:
    """Return a plan as JSON values; `decode` reads it."""
    edges = plan.within and [plan.within.left, plan.within.bottom, plan.within.right, plan.within.top]
    return {
        "tiles": [tile.id for tile in plan.tiles],
        "within": edges,
        "buffer": plan.buffer,
        "steps": [
            {
                "time": step.time.isoformat(),
                "moments": [[one.time.isoformat(), one.datatake, list(one.products)] for one in step.moments],
            }
            for step in plan.steps
        ],
        "places": {name: place.id for name, place in plan.places.items()},
    }


def decode(found: Mapping[str, Any]) -> ZonePlan:
    """Return the plan that `encode` made JSON values of."""
    tiles = parse_tiles(found["tiles"])
    steps = [
        ZoneStep(
            datetime.fromisoformat(step["time"]),
            tuple(
                Seen(datetime.fromisoformat(time), datatake, tuple(products))
                for time, datatake, products in step["moments"]
            ),
        )
        for step in found["steps"]
    ]
    places = {name: named_tile(place) for name, place in found["places"].items()}
    within = found["within"] and Bounds(tiles[0].zone, *found["within"])
    return ZonePlan(tiles, within, found["buffer"], tuple(steps), places)
