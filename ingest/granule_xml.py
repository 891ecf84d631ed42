"""A granule's metadata file (``MTD_TL.xml``, or ``*_MTD_L1C_TL_*.xml`` of old) as plain values."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from abut.errors import InvalidSafeError, InvalidTileError
from abut.lattice import RESOLUTIONS
from abut.layout import BANDS
from abut.metadata import ANGLE_NODES, ANGLE_STEP, DETECTORS
from abut.tiling import TILE_SIZE, tile
from ingest.product_xml import band_index, by_band
from ingest.xmlfile import parse_integer, parse_number

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from abut.tiling import Tile
    from ingest.xmlfile import XmlNode

_TILE = re.compile(r"S2[A-Z]_\w+_T(\d\d[A-Z]{3})_N\d\d\.\d\d", re.ASCII)
_DATASTRIP = re.compile(r"S2[A-Z]_\w+_S(\d{8}T\d{6})_N\d\d\.\d\d", re.ASCII)


@dataclass(frozen=True, slots=True)
class ListedMask:
    """A mask in the granule's list."""

    kind: str
    """Type, such as ``MSK_DETFOO``."""
    band: str | None
    """Name of its band, such as ``B02``; None for a mask of the whole tile."""
    name: str
    """As it is written: a path in compact products, else a file name; not always with suffix."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GranuleXml:
    """What the granule's metadata file says; the fields are those of `abut.metadata.ProductMetadata`."""

    tile: Tile
    """Tile of the granule; the georeference of the file agrees with it."""
    granule_id: str
    """``TILE_ID``."""
    datastrip_id: str
    """``DATASTRIP_ID``."""
    datastrip_start: datetime
    """Sensing start in `datastrip_id`, UTC."""
    sensing_time: datetime
    """``SENSING_TIME``."""
    cloud_percentage: float | None
    """``CLOUDY_PIXEL_PERCENTAGE``."""
    nodata_percentage: float | None
    """``NODATA_PIXEL_PERCENTAGE``."""
    degraded_percentage: float | None
    """``DEGRADED_MSI_DATA_PERCENTAGE``."""
    mean_sun_zenith: float
    """In degrees."""
    mean_sun_azimuth: float
    """In degrees."""
    sun_angles: NDArray[np.float64]
    """Sun zenith and azimuth in degrees, shape (2, 23, 23)."""
    view_angles: NDArray[np.float64]
    """Viewing zenith and azimuth in degrees, shape (13, 12, 2, 23, 23)."""
    mean_view: tuple[tuple[float | None, float | None], ...]
    """Mean viewing zenith and azimuth in degrees of the thirteen bands."""
    masks: tuple[ListedMask, ...]
    """Its masks in the order of the file."""


def read_granule(root: XmlNode) -> GranuleXml:
    """Return what a granule's metadata file says.

    Parameters
    ----------
    root : XmlNode
        Its root.

    Raises
    ------
    InvalidSafeError
        If it is not that of a Level-1C granule, lies off the tiling grid, or a value is missing or makes no sense.
    """
    if root.tag != "Level-1C_Tile_ID":
        raise InvalidSafeError(f"{root.where}: root element {root.tag!r}: not a Level-1C granule")
    info, quality = root.child("General_Info"), root.child("Quality_Indicators_Info")
    angles = root.child("Geometric_Info/Tile_Angles")
    datastrip_id = info.text("DATASTRIP_ID")
    return GranuleXml(
        tile=_tile(info, root.child("Geometric_Info/Tile_Geocoding")),
        granule_id=info.text("TILE_ID"),
        datastrip_id=datastrip_id,
        datastrip_start=_datastrip_start(datastrip_id, root.where),
        sensing_time=info.time("SENSING_TIME"),
        cloud_percentage=quality.optional_number("Image_Content_QI/CLOUDY_PIXEL_PERCENTAGE"),
        nodata_percentage=quality.optional_number("Image_Content_QI/NODATA_PIXEL_PERCENTAGE"),
        degraded_percentage=quality.optional_number("Image_Content_QI/DEGRADED_MSI_DATA_PERCENTAGE"),
        mean_sun_zenith=angles.number("Mean_Sun_Angle/ZENITH_ANGLE"),
        mean_sun_azimuth=angles.number("Mean_Sun_Angle/AZIMUTH_ANGLE"),
        sun_angles=_grids(angles.child("Sun_Angles_Grid")),
        view_angles=read_view_angles(angles),
        mean_view=_mean_view(angles),
        masks=tuple(_mask(node) for node in quality.descendants("MASK_FILENAME")),
    )


