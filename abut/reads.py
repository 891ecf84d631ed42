"""What a request will read, zone by zone: rectangles and bands, planned as the run plans them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from abut.asked import wish_of
from abut.counted import counted
from abut.explain import Read, Rectangle, explain
from abut.finding_api import ApiFinder
from abut.lattice import RESOLUTIONS
from abut.reading import snapped_out

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from abut.across import Neighbour
    from abut.asked import Options
    from abut.blocks import BlockSource
    from abut.connection import Connection
    from abut.cube import Wish
    from abut.explain import Explanation
    from abut.lattice import Bounds
    from abut.layout import Band


def explain_request(connection: Connection, window: Bounds, product: str | None, options: Options) -> Explanation:
    """Say what reading the bands of a window will cost, see `abut.connection.Connection.explain`."""
    wish = wish_of(options)
    store, count = counted(connection.archive.store)
    finder = connection.finder
    if isinstance(finder, ApiFinder):
        finder = replace(finder, on_request=count.add)
    watched = replace(connection, archive=replace(connection.archive, store=store), finder=finder)
    plan = watched.plan(window, product, **options)
    requests = count.requests
    reads = reads_of(plan.source, plan.neighbours, window, wish, options.get("resampling", "nearest"))
    return explain(connection.archive.store, reads, window, planning_requests=requests)


def reads_of(
    source: BlockSource, neighbours: Sequence[Neighbour], window: Bounds, wish: Wish, resampling: str = "nearest"
) -> list[Read]:
    """Return what `abut.cube.make_cube` reads of the bands when it reads at once.

    Of other zones: what is read if their own zone has no pixel anywhere, so at most that.
    """
    outer = snapped_out(window)
    own = Read(source, (Rectangle(outer, wish.bands),))
    others = [Read(one.source, tuple(_rectangles(one, outer, wish, resampling)), certain=False) for one in neighbours]
    return [own, *others]


def _rectangles(neighbour: Neighbour, window: Bounds, wish: Wish, resampling: str) -> Iterator[Rectangle]:
    from abut.across import Part, batches  # noqa: PLC0415 - needs rasterio and odc-geo, which are extras
    from abut.window import geobox_of  # noqa: PLC0415 - as above

    for resolution in RESOLUTIONS if wish.resolution is None else (wish.resolution,):
        bands: tuple[Band, ...] = wish.bands
        if wish.resolution is None:
            bands = tuple(band for band in bands if band.resolution == resolution)
        rows, columns = window.shape(resolution)
        nothing = np.broadcast_to(np.uint16(0), (1, rows, columns))
        target = Part(geobox_of(window, resolution), slice(0, rows), slice(0, columns), dict.fromkeys(bands, nothing))
        for batch in batches(target, neighbour, [0], resampling) if bands else ():
            yield Rectangle(batch.ground, batch.bands)
