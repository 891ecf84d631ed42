"""What a request will read, before anything of it is read: products, blocks, bytes, requests, and the cost from SAFE.

Blocks that one product holds are known exactly. Where several do, and across zones, how much is read depends on the
pixels: at least the first holder's object of the request's own zone, at most all; both figures are given. Sizes are
those that were recorded at ingest.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import shapely
from pyproj import CRS

from abut import product as products
from abut.ground import outline_in, project
from abut.holdings import hull_of
from abut.lattice import BlockRange
from abut.safe_cost import DECODED_PER_SECOND, Opened, SafeCost, covering, safe_cost
from abut.threads import for_each
from abut.window import snapped

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from abut.blocks import BlockSource
    from abut.lattice import Block, Bounds, Zone
    from abut.layout import Band
    from abut.store import Store
    from abut.tiling import Tile

_LOCAL_THREADS: Final = 4
_REMOTE_THREADS: Final = 32
_STEP: Final = 1_000


@dataclass(frozen=True, slots=True)
class Rectangle:
    """Ground of which bands are read."""

    ground: Bounds
    """The ground."""
    bands: tuple[Band, ...]
    """The bands."""


@dataclass(frozen=True, slots=True)
class Read:
    """What a request reads of one zone."""

    source: BlockSource
    """Who holds the blocks."""
    rectangles: tuple[Rectangle, ...]
    """What is read; a block that two of them touch is read twice."""
    certain: bool = True
    """Whether it is read in any case; False: only where other zones left zeros."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ZoneRead:
    """What is read of one zone."""

    zone: str
    """The zone, such as ``EPSG:32632``."""
    products: tuple[str, ...]
    """Ids of the products whose objects may be read, sorted."""
    steps: int
    """Steps of the time axis that have a block."""
    blocks: int
    """Blocks, each counted once for each step."""
    least_objects: int
    """Objects that are read in any case."""
    most_objects: int
    """Objects that are read if every holder of every block is needed."""
    least_bytes: int
    """Bytes of those that are read in any case."""
    most_bytes: int
    """Bytes of all that may be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """What a request will read."""

    window: Bounds
    """The window, or the ground of the target in the first zone that is read."""
    bands: tuple[str, ...]
    """Names of the bands."""
    steps: int
    """Steps of the time axis."""
    zones: tuple[ZoneRead, ...]
    """By zone, the request's own first."""
    planning_requests: int
    """Requests that finding the products took, and takes again when the request is run."""
    reprojected: float
    """Largest share of the ground, 0 ... 1, that can come from other zones: what no product of the own zone covers."""
    from_safe: SafeCost
    """The cost from SAFE."""

    @property
    def least_requests(self) -> int:
        """Requests to the store and the catalogue, if no block needs a second holder."""
        return self.planning_requests + sum(zone.least_objects for zone in self.zones)

    @property
    def most_requests(self) -> int:
        """Requests if every holder of every block is needed."""
        return self.planning_requests + sum(zone.most_objects for zone in self.zones)

    @property
    def least_bytes(self) -> int:
        """Bytes of blocks that are read in any case."""
        return sum(zone.least_bytes for zone in self.zones)

    @property
    def most_bytes(self) -> int:
        """Bytes of blocks that may be read."""
        return sum(zone.most_bytes for zone in self.zones)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        window = self.window
        return {
            "window": {
                "crs": str(window.zone),
                "bounds": [window.left, window.bottom, window.right, window.top],
                "width": window.width,
                "height": window.height,
            },
            "bands": list(self.bands),
            "steps": self.steps,
            "products": sorted({name for zone in self.zones for name in zone.products}),
            "zones": [
                {
                    "zone": zone.zone,
                    "products": len(zone.products),
                    "steps": zone.steps,
                    "blocks": zone.blocks,
                    "objects": {"least": zone.least_objects, "most": zone.most_objects},
                    "bytes": {"least": zone.least_bytes, "most": zone.most_bytes},
                }
                for zone in self.zones
            ],
            "requests": {
                "planning": self.planning_requests,
                "least": self.least_requests,
                "most": self.most_requests,
            },
            "bytes": {"least": self.least_bytes, "most": self.most_bytes},
            "reprojected": {"most": round(self.reprojected, 6)},
            "from_safe": {
                "products": self.from_safe.products,
                "images": self.from_safe.images,
                "file_bytes": self.from_safe.file_bytes,
                "decoded_bytes": self.from_safe.decoded_bytes,
                "decode_seconds": round(self.from_safe.decode_seconds, 1),
                "decoded_bytes_per_second": DECODED_PER_SECOND,
            },
        }


