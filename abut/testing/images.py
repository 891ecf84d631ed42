"""The images of a granule: bands, true colours, preview and raster masks."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

import numpy as np

from abut.lattice import Bounds
from abut.layout import BAND, BANDS, QUALITY_BITS
from abut.testing.jp2 import write_blocks, write_jp2

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from numpy.typing import NDArray

    from abut.layout import Band
    from abut.testing.paths import Paths

    type Alter = Callable[[Band, NDArray[np.uint16], Bounds], NDArray[np.uint16]]
    """Band, its whole image (rows, columns) and ground -> the image to write instead."""

BLOCK: Final = {10: 1024, 20: 640, 60: 192}
"""Side of the codestream's blocks in band images, by pixel size."""

MASK_BLOCK: Final = {10: 1024, 20: 2048, 60: 256}
"""The same in masks."""

PREVIEW_SIZE: Final = 343
"""Side of the preview in pixels of 320 m."""

_COLOURS: Final = ("B04", "B03", "B02")

_WHITE = 3558
"""Reflectance in 1/10000 that true-colour images show as 255."""


def write_images(root: Path, paths: Paths, strip: int, alter: Alter | None) -> None:
    """Write all images of a granule into the folders of its SAFE, which must exist.

    Parameters
    ----------
    root : Path
        The SAFE.
    paths : Paths
        Where its files lie.
    strip : int
        Index of the datastrip.
    alter : callable, optional
        Changes the bands' pixels; true colours and preview follow.
    """
    scene, bounds = paths.names.scene, paths.names.tile.footprint

    def write_band(band: Band) -> NDArray[np.uint8] | None:
        pixels = scene.pixels(band, bounds, strip=strip)
        if alter is not None:
            pixels = alter(band, pixels, bounds)
        write_jp2(root / paths.image(band), pixels, bounds, BLOCK[band.resolution])
        return shown(pixels, scene.offset) if band.name in _COLOURS else None

    def write_masks(band: Band) -> None:
        block = MASK_BLOCK[band.resolution]
        detectors = scene.detector(band, bounds, strip=strip)
        write_jp2(root / paths.mask("DETFOO", band), detectors, bounds, block)
        shape = (len(QUALITY_BITS), *bounds.shape(band.resolution))

        def read(rows: slice, columns: slice) -> NDArray[np.uint8] | None:
            part = _part(bounds, rows, columns, band.resolution)
            flawed = any(scene.flaws(band, part, strip=strip))
            return scene.quality(band, part, strip=strip) if flawed else None

        write_blocks(root / paths.mask("QUALIT", band), shape, np.uint8, read, bounds=bounds, block=block)

    # GDAL lets other threads run while it encodes.
    with ThreadPoolExecutor(2) as pool:
        written = dict(zip(BAND, pool.map(write_band, BANDS), strict=True))
        if paths.names.modern:
            list(pool.map(write_masks, BANDS))
    _write_colours(root, paths, [image for name in _COLOURS if (image := written[name]) is not None])
    if paths.names.modern:
        classes = scene.classification(bounds, strip=strip)
        write_jp2(root / paths.mask("CLASSI", None), classes, bounds, MASK_BLOCK[60])


def _write_colours(root: Path, paths: Paths, colours: list[NDArray[np.uint8]]) -> None:
    bounds = paths.names.tile.footprint

    def read(rows: slice, columns: slice) -> NDArray[np.uint8] | None:
        part = np.stack([colour[rows, columns] for colour in colours])
        return part if part.any() else None

    if paths.compact:
        write_blocks(root / paths.image(None), (3, *colours[0].shape), np.uint8, read, bounds=bounds, block=BLOCK[10])
    step = 32
    middles = slice(step // 2, step * PREVIEW_SIZE, step)
    preview = np.stack([colour[middles, middles] for colour in colours])
    write_jp2(root / paths.preview, preview, bounds, PREVIEW_SIZE)


def shown(pixels: NDArray[np.uint16], offset: int) -> NDArray[np.uint8]:
    """Return a band as true-colour images show it: 1 ... 255 for reflectances 0 ... 0.3558, 0 for no data."""
    image = np.zeros(pixels.shape, dtype=np.uint8)
    for row in range(0, pixels.shape[0], BLOCK[10]):
        part = pixels[row : row + BLOCK[10]]
        columns = np.flatnonzero(part.any(axis=0))
        if columns.size:
            seen = slice(columns[0], columns[-1] + 1)
            dn = part[:, seen].astype(np.int32)
            scaled = ((dn + offset) * 255 + _WHITE // 2) // _WHITE
            image[row : row + BLOCK[10], seen] = np.where(dn > 0, scaled.clip(1, 255), 0)
    return image


def nudged(part: Bounds, step: int, bands: Iterable[str] = tuple(BAND)) -> Alter:
    """Return a change for `make_safe`: DN differ by a few inside a part of the ground, as overlaps may in reality.

    Parameters
    ----------
    part : Bounds
        Where; what lies outside the tile is ignored.
    step : int
        What is added to the DN of valid pixels; results are kept within 1 ... 32,767.
    bands : iterable of str, default all
        Names of the bands that it happens to.

    Raises
    ------
    ValueError
        If the part is not aligned to a band's pixels (when it is used).
    """
    names = frozenset(bands)

    def alter(band: Band, pixels: NDArray[np.uint16], bounds: Bounds) -> NDArray[np.uint16]:
        shared = part.intersection(bounds)
        if shared is not None and band.name in names:
            inside = pixels[bounds.slices(shared, band.resolution)]
            inside[:] = np.where(inside > 0, (inside.astype(np.int64) + step).clip(1, 32_767), 0)
        return pixels

    return alter


def _part(bounds: Bounds, rows: slice, columns: slice, resolution: int) -> Bounds:
    return Bounds(
        bounds.zone,
        bounds.left + resolution * columns.start,
        bounds.top - resolution * rows.stop,
        bounds.left + resolution * columns.stop,
        bounds.top - resolution * rows.start,
    )
