"""Shadows that were paired with clouds on real pixels: how dark they are in other bands, and what chance would find."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from scipy import ndimage

from benchmarks.quality.data import SUN, VIEW
from workflows import shadows
from workflows.disks import box_sum, dilated
from workflows.north import convergence
from workflows.scene import Geometry

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmarks.quality.data import Flags, RealTile, Values
    from workflows.shadows import Shadows

FAR: Final = (4_800, 9_800)
"""Metres to the cloud: what a lone tile's overlap gives on each side where tiles share it, and all of the overlap."""
TURNS: Final = (-90.0, -20.0, -10.0, -5.0, 0.0, 5.0, 10.0, 20.0, 90.0, 180.0)
"""Degrees by which the sun is turned to see what is found by chance."""
_PIXEL: Final = shadows.PIXEL
_SQUARE: Final = shadows.SQUARE * _PIXEL


@dataclass(frozen=True, slots=True)
class Pairing:
    """Clouds and the shadows found for them."""

    cloud: Flags
    """Clouds, grown as `workflows.clouds` grows them."""
    clear: Flags
    """Ground in view."""
    found: Shadows
    """Their shadows."""
    height: NDArray[np.int16]
    """Height of the cloud base for each pixel of cloud, metres; -1 where no shadow was found."""


def pair(
    tile: RealTile, cloud: Flags, *, reach: int = shadows.REACH, turn: float = 0, view: tuple[float, float] = VIEW
) -> Pairing:
    """Pair the clouds of a tile with shadows; `turn` turns the sun away from where it was, in degrees."""
    cloud = dilated(cloud, 2) & tile.valid
    clear = tile.valid & ~cloud
    dark = shadows.dark_ground(_infrared(tile), clear)
    geometry = Geometry.constant(tile.box, (SUN[0], (SUN[1] + turn) % 360), view)
    found = shadows.find_shadows(tile.box, cloud, clear, dark, geometry, reach=reach)
    left, _, _, top = tile.box.blocks(_SQUARE)
    rows, columns = cloud.shape
    row = top - 1 - (tile.box.top - _PIXEL * (np.arange(rows) + 1)) // _SQUARE
    column = (tile.box.left + _PIXEL * np.arange(columns)) // _SQUARE - left
    height = np.where(cloud, found.height[row[:, None], column[None, :]], shadows.NO_HEIGHT).astype(np.int16)
    return Pairing(cloud, clear, found, height)


def _infrared(tile: RealTile) -> NDArray[np.int64]:
    found: NDArray[np.int64] = np.maximum(np.rint(tile.surface["B8A"] * 10_000), 0).astype(np.int64)
    return found


def summary(tile: RealTile, pairing: Pairing) -> dict[str, Any]:
    """Return shares of clouds with a shadow, heights, and agreement with the shadows of Sen2Cor."""
    paired = pairing.height >= 0
    objects, count = ndimage.label(pairing.cloud, np.ones((3, 3)))
    sizes = np.bincount(objects.ravel())[1:]
    some = np.bincount(objects[paired], minlength=count + 1)[1:] > 0
    large = sizes >= 100
    theirs, ours = (tile.scl == 3) & pairing.clear, pairing.found.shadow
    dark = shadows.dark_ground(_infrared(tile), pairing.clear)
    heights = np.percentile(pairing.height[paired], [5, 25, 50, 75, 95]) if paired.any() else np.full(5, np.nan)
    return {
        "cloud": float(pairing.cloud[tile.valid].mean()),
        "shadow of clear": float(ours[pairing.clear].mean()),
        "cloud pixels with a height": float(paired.sum() / max(int(pairing.cloud.sum()), 1)),
        "clouds": count,
        "clouds of 100 pixels or more": int(large.sum()),
        "of these, with a shadow": float(some[large].mean()) if large.any() else 0.0,
        "heights 5, 25, 50, 75, 95 %": heights.round().tolist(),
        "Sen2Cor shadow of clear": float(theirs[pairing.clear].mean()),
        "recall of Sen2Cor's": float((ours & theirs).sum() / max(int(theirs.sum()), 1)),
        "precision by Sen2Cor's": float((ours & theirs).sum() / max(int(ours.sum()), 1)),
        "Sen2Cor's shadow that is dark ground": float(dark[theirs].mean()),
        "water of dark ground": float((tile.scl == 6)[dark].mean()),
    }


