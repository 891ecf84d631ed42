"""A second, plain reader of SAFE for `ingest.verify`: images read whole by rasterio, XML by ElementTree.

It shares nothing with the reader that ingest uses but the list of paths, so that one can check the other. It is slow:
GDAL decodes an image of eight planes eight times to read its planes one by one.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import rasterio
from affine import Affine
from defusedxml import ElementTree
from rasterio.errors import RasterioError
from rasterio.features import geometry_mask
from rasterio.windows import Window

from abut.errors import InvalidSafeError
from abut.layout import CLASSIFICATION_BITS, QUALITY_BITS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from xml.etree.ElementTree import Element

    from numpy.typing import NDArray

    from abut.lattice import Bounds
    from abut.layout import Band
    from ingest.granule import Granule

_OPTIONS: Final = {"GDAL_CACHEMAX": 256 << 20, "GDAL_NUM_THREADS": 1, "GDAL_PAM_ENABLED": False}
"""A cache that holds all planes of a row of tiles, in bytes; with more threads GDAL reads lost data as zeros."""
_OLD_QUALITY: Final = ("MSK_TECQUA", "MSK_DEFECT", "MSK_NODATA", "MSK_SATURA")
_DETECTOR: Final = re.compile(r"-(\d+)-\d+$")
"""End of the id of a detector's footprint: detector, then the number of the polygon."""


def band(granule: Granule, wanted: Band) -> NDArray[np.uint16]:
    """Return a band, shape (109800 / resolution,) * 2, as rasterio reads the image whole."""
    pixels: NDArray[np.uint16] = _plane(granule, granule.metadata.bands[wanted.index].image, 1)
    return pixels


def mask(granule: Granule, name: str, resolution: int) -> NDArray[np.uint8] | None:
    """Return a mask by its name in the record, or None if the SAFE has none: see `abut.masks.read_mask`."""
    kind, _, of_band = name.partition("/")
    if kind == "detector_footprint":
        return _detectors(granule, of_band, resolution)
    if kind == "quality":
        if ("MSK_QUALIT", of_band) in granule.masks:
            return _bits(granule, granule.masks["MSK_QUALIT", of_band], len(QUALITY_BITS))
        paths = [granule.masks[old, of_band] for old in _OLD_QUALITY if (old, of_band) in granule.masks]
        return _burnt(granule, paths, QUALITY_BITS, resolution) if paths else None
    if ("MSK_CLASSI", None) in granule.masks:
        return _bits(granule, granule.masks["MSK_CLASSI", None], len(CLASSIFICATION_BITS))
    clouds = granule.masks.get(("MSK_CLOUDS", None))
    return _burnt(granule, [clouds], CLASSIFICATION_BITS, resolution) if clouds else None


def mask_names(granule: Granule) -> set[str]:
    """Return the names of the masks that the SAFE has."""
    names = set()
    for kind, of_band in granule.masks:
        if kind == "MSK_DETFOO":
            names.add(f"detector_footprint/{of_band}")
        elif kind in ("MSK_QUALIT", *_OLD_QUALITY):
            names.add(f"quality/{of_band}")
        elif kind in ("MSK_CLASSI", "MSK_CLOUDS"):
            names.add("classification")
    return names


