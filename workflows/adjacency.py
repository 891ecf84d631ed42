"""Adjacency correction: the reflectance of a pixel's own ground, without what its surroundings scatter into its view.

With the terms of 6S (`Atmosphere`), a pixel is seen as

    rho_toa / Tg = rho_atm + Td (t_dir rho_t + t_dif <rho>) / (1 - S <rho>)

where <rho> is the mean of the reflectances around it, weighted by the environment function. They are taken from a first
estimate that supposes the surroundings to be like the pixel, and rho_t is solved for once. Further rounds would look
another 9.6 km away each, for less than a tenth of the first one's change.

Values are whole ten-thousandths before they are summed and sums are exact (`workflows.environment`), all else is
arithmetic of single pixels: the result is a function of the ground, the same in any window that holds it with `RADIUS`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from workflows.environment import PIXEL, REACH, WEIGHT, kernel, surroundings
from workflows.errors import WorkflowError
from workflows.indices import NODATA, SCALE
from workflows.reflectance import cell_sums, strips
from workflows.scene import RESOLUTION

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from workflows.scene import Box, Scene

RADIUS: Final = (REACH + 1) * PIXEL
"""Metres of ground around a pixel that its value depends on: 9,600."""
_LIMIT: Final = 32_767


@dataclass(frozen=True, slots=True, kw_only=True)
class Atmosphere:
    """The terms of 6S for a band, a geometry and an aerosol."""

    path: float
    """Reflectance of the atmosphere alone (rho_atm)."""
    gases: float
    """Transmittance of the gases, down and up (Tg)."""
    down: float
    """Transmittance of scatterers downward, direct and diffuse (Td)."""
    direct: float
    """Direct upward transmittance (t_dir)."""
    diffuse: float
    """Diffuse upward transmittance (t_dif)."""
    albedo: float
    """Spherical albedo (S)."""
    molecules: float
    """Diffuse upward transmittance of molecules alone (tR), which weights the environment function."""
    aerosols: float
    """Diffuse upward transmittance of aerosols alone (tA)."""

    def __post_init__(self) -> None:
        for name in ("gases", "down", "direct"):
            value = getattr(self, name)
            if not 0 < value <= 1:
                raise WorkflowError(f"the transmittance {name!r} is {value}, not between 0 and 1")
        for name in ("path", "diffuse", "albedo", "molecules", "aerosols"):
            value = getattr(self, name)
            if not 0 <= value < 1:
                raise WorkflowError(f"{name!r} is {value}, not between 0 and 1")


@dataclass(frozen=True, slots=True)
class Corrected:
    """Surface reflectance of a band."""

    box: Box
    """Its ground."""
    reflectance: NDArray[np.int16]
    """Surface reflectance times 10,000, (y, x) at the band's pixel size; -32768 where there are no data."""
    known: NDArray[np.float32]
    """Share of the surroundings, by weight, that had data, (y, x) at 60 m; below 1 at swath edges and, in partial
    results, at the edge of what was given."""
    uncertainty: NDArray[np.float32]
    """What a pixel's reflectance would change by if the unknown surroundings differed from the known ones by
    `contrast`, (y, x) at 60 m."""


def adjacency(
    scene: Scene, band: str, atmosphere: Atmosphere, *, partial: bool = False, contrast: float = 0.2
) -> Corrected:
    """Return the surface reflectance of a band, corrected for what lies around each pixel.

    Parameters
    ----------
    scene : Scene
        What is given: the core and 9,600 m around it.
    band : str
        Band, such as ``B8A``.
    atmosphere : Atmosphere
        Terms of the band, see `workflows.atmosphere`.
    partial : bool
        Correct the core with the surroundings that are there, if there are not 9,600 m: `Corrected.known` says how
        much that is.
    contrast : float
        Reflectance by which unknown surroundings might differ from known ones, for `Corrected.uncertainty`.

    Returns
    -------
    Corrected
        Of the core. Memory beside the scene: 2 bytes a pixel of the core, as much for a copy if the scene is narrower
        than 9,600 m around it, and 160 bytes a pixel of 60 m of the core and its neighbourhood.

    Raises
    ------
    MissingBandError
        If the band was not given.
    NeighbourhoodError
        If the neighbourhood is narrower than 9,600 m and no partial result is asked for.
    """
    scene.require([band])
    if not partial:
        scene.require_radius(RADIUS, "adjacency correction")
    around, factor = scene.core.grown(RADIUS), PIXEL // RESOLUTION[band]
    pixels = _placed(scene, band, around)
    above = _above(scene.offsets.get(band, 0), scene.quantification, atmosphere)
    mean, valid = _means(pixels, factor, _first(above, atmosphere))
    weights = kernel(atmosphere.molecules, atmosphere.aerosols)
    total, weight = surroundings(mean, weights), surroundings(valid, weights)
    with np.errstate(invalid="ignore"):
        coarse = np.where(weight > 0, total / weight / SCALE, 0.0)
    inner = pixels[around.slices(scene.core, RESOLUTION[band])]
    reflectance = np.empty(inner.shape, np.int16)
    for cells, part in strips(inner, factor):
        environment = _between(coarse[cells.start : cells.stop + 2], factor)
        rows = slice(cells.start * factor, cells.stop * factor)
        corrected = _corrected(above.take(part), environment, atmosphere)
        corrected[part == 0] = NODATA
        reflectance[rows] = corrected
    known = (weight[1:-1, 1:-1] / WEIGHT).astype(np.float32)
    doubt = (atmosphere.diffuse / atmosphere.direct * contrast * (1 - known)).astype(np.float32)
    return Corrected(scene.core, reflectance, known, doubt)


