"""Mosaics: what a zone shows on a window of a level, pasted from blocks or overviews; nothing is interpolated.

The first DN > 0 in the order of the plan wins, pixel by pixel and band by band. Blocks are overlaid block by block as a
view does it; overviews product by product, each whole. An object further down is read only while something is lacking.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import batched, count
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from abut.errors import MixedBaselinesError
from abut.holdings import hull_of
from abut.layout import OVERVIEWS, block_key
from services.tiles.levels import CHUNK
from services.tiles.objects import Broken, Want
from services.tiles.window import blocks_under, overlays_under

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from abut.holders import HeldBlock
    from abut.lattice import Block, Bounds
    from abut.layout import Band
    from abut.strips import Layer
    from services.tiles.objects import Decoded, Objects
    from services.tiles.plan import Overlay, ZonePlan
    from services.tiles.window import Common, Tally, Window

PAD: Final = 4
"""Pixels of nodata around each mosaic, so that kernels may reach beyond it."""
_BATCH: Final = 32
"""Objects that are held at once beside the cache."""


@dataclass(slots=True)
class Mosaic:
    """What is being pasted."""

    plan: ZonePlan
    """Who is shown."""
    window: Window
    """Where."""
    bands: tuple[Band, ...]
    """Bands of one pixel size."""
    padded: NDArray[Any]
    """Shape (band, y, x) with `PAD` pixels of nodata around: DN as uint16, or as int32 less the least offset."""
    base: tuple[int, ...]
    """Offset in DN of the pixels by band, where they were made alike."""
    index: NDArray[np.uint16] | None
    """Which of the suppliers each pixel is from, plus 1; None if nobody wants to know."""
    suppliers: list[str] = field(default_factory=list)
    """Ids of products that `index` counts."""
    used: dict[str, Layer] = field(default_factory=dict)
    """Products that supplied pixels."""
    broken: dict[str, Broken] = field(default_factory=dict)
    """Products that could not be read."""

    @property
    def data(self) -> NDArray[Any]:
        """The window, shape (band, y, x)."""
        return self.padded[:, PAD:-PAD, PAD:-PAD]


def mosaic_of(
    plan: ZonePlan,
    window: Window,
    bands: Sequence[Band],
    objects: Objects,
    tally: Tally,
    *,
    alike: bool,
    suppliers: bool = False,
) -> Mosaic:
    """Paste a window.

    Parameters
    ----------
    plan : ZonePlan
        Who is shown.
    window : Window
        Where.
    bands : sequence of Band
        Bands of the window's pixel size.
    objects : Objects
        Where decoded objects are.
    tally : Tally
        What the picture has needed so far.
    alike : bool
        Whether DN of products that differ in offset are made alike: as if all had the least offset of the zone's plan.
    suppliers : bool
        Whether to note which product supplied each pixel.

    Raises
    ------
    TooWideError
        If that takes too many objects.
    MixedBaselinesError
        If products that were pasted differ in quantification value or, where they are not made alike, in offset.
    """
    offsets = [plan.offsets.get(band.name, (0,)) for band in bands]
    mixed = alike and any(len(some) > 1 for some in offsets)
    height, width = window.shape
    shape = len(bands), height + 2 * PAD, width + 2 * PAD
    made = Mosaic(
        plan,
        window,
        tuple(bands),
        np.zeros(shape, np.int32 if mixed else np.uint16),
        tuple(some[0] for some in offsets),
        np.zeros((len(bands), height, width), np.uint16) if suppliers else None,
    )
    paste = _paste_blocks if window.level.stored == 1 else _paste_overviews
    paste(made, objects, tally)
    _require_alike(made, alike=alike)
    return made


@dataclass(slots=True)
class _Place:
    """A block of the window that is not full yet."""

    block: Block
    parts: tuple[HeldBlock, ...]
    bands: list[int]


def _paste_blocks(made: Mosaic, objects: Objects, tally: Tally) -> None:
    places = [
        _Place(block, parts, list(range(len(made.bands)))) for block, parts in blocks_under(made.plan, made.window)
    ]
    for depth in count():
        asked = [(place, band) for place in places if depth < len(place.parts) for band in place.bands]
        if not asked:
            return
        tally.add(len(asked))
        for some in batched(asked, _BATCH):
            tally.stop.check()
            wants = [_block_want(made, place.parts[depth], made.bands[band]) for place, band in some]
            for (place, band), found in zip(some, objects.get(wants), strict=True):
                if _paste_block(made, place, place.parts[depth], band, found):
                    place.bands.remove(band)


def _block_want(made: Mosaic, part: HeldBlock, band: Band) -> Want:
    factor, cut = made.window.level.reduction, part.crop
    inside = None
    if factor > 1 and cut is not None:
        rows, columns = hull_of(part.tile).block(part.row, part.column).bounds.slices(cut, band.resolution)
        inside = rows.start, rows.stop, columns.start, columns.stop
    return Want(part.key(band), part.product, "block", band.block_pixels, factor, inside)


def _paste_block(made: Mosaic, place: _Place, part: HeldBlock, band: int, found: Decoded | Broken) -> bool:
    """Paste a holder's pixels; return whether nothing is lacking any more."""
    if isinstance(found, Broken):
        made.broken[part.product] = found
        return False
    window, block, side = made.window, place.block, made.window.level.block
    whole = window.common(-(block.q + 1) * side, block.p * side, side, side)
    assert whole is not None  # noqa: S101 - it is under the window
    common = whole if part.crop is None else _cropped(window, part.crop)
    if common is not None:
        _paste(made, band, common, found, part.whose, part.holder.layer)
    return (found.full and common == whole) or bool(made.data[band][whole[0], whole[1]].all())