def explain(
    store: Store, reads: Sequence[Read], window: Bounds, *, planning_requests: int = 0, resampled: bool = False
) -> Explanation:
    """Say what a request will read.

    Parameters
    ----------
    store : Store
        The archive that the products are in.
    reads : sequence of Read
        What is read of each zone, the request's own first.
    window : Bounds
        The ground that was asked for.
    planning_requests : int
        How many requests finding the products took.
    resampled : bool
        Whether everything is resampled, as the pixels that were asked for are not those of a zone.

    Returns
    -------
    Explanation
        The figures. The records of the products are read for it (two small objects for each), no pixel is.

    Raises
    ------
    ValueError
        If there is nothing to read from.
    ProductNotFoundError
        If a product was removed since the blocks were planned.
    """
    if not reads:
        raise ValueError("nothing to explain: no zone is read")
    together = list(dict.fromkeys(one.bands for read in reads for one in read.rectangles))
    bands = sorted({band for some in together for band in some}, key=lambda band: band.index)
    names = {name for read in reads for some in (_seen(read), _holding(read)) for name in some}
    known = _known(store, sorted(names), bands, together)
    rest, share = _beyond(window, reads, known)
    opened = list(_opened(reads[0], window, bands, known))
    for read in reads[1:] if share else ():
        ground = _bounds_in(read.source.zone, window.zone, rest)
        opened += _opened(read, ground, bands, known)
    return Explanation(
        window=window,
        bands=tuple(band.name for band in bands),
        steps=len(reads[0].source.slots),
        zones=tuple(_zone_read(read, known) for read in reads),
        planning_requests=planning_requests,
        reprojected=1.0 if resampled else share,
        from_safe=safe_cost(opened),
    )


