"""Sun and viewing angles of a window, pixel by pixel, each from the tile that supplied the pixel.

The viewing angle of a band at a pixel: the footprint mask of the product that supplied it names the detector, that
product's own grid of this band and detector is interpolated at the pixel's centre (`abut.angle_grid`). No grid is ever
mixed with another tile's: neighbouring tiles sample the same orbit at different nodes, so angles may jump a little
where the supplier changes; `seam_jump` says by how much.
"""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from abut.angle_grid import AngleGrid, at_points, filled, on_pixels
from abut.archive import Archive
from abut.cache import Cache
from abut.lattice import BLOCK_SIZE, Block, BlockRange
from abut.metadata import DETECTORS
from abut.pixels import suppliers, threads_for
from abut.regrid import regrid_ids
from abut.threads import for_each
from abut.unusable import explained
from abut.view_masks import SCENE_BAND, Mask, of_product, supplied

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from abut.blocks import BlockSource
    from abut.lattice import Bounds
    from abut.layout import Band
    from abut.product import Product
    from abut.store import Store

type Angles = tuple[NDArray[np.float32], NDArray[np.float32]]

_ANGLES: Final = Cache[tuple[Any, Any]](128_000_000, lambda angles: sum(array.nbytes for array in angles))
_GRIDS: Final = Cache[AngleGrid](64_000_000, lambda grid: 2 * grid.zenith.nbytes)
_SEAM_STEPS: Final = 10
"""Into how many parts a block's side is cut to compare angles along a seam."""


def read_view_angles(  # noqa: PLR0917 - as `read_mask`, and a resolution
    source: BlockSource, store: Store, window: Bounds, band: Band, resolution: int, slots: Sequence[int]
) -> Angles:
    """Return the viewing angles of a band.

    Parameters
    ----------
    source : BlockSource
        Who holds the blocks.
    store : Store
        The archive that the products are in.
    window : Bounds
        Ground, on the grid of the band and of the resolution.
    band : Band
        Which band.
    resolution : int
        Pixel size of the result. Where it is coarser than the band, a cell has the detector and the supplier of its
        first pixel that has a detector; angles are those at the centre of the cell.
    slots : sequence of int
        Which steps of the source.

    Returns
    -------
    zenith, azimuth : ndarray of float32, shape (slot, y, x)
        Degrees, azimuths within [0, 360). NaN where no product holds the block, the footprint mask names no detector,
        or the detector has no grid.

    Raises
    ------
    MissingObjectError, ProductNotFoundError, DigestMismatchError
        As `abut.view_masks.read_mask`.
    """
    mask = Mask("detector_footprint", band)

    def at(slot: int, block: Block, part: Bounds) -> Iterator[tuple[str, int, NDArray[np.bool_]]]:
        pixels, names, index = supplied(source, store, mask, slot, block, part)
        detectors, index = regrid_ids(pixels, band.resolution, resolution, index)
        for number, name in enumerate(names):
            for detector in np.unique(detectors[index == number]):
                if 0 < detector <= DETECTORS:
                    yield name, int(detector), (index == number) & (detectors == detector)

    def grid(name: str, detector: int) -> tuple[Product, AngleGrid]:
        return _grid(store, name, band, detector)

    return _read(source, window, resolution, slots, at, grid)


def read_sun_angles(source: BlockSource, store: Store, window: Bounds, resolution: int, slots: Sequence[int]) -> Angles:
    """Return the sun angles, of the products that supplied B01; else as `read_view_angles`.

    NaN where no product holds the block, or the pixel lies outside the legacy footprint of the one that does.
    """

    def at(slot: int, block: Block, part: Bounds) -> Iterator[tuple[str, int, NDArray[np.bool_]]]:
        names, index = suppliers(source, slot, SCENE_BAND, block, part)
        found = np.zeros(part.shape(SCENE_BAND.resolution), np.uint8) if index is None else index
        (found,) = regrid_ids(found, SCENE_BAND.resolution, resolution)
        for number, name in enumerate(names):
            yield name, 0, found == number

    return _read(source, window, resolution, slots, at, lambda name, _: _grid(store, name, None, 0))


def seam_jump(
    source: BlockSource, store: Store, window: Bounds, bands: Sequence[Band], slots: Sequence[int]
) -> tuple[float, float] | None:
    """Return the largest difference of viewing zenith and azimuth between two suppliers, in degrees.

    Wherever the supplier changes from one block to the next, and within blocks of several holders, the two products'
    grids of the same band and detector are compared at the same places (every 960 m), as far as both have values
    around them, so that neither is extrapolated.

    Returns
    -------
    tuple of float, or None
        Zenith and azimuth; None where no two suppliers can be compared.
    """
    worst: tuple[float, float] | None = None
    places: dict[tuple[str, str], dict[tuple[Block, Block], None]] = {}
    for slot in slots:
        for first, second, block, beside in _seams(source, slot, window):
            places.setdefault((first, second), {})[block, beside] = None
    for suppliers_, seams in places.items():
        x, y = (np.concatenate(axis) for axis in zip(*(_points(*seam) for seam in seams), strict=True))
        found = _jump(store, suppliers_, (x, y), bands)
        if found is not None:
            worst = found if worst is None else (max(worst[0], found[0]), max(worst[1], found[1]))
    return worst


