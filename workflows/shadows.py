"""Cloud shadows: which height of a cloud puts its shadow where the ground is dark.

For each square of 960 m and each height from 200 to 12,000 m in steps of 50, cloud pixels are moved to where their
shadow would fall, and the share that falls on dark ground is counted, over the square and its eight neighbours. The
height with the largest share wins; its moved pixels are shadow. Squares are counted from the zone's origin, all numbers
are whole, and ties go to the lower height, so the result is a function of the ground. Whole clouds are not looked at,
on purpose: they have no largest size, so no neighbourhood would be enough.

Height search and matching follow what is published for FORCE (Frantz 2018) and MAJA (Hagolle 2017).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from workflows.disks import box_sum, dilated
from workflows.errors import WorkflowError
from workflows.north import convergence
from workflows.scene import BLOCK

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from workflows.disks import Flags
    from workflows.scene import Box, Geometry

PIXEL: Final = 60
"""Pixel size in metres."""
SQUARE: Final = 16
"""Side in pixels of the squares that have one height: 960 m, ten to a block."""
HEIGHTS: Final = tuple(range(200, 12_001, 50))
"""Heights of cloud bases in metres, in the order in which they are tried."""
REACH: Final = 100
"""How far shadows are looked for, in pixels along rows and along columns: 6 km."""
DARK_BOX: Final = 20
"""Half the side in pixels of the surroundings that dark ground is compared with."""
NO_HEIGHT: Final = -1
"""Height where no shadow was found, in metres."""
_FEWEST: Final = 20
_GROWN: Final = 2
_PER_BLOCK: Final = BLOCK // PIXEL


def radius(reach: int = REACH) -> int:
    """Return the metres around a pixel on which its shadow depends, apart from what the cloud mask itself looks at.

    A shadow grows by 2 pixels and comes from a cloud up to `reach` away, whose height is decided by clouds of the next
    square (31 pixels) and the ground up to `reach` beyond them, which is dark by its surroundings (20 pixels).
    """
    return (_GROWN + reach + 2 * SQUARE - 1 + DARK_BOX) * PIXEL


@dataclass(frozen=True, slots=True)
class Shadows:
    """What was found."""

    shadow: Flags
    """Shadow, (y, x) at 60 m."""
    height: NDArray[np.int16]
    """Height of the cloud base in metres by square of 960 m, row 0 in the north; -1 where there is none. The squares
    are those that touch the ground that was given."""


def dark_ground(infrared: NDArray[np.int64], clear: Flags) -> Flags:
    """Return clear pixels whose near infrared is below 0.7 of the mean of the clear pixels around them.

    Parameters
    ----------
    infrared : ndarray of int64, shape (y, x)
        Whole numbers in proportion to reflectance.
    clear : ndarray of bool, shape (y, x)
        Pixels without cloud that have data.
    """
    total = box_sum(np.where(clear, infrared, 0), DARK_BOX)
    count = box_sum(clear.astype(np.int64), DARK_BOX)
    found: Flags = clear & (10 * infrared * count < 7 * total)
    return found


def find_shadows(
    box: Box, cloud: Flags, clear: Flags, dark: Flags, geometry: Geometry, *, reach: int = REACH
) -> Shadows:
    """Return the shadows of clouds.

    Parameters
    ----------
    box : Box
        The ground of all arrays.
    cloud, clear, dark : ndarray of bool, shape (y, x)
        Pixels of 60 m with cloud; with ground in view; those of them that are dark.
    geometry : Geometry
        Sun and sensor by block, see `Scene.angles`.
    reach : int
        How far shadows are looked for in pixels. A cloud 8 km high throws its shadow 6.7 km far when the sun is 40
        degrees from the zenith, 14 km at 60.

    Raises
    ------
    WorkflowError
        If the reach is not 1 to 1,000 pixels.
    """
    if not 1 <= reach <= 1_000:
        raise WorkflowError(f"shadows can't be looked for {reach} pixels far: 1 to 1,000")
    frame = _Frame(box, reach)
    ground = frame.placed(clear).astype(np.uint8) + frame.placed(dark)
    clouds = frame.placed(cloud)
    dark_count, clear_count = _scores(frame, clouds, ground, geometry)
    best = _best(dark_count, clear_count)
    found = np.zeros(clouds.shape, np.bool_)
    for row, column, moves in frame.blocks(geometry):
        _cast(found, clouds, (row, column), moves, best[frame.squares_of(row, column)])
    shadow = dilated(frame.cropped(found), _GROWN) & clear
    height = np.where(best < 0, NO_HEIGHT, np.array(HEIGHTS)[best]).astype(np.int16)
    return Shadows(shadow, frame.squares(height))


class _Frame:
    """The blocks around the ground, with as much around them as shadows are looked for."""

    def __init__(self, box: Box, reach: int) -> None:
        self.box, self.reach = box, reach
        self.p0, self.q0, self.p1, self.q1 = box.blocks()
        self.rows, self.columns = (self.q1 - self.q0) * _PER_BLOCK, (self.p1 - self.p0) * _PER_BLOCK
        self._down = (self.q1 * BLOCK - box.top) // PIXEL
        self._right = (box.left - self.p0 * BLOCK) // PIXEL

    def placed(self, flags: Flags) -> Flags:
        """Return flags in the frame."""
        whole = np.zeros((self.rows + 2 * self.reach, self.columns + 2 * self.reach), np.bool_)
        whole[self._inside(self.reach)] = flags
        return whole

    def cropped(self, whole: Flags) -> Flags:
        """Return flags of the ground."""
        return whole[self._inside(self.reach)]

    def _inside(self, around: int) -> tuple[slice, slice]:
        rows, columns = self.box.shape(PIXEL)
        down, right = around + self._down, around + self._right
        return slice(down, down + rows), slice(right, right + columns)

    def squares_of(self, row: int, column: int) -> tuple[slice, slice]:
        """Return the squares of the block that begins at a row and column of the frame."""
        top, left, side = (row - self.reach) // SQUARE, (column - self.reach) // SQUARE, _PER_BLOCK // SQUARE
        return slice(top, top + side), slice(left, left + side)

    def squares(self, values: NDArray[np.int16]) -> NDArray[np.int16]:
        """Return those of the squares that touch the ground."""
        rows, columns = self._inside(0)
        return values[
            rows.start // SQUARE : -(-rows.stop // SQUARE), columns.start // SQUARE : -(-columns.stop // SQUARE)
        ]

    def blocks(self, geometry: Geometry) -> Iterator[tuple[int, int, list[tuple[int, int] | None]]]:
        """Yield the first row and column of each block in the frame, and where each height moves its clouds."""
        for i, j in np.ndindex(geometry.sun_zenith.shape):
            north = convergence((self.p0 + j + 0.5) * BLOCK, (self.q1 - i - 0.5) * BLOCK)
            moves = _moves(geometry, (i, j), north, self.reach)
            yield self.reach + i * _PER_BLOCK, self.reach + j * _PER_BLOCK, moves


def _moves(geometry: Geometry, block: tuple[int, int], north: float, reach: int) -> list[tuple[int, int] | None]:
    """Return rows and columns from where a cloud is seen to its shadow, by height; None where that is too far.

    A cloud is seen moved away from the sensor by h tan(view zenith), and throws its shadow away from the sun. Azimuths
    are from true north, rows and columns along the grid, whose north is `north` degrees clockwise of it.
    """
    sun, sun_from = np.deg2rad(geometry.sun_zenith[block]), np.deg2rad(geometry.sun_azimuth[block] - north)
    view, view_from = np.deg2rad(geometry.view_zenith[block]), np.deg2rad(geometry.view_azimuth[block] - north)
    south = (np.cos(sun_from) * np.tan(sun) - np.cos(view_from) * np.tan(view)) / PIXEL
    east = (np.sin(view_from) * np.tan(view) - np.sin(sun_from) * np.tan(sun)) / PIXEL
    moves: list[tuple[int, int] | None] = []
    for height in HEIGHTS:
        move = round(float(height * south)), round(float(height * east))
        moves.append(move if max(map(abs, move)) <= reach else None)
    return moves


def _scores(
    frame: _Frame, clouds: Flags, ground: NDArray[np.uint8], geometry: Geometry
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Count cloud pixels that fall on dark ground, and on clear ground, by height and square (and its neighbours)."""
    shape = len(HEIGHTS), frame.rows // SQUARE, frame.columns // SQUARE
    counts = np.zeros((2, *shape), np.int32)
    side = _PER_BLOCK // SQUARE
    for row, column, moves in frame.blocks(geometry):
        down, right = np.nonzero(clouds[row : row + _PER_BLOCK, column : column + _PER_BLOCK])
        if not len(down):
            continue
        square = down // SQUARE * side + right // SQUARE
        place = (down + row) * ground.shape[1] + right + column
        flat = ground.ravel()
        mine = frame.squares_of(row, column)
        last: tuple[int, int] | None = None
        for number, move in enumerate(moves):
            if move is None:
                continue
            if move != last:
                hit = flat[place + (move[0] * ground.shape[1] + move[1])]
                found = np.bincount(square * 3 + hit, minlength=3 * side * side).reshape(side, side, 3)
                last = move
            counts[0, number, *mine] = found[..., 2]
            counts[1, number, *mine] = found[..., 1] + found[..., 2]
    return _with_neighbours(counts[0]), _with_neighbours(counts[1])


