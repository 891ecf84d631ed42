"""The pixels of a granule: its bands in strips, and its masks in one form for all baselines.

=================  =========================  =============================================================
mask               since baseline 04.00       before (GML)
=================  =========================  =============================================================
detectors          ``MSK_DETFOO``, JP2        ``MSK_DETFOO``; where footprints overlap (by a kilometre and
                                              more) the lowest detector id stays
quality, 8 bits    ``MSK_QUALIT``, 8 planes   by ``maskType``, see `QUALITY_TYPES`
classification     ``MSK_CLASSI``, 3 planes   ``MSK_CLOUDS``: ``OPAQUE``, ``CIRRUS``; snow or ice was not known
=================  =========================  =============================================================
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import numpy as np

from abut.errors import InvalidSafeError
from abut.layout import CLASSIFICATION_BITS, QUALITY_BITS
from abut.metadata import DETECTORS
from abut.tiling import TILE_SIZE
from ingest.gml import burn, read_mask
from ingest.tiles import tile_strips
from ingest.xmlfile import read_xml

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from abut.layout import Band
    from ingest.gml import MaskPolygon
    from ingest.granule import Granule

QUALITY_TYPES: Final[Mapping[str, int | None]] = {
    "ANC_LOST": 0,
    "ANC_DEG": 1,
    "MSI_LOST": 2,
    "MSI_DEG": 3,
    "QT_DEFECTIVE_PIXELS": 4,
    "QT_NODATA_PIXELS": 5,
    "QT_PARTIALLY_CORRECTED_PIXELS": 6,
    "QT_SATURATED_PIXELS_L1A": 7,
    "QT_SATURATED_PIXELS_L1B": None,
}
"""Bit of each ``maskType`` of the GML masks ``MSK_TECQUA``, ``MSK_DEFECT``, ``MSK_NODATA`` and ``MSK_SATURA``: the
plane of the same meaning in ``MSK_QUALIT``. Saturation at Level-1B has no plane there and no bit; the GML is kept."""

CLOUD_TYPES: Final = {"OPAQUE": 0, "CIRRUS": 1}
"""Bit of each ``maskType`` of ``MSK_CLOUDS``."""

_QUALITY_KINDS: Final = ("MSK_TECQUA", "MSK_DEFECT", "MSK_NODATA", "MSK_SATURA")
_CLASSIFICATION_RESOLUTION: Final = 60
_STRIP_METRES: Final = 9_600
_DETECTOR = re.compile(r"detector_footprint-(B\d\d|B8A)-(\d\d?)-\d+", re.ASCII)


def band_strips(granule: Granule, band: Band) -> Iterator[NDArray[np.uint16]]:
    """Return the DN of a band in strips from north to south; each JP2 tile is decoded once.

    Parameters
    ----------
    granule : Granule
        The granule.
    band : Band
        The band.

    Yields
    ------
    array of uint16, shape (rows, width)
        Consecutive strips over the full width, one row of the JP2's tiles each.

    Raises
    ------
    InvalidSafeError
        If the image has another size, data type or georeference than it must have, or can't be decoded.
    """
    path = granule.metadata.bands[band.index].image
    return tile_strips(granule, path, band.resolution, count=1, dtype="uint16", convert=_pixels)


def detector_strips(granule: Granule, band: Band) -> Iterator[NDArray[np.uint8]] | None:
    """Return which detector saw each pixel of a band, in strips from north to south.

    Returns
    -------
    iterator of array of uint8, shape (rows, width), or None
        Consecutive strips over the full width: detector id 1 ... 12, 0 where none did. None if the product has no
        such mask.

    Raises
    ------
    InvalidSafeError
        If the mask is broken, of another size or place, or has impossible values; also while iterating.
    """
    path = granule.masks.get(("MSK_DETFOO", band.name))
    if path is None:
        return None
    if _is_jp2(path):
        return tile_strips(granule, path, band.resolution, count=1, dtype="uint8", convert=_detectors)
    footprints = [(polygon, _detector(granule, path, polygon, band)) for polygon in _polygons(granule, path)]
    footprints.sort(key=lambda footprint: -footprint[1])
    pixels = TILE_SIZE // band.resolution
    return iter([burn(footprints, (pixels, pixels), _corner(granule), band.resolution)])


def quality_strips(granule: Granule, band: Band) -> Iterator[NDArray[np.uint8]] | None:
    """Return the quality mask of a band in strips from north to south; each JP2 tile is decoded once.

    Returns
    -------
    iterator of array of uint8, shape (rows, width), or None
        Consecutive strips over the full width; bit i is plane i of `abut.layout.QUALITY_BITS`. None if the product
        has no such mask.

    Raises
    ------
    InvalidSafeError
        If a mask is broken, of another size or place, or has impossible values; also while iterating.
    """
    path = granule.masks.get(("MSK_QUALIT", band.name))
    if path is not None:
        return tile_strips(granule, path, band.resolution, count=len(QUALITY_BITS), dtype="uint8", convert=_packed)
    paths = [granule.masks[kind, band.name] for kind in _QUALITY_KINDS if (kind, band.name) in granule.masks]
    if not paths:
        return None
    polygons = [pair for path in paths for pair in _bits(granule, path, QUALITY_TYPES)]
    return _burnt_strips(polygons, _corner(granule), band.resolution)


def classification(granule: Granule) -> NDArray[np.uint8] | None:
    """Return the classification of a granule at 60 m.

    Returns
    -------
    array of uint8, shape (1830, 1830), or None
        Bit i is plane i of `abut.layout.CLASSIFICATION_BITS`; None if the product has no such mask.

    Raises
    ------
    InvalidSafeError
        If the mask is broken, of another size or place, or has impossible values.
    """
    path, clouds = granule.masks.get(("MSK_CLASSI", None)), granule.masks.get(("MSK_CLOUDS", None))
    if path is not None:
        count = len(CLASSIFICATION_BITS)
        strips = tile_strips(granule, path, _CLASSIFICATION_RESOLUTION, count=count, dtype="uint8", convert=_packed)
    elif clouds is not None:
        polygons = _bits(granule, clouds, CLOUD_TYPES)
        strips = _burnt_strips(polygons, _corner(granule), _CLASSIFICATION_RESOLUTION)
    else:
        return None
    return np.concatenate(list(strips))


def _is_jp2(path: str) -> bool:
    return path.lower().endswith(".jp2")


def _corner(granule: Granule) -> tuple[int, int]:
    return granule.metadata.tile.ulx, granule.metadata.tile.uly


def _polygons(granule: Granule, path: str) -> tuple[MaskPolygon, ...]:
    return read_mask(read_xml(granule.container, path), granule.metadata.tile.zone.epsg)


def _detector(granule: Granule, path: str, polygon: MaskPolygon, band: Band) -> int:
    match = _DETECTOR.fullmatch(polygon.feature)
    if match is None or match[1] != band.name or not 1 <= int(match[2]) <= DETECTORS:
        raise InvalidSafeError(f"{granule.label(path)}: {polygon.feature[:80]!r} is no detector of band {band.name}")
    return int(match[2])


def _bits(granule: Granule, path: str, types: Mapping[str, int | None]) -> list[tuple[MaskPolygon, int]]:
    pairs = []
    for polygon in _polygons(granule, path):
        if polygon.kind not in types:
            raise InvalidSafeError(f"{granule.label(path)}: maskType {polygon.kind[:80]!r} is unknown")
        bit = types[polygon.kind]
        if bit is not None:
            pairs.append((polygon, bit))
    return pairs


def _pixels(planes: NDArray[np.uint16], _where: str) -> NDArray[np.uint16]:
    pixels: NDArray[np.uint16] = planes[0]
    return pixels


def _packed(planes: NDArray[np.uint8], where: str) -> NDArray[np.uint8]:
    if planes.max() > 1:
        raise InvalidSafeError(f"{where}: value {planes.max()} in a plane of bits")
    packed: NDArray[np.uint8] = np.packbits(planes, axis=0, bitorder="little")[0]
    return packed


def _detectors(planes: NDArray[np.uint8], where: str) -> NDArray[np.uint8]:
    if planes.max() > DETECTORS:
        raise InvalidSafeError(f"{where}: detector {planes.max()} is not 0 ... {DETECTORS}")
    ids: NDArray[np.uint8] = planes[0]
    return ids


def _burnt_strips(
    polygons: list[tuple[MaskPolygon, int]], corner: tuple[int, int], resolution: int
) -> Iterator[NDArray[np.uint8]]:
    width, step = TILE_SIZE // resolution, _STRIP_METRES // resolution
    for start in range(0, width, step):
        shape = (min(step, width - start), width)
        strip = np.zeros(shape, np.uint8)
        for bit in sorted({bit for _, bit in polygons}):
            of_bit = [(polygon, 1 << bit) for polygon, other in polygons if other == bit]
            strip |= burn(of_bit, shape, (corner[0], corner[1] - start * resolution), resolution)
        yield strip