def _above(offset: int, quantification: int, atmosphere: Atmosphere) -> NDArray[np.float64]:
    """Return what the ground adds to the atmosphere's own reflectance, of each digital number.

    There are 65,536 of them and a thousand times as many pixels: values of a pixel alone are looked up.
    """
    numbers = np.arange(1 << 16, dtype=np.float64)
    above: NDArray[np.float64] = (numbers + offset) / quantification / atmosphere.gases - atmosphere.path
    return above


def _first(above: NDArray[np.float64], atmosphere: Atmosphere) -> NDArray[np.int32]:
    """Return the first estimate of each digital number in ten-thousandths: its surroundings are like the pixel."""
    ground = above / (atmosphere.down * (atmosphere.direct + atmosphere.diffuse))
    whole = np.clip(np.rint(ground / (1 + atmosphere.albedo * ground) * SCALE), -_LIMIT, _LIMIT).astype(np.int32)
    whole[0] = 0  # no data
    return whole


def _corrected(
    above: NDArray[np.float64], environment: NDArray[np.float64], atmosphere: Atmosphere
) -> NDArray[np.int16]:
    """Return reflectances of pixels of known surroundings in ten-thousandths; both arrays are used up.

    (above (1 - S <rho>) / Td - t_dif <rho>) / t_dir, step by step in place.
    """
    brighter = environment * atmosphere.albedo
    np.subtract(1, brighter, out=brighter)
    above *= brighter
    above /= atmosphere.down
    environment *= atmosphere.diffuse
    above -= environment
    above /= atmosphere.direct
    above *= SCALE
    np.rint(above, out=above)
    return np.clip(above, -_LIMIT, _LIMIT, out=above).astype(np.int16)


def _placed(scene: Scene, band: str, around: Box) -> NDArray[np.uint16]:
    """Return a band of some ground, 0 where nothing was given."""
    size, array = RESOLUTION[band], scene.bands[band]
    if scene.box.holds(around):
        return array[scene.box.slices(around, size)]
    common = scene.box.intersection(around)
    placed = np.zeros(around.shape(size), np.uint16)
    placed[around.slices(common, size)] = array[scene.box.slices(common, size)]
    return placed


def _means(
    pixels: NDArray[np.uint16], factor: int, first: NDArray[np.int32]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return whole means of the first estimates of each cell's pixels with data, and whether there are any (1 or 0)."""
    mean, valid = (np.empty((pixels.shape[0] // factor, pixels.shape[1] // factor), np.int64) for _ in range(2))
    for cells, part in strips(pixels, factor):
        sums = cell_sums(first.take(part), factor, np.int32)  # of whole numbers: exact, 36 of them fit
        count = cell_sums(part > 0, factor, np.uint16)
        mean[cells] = np.rint(sums / np.maximum(count, 1))
        valid[cells] = count > 0
    return mean, valid


def _between(coarse: NDArray[np.float64], factor: int) -> NDArray[np.float64]:
    """Return values at pixels `factor` times smaller, bilinear between centres; the outermost pixels are cut off."""
    if factor == 1:
        return coarse[1:-1, 1:-1]
    down = np.empty((len(coarse) - 2, factor, coarse.shape[1]))
    for part, (own, other, near) in enumerate(_shares(factor)):
        down[:, part] = coarse[1:-1] * own + coarse[near : len(coarse) - 2 + near] * other
    rows = down.reshape(-1, coarse.shape[1])
    fine = np.empty((len(rows), coarse.shape[1] - 2, factor))
    for part, (own, other, near) in enumerate(_shares(factor)):
        fine[:, :, part] = rows[:, 1:-1] * own + rows[:, near : rows.shape[1] - 2 + near] * other
    return fine.reshape(len(rows), -1)


def _shares(factor: int) -> Iterator[tuple[float, float, int]]:
    """Yield, by pixel along a cell, the weights of the cell and of the one beside, which is before (0) or after (2)."""
    for part in range(factor):
        offset = (2 * part + 1 - factor) / (2 * factor)  # of the fine pixel's centre from the coarse one's
        yield 1 - abs(offset), abs(offset), 0 if offset < 0 else 2