def _with_neighbours(counts: NDArray[np.int32]) -> NDArray[np.int32]:
    rows = np.pad(counts, ((0, 0), (1, 1), (1, 1)))
    rows = rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]
    found: NDArray[np.int32] = rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:]
    return found


def _best(dark: NDArray[np.int32], clear: NDArray[np.int32]) -> NDArray[np.int64]:
    """Return the height with the largest share of dark ground for each square, as index; -1 if none is good enough.

    At least 20 pixels have to fall on clear ground, half of them on dark ground. Shares are compared as fractions.
    """
    best = np.full(dark.shape[1:], -1, np.int64)
    top, bottom = np.zeros(dark.shape[1:], np.int64), np.ones(dark.shape[1:], np.int64)
    for number in range(len(dark)):
        mine, all_clear = dark[number].astype(np.int64), clear[number].astype(np.int64)
        better = (all_clear >= _FEWEST) & (2 * mine >= all_clear) & (mine * bottom > top * all_clear)
        best[better], top[better], bottom[better] = number, mine[better], all_clear[better]
    return best


def _cast(
    found: Flags,
    clouds: Flags,
    corner: tuple[int, int],
    moves: list[tuple[int, int] | None],
    best: NDArray[np.int64],
) -> None:
    """Move the clouds of each square of a block by its height."""
    for (i, j), number in np.ndenumerate(best):
        move = moves[number] if number >= 0 else None
        if move is None:
            continue
        row, column = corner[0] + i * SQUARE, corner[1] + j * SQUARE
        down, right = row + move[0], column + move[1]
        found[down : down + SQUARE, right : right + SQUARE] |= clouds[row : row + SQUARE, column : column + SQUARE]