def _cropped(window: Window, crop: Bounds) -> Common | None:
    """Return where a part of a block lies in the window and in the block, as `Window.common` does."""
    size, equator = window.level.metres, crop.zone.equator
    top, left = (equator - crop.top) // size, crop.left // size
    found = window.common(top, left, -((crop.bottom - equator) // size) - top, -(-crop.right // size) - left)
    if found is None:
        return None
    down, across = top % window.level.block, left % window.level.block
    rows, columns, source_rows, source_columns = found
    return (
        rows,
        columns,
        slice(source_rows.start + down, source_rows.stop + down),
        slice(source_columns.start + across, source_columns.stop + across),
    )


def _paste_overviews(made: Mosaic, objects: Objects, tally: Tally) -> None:
    window = made.window
    side, chunk = window.level.block, window.level.chunk
    listed = [
        (one, row, column, band)
        for one, chunks in overlays_under(made.plan, window)
        for row, column in chunks
        for band in range(len(made.bands))
    ]
    tally.require(len({(one.hull, row, column, band) for one, row, column, band in listed}))  # as many at least
    for some in batched(listed, _BATCH):
        lacking = [each for each in some if _lacks(made, each[3], _chunk_place(window, *each[:3]))]
        tally.add(len(lacking))
        wants = [_chunk_want(made, one, row, column, made.bands[band]) for one, row, column, band in lacking]
        for (one, row, column, band), found in zip(lacking, objects.get(wants), strict=True):
            if isinstance(found, Broken):
                made.broken[one.product] = found
            elif not found.empty:
                common = window.common(
                    row * chunk - one.hull.q1 * side, column * chunk + one.hull.p0 * side, *found.pixels.shape
                )
                if common is not None:
                    _paste(made, band, common, found, one.product, one.layer)


def _chunk_place(window: Window, one: Overlay, row: int, column: int) -> Common | None:
    side, chunk = window.level.block, window.level.chunk
    return window.common(row * chunk - one.hull.q1 * side, column * chunk + one.hull.p0 * side, chunk, chunk)


def _lacks(made: Mosaic, band: int, common: Common | None) -> bool:
    return common is not None and not made.data[band][common[0], common[1]].all()


def _chunk_want(made: Mosaic, one: Overlay, row: int, column: int, band: Band) -> Want:
    level = made.window.level
    path = f"{OVERVIEWS}/{band.group}/{level.stored}/{band.key}"
    key = f"{one.folder}/{block_key(path, row, column)}"
    return Want(key, one.product, "overview", CHUNK, 2 if level.halved else 1)


def _paste(  # noqa: PLR0917 - a place has that many coordinates
    made: Mosaic,
    band: int,
    common: Common,
    found: Decoded,
    product: str,
    layer: Layer,
) -> None:
    target, pixels = made.data[band][common[0], common[1]], found.pixels[common[2], common[3]]
    if target.dtype == np.int32:
        shift = np.int32(dict(layer.radio_add_offset).get(made.bands[band].name, 0) - made.base[band])
        pixels = np.where(pixels > 0, pixels + shift, 0)
    if found.full and made.index is None and not target.any():
        target[...] = pixels
        new = None
    else:
        new = (target == 0) & (pixels > 0)
        if not new.any():
            return
        np.copyto(target, pixels, where=new)
    if product not in made.used:
        made.used[product] = layer
        made.suppliers.append(product)
    if made.index is not None and new is not None:
        made.index[band][common[0], common[1]][new] = made.suppliers.index(product) + 1


def _require_alike(made: Mosaic, *, alike: bool) -> None:
    """Raise if products that were pasted can't be shown side by side."""
    first: dict[str, tuple[int, str]] = {}
    for product, layer in made.used.items():
        values = {"quantification value": layer.quantification_value}
        if not alike:
            offsets = dict(layer.radio_add_offset)
            values |= {f"radio_add_offset of {band.name}": offsets.get(band.name, 0) for band in made.bands}
        for what, value in values.items():
            known, other = first.setdefault(what, (value, product))
            if known != value:
                raise MixedBaselinesError(
                    f"the {what} is {known} in {other} and {value} in {product}: their DN can't be shown side by side; "
                    "ask for reflectance, or for products of one baseline"
                )