def _read(  # noqa: PLR0917 - what both kinds of angles differ in
    source: BlockSource,
    window: Bounds,
    resolution: int,
    slots: Sequence[int],
    at: Callable[[int, Block, Bounds], Iterator[tuple[str, int, NDArray[np.bool_]]]],
    grid_of: Callable[[str, int], tuple[Product, AngleGrid]],
) -> Angles:
    shape = (len(slots), *window.shape(resolution))
    zenith: NDArray[np.float32] = np.full(shape, np.nan, np.float32)
    azimuth: NDArray[np.float32] = np.full(shape, np.nan, np.float32)

    def place(step: tuple[int, int, Block]) -> None:
        row, slot, block = step
        part = block.bounds.intersection(window)
        if part is None:
            return
        where = window.slices(part, resolution)
        for name, detector, pixels in at(slot, block, part):
            product, grid = grid_of(name, detector)
            down, around = on_pixels(grid, product.tile, part, resolution)
            np.copyto(zenith[row][where], down, where=pixels)
            np.copyto(azimuth[row][where], around, where=pixels)

    steps = ((row, slot, block) for row, slot in enumerate(slots) for block in BlockRange.around(window))
    for_each(steps, place, threads_for(source))
    return zenith, azimuth


def _grid(store: Store, product_id: str, band: Band | None, detector: int) -> tuple[Product, AngleGrid]:
    """Return the grid of a band and detector, or of the sun for no band."""

    def read(product: Product) -> tuple[Product, AngleGrid]:
        sun, views = _ANGLES.get((store.url, product.folder), lambda: _angles(store, product))
        angles = sun if band is None else views[band.index, detector - 1]
        key = (store.url, product.folder, band, detector)
        return product, _GRIDS.get(key, lambda: filled(angles))

    return of_product(store, product_id, read)


def _angles(store: Store, product: Product) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    from abut.masks import read_angles  # noqa: PLC0415 - zarr is slow to import

    with explained(f"{store.url}/{product.folder}"):
        return read_angles(Archive(store, "default", ""), product)


def _seams(source: BlockSource, slot: int, window: Bounds) -> Iterator[tuple[str, str, Block, Block]]:
    """Yield pairs of suppliers and the blocks that they meet between; the same block twice where they share one."""
    for block in BlockRange.around(window):
        here = [part.whose for part in source.parts(slot, block)]
        for first, second in combinations(here, 2):
            yield first, second, block, block
        for beside in (Block(block.zone, block.p + 1, block.q), Block(block.zone, block.p, block.q - 1)):
            if here and beside.bounds.intersection(window):
                there = [part.whose for part in source.parts(slot, beside)[:1]]
                if there and there[0] != here[0]:
                    yield here[0], there[0], block, beside


def _points(block: Block, beside: Block) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return places along the side that two blocks share, or all over a block that is given twice."""
    bounds = block.bounds
    steps = np.arange(_SEAM_STEPS + 1, dtype=np.float64) * BLOCK_SIZE / _SEAM_STEPS
    if beside == block:
        x, y = np.meshgrid(bounds.left + steps, bounds.top - steps)
        return x.ravel(), y.ravel()
    if beside.p != block.p:
        return np.full(steps.shape, float(bounds.right)), bounds.top - steps
    return bounds.left + steps, np.full(steps.shape, float(bounds.bottom))


def _jump(
    store: Store,
    suppliers_: tuple[str, str],
    points: tuple[NDArray[np.float64], NDArray[np.float64]],
    bands: Sequence[Band],
) -> tuple[float, float] | None:
    """Compare two products' grids at some places; None where no detector is known to both."""
    worst: tuple[float, float] | None = None
    for band in bands:
        for detector in _both_know(store, suppliers_, band):
            both = [_grid(store, name, band, detector) for name in suppliers_]
            (z0, a0, known0), (z1, a1, known1) = (at_points(grid, product.tile, *points) for product, grid in both)
            known = known0 & known1
            if known.any():
                zenith = float(np.abs(z0 - z1)[known].max())
                azimuth = float(np.abs((a0 - a1 + 180) % 360 - 180)[known].max())
                worst = (zenith, azimuth) if worst is None else (max(worst[0], zenith), max(worst[1], azimuth))
    return worst


def _both_know(store: Store, names: Iterable[str], band: Band) -> list[int]:
    """Return the detectors whose grids have nodes in all of some products: only theirs are worth filling."""
    known = np.ones(DETECTORS, bool)
    for name in names:
        known &= of_product(store, name, lambda product: _detectors(store, product, band))
    return [int(index) + 1 for index in np.flatnonzero(known)]


def _detectors(store: Store, product: Product, band: Band) -> NDArray[np.bool_]:
    """Whether each detector's grid of a band has nodes."""
    _, views = _ANGLES.get((store.url, product.folder), lambda: _angles(store, product))
    nodes: NDArray[np.bool_] = np.isfinite(views[band.index]).all(axis=1).any(axis=(1, 2))
    return nodes