def read_view_angles(angles: XmlNode) -> NDArray[np.float64]:
    """Return the viewing angle grids of ``Tile_Angles``.

    Returns
    -------
    array
        Zenith and azimuth in degrees, shape (13, 12, 2, 23, 23): band, detector - 1, angle, y (north to south), x.
        NaN where a detector does not see; all NaN for a detector without grid.

    Raises
    ------
    InvalidSafeError
        If a grid has another shape or step, comes twice, or is of an impossible band or detector.
    """
    views = np.full((len(BANDS), DETECTORS, 2, ANGLE_NODES, ANGLE_NODES), np.nan)
    seen: set[tuple[int, int]] = set()
    for node in angles.all("Viewing_Incidence_Angles_Grids"):
        text = node.attribute("detectorId")
        detector = parse_integer(text, node.where, "detectorId")
        if not 1 <= detector <= DETECTORS:
            raise InvalidSafeError(f"{node.where}: detectorId {text!r} is not 1 ... {DETECTORS}")
        index = band_index(node)
        if (index, detector) in seen:
            raise InvalidSafeError(f"{node.where}: two angle grids of {BANDS[index].name}, detector {detector}")
        seen.add((index, detector))
        views[index, detector - 1] = _grids(node)
    return views


def _tile(info: XmlNode, geocoding: XmlNode) -> Tile:
    granule_id = info.text("TILE_ID")
    match = _TILE.fullmatch(granule_id)
    if match is None:
        raise InvalidSafeError(f"{info.where}: TILE_ID {granule_id[:200]!r} names no tile")
    try:
        found = tile(match[1])
    except InvalidTileError as error:
        raise InvalidSafeError(f"{info.where}: TILE_ID: {error}") from error
    code = geocoding.text("HORIZONTAL_CS_CODE").upper()
    if code != f"EPSG:{found.zone.epsg}":
        raise InvalidSafeError(f"{info.where}: HORIZONTAL_CS_CODE {code[:80]!r}, but tile {found} is in {found.zone}")
    for resolution in RESOLUTIONS:
        pixels = TILE_SIZE // resolution
        _agree(geocoding, "Size", resolution, {"NROWS": pixels, "NCOLS": pixels}, found)
        corner = {"ULX": found.ulx, "ULY": found.uly, "XDIM": resolution, "YDIM": -resolution}
        _agree(geocoding, "Geoposition", resolution, corner, found)
    return found


def _agree(geocoding: XmlNode, tag: str, resolution: int, expected: dict[str, int], of: Tile) -> None:
    nodes = [node for node in geocoding.all(tag) if node.attribute("resolution") == str(resolution)]
    if len(nodes) != 1:
        raise InvalidSafeError(f"{geocoding.where}: {len(nodes)} elements {tag} of {resolution} m")
    for name, value in expected.items():
        if nodes[0].integer(name) != value:
            raise InvalidSafeError(
                f"{geocoding.where}: {name} {nodes[0].integer(name)} at {resolution} m, but tile {of} has {value}"
            )


def _datastrip_start(datastrip_id: str, where: str) -> datetime:
    match = _DATASTRIP.fullmatch(datastrip_id)
    try:
        return datetime.strptime(match[1] if match else "", "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        raise InvalidSafeError(f"{where}: DATASTRIP_ID {datastrip_id[:200]!r} names no sensing start") from None


def _grids(node: XmlNode) -> NDArray[np.float64]:
    return np.stack([_grid(node.child("Zenith")), _grid(node.child("Azimuth"))])


def _grid(node: XmlNode) -> NDArray[np.float64]:
    steps = node.number("COL_STEP"), node.number("ROW_STEP")
    rows = [row.text().split() for row in node.all("Values_List/VALUES")]
    if steps != (ANGLE_STEP, ANGLE_STEP) or [len(row) for row in rows] != [ANGLE_NODES] * ANGLE_NODES:
        raise InvalidSafeError(
            f"{node.where}: angle grid {node.tag} is not {ANGLE_NODES} x {ANGLE_NODES} at {ANGLE_STEP} m"
        )
    values = [[parse_number(text, node.where, node.tag, nan=True) for text in row] for row in rows]
    grid = np.array(values, dtype=np.float64)
    if np.any(np.abs(grid) > 360):
        raise InvalidSafeError(f"{node.where}: angle {np.nanmax(np.abs(grid))} degrees in a grid {node.tag}")
    return grid


def _mean_view(angles: XmlNode) -> tuple[tuple[float | None, float | None], ...]:
    nodes = by_band(list(angles.all("Mean_Viewing_Incidence_Angle_List/Mean_Viewing_Incidence_Angle")))

    def of(index: int, path: str) -> float | None:
        return nodes[index].optional_number(path) if index in nodes else None

    return tuple((of(band.index, "ZENITH_ANGLE"), of(band.index, "AZIMUTH_ANGLE")) for band in BANDS)


def _mask(node: XmlNode) -> ListedMask:
    has_band = "bandId" in node.element.attrib or "band_id" in node.element.attrib
    return ListedMask(node.attribute("type"), BANDS[band_index(node)].name if has_band else None, node.text())
