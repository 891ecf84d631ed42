"""Real pixels for training: scenes of a few kilometres with weak labels, from folders of images.

Three kinds of folders are understood:

- ``*.npy`` of shape (date, y, x, 13): top-of-atmosphere reflectance of all bands at 10 m, in the order of `ORDER`;
- ``T*_B02.jp2`` and the other twelve bands of Level-1C, at their own pixel sizes, without an offset;
- ``R60m/*_B02_60m.jp2`` and more of Level-2A with ``MTD_TL.xml``: surface reflectance at 60 m and the scene
  classification of ESA's processor. It is brought to the top of the atmosphere by 6S (`workflows.atmosphere`), B08,
  which is not delivered at 60 m, taken as 0.35 B07 + 0.57 B8A (on five dates of real Level-1C off by 0.020 at 10 m,
  root mean square, as is the best fit of two coefficients; by -0.0001 on the mean), and each pixel repeated.

Labels are weak: rules on single pixels, with wide gaps between the classes, and none in the gaps (`rules`); for
Level-2A the class that ESA's processor gave, where the rules do not contradict.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from workflows.atmosphere import atmosphere
from workflows.disks import disk_sum
from workflows.errors import WorkflowError
from workflows.probability import cloud_probability
from workflows.scene import RESOLUTION, Box, Scene
from workflows.segments import BANDS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from workflows.adjacency import Atmosphere

    type Labels = NDArray[np.uint8]
    type Values = NDArray[np.float64]

CLASSES: Final = ("water", "vegetation", "bare", "cloud", "shadow")
"""Classes 1 to 5; bare is ground without green plants: soil, rock, what is built, dead grass."""
WATER, VEGETATION, BARE, CLOUD, SHADOW = range(1, 6)
ORDER: Final = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12")
"""Bands of ``*.npy``."""
_SCL: Final = {3: SHADOW, 4: VEGETATION, 5: BARE, 6: WATER, 8: CLOUD, 9: CLOUD}
_SIDE: Final = 3_000
_STEP: Final = 9_600
_AROUND: Final = 9_600
_GAP: Final = 480
_OFFSET: Final = -1_000


@dataclass(frozen=True, slots=True)
class Specimen:
    """A scene whose core is labelled."""

    name: str
    """What it is called."""
    place: str
    """Where it is: the scene, and after a slash the part of it."""
    scene: Scene = field(repr=False)
    """Pixels, offsets applied."""
    labels: Labels = field(repr=False)
    """Class of the pixels of the core, (y, x) at 10 m; 0 where it is not known."""


def specimens(folder: Path) -> Iterator[Specimen]:
    """Yield the labelled scenes of a folder and the folders in it.

    Raises
    ------
    WorkflowError
        If there is none.
    """
    found = False
    for make, pattern in ((_patches, "**/*.npy"), (_level1, "**/T*_B02.jp2"), (_level2, "**/R60m/*_B02_60m.jp2")):
        for path in sorted(folder.glob(pattern)):
            for specimen in make(path):
                found = True
                yield specimen
    if not found:
        raise WorkflowError(f"{folder} has no *.npy, T*_B02.jp2 or R60m/*_B02_60m.jp2")


def rules(toa: dict[str, Values], cloud: Values | None = None) -> Labels:
    """Return weak labels from top-of-atmosphere reflectance.

    Parameters
    ----------
    toa : dict of ndarray of float64, shape (y, x)
        Reflectance of `workflows.segments.BANDS` at one pixel size.
    cloud : ndarray of float64, shape (y, x), optional
        Probability of cloud. Without it, the rules of clear ground alone.

    Returns
    -------
    ndarray of uint8, shape (y, x)
        Class; 0 in between. Shadow is in no rule.
    """
    green, red, nir, swir = (toa[band] for band in ("B03", "B04", "B08", "B11"))
    with np.errstate(divide="ignore", invalid="ignore"):
        ndvi, ndwi = (nir - red) / (nir + red), (green - nir) / (green + nir)
    choices = {
        WATER: (ndwi > 0.15) & (nir < 0.10) & (swir < 0.05),
        VEGETATION: (ndvi > 0.35) & (nir > 0.10),
        BARE: (ndvi < 0.22) & (ndvi > -0.1) & (swir > 0.15) & (swir > nir),
    }
    if cloud is not None:
        choices = {name: flags & (cloud < 0.3) for name, flags in choices.items()}
        choices[CLOUD] = (cloud > 0.8) & (toa["B02"] > 0.16)
    return np.select(list(choices.values()), list(choices), 0).astype(np.uint8)


def _scene(box: Box, arrays: dict[str, Values], core: Box | None = None) -> Scene:
    bands = {name: np.clip(np.rint(array * 10_000), 0, 65_535).astype(np.uint16) for name, array in arrays.items()}
    return Scene(box=box, core=core or box, bands=bands, offsets={})


def _shrunk(array: Values, factor: int) -> Values:
    rows, columns = array.shape
    found: Values = array.reshape(rows // factor, factor, columns // factor, factor).mean(axis=(1, 3))
    return found


def _grown(array: NDArray[Any], factor: int) -> NDArray[Any]:
    return array.repeat(factor, axis=0).repeat(factor, axis=1)


def _labelled(name: str, place: str, scene: Scene) -> Specimen:
    """Return a scene of all 13 bands with labels by the rules."""
    toa = {band: _grown(scene.bands[band] / 10_000, RESOLUTION[band] // 10) for band in BANDS}
    cloud = _grown(cloud_probability(scene) / 10_000, 6)
    return Specimen(name, place, scene, rules(toa, cloud))


def _patches(path: Path) -> Iterator[Specimen]:
    dates = np.load(path)
    rows, columns = (size - size % 6 for size in dates.shape[1:3])
    box = Box(600_000, 0, 600_000 + columns * 10, rows * 10)
    for number, date in enumerate(dates.astype(np.float64)):
        arrays = {
            band: _shrunk(date[:rows, :columns, place], RESOLUTION[band] // 10) for place, band in enumerate(ORDER)
        }
        yield _labelled(f"{path.stem}[{number}]", path.stem, _scene(box, arrays))


def _read(path: Path) -> tuple[NDArray[np.uint16], tuple[int, int]]:
    """Return pixels and the upper left corner."""
    import rasterio  # noqa: PLC0415 - only training reads images

    with rasterio.open(path) as source:
        return source.read(1), (round(source.transform.c), round(source.transform.f))


def _level1(path: Path) -> Iterator[Specimen]:
    """Yield the western and the eastern half of a scene, with a gap between them and all of it around them."""
    bands, box = {}, None
    for band in ORDER:
        array, (left, top) = _read(path.with_name(path.name.replace("_B02.", f"_{band}.")))
        rows, columns = (size * RESOLUTION[band] // 60 * 60 for size in array.shape)
        box = Box(left, top - rows, left + columns, top)
        bands[band] = array[: rows // RESOLUTION[band], : columns // RESOLUTION[band]]
    if box is None or box.right - box.left < 8 * _GAP:
        raise WorkflowError(f"{path} is too small a scene")
    name = path.stem.removesuffix("_B02")
    both = _labelled(name, name, Scene(box=box, core=box, bands=bands, offsets={}))
    middle = (box.left + box.right) // 120 * 60
    for half, left, right in (("west", box.left, middle - _GAP), ("east", middle + _GAP, box.right)):
        core = Box(left, box.bottom, right, box.top)
        labels = both.labels[box.slices(core, 10)]
        yield Specimen(f"{name}/{half}", f"{name}/{half}", replace(both.scene, core=core), labels)


def _level2(path: Path) -> Iterator[Specimen]:
    """Yield windows of a tile of Level-2A, with 9.6 km around them as far as the tile has it."""
    tile = path.parent.parent
    seen, toa, corner = _surface(path, _zenith(tile / "MTD_TL.xml"))
    classes, _ = _read(path.with_name(path.name.replace("_B02_", "_SCL_")))
    labels = _reconciled(classes, toa)
    rows, columns = seen.shape
    left, top = corner
    whole = Box(left, top - rows * 60, left + columns * 60, top)
    for down in range(_STEP // 2, rows * 60 - _SIDE, _STEP):
        for right in range(_STEP // 2, columns * 60 - _SIDE, _STEP):
            core = Box(left + right, top - down - _SIDE, left + right + _SIDE, top - down)
            inside = whole.slices(core, 60)
            if seen[inside].mean() < 0.9:
                continue
            box = core.grown(_AROUND).intersection(whole)
            part = whole.slices(box, 60)
            arrays = {band: _grown(toa[band][part], 60 // RESOLUTION[band]) for band in BANDS}
            half = "north" if down < rows * 30 else "south"
            name = f"{tile.name}/{half}[{down // _STEP},{right // _STEP}]"
            yield Specimen(name, f"{tile.name}/{half}", _scene(box, arrays, core), _grown(labels[inside], 6))


def _zenith(path: Path) -> float:
    found = re.search(r"<Mean_Sun_Angle>\s*<ZENITH_ANGLE[^>]*>([0-9.]+)", path.read_text())
    if not found:
        raise WorkflowError(f"{path} has no mean sun angle")
    return float(found[1])


def _surface(path: Path, zenith: float) -> tuple[NDArray[np.bool_], dict[str, Values], tuple[int, int]]:
    """Return where there are data, reflectance at the top of the atmosphere (0 without data), and the corner."""
    stack, corner = {}, (0, 0)
    for band in ("B02", "B03", "B04", "B05", "B07", "B8A", "B11", "B12"):
        stack[band], corner = _read(path.with_name(path.name.replace("_B02_", f"_{band}_")))
    seen: NDArray[np.bool_] = np.logical_and.reduce([array > 0 for array in stack.values()])
    found = {}
    for band, array in stack.items():
        terms = atmosphere(
            band, satellite="A", sun_zenith=zenith, view_zenith=5.0, relative_azimuth=90.0, optical_thickness=0.1,
            aerosol="maritime",
        )  # fmt: skip
        ground = (array.astype(np.float64) + _OFFSET) / 10_000
        found[band] = np.where(seen, np.maximum(lifted(ground, terms), 0.0001), 0)
    found["B08"] = np.where(seen, 0.35 * found.pop("B07") + 0.57 * found["B8A"], 0)
    return seen, found, corner


def lifted(ground: Values, terms: Atmosphere) -> Values:
    """Return reflectance at the top of the atmosphere over ground like its surroundings (6S).

    Parameters
    ----------
    ground : ndarray of float64
        Surface reflectance.
    terms : Atmosphere
        Terms of 6S.
    """
    up = terms.down * (terms.direct + terms.diffuse)
    return terms.gases * (terms.path + up * ground / (1 - terms.albedo * ground))


def _reconciled(classes: NDArray[np.uint16], toa: dict[str, Values]) -> Labels:
    """Return ESA's classes where the rules do not say otherwise, without the borders of each class."""
    table = np.zeros(256, np.uint8)
    table[list(_SCL)] = list(_SCL.values())
    theirs, ours = table[classes], rules(toa)
    agreed = np.where((ours == 0) | (ours == theirs) | (theirs == CLOUD), theirs, 0)
    faint = (theirs == CLOUD) & (toa["B02"] < 0.12)
    light = (theirs == SHADOW) & (toa["B08"] > 0.25)
    dark = (theirs == BARE) & (ours != BARE)
    agreed[faint | light | dark] = 0
    inner = np.zeros(agreed.shape, bool)
    for code in range(1, len(CLASSES) + 1):
        inner |= disk_sum((agreed == code).astype(np.int64), 1) == 5
    return np.where(inner, agreed, 0).astype(np.uint8)
