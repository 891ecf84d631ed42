"""Cloud probability by s2cloudless: its own detector and model, pixel by pixel at 60 m."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from workflows.reflectance import any_seen, reflectance
from workflows.scene import RESOLUTION, Box

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from workflows.scene import Scene

BANDS: Final = ("B01", "B02", "B04", "B05", "B08", "B8A", "B09", "B10", "B11", "B12")
"""Bands of the model, in its order."""
PIXEL: Final = 60
"""Pixel size in metres."""
SCALE: Final = 10_000
"""Whole numbers for a probability of 1."""
_ROWS: Final = 256


def cloud_probability(
    scene: Scene, *, threads: int = 1, done: Callable[[int, int], None] = lambda *_: None
) -> NDArray[np.int64]:
    """Return the probability of cloud of a scene, as whole ten-thousandths.

    Parameters
    ----------
    scene : Scene
        Bands of `BANDS`; all of its ground is computed.
    threads : int
        Threads of LightGBM; the result does not depend on them.
    done : callable
        Called with the number of rows that are done, and of all.

    Returns
    -------
    ndarray of int64, shape (y, x)
        ``rint(10,000 p)`` at 60 m; 0 where a band has no data (see `seen`).

    Raises
    ------
    MissingBandError
        If a band was not given.
    """
    scene.require(BANDS)
    box = scene.box
    found = np.zeros(box.shape(PIXEL), np.int64)
    for start in range(0, len(found), _ROWS):
        stop = min(start + _ROWS, len(found))
        strip = scene.cut(Box(box.left, box.top - stop * PIXEL, box.right, box.top - start * PIXEL))
        some = seen(strip)
        if some.any():
            pixels = np.stack([reflectance(strip, band, PIXEL)[some] for band in BANDS], axis=-1)[None, None]
            probability = _detector().get_cloud_probability_maps(pixels, num_threads=threads)[0, 0]
            found[start:stop][some] = np.rint(probability.astype(np.float64) * SCALE).astype(np.int64)
        done(stop, len(found))
    return found


def seen(scene: Scene) -> NDArray[np.bool_]:
    """Return where all bands of the model have data, (y, x) at 60 m."""
    scene.require(BANDS)
    parts = [any_seen(scene.bands[band], PIXEL // RESOLUTION[band]) for band in BANDS]
    found: NDArray[np.bool_] = np.logical_and.reduce(parts)
    return found


@cache
def _detector() -> Any:
    from s2cloudless.cloud_detector import S2PixelCloudDetector  # noqa: PLC0415 - takes seconds to import

    return S2PixelCloudDetector()
