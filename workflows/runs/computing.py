"""The built-in workflows on a moment: pure functions over a scene, and what their arrays mean as CF attributes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from abut import __version__
from workflows import adjacency as correction
from workflows import classify as landcover
from workflows import clouds as sky
from workflows import indices, shadows
from workflows import segments as superpixels
from workflows.atmosphere import atmosphere
from workflows.errors import WorkflowError
from workflows.runs.results import ground, make_result
from workflows.runs.scenes import scene_of
from workflows.scene import BLOCK, RESOLUTION, Box

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import xarray as xr
    from numpy.typing import NDArray

    from workflows.adjacency import Atmosphere, Corrected
    from workflows.clouds import Clouds
    from workflows.runs.parameters import Parameters
    from workflows.runs.results import Layer, Result
    from workflows.runs.workflow import Way
    from workflows.scene import Scene

CLASSES: Final = ("nodata", "clear", "cloud", "shadow")
"""What the numbers of the classes of `clouds` mean."""
COLOURS: Final = "#000000 #7fbf7b #ffffff #5e4fa2"
"""Their colours."""
_COLOURS_OF: Final = {
    "nodata": "#000000",
    "water": "#377eb8",
    "vegetation": "#4daf4a",
    "bare": "#c8a165",
    "cloud": "#ffffff",
    "shadow": "#5e4fa2",
}
"""Colours of land cover; grey for what is not among them."""


def whole(params: Parameters, name: str) -> int:
    """Return a parameter that is a whole number."""
    value = params[name]
    assert isinstance(value, int)  # noqa: S101 - `Parameter` has read it
    return value


def texts(params: Parameters, name: str) -> tuple[str, ...]:
    """Return a parameter that is several texts."""
    value = params[name]
    assert isinstance(value, tuple)  # noqa: S101 - as above
    return value


def about(moment: xr.DataTree, name: str, params: Parameters, title: str) -> dict[str, Any]:
    """Return the attributes that say what a result was made of, and how."""
    return {
        "title": title,
        "workflow": name,
        "parameters": json.dumps(dict(params)),
        "software": f"abut {__version__}",
        "products": " ".join(moment.attrs.get("products", ())),
    }


def clouds(moment: xr.DataTree, params: Parameters, way: Way) -> Result:
    """Return ``classes``, ``probability`` and ``cloud_base_height`` at 60 m."""
    found = sky.clouds_and_shadows(
        scene_of(moment),
        threshold=whole(params, "threshold"),
        reach=whole(params, "reach"),
        partial=way.partial,
        threads=way.threads,
        done=lambda count, total: way.done("cloud detector", count, total),
    )
    layers: dict[str, Layer] = {
        "classes": (
            found.classes,
            {
                "long_name": "Clouds and their shadows",
                "flag_values": np.arange(len(CLASSES), dtype=np.uint8),
                "flag_meanings": " ".join(CLASSES),
                "flag_colors": COLOURS,
                "nodata": sky.NODATA,  # no _FillValue: classes stay whole numbers when they are opened
            },
        ),
        "probability": (
            np.where(found.classes == sky.NODATA, np.iinfo(np.uint16).max, found.probability).astype(np.uint16),
            {
                "long_name": "Probability of cloud (s2cloudless)",
                "units": "1",
                "scale_factor": 1e-4,
                "_FillValue": np.uint16(np.iinfo(np.uint16).max),
            },
        ),
        "cloud_base_height": (
            _by_pixel(found),
            {
                "long_name": "Height above ground of the cloud base, by squares of 960 m",
                "units": "m",
                "_FillValue": np.int16(shadows.NO_HEIGHT),
            },
        ),
    }
    return make_result(ground(moment), {shadows.PIXEL: layers}, about(moment, "clouds", params, "Clouds and shadows"))


def _by_pixel(found: Clouds) -> NDArray[np.int16]:
    """Return the height of each pixel's square."""
    side = shadows.SQUARE * shadows.PIXEL
    left, _, _, top = found.box.blocks(side)
    rows, columns = found.box.shape(shadows.PIXEL)
    row = top - 1 - (found.box.top - shadows.PIXEL * (np.arange(rows) + 1)) // side
    column = (found.box.left + shadows.PIXEL * np.arange(columns)) // side - left
    heights: NDArray[np.int16] = found.height[row[:, None], column[None, :]]
    return heights