def angles(granule: Granule) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return sun angles (2, 23, 23) and viewing angles (13, 12, 2, 23, 23), see `abut.metadata.ProductMetadata`.

    Raises
    ------
    InvalidSafeError
        If the granule's metadata is not there once.
    """
    root = _granule_xml(granule)
    sun = np.stack([_values(grid, name) for grid in root.iter("Sun_Angles_Grid") for name in ("Zenith", "Azimuth")])
    viewing = np.full((13, 12, 2, 23, 23), np.nan)
    for grid in root.iter("Viewing_Incidence_Angles_Grids"):
        of_detector = viewing[int(grid.attrib["bandId"]), int(grid.attrib["detectorId"]) - 1]
        of_detector[0], of_detector[1] = _values(grid, "Zenith"), _values(grid, "Azimuth")
    return sun, viewing


def _granule_xml(granule: Granule) -> Element:
    for file in granule.files:
        if file.path.startswith("GRANULE/") and file.path.endswith(".xml") and file.path.count("/") == 2:
            root: Element = ElementTree.fromstring(granule.read(file.path))
            return root
    raise InvalidSafeError(f"{granule.source}: no metadata file of the granule")


def _values(grid: Element, name: str) -> NDArray[np.float64]:
    rows = grid.findall(f"{name}/Values_List/VALUES")
    return np.array([[float(value) for value in (row.text or "").split()] for row in rows])


def _plane(granule: Granule, path: str, plane: int) -> NDArray[Any]:
    try:
        with rasterio.Env(**_OPTIONS), rasterio.open(granule.gdal_path(path)) as image:
            pixels: NDArray[Any] = image.read(plane)
    except RasterioError as error:
        raise InvalidSafeError(f"{granule.label(path)}: can't be decoded") from error
    return pixels


def _bits(granule: Granule, path: str, count: int) -> NDArray[np.uint8]:
    try:
        with rasterio.Env(**_OPTIONS), rasterio.open(granule.gdal_path(path)) as image:
            packed = np.zeros(image.shape, np.uint8)
            step = image.block_shapes[0][0]
            for row in range(0, image.height, step):
                planes = image.read(window=Window(0, row, image.width, min(step, image.height - row)))
                for plane in range(count):
                    packed[row : row + step] |= planes[plane].astype(np.uint8, copy=False) << plane
    except RasterioError as error:
        raise InvalidSafeError(f"{granule.label(path)}: can't be decoded") from error
    return packed


def _detectors(granule: Granule, of_band: str, resolution: int) -> NDArray[np.uint8] | None:
    path = granule.masks.get(("MSK_DETFOO", of_band))
    if path is None:
        return None
    if path.endswith(".jp2"):
        footprint: NDArray[np.uint8] = _plane(granule, path, 1)
        return footprint
    shapes: dict[int, list[Any]] = {}
    for feature in _features(granule, [path]):
        identity = next((value for key, value in feature.attrib.items() if _local(key) == "id"), "")
        found = _DETECTOR.search(identity)
        if found is None:
            raise InvalidSafeError(f"{granule.label(path)}: feature {identity[:80]!r} names no detector")
        shapes.setdefault(int(found[1]), []).extend(_polygons(feature))
    bounds = granule.metadata.tile.footprint
    image = np.zeros(bounds.shape(resolution), np.uint8)
    for detector in sorted(shapes, reverse=True):
        image[_inside(shapes[detector], bounds, resolution)] = detector
    return image


def _burnt(granule: Granule, paths: Iterable[str], planes: tuple[str, ...], resolution: int) -> NDArray[np.uint8]:
    """Return old masks as bits: the plane of a type is the one of the same name, its ending aside."""
    shapes: dict[int, list[Any]] = {}
    for feature in _features(granule, paths):
        kind = next(element.text or "" for element in feature.iter() if _local(element.tag) == "maskType").strip()
        plane = kind.replace("_PIXELS", "").removeprefix("QT_") if "SATURATED" in kind else kind.removesuffix("_PIXELS")
        if plane in planes:
            shapes.setdefault(planes.index(plane), []).extend(_polygons(feature))
    bounds = granule.metadata.tile.footprint
    image = np.zeros(bounds.shape(resolution), np.uint8)
    for bit, polygons in shapes.items():
        image[_inside(polygons, bounds, resolution)] |= np.uint8(1 << bit)
    return image


def _inside(polygons: list[Any], bounds: Bounds, resolution: int) -> NDArray[np.bool_]:
    shape = bounds.shape(resolution)
    if not polygons:
        return np.zeros(shape, np.bool_)
    grid = Affine(resolution, 0, bounds.left, 0, -resolution, bounds.top)
    inside: NDArray[np.bool_] = geometry_mask(polygons, out_shape=shape, transform=grid, invert=True)
    return inside


def _features(granule: Granule, paths: Iterable[str]) -> Iterator[Element]:
    for path in paths:
        for element in ElementTree.fromstring(granule.read(path)).iter():
            if _local(element.tag) == "MaskFeature":
                yield element


def _polygons(feature: Element) -> Iterator[dict[str, Any]]:
    for element in feature.iter():
        if _local(element.tag) == "Polygon":
            rings = [_ring(node) for node in element.iter() if _local(node.tag) == "posList"]
            if len(set(rings[0])) > 2:
                yield {"type": "Polygon", "coordinates": [ring for ring in rings if len(set(ring)) > 2]}


def _ring(positions: Element) -> tuple[tuple[float, float], ...]:
    step = int(positions.attrib.get("srsDimension", "2"))
    values = [float(value) for value in (positions.text or "").split()]
    return tuple(zip(values[::step], values[1::step], strict=True))


def _local(tag: str) -> str:
    return tag.rpartition("}")[2]