def darkness(tile: RealTile, pairing: Pairing) -> dict[str, Any]:
    """Return how dark shadows are beside the ground around them, by bands that the pairing did not look at.

    Only land counts, and as surroundings clear ground within 10 pixels that is in no shadow. Full shadow is lit by the
    sky, which is blue: B02 has to keep more than B11 and B12.
    """
    land = pairing.clear & (tile.scl != 6)
    shadow = pairing.found.shadow & land
    bare = land & ~dilated(pairing.found.shadow, 2)
    around = box_sum(bare.astype(np.int64), 10)
    rows: dict[str, Any] = {}
    for band in ("B02", "B03", "B04", "B8A", "B11", "B12"):
        numbers = np.rint(tile.surface[band] * 10_000).astype(np.int64)
        mean = box_sum(np.where(bare, numbers, 0), 10) / np.maximum(around, 1)
        ratio = numbers / np.maximum(mean, 1)
        enough = around >= 20
        rows[band] = {
            "median of shadow": float(np.median(ratio[shadow & enough])),
            "median of the rest": float(np.median(ratio[bare & enough])),
            "below 0.8, shadow": float((ratio[shadow & enough] < 0.8).mean()),
            "below 0.8, rest": float((ratio[bare & enough] < 0.8).mean()),
        }
    return rows


def turned(tile: RealTile, cloud: Flags, turns: tuple[float, ...] = TURNS) -> list[dict[str, Any]]:
    """Return how much shadow is found when the sun is looked for where it was not, and the sensor likewise.

    Where shadows are real, there are most with the sun at its place (turn 0) and the sensor on its side.
    """
    rows = []
    away = VIEW[0], (VIEW[1] + 180) % 360
    for name, view in (("as it was", VIEW), ("nadir", (0.0, 0.0)), ("on the other side", away)):
        row: dict[str, Any] = {"sensor": name}
        for turn in turns:
            pairing = pair(tile, cloud, turn=turn, view=view)
            row[f"{turn:+g}"] = float(pairing.found.shadow[pairing.clear].mean())
        rows.append(row)
    return rows


def distances(tile: RealTile, pairing: Pairing) -> Values:
    """Return, for each pixel of clear ground in shadow, the metres to the cloud pixel it fell from: the nearest one."""
    nearest = np.full(pairing.cloud.shape, np.inf)
    rows, columns = nearest.shape
    box = tile.box
    north = convergence((box.left + box.right) / 2, (box.bottom + box.top) / 2)
    south, east = shift(SUN, VIEW, north)
    for height in np.unique(pairing.height[pairing.height >= 0]):
        down, right = np.nonzero(pairing.height == height)
        move = round(float(height * south) / _PIXEL), round(float(height * east) / _PIXEL)
        down, right = down + move[0], right + move[1]
        inside = (down >= 0) & (down < rows) & (right >= 0) & (right < columns)
        at = down[inside], right[inside]
        nearest[at] = np.minimum(nearest[at], np.hypot(*move) * _PIXEL)
    return nearest[pairing.clear & np.isfinite(nearest)]


def shift(sun: tuple[float, float], view: tuple[float, float], north: float = 0) -> tuple[float, float]:
    """Return metres south and east from a cloud as seen to its shadow, by metre of height."""
    away, azimuth = np.tan(np.radians(sun[0])), np.radians(sun[1] - north)
    aside, towards = np.tan(np.radians(view[0])), np.radians(view[1] - north)
    return (
        float(away * np.cos(azimuth) - aside * np.cos(towards)),
        float(aside * np.sin(towards) - away * np.sin(azimuth)),
    )


def by_reach(
    tile: RealTile, cloud: Flags, reaches: tuple[int, ...] = (60, 82, 100, 160, 200)
) -> list[dict[str, float]]:
    """Return shares of shadow pixels by how far away their cloud is, for several distances that are looked at."""
    rows = []
    for reach in reaches:
        pairing = pair(tile, cloud, reach=reach)
        metres = distances(tile, pairing)
        rows.append(
            {
                "reach km": reach * _PIXEL / 1000,
                "highest base m": max(h for h in shadows.HEIGHTS if _reached(h, reach)),
                "cloud pixels with a height": float((pairing.height >= 0).sum() / pairing.cloud.sum()),
                "shadow of clear": float(pairing.found.shadow[pairing.clear].mean()),
                "median m": float(np.median(metres)),
                **{f"beyond {far} m": float((metres > far).mean()) for far in FAR},
            }
        )
    return rows


def _reached(height: int, reach: int) -> bool:
    return max(abs(height * part) for part in shift(SUN, VIEW)) <= reach * _PIXEL


def by_sun(pairing: Pairing, zeniths: tuple[int, ...] = (30, 40, 50, 60, 65, 70, 75)) -> list[dict[str, float]]:
    """Return the share of cloud pixels whose shadow lies beyond `FAR`, were the sun elsewhere: same heights."""
    heights = pairing.height[pairing.height >= 0]
    return [
        {
            "sun zenith": zenith,
            **{f"beyond {far} m": float((heights * np.tan(np.radians(zenith)) > far).mean()) for far in FAR},
        }
        for zenith in zeniths
    ]
