"""A small picture of derived classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.quality.data import Flags

_COLOURS = (255, 255, 255, 127, 191, 123, 200, 205, 215, 94, 79, 162)


def draw_classes(valid: Flags, cloud: Flags, shadow: Flags, path: Path) -> None:
    """Write classes as PNG, every third pixel: white no data, green clear, grey cloud, violet shadow."""
    classes = np.select([shadow, cloud, valid], [3, 2, 1], 0).astype(np.uint8)[::3, ::3]
    picture = Image.fromarray(classes, mode=None).convert("P")
    picture.putpalette(_COLOURS)
    picture.save(path, optimize=True)