def adjacency(moment: xr.DataTree, params: Parameters, way: Way) -> Result:
    """Return ``b02`` ... at their own pixel size, and ``b02_known`` and ``b02_uncertainty`` ... at 60 m.

    Each block is corrected for the geometry of its own (the mean angles of the tile that owns it), its surroundings
    included: so its values are the same in any window, and tiles join.
    """
    scene = scene_of(moment)
    pieces = list(_pieces(scene))
    layers: dict[int, dict[str, Layer]] = {}
    for band in texts(params, "bands"):
        found = _corrected(scene, band, pieces, _Air(band, _satellite(moment), params), way)
        name = band.lower()
        layers.setdefault(RESOLUTION[band], {})[name] = (
            found.reflectance,
            {
                "long_name": f"Surface reflectance, {band}, corrected for adjacency",
                "standard_name": "surface_bidirectional_reflectance",
                "units": "1",
                "scale_factor": 1e-4,
                "_FillValue": np.int16(indices.NODATA),
            },
        )
        share = {"long_name": f"Share of the surroundings that had data, {band}", "units": "1"}
        doubt = {"long_name": f"Change if unknown surroundings differed by 0.2, {band}", "units": "1"}
        layers.setdefault(60, {})[f"{name}_known"] = found.known, share
        layers[60][f"{name}_uncertainty"] = found.uncertainty, doubt
    return make_result(ground(moment), layers, about(moment, "adjacency", params, "Adjacency-corrected reflectance"))


@dataclass(frozen=True, slots=True)
class _Air:
    """The atmosphere of a band, but for the geometry."""

    band: str
    satellite: str
    params: Parameters

    def at(self, angles: _Angles) -> Atmosphere:
        sun_zenith, sun_azimuth, view_zenith, view_azimuth = angles
        return atmosphere(
            self.band,
            satellite=self.satellite,
            sun_zenith=sun_zenith,
            view_zenith=view_zenith,
            relative_azimuth=sun_azimuth - view_azimuth,
            optical_thickness=float(str(self.params["optical_thickness"])),
            aerosol=str(self.params["aerosol"]),
        )


type _Angles = tuple[float, float, float, float]
type _Piece = tuple[_Angles, tuple[Box, ...]]


def _satellite(moment: xr.DataTree) -> str:
    """Return ``A`` of the products ``S2A_...``."""
    products = [str(name) for name in moment.attrs.get("products", ())]
    if not products or not products[0].startswith("S2"):
        raise WorkflowError(
            f"the satellite is not known: the moment is of the products {', '.join(products) or '(none)'}"
        )
    return products[0][2]


def _pieces(scene: Scene) -> Iterator[_Piece]:
    """Yield geometries and the parts of the core, within blocks, that have them."""
    angles = scene.angles()
    p0, _, _, q1 = scene.box.blocks()
    left, bottom, right, top = scene.core.blocks()
    parts: dict[_Angles, list[Box]] = {}
    for q in range(top - 1, bottom - 1, -1):
        for p in range(left, right):
            row, column = q1 - 1 - q, p - p0
            table = (angles.sun_zenith, angles.sun_azimuth, angles.view_zenith, angles.view_azimuth)
            key: Any = tuple(float(values[row, column]) for values in table)
            block = Box(p * BLOCK, q * BLOCK, (p + 1) * BLOCK, (q + 1) * BLOCK)
            parts.setdefault(key, []).append(block.intersection(scene.core))
    for key, boxes in parts.items():
        yield key, tuple(boxes)


def _around(boxes: tuple[Box, ...]) -> Box:
    """Return the smallest box around others."""
    return Box(
        min(box.left for box in boxes),
        min(box.bottom for box in boxes),
        max(box.right for box in boxes),
        max(box.top for box in boxes),
    )


