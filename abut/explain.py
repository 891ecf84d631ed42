"""What a request will read, before anything of it is read: products, blocks, bytes, requests, and the cost from SAFE.

Blocks that one product holds are known exactly. Where several do, and across zones, how much is read depends on the
pixels: at least the first holder's object of the request's own zone, at most all; both figures are given. Sizes are
those that were recorded at ingest.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import shapely

from abut import product as products
from abut.ground import outline_in
from abut.lattice import BlockRange, Bounds
from abut.safe_cost import DECODED_PER_SECOND, Opened, SafeCost, covering, safe_cost
from abut.threads import for_each

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from abut.blocks import BlockSource
    from abut.lattice import Block, Zone
    from abut.layout import Band
    from abut.store import Store
    from abut.tiling import Tile

_LOCAL_THREADS: Final = 4
_REMOTE_THREADS: Final = 32


@dataclass(frozen=True, slots=True)
class Read:
    """One part of what a request reads: rectangles of one zone."""

    source: BlockSource
    """Who holds the blocks."""
    grounds: tuple[Bounds, ...]
    """What is read, in the order of reading; a block that two of them touch is read twice."""
    slots: tuple[int, ...] | None = None
    """Steps of the source that are read; None: all."""
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
    reads: Sequence[Read], bands: Sequence[Band], *, planning_requests: int = 0, reprojected: float = 0.0
) -> Explanation:
    """Say what a request will read.

    Parameters
    ----------
    reads : sequence of Read
        What is read of each zone, the request's own first.
    bands : sequence of Band
        Which bands.
    planning_requests : int
        How many requests finding the products took.
    reprojected : float
        Largest share of the ground that can come from other zones, see `beyond`.

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
    uses = [_uses(read) for read in reads]
    names = {name for one in uses for name, _, _ in one} | {name for read in reads for name in _seen(read)}
    known = _known(reads[0].source.store, sorted(names), bands)
    return Explanation(
        window=_around(reads[0].grounds),
        bands=tuple(band.name for band in bands),
        steps=len(_slots(reads[0])),
        zones=tuple(_zone_read(read, used, bands, known) for read, used in zip(reads, uses, strict=True)),
        planning_requests=planning_requests,
        reprojected=reprojected,
        from_safe=safe_cost([one for read in reads for one in _opened(read, bands, known)]),
    )


def beyond(window: Bounds, own: Iterable[Tile], others: Iterable[Tile]) -> float:
    """Return the share of a window, 0 ... 1, that tiles of its own zone do not cover and those of other zones do."""
    rest = shapely.box(window.left, window.bottom, window.right, window.top)
    rest = shapely.difference(rest, shapely.union_all([_square(tile.footprint) for tile in own]))
    if rest.is_empty:
        return 0.0
    covered = shapely.union_all(
        [shapely.Polygon(np.column_stack(outline_in(window.zone, tile.footprint))) for tile in others]
    )
    return float(shapely.intersection(rest, covered).area / window.area)


@dataclass(frozen=True, slots=True)
class _Known:
    """What the record of a product says of the bands of a request."""

    tile: Tile
    """Its tile."""
    sizes: Mapping[Block, int]
    """Bytes of the objects of all these bands by block."""

    @property
    def size(self) -> int:
        """Bytes of all blocks."""
        return sum(self.sizes.values())


type _Uses = Counter[tuple[str, Block, bool]]
"""How often a block is read of a product, and whether in any case."""


def _slots(read: Read) -> Sequence[int]:
    return range(len(read.source.slots)) if read.slots is None else read.slots


def _seen(read: Read) -> Iterator[str]:
    for slot in _slots(read):
        yield from read.source.slots[slot].products


def _uses(read: Read) -> _Uses:
    found: _Uses = Counter()
    for ground in read.grounds:
        blocks = BlockRange.around(ground)
        for slot in _slots(read):
            for block in blocks:
                for number, part in enumerate(read.source.parts(slot, block)):
                    found[part.product, block, read.certain and number == 0] += 1
    return found


def _known(store: Store, names: Sequence[str], bands: Sequence[Band]) -> dict[str, _Known]:
    known: dict[str, _Known] = {}

    def load(name: str) -> None:
        record = products.load(store, name).record
        chosen = [record.bands[band.name].blocks for band in bands]
        known[name] = _Known(record.tile, {block: sum(one[block].size for one in chosen) for block in chosen[0]})

    for_each(names, load, _LOCAL_THREADS if store.root else _REMOTE_THREADS)
    return known


def _zone_read(read: Read, uses: _Uses, bands: Sequence[Band], known: Mapping[str, _Known]) -> ZoneRead:
    steps = [slot for slot in _slots(read) if any(_blocks(read, slot))]
    least = {key: count for key, count in uses.items() if key[2]}
    return ZoneRead(
        zone=str(read.source.zone),
        products=tuple(sorted({name for name, _, _ in uses})),
        steps=len(steps),
        blocks=sum(len(_blocks(read, slot)) for slot in steps),
        least_objects=len(bands) * sum(least.values()),
        most_objects=len(bands) * sum(uses.values()),
        least_bytes=_bytes(least, known),
        most_bytes=_bytes(uses, known),
    )


def _blocks(read: Read, slot: int) -> set[Block]:
    return {block for ground in read.grounds for block in BlockRange.around(ground) if read.source.parts(slot, block)}


def _bytes(uses: Mapping[tuple[str, Block, bool], int], known: Mapping[str, _Known]) -> int:
    return sum(count * known[name].sizes[block] for (name, block, _), count in uses.items())


def _opened(read: Read, bands: Sequence[Band], known: Mapping[str, _Known]) -> Iterator[Opened]:
    """SAFE products that the same pixels would be read from: at each step those of as few tiles as cover the ground."""
    window = _around(read.grounds)
    covers: dict[frozenset[Tile], frozenset[Tile]] = {}
    for slot in _slots(read):
        here = [known[name] for name in read.source.slots[slot].products]
        tiles = frozenset(one.tile for one in here)
        if tiles not in covers:
            covers[tiles] = covering(window, tiles)
        yield from (
            Opened(one.tile, window, tuple(bands), one.size, read.source.profile)
            for one in here
            if one.tile in covers[tiles]
        )


def _around(grounds: Sequence[Bounds]) -> Bounds:
    return Bounds(
        grounds[0].zone,
        min(one.left for one in grounds),
        min(one.bottom for one in grounds),
        max(one.right for one in grounds),
        max(one.top for one in grounds),
    )


def _polygon(zone: Zone, bounds: Bounds) -> Any:
    return shapely.Polygon(np.column_stack(outline_in(zone, bounds)))


def _square(bounds: Bounds) -> Any:
    return shapely.box(bounds.left, bounds.bottom, bounds.right, bounds.top)
