"""Ground of realistic texture for benchmarks of size and speed: as hard to code as real Level-1C.

Made, not downloaded: a random field with the power spectrum of land (amplitude falls as 1 / frequency), plus
sensor noise, band by band. Its one free number, the contrast, is set so that a lossless JP2 needs as many bits per
pixel as the images of a real product, whose sizes its manifest states (S2A, T32TNM, 2017-02-16: `REAL_BITS`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from abut.layout import BANDS

if TYPE_CHECKING:
    from numpy.typing import NDArray

REAL_BITS: Final = {
    "B01": 7.78, "B02": 6.58, "B03": 6.66, "B04": 6.74, "B05": 7.69, "B06": 8.22, "B07": 8.40,
    "B08": 7.61, "B8A": 8.53, "B09": 8.48, "B10": 4.29, "B11": 7.52, "B12": 7.31,
}  # fmt: skip
"""Bits per valid pixel of the JP2 images of a real product of baseline 02.04: bytes in its manifest x 8 / pixels /
0.598, the share of the tile that its detector footprint covers."""

NOISE: Final = 2.0
"""Standard deviation of the sensor noise in DN."""

_SIDE = {10: 2049, 20: 1031, 60: 347}  # no multiples of blocks, so that repetition is never aligned to one
"""Side of the repeated pattern in pixels."""


def texture(contrast: float = 55.0, seed: int = 1) -> dict[str, NDArray[np.uint16]]:
    """Return a pattern per band, shape (n, n), uint16 DN, to be repeated over the ground.

    Parameters
    ----------
    contrast : float
        Standard deviation of the ground in DN at 10 m.
    seed : int
        Of the random numbers.
    """
    generator = np.random.default_rng(seed)
    patterns = {}
    for band in BANDS:
        side = _SIDE[band.resolution]
        field = _land(generator, side) * contrast * (band.resolution / 10) ** 0.5
        noisy = 1500 + 40 * band.index + field + generator.normal(0, NOISE, (side, side))
        patterns[band.name] = np.clip(np.rint(noisy), 1, 32_767).astype(np.uint16)
    return patterns


def _land(generator: np.random.Generator, side: int) -> NDArray[np.float64]:
    """Random field whose amplitude falls as 1 / frequency; mean 0, standard deviation 1."""
    y, x = np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None, :]
    frequency = np.hypot(y, x)
    frequency[0, 0] = np.inf
    spectrum = np.fft.rfft2(generator.normal(size=(side, side))) / frequency
    field = np.fft.irfft2(spectrum, s=(side, side))
    normal: NDArray[np.float64] = (field - field.mean()) / field.std()
    return normal