def _corrected(scene: Scene, band: str, pieces: list[_Piece], air: _Air, way: Way) -> Corrected:
    core, size = scene.core, RESOLUTION[band]
    reflectance = np.empty(core.shape(size), np.int16)
    known, uncertainty = (np.empty(core.shape(60), np.float32) for _ in range(2))
    for number, (key, boxes) in enumerate(pieces):
        way.done(f"adjacency {band}", number, len(pieces))
        around = _around(boxes)
        box = around.grown(correction.RADIUS).intersection(scene.box)
        found = correction.adjacency(scene.cut(box, around), band, air.at(key), partial=way.partial)
        for part in boxes:
            fine, coarse = around.slices(part, size), around.slices(part, 60)
            reflectance[core.slices(part, size)] = found.reflectance[fine]
            known[core.slices(part, 60)] = found.known[coarse]
            uncertainty[core.slices(part, 60)] = found.uncertainty[coarse]
    way.done(f"adjacency {band}", len(pieces), len(pieces))
    return correction.Corrected(core, reflectance, known, uncertainty)


def segments(moment: xr.DataTree, params: Parameters, way: Way) -> Result:
    """Return ``segment`` at 10 m."""
    way.done("segments", 0, 1)
    found = superpixels.segment(scene_of(moment), partial=way.partial)
    attributes = {
        "long_name": "Segment: row * 65536 + column of its cell of 160 m, counted from equator and easting 0",
        "nodata": superpixels.NO_SEGMENT,
    }
    way.done("segments", 1, 1)
    layers: Mapping[int, Mapping[str, Layer]] = {superpixels.PIXEL: {"segment": (found.ids(), attributes)}}
    return make_result(ground(moment), layers, about(moment, "segments", params, "Superpixels"))


def classify(moment: xr.DataTree, params: Parameters, way: Way) -> Result:
    """Return ``classes`` and ``margin`` at 10 m."""
    found = landcover.classify(
        scene_of(moment),
        model=str(params["model"]) or None,
        partial=way.partial,
        threads=way.threads,
        done=lambda count, total: way.done("classification", count, total),
    )
    names = ("nodata", *found.names)
    layers: dict[str, Layer] = {
        "classes": (
            found.classes,
            {
                "long_name": "Land cover by segments",
                "flag_values": np.arange(len(names), dtype=np.uint8),
                "flag_meanings": " ".join(name.replace(" ", "_") for name in names),
                "flag_colors": " ".join(_COLOURS_OF.get(name, "#999999") for name in names),
                "nodata": landcover.NODATA,
            },
        ),
        "margin": (
            np.where(found.classes == landcover.NODATA, np.iinfo(np.uint16).max, found.margins()).astype(np.uint16),
            {
                "long_name": "Probability of the class less that of the next one",
                "units": "1",
                "scale_factor": 1 / landcover.SCALE,
                "_FillValue": np.uint16(np.iinfo(np.uint16).max),
            },
        ),
    }
    return make_result(ground(moment), {superpixels.PIXEL: layers}, about(moment, "classify", params, "Land cover"))


def index(moment: xr.DataTree, params: Parameters, way: Way) -> Result:
    """Return each spectral index by its name, at the pixel size of its coarsest band."""
    scene, names = scene_of(moment), texts(params, "index")
    layers: dict[int, dict[str, Layer]] = {}
    for number, name in enumerate(names):
        way.done(name, number, len(names))
        one = indices.INDICES[name]
        values = indices.spectral_index(scene, name)
        attributes = {
            "long_name": one.title,
            "units": "1",
            "scale_factor": 1 / indices.SCALE,
            "_FillValue": np.int16(indices.NODATA),
        }
        layers.setdefault(one.resolution, {})[name] = values, attributes
    way.done(names[-1], len(names), len(names))
    return make_result(ground(moment), layers, about(moment, "index", params, "Spectral indices"))
