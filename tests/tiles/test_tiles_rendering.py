"""Pictures are transparent where nothing is, and have no band for that where nothing is missing."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from rio_tiler.models import ImageData
from titiler.core.resources.enums import ImageType

from services.tiles.rendering import picture


def image(gaps: int) -> ImageData:
    """Three bands of 4 x 4 pixels, of which the first ones have no data."""
    values = np.arange(1, 49, dtype=np.uint8).reshape(3, 4, 4)
    missing = np.broadcast_to(np.arange(16).reshape(4, 4) < gaps, values.shape)
    return ImageData(np.ma.MaskedArray(values, mask=missing.copy()))


@pytest.mark.parametrize("kind", [ImageType.png, ImageType.webp])
@pytest.mark.parametrize(("gaps", "mode"), [(0, "RGB"), (1, "RGBA"), (16, "RGBA")])
def test_a_picture_has_an_alpha_band_where_something_is_missing(kind: ImageType, gaps: int, mode: str) -> None:
    content, _ = picture(image(gaps), kind, add_mask=None)
    shown = Image.open(io.BytesIO(content))
    assert shown.mode == mode
    if gaps:
        assert int((np.asarray(shown)[:, :, 3] == 0).sum()) == gaps


def test_a_picture_has_an_alpha_band_if_it_is_asked_for() -> None:
    content, _ = picture(image(0), ImageType.png, add_mask=True)
    shown = Image.open(io.BytesIO(content))
    assert shown.mode == "RGBA"
    assert (np.asarray(shown)[:, :, 3] == 255).all()
    np.testing.assert_array_equal(np.moveaxis(np.asarray(shown)[:, :, :3], -1, 0), image(0).data)
