"""Images as files: titiler's rendering, with ranges where a request names none, and refusals in place of failures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from rasterio.errors import RasterioError
from rio_tiler.profiles import img_profiles
from titiler.core.resources.enums import ImageType
from titiler.core.utils import render_image

from abut.errors import BadRequestError
from services.tiles.palette import indexed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rio_tiler.models import ImageData
    from rio_tiler.types import ColorMapType

NATIVE: Final = frozenset({ImageType.tif, ImageType.tiff, ImageType.npy})
"""Formats that hold any numbers; others hold colours."""

_TRANSPARENT: Final = frozenset({ImageType.png, ImageType.webp})
"""Formats that have an alpha band where it is needed: one without gaps takes a third less CPU, and is smaller."""

img_profiles.update({"png": {"zlevel": 2}})  # of 6: a tenth larger at half the CPU, as ground is noise

_SHADES: Final = 256
"""Entries of a colour map of 0 ... 255, which stand for a range of values."""


def picture(
    image: ImageData,
    output_format: ImageType | None = None,
    colormap: ColorMapType | None = None,
    rescale: Sequence[tuple[float, float]] | None = None,
    color_formula: str | None = None,
    **more: Any,
) -> tuple[bytes, str]:
    """Return an image as a file, and its media type: titiler's `render_func`.

    GeoTIFF and NumPy arrays of reflectance have NaN where nothing is, those of DN 0; a mask only if it is asked for.
    PNG and WebP are transparent where nothing is, and have no alpha band if that is nowhere, unless it is asked for.

    Raises
    ------
    BadRequestError
        If the image can't be shown so: too many bands, a colour map for several, a formula that fails, values whose
        range is not known.
    """
    ranges = rescale
    if not rescale and _needs_range(image, output_format, colormap):
        ranges = image.dataset_statistics or [_range(image)]
    if isinstance(colormap, dict) and not ranges and image.array.dtype.kind == "f":
        image.array = np.ma.MaskedArray(image.array.filled(0).round().astype(np.int32), mask=image.array.mask)
    if ranges and len(ranges) not in (1, image.count):
        raise BadRequestError(f"rescale: {len(ranges)} ranges for {image.count} bands")
    if colormap and image.count != 1:
        raise BadRequestError(f"a colour map is for one band, not for {image.count}")
    if output_format in NATIVE and more.get("add_mask") is None and not (colormap or color_formula or ranges):
        more |= _with_nodata(image)
    if output_format in _TRANSPARENT and colormap is None and more.get("add_mask") is None:
        more["add_mask"] = bool(image.array.mask.any())
    try:
        with np.errstate(all="ignore"):
            if colormap:
                colormap = _by_table(image, colormap, ranges, color_formula)
                ranges = color_formula = None
            content, media_type = render_image(
                image,
                output_format=output_format,
                colormap=colormap,
                rescale=ranges,
                color_formula=color_formula,
                **more,
            )
    except (RasterioError, ValueError, IndexError, TypeError, KeyError, ArithmeticError) as error:
        name = output_format.value if output_format else "picture"
        line = " ".join(str(error).split())
        raise BadRequestError(f"{image.count} bands of {image.array.dtype} can't be shown as {name}: {line}") from error
    return content, media_type


def _by_table(
    image: ImageData, colormap: ColorMapType, ranges: Sequence[tuple[float, float]] | None, formula: str | None
) -> ColorMapType:
    """Make values places in a table of colours, and return it; ranges and formula come first, as titiler has it."""
    if ranges:
        image.rescale(ranges)
    if formula:
        image.apply_color_formula(formula)
    places, table = indexed(image.array.data, colormap)
    image.array = np.ma.MaskedArray(places, mask=image.array.mask)
    return table


def _needs_range(image: ImageData, output_format: ImageType | None, colormap: ColorMapType | None) -> bool:
    """Whether values have to become 0 ... 255; colours of single values, or of ranges of them, are of values."""
    if isinstance(colormap, dict):
        return len(colormap) == _SHADES and image.array.dtype != np.uint8
    return colormap is None and output_format not in NATIVE and image.array.dtype != np.uint8


def _with_nodata(image: ImageData) -> dict[str, Any]:
    """Mark what has no data in the values themselves, where they have one to spare: NaN, or DN 0."""
    kind = image.array.dtype
    if kind.kind != "f" and kind != np.uint16:
        return {}
    nodata = np.nan if kind.kind == "f" else 0
    image.array = np.ma.MaskedArray(image.array.filled(nodata), mask=image.array.mask)
    return {"add_mask": False, "nodata": nodata}


def _range(image: ImageData) -> tuple[float, float]:
    """Return the range of DN that is shown where none is named; what was computed has none.

    That of its own values would be another in each map tile.
    """
    if image.array.dtype == np.uint16:
        return 0.0, 5_000.0
    raise BadRequestError(f"rescale: what is computed has no range of its own ({image.array.dtype}); give rescale")