def explain_nothing(window: Bounds, bands: Sequence[Band], planning_requests: int) -> Explanation:
    """Say that nothing will be read, where no product was found and that is no error."""
    return Explanation(
        window=window,
        bands=tuple(band.name for band in bands),
        steps=0,
        zones=(),
        planning_requests=planning_requests,
        reprojected=0.0,
        from_safe=safe_cost([]),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Known:
    """What the record of a product says of the bands of a request: a few bytes for each block, as there may be many."""

    tile: Tile
    total: int
    """Bytes of all its blocks in all bands of the request."""
    sizes: Mapping[tuple[Band, ...], NDArray[np.uint32]]
    """For bands that are read together the bytes of each block of the hull; row 0 in the north."""

    def size(self, bands: tuple[Band, ...], block: Block) -> int:
        """Bytes of the objects of a block."""
        return int(self.sizes[bands][hull_of(self.tile).position(block)])


def _seen(read: Read) -> Iterator[str]:
    for slot in read.source.slots:
        yield from slot.products


def _holding(read: Read) -> Iterator[str]:
    """Name the products whose objects may be read, those too that hold blocks for others."""
    for _, _, holders in _blocks(read):
        yield from holders


def _blocks(read: Read) -> Iterator[tuple[Rectangle, tuple[int, Block], list[str]]]:
    """Yield what is read block by block and step by step: the holders, the first first, each object once."""
    for one in read.rectangles:
        for block in BlockRange.around(one.ground):
            for slot in range(len(read.source.slots)):
                holders = [part.product for part in read.source.parts(slot, block)]
                yield one, (slot, block), holders if len(holders) < 2 else list(dict.fromkeys(holders))


def _known(
    store: Store, names: Sequence[str], bands: Sequence[Band], together: Sequence[tuple[Band, ...]]
) -> dict[str, _Known]:
    known: dict[str, _Known] = {}

    def load(name: str) -> None:
        record = products.load(store, name).record
        hull = hull_of(record.tile)
        sizes = {some: np.zeros(hull.shape, np.uint32) for some in together}
        total = 0
        for band in bands:
            mine = [array for some, array in sizes.items() if band in some]
            for block, one in record.bands[band.name].blocks.items():
                total += one.size
                for array in mine:
                    array[hull.position(block)] += one.size
        known[name] = _Known(record.tile, total, sizes)

    for_each(names, load, _LOCAL_THREADS if store.root else _REMOTE_THREADS)
    return known


def _zone_read(read: Read, known: Mapping[str, _Known]) -> ZoneRead:
    """Add up block by block: nothing is kept of a block but whether it is read."""
    names: set[str] = set()
    held: dict[Block, int] = {}  # steps as bits
    least, most, least_bytes, most_bytes = 0, 0, 0, 0
    for one, (slot, block), holders in _blocks(read):
        for number, name in enumerate(holders):
            names.add(name)
            held[block] = held.get(block, 0) | 1 << slot
            size = known[name].size(one.bands, block)
            most, most_bytes = most + len(one.bands), most_bytes + size
            if read.certain and number == 0:
                least, least_bytes = least + len(one.bands), least_bytes + size
    return ZoneRead(
        zone=str(read.source.zone),
        products=tuple(sorted(names)),
        steps=reduce(or_, held.values(), 0).bit_count(),
        blocks=sum(steps.bit_count() for steps in held.values()),
        least_objects=least,
        most_objects=most,
        least_bytes=least_bytes,
        most_bytes=most_bytes,
    )


def _opened(read: Read, window: Bounds, bands: Sequence[Band], known: Mapping[str, _Known]) -> Iterator[Opened]:
    """SAFE products that the same pixels would be read from: at each step those of as few tiles as cover the ground."""
    covers: dict[frozenset[Tile], frozenset[Tile]] = {}
    for slot in read.source.slots:
        here = [known[name] for name in slot.products if known[name].tile.zone == read.source.zone]
        tiles = frozenset(one.tile for one in here)
        if tiles not in covers:
            covers[tiles] = covering(window, tiles)
        for one in here:
            if one.tile in covers[tiles]:
                yield Opened(one.tile, window, tuple(bands), one.total, read.source.profile)


def _beyond(window: Bounds, reads: Sequence[Read], known: Mapping[str, _Known]) -> tuple[Any, float]:
    """Return the ground that no product of the own zone covers but some of others do, and its share of the window."""
    tiles = {known[name].tile for read in reads for name in _seen(read)}
    rest = shapely.box(window.left, window.bottom, window.right, window.top)
    own = [tile.footprint for tile in tiles if tile.zone == window.zone]
    rest = shapely.difference(rest, shapely.union_all([_polygon(window.zone, one) for one in own]))
    others = [tile.footprint for tile in tiles if tile.zone != window.zone]
    if rest.is_empty or not others:
        return rest, 0.0
    rest = shapely.intersection(rest, shapely.union_all([_polygon(window.zone, one) for one in others]))
    return rest, float(rest.area / window.area)


def _polygon(zone: Zone, bounds: Bounds) -> Any:
    return shapely.Polygon(np.column_stack(outline_in(zone, bounds)))


def _bounds_in(zone: Zone, source: Zone, ground: Any) -> Bounds:
    """Return the window of a zone around ground of another."""
    points = shapely.get_coordinates(shapely.segmentize(ground, _STEP))
    x, y = project(CRS.from_epsg(source.epsg), CRS.from_epsg(zone.epsg), points[:, 0], points[:, 1])
    return snapped(zone, float(x.min()), float(y.min()), float(x.max()), float(y.max()))
