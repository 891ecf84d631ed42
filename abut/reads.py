"""What a request will read, zone by zone: rectangles and bands, planned as the run plans them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from abut.asked import wish_of
from abut.counted import counted
from abut.errors import NoDataError
from abut.explain import Read, Rectangle, explain, explain_nothing
from abut.finding_api import ApiFinder
from abut.ground import ground_in, zones_on
from abut.lattice import RESOLUTIONS, Bounds
from abut.reading import snapped_out
from abut.request import Request

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from odc.geo.geobox import GeoBox

    from abut.across import Neighbour
    from abut.asked import Options
    from abut.blocks import BlockSource
    from abut.connection import Connection
    from abut.cube import Wish
    from abut.explain import Explanation
    from abut.layout import Band


def explain_request(
    connection: Connection, ground: Bounds | GeoBox, product: str | None, options: Options
) -> Explanation:
    """Say what reading the bands of some ground will cost, see `abut.connection.Connection.explain`."""
    store, count = counted(connection.archive.store)
    finder = connection.finder
    if isinstance(finder, ApiFinder):
        finder = replace(finder, on_request=count.add)
    request = Request(replace(connection.archive, store=store), finder, options, product)
    native = None if isinstance(ground, Bounds) else request.native(ground)
    if native is not None:
        request, ground = native
    wish, resampling = wish_of(request.options), options.get("resampling", "nearest")
    if isinstance(ground, Bounds):
        plan = request.plan(ground)
        reads = reads_of(plan.source, plan.neighbours, ground, wish, resampling)
        return explain(connection.archive.store, reads, ground, planning_requests=count.requests)
    joined = request.joined(ground)
    around = next((found for zone in zones_on(ground) if (found := ground_in(zone, ground)) is not None), None)
    if around is None:
        raise NoDataError(f"no zone has tiles on the ground of {ground.boundingbox.bbox} of {ground.crs}")
    if not joined.neighbours:
        return explain_nothing(around, wish.bands, count.requests)
    reads = [
        Read(one.source, tuple(_rectangles(one, [(ground, wish.bands)], resampling)), certain=number == 0)
        for number, one in enumerate(joined.neighbours)
    ]
    first = ground_in(joined.neighbours[0].source.zone, ground) or around
    return explain(connection.archive.store, reads, first, planning_requests=count.requests, resampled=True)


def reads_of(
    source: BlockSource, neighbours: Sequence[Neighbour], window: Bounds, wish: Wish, resampling: str = "nearest"
) -> list[Read]:
    """Return what `abut.cube.make_cube` reads of the bands when it reads at once.

    Of other zones: what is read if their own zone has no pixel anywhere, so at most that.
    """
    outer = snapped_out(window)
    own = Read(source, (Rectangle(outer, wish.bands),))
    if not neighbours:
        return [own]
    from abut.window import geobox_of  # noqa: PLC0415 - needs odc-geo, an extra

    sizes = RESOLUTIONS if wish.resolution is None else (wish.resolution,)
    targets = [(geobox_of(outer, size), wish.at(size)) for size in sizes]
    return [own, *(Read(one.source, tuple(_rectangles(one, targets, resampling)), certain=False) for one in neighbours)]


def _rectangles(
    neighbour: Neighbour, targets: Sequence[tuple[GeoBox, tuple[Band, ...]]], resampling: str
) -> Iterator[Rectangle]:
    """Yield what is read of another zone to fill targets that have nothing yet."""
    from abut.across import Part, batches  # noqa: PLC0415 - needs rasterio and odc-geo, which are extras

    for target, bands in targets:
        rows, columns = target.shape.yx
        nothing = np.broadcast_to(np.uint16(0), (1, rows, columns))
        part = Part(target, slice(0, rows), slice(0, columns), dict.fromkeys(bands, nothing))
        for batch in batches(part, neighbour, [0], resampling) if bands else ():
            yield Rectangle(batch.ground, batch.bands)
