"""The picture of a layer before and after its overlap is gone: who stores which block, in colours over the ground."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from pyproj import Transformer

from abut.lattice import BLOCK_SIZE, Bounds
from abut.tiling import TILE_SIZE
from cli.demonstration.stock import holders
from cli.output import plural, size

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray
    from PIL.ImageFont import FreeTypeFont
    from PIL.ImageFont import ImageFont as BitmapFont

    from abut.lattice import Block
    from abut.tiling import Tile
    from cli.demonstration.ground import Ground
    from cli.demonstration.stock import Share, Stock

    type Colour = tuple[int, int, int]
    type Font = FreeTypeFont | BitmapFont

PANEL: Final = 780
"""Largest side of each of the two maps in pixels."""

PALETTE: Final[Sequence[Colour]] = (
    (230, 159, 0),
    (0, 114, 178),
    (0, 158, 115),
    (204, 121, 167),
    (240, 228, 66),
    (86, 180, 233),
    (213, 94, 0),
)
"""Colours of tiles that most colour-blind people can tell apart (Okabe and Ito, 2008)."""

_MARGIN: Final = 36
_HEADER: Final = 128
_LINE: Final = 30
_INK: Final = (30, 30, 30)
_PAPER: Final = (255, 255, 255)
_GROUND: Final = (226, 226, 226)
_SEEN: Final = 0.42
_UNSEEN: Final = 0.25
_DEGREE_STEPS: Final = 64


@dataclass(frozen=True, slots=True)
class _View:
    """The ground of a map, and how large it is drawn."""

    bounds: Bounds
    side: int
    """Pixels of a block's side."""

    @property
    def shape(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return round(self.bounds.width * self.scale), round(self.bounds.height * self.scale)

    @property
    def scale(self) -> float:
        """Pixels a metre."""
        return self.side / BLOCK_SIZE

    def at(self, x: float, y: float) -> tuple[int, int]:
        """Column and row of a place."""
        return round((x - self.bounds.left) * self.scale), round((self.bounds.top - y) * self.scale)


def draw(stock: Stock, ground: Ground, neighbours: Sequence[Tile] = ()) -> Image.Image:
    """Draw a layer before and after.

    Parameters
    ----------
    stock : Stock
        Who stores what.
    ground : Ground
        What the blocks show.
    neighbours : sequence of Tile
        Tiles of other zones, whose footprints are dashed.

    Returns
    -------
    PIL.Image.Image
        RGB; the map of what was ingested on the left, what is stored now on the right, and a legend below.
    """
    view = _view_of(stock)
    width, height = view.shape
    nearby = [tile for tile in neighbours if tile.zone != stock.zone]
    lines = math.ceil(len(stock.shares) / 2) + 1 + bool(nearby)
    total = (3 * _MARGIN + 2 * max(width, 560), _HEADER + height + 2 * _MARGIN + lines * _LINE)
    image = Image.new("RGB", total, _PAPER)
    pen = ImageDraw.Draw(image)
    day = stock.shares[0].product.id
    pen.text((_MARGIN, 18), f"Zone {stock.zone}: who stores which block of 9.6 km", _INK, _font(28))
    pen.text((_MARGIN, 56), f"{plural(len(stock.shares), 'product')} of one datastrip, {day[:26]}...", _INK, _font(17))
    for after in (False, True):
        left = _MARGIN + after * (max(width, 560) + _MARGIN)
        pen.text((left, _HEADER - 38), _title(stock, after=after), _INK, _font(22))
        image.paste(_map(stock, ground, view, nearby, after=after), (left, _HEADER))
        pen.rectangle((left - 1, _HEADER - 1, left + width, _HEADER + height), outline=_INK)
    _legend(pen, stock, nearby, (_MARGIN, _HEADER + height + _MARGIN), max(width, 560) + _MARGIN)
    return image


def _title(stock: Stock, *, after: bool) -> str:
    when = "After: " if after else "Before: "
    count, data = (stock.stored_after, stock.bytes_after) if after else (stock.stored_before, stock.bytes_before)
    return f"{when}{plural(count, 'block')} stored, {size(data)} ({stock.distinct} distinct)"


def _view_of(stock: Stock) -> _View:
    blocks = list(holders(stock, after=False))
    zone = stock.zone
    squares = [block.bounds for block in blocks] or [share.tile.footprint for share in stock.shares]
    pad = BLOCK_SIZE // 4
    bounds = Bounds(
        zone,
        min(square.left for square in squares) - pad,
        min(square.bottom for square in squares) - pad,
        max(square.right for square in squares) + pad,
        max(square.top for square in squares) + pad,
    )
    return _View(bounds, max(8, int(PANEL * BLOCK_SIZE / max(bounds.width, bounds.height)) // 4 * 4))


def _map(stock: Stock, ground: Ground, view: _View, nearby: Sequence[Tile], *, after: bool) -> Image.Image:
    image = Image.new("RGB", view.shape, _GROUND)
    colours = {share.tile: PALETTE[i % len(PALETTE)] for i, share in enumerate(stock.shares)}
    stored = holders(stock, after=after)
    for block, shares in stored.items():
        tints = [colours[share.tile] for share in shares]
        square = _tinted(ground.blocks.get(block), tints, view.side)
        image.paste(square, view.at(block.bounds.left, block.bounds.top))
    pen = ImageDraw.Draw(image)
    for block, shares in stored.items():
        _outline_block(pen, block, len(shares), view)
    for tile in nearby:
        _dashed(pen, [view.at(*corner) for corner in _outline_in(tile, stock)])
    _outline_tiles(pen, colours, view)
    _name_tiles(pen, colours, view)
    return image


def _tinted(ground: NDArray[np.uint8] | None, tints: Sequence[Colour], side: int) -> Image.Image:
    """Return a block's square: true colours with the colours of those that store it, as slanted stripes if several."""
    picture = (
        np.zeros((side, side, 3))
        if ground is None
        else np.asarray(Image.fromarray(ground).resize((side, side), Image.Resampling.BOX), np.float64)
    )
    row, column = np.indices((side, side))
    width = max(3, side // (4 * len(tints)))
    stripe = np.array(tints, np.float64)[(row + column) // width % len(tints)]
    seen = picture.any(axis=2, keepdims=True)
    base = np.where(seen, picture, _GROUND)
    share = np.where(seen, _SEEN, _UNSEEN)
    return Image.fromarray((base * (1 - share) + stripe * share).astype(np.uint8))


def _outline_block(pen: ImageDraw.ImageDraw, block: Block, count: int, view: _View) -> None:
    left, top = view.at(block.bounds.left, block.bounds.top)
    pen.rectangle((left, top, left + view.side - 1, top + view.side - 1), outline=_PAPER)
    if count > 1 and view.side >= 24:
        middle = (left + view.side // 2, top + view.side // 2)
        height = max(12, view.side // 5)
        pen.text(middle, f"x{count}", _PAPER, _font(height), anchor="mm", stroke_width=2, stroke_fill=_INK)


def _outline_tiles(pen: ImageDraw.ImageDraw, colours: Mapping[Tile, Colour], view: _View) -> None:
    for i, (tile, colour) in enumerate(colours.items()):
        square = tile.footprint
        left, top = view.at(square.left, square.top)
        right, bottom = view.at(square.right, square.bottom)
        inset = 3 * (i % 2)  # so that sides that two tiles share are seen twice
        box = (left + inset, top + inset, right - inset, bottom - inset)
        pen.rectangle(box, outline=_INK, width=6)
        pen.rectangle((box[0] + 1, box[1] + 1, box[2] - 1, box[3] - 1), outline=colour, width=4)


def _name_tiles(pen: ImageDraw.ImageDraw, colours: Mapping[Tile, Colour], view: _View) -> None:
    width, height = view.shape
    for tile, colour in colours.items():
        square = tile.footprint
        x, y = view.at(square.left + TILE_SIZE / 2, square.bottom + TILE_SIZE / 2)
        place = (min(max(x, 60), width - 60), min(max(y, 26), height - 26))
        left, top, right, bottom = pen.textbbox(place, tile.id, _font(22), anchor="mm")
        pen.rounded_rectangle((left - 7, top - 6, right + 7, bottom + 6), 6, fill=colour, outline=_INK, width=2)
        pen.text(place, tile.id, _ink_on(colour), _font(22), anchor="mm")


def _ink_on(colour: Colour) -> Colour:
    red, green, blue = colour
    return _INK if 2 * red + 5 * green + blue > 900 else _PAPER


def _outline_in(tile: Tile, stock: Stock) -> list[tuple[float, float]]:
    """Return the outline of a footprint of another zone in the coordinates of this one: its sides are curved."""
    square = tile.footprint
    steps = np.linspace(0, 1, _DEGREE_STEPS)
    xs = square.left + steps * square.width
    ys = square.bottom + steps * square.height
    x = np.concatenate([xs, np.full_like(ys, square.right), xs[::-1], np.full_like(ys, square.left)])
    y = np.concatenate([np.full_like(xs, square.top), ys[::-1], np.full_like(xs, square.bottom), ys])
    to_zone = Transformer.from_crs(square.zone.epsg, stock.zone.epsg, always_xy=True)
    return list(zip(*to_zone.transform(x, y), strict=True))


def _dashed(pen: ImageDraw.ImageDraw, points: Sequence[tuple[int, int]], dash: float = 12) -> None:
    walked = 0.0
    for (x0, y0), (x1, y1) in pairwise(points):
        length = math.hypot(x1 - x0, y1 - y0)
        pieces = max(1, math.ceil(length / 4))
        for i in range(pieces):
            if (walked + length * i / pieces) % (2 * dash) < dash:
                start = (x0 + (x1 - x0) * i / pieces, y0 + (y1 - y0) * i / pieces)
                stop = (x0 + (x1 - x0) * (i + 1) / pieces, y0 + (y1 - y0) * (i + 1) / pieces)
                pen.line((*start, *stop), fill=_INK, width=3)
        walked += length


def _legend(
    pen: ImageDraw.ImageDraw, stock: Stock, nearby: Sequence[Tile], corner: tuple[int, int], column: int
) -> None:
    left, top = corner
    for i, share in enumerate(stock.shares):
        x, y = left + i % 2 * column, top + i // 2 * _LINE
        pen.rectangle((x, y, x + 30, y + 20), fill=PALETTE[i % len(PALETTE)], outline=_INK)
        pen.text((x + 42, y - 1), _legend_line(share), _INK, _font(18))
    y = top + math.ceil(len(stock.shares) / 2) * _LINE
    if nearby:
        _dashed(pen, [(left, y + 10), (left + 30, y + 10)], dash=8)
        names = ", ".join(str(tile) for tile in nearby)
        pen.text(
            (left + 42, y - 1),
            f"{names}: other zones are resampled apart, so they keep their own pixels",
            _INK,
            _font(18),
        )
        y += _LINE
    note = (
        "Squares: blocks. Stripes and x2 ... x4: stored that many times. Thick lines: legacy footprints. Grey: no data."
    )
    pen.text((left, y), note, _INK, _font(18))


def _legend_line(share: Share) -> str:
    before, after = len(share.before), len(share.after)
    return (
        f"{share.tile}  stores {before} blocks, {size(share.bytes_of(share.before))}  ->  "
        f"{after} blocks, {size(share.bytes_of(share.after))}"
    )


def _font(height: int) -> Font:
    return ImageFont.load_default(height)
