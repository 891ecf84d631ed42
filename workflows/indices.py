"""Spectral indices as whole ten-thousandths: elementwise float64, rounded half to even, so any window gives the same.

A value is a function of its own pixel alone, so no neighbourhood is needed. Bands that differ in pixel size are brought
to the coarsest one (`workflows.reflectance`). Indices are of top-of-atmosphere reflectance: NDVI and its kind are lower
than at the surface, and EVI, whose constants were made for the surface, is indicative.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from workflows.errors import WorkflowError
from workflows.reflectance import block_sums, reflectance
from workflows.scene import RESOLUTION

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from workflows.scene import Scene

    type Values = NDArray[np.float64]

RADIUS: Final = 0
"""Metres of ground around a pixel that its value depends on."""
SCALE: Final = 10_000
"""Whole numbers per unit of the index."""
NODATA: Final = -32_768
"""Value where the index is not known."""
_LIMIT: Final = 32_767
_STRIP: Final = 960
"""Metres of ground that are computed at a time."""
_PIXELS: Final = 1 << 15
"""Pixels that are computed at a time: so few that a processor's cache holds what is made of them on the way."""


@dataclass(frozen=True, slots=True)
class Index:
    """A spectral index."""

    title: str
    """What it is called, and by whom."""
    bands: tuple[str, ...]
    """Bands of its formula, in the formula's order."""
    formula: Callable[..., Values]
    """The formula, of reflectances in the order of the bands."""

    @property
    def resolution(self) -> int:
        """Pixel size in metres: that of its coarsest band."""
        return max(RESOLUTION[band] for band in self.bands)


def _difference(first: Values, second: Values) -> Values:
    return (first - second) / (first + second)


def _evi(nir: Values, red: Values, blue: Values) -> Values:
    return 2.5 * (nir - red) / (nir + 6 * red - 7.5 * blue + 1)


INDICES: Final[Mapping[str, Index]] = {
    "ndvi": Index("Normalized difference vegetation index (Rouse 1974)", ("B08", "B04"), _difference),
    "ndwi": Index("Normalized difference water index (McFeeters 1996)", ("B03", "B08"), _difference),
    "mndwi": Index("Modified normalized difference water index (Xu 2006)", ("B03", "B11"), _difference),
    "ndmi": Index("Normalized difference moisture index (Gao 1996)", ("B8A", "B11"), _difference),
    "nbr": Index("Normalized burn ratio (Key and Benson 2006)", ("B8A", "B12"), _difference),
    "ndsi": Index("Normalized difference snow index (Hall 1995)", ("B03", "B11"), _difference),
    "evi": Index("Enhanced vegetation index (Huete 2002)", ("B08", "B04", "B02"), _evi),
}
"""The indices by name."""


def spectral_index(scene: Scene, name: str) -> NDArray[np.int16]:
    """Return a spectral index of the core of a scene.

    Parameters
    ----------
    scene : Scene
        What is given; only the core is computed.
    name : str
        One of `INDICES`.

    Returns
    -------
    ndarray of int16, shape (y, x)
        Index times 10,000, rounded half to even; what is beyond +-3.2767 is set to it. -32768 where a band has no data
        or the formula divides by zero. Pixels are those of the coarsest band. Memory beside the scene: the result, and
        about 6 kB a pixel of its width.

    Raises
    ------
    WorkflowError
        If there is no such index.
    MissingBandError
        If a band was not given.
    """
    if name not in INDICES:
        raise WorkflowError(f"{name!r} is no index; there are {', '.join(INDICES)}")
    index, core = INDICES[name], scene.core
    scene.require(index.bands)
    found = np.empty(core.shape(index.resolution), np.int16)
    for bottom in range(core.bottom, core.top, _STRIP):
        part = replace(core, bottom=bottom, top=min(bottom + _STRIP, core.top))
        strip = scene.cut(part)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            values = index.formula(*(reflectance(strip, band, index.resolution) for band in index.bands))
        found[core.slices(part, index.resolution)] = quantized(values)
    return found


def index_of_numbers(
    index: Index, numbers: Sequence[NDArray[np.uint16]], offsets: Sequence[int], quantification: int
) -> NDArray[np.int16]:
    """Return an index of digital numbers.

    Parameters
    ----------
    index : Index
        The index.
    numbers : sequence of ndarray of uint16, shape (y, x)
        DN of the bands of its formula, in its order, each at its own pixel size; 0 is nodata.
    offsets : sequence of int
        ``RADIO_ADD_OFFSET`` of each.
    quantification : int
        ``QUANTIFICATION_VALUE``.

    Returns
    -------
    ndarray of int16, shape (y, x)
        As `spectral_index` at the pixel size of the coarsest band; a pixel of it is the mean of the finer ones that
        have data.

    Raises
    ------
    WorkflowError
        If finer bands are no whole number of pixels of the coarsest.
    """
    factors = [index.resolution // RESOLUTION[band] for band in index.bands]
    rows, columns = (side // factors[0] for side in numbers[0].shape)
    found = np.empty((rows, columns), np.int16)
    step, parts = max(1, _PIXELS // max(1, columns)), list(zip(numbers, factors, strict=True))
    for start in range(0, rows, step):
        values = []
        if not all(array[start * factor : (start + step) * factor].any() for array, factor in parts):
            found[start : start + step] = NODATA
            continue
        for array, factor, offset in zip(numbers, factors, offsets, strict=True):
            part = array[start * factor : (start + step) * factor]
            if factor == 1:
                value = part.astype(np.float64)
                value[part == 0] = np.nan
            else:
                sums, counts = block_sums(part, factor)
                with np.errstate(invalid="ignore", divide="ignore"):
                    value = sums / counts
            value += offset
            value /= quantification
            values.append(value)
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            found[start : start + step] = quantized(index.formula(*values))
    return found


def quantized(values: Values) -> NDArray[np.int16]:
    """Return values as whole ten-thousandths; what is not finite becomes `NODATA`.

    Parameters
    ----------
    values : ndarray of float64
        Any shape.

    Returns
    -------
    ndarray of int16
        ``rint(10,000 x)``, within +-32,767.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        whole = np.multiply(values, SCALE)
        np.rint(whole, out=whole)
        np.clip(whole, -_LIMIT, _LIMIT, out=whole)
        whole[~np.isfinite(values)] = NODATA
        return whole.astype(np.int16)
