"""The images of a granule: bands, true colours, preview and raster masks."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

import numpy as np

from abut.lattice import Bounds
from abut.layout import BAND, BANDS, QUALITY_BITS
from abut.testing.jp2 import write_blocks, write_jp2
from abut.testing.paths import FILE_ORDER

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

    def write_band(band: Band) -> NDArray[np.uint16]:
        pixels = scene.pixels(band, bounds, strip=strip)
        if alter is not None:
            pixels = alter(band, pixels, bounds)
        write_jp2(root / paths.image(band), pixels, bounds, BLOCK[band.resolution])
        return pixels

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
        colours = [pool.submit(write_band, BAND[name]) for name in ("B04", "B03", "B02")]
        others = [pool.submit(write_band, band) for band in BANDS if band.name not in {"B02", "B03", "B04"}]
        masks = [pool.submit(write_masks, band) for band in FILE_ORDER if paths.names.modern]
        _write_colours(root, paths, [future.result() for future in colours])
        for future in others:
            future.result()
        for mask in masks:
            mask.result()
    if paths.names.modern:
        classes = scene.classification(bounds, strip=strip)
        write_jp2(root / paths.mask("CLASSI", None), classes, bounds, MASK_BLOCK[60])


def _write_colours(root: Path, paths: Paths, bands: list[NDArray[np.uint16]]) -> None:
    scene, bounds = paths.names.scene, paths.names.tile.footprint

    def read(rows: slice, columns: slice) -> NDArray[np.uint8] | None:
        part = [band[rows, columns] for band in bands]
        return true_colours(part, scene.offset) if any(band.any() for band in part) else None

    if paths.compact:
        write_blocks(root / paths.image(None), (3, *bands[0].shape), np.uint8, read, bounds=bounds, block=BLOCK[10])
    step = 32
    middles = slice(step // 2, step * PREVIEW_SIZE, step)
    preview = true_colours([band[middles, middles] for band in bands], scene.offset)
    write_jp2(root / paths.preview, preview, bounds, PREVIEW_SIZE)


def true_colours(bands: list[NDArray[np.uint16]], offset: int) -> NDArray[np.uint8]:
    """Return red, green and blue (3, rows, columns): 1 ... 255 for reflectances 0 ... 0.3558, 0 for no data."""
    dn = np.stack(bands).astype(np.int32)
    shown = ((dn + offset) * 255 + _WHITE // 2) // _WHITE
    return np.where(dn > 0, shown.clip(1, 255), 0).astype(np.uint8)


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
