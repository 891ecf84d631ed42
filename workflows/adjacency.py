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
from workflows.indices import NODATA, SCALE, quantized
from workflows.scene import RESOLUTION

if TYPE_CHECKING:
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
        Of the core.

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
    around = scene.core.grown(RADIUS)
    size = RESOLUTION[band]
    pixels = _placed(scene, band, around)
    seen = pixels > 0
    apparent = ((pixels.astype(np.float64) + scene.offsets.get(band, 0)) / scene.quantification) / atmosphere.gases
    above = apparent - atmosphere.path
    first = above / (atmosphere.down * (atmosphere.direct + atmosphere.diffuse))
    first = np.clip(np.rint(first / (1 + atmosphere.albedo * first) * SCALE), -_LIMIT, _LIMIT)
    mean, valid = _means(np.where(seen, first, 0).astype(np.int64), seen, PIXEL // size)
    weights = kernel(atmosphere.molecules, atmosphere.aerosols)
    total, weight = surroundings(mean, weights), surroundings(valid, weights)
    with np.errstate(invalid="ignore"):
        coarse = total / weight / SCALE
    environment = _between(np.where(weight > 0, coarse, 0.0), PIXEL // size)
    inner = around.slices(scene.core, size)
    corrected = (
        above[inner] * (1 - atmosphere.albedo * environment) / atmosphere.down - atmosphere.diffuse * environment
    ) / atmosphere.direct
    known = (weight[1:-1, 1:-1] / WEIGHT).astype(np.float32)
    return Corrected(
        scene.core,
        np.where(seen[inner], quantized(corrected), NODATA).astype(np.int16),
        known,
        (atmosphere.diffuse / atmosphere.direct * contrast * (1 - known)).astype(np.float32),
    )


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
    values: NDArray[np.int64], seen: NDArray[np.bool_], factor: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return whole means of the pixels with data of each cell, and whether there are any (1 or 0)."""
    rows, columns = (length // factor for length in values.shape)
    cells = (rows, factor, columns, factor)
    sums, count = values.reshape(cells).sum(axis=(1, 3)), seen.reshape(cells).sum(axis=(1, 3), dtype=np.int64)
    some = np.maximum(count, 1)
    return np.rint(sums / some).astype(np.int64), (count > 0).astype(np.int64)


def _between(coarse: NDArray[np.float64], factor: int) -> NDArray[np.float64]:
    """Return values at pixels `factor` times smaller, bilinear between centres; the outermost pixels are cut off."""
    if factor == 1:
        return coarse[1:-1, 1:-1]
    return _between_rows(_between_rows(coarse, factor).T, factor).T


def _between_rows(coarse: NDArray[np.float64], factor: int) -> NDArray[np.float64]:
    before, here, after = coarse[:-2], coarse[1:-1], coarse[2:]
    fine = np.empty((len(here), factor, coarse.shape[1]))
    for part in range(factor):
        offset = (2 * part + 1 - factor) / (2 * factor)  # of the fine pixel's centre from the coarse one's
        other = before if offset < 0 else after
        fine[:, part] = here * (1 - abs(offset)) + other * abs(offset)
    return fine.reshape(-1, coarse.shape[1])
