"""Clouds and their shadows: the probability of s2cloudless, and shadows paired with clouds by their height."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from workflows import shadows
from workflows.disks import dilated, disk_sum, opened
from workflows.errors import WorkflowError
from workflows.probability import BANDS, PIXEL, SCALE, cloud_probability, seen
from workflows.reflectance import block_sums
from workflows.scene import RESOLUTION, Box

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from workflows.disks import Flags
    from workflows.scene import Scene

NODATA: Final = 0
"""Class: a band has no data."""
CLEAR: Final = 1
"""Class: ground in view."""
CLOUD: Final = 2
"""Class: cloud."""
SHADOW: Final = 3
"""Class: shadow of a cloud."""
THRESHOLD: Final = 4_000
"""Mean probability of cloud, in ten-thousandths, above which a pixel is cloud: what s2cloudless recommends."""
INFRARED: Final = "B08"
"""Band in which shadows are dark."""
_AVERAGED, _OPENED, _GROWN = 2, 1, 2
_MASK: Final = _AVERAGED + 2 * _OPENED + _GROWN


def radius(reach: int = shadows.REACH) -> int:
    """Return the metres around a pixel on which its class depends: 9,540 for shadows up to 6 km away."""
    return shadows.radius(reach) + _MASK * PIXEL


RADIUS: Final = radius()
"""Metres of ground around a pixel on which its class depends, as it is by default."""


@dataclass(frozen=True, slots=True)
class Clouds:
    """Classes of the core of a scene."""

    box: Box
    """Its ground."""
    classes: NDArray[np.uint8]
    """0 no data, 1 clear, 2 cloud, 3 shadow; (y, x) at 60 m."""
    probability: NDArray[np.uint16]
    """Probability of cloud in ten-thousandths, (y, x) at 60 m; 0 where there are no data."""
    height: NDArray[np.int16]
    """Height of the cloud base in metres, (y, x) by squares of 960 m that touch the ground, counted from the zone's
    origin; -1 where no cloud has a shadow."""


def cloud_mask(valid: Flags, probability: NDArray[np.int64], threshold: int = THRESHOLD) -> Flags:
    """Return cloud: the mean probability over a disk of two pixels is above a threshold; without specks; grown.

    Parameters
    ----------
    valid : ndarray of bool, shape (y, x)
        Where there are data.
    probability : ndarray of int64, shape (y, x)
        Ten-thousandths.
    threshold : int
        Ten-thousandths.
    """
    total = disk_sum(np.where(valid, probability, 0), _AVERAGED)
    count = disk_sum(valid.astype(np.int64), _AVERAGED)
    return dilated(opened(total > threshold * count, _OPENED), _GROWN) & valid


def clouds_and_shadows(
    scene: Scene,
    *,
    threshold: int = THRESHOLD,
    reach: int = shadows.REACH,
    partial: bool = False,
    probability: NDArray[np.int64] | None = None,
    threads: int = 1,
    done: Callable[[int, int], None] = lambda *_: None,
) -> Clouds:
    """Return the classes of the core of a scene: clear, cloud, shadow.

    Parameters
    ----------
    scene : Scene
        Bands B01, B02, B04, B05, B08, B8A, B09, B10, B11, B12, angles, and `radius(reach)` metres around the core.
    threshold : int
        Mean probability of cloud above which a pixel is cloud, in ten-thousandths.
    reach : int
        How far shadows are looked for, in pixels of 60 m. In winter shadows are longer: 100 pixels are a cloud at 6,000
        m when the sun is 45 degrees from the zenith, at 2,200 m when it is 70.
    partial : bool
        Classify the core with what is given around it; beyond there is neither cloud nor ground.
    probability : ndarray of int64, shape (y, x), optional
        Probability of cloud at 60 m over all of the scene, if it is known. Default: of s2cloudless.
    threads : int
        Threads of the detector.
    done : callable
        Called with the rows that the detector has done, and all.

    Returns
    -------
    Clouds
        The same bytes in any window. Memory beside the scene: 55 bytes a pixel of 60 m, after some 700 bytes for each
        pixel of 256 rows while the detector runs (0.4 GB in all where rows are 2,150 pixels long).

    Raises
    ------
    MissingBandError, NeighbourhoodError, GeometryError
        If the scene lacks something.
    WorkflowError
        If threshold, reach or probability are out of range, or no pixel has data.
    """
    if not 0 <= threshold <= SCALE:
        raise WorkflowError(f"the threshold {threshold} is not 0 to {SCALE}")
    scene.require(BANDS)
    if not partial:
        scene.require_radius(radius(reach), "clouds and shadows")
    geometry = scene.angles()
    valid = seen(scene)
    if not valid.any():
        raise WorkflowError(f"no pixel of {scene.box} has data in all of {', '.join(BANDS)}")
    if probability is None:
        probability = cloud_probability(scene, threads=threads, done=done)
    if probability.shape != valid.shape or probability.min() < 0 or probability.max() > SCALE:
        raise WorkflowError(f"probabilities are {valid.shape}, 0 to {SCALE}, not {probability.shape}")
    cloud = cloud_mask(valid, probability, threshold)
    clear = valid & ~cloud
    dark = shadows.dark_ground(_infrared(scene), clear)
    found = shadows.find_shadows(scene.box, cloud, clear, dark, geometry, reach=reach)
    classes = np.select([found.shadow, cloud, valid], [SHADOW, CLOUD, CLEAR], NODATA).astype(np.uint8)
    inner = scene.box.slices(scene.core, PIXEL)
    return Clouds(
        scene.core,
        classes[inner],
        np.where(valid, probability, 0).astype(np.uint16)[inner],
        _squares_of(found.height, scene.box, scene.core),
    )


def _infrared(scene: Scene) -> NDArray[np.int64]:
    """Return whole numbers in proportion to the mean reflectance of each pixel of 60 m, at least 0."""
    sums, counts = block_sums(scene.bands[INFRARED], PIXEL // RESOLUTION[INFRARED])
    mean = np.rint(sums * 10 / np.maximum(counts, 1)).astype(np.int64)
    return np.maximum(mean + 10 * scene.offsets.get(INFRARED, 0), 0)


def _squares_of(height: NDArray[np.int16], box: Box, core: Box) -> NDArray[np.int16]:
    side = shadows.SQUARE * PIXEL
    (p0, _, _, q1), (a0, b0, a1, b1) = box.blocks(side), core.blocks(side)
    return height[q1 - b1 : q1 - b0, a0 - p0 : a1 - p0]
